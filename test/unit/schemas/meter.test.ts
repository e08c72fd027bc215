import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Meter, meterDefinitionFromJson, meterDefinitionToJson, rankParts } from '#schemas/meter.ts';
import { someMeters } from '../../support/metering-arbitraries.ts';
import { scaled } from '../../support/scale.ts';

const faultsOf = (json: unknown): string[] => {
  const parsed = meterDefinitionFromJson(json);
  return parsed.ok ? [] : parsed.faults.map(({ field, code }) => `${field} ${code}`);
};
const sum = { event: 'e', aggregation: 'sum', property: 'tokens' };
const percentile = (rank: unknown, method: unknown = 'linear') => ({
  ...sum,
  aggregation: 'percentile',
  percentile: { rank, method },
});

describe('meter definitions as JSON', () => {
  it('what is written is read back, with equal text', () => {
    const property = fc.property(someMeters, (meters) => {
      for (const { meter } of meters) {
        const { code: _code, version: _version, ...definition } = meter as Meter;
        const text = JSON.stringify(meterDefinitionToJson(definition));
        const parsed = meterDefinitionFromJson(JSON.parse(text));
        expect(parsed).toEqual({ ok: true, value: definition });
        expect(parsed.ok && JSON.stringify(meterDefinitionToJson(parsed.value))).toBe(text);
      }
    });
    fc.assert(property, { numRuns: scaled(50) });
  });

  it('absent and null are the same, and the meters of before read as they were', () => {
    const bare = meterDefinitionFromJson(sum);
    const full = { ...sum, expression: null, filter: null, group_by: null, rounding: null, percentile: null };
    expect(meterDefinitionFromJson(full)).toEqual(bare);
    expect(bare.ok && meterDefinitionToJson(bare.value)).toEqual(sum);
    expect(faultsOf({ event: 'e', aggregation: 'count' })).toEqual([]);
  });

  it('all faults are told together', () => {
    const json = {
      event: '',
      aggregation: 'median',
      property: 'a`',
      filter: 1,
      group_by: ['x', 'x', 'customer_id', 7],
      rounding: { mode: 'off' },
      colour: 1,
    };
    expect(faultsOf(json)).toEqual([
      'colour unknown_field',
      'aggregation not_allowed',
      'event wrong_length',
      'property wrong_format',
      'filter wrong_type',
      'group_by[1] duplicate',
      'group_by[2] not_allowed',
      'group_by[3] wrong_type',
      'rounding.mode not_allowed',
      'rounding.decimals missing',
    ]);
  });

  it.each([
    [null, ' wrong_type'],
    [{ ...sum, property: undefined }, 'property missing'],
    [{ ...sum, expression: 'a' }, 'expression not_allowed'],
    [{ ...sum, aggregation: 'count' }, 'property not_allowed'],
    [{ event: 'e', aggregation: 'count', expression: 'a' }, 'expression not_allowed'],
    [{ event: 'e', aggregation: 'unique', expression: 'a' }, 'expression not_allowed'],
    [{ event: 'e', aggregation: 'sum', expression: 7 }, 'expression wrong_type'],
    [{ event: 'e', aggregation: 'sum', expression: 'a +' }, 'expression wrong_format'],
    [{ event: 'e', aggregation: 'sum', expression: 'a * b * c' }, 'expression not_allowed'],
    [{ event: 'e', aggregation: 'weighted_sum', expression: 'a * b / c' }, 'expression not_allowed'],
    [{ ...sum, event: 'a\0b' }, 'event wrong_length'],
    [{ ...sum, group_by: 'region' }, 'group_by wrong_type'],
    [{ ...sum, group_by: Array.from({ length: 11 }, (_, index) => `g${index}`) }, 'group_by wrong_length'],
    [{ ...sum, rounding: { mode: 'up', decimals: 13 } }, 'rounding.decimals not_allowed'],
    [{ ...sum, rounding: { mode: 'up', decimals: 0.5 } }, 'rounding.decimals not_allowed'],
    [{ ...sum, rounding: { mode: 'up', decimals: '2' } }, 'rounding.decimals wrong_type'],
    [{ ...sum, percentile: { rank: '95', method: 'linear' } }, 'percentile not_allowed'],
    [{ ...sum, aggregation: 'percentile' }, 'percentile missing'],
    [percentile('0'), 'percentile.rank not_allowed'],
    [percentile('100.0001'), 'percentile.rank not_allowed'],
    [percentile('99.99999'), 'percentile.rank not_allowed'],
    [percentile(95), 'percentile.rank wrong_type'],
    [percentile(undefined), 'percentile.rank missing'],
    [percentile('95', 'other'), 'percentile.method not_allowed'],
  ])('%j is refused: %s', (json, fault) => {
    expect(faultsOf(json)).toContain(fault);
  });

  it('a fault of an expression names the column, and one of a filter its path', () => {
    const parsed = meterDefinitionFromJson({
      event: 'e',
      aggregation: 'sum',
      expression: 'a + ;',
      filter: { and: [{ property: 'a', operator: 'gt', value: 'x' }] },
    });
    expect(parsed.ok ? [] : parsed.faults.map(({ field, message }) => [field, message.slice(0, 9)])).toEqual([
      ['expression', 'column 5:'],
      ['filter.and[0].value', 'must be a'],
    ]);
  });

  it('a rank is counted in millionths of the whole', () => {
    expect(['95', '99.9999', '0.0001', '100'].map(rankParts)).toEqual([950_000n, 999_999n, 1n, 1_000_000n]);
  });
});
