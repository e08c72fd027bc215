/** Subscriptions: which time they cover, and how it is cut into what is billed. Pure. */
import { type BillingCycle, periodsOver } from '#schemas/billing-cycle.ts';
import { type Instant, intersect, monthNameOf, type Period } from '#schemas/period.ts';

/** Half-open; `endedAt` is null while it goes on. */
export type SubscriptionTime = { readonly startedAt: Instant; readonly endedAt: Instant | null };

export type BilledTime = SubscriptionTime & { readonly cycle: BillingCycle };

/** A part of a subscription's time that is measured and billed by itself. */
export type CutPeriod = {
  /** The period of the cycle. */
  readonly billing: Period;
  /** From 1, in the order of time, within its billing period. */
  readonly segment: number;
  /** What of it the subscription covers. */
  readonly span: Period;
  /** In which the last moment of the span lies, by the calendar of the zone: 2026-10. */
  readonly month: string;
};

/**
 * What the time of a subscription is cut into from `from` on, in order: all that begins before `until`. This is asked
 * once for any time, when it is cut. From then on the rows of billing periods say which time is billed where, as a
 * subscription may end in the past of an issued invoice.
 */
export function* cutPeriods(
  { startedAt, endedAt, cycle }: BilledTime,
  from: Instant,
  until: Instant,
): Generator<CutPeriod> {
  const start = Math.max(startedAt, from);
  const time = { start: startedAt, end: endedAt ?? Number.POSITIVE_INFINITY };
  if (start >= Math.min(until, time.end)) return;
  for (const billing of periodsOver(cycle, { start, end: until })) {
    const span = intersect(billing, time);
    if (span) yield { billing, segment: 1, span, month: monthNameOf(span.end - 1, cycle.timeZone) };
  }
}
