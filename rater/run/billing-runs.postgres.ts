/** The billing runs as the rater sees them: leased and cut into shards, which are leased and rated. */

import assert from 'node:assert/strict';
import { recordChange } from '#platform/audit/record-change.ts';
import { instantArray, integerArray, jsonArray, textArray } from '#platform/stores/array-parameters.ts';
import { readCheckedSequence } from '#platform/stores/checked-sequence.postgres.ts';
import { lockNamesOf } from '#platform/stores/customer-names.ts';
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
  renewLease,
  takeNext,
} from '#platform/work/leased-jobs.postgres.ts';
import { leaseShard, shardJobs } from '#platform/work/shard-jobs.postgres.ts';
import { billingChannels, runEnded, type Shard } from '#schemas/billing-run.ts';
import { isId } from '#schemas/ids.ts';
import { monthNameOf } from '#schemas/period.ts';
import type { RatingFailureCode } from '#schemas/rating-failure.ts';
import { cutCarried } from './cut-carried.postgres.ts';
import { cutDeltas } from './cut-deltas.postgres.ts';
import { cutDrafts } from './cut-drafts.postgres.ts';
import { cutShards } from './cut-shards.postgres.ts';
import { freshPeriodsDue, freshPeriodsOfMonth, ofScope, withoutClock } from './cut-time.postgres.ts';
import type { CutState, FreshPeriod } from './due-time.ts';
import { addLatePeriods } from './late-periods.postgres.ts';
import type { LateUsage } from './look-for-late-usage.ts';
import { customersBilledTo, payersOf } from './payers.postgres.ts';
import { type QueuedRun, type RatePorts, WorkerEndedError } from './rate-period.ts';
import { type Cut, monthOfRun, type RunRow } from './run-rows.ts';
import { giveUpRating, saveRated } from './save-rated.postgres.ts';

// Another run may cut the same time at once: one of both wins, and both go on with what it wrote. A credit goes to whom
// the charge went that it takes back, whoever is billed for the customer by now.
const insertPeriods = `
INSERT INTO billing_periods (id, organization_id, subscription_id, customer_id, plan_version_id, billing_start,
  billing_end, segment, span_start, span_end, item, timing, interval_unit, interval_count, counted, quantities,
  priced_at, usage_waived, billing_month, due_at, payer_id, consolidated, state, created_at)
SELECT n.id, $1, n.subscription_id, n.customer_id, n.plan_version_id, n.billing_start, n.billing_end, n.segment,
  n.span_start, n.span_end, n.item, n.timing, n.interval_unit, n.interval_count, n.counted, n.quantities::jsonb,
  n.priced_at, n.usage_waived, n.billing_month, n.due_at, coalesce(a.payer_id, n.payer_id),
  coalesce(a.consolidated, n.consolidated), 'open', clock_timestamp()
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[], $8::integer[],
    $9::timestamptz[], $10::timestamptz[], $11::text[], $12::text[], $13::text[], $14::integer[], $15::boolean[],
    $16::json[], $17::timestamptz[], $18::boolean[], $19::text[], $20::timestamptz[], $21::text[], $22::boolean[])
  AS n (id, subscription_id, customer_id, plan_version_id, billing_start, billing_end, segment, span_start, span_end,
    item, timing, interval_unit, interval_count, counted, quantities, priced_at, usage_waived,
    billing_month, due_at, payer_id, consolidated)
  LEFT JOIN LATERAL (
    SELECT p.payer_id, p.consolidated FROM billing_periods p
    WHERE n.timing = 'credit' AND p.timing = 'advance' AND p.subscription_id = n.subscription_id
      AND p.billing_end = n.billing_end AND p.span_start = n.priced_at AND p.item = n.item
      AND p.interval_unit = n.interval_unit AND p.interval_count = n.interval_count
      AND p.counted IS NOT DISTINCT FROM n.counted
    LIMIT 1
  ) a ON true
ON CONFLICT DO NOTHING`;

