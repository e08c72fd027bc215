/**
 * What became of stored events: on which invoice each counts, or why on none [I11]. Pure. Customers come as the names
 * that their events bear, with the spans of time in which a subscription takes their usage; every event that stands at
 * a watermark has exactly one fate.
 */
import type { Interval } from '#schemas/interval.ts';
import {
  type FreeStretch,
  isInterval,
  type MeasuredPeriod,
  type MeteredIntervals,
  measuredTime,
} from '#schemas/measured-time.ts';
import type { Meter } from '#schemas/meter.ts';
import type { Period } from '#schemas/period.ts';
import type { SubscriptionTerms } from '#schemas/subscription-terms.ts';
import { unbilledReasons } from '#schemas/unbilled-reasons.ts';

export const fates = ['billed', ...unbilledReasons] as const;
export type Fate = (typeof fates)[number];
export type FateCounts = Readonly<Record<Fate, number>>;
/** By the beginning of the hour of receipt, in epoch milliseconds. */
export type FatesByHour = ReadonlyMap<number, FateCounts>;

/** A stretch of a subscription's time with what is charged for it, on one invoice or on none yet. */
export type CoveredSpan = Period & {
  readonly planVersionId: string;
  /** Of the charges; undefined is all of the version. */
  readonly interval: Interval | undefined;
  /** Of the subscription: the charges have a price of their own in each. */
  readonly currency: string;
  /** Up to which sequence the invoice counts; 0 where there is none. */
  readonly watermark: bigint;
  /** Its usage is charged by nothing, as the subscription ends in its billing period. */
  readonly isWaived?: boolean;
  /** Why usage of the stretch is billed by nothing; undefined where it is billed. */
  readonly free?: FreeStretch['reason'];
};

/** A billed period, with the watermarks up to which deltas of it count. */
type CorrectedPeriod = MeasuredPeriod & { readonly laterWatermarks?: readonly bigint[] };

export type KnownSubscription = SubscriptionTerms & {
  /** The names under which its customer's events may come. */
  readonly names: readonly string[];
  readonly currency: string;
  /** Those that are billed. */
  readonly periods: readonly CorrectedPeriod[];
};

/** Every plan version and add-on whose charges may measure its usage. */
export const measuringVersions = ({ planVersionId, changes, periods }: KnownSubscription): ReadonlySet<string> =>
  new Set([
    planVersionId,
    ...changes.flatMap((change) => ('planVersionId' in change ? [change.planVersionId] : [])),
    ...periods.map((period) => period.planVersionId),
  ]);

/** The subscription's time, cut by what it has and where it is billed; in order. */
export const coveredSpans = (subscription: KnownSubscription, intervalsOf: MeteredIntervals): CoveredSpan[] => {
  const { measured, free } = measuredTime(subscription, intervalsOf, subscription.periods);
  const { planVersionId, currency } = subscription;
  return [
    // What counts at the watermark of the invoice, or of a delta, is billed.
    ...measured.flatMap(({ span, billed, ...of }) =>
      [billed?.watermark ?? 0n, ...(billed?.laterWatermarks ?? [])].map((watermark) => {
        return { ...span, ...of, currency, watermark };
      }),
    ),
    ...free.map(({ span, reason }) => ({
      ...span,
      planVersionId,
      interval: undefined,
      currency,
      watermark: 0n,
      free: reason,
    })),
  ];
};

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
  intervalsOf: (currency: string) => MeteredIntervals,
): UsageCustomer[] => {
  const spans = new Map<string, CoveredSpan[]>();
  // An external id may be the same text as the id.
  for (const subscription of subscriptions) {
    const covered = coveredSpans(subscription, intervalsOf(subscription.currency));
    for (const name of new Set(subscription.names)) spans.set(name, [...(spans.get(name) ?? []), ...covered]);
  }
  return names.map((name) => ({ name, isKnown: known.has(name), spans: spans.get(name) ?? [] }));
};

/**
 * What charges of a plan version count by: a meter, in the version that the plan version was made with, the property
 * that the price reads an amount from, where it reads one, and the interval of the charges.
 */
export type ChargedMeter = {
  readonly meter: Meter;
  readonly amountProperty: string | undefined;
  readonly interval: Interval;
};

/** By the charges that `chargesName` names. */
export type ChargedMeters = ReadonlyMap<string, readonly ChargedMeter[]>;

/** The charges of a stretch: of a plan version and an interval, with their prices in one currency. */
export const chargesName = ({
  planVersionId,
  currency,
  interval,
  isWaived = false,
  free,
}: Pick<CoveredSpan, 'planVersionId' | 'currency' | 'interval' | 'isWaived' | 'free'>): string =>
  free ??
  `${planVersionId} ${currency} ${interval ? `${interval.count} ${interval.unit}` : 'all'}${isWaived ? ' waived' : ''}`;

/** The intervals of meters, each once. */
export const intervalsIn = (meters: readonly ChargedMeter[]): Interval[] => [
  ...new Map(meters.map(({ interval }) => [`${interval.count} ${interval.unit}`, interval])).values(),
];

/** Those that a stretch is charged by. */
export const metersOf = (meters: readonly ChargedMeter[], { interval, free }: CoveredSpan): readonly ChargedMeter[] =>
  free ? [] : meters.filter((one) => isInterval(one.interval, interval));

export const noFates = Object.fromEntries(fates.map((fate) => [fate, 0])) as FateCounts;

export const sumOfFates = (some: readonly FateCounts[]): FateCounts =>
  Object.fromEntries(fates.map((fate) => [fate, some.reduce((sum, counts) => sum + counts[fate], 0)])) as FateCounts;
