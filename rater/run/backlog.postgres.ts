/** How much of billing is left to do, of all organizations. */
import type { Postgres } from '#platform/stores/postgres.ts';

/** What of billing is not done, for the gauges. `failed`: in the last 24 hours, as a failed run stays one for ever. */
export type Backlog = {
  readonly runs: { readonly queued: number; readonly running: number; readonly failed: number };
  readonly oldestSeconds: number;
  readonly shards: { readonly queued: number; readonly rated: number };
};

// Each state of shards is counted in the index of its own; asked for together, all shards that ever were would be read.
const backlogStatement = `
SELECT (r.queued)::integer AS queued, (r.running)::integer AS running, (r.failed)::integer AS failed,
  r.oldest_seconds::double precision AS oldest_seconds,
  (s.queued)::integer AS shards_queued, (s.rated)::integer AS shards_rated
FROM (
  SELECT count(*) FILTER (WHERE state = 'queued') AS queued, count(*) FILTER (WHERE state = 'running') AS running,
    count(*) FILTER (WHERE state = 'failed') AS failed,
    coalesce(extract(epoch FROM clock_timestamp() - min(created_at) FILTER (WHERE state <> 'failed')), 0)
      AS oldest_seconds
  FROM billing_runs WHERE state IN ('queued', 'running', 'failed')
    AND (state <> 'failed' OR updated_at > clock_timestamp() - interval '24 hours')
) AS r, (
  SELECT (SELECT count(*) FROM billing_run_shards WHERE state = 'queued') AS queued,
    (SELECT count(*) FROM billing_run_shards WHERE state = 'rated') AS rated
) AS s`;

type BacklogRow = {
  queued: number;
  running: number;
  failed: number;
  oldest_seconds: number;
  shards_queued: number;
  shards_rated: number;
};

export const createReadBacklog = (postgres: Postgres) => async (): Promise<Backlog> => {
  const { rows } = await postgres.query<BacklogRow>(backlogStatement);
  const {
    queued = 0,
    running = 0,
    failed = 0,
    oldest_seconds = 0,
    shards_queued = 0,
    shards_rated = 0,
  } = rows[0] ?? {};
  return {
    runs: { queued, running, failed },
    oldestSeconds: oldest_seconds,
    shards: { queued: shards_queued, rated: shards_rated },
  };
};
