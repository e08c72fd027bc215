/** What of a subscription's time falls due, as runs cut it: for rows of worked examples and for random histories. */
import type { ChargeSchedule } from '#schemas/charge-schedule.ts';
import { type BilledPart, type DuePart, dueParts, rememberedPeriods } from '#schemas/due-parts.ts';
import { type Amount, parseAmount } from '#schemas/money.ts';
import type { Instant } from '#schemas/period.ts';
import type { SubscriptionChange, SubscriptionTerms } from '#schemas/subscription-terms.ts';

export const day = 86_400_000;
export const amount = (text: string): Amount => parseAmount(text) as Amount;
export const at = (text: string): Instant => Date.parse(text);
export const month = { unit: 'month', count: 1 } as const;
export const year = { unit: 'year', count: 1 } as const;
export const schedule = (over: Partial<ChargeSchedule> = {}): ChargeSchedule => ({
  interval: month,
  timing: 'advance',
  isCounted: false,
  isMetered: false,
  isBounded: false,
  isProrated: true,
  ...over,
});
export const usage = schedule({ timing: 'arrears', isMetered: true });
export const ofPlan = (planId: string, ...schedules: ChargeSchedule[]) => schedules.map((one) => ({ ...one, planId }));
export const setup = schedule({ timing: 'once' });
export const setupOfSeats = schedule({ timing: 'once', isCounted: true });

export const termsOf = (over: Partial<SubscriptionTerms> = {}): SubscriptionTerms => ({
  startedAt: at('2026-09-11T12:00Z'),
  endedAt: null,
  trialEndsAt: null,
  cycle: { interval: month, anchor: '2000-01-01T00:00:00.000', timeZone: 'UTC' },
  planVersionId: 'basic',
  seats: 1,
  refundsAtEnd: true,
  changes: [],
  ...over,
});

export type Versions = Readonly<Record<string, readonly ChargeSchedule[]>>;

/** As runs do it: each writes what is due, and the next sees it. */
export const cutAt = (terms: (now: Instant) => SubscriptionTerms, versions: Versions, instants: readonly Instant[]) => {
  const written: DuePart[] = [];
  let after: Instant | undefined;
  for (const now of instants) {
    const held = terms(now);
    const start = after ?? held.startedAt - 1;
    if (start >= now) continue;
    const known: BilledPart[] = written.filter(({ billing, timing }) => billing.end > start || timing === 'once');
    const time = { start, end: now };
    written.push(...dueParts(held, (id) => versions[id] ?? [], known, time, rememberedPeriods()));
    after = now;
  }
  return written;
};

export const shown = ({ item, planVersionId, timing, span, dueAt, quantities }: DuePart): string => {
  const text = (instant: Instant) => new Date(instant).toISOString().slice(0, 16).replace('T00:00', '');
  const seats = quantities ? ` x${quantities.map(([, quantity]) => quantity).join(',')}` : '';
  const name = item === 'plan' ? planVersionId : `${item}:${planVersionId}`;
  return `${timing} ${name}${seats} ${text(span.start)}..${text(span.end)} due ${text(dueAt)}`;
};

export const plan = (effectiveAt: Instant, planVersionId: string, over = {}): SubscriptionChange => ({
  kind: 'plan',
  planVersionId,
  interval: month,
  effectiveAt,
  bills: 'next',
  ...over,
});
