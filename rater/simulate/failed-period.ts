/** A billing period that could not be rated, as a row of results has it: one reader for rater and API. Pure. */
import type { FailedPeriod, SimulationCause } from '#schemas/simulation.ts';

export const failedPeriodColumns = 'failed_start, failed_end, failure_cause, failure_message';

export type FailedPeriodRow = {
  failed_start: Date | null;
  failed_end: Date | null;
  failure_cause: SimulationCause | null;
  failure_message: string | null;
};

/** All columns are null, or none: the table sees to it. */
export const failedPeriodFromRow = (row: FailedPeriodRow): FailedPeriod | null =>
  row.failed_start && row.failed_end && row.failure_cause
    ? {
        period: { start: row.failed_start.getTime(), end: row.failed_end.getTime() },
        cause: row.failure_cause,
        message: row.failure_message ?? '',
      }
    : null;
