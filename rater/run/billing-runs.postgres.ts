/** The billing runs as the rater sees them: prepared into shards, leased, and rated. */

import { recordChange } from '#platform/audit/record-change.ts';
import { ratedLinesDigest } from '#platform/audit/stored-digest.ts';
import type { Postgres, Queryable } from '#platform/stores/postgres.ts';
import { isPassing } from '#platform/stores/retry.ts';
import { giveUpShard } from '#platform/work/give-up-shard.ts';
import { leaseShardStatement, runEnded, type ShardRow, shardFromRow } from '#schemas/billing-run.ts';
import { ratedLineToJson } from '#schemas/rated-line.ts';
import { type RatePorts, StreamBehindError } from './rate-period.ts';

type RunRow = {
  id: string;
  organization_id: string;
  period_start: Date;
  period_end: Date;
  customer_id: string | null;
  subscription_id: string | null;
  watermark: bigint | null;
  request_id: string | null;
};

// Subscriptions that overlap the period and have no invoice for it yet, in shards of $6. A customer's subscriptions lie
// side by side. Both counts come from one statement, so from one moment: an invoice that another run issues meanwhile
// is in exactly one of them.
const insertShards = `
WITH inserted AS (
INSERT INTO billing_run_shards (run_id, shard_number, subscription_ids, state)
SELECT $1, (place - 1) / $6, array_agg(id ORDER BY place), 'queued'
FROM (
  SELECT s.id, row_number() OVER (ORDER BY s.customer_id, s.id)::integer AS place
  FROM subscriptions s
  WHERE s.organization_id = $2 AND s.started_at < $4 AND (s.ended_at IS NULL OR s.ended_at > $3)
    AND ($5::text IS NULL OR s.customer_id = $5) AND ($7::text IS NULL OR s.id = $7)
    AND NOT EXISTS (SELECT 1 FROM invoices i WHERE i.subscription_id = s.id AND i.period_start = $3 AND i.period_end = $4 AND i.kind = 'period')
) AS due
GROUP BY (place - 1) / $6
RETURNING 1)
SELECT (SELECT count(*) FROM inserted)::integer AS shards, (
  SELECT count(*) FROM invoices i WHERE i.organization_id = $2 AND i.period_start = $3 AND i.period_end = $4 AND i.kind = 'period'
    AND ($5::text IS NULL OR i.customer_id = $5) AND ($7::text IS NULL OR i.subscription_id = $7)
)::integer AS issued`;

type EndedRun = { readonly id: string; readonly organizationId: string; readonly requestId: string | undefined };

const auditEnd = (
  client: Queryable,
  how: 'completed' | 'failed',
  { id, organizationId, requestId }: EndedRun,
  now: Date,
): Promise<void> =>
  recordChange(
    { query: client.query, organizationId },
    { actor: 'rater', requestId, result: 'done' },
    [runEnded(how, id)],
    now.getTime(),
  );

/** What keeps killing processes fails its run, whichever of rater and invoicer it was. */
const failDeadly = async (client: Queryable): Promise<void> => {
  const { rows } = await client.query<{
    run_id: string;
    organization_id: string;
    request_id: string | null;
    now: Date;
  }>('SELECT *, clock_timestamp() AS now FROM fail_deadly_billing_run_shards() ORDER BY organization_id');
  for (const row of rows) {
    const run = { id: row.run_id, organizationId: row.organization_id, requestId: row.request_id ?? undefined };
    await auditEnd(client, 'failed', run, row.now);
  }
};

