import { describe, expect, it } from 'vitest';
import type { Meter } from '#schemas/meter.ts';
import {
  metersPerStatementMax,
  parameterBytesMax,
  quantitiesFromRows,
  quantityStatements,
} from '../../../../rater/aggregate/quantity-query.ts';

const period = { start: Date.UTC(2026, 9, 1, 5), end: Date.UTC(2026, 10, 1) };
const plain = { version: 1, expression: null, filter: null, groupBy: [], rounding: null, percentile: null };
const sum = (code: string): Meter => ({ ...plain, code, event: 'e', aggregation: 'sum', property: 'p' });
const subscription = (id: string, customer = id) => ({ subscriptionId: id, customers: [customer], period });
const query = { tenant: 't', watermark: 7n };

describe('the query for quantities', () => {
  it('is one statement for an ordinary shard', () => {
    const subscriptions = Array.from({ length: 250 }, (_, index) => subscription(`sub_${index}`));
    expect(quantityStatements({ ...query, subscriptions, meters: [sum('a'), sum('b')] })).toHaveLength(1);
  });

  it('asks for nothing where there is nothing to ask', () => {
    expect(quantityStatements({ ...query, subscriptions: [], meters: [sum('a')] })).toEqual([]);
    expect(quantityStatements({ ...query, subscriptions: [subscription('s')], meters: [] })).toEqual([]);
  });

  it('is cut so that no parameter passes the bound, and each subscription and meter meet exactly once', () => {
    const subscriptions = Array.from({ length: 300 }, (_, index) =>
      subscription(`sub_${index}`, `${'漢'.repeat(200)}${index}`),
    );
    const meters = Array.from({ length: metersPerStatementMax * 2 + 1 }, (_, index) => sum(`m${index}`));
    const statements = quantityStatements({ ...query, subscriptions, meters });
    const met = statements.flatMap(({ params, meters: asked }) =>
      (params.subscriptions as string[]).flatMap((id) => asked.map(({ code }) => `${id} ${code}`)),
    );
    expect(met).toHaveLength(300 * meters.length);
    expect(new Set(met).size).toBe(met.length);
    for (const { params } of statements) {
      expect(Object.keys(params).length).toBeLessThan(900);
      for (const value of Object.values(params))
        expect(encodeURIComponent(JSON.stringify(value)).length).toBeLessThan(parameterBytesMax * 1.3);
    }
  });

  it('[I12] reads whole days, and tests the exact bounds outside of FINAL', () => {
    const [statement] = quantityStatements({ ...query, subscriptions: [subscription('s')], meters: [sum('a')] });
    expect(statement?.params).toMatchObject({
      start: Date.UTC(2026, 9, 1),
      end: Date.UTC(2026, 10, 1),
      starts: [period.start],
      ends: [period.end],
    });
  });

  it('no text of the caller becomes SQL text', () => {
    const hostile = "x'); DROP TABLE usage_events; --";
    const [statement] = quantityStatements({
      tenant: hostile,
      watermark: 1n,
      subscriptions: [subscription(hostile)],
      meters: [
        { ...plain, code: hostile, event: hostile, aggregation: 'sum', property: hostile },
        {
          ...plain,
          code: 'c',
          event: hostile,
          aggregation: 'count',
          property: null,
          filter: { property: hostile, operator: 'in', value: [hostile] },
        },
      ],
    });
    expect(statement?.query).not.toContain('DROP');
  });

  it('a property that many meters read is selected once, and no other', () => {
    const [statement] = quantityStatements({
      ...query,
      subscriptions: [subscription('s')],
      meters: [sum('a'), sum('b')],
    });
    expect(statement?.query.match(/properties\./g)).toHaveLength(1);
    expect(Object.values(statement?.params ?? {}).filter((value) => value === 'p')).toHaveLength(1);
  });

  it('levels are read from the first event on, by a statement of their own', () => {
    const level: Meter = { ...sum('level'), aggregation: 'weighted_sum' };
    const statements = quantityStatements({ ...query, subscriptions: [subscription('s')], meters: [level, sum('a')] });
    expect(statements.map(({ meters, query: text }) => [meters[0]?.code, text.includes('{start:Int64}')])).toEqual([
      ['a', true],
      ['level', false],
    ]);
  });

  it('meters with long filters and expressions are cut so that a statement has fewer than 1,000 parameters', () => {
    const conditions = Array.from({ length: 50 }, (_, index) => ({
      property: `p${index}`,
      operator: 'eq' as const,
      value: 'v',
    }));
    const meters = Array.from({ length: 30 }, (_, index): Meter => {
      const own = conditions.map((one) => ({ ...one, property: `${one.property}.${index}` }));
      return { ...sum(`m${index}`), filter: { and: own } };
    });
    const statements = quantityStatements({ ...query, subscriptions: [subscription('s')], meters });
    expect(statements.flatMap((one) => one.meters.map(({ code }) => code))).toEqual(meters.map(({ code }) => code));
    for (const { params } of statements) expect(Object.keys(params).length).toBeLessThan(900);
  });

  it('a meter without any value is charged as zero', () => {
    const max: Meter = { ...sum('max'), aggregation: 'max' };
    const [statement] = quantityStatements({ ...query, subscriptions: [subscription('s')], meters: [max] });
    if (!statement) throw new Error('expected a statement');
    const quantities = quantitiesFromRows([
      { statement, rows: [{ subscription: 's', result_extreme_0: null, unmeasured_0: '2' }] },
    ]);
    expect(quantities.get('s')?.get('max')).toEqual({ quantity: '0', unmeasuredEvents: 2n });
  });

  it('answers of several statements are put together', () => {
    const [first, second] = quantityStatements({
      ...query,
      subscriptions: [subscription('s')],
      meters: Array.from({ length: metersPerStatementMax + 1 }, (_, index) => sum(`m${index}`)),
    });
    if (!first || !second) throw new Error('expected two statements');
    const quantities = quantitiesFromRows([
      { statement: first, rows: [{ subscription: 's', result_sum_0: '1500000000000', unmeasured_0: '0' }] },
      { statement: second, rows: [{ subscription: 's', result_sum_0: '2000000000000', unmeasured_0: '3' }] },
    ]);
    expect(quantities.get('s')?.get('m0')).toEqual({ quantity: '1.5', unmeasuredEvents: 0n });
    expect(quantities.get('s')?.get(`m${metersPerStatementMax}`)).toEqual({ quantity: '2', unmeasuredEvents: 3n });
  });
});