/** What was written down of one-time charges waits no more. */
const settleCharges = `
UPDATE one_time_charges h SET billing_period_id = n.id FROM unnest($1::text[], $2::text[]) AS n (id, item)
WHERE h.id = n.item`;

/** From `id` to `usage_waived`, as both statements take them. */
const periodColumns = (periods: readonly FreshPeriod[]): unknown[] => {
  const column = <T>(of: (period: FreshPeriod) => T): T[] => periods.map(of);
  return [
    textArray(column(({ id }) => id)),
    textArray(column(({ subscriptionId }) => subscriptionId)),
    textArray(column(({ customerId }) => customerId)),
    textArray(column(({ planVersionId }) => planVersionId)),
    instantArray(column(({ billing }) => billing.start)),
    instantArray(column(({ billing }) => billing.end)),
    integerArray(column(({ segment }) => segment)),
    instantArray(column(({ span }) => span.start)),
    instantArray(column(({ span }) => span.end)),
    textArray(column(({ item }) => item)),
    textArray(column(({ timing }) => timing)),
    textArray(column(({ interval }) => interval.unit)),
    integerArray(column(({ interval }) => interval.count)),
    column(({ isCounted }) => isCounted),
    jsonArray(column(({ quantities }) => (quantities ? JSON.stringify(quantities) : null))),
    column(({ pricedAt }) => (pricedAt === undefined ? null : new Date(pricedAt))),
    column(({ usageWaived }) => usageWaived === true),
  ];
};

const writePeriods = async (client: Queryable, run: RunRow, periods: readonly FreshPeriod[]): Promise<void> => {
  if (periods.length === 0) return;
  const customerIds = periods.map(({ customerId }) => customerId);
  const payers = await payersOf(client, run.organization_id, customerIds);
  await client.query(insertPeriods, [
    run.organization_id,
    ...periodColumns(periods),
    textArray(periods.map(({ month }) => month)),
    instantArray(periods.map(({ dueAt }) => dueAt)),
    textArray(customerIds.map((id) => payers.get(id)?.id ?? id)),
    customerIds.map((id) => payers.get(id)?.isConsolidated ?? false),
  ]);
  const charges = periods.filter(({ item }) => isId('otc', item));
  if (charges.length > 0)
    await client.query(settleCharges, [
      textArray(charges.map(({ id }) => id)),
      textArray(charges.map(({ item }) => item)),
    ]);
};

/** Whom a run bills: of a customer, what is of it and what is billed to it. Null is everybody. */
const customersOf = async (client: Queryable, run: RunRow): Promise<readonly string[] | null> =>
  run.customer_id === null ? null : customersBilledTo(client, run.organization_id, run.customer_id);

const writeCutStates = async (client: Queryable, states: readonly CutState[]): Promise<void> => {
  await client.query(
    `UPDATE subscriptions s SET cut_until = n.cut_until,
       next_due_at = CASE WHEN s.test_clock_id IS NULL THEN n.next_due_at END,
       clocked_due_at = CASE WHEN s.test_clock_id IS NOT NULL THEN n.next_due_at END
     FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) AS n (id, cut_until, next_due_at)
     WHERE s.id = n.id`,
    [
      textArray(states.map(({ subscriptionId }) => subscriptionId)),
      instantArray(states.map(({ cutUntil }) => cutUntil)),
      states.map(({ nextDueAt }) => (nextDueAt === undefined ? null : new Date(nextDueAt))),
    ],
  );
};

/** With the subscriptions that were looked at; undefined is all. */
type Opened = Pick<Cut, 'freshIds' | 'isLast'> & { readonly looked: readonly CutState[] | undefined };

/**
 * Writes down which time of which subscription is due: what was due when the run was asked for. In the west a month is
 * over some hours later; what ends in them is left to the next run.
 */
