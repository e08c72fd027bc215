/**
 * What a subscription is billed for over its time: its plan, its seats and its add-ons, as changes have it, without its
 * trial and its pauses. Shared by rater and api. Pure.
 */
import type { BillingCycle } from '#schemas/billing-cycle.ts';
import type { Interval } from '#schemas/interval.ts';
import type { Instant, Period } from '#schemas/period.ts';
import type { SubscriptionTime } from '#schemas/subscription.ts';

export const subscriptionChangeKinds = ['plan', 'seats', 'add_on', 'pause', 'resume'] as const;

/** What becomes of usage in a pause: it is billed by nothing, and entitlements go on or not. */
export const pausedUsages = ['unbilled', 'refused'] as const;
export type PausedUsage = (typeof pausedUsages)[number];

/** When what was charged in advance is put right. */
export const changeBillings = ['now', 'next'] as const;
export type ChangeBilling = (typeof changeBillings)[number];

type Effect = { readonly effectiveAt: Instant; readonly bills: ChangeBilling };

export type SubscriptionChange = Effect &
  (
    | { readonly kind: 'plan'; readonly planVersionId: string; readonly interval: Interval }
    | { readonly kind: 'seats'; readonly quantity: number }
    /** `addOnId` is the plan of the kind add_on; a quantity of 0 ends it. */
    | { readonly kind: 'add_on'; readonly addOnId: string; readonly planVersionId: string; readonly quantity: number }
    | { readonly kind: 'pause'; readonly usage: PausedUsage }
    | { readonly kind: 'resume' }
  );

/** What is charged once beside the plan. */
export type OneTimeCharge = {
  readonly id: string;
  readonly effectiveAt: Instant;
  readonly bills: ChangeBilling;
  /** How many there are of it; null of what is charged in one go. */
  readonly quantity: number | null;
};

export type SubscriptionTerms = SubscriptionTime & {
  /** Under the plan that it begins with. */
  readonly cycle: BillingCycle;
  /** What it begins with. */
  readonly planVersionId: string;
  readonly seats: number;
  /** Nothing before is billed. */
  readonly trialEndsAt: Instant | null;
  /** Whether what was charged in advance for time after the end is taken back. */
  readonly refundsAtEnd: boolean;
  /** Whether usage of the billing period in which it ends is charged by nothing; absent where it is not. */
  readonly waivesFinalUsage?: boolean;
  /** In the order in which they take effect; those that were undone are not among them. */
  readonly changes: readonly SubscriptionChange[];
  /** Those that wait to be written down; absent where nobody asks for them. */
  readonly oneTimeCharges?: readonly OneTimeCharge[];
};

/** What holds from an instant on. */
export type TermsAt = {
  readonly planVersionId: string;
  readonly interval: Interval;
  readonly seats: number;
  /** By the id of the add-on; never a quantity of 0. */
  readonly addOns: ReadonlyMap<string, { readonly planVersionId: string; readonly quantity: number }>;
  /** Undefined while it is not paused. */
  readonly paused: { readonly since: Instant; readonly usage: PausedUsage } | undefined;
};

export const initialTerms = ({ planVersionId, seats, cycle }: SubscriptionTerms): TermsAt => ({
  planVersionId,
  interval: cycle.interval,
  seats,
  addOns: new Map(),
  paused: undefined,
});

export const changedTerms = (terms: TermsAt, change: SubscriptionChange): TermsAt => {
  switch (change.kind) {
    case 'plan':
      return { ...terms, planVersionId: change.planVersionId, interval: change.interval };
    case 'seats':
      return { ...terms, seats: change.quantity };
    case 'add_on': {
      const addOns = new Map(terms.addOns);
      if (change.quantity === 0) addOns.delete(change.addOnId);
      else addOns.set(change.addOnId, { planVersionId: change.planVersionId, quantity: change.quantity });
      return { ...terms, addOns };
    }
    case 'pause':
      return { ...terms, paused: terms.paused ?? { since: change.effectiveAt, usage: change.usage } };
    case 'resume':
      return { ...terms, paused: undefined };
  }
};

/** What holds at an instant; of one before the start, what it begins with. */
export const termsAt = (terms: SubscriptionTerms, instant: Instant): TermsAt =>
  terms.changes.filter(({ effectiveAt }) => effectiveAt <= instant).reduce(changedTerms, initialTerms(terms));

/** From an instant on there are so many. */
export type QuantityLevel = readonly [from: Instant, quantity: number];

/** The item of the plan itself; that of an add-on is its id. */
export const planItem = 'plan';

/** A stretch of time in which one version of a plan or of an add-on is billed. */
export type BilledItem = {
  readonly item: string;
  readonly planVersionId: string;
  /** Endless where nothing ends it: up to positive infinity. */
  readonly span: Period;
  /** Seats of the plan, or how many times the add-on is taken; the first is of the begin of the span. */
  readonly quantities: readonly QuantityLevel[];
};

type OpenItem = { item: string; planVersionId: string; start: Instant; quantities: QuantityLevel[] };

const billedAt = (
  { planVersionId, seats, addOns, paused }: TermsAt,
  isTrial: boolean,
): Map<string, { planVersionId: string; quantity: number }> => {
  if (isTrial || paused) return new Map();
  return new Map([[planItem, { planVersionId, quantity: seats }], ...addOns]);
};

/**
 * In the order of their beginnings. Stretches of one item never overlap; where its version changes, or billing pauses,
 * one ends.
 */
export const billedItems = (terms: SubscriptionTerms): BilledItem[] => {
  const { startedAt, trialEndsAt, changes } = terms;
  const end = terms.endedAt ?? Number.POSITIVE_INFINITY;
  const trialEnd = trialEndsAt ?? startedAt;
  const instants = [startedAt, trialEnd, ...changes.map(({ effectiveAt }) => effectiveAt)];
  const ordered = [...new Set(instants)].filter((at) => at >= startedAt && at < end).toSorted((a, b) => a - b);
  const open = new Map<string, OpenItem>();
  const items: BilledItem[] = [];
  const close = (one: OpenItem, at: Instant): void => {
    const { start, ...rest } = one;
    items.push({ ...rest, span: { start, end: at } });
    open.delete(one.item);
  };
  let held = initialTerms(terms);
  let next = 0;
  for (const at of ordered) {
    for (; next < changes.length && (changes[next]?.effectiveAt ?? 0) <= at; next += 1)
      held = changedTerms(held, changes[next] as SubscriptionChange);
    const now = billedAt(held, at < trialEnd);
    for (const one of [...open.values()]) if (now.get(one.item)?.planVersionId !== one.planVersionId) close(one, at);
    for (const [item, { planVersionId, quantity }] of now) {
      const known = open.get(item);
      if (!known) open.set(item, { item, planVersionId, start: at, quantities: [[at, quantity]] });
      else if (known.quantities.at(-1)?.[1] !== quantity) known.quantities.push([at, quantity]);
    }
  }
  for (const one of [...open.values()]) close(one, end);
  return items.toSorted((a, b) => a.span.start - b.span.start);
};

/** The levels of a part of the time; the first is of its begin. */
export const levelsWithin = (levels: readonly QuantityLevel[], { start, end }: Period): QuantityLevel[] => {
  const before = levels.findLast(([from]) => from <= start);
  const within = levels.filter(([from]) => from > start && from < end);
  return [...(before ? [[start, before[1]] as const] : []), ...within];
};
