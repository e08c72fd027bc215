/**
 * Which usage of a subscription is charged by what, and billed where: its time, cut by what it has then and by what was
 * billed. In a trial and in a pause usage is billed by nothing. Shared by what tells the fates of events. Pure.
 */
import type { BilledPeriod } from '#schemas/billing-period.ts';
import { waivedPeriod } from '#schemas/final-usage.ts';
import type { Interval } from '#schemas/interval.ts';
import { type Instant, intersect, type Period } from '#schemas/period.ts';
import { billedItems, planItem, type SubscriptionTerms } from '#schemas/subscription-terms.ts';

/** A billing period in which usage is measured. */
export type MeasuredPeriod = BilledPeriod & {
  readonly item: string;
  readonly planVersionId: string;
  /** Undefined of one from before: all charges of the version are billed in it. */
  readonly interval: Interval | undefined;
};

/** Charges of a version that one interval bills; `billed` is undefined where no invoice does yet. */
export type MeasuredStretch<P extends MeasuredPeriod> = {
  readonly span: Period;
  readonly planVersionId: string;
  readonly interval: Interval | undefined;
  readonly billed: P | undefined;
  /** It is of the billing period in which the subscription ends, and charged by nothing. */
  readonly isWaived: boolean;
};

/** Why usage of a stretch is billed by nothing. */
export type FreeStretch = { readonly span: Period; readonly reason: 'trial' | 'paused' };

export type MeasuredTime<P extends MeasuredPeriod> = {
  readonly measured: readonly MeasuredStretch<P>[];
  readonly free: readonly FreeStretch[];
};

/** The intervals of the charges of a version that usage goes into. */
export type MeteredIntervals = (planVersionId: string) => readonly Interval[];

/** Behind any event. */
const never: Instant = Date.UTC(9999, 11, 31);

/** What of a span no other one holds, in order. */
const without = (span: Period, others: readonly Period[]): Period[] => {
  const left: Period[] = [];
  let from = span.start;
  for (const other of others.toSorted((a, b) => a.start - b.start)) {
    const end = Math.min(other.start, span.end);
    if (from < end) left.push({ start: from, end });
    from = Math.max(from, other.end);
  }
  if (from < span.end) left.push({ start: from, end: span.end });
  return left;
};

export const isInterval = (a: Interval | undefined, b: Interval | undefined): boolean =>
  a === undefined || b === undefined || (a.unit === b.unit && a.count === b.count);

/** Where it has neither its plan nor an end: before the trial ended, or in a pause. */
const freeTime = (time: Period, planned: readonly Period[], trialEndsAt: Instant | null): FreeStretch[] => {
  const trialEnd = trialEndsAt ?? time.start;
  return without(time, planned).flatMap((gap) => {
    const trial = intersect(gap, { start: time.start, end: trialEnd });
    const pause = intersect(gap, { start: trialEnd, end: time.end });
    return [
      ...(trial ? [{ span: trial, reason: 'trial' as const }] : []),
      ...(pause ? [{ span: pause, reason: 'paused' as const }] : []),
    ];
  });
};

/**
 * What is billed stays so, also where the subscription was ended before it afterwards. Of one item and interval no two
 * stretches overlap, and together they hold all time in which it has the item.
 */
export const measuredTime = <P extends MeasuredPeriod>(
  terms: SubscriptionTerms,
  intervalsOf: MeteredIntervals,
  periods: readonly P[],
): MeasuredTime<P> => {
  const time = { start: terms.startedAt, end: terms.endedAt ?? never };
  const items = billedItems(terms).flatMap((one) => {
    const span = intersect(one.span, time);
    return span ? [{ ...one, span }] : [];
  });
  const isMeasured = ({ planVersionId, interval }: P): boolean => {
    const own = intervalsOf(planVersionId);
    return own.length === 0 || own.some((one) => isInterval(one, interval));
  };
  const billed = periods.filter(isMeasured).map((one) => ({
    span: one.span,
    planVersionId: one.planVersionId,
    interval: one.interval,
    billed: one,
    isWaived: false,
  }));
  const open = items.flatMap(({ item, planVersionId, span }) => {
    const intervals = intervalsOf(planVersionId);
    return (intervals.length > 0 ? intervals : [undefined]).flatMap((interval) => {
      const others = periods.filter((one) => one.item === item && isInterval(one.interval, interval));
      const left = without(
        span,
        others.map((one) => one.span),
      );
      const waived = interval && waivedPeriod(terms, interval);
      return left.flatMap((stretch) => {
        const of = { planVersionId, interval, billed: undefined };
        const free = waived && intersect(stretch, waived);
        const rest = free ? without(stretch, [free]) : [stretch];
        return [
          ...rest.map((one) => ({ ...of, span: one, isWaived: false })),
          ...(free ? [{ ...of, span: free, isWaived: true }] : []),
        ];
      });
    });
  });
  const planned = [
    ...items.filter(({ item }) => item === planItem).map(({ span }) => span),
    ...periods.filter(({ item }) => item === planItem).map(({ span }) => span),
  ];
  return {
    measured: [...billed, ...open].toSorted((a, b) => a.span.start - b.span.start),
    free: freeTime(time, planned, terms.trialEndsAt),
  };
};
