import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Price, priceFromJson } from '#schemas/price/price.ts';
import { addQuantities, formatQuantity, parseQuantity, type Quantity, zeroQuantity } from '#schemas/quantity.ts';
import { limitsOf } from '../../../../api/usage/limits.ts';

const price = (json: object): Price => {
  const parsed = priceFromJson(json);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
  return parsed.value;
};
const tiers = [
  { up_to: '10', unit_amount: '1' },
  { up_to: '30', unit_amount: '1' },
  { up_to: null, unit_amount: '1' },
];
const graduated = price({ model: 'graduated', tiers, free_units: '5' });

describe('the limits of a price', () => {
  it.each([
    ['0', '5', ['0', '0', '0']],
    ['-3', '5', ['0', '0', '0']],
    ['4.5', '0.5', ['0', '0', '0']],
    ['5', '0', ['0', '0', '0']],
    ['15', '0', ['10', '0', '0']],
    ['15.000000000001', '0', ['10', '0.000000000001', '0']],
    ['35', '0', ['10', '20', '0']],
    ['1000.5', '0', ['10', '20', '965.5']],
  ])('of %s units are %s free ones left and in the tiers %j', (quantity, left, used) => {
    expect(limitsOf(graduated, quantity)).toEqual({
      free_units: '5',
      free_units_left: left,
      tiers: ['10', '30', null].map((up_to, index) => ({ up_to, quantity: used[index] })),
    });
  });

  it('are those of its free units alone without tiers', () => {
    expect(limitsOf(price({ model: 'per_unit', unit_amount: '1', free_units: '2' }), '3')).toEqual({
      free_units: '2',
      free_units_left: '0',
      tiers: [],
    });
    expect(limitsOf(price({ model: 'flat', amount: '1' }), '1')).toEqual({
      free_units: '0',
      free_units_left: '0',
      tiers: [],
    });
  });

  it('add up to the quantity: what is free and what lies in the tiers', () => {
    const of = (text: string): Quantity => parseQuantity(text) ?? zeroQuantity;
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 10n ** 20n }), (units) => {
        const quantity = formatQuantity(units as Quantity);
        const { free_units_left: left, tiers: used } = limitsOf(graduated, quantity);
        const inTiers = used.reduce((sum, tier) => addQuantities(sum, of(tier.quantity)), zeroQuantity);
        expect(inTiers + of('5') - of(left)).toBe(units);
      }),
    );
  });
});
