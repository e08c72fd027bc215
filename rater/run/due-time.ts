/**
 * Which time of subscriptions falls due, what of it waits for late usage, and when each is to be looked at again. Pure:
 * what is written down already is read by `cut-time.postgres.ts`.
 */
import { periodIdOf } from '#schemas/billing-period.ts';
import {
  type BilledPart,
  type DuePart,
  dueParts,
  nextLook,
  rememberedPeriods,
  rememberedPeriodsAt,
  type SchedulesOf,
} from '#schemas/due-parts.ts';
import { type Instant, monthNameOf } from '#schemas/period.ts';
import type { SubscriptionTerms } from '#schemas/subscription-terms.ts';

export type SubscribedTerms = {
  readonly id: string;
  readonly customerId: string;
  readonly currency: string;
  readonly terms: SubscriptionTerms;
  /** All that was due until then is written down. */
  readonly cutUntil: Instant | null;
};

export type FreshPeriod = DuePart & {
  readonly id: string;
  readonly subscriptionId: string;
  readonly customerId: string;
  readonly currency: string;
  readonly timeZone: string;
  /** From 1, in the order of time: of its item and timing within its billing period. */
  readonly segment: number;
  /** In which it is due by the calendar of the zone; of what is in arrears, in which its last moment lies: 2026-10. */
  readonly month: string;
};

export const monthNames = (): ((instant: Instant, timeZone: string) => string) => {
  const known = new Map<string, string>();
  return (instant, timeZone) => {
    const key = `${instant} ${timeZone}`;
    const found = known.get(key) ?? monthNameOf(instant, timeZone);
    if (known.size < 10_000) known.set(key, found);
    return found;
  };
};

const sameGroup = (a: BilledPart, b: BilledPart): boolean =>
  a.item === b.item &&
  a.timing === b.timing &&
  a.isCounted === b.isCounted &&
  a.billing.start === b.billing.start &&
  a.billing.end === b.billing.end;

const freshPeriod = (
  { id: subscriptionId, customerId, currency, terms }: SubscribedTerms,
  part: DuePart,
  others: readonly BilledPart[],
  monthOf: (instant: Instant, timeZone: string) => string,
): FreshPeriod => {
  const { timeZone } = terms.cycle;
  // What is charged once has a group of its own.
  const before =
    part.timing === 'once'
      ? []
      : others.filter((other) => sameGroup(other, part) && other.span.start < part.span.start);
  return {
    ...part,
    id: periodIdOf(subscriptionId, part),
    subscriptionId,
    customerId,
    currency,
    timeZone,
    segment: before.length + 1,
    month: monthOf(part.timing === 'arrears' ? part.dueAt - 1 : part.dueAt, timeZone),
  };
};

export const freshOf = (
  subscribed: SubscribedTerms,
  parts: readonly DuePart[],
  written: readonly BilledPart[],
  monthOf: (instant: Instant, timeZone: string) => string,
): FreshPeriod[] => {
  // Most often there is one part, and nothing beside it.
  const others = parts.length + written.length > 1 ? [...written, ...parts] : [];
  return parts.map((part) => freshPeriod(subscribed, part, others, monthOf));
};

export type DueToCut = {
  /** Until when something falls due, and until when what was used does: late events are waited for. */
  readonly dueUntil: Instant;
  readonly arrearsUntil: Instant;
  /** Null is everybody, as it is of the two that follow. */
  readonly customerIds: readonly string[] | null;
  readonly subscriptionId: string | null;
  readonly subscriptionsMax: number | null;
  /** Whose hour it is; null is that of all. */
  readonly testClockId: string | null;
};

/** Until when a subscription is cut, and when it is to be looked at again. */
export type CutState = {
  readonly subscriptionId: string;
  readonly customerId: string;
  readonly cutUntil: Instant;
  readonly nextDueAt: Instant | undefined;
};

const waitsForUsage = (part: DuePart, arrearsUntil: Instant): boolean =>
  part.isMetered && part.timing === 'arrears' && part.dueAt > arrearsUntil;

