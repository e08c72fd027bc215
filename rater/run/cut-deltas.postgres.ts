/** Deltas of billed periods as a step of a run cuts them: with the invoices that it makes of the same payers. */
import { instantArray, integerArray, textArray } from '#platform/stores/array-parameters.ts';
import type { Queryable } from '#platform/stores/postgres.ts';
import { deltaIdOf } from '#schemas/billing-period.ts';
import { type LateUsagePolicy, lateUsageIn } from '#schemas/late-usage.ts';
import { customersBilledTo, payersOf } from './payers.postgres.ts';
import { type DueInvoice, type LatePeriod, type PlacedDelta, placeDeltas, type RunTime } from './place-deltas.ts';

export type RunOfDeltas = RunTime & {
  readonly organizationId: string;
  /** Null of a run of what is due. */
  readonly ofMonth: string | null;
  readonly customerId: string | null;
  readonly subscriptionId: string | null;
  readonly testClockId: string | null;
  /** What this step of the run wrote down; undefined is all that is open, as it is of the first. */
  readonly freshIds: readonly string[] | undefined;
};

/** Those that wait in the scope of the run, locked: of two runs that are at one, one cuts it. */
const lockLate = `
SELECT l.billing_period_id AS id FROM late_periods l JOIN billing_periods p ON p.id = l.billing_period_id
  JOIN customers c ON c.organization_id = p.organization_id AND c.id = p.customer_id
WHERE l.organization_id = $1 AND ($2::text IS NULL OR p.customer_id = $2 OR p.payer_id = $2)
  AND ($3::text IS NULL OR p.subscription_id = $3) AND c.test_clock_id IS NOT DISTINCT FROM $4
ORDER BY l.billing_period_id FOR UPDATE OF l`;

// A run of a month says nothing of when a subscription is to be looked at again. Of one that has an open delta the next
// one is cut when that is settled: it may count less than what came since.
const selectLate = `
SELECT p.id, p.customer_id, p.subscription_id, s.currency, p.payer_id, v.terms,
  (SELECT count(*) FROM billing_periods d WHERE d.corrects_id = p.id)::integer AS corrections,
  CASE WHEN $2::text IS NULL THEN coalesce(s.next_due_at, s.clocked_due_at) IS NOT NULL
    ELSE s.ended_at IS NULL OR s.ended_at > $3 END AS goes_on
FROM billing_periods p JOIN subscriptions s ON s.id = p.subscription_id
  JOIN plan_versions v ON v.id = p.plan_version_id
WHERE p.id = ANY ($1)
  AND NOT EXISTS (SELECT 1 FROM billing_periods d WHERE d.corrects_id = p.id AND d.state = 'open')
ORDER BY p.id`;

type LateRow = {
  id: string;
  customer_id: string;
  subscription_id: string;
  currency: string;
  payer_id: string;
  terms: { late_usage?: LateUsagePolicy } | null;
  corrections: number;
  goes_on: boolean;
};

/** SQL of the billing period `p`, by `dueParameters`: whether the step bills it of one of these payers. */
export const isDueWithRun = `p.organization_id = $1 AND p.payer_id = ANY ($2) AND p.state = 'open'
  AND p.draft_id IS NULL AND p.carried_at IS NULL AND CASE WHEN $3::text[] IS NOT NULL THEN p.id = ANY ($3) ELSE
    ($4::text IS NULL AND p.due_at <= $5 OR p.billing_month = $4) AND ($6::text IS NULL OR p.customer_id = $6
      OR p.payer_id = $6) AND ($7::text IS NULL OR p.subscription_id = $7) END`;

export const dueParameters = (run: RunOfDeltas, periods: readonly { readonly payerId: string }[]): unknown[] => [
  run.organizationId,
  [...new Set(periods.map(({ payerId }) => payerId))],
  run.freshIds ?? null,
  run.ofMonth,
  new Date(run.dueAt),
  run.customerId,
  run.subscriptionId,
];

const selectDue = `
SELECT DISTINCT p.payer_id, p.consolidated, s.currency,
  CASE WHEN p.consolidated THEN '' ELSE p.subscription_id END AS subscription_id,
  p.due_at, p.billing_month
FROM billing_periods p JOIN subscriptions s ON s.id = p.subscription_id
WHERE ${isDueWithRun} AND p.timing <> 'delta'`;

export type DueRow = {
  payer_id: string;
  consolidated: boolean;
  subscription_id: string;
  currency: string;
  due_at: Date;
  billing_month: string;
};

export const dueFromRow = (row: DueRow): DueInvoice => ({
  payerId: row.payer_id,
  isConsolidated: row.consolidated,
  subscriptionId: row.subscription_id,
  currency: row.currency,
  dueAt: row.due_at.getTime(),
  month: row.billing_month,
});

const selectGoingOn = `
SELECT DISTINCT s.currency FROM subscriptions s WHERE s.organization_id = $1 AND s.customer_id = ANY ($2)
  AND CASE WHEN $3::text IS NULL THEN coalesce(s.next_due_at, s.clocked_due_at) IS NOT NULL
    ELSE s.ended_at IS NULL OR s.ended_at > $4 END`;

