/** What of parts that lie ahead, and of what waits, is one invoice: as the cut of a run places it. Pure. */
import type { Instant } from '#schemas/period.ts';
import type { Payer } from '../../rater/run/payer-statements.ts';
import { type DueGroup, placeCarried } from '../../rater/run/place-carried.ts';
import { partIdOf, type RatedPart } from './rate-upcoming.ts';

/** Parts of one payer and currency, that fall due together. */
export type DueTogether = {
  readonly payerId: string;
  /** The name of what is billed together: what waits goes with what is of the same name, payer and currency. */
  readonly billedWith: string;
  readonly dueAt: Instant;
  /** When it is issued: what waited and is billed by itself falls due before. */
  readonly issuedAt: Instant;
  /** Whether it is billed, whatever it comes to. */
  readonly isLast: boolean;
  readonly parts: readonly RatedPart[];
};

type Due = Omit<DueTogether, 'issuedAt' | 'isLast' | 'parts'> & {
  readonly currency: string;
  readonly rated: RatedPart;
};

const dueOf = (rated: RatedPart, payer: Payer): Due => {
  const { subscription, part } = rated;
  const billedWith = payer.isConsolidated ? payer.id : subscription.id;
  return { payerId: payer.id, billedWith, dueAt: part.dueAt, currency: subscription.currency, rated };
};

const nameOf = ({ payerId, billedWith, currency }: Due): string => JSON.stringify([payerId, billedWith, currency]);

/** As a run would find it among what it bills. */
const groupOf = (all: readonly Due[], consolidated: ReadonlySet<string>): DueGroup => {
  const { payerId, billedWith, currency, dueAt } = all[0] as Due;
  const credited = all.filter(({ rated }) => rated.part.timing === 'credit');
  return {
    payerId,
    isConsolidated: consolidated.has(billedWith),
    subscriptionId: billedWith,
    currency,
    dueAt,
    month: '',
    creditedIds: new Set(credited.map(({ rated }) => rated.subscription.id)),
  };
};

/** What waits, each with when it falls due; what nothing that lies ahead takes up is left out. */
const placed = (waiting: readonly Due[], due: readonly Due[], consolidated: ReadonlySet<string>): Due[] => {
  const groups = [...Map.groupBy(due, (one) => `${one.dueAt} ${nameOf(one)}`).values()];
  const byId = new Map(waiting.map((one): [string, Due] => [partIdOf(one.rated), one]));
  const places = placeCarried(
    [...byId].map(([id, { payerId, billedWith, currency, rated }]) => ({
      id,
      subscriptionId: consolidated.has(billedWith) ? rated.subscription.id : billedWith,
      payerId,
      isConsolidated: consolidated.has(billedWith),
      currency,
      carriedFrom: rated.waits?.since ?? rated.part.dueAt,
      isAdvance: rated.part.timing === 'advance',
      // Whether it waited for too long is told where it is weighed.
      isOver: false,
      goesOn: true,
    })),
    groups.map((all) => groupOf(all, consolidated)),
    { dueAt: 0, month: '' },
  );
  return places.flatMap(({ id, dueAt }) => {
    const one = byId.get(id);
    return one ? [{ ...one, dueAt }] : [];
  });
};

const together = (all: readonly Due[], firstDue: ReadonlyMap<string, Instant>): DueTogether => {
  const [first] = all as [Due, ...Due[]];
  const { payerId, billedWith, dueAt } = first;
  // Nothing falls due before but what waits for what takes it back, and is billed before that.
  const issuedAt = Math.max(dueAt, firstDue.get(nameOf(first)) ?? dueAt);
  const parts = all.map(({ rated }) => ({ ...rated, part: { ...rated.part, dueAt } }));
  return { payerId, billedWith, dueAt, issuedAt, isLast: all.every(({ rated }) => rated.waits), parts };
};

/** In the order in which they fall due. */
export const dueTogether = (rated: readonly RatedPart[], payerOf: (part: RatedPart) => Payer): DueTogether[] => {
  const all = rated.map((one) => dueOf(one, payerOf(one)));
  const consolidated = new Set(rated.map(payerOf).flatMap(({ id, isConsolidated }) => (isConsolidated ? [id] : [])));
  const due = all.filter((one) => !one.rated.waits);
  const waiting = placed(
    all.filter((one) => one.rated.waits),
    due,
    consolidated,
  );
  const firstDue = new Map<string, Instant>();
  for (const one of due) firstDue.set(nameOf(one), Math.min(one.dueAt, firstDue.get(nameOf(one)) ?? one.dueAt));
  return [...Map.groupBy([...due, ...waiting], (one) => `${one.dueAt} ${nameOf(one)}`).values()]
    .map((some) => together(some, firstDue))
    .toSorted((a, b) => a.dueAt - b.dueAt);
};
