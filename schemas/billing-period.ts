/**
 * Billing periods: the one place that says which time of which subscription is billed by which invoice, and up to which
 * watermark. Shared by rater, invoicer and api.
 */
import { hash } from 'node:crypto';
import type { DuePart } from '#schemas/due-parts.ts';
import type { Instant, Period } from '#schemas/period.ts';
import type { SubscriptionTime } from '#schemas/subscription.ts';

/**
 * The id of a part of a subscription's time: the same whoever cuts it, so that a dry run gives the very lines that are
 * billed later. It begins with the time as a UUIDv7 does, so that periods of one month stand together. Periods from
 * before have ids of their own.
 */
export const periodIdOf = (
  subscriptionId: string,
  { item, timing, interval, isCounted, billing, span }: DuePart,
): `bpd_${string}` => {
  const time = Math.max(0, billing.start).toString(16).padStart(12, '0');
  const { unit, count } = interval;
  const named = `${subscriptionId} ${item} ${timing} ${unit} ${count} ${isCounted} ${billing.start} ${span.start}`;
  return `bpd_${time}${hash('sha256', named, 'hex').slice(0, 20)}`;
};

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
