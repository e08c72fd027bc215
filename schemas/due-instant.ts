/** When what begins within a billing period falls due. Shared by rater and api. Pure. */
import { type BillingCycle, periodAt } from '#schemas/billing-cycle.ts';
import { cycleOfInterval } from '#schemas/charge-schedule.ts';
import type { Interval } from '#schemas/interval.ts';
import type { Instant, Period } from '#schemas/period.ts';
import type { SubscriptionTerms } from '#schemas/subscription-terms.ts';

/** The period of a cycle that holds an instant. */
export type PeriodAt = (cycle: BillingCycle, at: Instant) => Period;

/** Of one subscription: for as long as instants lie in the period that was found last, the calendar is asked once. */
export const lastPeriodAt = (): PeriodAt => {
  let last: { readonly interval: Interval; readonly period: Period } | undefined;
  return (cycle, at) => {
    const { interval } = cycle;
    const isIt =
      last?.interval.unit === interval.unit &&
      last.interval.count === interval.count &&
      last.period.start <= at &&
      at < last.period.end;
    if (!last || !isIt) last = { interval, period: periodAt(cycle, at) };
    return last.period;
  };
};

/** The shortest billing period that holds an instant, by the plan until then. */
const periodBefore = ({ changes, cycle }: SubscriptionTerms, at: Instant, periodOf: PeriodAt): Period => {
  const before = changes.findLast((change) => change.kind === 'plan' && change.effectiveAt < at);
  return periodOf(cycleOfInterval(cycle, before?.kind === 'plan' ? before.interval : cycle.interval), at);
};

/** The end of it, or of the subscription within it. */
const periodEndAfter = (terms: SubscriptionTerms, at: Instant, periodOf: PeriodAt = periodAt): Instant =>
  Math.min(periodBefore(terms, at, periodOf).end, terms.endedAt ?? Number.POSITIVE_INFINITY);

/**
 * Whether what begins then is put right with the end of the billing period, as its changes say. With the start and the
 * end of the trial billing begins: nothing was charged that could be put right.
 */
export const waitsForPeriodEnd = ({ startedAt, trialEndsAt, changes }: SubscriptionTerms, at: Instant): boolean => {
  if (at === startedAt || at === trialEndsAt) return false;
  const of = changes.filter(({ effectiveAt }) => effectiveAt === at);
  return of.length > 0 && of.every(({ bills }) => bills === 'next');
};

/** At once, or with the end of the shortest billing period that holds it, where that does not begin at the instant. */
export const onceDueAt = (
  terms: SubscriptionTerms,
  at: Instant,
  waits: boolean,
  periodOf: PeriodAt = periodAt,
): Instant => (waits && periodBefore(terms, at, periodOf).start !== at ? periodEndAfter(terms, at, periodOf) : at);

/** Of what begins within a billing period of its own. */
export const correctionDueAt = (terms: SubscriptionTerms, at: Instant): Instant =>
  onceDueAt(terms, at, waitsForPeriodEnd(terms, at));
