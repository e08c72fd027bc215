import { expect, it } from 'vitest';
import { progressToJson, type RunProgress } from '../../../../api/runs/run-progress.ts';

const at: RunProgress = {
  startedAt: Date.UTC(2026, 10, 1),
  elapsedSeconds: 20,
  isOver: false,
  shardsTotal: 10,
  shardsDone: 4,
  periodsTotal: 1_000,
  periodsDone: 400,
};

it('what is left of a run is told by its pace so far, and of one that is over nothing is', () => {
  expect(progressToJson(at)).toEqual({
    started_at: '2026-11-01T00:00:00.000Z',
    shards_total: 10,
    shards_done: 4,
    billing_periods_total: 1_000,
    billing_periods_done: 400,
    billing_periods_per_second: 20,
    remaining_seconds: 30,
  });
  expect(progressToJson({ ...at, isOver: true }).remaining_seconds).toBe(0);
});

it('before anything is done, no pace is known', () => {
  const begun = { ...at, periodsDone: 0, shardsDone: 0 };
  expect(progressToJson(begun)).toMatchObject({ billing_periods_per_second: null, remaining_seconds: null });
  expect(progressToJson({ ...begun, startedAt: null, elapsedSeconds: 0 }).started_at).toBeNull();
});
