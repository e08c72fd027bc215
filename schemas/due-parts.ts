/**
 * What of a subscription's time is due to be billed, and was not written down yet: the one function that cuts it. Pure.
 *
 * What is in arrears is due when its billing period ends, or the subscription with it. What is in advance is due when
 * its billing period begins. Where the terms change within a period that was charged in advance, what was charged for
 * the rest of it is taken back, and the rest is charged by what holds then: two parts that lie over the same time. By
 * `shareOf` each is the share of its own whole, so that nothing is lost or doubled however often terms change. What is
 * charged once is told by once-parts.ts.
 */
import { type BillingCycle, periodAt, periodsOver } from '#schemas/billing-cycle.ts';
import { type ChargeSchedule, cycleOfInterval } from '#schemas/charge-schedule.ts';
import { correctionDueAt } from '#schemas/due-instant.ts';
import { isUsageWaived } from '#schemas/final-usage.ts';
import type { Interval } from '#schemas/interval.ts';
import { onceName, onceParts } from '#schemas/once-parts.ts';
import { type Instant, intersect, type Period } from '#schemas/period.ts';
import {
  type BilledItem,
  billedItems,
  levelsWithin,
  type QuantityLevel,
  type SubscriptionTerms,
} from '#schemas/subscription-terms.ts';

export const partTimings = ['arrears', 'advance', 'credit', 'once'] as const;
/** A credit takes back what was charged in advance. */
export type PartTiming = (typeof partTimings)[number];

/** A thing to bill: the charges of a schedule over a stretch of time. */
export type BilledPart = {
  /** Of what is charged once: the id of what charges it. */
  readonly item: string;
  readonly planVersionId: string;
  readonly timing: PartTiming;
  /** Undefined of one from before: all charges. */
  readonly interval: Interval | undefined;
  readonly isCounted: boolean | undefined;
  /** The period of the cycle. */
  readonly billing: Period;
  readonly span: Period;
  /** Of what is counted, and where it counts for a bound. */
  readonly quantities: readonly QuantityLevel[] | undefined;
  /** Of a credit: when the price stood that is taken back, which is when what was charged in advance began. */
  readonly pricedAt: Instant | undefined;
  /** Whether nothing of it is charged for usage; absent where that is charged. */
  readonly usageWaived?: boolean;
};

export type DuePart = BilledPart & {
  readonly interval: Interval;
  readonly isCounted: boolean;
  readonly dueAt: Instant;
  readonly isMetered: boolean;
};

export type SchedulesOf = (planVersionId: string) => readonly ChargeSchedule[];

/** Periods of a cycle that have an instant in common with a stretch of time. */
export type PeriodsOver = (cycle: BillingCycle, time: Period) => readonly Period[];

/** The calendar is asked once for all who have the same cycle and are asked about the same time. */
export const rememberedPeriods = (): PeriodsOver => {
  const known = new Map<string, readonly Period[]>();
  return (cycle, time) => {
    const { interval, anchor, timeZone } = cycle;
    const key = `${interval.unit} ${interval.count} ${anchor} ${timeZone} ${time.start} ${time.end}`;
    const found = known.get(key) ?? [...periodsOver(cycle, time)];
    // As many as there are anniversaries would be kept for nothing.
    if (known.size < 1_000) known.set(key, found);
    return found;
  };
};

/** The period of a cycle that holds one instant, which is the same of all who are looked at together. */
export type PeriodHolding = (cycle: BillingCycle) => Period;

/** For many subscriptions at one instant: few have a calendar of their own. */
export const rememberedPeriodsAt = (instant: Instant): PeriodHolding => {
  const known = new Map<string, Period>();
  return (cycle) => {
    const { interval, anchor, timeZone } = cycle;
    const key = `${interval.unit} ${interval.count} ${anchor} ${timeZone}`;
    const found = known.get(key) ?? periodAt(cycle, instant);
    if (known.size < 1_000) known.set(key, found);
    return found;
  };
};

const scheduleName = (item: string, { interval, isCounted }: Pick<ChargeSchedule, 'interval' | 'isCounted'>): string =>
  `${item} ${interval.unit} ${interval.count} ${isCounted}`;

