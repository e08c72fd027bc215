/** `minimum_amount` and `maximum_amount`, which every metered price may have. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatQuantity } from '#schemas/quantity.ts';
import { costOf, type PartsJson, pricedOf, stepsOf } from '../../../support/prices.ts';

const matrixOf = (unitAmount: string) => {
  const price = { model: 'per_unit', unit_amount: unitAmount };
  return { dimensions: ['model'], cells: [{ match: { model: 'a' }, price }], default_price: price };
};
const perUnit = { model: 'per_unit', unit_amount: '2' };
const bounded = { ...perUnit, minimum_amount: '10', maximum_amount: '20' };

describe('the least and the most of a period', () => {
  it.each([
    ['-3', '10'],
    ['0', '10'],
    ['4.999999999999', '10'],
    ['5', '10'],
    ['5.000000000001', '10.000000000002'],
    ['9.999999999999', '19.999999999998'],
    ['10', '20'],
    ['10.000000000001', '20'],
    ['1000', '20'],
  ])('2 each, at least 10, at most 20: %s units cost %s', (units, expected) => {
    expect(costOf(bounded, units)).toBe(expected);
  });

  it('a step says what is missing to the least, or above the most; at the bound itself there is none', () => {
    expect(stepsOf(bounded, '0')).toEqual(['minimum 0..0: 0; 0 x 0 + 10 = 10']);
    expect(stepsOf(bounded, '4.999999999999')).toEqual([
      'units 0..: 4.999999999999; 4.999999999999 x 2 + 0 = 9.999999999998',
      'minimum 0..0: 0; 0 x 0 + 10 = 0.000000000002',
    ]);
    expect(stepsOf(bounded, '5')).toEqual(['units 0..: 5; 5 x 2 + 0 = 10']);
    expect(stepsOf(bounded, '10')).toEqual(['units 0..: 10; 10 x 2 + 0 = 20']);
    expect(stepsOf(bounded, '10.000000000001')).toEqual([
      'units 0..: 10.000000000001; 10.000000000001 x 2 + 0 = 20.000000000002',
      'maximum 0..0: 0; 0 x 0 + 20 = -0.000000000002',
    ]);
    expect(formatQuantity(pricedOf(bounded, '1000').billableQuantity)).toBe('1000');
    expect(formatQuantity(pricedOf(bounded, '3').billableQuantity)).toBe('3');
  });

  it('each may be there alone, be zero, or be the other', () => {
    const cost = (bounds: object, units: string) => costOf({ ...perUnit, ...bounds }, units);
    expect([cost({ minimum_amount: '10' }, '1'), cost({ minimum_amount: '10' }, '99')]).toEqual(['10', '198']);
    expect([cost({ maximum_amount: '10' }, '1'), cost({ maximum_amount: '10' }, '99')]).toEqual(['2', '10']);
    expect([cost({ maximum_amount: '0' }, '1'), cost({ minimum_amount: '0' }, '1')]).toEqual(['0', '2']);
    const one = { minimum_amount: '7', maximum_amount: '7' };
    expect(['0', '3.5', '99'].map((units) => cost(one, units))).toEqual(['7', '7', '7']);
  });

  const tiers = [
    { up_to: '10', unit_amount: '3', flat_amount: '1' },
    { up_to: null, unit_amount: '2' },
  ];
  it.each<[string, object, PartsJson]>([
    ['per_unit', { unit_amount: '1.5' }, {}],
    ['graduated', { tiers }, {}],
    ['volume', { tiers }, {}],
    ['package', { package_amount: '4', package_size: '5' }, {}],
    ['package', { package_amount: '4', package_size: '5', partial_package: 'prorate' }, {}],
    ['tiered_flat', { tiers: [{ up_to: null, flat_amount: '6' }] }, {}],
    ['percentage', { percent: '2.5' }, {}],
    ['percentage', { percent: '2.5', fixed_amount: '0.1' }, { rate: ['12', 3] }],
    ['basis_points', { basis_points: '75' }, {}],
    ['graduated_percentage', { tiers: [{ up_to: null, percent: '20' }] }, {}],
    ['dynamic', { amount_property: 'cost' }, { amounts: ['7', 0] }],
    ['matrix', matrixOf('1.5'), { 1: ['5', 1], 0: ['7', 1] }],
  ])('bound %s, with %j', (model, values, parts) => {
    const json = { model, ...values };
    const whole = costOf(json, '12', parts);
    const [ulp, exact] = [10n ** 12n, pricedOf(json, '12', parts).precise];
    const text = (precise: bigint) => {
      const digits = precise.toString().padStart(25, '0');
      return `${digits.slice(0, -24)}.${digits.slice(-24, -12)}`;
    };
    const kinds = (bounds: object) =>
      pricedOf({ ...json, ...bounds }, '12', parts)
        .steps.map(({ kind }) => kind)
        .filter((kind) => kind === 'minimum' || kind === 'maximum');
    const cost = (bounds: object) => pricedOf({ ...json, ...bounds }, '12', parts).precise;
    expect(whole).not.toBe('0');
    for (const name of ['minimum_amount', 'maximum_amount']) {
      expect(kinds({ [name]: text(exact) })).toEqual([]);
      expect(cost({ [name]: text(exact) })).toBe(exact);
    }
    expect(kinds({ minimum_amount: text(exact - ulp) })).toEqual([]);
    expect(kinds({ minimum_amount: text(exact + ulp) })).toEqual(['minimum']);
    expect(cost({ minimum_amount: text(exact + ulp) })).toBe(exact + ulp);
    expect(kinds({ maximum_amount: text(exact + ulp) })).toEqual([]);
    expect(kinds({ maximum_amount: text(exact - ulp) })).toEqual(['maximum']);
    expect(cost({ maximum_amount: text(exact - ulp) })).toBe(exact - ulp);
    expect(kinds({ minimum_amount: text(exact - ulp), maximum_amount: text(exact + ulp) })).toEqual([]);
  });

  it('a minimum is owed by every model without any usage', () => {
    for (const json of [perUnit, { model: 'dynamic', amount_property: 'cost' }, { model: 'matrix', ...matrixOf('1') }])
      expect(costOf({ ...json, minimum_amount: '3' }, '0')).toBe('3');
  });

  it('a step of a bound never changes the step before it', () => {
    fc.assert(
      fc.property(fc.nat(1000), fc.nat(1000), fc.nat(1000), (units, a, b) => {
        const [minimum, maximum] = a < b ? [a, b] : [b, a];
        const limits = { minimum_amount: String(minimum), maximum_amount: String(maximum) };
        const without = stepsOf(perUnit, String(units));
        expect(stepsOf({ ...perUnit, ...limits }, String(units)).slice(0, without.length)).toEqual(without);
      }),
    );
  });
});
