/**
 * What a price asks of usage beyond one quantity, over a real store: the parts that it answers, priced, are to the last
 * digit what the events cost one by one.
 */
import { Decimal } from 'decimal.js';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { formatPreciseAmount } from '#schemas/money.ts';
import type { Charge } from '#schemas/plan.ts';
import { parseQuantity, type Quantity } from '#schemas/quantity.ts';
import type { MeterVersion } from '#schemas/stored-meter.ts';
import { rateCharge, ratePlan } from '../../../rater/price/rate.ts';
import type { ChargeUsage } from '../../../rater/price/rating-task.ts';
import { usageOfEvents } from '../../../rater/price/usage-of-events.ts';
import { createReadFromEvents } from '../../../rater/quantities/quantities.clickhouse.ts';
import { measuresOf, ownPrices } from '../../../rater/run/measures.ts';
import { parties } from '../../support/invoice-examples.ts';
import { type MeteringStore, openMeteringStore } from '../../support/metering-store.ts';
import { priceOf } from '../../support/prices.ts';
import { scaled } from '../../support/scale.ts';

const Exact = Decimal.clone({ precision: 200 });

let readQuantities: ReturnType<typeof createReadFromEvents>;
let clickhouse: MeteringStore['clickhouse'];
let store: MeteringStore['store'];
beforeAll(async () => {
  ({ clickhouse, store } = await openMeteringStore(inject('serverUrls'), 30_000));
  readQuantities = createReadFromEvents(clickhouse);
});
afterAll(() => clickhouse?.close());

type Sold = {
  readonly value: string;
  readonly cost: string;
  readonly model: string | null;
  readonly region: string | null;
  readonly second: number;
};

const decimals = (bound: number) =>
  fc
    .tuple(fc.integer({ min: -bound, max: bound * 8 }), fc.integer({ min: 0, max: 4 }))
    .map(([digits, places]) => new Exact(digits).div(new Exact(10).pow(places)).toFixed());
const sales: fc.Arbitrary<readonly Sold[]> = fc.array(
  fc.record({
    value: decimals(2_000),
    cost: decimals(10),
    // Such names would be taken for others if a key were a text without lengths.
    model: fc.constantFrom(null, '', 'a', '1:a', 'a1:', 'ü', '*'),
    region: fc.constantFrom(null, 'x', '1:x', 'y'),
    second: fc.integer({ min: 0, max: 5 }),
  }),
  { minLength: 1, maxLength: 25 },
);

const meter: MeterVersion = {
  code: 'sales',
  version: 1,
  versionId: 'mtv_sales',
  event: 'sale',
  aggregation: 'sum',
  property: 'value',
  expression: null,
  filter: null,
  groupBy: ['model', 'region'],
  rounding: null,
  percentile: null,
};

const keyOf = (index: number): string => `k-${String(index).padStart(3, '0')}`;

/** Stores the sales in another order than that of their time, and rates them at `price` through the store. */
const rated = async (sold: readonly Sold[], prices: readonly unknown[]): Promise<string[]> => {
  const events = sold
    .map(({ value, cost, model, region, second }, index) => ({
      event: 'sale',
      customer: 'c',
      key: keyOf(index),
      occurredAtMs: parties.span.start + second * 1_000,
      properties: new Map(
        Object.entries({ value, 'order.cost': cost, model, region }).filter(
          (pair): pair is [string, string] => pair[1] !== null,
        ),
      ),
    }))
    .toReversed()
    .map((event, index) => ({ ...event, sequence: index + 1 }));
  const tenant = await store({
    events,
    voids: [],
    messages: events.map((event) => ({ sequence: event.sequence, event, amends: null })),
  });
  const charges = prices.map((json, index): Charge => {
    const code = `charge-${index}`;
    return { code, name: code, meter: 'sales', price: priceOf(json) };
  });
  const period = { ...parties, charges };
  const asked = { ...period, priceSpans: ownPrices };
  const { measures, spans, usageIn } = measuresOf([asked], [{ planVersionId: parties.planVersionId, meter }]);
  const quantities = await readQuantities({
    tenant,
    watermark: BigInt(events.length),
    spans: spans.map(({ spanId, period: time }) => ({ spanId, customers: ['c'], period: time })),
    measures,
  });
  const usageOf = usageIn(quantities);
  const usage = charges.flatMap((charge): [string, ChargeUsage][] => {
    const found = usageOf(asked, charge);
    return found ? [[charge.code, found]] : [];
  });
  const lines = ratePlan({ ...period, usage: Object.fromEntries(usage) }, { rounding: 'half_up' });
  // The code that previews prices means the same.
  const inOrder = events
    .toSorted((a, b) => a.occurredAtMs - b.occurredAtMs || (a.key < b.key ? -1 : 1))
    .map(({ properties }) => ({ value: parseQuantity(properties.get('value') ?? '') as Quantity, properties }));
  const previewed = charges.map((charge) =>
    rateCharge(charge, usageOfEvents(charge.price, inOrder), 'USD', { rounding: 'half_up' }),
  );
  expect(previewed.map(({ steps }) => steps)).toEqual(lines.map(({ steps }) => steps));
  return lines.map(({ precise }) => formatPreciseAmount(precise));
};

const inTime = (sold: readonly Sold[]): Sold[] =>
  sold
    .map((sale, index) => ({ sale, index }))
    .toSorted((a, b) => a.sale.second - b.sale.second || a.index - b.index)
    .map(({ sale }) => sale);

const sum = (terms: readonly Decimal[]): string =>
  terms.reduce((total, term) => total.add(term), new Exact(0)).toFixed();