const partName = (part: BilledPart, interval: Interval, isCounted: boolean): string =>
  `${scheduleName(part.item, { interval, isCounted })} ${part.timing} ${part.span.start}`;

/** Of an item over a stretch, in one version and number. */
type Charged = { readonly planVersionId: string; readonly quantity: number };
/** At prices of an instant. */
type ChargedBefore = Charged & { readonly pricedAt: Instant };
type Stretch<C extends Charged = Charged> = C & { readonly span: Period };

const isSame = (a: Charged | undefined, b: Charged | undefined): boolean =>
  a?.planVersionId === b?.planVersionId && a?.quantity === b?.quantity;

/** What is charged in advance at an instant, after all that was taken back. */
const chargedAt = (parts: readonly BilledPart[], instant: Instant): ChargedBefore | undefined => {
  const charged: ChargedBefore[] = [];
  const at = parts.filter(({ span }) => span.start <= instant && instant < span.end);
  const of = (part: BilledPart): ChargedBefore => ({
    planVersionId: part.planVersionId,
    quantity: part.quantities?.[0]?.[1] ?? 1,
    pricedAt: part.pricedAt ?? part.span.start,
  });
  for (const part of at) if (part.timing === 'advance') charged.push(of(part));
  for (const part of at) {
    if (part.timing !== 'credit') continue;
    const back = of(part);
    const taken = charged.findIndex((one) => isSame(one, back) && one.pricedAt === back.pricedAt);
    if (taken >= 0) charged.splice(taken, 1);
  }
  return charged[0];
};

const wantedIn = (items: readonly BilledItem[], billing: Period, isCounted: boolean): Stretch[] =>
  items.flatMap(({ planVersionId, span, quantities }) => {
    const part = intersect(span, billing);
    if (!part) return [];
    if (!isCounted) return [{ planVersionId, quantity: 1, span: part }];
    const levels = levelsWithin(quantities, part);
    return levels.map(([start, quantity], index) => ({
      planVersionId,
      quantity,
      span: { start, end: levels[index + 1]?.[0] ?? part.end },
    }));
  });

type Due = { readonly dueAt: Instant };
type Correction =
  | { readonly timing: 'credit'; readonly stretch: Stretch<ChargedBefore & Due> }
  | { readonly timing: 'advance'; readonly stretch: Stretch<Charged & Due> };

type CorrectionRules = {
  readonly isProrated: (planVersionId: string) => boolean;
  /** Whether what was charged from then on is kept, though nothing is wanted. */
  readonly isKept: (start: Instant) => boolean;
  readonly dueAtOf: (start: Instant) => Instant;
};

/** Longer where it goes on as before: what is put right at another instant is a stretch of its own. */
const push = <C extends Charged & Due>(
  stretches: Stretch<C>[],
  one: C,
  { start, end }: Period,
  isOne: (a: C, b: C) => boolean,
): void => {
  const last = stretches.at(-1);
  if (last && last.span.end === start && last.dueAt === one.dueAt && isOne(last, one))
    stretches[stretches.length - 1] = { ...last, span: { start: last.span.start, end } };
  else stretches.push({ ...one, span: { start, end } });
};

/**
 * What is to be taken back, and what is to be charged, so that what is charged becomes what is wanted. Of a version
 * that charges whole periods alone nothing is taken back but for something else in its place.
 */
const corrections = (
  wanted: readonly Stretch[],
  charged: readonly BilledPart[],
  { isProrated, isKept, dueAtOf }: CorrectionRules,
): Correction[] => {
  const ends = [...wanted, ...charged].flatMap(({ span }) => [span.start, span.end]);
  const instants = [...new Set(ends)].toSorted((a, b) => a - b);
  const credits: Stretch<ChargedBefore & Due>[] = [];
  const advances: Stretch<Charged & Due>[] = [];
  for (const [index, start] of instants.entries()) {
    const end = instants[index + 1];
    if (end === undefined) break;
    const want = wanted.find(({ span }) => span.start <= start && start < span.end);
    const have = chargedAt(charged, start);
    if (isSame(want, have)) continue;
    const dueAt = dueAtOf(start);
    if (have && (want || (isProrated(have.planVersionId) && !isKept(start))))
      push(credits, { ...have, dueAt }, { start, end }, (a, b) => isSame(a, b) && a.pricedAt === b.pricedAt);
    if (want) {
      const { planVersionId, quantity } = want;
      push(advances, { planVersionId, quantity, dueAt }, { start, end }, isSame);
    }
  }
  return [
    ...credits.map((stretch) => ({ timing: 'credit' as const, stretch })),
    ...advances.map((stretch) => ({ timing: 'advance' as const, stretch })),
  ];
};

