/**
 * Invoices that would come to less than the minimum of their payer: what they would bill is carried over to the next
 * invoice of the same payer, in the same currency. Of two in one shard the later one takes it at once; else it waits,
 * unbilled, for a later run.
 *
 * Zero is below no minimum, and what is owed to a payer is not kept back. Nothing waits for an invoice that nobody will
 * make: of a subscription that is over, or of what fell due a year ago. What is charged in advance is not put on the
 * invoice that takes it back, as the discounts and taxes of that follow from where it was charged.
 */
import type { Currency } from '#schemas/currency.ts';
import { type Amount, zeroAmount } from '#schemas/money.ts';
import type { GroupedPeriod } from './grouped-periods.ts';
import type { CarryTerms, InvoiceGroup } from './invoice-group.ts';

/** An invoice that was not issued. */
export type CarriedInvoice = {
  readonly customerId: string;
  readonly currency: Currency;
  readonly total: Amount;
  readonly minimum: Amount;
  readonly billingPeriodIds: readonly string[];
  /** Whether they wait; otherwise another invoice of the shard has them. */
  readonly waits: boolean;
};

/** What of a group would be on an invoice, and what that would come to. */
export type Weighed = { readonly total: Amount; readonly billingPeriodIds: readonly string[] };

/** What of a group decides whether it is carried over, and what it leaves to a later one. */
export type Carryable = Pick<InvoiceGroup, 'carry' | 'creditIds' | 'draft' | 'periods'> & {
  readonly parties: Pick<InvoiceGroup['parties'], 'currency' | 'customerId'>;
};

export type CarriedOn<Group extends Carryable> = {
  /** What is left to issue. */
  readonly groups: readonly Group[];
  readonly carried: readonly CarriedInvoice[];
  /** The groups that wait. */
  readonly waiting: readonly Group[];
};

const takesBack = (later: Carryable, group: Carryable): boolean => {
  const credits = new Set(later.creditIds);
  const subscriptions = new Set(group.periods.map(({ subscriptionId }) => subscriptionId));
  return later.periods.some(
    ({ billingPeriodId, subscriptionId, correction }) =>
      credits.has(billingPeriodId) && correction === undefined && subscriptions.has(subscriptionId),
  );
};

const together = <Group extends Carryable>(group: Group, terms: CarryTerms, later: Group): Group => {
  const ranks = new Map([...terms.ranks, ...(later.carry?.ranks ?? [])]);
  const placeOf = ({ billingPeriodId }: GroupedPeriod): number => ranks.get(billingPeriodId) ?? 0;
  const carried = group.periods.map((period) => ({ ...period, carriedFrom: period.carriedFrom ?? terms.dueAt }));
  return {
    ...later,
    ...(later.carry && { carry: { ...later.carry, ranks } }),
    periods: [...carried, ...later.periods].toSorted((a, b) => placeOf(a) - placeOf(b)),
    creditIds: [...group.creditIds, ...later.creditIds],
  };
};

const keyOf = ({ parties: { customerId, currency }, carry }: Carryable): string =>
  JSON.stringify([customerId, currency, carry?.billedWith]);

type Step<Group extends Carryable> = {
  readonly group: Group;
  readonly later: Group | undefined;
  readonly invoice: CarriedInvoice;
};

/** Of what is billed together, in the order in which it falls due, the first that is carried over. */
const firstCarried = <Group extends Carryable>(
  groups: readonly Group[],
  weighed: ReadonlyMap<Group, Weighed>,
): Step<Group> | undefined => {
  for (const [index, group] of groups.entries()) {
    const { carry, parties } = group;
    const weight = weighed.get(group);
    if (!carry || !weight || weight.total <= zeroAmount || weight.total >= carry.minimum) continue;
    const later = groups[index + 1];
    if (later ? takesBack(later, group) : !carry.goesOn) continue;
    const { customerId, currency } = parties;
    const waits = later === undefined;
    return { group, later, invoice: { customerId, currency, minimum: carry.minimum, waits, ...weight } };
  }
  return undefined;
};

/**
 * One step: of each payer the first invoice that lies below the minimum, as what it leaves is in the sum of the next
 * one. Undefined where there is none. `weighed` has what would be on an invoice of each group.
 */
export const carryOn = <Group extends Carryable>(
  groups: readonly Group[],
  weighed: ReadonlyMap<Group, Weighed>,
): CarriedOn<Group> | undefined => {
  const able = groups.filter(({ carry, draft }) => carry !== undefined && draft === undefined);
  const steps = [...Map.groupBy(able, keyOf).values()].flatMap((some) => firstCarried(some, weighed) ?? []);
  if (steps.length === 0) return undefined;
  const gone = new Set(steps.map(({ group }) => group));
  const taken = new Map(steps.flatMap(({ group, later }) => (later ? [[later, group] as const] : [])));
  return {
    groups: groups
      .filter((group) => !gone.has(group))
      .map((later) => {
        const group = taken.get(later);
        return group?.carry ? together(group, group.carry, later) : later;
      }),
    carried: steps.map(({ invoice }) => invoice),
    waiting: steps.flatMap(({ group, later }) => (later ? [] : [group])),
  };
};