const runs = (count: number) => ({ numRuns: scaled(count), endOnFailure: true });

it('[I13] events with a price each cost what they cost one by one, the first of them in time nothing', async () => {
  const terms = fc.record({
    percent: fc.constantFrom('0', '2.9', '100', '0.0000000001'),
    fixed: fc.constantFrom('0', '0.3', '0.000000000001'),
    minimum: fc.constantFrom(null, '0.5', '3'),
    maximum: fc.constantFrom(null, '3', '20'),
    free: fc.integer({ min: 0, max: 3 }),
  });
  await fc.assert(
    fc.asyncProperty(sales, fc.array(terms, { minLength: 2, maxLength: 3 }), async (sold, many) => {
      const prices = many.map(({ percent, fixed, minimum, maximum, free }) => ({
        model: 'percentage',
        percent,
        fixed_amount: fixed,
        free_events: free,
        ...(minimum !== null && { event_minimum_amount: minimum }),
        ...(maximum !== null && { event_maximum_amount: maximum }),
      }));
      const expected = many.map(({ percent, fixed, minimum, maximum, free }) => {
        const whole = fixed === '0' && minimum === null && maximum === null && free === 0;
        const costs = inTime(sold).map(({ value }, index) => {
          const share = new Exact(value).mul(percent).div(100).add(fixed);
          if (whole) return share;
          if (index < free || new Exact(value).lt(0)) return new Exact(0);
          return Exact.min(Exact.max(share, minimum ?? share), maximum ?? Number.POSITIVE_INFINITY);
        });
        const total = sum(costs);
        return total.startsWith('-') ? '0' : total;
      });
      expect(await rated(sold, prices), JSON.stringify([sold, prices])).toEqual(expected);
    }),
    runs(25),
  );
}, 300_000);

it('[I13] each event costs the price of the most exact cell that it matches, or the default price', async () => {
  const cells = [
    [{ model: 'a' }, '2'],
    [{ model: 'a', region: 'x' }, '3'],
    [{ region: 'x' }, '5'],
    [{ model: '1:a', region: '1:x' }, '7'],
    [{ model: 'ü' }, '11'],
    [{ model: 'a1:', region: 'x' }, '13'],
  ] as const;
  const price = {
    model: 'matrix',
    dimensions: ['model', 'region'],
    cells: cells.map(([match, amount]) => ({ match, price: { model: 'per_unit', unit_amount: amount } })),
    default_price: { model: 'per_unit', unit_amount: '17' },
  };
  // Two named before one, and of one the model before the region.
  const rankOf = (match: object): number => Object.keys(match).length * 2 + ('model' in match ? 1 : 0);
  const amountOf = ({ model, region }: Sold): string => {
    const ordered = cells.toSorted(([a], [b]) => rankOf(b) - rankOf(a));
    const found = ordered.find(([match]) => {
      const named: { readonly model?: string; readonly region?: string } = match;
      return (named.model ?? model) === model && (named.region ?? region) === region;
    });
    return found?.[1] ?? '17';
  };
  await fc.assert(
    fc.asyncProperty(sales, async (signed) => {
      // Of what is below zero in a cell only its sum is priced.
      const sold = signed.map((sale) => ({ ...sale, value: sale.value.replace('-', '') }));
      const expected = sum(sold.map((sale) => new Exact(sale.value).mul(amountOf(sale))));
      expect(await rated(sold, [price]), JSON.stringify(sold)).toEqual([expected]);
    }),
    runs(25),
  );
}, 300_000);

it('[I13] events that say their own price cost its sum times the factor', async () => {
  const prices = [
    { model: 'dynamic', amount_property: 'order.cost' },
    { model: 'dynamic', amount_property: 'order.cost', factor: '1.2' },
    { model: 'per_unit', unit_amount: '1' },
  ];
  await fc.assert(
    fc.asyncProperty(sales, async (sold) => {
      const costs = new Exact(sum(sold.map(({ cost }) => new Exact(cost))));
      const values = new Exact(sum(sold.map(({ value }) => new Exact(value))));
      const expected = [costs, costs.mul('1.2'), values].map((total) => Exact.max(0, total).toFixed());
      expect(await rated(sold, prices), JSON.stringify(sold)).toEqual(expected);
    }),
    runs(10),
  );
}, 300_000);

it('[I13] what events say in the period is charged alone, where the level of earlier ones is carried over', async () => {
  const levels: MeterVersion = { ...meter, aggregation: 'weighted_sum' };
  const [middle, before] = [(parties.span.start + parties.span.end) / 2, parties.span.start - 86_400_000];
  const events = [before, parties.span.start - 1, parties.span.start, middle].map((occurredAtMs, index) => ({
    event: 'sale',
    customer: 'c',
    key: keyOf(index),
    occurredAtMs,
    properties: new Map([
      ['value', '1'],
      ['order.cost', `${10 ** index}`],
    ]),
    sequence: index + 1,
  }));
  const messages = events.map((event) => ({ sequence: event.sequence, event, amends: null }));
  const quantities = await readQuantities({
    tenant: await store({ events, voids: [], messages }),
    watermark: BigInt(events.length),
    spans: [{ spanId: 's', customers: ['c'], period: parties.span }],
    measures: [{ measureId: 'm', meter: levels, amountProperty: 'order.cost' }],
  });
  expect(quantities.get('s')?.get('m')).toEqual({
    quantity: '3.5',
    unmeasuredEvents: 0n,
    parts: [{ part: 'amounts', quantity: '1100', events: '0' }],
  });
});
