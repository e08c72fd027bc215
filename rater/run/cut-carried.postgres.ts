/**
 * Billing periods that were carried over, as a step of a run takes them up: they fall due with the invoice that it
 * makes of the same payer; by themselves where there will be none, or where a year is over. Then they are billed,
 * whatever the invoice comes to.
 */
import { instantArray, textArray } from '#platform/stores/array-parameters.ts';
import { carriedMax } from '#platform/stores/carried-max.ts';
import type { Queryable } from '#platform/stores/postgres.ts';
import { type DueRow, dueFromRow, dueParameters, isDueWithRun, type RunOfDeltas } from './cut-deltas.postgres.ts';
import { type CarriedPeriod, type DueGroup, placeCarried } from './place-carried.ts';

export type RunOfCarried = RunOfDeltas & {
  /** What the step looked at: what is of these, or billed to these. Undefined is everything. */
  readonly looked: { readonly subscriptionIds: readonly string[]; readonly payerIds: readonly string[] } | undefined;
};

// In their index, one by one: there may be many in an organization, and few of them of a step.
const lockCarried = `
WITH of_step AS (
  SELECT p.id FROM unnest($2::text[]) AS n (id)
    CROSS JOIN LATERAL (SELECT b.id FROM billing_periods b
      WHERE b.subscription_id = n.id AND b.carried_at IS NOT NULL OFFSET 0) p
  UNION
  SELECT p.id FROM unnest($3::text[]) AS n (id)
    CROSS JOIN LATERAL (SELECT b.id FROM billing_periods b
      WHERE b.payer_id = n.id AND b.carried_at IS NOT NULL OFFSET 0) p
  UNION
  SELECT p.id FROM billing_periods p WHERE p.organization_id = $1 AND p.carried_at IS NOT NULL
    AND ($2::text[] IS NULL OR p.carried_from <= $7::timestamptz - ${carriedMax})
)
SELECT p.id FROM of_step o JOIN billing_periods p ON p.id = o.id
  JOIN customers c ON c.organization_id = p.organization_id AND c.id = p.customer_id
WHERE p.organization_id = $1 AND p.carried_at IS NOT NULL
  AND ($4::text IS NULL OR p.customer_id = $4 OR p.payer_id = $4) AND ($5::text IS NULL OR p.subscription_id = $5)
  AND c.test_clock_id IS NOT DISTINCT FROM $6
ORDER BY p.id FOR NO KEY UPDATE OF p`;

// Whoever was billed for it is billed for what comes of its subscription, where the next look at that may find more.
const selectCarried = `
SELECT p.id, p.subscription_id, p.payer_id, p.consolidated, s.currency, p.carried_from, p.timing,
  p.carried_from <= $2::timestamptz - ${carriedMax} AS is_over,
  CASE WHEN $3 THEN s.ended_at IS NULL OR s.ended_at > $2
    ELSE coalesce(s.next_due_at, s.clocked_due_at) IS NOT NULL END AS goes_on
FROM billing_periods p JOIN subscriptions s ON s.id = p.subscription_id WHERE p.id = ANY ($1) ORDER BY p.id`;

type CarriedRow = {
  id: string;
  subscription_id: string;
  payer_id: string;
  consolidated: boolean;
  currency: string;
  carried_from: Date;
  timing: string;
  is_over: boolean;
  goes_on: boolean;
};

const selectDue = `
SELECT p.payer_id, p.consolidated, s.currency,
  CASE WHEN p.consolidated THEN '' ELSE p.subscription_id END AS subscription_id,
  p.due_at, p.billing_month, array_agg(p.subscription_id) FILTER (WHERE p.timing = 'credit') AS credited
FROM billing_periods p JOIN subscriptions s ON s.id = p.subscription_id
WHERE ${isDueWithRun} AND (p.timing <> 'delta' OR p.late_usage = 'bill_next')
GROUP BY 1, 2, 3, 4, 5, 6`;

type GroupRow = DueRow & { credited: string[] | null };

const groupFromRow = ({ credited, ...row }: GroupRow): DueGroup => ({
  ...dueFromRow(row),
  creditedIds: new Set(credited ?? []),
});

const carriedFromRow = (row: CarriedRow): CarriedPeriod => ({
  id: row.id,
  subscriptionId: row.subscription_id,
  payerId: row.payer_id,
  isConsolidated: row.consolidated,
  currency: row.currency,
  carriedFrom: row.carried_from.getTime(),
  isAdvance: row.timing === 'advance',
  isOver: row.is_over,
  goesOn: row.goes_on,
});

const takeStatement = `
UPDATE billing_periods p SET carried_at = NULL, due_at = n.due_at, billing_month = n.billing_month,
  is_last_carry = n.is_last
FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::boolean[]) AS n (id, due_at, billing_month, is_last)
WHERE p.id = n.id AND p.carried_at IS NOT NULL`;

/** In the caller's transaction, behind what the step wrote down of what is due; resolves with the ids that it took. */
export const cutCarried = async (client: Queryable, run: RunOfCarried): Promise<readonly string[]> => {
  const { organizationId, customerId, subscriptionId, testClockId, looked } = run;
  const dueAt = new Date(run.dueAt);
  const locked = await client.query<{ id: string }>(lockCarried, [
    organizationId,
    looked?.subscriptionIds ?? null,
    looked?.payerIds ?? null,
    customerId,
    subscriptionId,
    testClockId,
    dueAt,
  ]);
  if (locked.rows.length === 0) return [];
  const ids = locked.rows.map(({ id }) => id);
  const found = await client.query<CarriedRow>(selectCarried, [textArray(ids), dueAt, run.ofMonth !== null]);
  const carried = found.rows.map(carriedFromRow);
  const due = await client.query<GroupRow>(selectDue, dueParameters(run, carried));
  const placed = placeCarried(carried, due.rows.map(groupFromRow), run);
  if (placed.length === 0) return [];
  await client.query(takeStatement, [
    textArray(placed.map(({ id }) => id)),
    instantArray(placed.map((one) => one.dueAt)),
    textArray(placed.map(({ month }) => month)),
    placed.map(({ isLast }) => isLast),
  ]);
  return placed.map(({ id }) => id);
};
