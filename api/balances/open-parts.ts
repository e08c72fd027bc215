/** What of a subscription's time has begun and is not written down to be billed. Pure. */
import { periodAt } from '#schemas/billing-cycle.ts';
import { cycleOfInterval } from '#schemas/charge-schedule.ts';
import { type DuePart, dueParts, type PeriodsOver, type SchedulesOf } from '#schemas/due-parts.ts';
import type { Instant } from '#schemas/period.ts';
import { type CutTime, cutAfter } from '../subscription-views/upcoming-parts.ts';
import type { Subscription } from '../subscriptions/subscriptions.postgres.ts';

/** Until when all of it is due that has begun: the end of the last period that holds the instant. */
const lastEnd = ({ cycle, planNames }: Subscription, schedulesOf: SchedulesOf, now: Instant): Instant =>
  Math.max(
    now,
    ...[...planNames.keys()]
      .flatMap(schedulesOf)
      .filter(({ timing }) => timing !== 'once')
      .map(({ interval }) => periodAt(cycleOfInterval(cycle, interval), now).end),
  );

/** Whole, until they end: what is charged by the period is, and what is counted counts as it does now. */
export const openParts = (
  subscription: Subscription,
  schedulesOf: SchedulesOf,
  { cutUntil, written, oneTimeCharges }: CutTime,
  now: Instant,
  periodsIn: PeriodsOver,
): readonly DuePart[] => {
  const start = cutAfter(subscription, cutUntil);
  const end = lastEnd(subscription, schedulesOf, now);
  if (end <= start) return [];
  const terms = { ...subscription, oneTimeCharges };
  return dueParts(terms, schedulesOf, written, { start, end }, periodsIn).filter(({ span }) => span.start <= now);
};