/** What is due of a subscription, and the name of what is billed together of it, which instants are waited for by. */
export type DueOfOne = {
  readonly one: SubscribedTerms;
  readonly billedWith: string;
  readonly known: readonly BilledPart[];
  readonly parts: readonly DuePart[];
};

/** By what is billed together, the instants at which usage is waited for. */
const instantsThatWait = (
  found: readonly DueOfOne[],
  { arrearsUntil }: DueToCut,
): ReadonlyMap<string, Set<Instant>> => {
  const waiting = new Map<string, Set<Instant>>();
  for (const { billedWith, parts } of found)
    for (const part of parts) {
      if (!waitsForUsage(part, arrearsUntil)) continue;
      const instants = waiting.get(billedWith) ?? new Set();
      waiting.set(billedWith, instants.add(part.dueAt));
    }
  return waiting;
};

/**
 * What falls due together is billed together: where usage is waited for, all that falls due at that instant waits.
 */
const withoutWaiting = (
  parts: readonly DuePart[],
  waiting: ReadonlySet<Instant>,
  { dueUntil, arrearsUntil }: DueToCut,
): { due: readonly DuePart[]; cutUntil: Instant; lookAgain: Instant } => {
  const waits = parts.filter(({ dueAt }) => waiting.has(dueAt));
  if (waits.length === 0) return { due: parts, cutUntil: dueUntil, lookAgain: Number.POSITIVE_INFINITY };
  const first = Math.min(...waits.map(({ dueAt }) => dueAt));
  return {
    due: parts.filter(({ dueAt }) => !waiting.has(dueAt)),
    cutUntil: first - 1,
    lookAgain: first + dueUntil - arrearsUntil,
  };
};

export const afterOf = ({ cutUntil, terms }: SubscribedTerms): Instant => cutUntil ?? terms.startedAt - 1;

/** What is written down already, and who is billed for a customer; a customer without an entry is billed itself. */
export type KnownTime = {
  readonly schedulesOf: SchedulesOf;
  /** By subscription. */
  readonly written: ReadonlyMap<string, readonly BilledPart[]>;
  /** By customer. */
  readonly payers: ReadonlyMap<string, { readonly id: string; readonly isConsolidated: boolean }>;
};

/** What falls due of each subscription until an instant, and is not written down. */
export const dueOfAll = (
  subscribed: readonly SubscribedTerms[],
  { schedulesOf, written, payers }: KnownTime,
  dueUntil: Instant,
): DueOfOne[] => {
  const periodsIn = rememberedPeriods();
  return subscribed.map((one) => {
    const payer = payers.get(one.customerId);
    const known = written.get(one.id) ?? [];
    const start = afterOf(one);
    return {
      one,
      billedWith: payer?.isConsolidated ? `${payer.id} ${one.currency}` : one.id,
      known,
      parts: start < dueUntil ? dueParts(one.terms, schedulesOf, known, { start, end: dueUntil }, periodsIn) : [],
    };
  });
};

export type DueTime = { readonly periods: FreshPeriod[]; readonly states: CutState[] };

/** What of it is cut now, and the states of all subscriptions that were looked at. */
export const dueTime = (found: readonly DueOfOne[], asked: DueToCut, schedulesOf: SchedulesOf): DueTime => {
  const { dueUntil } = asked;
  const waiting = instantsThatWait(found, asked);
  const monthOf = monthNames();
  const periodHolding = rememberedPeriodsAt(asked.dueUntil);
  const periods: FreshPeriod[] = [];
  const states: CutState[] = [];
  for (const { one, billedWith, known, parts } of found) {
    const { due, cutUntil, lookAgain } = withoutWaiting(parts, waiting.get(billedWith) ?? new Set(), asked);
    const next = Math.min(
      lookAgain,
      nextLook(one.terms, schedulesOf, dueUntil, [...known, ...due], periodHolding) ?? Number.POSITIVE_INFINITY,
    );
    for (const period of freshOf(one, due, known, monthOf)) periods.push(period);
    states.push({
      subscriptionId: one.id,
      customerId: one.customerId,
      cutUntil: Math.max(cutUntil, afterOf(one)),
      nextDueAt: next === Number.POSITIVE_INFINITY ? undefined : next,
    });
  }
  return { periods, states };
};
