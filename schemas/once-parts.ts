/**
 * What of a subscription is charged once, and not by billing periods. Its part lies over the very instant from which it
 * is charged, whose price counts. Pure.
 *
 * What a plan charges once is charged when the subscription first begins to be billed by the plan, by the version that
 * it has then: a pause, another version of the plan, and coming back to it charge nothing again. The same of add-ons.
 */

import type { ChargeSchedule } from '#schemas/charge-schedule.ts';
import { onceDueAt, waitsForPeriodEnd } from '#schemas/due-instant.ts';
import type { Interval } from '#schemas/interval.ts';
import type { Instant, Period } from '#schemas/period.ts';
import { type BilledItem, type QuantityLevel, type SubscriptionTerms, termsAt } from '#schemas/subscription-terms.ts';

/** One of the due parts. */
export type OncePart = {
  /** The id of the plan or add-on. */
  readonly item: string;
  readonly planVersionId: string;
  readonly timing: 'once';
  /** Of the subscription's billing periods then. */
  readonly interval: Interval;
  readonly isCounted: boolean;
  readonly isMetered: false;
  readonly billing: Period;
  readonly span: Period;
  readonly quantities: readonly QuantityLevel[] | undefined;
  readonly pricedAt: undefined;
  readonly dueAt: Instant;
};

type SchedulesOf = (planVersionId: string) => readonly ChargeSchedule[];

/** Time that is written down has no empty stretches. */
const spanOf = (instant: Instant): Period => ({ start: instant, end: instant + 1 });

/** The stretch with which each plan and add-on begins to be billed, by its id. */
const firstItems = (items: readonly BilledItem[], schedulesOf: SchedulesOf): ReadonlyMap<string, BilledItem> => {
  const found = new Map<string, BilledItem>();
  for (const one of items) {
    const planId = schedulesOf(one.planVersionId)[0]?.planId;
    if (planId !== undefined && !found.has(planId)) found.set(planId, one);
  }
  return found;
};

/** All of them, whenever they are due. `items` are in the order of time. */
export const onceParts = (
  terms: SubscriptionTerms,
  items: readonly BilledItem[],
  schedulesOf: SchedulesOf,
): OncePart[] =>
  [...firstItems(items, schedulesOf)].flatMap(([planId, { planVersionId, span, quantities }]) =>
    schedulesOf(planVersionId)
      .filter(({ timing }) => timing === 'once')
      .map(({ isCounted }): OncePart => {
        const at = span.start;
        const levels = quantities.slice(0, 1);
        return {
          item: planId,
          planVersionId,
          timing: 'once',
          interval: termsAt(terms, at).interval,
          isCounted,
          isMetered: false,
          billing: spanOf(at),
          span: spanOf(at),
          quantities: isCounted ? levels : undefined,
          pricedAt: undefined,
          dueAt: onceDueAt(terms, at, waitsForPeriodEnd(terms, at)),
        };
      }),
  );

/** What names one for good, whenever it was. */
export const onceName = ({ item, isCounted }: Pick<OncePart, 'item'> & { isCounted: boolean | undefined }): string =>
  `${item} ${isCounted}`;
