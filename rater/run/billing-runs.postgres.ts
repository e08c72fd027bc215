/** The billing runs as the rater sees them: leased and cut into shards, which are leased and rated. */
import assert from 'node:assert/strict';
import { recordChange } from '#platform/audit/record-change.ts';
import { ratedLinesDigest } from '#platform/audit/stored-digest.ts';
import { newId } from '#platform/process/ids.ts';
import { bigintArray, instantArray, integerArray, jsonArray, textArray } from '#platform/stores/array-parameters.ts';
import { notify } from '#platform/stores/notices.ts';
import type { Postgres, Queryable } from '#platform/stores/postgres.ts';
import { deadEnd } from '#platform/work/lease-rules.ts';
import {
  endLease,
  giveBack,
  type JobTable,
  leaseNext,
  movedOn,
  putBack,
  takeNext,
} from '#platform/work/leased-jobs.postgres.ts';
import { giveBackShard, leaseShard, shardJobs } from '#platform/work/shard-jobs.postgres.ts';
import { billingChannels, runEnded } from '#schemas/billing-run.ts';
import type { Period } from '#schemas/period.ts';
import { ratingHashVersion } from '#schemas/rating-input.ts';
import { coveredPeriods } from '#schemas/subscription.ts';
import type { QueuedRun, RatePorts } from './rate-period.ts';

type RunRow = {
  id: string;
  organization_id: string;
  period_start: Date;
  period_end: Date;
  customer_id: string | null;
  subscription_id: string | null;
  watermark: bigint | null;
  request_id: string | null;
  attempts: number;
};

// Of the subscriptions that overlap the period, those whose time in it was not cut yet.
const selectUncut = `
SELECT s.id, s.customer_id, s.plan_version_id, s.started_at, s.ended_at FROM subscriptions s
WHERE s.organization_id = $1 AND s.started_at < $3 AND (s.ended_at IS NULL OR s.ended_at > $2)
  AND ($4::text IS NULL OR s.customer_id = $4) AND ($5::text IS NULL OR s.id = $5)
  AND NOT EXISTS (SELECT 1 FROM billing_periods p WHERE p.subscription_id = s.id AND p.billing_start = $2)`;

// Another run may cut the same time at once: one of both wins, and both go on with what it wrote.
const insertPeriods = `
INSERT INTO billing_periods (id, organization_id, subscription_id, customer_id, plan_version_id, billing_start,
  billing_end, segment, span_start, span_end, state, created_at)
SELECT n.id, $1, n.subscription_id, n.customer_id, n.plan_version_id, $2, $3, n.segment, n.span_start, n.span_end,
  'open', clock_timestamp()
FROM unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::integer[], $9::timestamptz[], $10::timestamptz[])
  AS n (id, subscription_id, customer_id, plan_version_id, segment, span_start, span_end)
ON CONFLICT (subscription_id, billing_start, segment) DO NOTHING`;

type UncutRow = {
  id: string;
  customer_id: string;
  plan_version_id: string;
  started_at: Date;
  ended_at: Date | null;
};

const periodOfRun = (run: RunRow): Period => ({ start: run.period_start.getTime(), end: run.period_end.getTime() });

/** Writes down which time of which subscription the run bills. */
const openPeriods = async (client: Queryable, run: RunRow): Promise<void> => {
  const { rows } = await client.query<UncutRow>(selectUncut, [
    run.organization_id,
    run.period_start,
    run.period_end,
    run.customer_id,
    run.subscription_id,
  ]);
  const fresh = rows.flatMap((row) => {
    const time = { startedAt: row.started_at.getTime(), endedAt: row.ended_at?.getTime() ?? null };
    return coveredPeriods(time, periodOfRun(run)).map(({ segment, span }) => ({ row, segment, span }));
  });
  if (fresh.length === 0) return;
  await client.query(insertPeriods, [
    run.organization_id,
    run.period_start,
    run.period_end,
    textArray(fresh.map(() => newId('bpd'))),
    textArray(fresh.map(({ row }) => row.id)),
    textArray(fresh.map(({ row }) => row.customer_id)),
    textArray(fresh.map(({ row }) => row.plan_version_id)),
    integerArray(fresh.map(({ segment }) => segment)),
    instantArray(fresh.map(({ span }) => span.start)),
    instantArray(fresh.map(({ span }) => span.end)),
  ]);
};

