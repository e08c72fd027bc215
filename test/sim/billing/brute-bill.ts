/**
 * What subscriptions cost, worked out once more from docs/billing-periods.md and docs/prices.md: plain loops over what
 * was sent, decimal.js, and no code of the product.
 */
import type { Decimal } from 'decimal.js';
import { printed, rateSpans } from '../../support/brute-prices.ts';
import { Exact, type Json, type Span, type UsageEvent } from '../../support/brute-usage.ts';

/** A plan as it was sent. Charges without a meter are flat. */
export type SentPlan = {
  readonly code: string;
  readonly interval: { readonly unit: 'week' | 'month' | 'quarter'; readonly count: number };
  readonly charges: readonly Json[];
  readonly proration: 'time' | 'day';
  readonly minimum: string | undefined;
  readonly cap: string | undefined;
};

/** A subscription as it was asked for, with what was asked of it since. */
export type Subscribed = {
  readonly name: string;
  readonly customer: string;
  /** By the clock of the zone: 2024-01-31T00:00:00. */
  readonly anchor: string;
  readonly zone: string;
  readonly startMs: number;
  endMs: number | undefined;
  /** The first one from the start on. */
  readonly plans: { readonly fromMs: number; readonly plan: string }[];
};

/** What a key stood for, from a place in the stream on and before another one. */
export type SentUsage = {
  readonly key: string;
  readonly customer: string;
  readonly atMs: number;
  readonly value: string;
  readonly from: number;
  until: number;
};

export type Bill = ReadonlyMap<string, { readonly quantity: Decimal; readonly amount: Decimal }>;
/** A stretch of a billing period under one plan. */
export type Stretch = { readonly plan: string; readonly billing: Span; readonly span: Span };

const days: Readonly<Record<string, number>> = { week: 7 };
const months: Readonly<Record<string, number>> = { month: 1, quarter: 3 };

/** By cycle, those that were reckoned. */
const boundaries = new Map<string, Map<number, number>>();

/** Boundaries are counted from the anchor, one after the other. */
export const billingPeriods = (
  { interval }: SentPlan,
  { anchor, zone }: Subscribed,
  from: number,
  to: number,
): Span[] => {
  const name = `${interval.unit} ${interval.count} ${anchor} ${zone}`;
  const known = boundaries.get(name) ?? new Map<number, number>();
  boundaries.set(name, known);
  const reckon = (n: number): number => {
    const steps = n * interval.count;
    const { [interval.unit]: inMonths } = months;
    const moved = Temporal.PlainDateTime.from(anchor).add(
      inMonths ? { months: inMonths * steps } : { days: (days[interval.unit] as number) * steps },
    );
    return moved.toZonedDateTime(zone).epochMilliseconds;
  };
  const at = (n: number): number => {
    const instant = known.get(n) ?? reckon(n);
    known.set(n, instant);
    return instant;
  };
  const found: Span[] = [];
  // From about there on: the year has so many days that no guess is off by more than a few periods.
  const aboutDays = (months[interval.unit] ?? 0) * 30.44 + (days[interval.unit] ?? 0);
  let n = Math.floor((from - at(0)) / (aboutDays * interval.count * 86_400_000));
  while (at(n + 1) <= from) n += 1;
  while (at(n) > from) n -= 1;
  for (; at(n) < to; n += 1) if (at(n + 1) > from) found.push({ start: at(n), end: at(n + 1) });
  return found;
};

const endless = Number.POSITIVE_INFINITY;

/** Of all that it lasts, or of what of it is over by then; in arrears it is cut wherever the plan changes. */
export const stretchesOf = (plans: ReadonlyMap<string, SentPlan>, one: Subscribed, until: number): Stretch[] =>
  one.plans.flatMap(({ plan, fromMs }, index) => {
    const end = Math.min(one.plans[index + 1]?.fromMs ?? endless, one.endMs ?? endless, until);
    if (end <= fromMs) return [];
    return billingPeriods(plans.get(plan) as SentPlan, one, fromMs, end).map((billing) => ({
      plan,
      billing,
      span: { start: Math.max(billing.start, fromMs), end: Math.min(billing.end, end) },
    }));
  });

const round = (exact: Decimal): Decimal => new Exact(printed(exact, 'USD', 'half_up'));

const dayOf = (atMs: number, zone: string): Temporal.PlainDate =>
  Temporal.Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(zone).toPlainDate();

/** The part up to the end of the stretch less that up to its begin, each rounded. */
const partOf = (whole: string, { proration }: SentPlan, { billing, span }: Stretch, zone: string): Decimal => {
  const upTo = (atMs: number): Decimal => {
    const first = dayOf(billing.start, zone);
    const passed =
      proration === 'time' ? atMs - billing.start : first.until(dayOf(atMs, zone), { largestUnit: 'days' }).days;
    const all =
      proration === 'time'
        ? billing.end - billing.start
        : first.until(dayOf(billing.end, zone), { largestUnit: 'days' }).days;
    return round(new Exact(whole).mul(Math.min(Math.max(passed, 0), all)).div(all));
  };
  const isWhole = billing.start === span.start && billing.end === span.end;
  return isWhole ? round(new Exact(whole)) : upTo(span.end).sub(upTo(span.start));
};

const amountOf = (charge: Json): string => (charge.price as Json).amount as string;
const isInAdvance = ({ meter, timing }: Json): boolean => !meter && timing === 'advance';

/** What is in arrears of a stretch, by charge, and what brings it to the bounds of the plan. */
export const billOf = (
  plan: SentPlan,
  meters: ReadonlyMap<string, Json>,
  stretch: Stretch,
  zone: string,
  events: readonly UsageEvent[],
): Bill => {
  const bill = new Map<string, { quantity: Decimal; amount: Decimal }>();
  let sum = new Exact(0);
  for (const charge of plan.charges) {
    const flat = charge.meter ? undefined : partOf(amountOf(charge), plan, stretch, zone);
    const meter = meters.get(charge.meter as string);
    const rated =
      meter && rateSpans([{ price: charge.price as Json, span: stretch.span, tiers: 'restart' }], meter, events);
    const amount = flat ?? round(rated?.precise ?? new Exact(0));
    sum = sum.add(amount);
    if (!isInAdvance(charge)) bill.set(charge.code as string, { quantity: rated?.quantity ?? new Exact(1), amount });
  }
  const one = new Exact(1);
  const [least, most] = [plan.minimum, plan.cap].map((bound) => bound && partOf(bound, plan, stretch, zone));
  if (least && sum.lt(least)) bill.set('minimum_commitment', { quantity: one, amount: least.sub(sum) });
  else if (most && sum.gt(most)) bill.set('spend_cap', { quantity: one, amount: most.sub(sum) });
  return bill;
};

/** What is charged in advance of a stretch, whatever was charged and taken back of it on the way. */
export const feesOf = (plan: SentPlan, stretch: Stretch, zone: string): Map<string, Decimal> =>
  new Map(
    plan.charges
      .filter(isInAdvance)
      .map((charge) => [charge.code as string, partOf(amountOf(charge), plan, stretch, zone)]),
  );

/** What stood when the stream had come so far. */
export const standingAt = (sent: readonly SentUsage[], customer: string, watermark: number): UsageEvent[] => {
  const found: UsageEvent[] = [];
  for (const { key, customer: whose, atMs, value, from, until } of sent)
    if (from <= watermark && watermark < until && whose === customer)
      found.push({ key, event: 'usage', customer, atMs, properties: new Map([['n', value]]) });
  return found;
};
