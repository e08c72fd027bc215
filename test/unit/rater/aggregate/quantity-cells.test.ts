import { describe, expect, it } from 'vitest';
import type { MeterVersion } from '#schemas/stored-meter.ts';
import { dayOfNumber } from '../../../../rater/aggregate/covered-spans.ts';
import { heldFromRows, heldStatement, isOfTotals, mergeRows } from '../../../../rater/aggregate/quantity-cells.ts';
import { quantitiesFromRows, quantityStatement, shapeOf, wholeOf } from '../../../../rater/aggregate/quantity-query.ts';

const meterOf = (aggregation: MeterVersion['aggregation']): MeterVersion => ({
  version: 1,
  expression: null,
  filter: null,
  groupBy: [],
  rounding: null,
  percentile: null,
  code: aggregation,
  versionId: `mtv_${aggregation}`,
  event: 'e',
  aggregation,
  property: aggregation === 'count' ? null : 'p',
});
const day = 86_400_000;
const period = { start: 0, end: 31 * day };
const spans = [{ spanId: 's', customers: ['c', "c'); DROP TABLE usage_totals; --"], period }];
const askOf = (...aggregations: MeterVersion['aggregation'][]) => ({
  tenant: 't',
  watermark: 7n,
  spans,
  measures: aggregations.map((aggregation) => wholeOf(meterOf(aggregation))),
  before: aggregations.includes('weighted_sum'),
});

const units = (count: number): string => `${count}000000000000`;

/** The quantity that comes of a row of totals and one of events. */
const merged = (
  aggregation: MeterVersion['aggregation'],
  held: Readonly<Record<string, string | null>>,
  read: Readonly<Record<string, string | null>>,
): string | undefined => {
  const statement = shapeOf(askOf(aggregation));
  const rowOf = (results: Readonly<Record<string, string | null>>) => ({
    span: 's',
    unmeasured_0: '0',
    ...Object.fromEntries(Object.entries(results).map(([name, text]) => [`result_${name}_0`, text])),
  });
  const rows = mergeRows(statement, [rowOf(held)], [rowOf(read)]);
  return quantitiesFromRows([{ statement, rows }]).get('s')?.get(`mtv_${aggregation}`)?.quantity;
};

describe('[I29] what totals hold and what is read from events', () => {
  it.each([
    ['of the later instant', { at: '5', key: 'a' }, { at: '6', key: 'a' }, '2'],
    ['of the earlier instant', { at: '6', key: 'a' }, { at: '5', key: 'b' }, '1'],
    ['of one instant, by the greater key in order of bytes', { at: '5', key: '\u{ff5e}' }, { at: '5', key: '😀' }, '2'],
  ])('the latest value is the one %s', (_, held, read, expected) => {
    expect(merged('latest', { latest: units(1), count: '1', ...held }, { latest: units(2), count: '1', ...read })).toBe(
      expected,
    );
  });

  it('a latest value that is nowhere, or in one of both, is no value of zero', () => {
    const none = { latest: '0', count: '0', at: '9', key: '' };
    const one = { latest: units(3), count: '1', at: '5', key: 'a' };
    expect([merged('latest', none, one), merged('latest', one, none), merged('latest', none, none)]).toEqual([
      '3',
      '3',
      '0',
    ]);
  });

  it('an extreme that one of both does not have is that of the other', () => {
    expect(merged('min', { extreme: null }, { extreme: units(4) })).toBe('4');
    expect(merged('max', { extreme: units(-4) }, { extreme: null })).toBe('-4');
  });

  it('areas under a level add up over the whole of the span', () => {
    const area = (share: bigint): string => (share * BigInt(period.end) * 10n ** 12n).toString();
    expect(merged('weighted_sum', { area: area(2n) }, { area: area(3n) })).toBe('5');
  });
});

describe('the query for quantities from totals', () => {
  it('asks for no more than totals hold', () => {
    const ofTotals = (['count', 'sum', 'max', 'min', 'average', 'latest', 'weighted_sum'] as const).map((aggregation) =>
      isOfTotals(wholeOf(meterOf(aggregation))),
    );
    expect(ofTotals).toEqual(Array(7).fill(true));
    expect(isOfTotals(wholeOf(meterOf('unique')))).toBe(false);
    expect(isOfTotals({ ...wholeOf(meterOf('sum')), amountProperty: 'cost' })).toBe(false);
    expect(isOfTotals({ ...wholeOf(meterOf('sum')), cells: { dimensions: [], cells: [] } })).toBe(false);
  });

  it('no text of the caller becomes SQL text', () => {
    for (const ask of [askOf('sum', 'latest', 'max'), askOf('weighted_sum')])
      expect(heldStatement(ask).query).not.toMatch(/DROP|mtv_/);
  });

  it('the days that are left to events come back with their names, and are all that is read of these', () => {
    const ask = askOf('sum');
    const place = 2 * 64 + 1;
    const { days } = heldFromRows(ask, [{ span: 's', days: [`${place * 100_000 + 3}`, place * 100_000 + 20] }]);
    const customer = spans[0]?.customers[1];
    expect(days).toEqual([3, 20].map((number) => ({ spanId: 's', customer, event: 'e', day: number })));
    const { params } = quantityStatement(ask, days);
    expect(params).toMatchObject({ start: 3 * day, end: 21 * day });
    expect(Object.values(params)).toContainEqual([place * 100_000 + 3, place * 100_000 + 20]);
    expect(() => dayOfNumber(9 * 64 * 100_000, [], ['e'])).toThrow(/was asked for/);
  });
});