// Open periods in shards of $6, in the order in which the store keeps usage, by the customer's own name: what a shard
// reads of it lies together, and not in a block here and there for each customer. Periods of a customer lie side by
// side. Both counts come from one statement, so from one moment: what another run issues meanwhile is in exactly one of
// them.
const insertShards = `
WITH due AS (
  SELECT p.id, row_number() OVER (ORDER BY c.external_id COLLATE "C", p.subscription_id, p.segment)::integer AS place
  FROM billing_periods p JOIN customers c ON c.organization_id = p.organization_id AND c.id = p.customer_id
  WHERE p.organization_id = $2 AND p.billing_start = $3 AND p.billing_end = $4 AND p.state = 'open'
    AND ($5::text IS NULL OR p.customer_id = $5) AND ($7::text IS NULL OR p.subscription_id = $7)
), inserted AS (
  INSERT INTO billing_run_shards (run_id, shard_number, billing_period_ids, state)
  SELECT $1, (place - 1) / $6, array_agg(id ORDER BY place), 'queued' FROM due GROUP BY (place - 1) / $6
  RETURNING 1)
SELECT (SELECT count(*) FROM inserted)::integer AS shards, (
  SELECT count(*) FROM billing_periods p WHERE p.organization_id = $2 AND p.billing_start = $3 AND p.billing_end = $4
    AND p.state = 'billed' AND ($5::text IS NULL OR p.customer_id = $5) AND ($7::text IS NULL OR p.subscription_id = $7)
)::integer AS issued`;

const insertRated = `
INSERT INTO rated_lines (id, organization_id, billing_period_id, subscription_id, period_start, period_end, charge_code,
  watermark, plan_version_id, position, line, unmeasured_events, parts, hash_version, input_hash, output_hash, rated_at)
SELECT l.id, $1, l.billing_period_id, l.subscription_id, l.span_start, l.span_end, l.charge_code, $2, l.plan_version_id,
  l.position, l.line, l.unmeasured_events, l.parts, $3, l.input_hash, l.output_hash, clock_timestamp()
FROM unnest($4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[], $9::text[], $10::text[],
    $11::integer[], $12::json[], $13::bigint[], $14::json[], $15::text[], $16::text[])
  AS l (id, billing_period_id, subscription_id, span_start, span_end, charge_code, plan_version_id, position, line,
    unmeasured_events, parts, input_hash, output_hash)
ON CONFLICT DO NOTHING`;

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

const queuedRun = (row: RunRow): QueuedRun => ({
  runId: row.id,
  organizationId: row.organization_id,
  requestId: row.request_id ?? undefined,
  watermark: row.watermark ?? undefined,
  attempt: row.attempts,
});

const runColumns =
  'r.id, r.organization_id, r.period_start, r.period_end, r.customer_id, r.subscription_id, r.watermark, r.request_id, r.attempts';

const runJobs: JobTable = { name: 'billing_runs', key: ['id'], openStates: ['queued'], changedAt: 'updated_at' };

const leaseRunStatement = `WITH ${leaseNext(runJobs, { where: "j.state = 'queued'", order: 'j.updated_at, j.id' })}
SELECT ${runColumns} FROM leased r`;

const shardToRate = leaseNext(shardJobs, { where: "j.state = 'queued'", order: 'j.run_id, j.shard_number' });

/** Where the run came to its dead end, with its entry; resolves with whether it did. */
const auditDeadEnd = async (client: Queryable, run: QueuedRun, ended: Date | undefined): Promise<boolean> => {
  if (ended) await auditEnd(client, 'failed', { ...run, id: run.runId }, ended);
  return ended !== undefined;
};

