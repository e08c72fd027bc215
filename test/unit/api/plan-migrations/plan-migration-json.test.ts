import { describe, expect, it } from 'vitest';
import { progressOf } from '../../../../api/plan-migrations/plan-migration-json.ts';

describe('the progress of a migration', () => {
  const running = {
    state: 'running' as const,
    total: 100,
    moved: 40,
    scheduled: 5,
    failed: 1,
    skipped: { over: 3, change_pending: 1 },
    doneBefore: 0,
    runningMs: 2_000,
  };
  const none = { moved: 0, scheduled: 0, failed: 0, skipped: {} };
  it.each([
    [running, [50, 100, 0.5, 25, 2]],
    [{ ...running, ...none }, [0, 100, 0, null, null]],
    [{ ...running, state: 'queued' as const, ...none, runningMs: null }, [0, 100, 0, null, null]],
    // By the speed since it was resumed, and not before.
    [{ ...running, doneBefore: 40, runningMs: 1_000 }, [50, 100, 0.5, 10, 5]],
    [{ ...running, state: 'paused' as const, runningMs: null }, [50, 100, 0.5, null, null]],
    // Those that came meanwhile count with the others.
    [{ ...running, moved: 140 }, [150, 150, 1, 75, 0]],
    [{ ...running, total: 10_000, moved: 9_989 }, [9_999, 10_000, 0.999, 4_999.5, 0]],
    [{ ...running, state: 'canceled' as const }, [50, 100, 0.5, 25, 0]],
    // Some that there were when it was asked for have gone.
    [{ ...running, state: 'completed' as const }, [50, 50, 1, 25, 0]],
    [{ ...running, state: 'completed' as const, ...none, total: 0 }, [0, 0, 1, null, 0]],
  ])('%j: %j', (migration, expected) => {
    expect(Object.values(progressOf(migration))).toEqual(expected);
  });
});