export const createBillingRuns = (postgres: Postgres, leaseSeconds: number): RatePorts['runs'] => ({
  prepare: (watermarkNow, isChecked, shardSize) =>
    postgres.transaction(async (client) => {
      await failDeadly(client);
      const { rows } = await client.query<RunRow>(
        `SELECT id, organization_id, period_start, period_end, customer_id, subscription_id, watermark, request_id FROM billing_runs
         WHERE state = 'queued' ORDER BY updated_at, id LIMIT 1 FOR UPDATE SKIP LOCKED`,
      );
      const run = rows[0];
      if (!run) return undefined;
      const named = { runId: run.id, organizationId: run.organization_id, requestId: run.request_id ?? undefined };
      let watermark: bigint;
      try {
        watermark = run.watermark ?? (await watermarkNow(run.organization_id));
      } catch (error) {
        if (!(error instanceof StreamBehindError)) throw error;
        const failed = await client.query<{ now: Date }>(
          "UPDATE billing_runs SET state = 'failed', failure = $2, updated_at = clock_timestamp() WHERE id = $1 RETURNING updated_at AS now",
          [run.id, error.message],
        );
        await auditEnd(client, 'failed', { ...named, id: run.id }, failed.rows[0]?.now as Date);
        return { ...named, watermark: undefined, shards: 0, failure: error.message };
      }
      if (!(await isChecked(watermark))) {
        // The sink or the identity check is behind. The watermark stays; the run goes to the end of the queue, so that
        // it holds up no other organization's.
        await client.query('UPDATE billing_runs SET watermark = $2, updated_at = clock_timestamp() WHERE id = $1', [
          run.id,
          watermark,
        ]);
        return undefined;
      }
      const counted = await client.query<{ shards: number; issued: number }>(insertShards, [
        run.id,
        run.organization_id,
        run.period_start,
        run.period_end,
        run.customer_id,
        shardSize,
        run.subscription_id,
      ]);
      const { shards = 0, issued = 0 } = counted.rows[0] ?? {};
      const prepared = await client.query<{ now: Date }>(
        'UPDATE billing_runs SET watermark = $2, state = $3, already_issued = $4, updated_at = clock_timestamp() WHERE id = $1 RETURNING updated_at AS now',
        [run.id, watermark, shards > 0 ? 'running' : 'completed', issued],
      );
      if (shards === 0) await auditEnd(client, 'completed', { ...named, id: run.id }, prepared.rows[0]?.now as Date);
      return { ...named, watermark, shards, failure: undefined };
    }),

  leaseShard: async () => {
    const { rows } = await postgres.query<ShardRow>(...leaseShardStatement('queued', leaseSeconds));
    return rows[0] && shardFromRow(rows[0]);
  },

  saveRated: (shard, lines, ratedMs) =>
    postgres.transaction(async (client) => {
      await client.query(
        `INSERT INTO rated_lines (organization_id, subscription_id, period_start, period_end, charge_code, watermark, plan_version_id, position, line, unmeasured_events, rated_at)
         SELECT $1, l.subscription_id, $2, $3, l.charge_code, $4, l.plan_version_id, l.position, l.line, l.unmeasured_events, clock_timestamp()
         FROM unnest($5::text[], $6::text[], $7::text[], $8::integer[], $9::json[], $10::bigint[]) AS l (subscription_id, charge_code, plan_version_id, position, line, unmeasured_events)
         ON CONFLICT DO NOTHING`,
        [
          shard.organizationId,
          new Date(shard.period.start),
          new Date(shard.period.end),
          shard.watermark,
          lines.map(({ line }) => line.subscriptionId),
          lines.map(({ line }) => line.chargeCode),
          lines.map(({ line }) => line.planVersionId),
          lines.map(({ line }) => line.position),
          lines.map(({ line }) => JSON.stringify(ratedLineToJson(line))),
          lines.map(({ unmeasuredEvents }) => unmeasuredEvents),
        ],
      );
      await client.query(
        `UPDATE billing_run_shards s SET state = 'rated', leased_until = NULL, attempts = 0, failure = NULL, rated_ms = $3, lines_digest = ${ratedLinesDigest}
         FROM billing_runs r WHERE r.id = s.run_id AND s.run_id = $1 AND s.shard_number = $2 AND s.state = 'queued'`,
        [shard.runId, shard.shardNumber, ratedMs],
      );
    }),

  giveUp: async (shard, error) => {
    await giveUpShard(postgres, 'rater', shard, error, isPassing(error));
  },
});

/** Whether the identity check of the stream has come as far as the sequence. */
export const createIsChecked =
  (postgres: Postgres, stream: string): RatePorts['isChecked'] =>
  async (sequence) => {
    const { rows } = await postgres.query<{ checked_sequence: bigint }>(
      'SELECT checked_sequence FROM identity_checks WHERE stream = $1',
      [stream],
    );
    return (rows[0]?.checked_sequence ?? 0n) >= sequence;
  };

/** What of billing is not done, for the gauges. `failed`: in the last 24 hours, as a failed run stays one for ever. */
export type Backlog = {
  readonly runs: { readonly queued: number; readonly running: number; readonly failed: number };
  readonly oldestSeconds: number;
  readonly shards: { readonly queued: number; readonly rated: number };
};

const backlogStatement = `
SELECT (r.queued)::integer AS queued, (r.running)::integer AS running, (r.failed)::integer AS failed, r.oldest_seconds::double precision AS oldest_seconds,
  (s.queued)::integer AS shards_queued, (s.rated)::integer AS shards_rated
FROM (
  SELECT count(*) FILTER (WHERE state = 'queued') AS queued, count(*) FILTER (WHERE state = 'running') AS running, count(*) FILTER (WHERE state = 'failed') AS failed,
    coalesce(extract(epoch FROM clock_timestamp() - min(created_at) FILTER (WHERE state <> 'failed')), 0) AS oldest_seconds
  FROM billing_runs WHERE state IN ('queued', 'running', 'failed') AND (state <> 'failed' OR updated_at > clock_timestamp() - interval '24 hours')
) AS r, (
  SELECT count(*) FILTER (WHERE state = 'queued') AS queued, count(*) FILTER (WHERE state = 'rated') AS rated
  FROM billing_run_shards WHERE state IN ('queued', 'rated')
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
