import type { Queryable } from '#platform/stores/postgres.ts';
import { until } from './pipeline.ts';

/**
 * Resolves once one waits for a lock in the database of `db`, of those of a condition: SQL over pg_stat_activity. The
 * server is shared by the databases of other test files, whose waits are none of ours.
 */
export const untilOneWaits = async (
  db: Queryable,
  condition: string,
  values: readonly unknown[] = [],
): Promise<void> => {
  await until(
    () =>
      db.query(
        `SELECT 1 FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock' AND ${condition}`,
        values,
      ),
    ({ rowCount }) => rowCount === 1,
  );
};
