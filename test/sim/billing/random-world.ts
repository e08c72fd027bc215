/** A random organization: plans, customers and subscriptions, as they are sent, and as the tables hold them. */
import assert from 'node:assert/strict';
import { type Amount, parseAmount } from '#schemas/money.ts';
import { planTermsFromJson, planTermsToJson } from '#schemas/plan.ts';
import { meterOf } from '#schemas/stored-meter.ts';
import { type Percentage, parsePercentage } from '#schemas/tax-rate.ts';
import type { Json } from '../../support/brute-usage.ts';
import type { Random } from '../scheduler.ts';
import type { SentPlan, Subscribed } from './brute-bill.ts';
import type { Tables } from './tables.ts';

export const startMs = Date.UTC(2024, 0, 20, 10);
const dayMs = 86_400_000;

export const meters: ReadonlyMap<string, Json> = new Map([
  ['units', { code: 'units', event: 'usage', aggregation: 'sum', property: 'n' }],
  ['calls', { code: 'calls', event: 'usage', aggregation: 'count' }],
]);

const addMeters = (tables: Tables): void => {
  for (const [code, { code: _code, ...definition }] of meters)
    tables.meters.push(meterOf({ code, versionNumber: 1, versionId: `mtv_${code}`, definition }));
};

const cents = (random: Random, most: number): string =>
  `${random.below(most)}.${String(random.below(100)).padStart(2, '0')}`;
const small = (random: Random): string => `0.${String(1 + random.below(9_999)).padStart(4, '0')}`;

const randomPrice = (random: Random): Json => {
  const tier = (upTo: string | null): Json => ({
    up_to: upTo,
    unit_amount: small(random),
    ...(random.chance(0.3) && { flat_amount: cents(random, 3) }),
  });
  const tiers = () => [tier(String(1 + random.below(20))), tier(String(30 + random.below(60))), tier(null)];
  switch (random.below(6)) {
    case 0:
      return { model: 'graduated', tiers: tiers() };
    case 1:
      return { model: 'volume', tiers: tiers() };
    case 2:
      return { model: 'package', package_size: String(2 + random.below(20)), package_amount: cents(random, 4) };
    case 3:
      return { model: 'per_unit', unit_amount: small(random), free_units: String(random.below(12)) };
    case 4:
      return { model: 'per_unit', unit_amount: small(random), minimum_amount: cents(random, 3) };
    default:
      return { model: 'per_unit', unit_amount: small(random) };
  }
};

const addPlan = (tables: Tables, random: Random, index: number, interval: SentPlan['interval']): SentPlan => {
  const code = `plan_${index}`;
  const flat = (of: string, timing: string): Json => ({
    code: of,
    name: of,
    billing_interval: interval,
    timing,
    price: { model: 'flat', amount: cents(random, 40) },
  });
  const charges: Json[] = [
    ...(random.chance(0.6) ? [flat('fee', 'advance')] : []),
    ...(random.chance(0.25) ? [flat('support', 'arrears')] : []),
    { code: 'units', name: 'Units', meter: 'units', billing_interval: interval, price: randomPrice(random) },
    ...(random.chance(0.4)
      ? [{ code: 'calls', name: 'Calls', meter: 'calls', billing_interval: interval, price: randomPrice(random) }]
      : []),
  ];
  const minimum = random.chance(0.2) ? cents(random, 30) : undefined;
  const cap = minimum === undefined && random.chance(0.2) ? cents(random, 30) : undefined;
  const proration = random.chance(0.7) ? 'time' : 'day';
  const read = planTermsFromJson({
    currency: 'USD',
    charges,
    proration,
    late_usage: random.pick(policies),
    ...(minimum && { minimum_commitment: { amount: minimum } }),
    ...(cap && { spend_cap: { amount: cap } }),
  });
  assert(read.ok, read.ok ? '' : JSON.stringify(read.faults));
  const { currency: _currency, charges: stored, ...terms } = planTermsToJson(read.value);
  tables.plans.set(code, { id: code, planId: `of_${code}`, charges: stored, terms });
  return { code, interval, charges, proration, minimum, cap };
};

const policies = [
  'bill_next',
  'bill_next',
  'bill_next',
  'credit_note',
  'credit_note',
  'credit_note',
  'report_only',
] as const;

const zones = ['UTC', 'UTC', 'Europe/Berlin', 'America/New_York', 'Pacific/Chatham'];

const anchorsOf = (random: Random, unit: string, zone: string, atMs: number): string => {
  const calendar = unit === 'week' ? '2000-01-03T00:00:00.000' : '2000-01-01T00:00:00.000';
  const local = Temporal.Instant.fromEpochMilliseconds(atMs).toZonedDateTimeISO(zone).toPlainDateTime();
  const anniversary = local.toString({ smallestUnit: 'millisecond' });
  return random.pick([calendar, calendar, anniversary, '2024-01-31T00:00:00.000']);
};

