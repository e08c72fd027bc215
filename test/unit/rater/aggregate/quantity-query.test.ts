import { describe, expect, it } from 'vitest';
import type { Meter } from '#schemas/meter.ts';
import {
  metersPerStatementMax,
  parameterBytesMax,
  quantitiesFromRows,
  quantityStatements,
} from '../../../../rater/aggregate/quantity-query.ts';

const period = { start: Date.UTC(2026, 9, 1, 5), end: Date.UTC(2026, 10, 1) };
const sum = (code: string): Meter => ({ code, event: 'e', aggregation: 'sum', property: 'p' });
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
    const subscriptions = Array.from({ length: 300 }, (_, index) => subscription(`sub_${index}`, `${'漢'.repeat(200)}${index}`));
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
        { code: hostile, event: hostile, aggregation: 'sum', property: hostile },
        { code: 'c', event: hostile, aggregation: 'count', property: null },
      ],
    });
    expect(statement?.query).not.toContain('DROP');
  });

  it('answers of several statements are put together', () => {
    const [first, second] = quantityStatements({
      ...query,
      subscriptions: [subscription('s')],
      meters: Array.from({ length: metersPerStatementMax + 1 }, (_, index) => sum(`m${index}`)),
    });
    if (!first || !second) throw new Error('expected two statements');
    const quantities = quantitiesFromRows([
      { statement: first, rows: [{ subscription: 's', quantity_0: '1.5', unmeasured_0: '0' }] },
      { statement: second, rows: [{ subscription: 's', quantity_0: '2', unmeasured_0: '3' }] },
    ]);
    expect(quantities.get('s')?.get('m0')).toEqual({ quantity: '1.5', unmeasuredEvents: 0n });
    expect(quantities.get('s')?.get(`m${metersPerStatementMax}`)).toEqual({ quantity: '2', unmeasuredEvents: 3n });
  });
});
