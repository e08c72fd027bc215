import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  conditionsMax,
  conditionsOf,
  filterDepthMax,
  filterFromJson,
  filterToJson,
  listValuesMax,
} from '#schemas/filter.ts';
import { aFilter } from '../../support/metering-arbitraries.ts';

const faultsOf = (json: unknown): string[] => {
  const parsed = filterFromJson(json);
  return parsed.ok ? [] : parsed.faults.map(({ field, code }) => `${field} ${code}`);
};
const parsedOf = (json: unknown): unknown => {
  const parsed = filterFromJson(json);
  return parsed.ok ? parsed.value : parsed.faults;
};
const region = { property: 'region', operator: 'eq', value: 'eu' };
const nested = (levels: number): unknown => (levels === 1 ? region : { and: [nested(levels - 1)] });

describe('filters as JSON', () => {
  it('what is written is read back', () => {
    const property = fc.property(aFilter, (filter) => {
      expect(filterFromJson(JSON.parse(JSON.stringify(filterToJson(filter))))).toEqual({ ok: true, value: filter });
    });
    fc.assert(property);
  });

  it('a number and a boolean stand for their texts', () => {
    expect(parsedOf({ property: 'a', operator: 'eq', value: 1.5 })).toEqual({
      property: 'a',
      operator: 'eq',
      value: '1.5',
    });
    expect(parsedOf({ property: 'a', operator: 'in', value: [true, -2, 'x'] })).toEqual({
      property: 'a',
      operator: 'in',
      value: ['true', '-2', 'x'],
    });
  });

  it('a number that JSON does not carry exactly is refused', () => {
    for (const value of [2 ** 53, 1e21, 1e-7, -(2 ** 60)])
      expect(faultsOf({ ...region, value })).toEqual(['filter.value wrong_type']);
  });

  it('all faults are told together, each with its path', () => {
    const json = {
      and: [
        region,
        {
          or: [
            { property: 'a`b', operator: 'is', value: 1 },
            { operator: 'gt', value: 'ten' },
          ],
        },
        { and: [] },
        'x',
        { ...region, extra: 1 },
      ],
    };
    expect(faultsOf(json)).toEqual([
      'filter.and[1].or[0].property wrong_format',
      'filter.and[1].or[0].operator not_allowed',
      'filter.and[1].or[1].property missing',
      'filter.and[1].or[1].value not_a_decimal',
      'filter.and[2].and wrong_length',
      'filter.and[3] wrong_type',
      'filter.and[4].extra unknown_field',
    ]);
  });

  it.each([
    [null, 'filter wrong_type'],
    [[], 'filter wrong_type'],
    ['a', 'filter wrong_type'],
    [{ and: {} }, 'filter.and wrong_type'],
    [{ ...region, value: undefined }, 'filter.value missing'],
    [{ ...region, value: {} }, 'filter.value wrong_type'],
    [{ ...region, value: 'a\0' }, 'filter.value wrong_format'],
    [{ ...region, value: '\ud800' }, 'filter.value wrong_format'],
    [{ ...region, value: 'x'.repeat(256) }, 'filter.value wrong_length'],
    [{ property: 'a', operator: 'exists', value: 'true' }, 'filter.value wrong_type'],
    [{ property: 'a', operator: 'in', value: [] }, 'filter.value wrong_length'],
    [
      { property: 'a', operator: 'in', value: Array.from({ length: listValuesMax + 1 }, String) },
      'filter.value wrong_length',
    ],
    [
      {
        property: 'a',
        operator: 'in',
        value: Array.from({ length: 100 }, (_, index) => `${'漢'.repeat(250)}${index}`),
      },
      'filter.value wrong_length',
    ],
    [{ property: 'a', operator: 'in', value: ['x', null] }, 'filter.value[1] wrong_type'],
    [{ property: 'a', operator: 'gt', value: '1e3' }, 'filter.value not_a_decimal'],
    [{ property: 'a..b', operator: 'exists', value: true }, 'filter.property wrong_format'],
    [{ property: '', operator: 'exists', value: true }, 'filter.property wrong_length'],
    [JSON.parse('{"__proto__": {"and": []}}'), 'filter.__proto__ unknown_field'],
    [{ and: [region], or: [region] }, 'filter.or unknown_field'],
  ])('%j is refused: %s', (json, fault) => {
    expect(faultsOf(json)).toContain(fault);
  });

  it('depth and conditions are bounded', () => {
    expect(faultsOf(nested(filterDepthMax))).toEqual([]);
    expect(faultsOf(nested(filterDepthMax + 1))).toEqual(['filter.and[0].and[0].and[0].and[0].and not_allowed']);
    const halves = (count: number) => ({
      or: [{ and: Array.from({ length: count }, () => region) }, { and: Array.from({ length: 25 }, () => region) }],
    });
    expect(faultsOf(halves(conditionsMax - 25))).toEqual([]);
    expect(faultsOf(halves(conditionsMax - 24))).toEqual(['filter.or[1].and[24] wrong_length']);
  });

  it('[I27] a huge or deep filter costs no more than its bounds', () => {
    const wide = {
      and: Array.from({ length: 50 }, () => ({
        or: Array.from({ length: 50 }, () => ({ and: Array.from({ length: 50 }, () => ({})) })),
      })),
    };
    const parsed = filterFromJson(wide);
    expect(parsed.ok ? 0 : parsed.faults.length).toBeLessThan(400);
    let deep: unknown = region;
    for (let level = 0; level < 100_000; level += 1) deep = { and: [deep] };
    expect(faultsOf(deep)).toHaveLength(1);
  });

  it('the conditions are told from left to right', () => {
    const parsed = filterFromJson({ or: [region, { and: [{ ...region, value: 'us' }] }] });
    expect(parsed.ok && conditionsOf(parsed.value).map(({ value }) => value)).toEqual(['eu', 'us']);
  });
});
