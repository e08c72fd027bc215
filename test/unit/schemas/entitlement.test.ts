/** What a plan version entitles to: what is read, and what is refused at its place. */
import { describe, expect, it } from 'vitest';
import { entitlementsMax, entitlementToJson, entitlementType, readEntitlements } from '#schemas/entitlement.ts';
import type { Fault } from '#schemas/fault.ts';

const read = (entitlements: unknown) => {
  const faults: Fault[] = [];
  const value = readEntitlements({ entitlements }, faults);
  return { value, faults: faults.map(({ field, code }) => `${field} ${code}`) };
};

describe('entitlements', () => {
  it('are none where nothing is said', () => {
    expect(readEntitlements({}, [])).toEqual([]);
    expect(read([])).toEqual({ value: [], faults: [] });
  });

  it('are switches, limits and metered ones, told by their fields, with one JSON', () => {
    const { value = [], faults } = read([
      { feature: 'sso', enabled: false },
      { feature: 'seats', limit: '05.50' },
      { feature: 'projects', limit: null },
      { feature: 'tokens', allowance: '1000' },
      { feature: 'calls', allowance: null, reset: 'never', overage: 'refused' },
    ]);
    expect(faults).toEqual([]);
    const json = value.map(entitlementToJson);
    expect(json).toEqual([
      { feature: 'sso', enabled: false },
      { feature: 'seats', limit: '5.5' },
      { feature: 'projects', limit: null },
      { feature: 'tokens', allowance: '1000', reset: 'billing_period', overage: 'allowed' },
      { feature: 'calls', allowance: null, reset: 'never', overage: 'refused' },
    ]);
    expect(json.map(entitlementType)).toEqual(['switch', 'limit', 'limit', 'metered', 'metered']);
    expect(read(json)).toEqual({ value, faults: [] });
  });

  it.each([
    ['no array', { feature: 'sso' }, ['entitlements wrong_type']],
    ['null', null, ['entitlements wrong_type']],
    [
      'more than there may be',
      Array.from({ length: entitlementsMax + 1 }, (_, index) => ({ feature: `f-${index}`, enabled: true })),
      ['entitlements wrong_length'],
    ],
    ['no objects', ['sso', null], ['entitlements[0] wrong_type', 'entitlements[1] wrong_type']],
    ['nothing in one', [{}], ['entitlements[0].feature missing', 'entitlements[0] missing']],
    ['no feature', [{ enabled: true }], ['entitlements[0].feature missing']],
    ['a feature that is no code', [{ feature: 'S S O', enabled: true }], ['entitlements[0].feature wrong_format']],
    ['a field that it does not know', [{ feature: 'a', enabled: true, on: 1 }], ['entitlements[0].on unknown_field']],
    ['a switch that is a text', [{ feature: 'a', enabled: 'yes' }], ['entitlements[0].enabled wrong_type']],
    ['a switch that is null', [{ feature: 'a', enabled: null }], ['entitlements[0].enabled wrong_type']],
    ['a limit that is a number', [{ feature: 'a', limit: 5 }], ['entitlements[0].limit wrong_type']],
    ['a limit under nothing', [{ feature: 'a', limit: '-5' }], ['entitlements[0].limit negative']],
    ['a limit that is no decimal', [{ feature: 'a', limit: 'many' }], ['entitlements[0].limit not_a_decimal']],
    ['a reset without an allowance', [{ feature: 'a', reset: 'day' }], ['entitlements[0].allowance missing']],
    [
      'a reset and an overage that there are not',
      [{ feature: 'a', allowance: '5', reset: 'hour', overage: null }],
      ['entitlements[0].reset not_allowed', 'entitlements[0].overage not_allowed'],
    ],
    [
      'fields of more than one type',
      [{ feature: 'a', enabled: true, limit: '5', reset: 'day' }],
      ['entitlements[0].limit not_allowed', 'entitlements[0].reset not_allowed'],
    ],
    [
      'the same feature twice',
      [
        { feature: 'a', enabled: true },
        { feature: 'b', limit: 'x' },
        { feature: 'b', limit: null },
        { feature: 'a', limit: '5' },
      ],
      ['entitlements[1].limit not_a_decimal', 'entitlements[2].feature duplicate', 'entitlements[3].feature duplicate'],
    ],
  ])('that are %s are refused', (_, json, faults) => {
    expect(read(json).faults).toEqual(faults);
  });
});
