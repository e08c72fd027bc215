/**
 * With which invoice of a run what was carried over falls due: the first one of the same payer, in the same currency.
 * Where nothing more will be billed that it could be on, or a year is over, it is billed by itself. What was charged in
 * advance is billed before what takes it back, and not beside it. Pure.
 */
import type { Instant } from '#schemas/period.ts';
import type { DueInvoice, RunTime } from './place-deltas.ts';

/** A billing period that waits. */
export type CarriedPeriod = {
  readonly id: string;
  readonly subscriptionId: string;
  readonly payerId: string;
  readonly isConsolidated: boolean;
  readonly currency: string;
  readonly carriedFrom: Instant;
  /** Whether it was charged in advance. */
  readonly isAdvance: boolean;
  /** Whether it waited for as long as anything does. */
  readonly isOver: boolean;
  /** Whether its subscription will be billed again. */
  readonly goesOn: boolean;
};

/** What a run bills of a payer at an instant. */
export type DueGroup = DueInvoice & {
  /** The subscriptions of which it takes back something. */
  readonly creditedIds: ReadonlySet<string>;
};

export type PlacedPeriod = RunTime & {
  readonly id: string;
  /** Whether it is billed now, whatever that comes to. */
  readonly isLast: boolean;
};

type BilledTogether = Pick<DueInvoice, 'payerId' | 'isConsolidated' | 'subscriptionId' | 'currency'>;

const keyOf = ({ payerId, isConsolidated, subscriptionId, currency }: BilledTogether): string =>
  JSON.stringify([payerId, isConsolidated, isConsolidated ? '' : subscriptionId, currency]);

/** Of what waits for one invoice. */
const placeTogether = (
  carried: readonly CarriedPeriod[],
  next: DueGroup | undefined,
  run: RunTime,
): readonly PlacedPeriod[] => {
  const isOver = carried.some((one) => one.isOver);
  const at = (dueAt: Instant, month: string, isLast: boolean) =>
    carried.map(({ id }): PlacedPeriod => ({ id, dueAt, month, isLast }));
  if (!next) return isOver || !carried.some(({ goesOn }) => goesOn) ? at(run.dueAt, run.month, true) : [];
  const isTakenBack = carried.some(
    ({ isAdvance, subscriptionId }) => isAdvance && next.creditedIds.has(subscriptionId),
  );
  if (!isTakenBack) return at(next.dueAt, next.month, isOver);
  return at(Math.min(...carried.map(({ carriedFrom }) => carriedFrom)), next.month, true);
};

export const placeCarried = (
  carried: readonly CarriedPeriod[],
  due: readonly DueGroup[],
  run: RunTime,
): readonly PlacedPeriod[] => {
  const dueByKey = Map.groupBy(due, keyOf);
  return [...Map.groupBy(carried, keyOf)].flatMap(([key, some]) => {
    const [next] = (dueByKey.get(key) ?? []).toSorted((a, b) => a.dueAt - b.dueAt);
    return placeTogether(some, next, run);
  });
};
