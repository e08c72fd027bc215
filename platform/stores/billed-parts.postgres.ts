/** Rows of billing periods as the parts of a subscription's time that were written down to be billed. */
import { intervalFromRow } from '#schemas/billing-cycle.ts';
import type { BilledPart, PartTiming } from '#schemas/due-parts.ts';
import type { IntervalUnit } from '#schemas/interval.ts';
import { periodBetween } from '#schemas/period.ts';
import type { QuantityLevel } from '#schemas/subscription-terms.ts';

/** Of billing periods `p`. */
export const billedPartColumns = `p.item, p.plan_version_id, p.timing, p.interval_unit, p.interval_count, p.counted,
  p.quantities, p.priced_at, p.billing_start, p.billing_end, p.span_start, p.span_end`;

export type BilledPartRow = {
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
