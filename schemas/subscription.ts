/** Subscriptions: which time they cover. Pure. */
import { type Instant, intersect, type Period } from '#schemas/period.ts';

/** Half-open; `endedAt` is null while it goes on. */
export type SubscriptionTime = { readonly startedAt: Instant; readonly endedAt: Instant | null };

/** A part of a billing period that is measured and billed by itself. */
export type CoveredPeriod = {
  /** From 1, in the order of time, within its billing period. */
  readonly segment: number;
  readonly span: Period;
};

/**
 * What of a billing period a subscription covers: the parts in order, none where both lie apart. This is asked once,
 * when the time of the subscription is cut into billing periods. From then on these say which time is billed where, as
 * a subscription may end in the past of an issued invoice.
 */
export const coveredPeriods = ({ startedAt, endedAt }: SubscriptionTime, billing: Period): readonly CoveredPeriod[] => {
  const span = intersect(billing, { start: startedAt, end: endedAt ?? billing.end });
  return span ? [{ segment: 1, span }] : [];
};
