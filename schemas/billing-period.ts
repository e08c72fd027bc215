/**
 * Billing periods: the one place that says which time of which subscription is billed by which invoice, and up to which
 * watermark. Shared by rater, invoicer and api.
 */
import type { Instant, Period } from '#schemas/period.ts';
import type { SubscriptionTime } from '#schemas/subscription.ts';

/** A billing period that an invoice bills. */
export type BilledPeriod = {
  /** The very time that was measured. */
  readonly span: Period;
  /** Up to which sequence the invoice counts. */
  readonly watermark: bigint;
};

/** A stretch of a subscription's time; undefined where no invoice bills it yet. */
export type Stretch<P extends BilledPeriod> = { readonly span: Period; readonly billed: P | undefined };

/** Behind any event. */
const never: Instant = Date.UTC(9999, 11, 31);

/**
 * All time whose usage a subscription takes, in order: what is billed, and between and behind that what is open. What
 * is billed stays so, also where the subscription was ended before it afterwards.
 */
export const stretchesOf = <P extends BilledPeriod>(
  { startedAt, endedAt }: SubscriptionTime,
  periods: readonly P[],
): Stretch<P>[] => {
  const end = endedAt ?? never;
  const stretches: Stretch<P>[] = [];
  let open = startedAt;
  for (const billed of periods.toSorted((a, b) => a.span.start - b.span.start)) {
    const gapEnd = Math.min(billed.span.start, end);
    if (open < gapEnd) stretches.push({ span: { start: open, end: gapEnd }, billed: undefined });
    stretches.push({ span: billed.span, billed });
    open = Math.max(open, billed.span.end);
  }
  if (open < end) stretches.push({ span: { start: open, end }, billed: undefined });
  return stretches;
};
