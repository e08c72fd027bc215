import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type CoveredSpan,
  chargesName,
  coveredSpans,
  type KnownSubscription,
  usageCustomers,
} from '../../../../api/events/billed-usage.ts';
import { fateStatements } from '../../../../api/events/fate-query.ts';
import { plainTerms } from '../../../support/plain-terms.ts';

const subscription = (some: Partial<KnownSubscription>): KnownSubscription => ({
  ...plainTerms({ startedAt: 10 }),
  names: ['cus_1', 'acme'],
  currency: 'USD',
  periods: [],
  ...some,
});
const period = (start: number, end: number, watermark: bigint) => ({
  span: { start, end },
  watermark,
  planVersionId: 'plv_1',
  item: 'plan',
  interval: undefined,
});
const noIntervals = () => [];
const month = { unit: 'month', count: 1 } as const;
const shown = (spans: readonly CoveredSpan[]) => spans.map(({ start, end, watermark }) => [start, end, watermark]);
const never = Date.UTC(9999, 11, 31);

describe('the spans of a subscription', () => {
  it.each<[string, Partial<KnownSubscription>, [number, number, bigint][]]>([
    ['without an invoice', {}, [[10, never, 0n]]],
    ['that ended', { endedAt: 20 }, [[10, 20, 0n]]],
    [
      'that is billed up to a point',
      { periods: [period(10, 15, 7n)] },
      [
        [10, 15, 7n],
        [15, never, 0n],
      ],
    ],
    [
      'that is billed with a gap, in whatever order',
      {
        endedAt: 50,
        periods: [period(30, 40, 9n), period(10, 20, 7n)],
      },
      [
        [10, 20, 7n],
        [20, 30, 0n],
        [30, 40, 9n],
        [40, 50, 0n],
      ],
    ],
    [
      'that was ended before what is billed: the invoice stands, and its events are on it',
      { endedAt: 20, periods: [period(10, 30, 7n)] },
      [[10, 30, 7n]],
    ],
    [
      'that was ended within what is billed first',
      { endedAt: 20, periods: [period(15, 30, 7n), period(30, 40, 9n)] },
      [
        [10, 15, 0n],
        [15, 30, 7n],
        [30, 40, 9n],
      ],
    ],
  ])('%s', (_, some, expected) => {
    expect(shown(coveredSpans(subscription(some), noIntervals))).toEqual(expected);
  });

  it('hold each instant once: of what is billed, and of the rest what the subscription covers as open', () => {
    const gapAndLength = fc.tuple(fc.integer({ min: 0, max: 5 }), fc.integer({ min: 1, max: 8 }));
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 20 }),
        fc.integer({ min: 1, max: 20 }),
        fc.integer({ min: 0, max: 20 }),
        fc.array(gapAndLength, { maxLength: 4 }),
        (from, length, first, some) => {
          let at = first;
          const periods = some.map(([gap, of], index) => {
            const one = period(at + gap, at + gap + of, BigInt(index + 1));
            at += gap + of;
            return one;
          });
          const spans = coveredSpans(subscription({ startedAt: from, endedAt: from + length, periods }), noIntervals);
          for (let instant = 0; instant < 80; instant += 1) {
            const billed = periods.filter(({ span }) => span.start <= instant && instant < span.end);
            const isCovered = instant >= from && instant < from + length;
            const expected = billed.length > 0 ? billed.map(({ watermark }) => watermark) : isCovered ? [0n] : [];
            const found = spans.filter(({ start, end }) => start <= instant && instant < end);
            expect(found.map(({ watermark }) => watermark)).toEqual(expected);
          }
        },
      ),
    );
  });
});