/**
 * What falls due after `time.start` and not after `time.end`, but for what is `written` already: all of its parts whose
 * billing periods end after `time.start`, and all that its plans charge once. In the order of the instants at which it
 * falls due.
 */
export const dueParts = (
  terms: SubscriptionTerms,
  schedulesOf: SchedulesOf,
  written: readonly BilledPart[],
  time: Period,
  periodsIn: PeriodsOver,
): DuePart[] => {
  const endedAt = terms.endedAt ?? Number.POSITIVE_INFINITY;
  const items = billedItems(terms);
  const scheduled = itemsBySchedule(items, schedulesOf);
  const isWritten = writtenNames(written);
  const isProrated = (id: string): boolean => schedulesOf(id).every((one) => one.isProrated);
  // Those that hold an instant of it, the last one too.
  const around = { start: time.start, end: time.end + 1 };
  const parts: DuePart[] = [];
  for (const { item, interval, timing, isCounted, stretches } of scheduled) {
    for (const billing of periodsIn(cycleOfInterval(terms.cycle, interval), around)) {
      const head = { item, interval, isCounted, billing };
      if (timing === 'arrears') {
        const dueAt = Math.min(billing.end, endedAt);
        if (dueAt > time.end) continue;
        const isWaived = isUsageWaived(terms, billing);
        for (const { planVersionId, span, quantities, schedule } of stretches) {
          const { isMetered, isUsageAlone, isBounded } = schedule;
          const part = intersect(span, billing);
          const usageWaived = isMetered && isWaived;
          if (!part || (usageWaived && isUsageAlone)) continue;
          const levels = isCounted || isBounded ? levelsWithin(quantities, part) : undefined;
          parts.push({
            ...head,
            isMetered,
            timing,
            planVersionId,
            span: part,
            quantities: levels,
            pricedAt: undefined,
            dueAt,
            ...(usageWaived && { isMetered: false, usageWaived }),
          });
        }
        continue;
      }
      const charged = written.filter(
        (part) =>
          (part.timing === 'advance' || part.timing === 'credit') &&
          part.item === item &&
          part.isCounted === isCounted &&
          part.interval?.unit === interval.unit &&
          part.interval.count === interval.count &&
          part.billing.start === billing.start,
      );
      const rules: CorrectionRules = {
        isProrated,
        isKept: (start) => start >= endedAt && !terms.refundsAtEnd,
        // At the latest with the end of its own billing period, which may be shorter than the one before, and with that
        // of the subscription: nobody looks at it any more afterwards.
        dueAtOf: (start) =>
          Math.min(start === billing.start ? start : correctionDueAt(terms, start), billing.end, endedAt),
      };
      for (const correction of corrections(wantedIn(stretches, billing, isCounted), charged, rules)) {
        const { timing: how, stretch } = correction;
        const { planVersionId, quantity, span, dueAt } = stretch;
        if (dueAt > time.end) continue;
        const quantities = isCounted ? [[span.start, quantity] as const] : undefined;
        const pricedAt = correction.timing === 'credit' ? correction.stretch.pricedAt : undefined;
        parts.push({ ...head, isMetered: false, timing: how, planVersionId, span, quantities, pricedAt, dueAt });
      }
    }
  }
  const once = onceParts(terms, items, schedulesOf).filter(({ dueAt }) => dueAt <= time.end);
  return [...parts, ...once]
    .filter((part) => part.dueAt > time.start && !isWritten(part))
    .toSorted((a, b) => a.dueAt - b.dueAt || a.span.start - b.span.start);
};

/** A stretch of an item by the schedule of its version. */
type ScheduledItem = BilledItem & { readonly schedule: ChargeSchedule };