const openPeriods = async (client: Queryable, run: RunRow): Promise<Opened> => {
  if (run.drafts_only) return { freshIds: [], isLast: true, looked: [] };
  const { organization_id: organizationId, subscription_id: subscriptionId } = run;
  const customerIds = await customersOf(client, run);
  if (run.due_until === null || run.arrears_until === null) {
    const until = run.created_at.getTime();
    const whose = withoutClock(ofScope(customerIds, subscriptionId));
    const asked = { month: monthOfRun(run), until };
    const periods = await freshPeriodsOfMonth(client, organizationId, asked, whose, { isLocked: true });
    await writePeriods(client, run, periods);
    return { freshIds: periods.map(({ id }) => id), isLast: true, looked: undefined };
  }
  const [dueUntil, arrearsUntil] = [run.due_until.getTime(), run.arrears_until.getTime()];
  const { subscriptions_max: subscriptionsMax, test_clock_id: testClockId } = run;
  const asked = { dueUntil, arrearsUntil, customerIds, subscriptionId, subscriptionsMax, testClockId };
  const { periods, states } = await freshPeriodsDue(client, organizationId, asked);
  await writePeriods(client, run, periods);
  await writeCutStates(client, states);
  return {
    freshIds: periods.map(({ id }) => id),
    isLast: subscriptionsMax === null || states.length < subscriptionsMax,
    looked: states,
  };
};

/** What the step looked at, and who is billed for it. */
const lookedAt = async (client: Queryable, organizationId: string, looked: readonly CutState[] | undefined) => {
  if (!looked) return undefined;
  const payers = await payersOf(
    client,
    organizationId,
    looked.map(({ customerId }) => customerId),
  );
  return {
    subscriptionIds: looked.map(({ subscriptionId }) => subscriptionId),
    payerIds: [...new Set([...payers.values()].map(({ id }) => id))],
  };
};

/** What is due, and what comes of late usage of what was billed before. */
const openBilling = async (client: Queryable, run: RunRow, late: LateUsage | undefined): Promise<Cut> => {
  const { looked, ...opened } = await openPeriods(client, run);
  if (run.kind !== 'billing' || run.drafts_only) return { ...opened, deltaIds: [], carriedIds: [] };
  if (late) await addLatePeriods(client, run, late);
  const dueAt = (run.due_until ?? run.created_at).getTime();
  const isOfMonth = run.due_until === null;
  const of = {
    organizationId: run.organization_id,
    dueAt,
    month: isOfMonth ? monthOfRun(run) : monthNameOf(dueAt),
    ofMonth: isOfMonth ? monthOfRun(run) : null,
    customerId: run.customer_id,
    subscriptionId: run.subscription_id,
    testClockId: run.test_clock_id,
    freshIds: run.state === 'running' ? opened.freshIds : undefined,
  };
  const deltaIds = await cutDeltas(client, of);
  const carriedIds = await cutCarried(client, {
    ...of,
    ...(of.freshIds && { freshIds: [...of.freshIds, ...deltaIds] }),
    looked: await lookedAt(client, of.organizationId, looked),
  });
  return { ...opened, deltaIds, carriedIds };
};

// What stands is taken as it stands, billed or not; what nobody has cut yet, as a billing run would cut it. Nothing is
// written of it where billing looks.
const insertDryPeriods = `
INSERT INTO rating_run_periods (run_id, id, organization_id, subscription_id, customer_id, plan_version_id,
  billing_start, billing_end, segment, span_start, span_end, item, timing, interval_unit, interval_count, counted,
  quantities, priced_at, usage_waived)
SELECT $1, p.id, $2, p.subscription_id, p.customer_id, p.plan_version_id, p.billing_start, p.billing_end, p.segment,
  p.span_start, p.span_end, p.item, p.timing, p.interval_unit, p.interval_count, p.counted, p.quantities,
  p.priced_at, p.usage_waived
FROM billing_periods p WHERE p.organization_id = $2 AND p.billing_month = $20 AND p.timing <> 'delta'
  AND ($21::text IS NULL OR p.customer_id = $21 OR p.payer_id = $21) AND ($22::text IS NULL OR p.subscription_id = $22)
UNION ALL
SELECT $1, n.id, $2, n.subscription_id, n.customer_id, n.plan_version_id, n.billing_start, n.billing_end, n.segment,
  n.span_start, n.span_end, n.item, n.timing, n.interval_unit, n.interval_count, n.counted, n.quantities::jsonb,
  n.priced_at, n.usage_waived
FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::timestamptz[], $9::integer[],
    $10::timestamptz[], $11::timestamptz[], $12::text[], $13::text[], $14::text[], $15::integer[], $16::boolean[],
    $17::json[], $18::timestamptz[], $19::boolean[])
  AS n (id, subscription_id, customer_id, plan_version_id, billing_start, billing_end, segment, span_start, span_end,
    item, timing, interval_unit, interval_count, counted, quantities, priced_at, usage_waived)
ON CONFLICT DO NOTHING`;

