/** Subscriptions: which time they cover, and how it is cut into what is billed. Pure. */
import { type BillingCycle, periodsOver } from '#schemas/billing-cycle.ts';
import { type Instant, intersect, monthFromText, monthNameOf, type Period } from '#schemas/period.ts';

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

/** No zone's calendar is further from that of UTC. */
const zoneMsMax = 86_400_000;

/**
 * The periods of a subscription that end in a month of the calendar, such as 2026-10, in order. This is asked when the
 * time is cut, once. From then on the rows of billing periods say which time is billed where, as a subscription may end
 * in the past of an issued invoice.
 */
export const periodsOfMonth = ({ startedAt, endedAt, cycle }: BilledTime, month: string): CutPeriod[] => {
  const ofMonth = monthFromText(month);
  if (!ofMonth) return [];
  const time = { start: startedAt, end: endedAt ?? Number.POSITIVE_INFINITY };
  const covered = intersect(time, { start: ofMonth.start - zoneMsMax, end: ofMonth.end + zoneMsMax });
  if (!covered) return [];
  return [...periodsOver(cycle, covered)].flatMap((billing) => {
    const span = intersect(billing, time);
    return span && monthNameOf(span.end - 1, cycle.timeZone) === month ? [{ billing, segment: 1, span, month }] : [];
  });
};