describe('names of customers', () => {
  it('get the spans of everyone that they may mean, once each', () => {
    const one = subscription({ names: ['cus_1', 'cus_2'], endedAt: 20 });
    const two = subscription({ names: ['cus_2', 'cus_2'], startedAt: 30, endedAt: 40, planVersionId: 'plv_2' });
    const known = new Set(['cus_1', 'cus_2', 'cus_3']);
    const found = usageCustomers([...known, 'cus_4'], known, [one, two], () => noIntervals);
    expect(
      found.map(({ name, isKnown, spans }) => [name, isKnown, spans.map(({ planVersionId }) => planVersionId)]),
    ).toEqual([
      ['cus_1', true, ['plv_1']],
      ['cus_2', true, ['plv_1', 'plv_2']],
      ['cus_3', true, []],
      ['cus_4', false, []],
    ]);
  });
});

describe('the statements of fates', () => {
  const span = (planVersionId: string): CoveredSpan => ({
    start: 1_760_000_000_000,
    end: 1_770_000_000_000,
    watermark: 2n ** 60n,
    planVersionId,
    interval: undefined,
    currency: 'USD',
  });
  const wanted = { tenant: 'org_1', watermark: 5n, from: 0, to: 1 };
  const encoded = (value: unknown) =>
    encodeURIComponent(JSON.stringify(value, (_, one) => (typeof one === 'bigint' ? one.toString() : one))).length;

  it('take every customer once, and no parameter is larger than ClickHouse takes', () => {
    const customers = Array.from({ length: 6_000 }, (_, index) => ({
      name: `${'日'.repeat(index % 50)}${index}`,
      isKnown: true,
      spans: Array.from({ length: index % 30 }, () => span('plv_1')),
    }));
    const statements = fateStatements({ ...wanted, customers, meters: new Map() });
    expect(statements.length).toBeGreaterThan(10);
    expect(statements.flatMap(({ params }) => params.customers)).toEqual(customers.map(({ name }) => name));
    for (const { params } of statements)
      for (const value of Object.values(params)) expect(encoded(value)).toBeLessThan(131_072);
  });

  it('are cut where the meters of their plans would be too many parameters', () => {
    const of = (plan: string) => ({
      version: 1,
      expression: null,
      filter: null,
      groupBy: [],
      rounding: null,
      percentile: null,
      code: plan,
    });
    const plans = Array.from({ length: 50 }, (_, index) => `plv_${index}`);
    const meters = new Map(
      plans.map((plan) => [
        chargesName(span(plan)),
        Array.from({ length: 30 }, (_, index) => ({
          meter: {
            ...of(plan),
            event: `e${index}`,
            aggregation: 'sum' as const,
            property: `${plan}.p${index}`,
          },
          amountProperty: undefined,
          interval: month,
        })),
      ]),
    );
    const customers = plans.map((plan) => ({ name: plan, isKnown: true, spans: [span(plan)] }));
    const statements = fateStatements({ ...wanted, customers, meters });
    expect(statements.length).toBeGreaterThan(1);
    expect(statements.flatMap(({ params }) => params.customers)).toEqual(plans);
    for (const { params } of statements) expect(Object.keys(params).length).toBeLessThan(1_000);
  });

  it('have no word of a caller in their text', () => {
    const hostile = "'; DROP TABLE usage_events; --";
    const meter = {
      version: 1,
      expression: null,
      groupBy: [],
      rounding: null,
      percentile: null,
      code: hostile,
      event: hostile,
    };
    const filter = { property: `a.${hostile}`, operator: 'eq' as const, value: hostile };
    const charged = {
      meter: { ...meter, filter, aggregation: 'sum' as const, property: hostile },
      amountProperty: `b.${hostile}`,
      interval: month,
    };
    const meters = new Map([[chargesName(span(hostile)), [charged]]]);
    const customers = [{ name: hostile, isKnown: true, spans: [span(hostile)] }];
    const [statement] = fateStatements({ ...wanted, tenant: hostile, customers, meters });
    expect(statement?.query).not.toContain('DROP');
  });

  it('of nobody are none', () => {
    expect(fateStatements({ ...wanted, customers: [], meters: new Map() })).toEqual([]);
  });
});
