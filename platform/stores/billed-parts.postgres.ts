/** Rows of billing periods as the parts of a subscription's time that were written down to be billed. */
import { instantArray, textArray } from '#platform/stores/array-parameters.ts';
import type { Queryable } from '#platform/stores/postgres.ts';
import { intervalFromRow } from '#schemas/billing-cycle.ts';
import type { BilledPart, PartTiming } from '#schemas/due-parts.ts';
import type { IntervalUnit } from '#schemas/interval.ts';
import { type Instant, periodBetween } from '#schemas/period.ts';
import type { QuantityLevel } from '#schemas/subscription-terms.ts';

/** Of billing periods `p`. */
export const billedPartColumns = `p.item, p.plan_version_id, p.timing, p.interval_unit, p.interval_count, p.counted,
  p.quantities, p.priced_at, p.billing_start, p.billing_end, p.span_start, p.span_end`;

export type BilledPartRow = {
  subscription_id: string;
  item: string;
  plan_version_id: string;
  timing: PartTiming;
  interval_unit: IntervalUnit | null;
  interval_count: number | null;
  counted: boolean | null;
  quantities: QuantityLevel[] | null;
  priced_at: Date | null;
  billing_start: Date;
  billing_end: Date;
  span_start: Date;
  span_end: Date;
};

export const billedPartFromRow = (row: BilledPartRow): BilledPart => ({
  item: row.item,
  planVersionId: row.plan_version_id,
  timing: row.timing,
  interval:
    row.interval_unit === null || row.interval_count === null
      ? undefined
      : intervalFromRow({ interval_unit: row.interval_unit, interval_count: row.interval_count }),
  isCounted: row.counted ?? undefined,
  billing: periodBetween(row.billing_start, row.billing_end),
  span: periodBetween(row.span_start, row.span_end),
  quantities: row.quantities ?? undefined,
  pricedAt: row.priced_at?.getTime(),
});

// By the key that is unique, and what is charged once by that of its own. A one-time charge waits for nothing once it
// is written down. Each subscription is looked up by itself, as OFFSET 0 has it: of many at once PostgreSQL would read
// all billing periods that there are.
const written = (condition: string): string => `SELECT p.* FROM n CROSS JOIN LATERAL (
    SELECT p.subscription_id, ${billedPartColumns} FROM billing_periods p
    WHERE p.organization_id = $1 AND p.subscription_id = n.subscription_id AND ${condition} OFFSET 0
  ) p`;

const selectWritten = `
WITH n AS (SELECT * FROM unnest($2::text[], $3::timestamptz[]) AS n (subscription_id, billed_after))
${written("p.billing_end > n.billed_after AND p.timing <> 'delta'")}
UNION ALL
${written("p.timing = 'once' AND p.item LIKE 'pln%' AND p.billing_end <= n.billed_after")}`;

/**
 * By subscription, all but deltas whose billing periods end after an instant of each, and all that its plans charged
 * once.
 */
export const writtenParts = async (
  client: Queryable,
  organizationId: string,
  asked: readonly { readonly id: string; readonly after: Instant }[],
): Promise<ReadonlyMap<string, BilledPart[]>> => {
  const { rows } = await client.query<BilledPartRow>(selectWritten, [
    organizationId,
    textArray(asked.map(({ id }) => id)),
    instantArray(asked.map(({ after }) => after)),
  ]);
  const found = new Map<string, BilledPart[]>();
  for (const row of rows) {
    const parts = found.get(row.subscription_id) ?? [];
    parts.push(billedPartFromRow(row));
    found.set(row.subscription_id, parts);
  }
  return found;
};
