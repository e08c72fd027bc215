import { describe, expect, it } from 'vitest';
import type { MeterVersion } from '#schemas/stored-meter.ts';
import {
  metersPerStatementMax,
  parameterBytesMax,
  quantitiesFromRows,
  quantityStatements,
  wholeOf,
} from '../../../../rater/aggregate/quantity-query.ts';

const period = { start: Date.UTC(2026, 9, 1, 5), end: Date.UTC(2026, 10, 1) };
const plain = { version: 1, expression: null, filter: null, groupBy: [], rounding: null, percentile: null };
const sum = (code: string): MeterVersion => ({
  ...plain,
  code,
  versionId: `mtv_${code}`,
  event: 'e',
  aggregation: 'sum',
  property: 'p',
});
const spanOf = (id: string, customer = id) => ({ spanId: id, customers: [customer], period });
const query = { tenant: 't', watermark: 7n };

describe('the query for quantities', () => {
  it('is one statement for an ordinary shard', () => {
    const spans = Array.from({ length: 250 }, (_, index) => spanOf(`sub_${index}`));
    expect(quantityStatements({ ...query, spans, measures: [sum('a'), sum('b')].map(wholeOf) })).toHaveLength(1);
  });

  it('asks for nothing where there is nothing to ask', () => {
    expect(quantityStatements({ ...query, spans: [], measures: [wholeOf(sum('a'))] })).toEqual([]);
    expect(quantityStatements({ ...query, spans: [spanOf('s')], measures: [] })).toEqual([]);
  });

  it('is cut so that no parameter passes the bound, and each span and meter meet exactly once', () => {
    const spans = Array.from({ length: 300 }, (_, index) => spanOf(`sub_${index}`, `${'漢'.repeat(200)}${index}`));
    const meters = Array.from({ length: metersPerStatementMax * 2 + 1 }, (_, index) => sum(`m${index}`));
    const statements = quantityStatements({ ...query, spans, measures: meters.map(wholeOf) });
    const met = statements.flatMap(({ params, measures: asked }) =>
      (params.spans as string[]).flatMap((id) => asked.map(({ meter }) => `${id} ${meter.code}`)),
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
    const [statement] = quantityStatements({ ...query, spans: [spanOf('s')], measures: [wholeOf(sum('a'))] });
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
      spans: [spanOf(hostile)],
      measures: [
        { ...plain, code: hostile, versionId: hostile, event: hostile, aggregation: 'sum', property: hostile },
        {
          ...plain,
          code: 'c',
          versionId: 'mtv_c',
          event: hostile,
          aggregation: 'count',
          property: null,
          filter: { property: hostile, operator: 'in', value: [hostile] },
        },
      ].map((meter) => wholeOf(meter as MeterVersion)),
    });
    expect(statement?.query).not.toContain('DROP');
  });

  it('a property that many meters read is selected once, and no other', () => {
    const [statement] = quantityStatements({
      ...query,
      spans: [spanOf('s')],
      measures: [sum('a'), sum('b')].map(wholeOf),
    });
    expect(statement?.query.match(/properties\./g)).toHaveLength(1);
    expect(Object.values(statement?.params ?? {}).filter((value) => value === 'p')).toHaveLength(1);
  });

  it('levels are read from the first event on, by a statement of their own', () => {
    const level: MeterVersion = { ...sum('level'), aggregation: 'weighted_sum' };
    const statements = quantityStatements({ ...query, spans: [spanOf('s')], measures: [level, sum('a')].map(wholeOf) });
    expect(
      statements.map(({ measures, query: text }) => [measures[0]?.meter.code, text.includes('{start:Int64}')]),
    ).toEqual([
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
    const meters = Array.from({ length: 30 }, (_, index): MeterVersion => {
      const own = conditions.map((one) => ({ ...one, property: `${one.property}.${index}` }));
      return { ...sum(`m${index}`), filter: { and: own } };
    });
    const statements = quantityStatements({ ...query, spans: [spanOf('s')], measures: meters.map(wholeOf) });
    expect(statements.flatMap((one) => one.measures.map(({ meter }) => meter.code))).toEqual(
      meters.map(({ code }) => code),
    );
    for (const { params } of statements) expect(Object.keys(params).length).toBeLessThan(900);
  });

  it('a meter without any value is charged as zero', () => {
    const max: MeterVersion = { ...sum('max'), aggregation: 'max' };
    const [statement] = quantityStatements({ ...query, spans: [spanOf('s')], measures: [wholeOf(max)] });
    if (!statement) throw new Error('expected a statement');
    const quantities = quantitiesFromRows([
      { statement, rows: [{ span: 's', result_extreme_0: null, unmeasured_0: '2' }] },
    ]);
    expect(quantities.get('s')?.get('mtv_max')).toEqual({ quantity: '0', unmeasuredEvents: 2n });
  });

  it('answers of several statements are put together', () => {
    const [first, second] = quantityStatements({
      ...query,
      spans: [spanOf('s')],
      measures: Array.from({ length: metersPerStatementMax + 1 }, (_, index) => wholeOf(sum(`m${index}`))),
    });
    if (!first || !second) throw new Error('expected two statements');
    const quantities = quantitiesFromRows([
      { statement: first, rows: [{ span: 's', result_sum_0: '1500000000000', unmeasured_0: '0' }] },
      { statement: second, rows: [{ span: 's', result_sum_0: '2000000000000', unmeasured_0: '3' }] },
    ]);
    expect(quantities.get('s')?.get('mtv_m0')).toEqual({ quantity: '1.5', unmeasuredEvents: 0n });
    expect(quantities.get('s')?.get(`mtv_m${metersPerStatementMax}`)).toEqual({ quantity: '2', unmeasuredEvents: 3n });
  });
});