export type Facts = {
  readonly plans: ReadonlyMap<string, SentPlan>;
  readonly subscribed: readonly Subscribed[];
};

const addSubscription = (
  tables: Tables,
  random: Random,
  { plan, customer, name }: { readonly plan: SentPlan; readonly customer: string; readonly name: string },
): Subscribed => {
  const zone = tables.customers.get(customer)?.timeZone ?? 'UTC';
  const begin = startMs - random.below(12) * dayMs - (random.chance(0.5) ? random.below(dayMs) : 0);
  const anchor = anchorsOf(random, plan.interval.unit, zone, begin);
  tables.subscriptions.set(name, {
    id: name,
    customerId: customer,
    cutUntil: null,
    nextDueAt: begin,
    terms: {
      startedAt: begin,
      endedAt: null,
      planVersionId: plan.code,
      seats: 1,
      trialEndsAt: null,
      refundsAtEnd: true,
      cycle: { interval: plan.interval, anchor, timeZone: zone },
      changes: [],
    },
  });
  const plans = [{ fromMs: begin, plan: plan.code }];
  return { name, customer, anchor, zone, startMs: begin, endMs: undefined, plans };
};

export const addDiscount = (tables: Tables, random: Random, customerId: string, nowMs: number): void => {
  const id = `dsc_${tables.discounts.length}`;
  const duration = random.pick(['once', 'repeating', 'forever'] as const);
  tables.discounts.push({
    id,
    couponId: `of_${id}`,
    name: id,
    customerId,
    subscriptionId: null,
    startedAt: nowMs,
    endedAt: null,
    expiresAt: null,
    value: random.chance(0.6)
      ? { kind: 'percentage', percentage: parsePercentage(String(1 + random.below(60))) as Percentage }
      : { kind: 'amount', amount: parseAmount(cents(random, 20)) as Amount, currency: 'USD' },
    duration,
    durationPeriods: duration === 'repeating' ? 1 + random.below(3) : null,
    appliesTo: { chargeCodes: [], planIds: [], chargeKinds: [] },
  });
};

/** Another percentage is another rate; the one before ends when it begins. */
export const changeTaxRate = (tables: Tables, random: Random, nowMs: number): void => {
  const last = tables.taxRates.at(-1);
  if (last) tables.taxRates[tables.taxRates.length - 1] = { ...last, validUntil: nowMs };
  const id = `txr_${tables.taxRates.length}`;
  tables.taxRates.push({
    id,
    code: id,
    name: id,
    country: null,
    state: null,
    taxCategory: null,
    validUntil: null,
    percentage: parsePercentage(random.pick(['19', '7', '8.875', '20'])) as Percentage,
    inclusive: last?.inclusive ?? random.chance(0.4),
    validFrom: last ? nowMs : null,
  });
  for (const [key, customer] of tables.customers)
    if (customer.taxRateIds.length > 0)
      tables.customers.set(key, { ...customer, taxRateIds: [...customer.taxRateIds, id] });
};

/** How much there is of everything. */
export type Scope = { readonly hasDiscounts: boolean; readonly hasTaxes: boolean };

export const addWorld = (tables: Tables, random: Random, scope: Scope): Facts => {
  addMeters(tables);
  tables.graceMs = random.pick([0, 3_600_000]);
  tables.taxRounding = random.pick(['line', 'invoice']);
  const interval = random.pick([
    { unit: 'month', count: 1 },
    { unit: 'month', count: 1 },
    { unit: 'week', count: 2 },
  ] as const);
  const plans = Array.from({ length: 1 + random.below(3) }, (_, index) => addPlan(tables, random, index, interval));
  if (scope.hasTaxes) changeTaxRate(tables, random, startMs);
  const subscribed: Subscribed[] = [];
  for (const customer of ['acme', 'bolt', 'coco'].slice(0, 1 + random.below(3))) {
    const clockId = random.chance(0.15) ? `clk_${customer}` : null;
    if (clockId) tables.clocks.set(clockId, { id: clockId, now: startMs, target: startMs, failure: undefined });
    tables.customers.set(customer, {
      id: customer,
      externalId: `their ${customer}`,
      clockId,
      isConsolidated: random.chance(0.3),
      timeZone: random.pick(zones),
      taxRateIds: scope.hasTaxes ? tables.taxRates.map(({ id }) => id) : [],
    });
    for (let count = 1 + random.below(2); count > 0; count -= 1)
      subscribed.push(
        addSubscription(tables, random, { plan: random.pick(plans), customer, name: `sub_${subscribed.length}` }),
      );
    if (scope.hasDiscounts && random.chance(0.6)) addDiscount(tables, random, customer, startMs);
  }
  return { plans: new Map(plans.map((plan) => [plan.code, plan])), subscribed };
};
