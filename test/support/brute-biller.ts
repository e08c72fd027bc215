/**
 * A brute-force biller: from what was asked of an organization, in order, it works out what every answer has to say,
 * all invoices and the fate of every event. Written from the documents: docs/prices.md, metering.md, ingest.md,
 * invoices.md, corrections.md, reconciliation.md, catalog.md, price-overrides.md, cost-books.md. Plain loops over
 * everything, and no code of the product.
 */

import type { Decimal } from 'decimal.js';
import { type CreditRate, creditSpans } from './brute-credits.ts';
import { type PriceSpan, printed, type Rounding, rateSpans } from './brute-prices.ts';
import {
  amountSaid,
  Exact,
  isCounted,
  type Json,
  type Span,
  textsOf,
  type UsageEvent,
  valueOfEvent,
} from './brute-usage.ts';

/** Who is told by the external id, or by our id, which is written `@<external id>` here. */
export type SentEvent = {
  readonly key: string;
  readonly event: string;
  readonly customer: string;
  /** RFC 3339; the time of receipt where there is none. */
  readonly time?: string;
  readonly properties: Json;
  /** What is added to the body so that the event is refused. */
  readonly fault?: Json;
};
export type SentAmendment = { readonly key: string; readonly replacement?: SentEvent };
export type Month = { readonly name: string } & Span;

/** A price of a charge for a while, of everyone who has the plan or of one customer. */
export type Override = {
  readonly plan: string;
  readonly charge: string;
  readonly customer?: string;
  readonly currency: string;
  readonly price: Json;
  readonly tiers: 'restart' | 'continue';
  readonly fromMs: number;
  readonly untilMs?: number;
};

export type Step =
  /** Of lines that are rated from now on. */
  | { readonly does: 'rounding'; readonly rounding: Rounding }
  | { readonly does: 'credit unit'; readonly unit: string }
  | ({ readonly does: 'credit rate' } & CreditRate)
  | { readonly does: 'meter'; readonly meter: Json }
  | { readonly does: 'change meter'; readonly code: string; readonly fields: Json }
  | { readonly does: 'plan'; readonly plan: Json }
  | { readonly does: 'change plan'; readonly code: string; readonly charges: readonly Json[] }
  | { readonly does: 'customer'; readonly name: string }
  | {
      readonly does: 'subscription';
      readonly customer: string;
      readonly plan: string;
      readonly currency: string;
      readonly startMs: number;
    }
  | ({ readonly does: 'override' } & Override)
  /** By their number, in the order in which they were made. */
  | { readonly does: 'end subscription'; readonly subscription: number; readonly atMs: number }
  | { readonly does: 'events'; readonly events: readonly SentEvent[]; readonly inLines: boolean }
  | { readonly does: 'amend'; readonly amendments: readonly SentAmendment[] }
  /** Redis is emptied. */
  | { readonly does: 'forget' }
  | { readonly does: 'run'; readonly month: Month; readonly customer?: string };

export type BilledLine = {
  readonly model: string;
  /** Of its meter; null for a charge without one. */
  readonly aggregation: string | null;
  /** How many prices it had, one after the other. */
  readonly priceSpans: number;
  readonly charge: string;
  readonly quantity: Decimal;
  readonly precise: Decimal;
  readonly amount: string;
  readonly rounding: Rounding;
  readonly unmeasured: number;
};
export type BilledInvoice = {
  readonly subscription: number;
  readonly span: Span;
  readonly currency: string;
  readonly lines: readonly BilledLine[];
  readonly total: string;
};

