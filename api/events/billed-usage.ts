/**
 * What became of stored events: on which invoice each counts, or why on none [I11]. Pure. Customers come as the names
 * that their events bear, with the spans of time in which a subscription takes their usage; every event that stands at
 * a watermark has exactly one fate.
 */
import { type BilledPeriod, stretchesOf } from '#schemas/billing-period.ts';
import type { Meter } from '#schemas/meter.ts';
import type { Period } from '#schemas/period.ts';
import type { SubscriptionTime } from '#schemas/subscription.ts';
import { unbilledReasons } from '#schemas/unbilled-reasons.ts';

export const fates = ['billed', ...unbilledReasons] as const;
export type Fate = (typeof fates)[number];
export type FateCounts = Readonly<Record<Fate, number>>;
/** By the beginning of the hour of receipt, in epoch milliseconds. */
export type FatesByHour = ReadonlyMap<number, FateCounts>;

/** A stretch of a subscription that one invoice bills, or none yet. */
export type CoveredSpan = Period & {
  readonly planVersionId: string;
  /** Of the subscription: the charges have a price of their own in each. */
  readonly currency: string;
  /** Up to which sequence the invoice counts; 0 where there is none. */
  readonly watermark: bigint;
};

export type KnownSubscription = SubscriptionTime & {
  /** The names under which its customer's events may come. */
  readonly names: readonly string[];
  readonly planVersionId: string;
  readonly currency: string;
  readonly periods: readonly (BilledPeriod & { readonly planVersionId: string })[];
};

/** The subscription's time, cut where it is billed; in order. */
export const coveredSpans = ({ periods, planVersionId, currency, ...time }: KnownSubscription): CoveredSpan[] =>
  stretchesOf(time, periods).map(({ span, billed }) => ({
    ...span,
    planVersionId: billed?.planVersionId ?? planVersionId,
    currency,
    watermark: billed?.watermark ?? 0n,
  }));

/** A name that events bear, whoever it belongs to: it may be the id of one customer and the external id of another. */
export type UsageCustomer = {
  readonly name: string;
  readonly isKnown: boolean;
  readonly spans: readonly CoveredSpan[];
};

/** `known`: those of the names that are an id or an external id of a customer. */
export const usageCustomers = (
  names: readonly string[],
  known: ReadonlySet<string>,
  subscriptions: readonly KnownSubscription[],
): UsageCustomer[] => {
  const spans = new Map<string, CoveredSpan[]>();
  // An external id may be the same text as the id.
  for (const subscription of subscriptions)
    for (const name of new Set(subscription.names))
      spans.set(name, [...(spans.get(name) ?? []), ...coveredSpans(subscription)]);
  return names.map((name) => ({ name, isKnown: known.has(name), spans: spans.get(name) ?? [] }));
};

/**
 * What charges of a plan version count by: a meter, in the version that the plan version was made with, and the
 * property that the price reads an amount from, where it reads one.
 */
export type ChargedMeter = { readonly meter: Meter; readonly amountProperty: string | undefined };

/** By the charges that `chargesName` names. */
export type ChargedMeters = ReadonlyMap<string, readonly ChargedMeter[]>;

/** The charges of a plan version, with their prices in one currency. */
export const chargesName = ({ planVersionId, currency }: Pick<CoveredSpan, 'planVersionId' | 'currency'>): string =>
  `${planVersionId} ${currency}`;

export const noFates = Object.fromEntries(fates.map((fate) => [fate, 0])) as FateCounts;

export const sumOfFates = (some: readonly FateCounts[]): FateCounts =>
  Object.fromEntries(fates.map((fate) => [fate, some.reduce((sum, counts) => sum + counts[fate], 0)])) as FateCounts;
