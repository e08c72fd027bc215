/**
 * Finds who waits for a lock in this database: `condition` is SQL over pg_stat_activity. The server is shared by the
 * databases of other test files, whose waits are none of ours.
 */
export const lockWaiters = (condition: string): string =>
  `SELECT 1 FROM pg_stat_activity
   WHERE datname = current_database() AND wait_event_type = 'Lock' AND ${condition}`;