type Plan = {
  readonly code: string;
  readonly charges: readonly { readonly charge: Json; readonly meter: Json | undefined }[];
  /** What a billing period costs at least and at most, over all charges, and how a part of one is charged. */
  readonly terms: Readonly<Partial<Record<BoundName, PeriodBound>>> & {
    readonly proration?: 'time' | 'day' | 'none';
  };
};
const boundNames = ['minimum_commitment', 'spend_cap'] as const;
type BoundName = (typeof boundNames)[number];
type PeriodBound = { readonly amount: string; readonly currency_options?: Readonly<Record<string, string>> };
type Subscription = {
  readonly customer: string;
  readonly plan: Plan;
  readonly currency: string;
  readonly startMs: number;
  endMs: number | undefined;
};
/** An event under its key, from one step on and before another one. */
type Version = { readonly event: UsageEvent; readonly from: number; until: number; end?: 'voided' | 'replaced' };
type Billed = {
  readonly subscription: number;
  readonly month: string;
  readonly span: Span;
  readonly watermark: number;
};

export const reasons = [
  'voided',
  'replaced',
  'no_customer',
  'no_subscription',
  'no_charge',
  'unmeasured',
  'no_amount',
  'period_open',
  'late',
] as const;
export type Fates = Record<'billed' | (typeof reasons)[number], number>;

/** What is finer than a millisecond is cut off. */
const toMs = (time: string): number => {
  const [, begin, fraction = '', offset] = /^([^.Z+]+?)(?:\.([0-9]+))?(Z|[-+][0-9]{2}:[0-9]{2})$/.exec(time) ?? [];
  return Date.parse(`${begin}${offset}`) + Number(fraction.padEnd(3, '0').slice(0, 3));
};

const isIn = ({ start, end }: Span, atMs: number): boolean => start <= atMs && atMs < end;