/** In which currencies whoever pays on one invoice for others will be billed again, by payer. */
const nextOfConsolidated = async (
  client: Queryable,
  run: RunOfDeltas,
  payerIds: Iterable<string>,
): Promise<ReadonlyMap<string, ReadonlySet<string>>> => {
  const found = new Map<string, ReadonlySet<string>>();
  for (const payerId of new Set(payerIds)) {
    const customerIds = await customersBilledTo(client, run.organizationId, payerId);
    const of = [run.organizationId, customerIds, run.ofMonth, new Date(run.dueAt)];
    const { rows } = await client.query<{ currency: string }>(selectGoingOn, of);
    found.set(payerId, new Set(rows.map(({ currency }) => currency)));
  }
  return found;
};

/** With who is billed for their customers by now. */
const readLate = async (client: Queryable, run: RunOfDeltas, ids: readonly string[]): Promise<LatePeriod[]> => {
  const { rows } = await client.query<LateRow>(selectLate, [textArray(ids), run.ofMonth, new Date(run.dueAt)]);
  const customerIds = rows.flatMap((row) => [row.customer_id, row.payer_id]);
  const payers = await payersOf(client, run.organizationId, customerIds);
  const facts = rows.map((row) => {
    const isConsolidated = row.payer_id !== row.customer_id || (payers.get(row.payer_id)?.isConsolidated ?? false);
    // Who was billed for it is billed for what comes of its subscription, too.
    const isBilledSo = payers.get(row.customer_id)?.id === row.payer_id;
    return { row, isConsolidated, goesOn: row.goes_on && isBilledSo };
  });
  const asked = facts.filter(({ isConsolidated, goesOn }) => isConsolidated && !goesOn);
  const next = await nextOfConsolidated(
    client,
    run,
    asked.map(({ row }) => row.payer_id),
  );
  return facts.map(({ row, isConsolidated, goesOn }) => ({
    id: row.id,
    customerId: row.customer_id,
    subscriptionId: row.subscription_id,
    currency: row.currency,
    payerId: row.payer_id,
    isConsolidated,
    lateUsage: lateUsageIn(row.terms),
    corrections: row.corrections,
    hasNext: goesOn || (next.get(row.payer_id)?.has(row.currency) ?? false),
  }));
};

const readDue = async (
  client: Queryable,
  run: RunOfDeltas,
  periods: readonly LatePeriod[],
): Promise<readonly DueInvoice[]> => {
  const { rows } = await client.query<DueRow>(selectDue, dueParameters(run, periods));
  return rows.map(dueFromRow);
};

// Of the very time, terms and payer of what it corrects. Where another run cuts one at the same moment, that is it.
const insertDeltas = `
INSERT INTO billing_periods (id, organization_id, subscription_id, customer_id, plan_version_id, billing_start,
  billing_end, segment, span_start, span_end, item, timing, interval_unit, interval_count, counted, quantities,
  priced_at, usage_waived, billing_month, due_at, payer_id, consolidated, state, corrects_id, correction, late_usage,
  created_at)
SELECT n.id, p.organization_id, p.subscription_id, p.customer_id, p.plan_version_id, p.billing_start, p.billing_end,
  p.segment, p.span_start, p.span_end, p.item, 'delta', p.interval_unit, p.interval_count, p.counted, p.quantities,
  p.priced_at, p.usage_waived, n.billing_month, n.due_at, p.payer_id, n.consolidated, 'open', p.id, n.correction,
  n.late_usage, clock_timestamp()
FROM unnest($1::text[], $2::text[], $3::integer[], $4::text[], $5::timestamptz[], $6::boolean[], $7::text[])
    AS n (id, corrects_id, correction, late_usage, due_at, consolidated, billing_month)
  JOIN billing_periods p ON p.id = n.corrects_id
ON CONFLICT DO NOTHING RETURNING id, corrects_id`;

const writeDeltas = async (client: Queryable, deltas: readonly PlacedDelta[]): Promise<readonly string[]> => {
  const { rows } = await client.query<{ id: string; corrects_id: string }>(insertDeltas, [
    textArray(deltas.map(({ period, correction }) => deltaIdOf(period.id, correction))),
    textArray(deltas.map(({ period }) => period.id)),
    integerArray(deltas.map(({ correction }) => correction)),
    textArray(deltas.map(({ period }) => period.lateUsage)),
    instantArray(deltas.map(({ dueAt }) => dueAt)),
    deltas.map(({ period }) => period.isConsolidated),
    textArray(deltas.map(({ month }) => month)),
  ]);
  const cut = rows.map(({ corrects_id: id }) => id);
  await client.query('DELETE FROM late_periods WHERE billing_period_id = ANY ($1)', [cut]);
  return rows.map(({ id }) => id);
};

/** In the caller's transaction, behind what the step wrote down of what is due; resolves with the ids of the deltas. */
export const cutDeltas = async (client: Queryable, run: RunOfDeltas): Promise<readonly string[]> => {
  const { organizationId, customerId, subscriptionId, testClockId } = run;
  const locked = await client.query<{ id: string }>(lockLate, [
    organizationId,
    customerId,
    subscriptionId,
    testClockId,
  ]);
  if (locked.rows.length === 0) return [];
  const ids = locked.rows.map(({ id }) => id);
  const periods = await readLate(client, run, ids);
  const placed = placeDeltas(periods, await readDue(client, run, periods), run);
  return placed.length === 0 ? [] : writeDeltas(client, placed);
};