type ScheduledItems = Pick<ChargeSchedule, 'interval' | 'timing' | 'isCounted'> & {
  readonly item: string;
  readonly stretches: readonly ScheduledItem[];
};

/**
 * The stretches of each item that fall due together, whatever their version: each goes by what its own version charges
 * with that schedule.
 */
const itemsBySchedule = (items: readonly BilledItem[], schedulesOf: SchedulesOf): ScheduledItems[] => {
  const scheduled = items.flatMap((item) => schedulesOf(item.planVersionId).map((schedule) => ({ ...item, schedule })));
  const recurring = scheduled.filter(({ schedule }) => schedule.timing !== 'once');
  const named = Map.groupBy(recurring, ({ item, schedule }) => `${scheduleName(item, schedule)} ${schedule.timing}`);
  return [...named.values()].flatMap((stretches) => {
    const [first] = stretches;
    if (!first) return [];
    const { interval, timing, isCounted } = first.schedule;
    return { item: first.item, interval, timing, isCounted, stretches };
  });
};

/** One from before stands for every schedule of its version. */
const writtenNames = (written: readonly BilledPart[]): ((part: DuePart) => boolean) => {
  const names = new Set<string>();
  const whole = new Set<string>();
  const once = new Set(written.filter(({ timing }) => timing === 'once').map(onceName));
  for (const part of written) {
    if (part.interval) names.add(partName(part, part.interval, part.isCounted ?? false));
    else whole.add(`${part.item} ${part.timing} ${part.span.start}`);
  }
  return (part) =>
    (part.timing === 'once' && once.has(onceName(part))) ||
    names.has(partName(part, part.interval, part.isCounted)) ||
    whole.has(`${part.item} ${part.timing} ${part.span.start}`);
};

/**
 * When changes up to `now` are put right behind it: only those can wait that lie in the billing period that holds it.
 * A ledger of seats may be long.
 */
const correctionsAhead = (terms: SubscriptionTerms, now: Instant, periodHoldingNow: PeriodHolding): Instant[] => {
  const { cycle, changes } = terms;
  let { interval } = cycle;
  return changes.flatMap((change) => {
    const { effectiveAt } = change;
    const isRecent = effectiveAt <= now && periodHoldingNow(cycleOfInterval(cycle, interval)).start <= effectiveAt;
    if (change.kind === 'plan') interval = change.interval;
    return isRecent ? [correctionDueAt(terms, effectiveAt)] : [];
  });
};

/**
 * The next instant after `now` at which something may fall due, given what is written down by now; undefined where
 * nothing ever does. Nothing may be due at it, but nothing is due before it.
 */
export const nextLook = (
  terms: SubscriptionTerms,
  schedulesOf: SchedulesOf,
  now: Instant,
  written: readonly Pick<BilledPart, 'timing' | 'span'>[] = [],
  periodHoldingNow: PeriodHolding = rememberedPeriodsAt(now),
): Instant | undefined => {
  const { startedAt, endedAt, trialEndsAt, changes } = terms;
  const turns = [startedAt, endedAt, trialEndsAt, ...correctionsAhead(terms, now, periodHoldingNow)];
  for (const { effectiveAt } of changes) turns.push(effectiveAt);
  // What was charged until a change that is no more is gone on with from there.
  for (const { timing, span } of written)
    if (timing === 'advance' || timing === 'credit') turns.push(span.start, span.end);
  const ahead = turns.filter((at) => at !== null && at > now) as Instant[];
  const items = billedItems(terms);
  for (const { dueAt } of onceParts(terms, items, schedulesOf)) if (dueAt > now) ahead.push(dueAt);
  if (startedAt <= now)
    for (const { planVersionId, span } of items)
      for (const { interval, timing } of schedulesOf(planVersionId)) {
        if (timing === 'once') continue;
        const period = periodHoldingNow(cycleOfInterval(terms.cycle, interval));
        if (span.start < period.end && span.end > period.start) ahead.push(period.end);
      }
  // There may be more than a call takes arguments.
  const next = ahead.reduce((first, at) => Math.min(first, at), Number.POSITIVE_INFINITY);
  const isOver = endedAt !== null && endedAt <= now;
  return isOver || next === Number.POSITIVE_INFINITY ? undefined : next;
};