const writeDryPeriods = async (client: Queryable, run: RunRow): Promise<Cut> => {
  const { organization_id: organizationId, customer_id: customerId, subscription_id: subscriptionId } = run;
  const month = monthOfRun(run);
  const whose = ofScope(await customersOf(client, run), subscriptionId);
  const fresh = await freshPeriodsOfMonth(client, organizationId, { month }, whose);
  await client.query(insertDryPeriods, [
    run.id,
    organizationId,
    ...periodColumns(fresh),
    month,
    customerId,
    subscriptionId,
  ]);
  return { freshIds: [], deltaIds: [], carriedIds: [], isLast: true };
};

type EndedRun = Pick<QueuedRun, 'organizationId' | 'kind' | 'requestId'> & { readonly id: string };

const auditEnd = (
  client: Queryable,
  how: 'completed' | 'failed',
  { id, organizationId, kind, requestId }: EndedRun,
  now: Date,
): Promise<void> =>
  recordChange(
    { query: client.query, organizationId },
    { actor: 'rater', requestId, result: 'done' },
    [runEnded(kind, how, id)],
    now.getTime(),
  );

const queuedRun = (row: RunRow): QueuedRun => ({
  runId: row.id,
  organizationId: row.organization_id,
  kind: row.kind,
  requestId: row.request_id ?? undefined,
  watermark: row.watermark ?? undefined,
  attempt: row.attempts,
});

const runColumns =
  'r.id, r.organization_id, r.kind, r.state, r.period_start, r.due_until, r.arrears_until, r.test_clock_id, r.asked_by, r.draft_id, r.drafts_only, r.subscriptions_max, r.customer_id, r.subscription_id, r.watermark, r.request_id, r.created_at, r.attempts';

const runJobs: JobTable = {
  name: 'billing_runs',
  key: ['id'],
  openStates: ['queued', 'running'],
  changedAt: 'updated_at',
};

const isToCut = "NOT j.is_cut AND j.state IN ('queued', 'running')";
const leaseRunStatement = `WITH ${leaseNext(runJobs, { where: isToCut, order: 'j.updated_at, j.id' })}
SELECT ${runColumns} FROM leased r`;

const shardToRate = leaseNext(shardJobs, { where: "j.state = 'queued'", order: 'j.run_id, j.shard_number' });

/** Where the run came to its dead end, with its entry; resolves with whether it did. */
const auditDeadEnd = async (client: Queryable, run: QueuedRun, ended: Date | undefined): Promise<boolean> => {
  if (ended) await auditEnd(client, 'failed', { ...run, id: run.runId }, ended);
  return ended !== undefined;
};

const selectToCut = `SELECT ${runColumns} FROM billing_runs r WHERE r.id = $1 AND NOT r.is_cut
  AND r.state IN ('queued', 'running')`;