export const createBiller = (nowMs: number) => {
  const meters = new Map<string, Json>();
  const plans = new Map<string, Plan>();
  const customers = new Set<string>();
  const subscriptions: Subscription[] = [];
  const versions = new Map<string, Version[]>();
  const overrides: Override[] = [];
  const rates: CreditRate[] = [];
  const billed: Billed[] = [];
  const told = { received: 0, accepted: 0, duplicates: 0, conflicts: 0, rejected: 0 };
  const amended = { voided: 0, replaced: 0 };
  /** What the gateway remembers of each key. */
  let known = new Map<string, string>();
  let step = 0;
  let rounding: Rounding = 'half_up';

  const usageOf = ({ key, event, customer, time, properties }: SentEvent): UsageEvent => ({
    key,
    event,
    customer,
    atMs: time === undefined ? nowMs : toMs(time),
    properties: textsOf(properties),
  });

  /** What of two events under one key has to be the same so that they are one. */
  const payloadOf = (sent: SentEvent): string => {
    const { event, customer, atMs, properties } = usageOf(sent);
    return JSON.stringify([event, customer, sent.time === undefined ? null : atMs, [...properties].sort()]);
  };

  const planOf = (code: string, charges: readonly Json[], terms: Plan['terms']): Plan => ({
    code,
    charges: charges.map((charge) => ({ charge, meter: meters.get(charge.meter as string) })),
    terms,
  });

  const isOf = (customer: string, { customer: name }: UsageEvent): boolean =>
    name === customer || name === `@${customer}`;

  const standingAt = (watermark: number): UsageEvent[] =>
    [...versions.values()].flatMap((all) =>
      all.filter(({ from, until }) => from <= watermark && watermark < until).map(({ event }) => event),
    );

  const take = (events: readonly SentEvent[]) => {
    const answer = { accepted: 0, duplicates: 0, conflicts: 0, rejected: 0 };
    for (const sent of events) {
      if (sent.fault) {
        answer.rejected += 1;
        continue;
      }
      const payload = payloadOf(sent);
      const before = known.get(sent.key);
      if (before === undefined) answer.accepted += 1;
      else if (before === payload) answer.duplicates += 1;
      else answer.conflicts += 1;
      if (before === undefined) known.set(sent.key, payload);
      // The first event of a key stands, whatever was forgotten of it meanwhile.
      if (!versions.has(sent.key))
        versions.set(sent.key, [{ event: usageOf(sent), from: step, until: Number.POSITIVE_INFINITY }]);
    }
    told.received += events.length;
    for (const name of ['accepted', 'duplicates', 'conflicts', 'rejected'] as const) told[name] += answer[name];
    return answer;
  };

  const amend = (amendments: readonly SentAmendment[]): void => {
    for (const { key, replacement } of amendments) {
      const all = versions.get(key) as Version[];
      const last = all.at(-1) as Version;
      if (last.until > step) {
        last.until = step;
        last.end = replacement ? 'replaced' : 'voided';
      }
      amended[replacement ? 'replaced' : 'voided'] += 1;
      if (replacement)
        all.push({ event: { ...usageOf(replacement), key }, from: step, until: Number.POSITIVE_INFINITY });
    }
  };

  /** A customer's own before that of everyone; of two, the one that began later, and of these the one made later. */
  const standingOverride = (of: readonly Override[], atMs: number): Override | undefined => {
    let best: Override | undefined;
    for (const one of of) {
      if (atMs < one.fromMs || atMs >= (one.untilMs ?? Number.POSITIVE_INFINITY)) continue;
      const [own, bestOwn] = [one.customer !== undefined, best?.customer !== undefined];
      const isBetter = own === bestOwn ? one.fromMs >= (best?.fromMs ?? 0) : own;
      if (!best || isBetter) best = one;
    }
    return best;
  };

  /** Only what adds up has parts; elsewhere the price of the beginning stands for all of the time. */
  const hasParts = (meter: Json | undefined): boolean =>
    meter !== undefined && ['sum', 'count'].includes(meter.aggregation as string) && (meter.rounding ?? null) === null;

  const spansOf = (
    { charge, meter }: Plan['charges'][number],
    { plan, customer, currency }: Subscription,
    { start, end }: Span,
  ): PriceSpan[] => {
    const options = (charge.currency_options ?? {}) as Readonly<Record<string, Json>>;
    const own = options[currency] ?? (charge.price as Json);
    if (charge.credit_unit !== undefined) {
      const isCut = hasParts(meter) && ['per_unit', 'graduated', 'package'].includes(own.model as string);
      return creditSpans(own, charge.credit_unit as string, currency, { start, end }, rates, isCut);
    }
    const of = overrides.filter((one) => {
      const isOfThis = one.plan === plan.code && one.charge === charge.code && one.currency === currency;
      return isOfThis && (one.customer ?? customer) === customer;
    });
    const bounds = of
      .flatMap(({ fromMs, untilMs }) => [fromMs, untilMs ?? end])
      .filter((at) => hasParts(meter) && start < at && at < end);
    const starts = [start, ...new Set(bounds)].toSorted((a, b) => a - b);
    const spans: PriceSpan[] = [];
    let before: Override | undefined;
    for (const [index, from] of starts.entries()) {
      const override = standingOverride(of, from);
      const span = { start: from, end: starts[index + 1] ?? end };
      const last = spans.at(-1);
      if (last && override === before) spans[spans.length - 1] = { ...last, span: { ...last.span, end: span.end } };
      else spans.push({ price: override?.price ?? own, span, tiers: (override ?? before)?.tiers ?? 'restart' });
      before = override;
    }
    return spans;
  };

  /** Of an amount for a whole month: what is due up to the end of the part, less what is due up to its begin. */
  const partOf = (whole: string, { plan, currency }: Subscription, span: Span, month: Span): Decimal => {
    const unit = { time: 1, day: 86_400_000, none: 0 }[plan.terms.proration ?? 'time'];
    if (unit === 0 || (span.start === month.start && span.end === month.end)) return new Exact(whole);
    const all = (month.end - month.start) / unit;
    const dueUntil = (atMs: number): Decimal =>
      new Exact(printed(new Exact(whole).mul(Math.floor((atMs - month.start) / unit)).div(all), currency, rounding));
    return dueUntil(span.end).sub(dueUntil(span.start));
  };

  const lineOf = (
    { charge, meter }: Plan['charges'][number],
    subscription: Subscription,
    span: Span,
    month: Span,
    events: readonly UsageEvent[],
  ): BilledLine => {
    const spans = spansOf({ charge, meter }, subscription, span);
    const { price } = spans[0] as PriceSpan;
    const counted = events.filter((event) => meter && isOf(subscription.customer, event) && isCounted(meter, event));
    const { quantity, precise, unmeasured } = meter
      ? rateSpans(spans, meter, counted)
      : { quantity: new Exact(1), precise: partOf(price.amount as string, subscription, span, month), unmeasured: 0 };
    return {
      model: price.model as string,
      aggregation: (meter?.aggregation ?? null) as string | null,
      priceSpans: meter ? spans.length : 1,
      charge: charge.code as string,
      quantity,
      precise,
      amount: printed(precise, subscription.currency, rounding),
      rounding,
      unmeasured,
    };
  };

  const totalOf = (lines: readonly BilledLine[]): Decimal =>
    lines.reduce((sum, { amount }) => sum.add(amount), new Exact(0));

  /** A line adds what is missing to the least, or takes off what is above the most. */
  const boundLines = (
    subscription: Subscription,
    span: Span,
    month: Span,
    lines: readonly BilledLine[],
  ): BilledLine[] => {
    const { plan, currency } = subscription;
    return boundNames.flatMap((name) => {
      const bound = plan.terms[name];
      const limit = bound && partOf(bound.currency_options?.[currency] ?? bound.amount, subscription, span, month);
      const over = limit && totalOf(lines).sub(limit);
      if (!over || over.isZero() || over.isNegative() !== (name === 'minimum_commitment')) return [];
      return [
        {
          model: name,
          aggregation: null,
          priceSpans: 1,
          charge: name,
          quantity: new Exact(1),
          precise: over.neg(),
          amount: printed(over.neg(), currency, rounding),
          rounding,
          unmeasured: 0,
        },
      ];
    });
  };

  /** The invoices of a run: of each subscription the part of the month that it covers, once. */
  const run = (month: Month, customer: string | undefined) => {
    const events = standingAt(step);
    const isAsked = (of: Subscription): boolean => customer === undefined || of.customer === customer;
    const before = billed.filter((one) => {
      return one.month === month.name && isAsked(subscriptions[one.subscription] as Subscription);
    });
    const invoices: BilledInvoice[] = [];
    for (const [number, subscription] of subscriptions.entries()) {
      const span = {
        start: Math.max(month.start, subscription.startMs),
        end: Math.min(month.end, subscription.endMs ?? month.end),
      };
      if (!isAsked(subscription) || span.start >= span.end) continue;
      if (before.some((one) => one.subscription === number)) continue;
      billed.push({ subscription: number, month: month.name, span, watermark: step });
      const lines = subscription.plan.charges.map((charge) => lineOf(charge, subscription, span, month, events));
      const { currency } = subscription;
      const all = [...lines, ...boundLines(subscription, span, month, lines)];
      invoices.push({
        subscription: number,
        span,
        currency,
        lines: all,
        total: printed(totalOf(all), currency, rounding),
      });
    }
    return { invoices, already: before.length };
  };

  const isCountedBy = ({ plan }: Subscription, event: UsageEvent): boolean =>
    plan.charges.some(({ meter }) => meter !== undefined && isCounted(meter, event));
  const isMeasuredBy = ({ plan }: Subscription, event: UsageEvent): boolean =>
    plan.charges.some(
      ({ meter }) => meter !== undefined && isCounted(meter, event) && valueOfEvent(meter, event) !== undefined,
    );

  /** Whether some charge has both: a value, and the amount that its price reads from the event, if it reads one. */
  const isChargedBy = (subscription: Subscription, event: UsageEvent): boolean =>
    subscription.plan.charges.some(({ charge, meter }) => {
      if (!meter || !isCounted(meter, event) || valueOfEvent(meter, event) === undefined) return false;
      const [{ price }] = spansOf({ charge, meter }, subscription, { start: event.atMs, end: event.atMs + 1 }) as [
        PriceSpan,
      ];
      return price.model !== 'dynamic' || amountSaid(price.amount_property as string, event) !== undefined;
    });

  const fateOf = ({ event, from, until, end }: Version): keyof Fates => {
    const covering = subscriptions.flatMap((subscription, number) => {
      const periods = billed.filter((one) => one.subscription === number && isIn(one.span, event.atMs));
      const covered = { start: subscription.startMs, end: subscription.endMs ?? Number.POSITIVE_INFINITY };
      const isCovered = periods.length > 0 || isIn(covered, event.atMs);
      return isOf(subscription.customer, event) && isCovered ? [{ subscription, periods }] : [];
    });
    const charged = covering.filter(({ subscription }) => isChargedBy(subscription, event));
    if (charged.some(({ periods }) => periods.some(({ watermark }) => from <= watermark && watermark < until)))
      return 'billed';
    if (end) return end;
    if (![...customers].some((customer) => isOf(customer, event))) return 'no_customer';
    if (covering.length === 0) return 'no_subscription';
    if (!covering.some(({ subscription }) => isCountedBy(subscription, event))) return 'no_charge';
    if (!covering.some(({ subscription }) => isMeasuredBy(subscription, event))) return 'unmeasured';
    if (charged.length === 0) return 'no_amount';
    return charged.some(({ periods }) => periods.length === 0) ? 'period_open' : 'late';
  };

  return {
    /** Goes one step on; of events and runs it says what is answered. */
    follow: (next: Step): { readonly taken?: ReturnType<typeof take>; readonly run?: ReturnType<typeof run> } => {
      step += 1;
      switch (next.does) {
        case 'rounding':
          rounding = next.rounding;
          return {};
        case 'credit unit':
          return {};
        case 'credit rate':
          rates.push(next);
          return {};
        case 'meter':
          meters.set(next.meter.code as string, next.meter);
          return {};
        case 'change meter':
          meters.set(next.code, { ...meters.get(next.code), ...next.fields });
          return {};
        case 'plan': {
          const { code, charges } = next.plan as { code: string; charges: readonly Json[] };
          plans.set(code, planOf(code, charges, next.plan));
          return {};
        }
        case 'change plan':
          plans.set(next.code, planOf(next.code, next.charges, (plans.get(next.code) as Plan).terms));
          return {};
        case 'customer':
          customers.add(next.name);
          return {};
        case 'subscription': {
          const { customer, currency, startMs } = next;
          subscriptions.push({ customer, plan: plans.get(next.plan) as Plan, currency, startMs, endMs: undefined });
          return {};
        }
        case 'override':
          overrides.push(next);
          return {};
        case 'end subscription':
          (subscriptions[next.subscription] as Subscription).endMs = next.atMs;
          return {};
        case 'events':
          return { taken: take(next.events) };
        case 'amend':
          amend(next.amendments);
          return {};
        case 'forget':
          known = new Map();
          return {};
        case 'run':
          return { run: run(next.month, next.customer) };
      }
    },
    /** Whether an event stands under the key, as far as the steps went; undefined where there was none. */
    stands: (key: string): boolean | undefined => {
      const last = versions.get(key)?.at(-1);
      return last && last.until > step;
    },
    /** What reconciliation has to come to. */
    conservation: () => {
      const fates = Object.fromEntries(['billed', ...reasons].map((fate) => [fate, 0])) as Fates;
      for (const version of [...versions.values()].flat()) fates[fateOf(version)] += 1;
      return { ...told, distinct: versions.size, ...amended, fates };
    },
  };
};
