import { type Columns, type Fragment, integerOf } from './fragment.ts';

/**
 * Each value changes a level that starts at zero; the quantity is the level's mean over a span. A change at t adds its
 * value times what is left of the span behind t, and one of before the span adds it whole, so a level is carried from
 * span to span. `start` and `end` are SQL in milliseconds; the rows are all of before `end`.
 */
export const weightedSumFragment = ({ value }: Columns, start: string, end: string): Fragment => ({
  results: { area: `toString(sum(${value} * (${end} - greatest(${start}, toUnixTimestamp64Milli(occurred_at)))))` },
  quantityOf: ({ area }, span) => ({ numerator: integerOf(area), denominator: BigInt(span.end - span.start) }),
});
