/**
 * What a subscription is charged for full billing periods under a version of a plan, without usage, by the rater's own
 * rules: flat charges and those of seats. What is used, prices in credits, setup fees, price overrides, add-ons, and
 * what holds over all charges are no part of it. Pure.
 */
import { periodAt } from '#schemas/billing-cycle.ts';
import { chargeSchedules, cycleOfInterval } from '#schemas/charge-schedule.ts';
import type { Currency } from '#schemas/currency.ts';
import type { DuePart } from '#schemas/due-parts.ts';
import { type Interval, intervalUnits } from '#schemas/interval.ts';
import { type Amount, addAmounts, formatMinorUnits, sumAmounts } from '#schemas/money.ts';
import type { Instant } from '#schemas/period.ts';
import type { PlanTermsJson } from '#schemas/plan.ts';
import type { RatingPolicy } from '#schemas/rated-line.ts';
import { planItem, termsAt } from '#schemas/subscription-terms.ts';
import { ratedPart } from '../subscriptions/changed-parts.ts';
import type { Subscription } from '../subscriptions/subscriptions.postgres.ts';

export type FullPeriod = { readonly interval: Interval; readonly amount: string };

const nameOf = ({ unit, count }: Interval): string =>
  `${intervalUnits.indexOf(unit)} ${String(count).padStart(4, '0')}`;

/** One sum for each interval that charges of the version have, the shortest unit first. */
export const fullPeriods = (
  subscription: Subscription,
  { planVersionId, terms }: { readonly planVersionId: string; readonly terms: PlanTermsJson },
  at: Instant,
  policy: RatingPolicy,
): FullPeriod[] => {
  const { seats } = termsAt(subscription, at);
  const sums = new Map<string, { interval: Interval; amount: Amount }>();
  for (const schedule of chargeSchedules({ charges: terms.charges, terms }, planVersionId)) {
    if (schedule.timing === 'once') continue;
    const billing = periodAt(cycleOfInterval(subscription.cycle, schedule.interval), at);
    const part: DuePart = {
      item: planItem,
      planVersionId,
      timing: schedule.timing,
      interval: schedule.interval,
      isCounted: schedule.isCounted,
      isMetered: false,
      billing,
      span: billing,
      quantities: [[billing.start, seats]],
      pricedAt: undefined,
      dueAt: billing.start,
    };
    const lines = ratedPart(part, subscription, { versions: new Map([[planVersionId, terms]]), policy });
    const amount = sumAmounts(lines.map(({ line }) => line.amount));
    const name = nameOf(schedule.interval);
    const known = sums.get(name);
    sums.set(name, { interval: schedule.interval, amount: known ? addAmounts(known.amount, amount) : amount });
  }
  return [...sums.entries()]
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([, { interval, amount }]) => ({
      interval,
      amount: formatMinorUnits(amount, subscription.currency as Currency),
    }));
};