export const createBillingRuns = (postgres: Postgres, leaseSeconds: number): RatePorts['runs'] => {
  const giveUpRun = (run: QueuedRun, error: unknown): Promise<boolean> =>
    postgres.transaction(async (client) =>
      auditDeadEnd(client, run, await giveBack(client, runJobs, run, [run.runId], error)),
    );
  const giveUp: RatePorts['runs']['giveUp'] = (shard, error) =>
    postgres.transaction((client) => giveBackShard(client, 'rater', shard, error));
  return {
    leaseRun: () =>
      takeNext(async () => {
        const { rows } = await postgres.query<RunRow>(leaseRunStatement, [leaseSeconds]);
        return rows[0] && queuedRun(rows[0]);
      }, giveUpRun),

    giveUpRun,

    takeWatermark: async ({ runId }, watermark) => {
      const { rows } = await postgres.query<{ watermark: bigint }>(
        'UPDATE billing_runs SET watermark = coalesce(watermark, $2) WHERE id = $1 RETURNING watermark',
        [runId, watermark],
      );
      assert(rows[0], `the billing run ${runId} is gone`);
      return rows[0].watermark;
    },

    putBackRun: async (run) => {
      await putBack(postgres, runJobs, run, [run.runId]);
    },

    failRun: (run, failure) =>
      postgres.transaction(async (client) =>
        auditDeadEnd(client, run, await endLease(client, runJobs, run, [run.runId], failure, deadEnd(run.attempt))),
      ),

    cutRun: (run, shardSize) =>
      postgres.transaction(async (client) => {
        // Whoever held the run before may have cut it after its lease was over.
        const { rows } = await client.query<RunRow>(
          `SELECT ${runColumns} FROM billing_runs r WHERE r.id = $1 AND r.state = 'queued' FOR UPDATE`,
          [run.runId],
        );
        const [row] = rows;
        if (!row) return undefined;
        await openPeriods(client, row);
        const counted = await client.query<{ shards: number; issued: number }>(insertShards, [
          row.id,
          row.organization_id,
          row.period_start,
          row.period_end,
          row.customer_id,
          shardSize,
          row.subscription_id,
        ]);
        const { shards = 0, issued = 0 } = counted.rows[0] ?? {};
        const prepared = await client.query<{ now: Date }>(
          `UPDATE billing_runs SET state = $2, already_issued = $3, ${movedOn}, updated_at = clock_timestamp()
            WHERE id = $1 RETURNING updated_at AS now`,
          [row.id, shards > 0 ? 'running' : 'completed', issued],
        );
        if (shards === 0) await auditEnd(client, 'completed', { ...run, id: row.id }, prepared.rows[0]?.now as Date);
        else await notify(client, billingChannels.shardsQueued);
        return shards;
      }),

    leaseShard: () => takeNext(() => leaseShard(postgres, shardToRate, leaseSeconds), giveUp),

    saveRated: (shard, rows, ratedMs) =>
      postgres.transaction(async (client) => {
        await client.query(insertRated, [
          shard.organizationId,
          shard.watermark,
          ratingHashVersion,
          textArray(rows.lines.map(() => newId('rln'))),
          textArray(rows.billingPeriodIds),
          textArray(rows.subscriptionIds),
          instantArray(rows.spanStarts),
          instantArray(rows.spanEnds),
          textArray(rows.chargeCodes),
          textArray(rows.planVersionIds),
          integerArray(rows.positions),
          jsonArray(rows.lines),
          bigintArray(rows.unmeasuredEvents),
          jsonArray(rows.parts),
          textArray(rows.inputHashes),
          textArray(rows.outputHashes),
        ]);
        await client.query(
          `UPDATE billing_run_shards s SET state = 'rated', ${movedOn}, rated_ms = $3,
            lines_digest = ${ratedLinesDigest}
         FROM billing_runs r WHERE r.id = s.run_id AND s.run_id = $1 AND s.shard_number = $2 AND s.state = 'queued'`,
          [shard.runId, shard.shardNumber, ratedMs],
        );
        await notify(client, billingChannels.shardRated);
      }),

    giveUp,
  };
};

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
