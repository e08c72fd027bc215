/** How far a run has come, and when it will be done at the pace that it had so far. Pure. */
import { formatInstant } from '#schemas/instant.ts';
import type { Instant } from '#schemas/period.ts';

export type RunProgress = {
  /** When it was cut into shards; null before that. */
  readonly startedAt: Instant | null;
  /** Since then until now, or until its end. */
  readonly elapsedSeconds: number;
  readonly isOver: boolean;
  readonly shardsTotal: number;
  readonly shardsDone: number;
  readonly periodsTotal: number;
  /** Those that failed among them. */
  readonly periodsDone: number;
};

/** No pace is known before something was done. */
const paceOf = ({ periodsDone, elapsedSeconds }: RunProgress): number | null =>
  periodsDone > 0 && elapsedSeconds > 0 ? periodsDone / elapsedSeconds : null;

const remainingSeconds = (progress: RunProgress): number | null => {
  if (progress.isOver) return 0;
  const pace = paceOf(progress);
  return pace === null ? null : Math.ceil((progress.periodsTotal - progress.periodsDone) / pace);
};

export const progressToJson = (progress: RunProgress) => ({
  started_at: progress.startedAt === null ? null : formatInstant(progress.startedAt),
  shards_total: progress.shardsTotal,
  shards_done: progress.shardsDone,
  billing_periods_total: progress.periodsTotal,
  billing_periods_done: progress.periodsDone,
  billing_periods_per_second: paceOf(progress),
  remaining_seconds: remainingSeconds(progress),
});