// The last step completes a run of which nothing is left to be issued, as its shards ended before it; else the last
// shard does.
const moveRunOn = `
UPDATE billing_runs r SET state = CASE WHEN s.is_open THEN 'running' WHEN $2 THEN 'completed' ELSE r.state END,
  is_cut = $2, already_issued = r.already_issued + $3, ${movedOn},
  started_at = coalesce(r.started_at, clock_timestamp()), updated_at = clock_timestamp()
FROM (SELECT EXISTS (
    SELECT 1 FROM billing_run_shards WHERE run_id = $1 AND state IN ('queued', 'rated', 'failed')
  ) AS is_open) s
WHERE r.id = $1 RETURNING r.state, r.updated_at AS now`;

/**
 * One step of a run, in the caller's transaction. Two that are at it, as where a lease was over, wait for each other at
 * the subscriptions, and what one has cut the other finds cut. The row of the run is locked at the end alone: whoever
 * ends a shard waits for it.
 */
const cutStep = async (
  client: Queryable,
  run: QueuedRun,
  found: RunRow,
  late: LateUsage | undefined,
  shardSize: number,
): Promise<number> => {
  const cut =
    found.kind === 'dry_rating' ? await writeDryPeriods(client, found) : await openBilling(client, found, late);
  const { rows } = await client.query<RunRow>(`${selectToCut} FOR NO KEY UPDATE`, [run.runId]);
  const [row] = rows;
  // It failed meanwhile, or whoever held it before has cut it: what was written stays open, for the next run.
  if (!row) return 0;
  const { shards: dueShards, issued } = await cutShards(client, row, cut, shardSize);
  const shards = dueShards + (row.state === 'queued' ? await cutDrafts(client, row, shardSize) : 0);
  const moved = await client.query<{ state: string; now: Date }>(moveRunOn, [row.id, cut.isLast, issued]);
  const [after] = moved.rows;
  if (after?.state === 'completed') await auditEnd(client, 'completed', { ...run, id: row.id }, after.now);
  if (shards > 0) await notify(client, billingChannels.shardsQueued);
  return shards;
};

export const createBillingRuns = (postgres: Postgres, leaseSeconds: number): RatePorts['runs'] => {
  const giveUpRun = (run: QueuedRun, error: unknown): Promise<boolean> =>
    postgres.transaction(async (client) =>
      auditDeadEnd(client, run, await giveBack(client, runJobs, run, [run.runId], error)),
    );
  const giveUpAs = (shard: Shard, error: unknown, code: RatingFailureCode) =>
    postgres.transaction((client) => giveUpRating(client, shard, error, code));
  const giveUp: RatePorts['runs']['giveUp'] = (shard, error) =>
    giveUpAs(shard, error, error instanceof WorkerEndedError ? 'worker_ended' : 'rating_error');
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

    cutRun: (run, shardSize, late) =>
      postgres.transaction(async (client) => {
        // Whoever renames a customer sees this run, or this run the name.
        await client.query(lockNamesOf('$1', 'shared'), [run.organizationId]);
        const { rows } = await client.query<RunRow>(selectToCut, [run.runId]);
        const [row] = rows;
        return row && cutStep(client, run, row, late, shardSize);
      }),

    leaseShard: () =>
      takeNext(
        () => leaseShard(postgres, shardToRate, leaseSeconds),
        (shard, error) => giveUpAs(shard, error, 'worker_ended'),
      ),

    holdShard: (shard) => {
      const renewed = setInterval(
        () => {
          // Where it does not come through, the lease ends, and another rater goes on.
          renewLease(postgres, shardJobs, shard, [shard.runId, shard.shardNumber], leaseSeconds).catch(() => {});
        },
        (leaseSeconds * 1000) / 3,
      );
      return () => clearInterval(renewed);
    },

    saveRated: (shard, rated, ratedMs) => postgres.transaction((client) => saveRated(client, shard, rated, ratedMs)),

    giveUp,
  };
};

/** Whether the identity check of the stream has come as far as the sequence. */
export const createIsChecked =
  (postgres: Postgres, stream: string): RatePorts['isChecked'] =>
  async (sequence) =>
    (await readCheckedSequence(postgres, stream)) >= sequence;
