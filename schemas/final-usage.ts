/** What becomes of the usage of the billing period in which a subscription ends. Shared by rater and api. Pure. */
import { periodAt } from '#schemas/billing-cycle.ts';
import { cycleOfInterval } from '#schemas/charge-schedule.ts';
import type { Interval } from '#schemas/interval.ts';
import type { Period } from '#schemas/period.ts';
import type { SubscriptionTerms } from '#schemas/subscription-terms.ts';

/** Whether it is that period, or ends with the subscription, and its usage is charged by nothing. */
export const isUsageWaived = ({ endedAt, waivesFinalUsage }: SubscriptionTerms, { start, end }: Period): boolean =>
  waivesFinalUsage === true && endedAt !== null && start < endedAt && endedAt <= end;

/** That period of the charges of an interval; undefined where its usage is billed. */
export const waivedPeriod = (terms: SubscriptionTerms, interval: Interval): Period | undefined => {
  const { endedAt, waivesFinalUsage, cycle } = terms;
  if (!waivesFinalUsage || endedAt === null) return undefined;
  return { start: periodAt(cycleOfInterval(cycle, interval), endedAt - 1).start, end: endedAt };
};
