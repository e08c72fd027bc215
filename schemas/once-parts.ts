/**
 * What of a subscription is charged once, and not by billing periods. Its part lies over the very instant from which it
 * is charged, whose price counts. Pure.
 *
 * What a plan charges once is charged when the subscription first begins to be billed by the plan, by the version that
 * it has then: a pause, another version of the plan, and coming back to it charge nothing again. The same of add-ons.
 * One-time charges come beside the plan, whatever state the subscription is in, and with its end at the latest.
 */

import type { ChargeSchedule } from '#schemas/charge-schedule.ts';
import { lastPeriodAt, onceDueAt, type PeriodAt, waitsForPeriodEnd } from '#schemas/due-instant.ts';
import type { Interval } from '#schemas/interval.ts';
import type { Instant, Period } from '#schemas/period.ts';
import { type BilledItem, type QuantityLevel, type SubscriptionTerms, termsAt } from '#schemas/subscription-terms.ts';

/** One of the due parts. */
export type OncePart = {
  /** The id of the plan, the add-on or the one-time charge. */
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

const quantitiesOf = (at: Instant, quantity: number | null): readonly QuantityLevel[] | undefined =>
  quantity === null ? undefined : [[at, quantity]];

const partAt = (
  terms: SubscriptionTerms,
  at: Instant,
  of: Pick<OncePart, 'item' | 'planVersionId'> & { readonly quantity: number | null; readonly waits: boolean },
  periodOf?: PeriodAt,
): OncePart => ({
  item: of.item,
  planVersionId: of.planVersionId,
  timing: 'once',
  interval: termsAt(terms, at).interval,
  isCounted: of.quantity !== null,
  isMetered: false,
  billing: spanOf(at),
  span: spanOf(at),
  quantities: quantitiesOf(at, of.quantity),
  pricedAt: undefined,
  dueAt: onceDueAt(terms, at, of.waits, periodOf),
});

/** One that never begins is charged nothing. Of each instant the calendar is asked once. */
const oneTimeParts = (terms: SubscriptionTerms): OncePart[] => {
  const { startedAt, endedAt, oneTimeCharges = [] } = terms;
  const end = endedAt ?? Number.POSITIVE_INFINITY;
  if (end <= startedAt) return [];
  const known = new Map<string, OncePart>();
  const periodOf = lastPeriodAt();
  return oneTimeCharges.map(({ id: item, effectiveAt, bills, quantity }) => {
    const at = Math.min(effectiveAt, end);
    const found = known.get(`${at} ${bills}`);
    if (found) return { ...found, item, isCounted: quantity !== null, quantities: quantitiesOf(at, quantity) };
    const { planVersionId } = termsAt(terms, Math.min(at, end - 1));
    const part = partAt(terms, at, { item, planVersionId, quantity, waits: bills === 'next' }, periodOf);
    known.set(`${at} ${bills}`, part);
    return part;
  });
};

/** All of them, whenever they are due. `items` are in the order of time. */
export const onceParts = (
  terms: SubscriptionTerms,
  items: readonly BilledItem[],
  schedulesOf: SchedulesOf,
): OncePart[] => [
  ...[...firstItems(items, schedulesOf)].flatMap(
    ([
      planId,
      {
        planVersionId,
        span: { start },
        quantities,
      },
    ]) =>
      schedulesOf(planVersionId)
        .filter(({ timing }) => timing === 'once')
        .map(({ isCounted }) => {
          const quantity = isCounted ? (quantities[0]?.[1] ?? null) : null;
          return partAt(terms, start, {
            item: planId,
            planVersionId,
            quantity,
            waits: waitsForPeriodEnd(terms, start),
          });
        }),
  ),
  ...oneTimeParts(terms),
];

/** What names one for good, whenever it was. */
export const onceName = ({ item, isCounted }: Pick<OncePart, 'item'> & { isCounted: boolean | undefined }): string =>
  `${item} ${isCounted}`;
