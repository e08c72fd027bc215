import { describe, expect, it } from 'vitest';
import { costOf, stepsOf } from '../../../support/prices.ts';

const fees = {
  model: 'tiered_flat',
  tiers: [
    { up_to: '10', flat_amount: '5' },
    { up_to: '100', flat_amount: '20' },
    { up_to: null, flat_amount: '50' },
  ],
};
const afterFree = { ...fees, free_units: '3' };

describe('tiered flat price', () => {
  it.each([
    ['-1', '0'],
    ['0', '0'],
    ['0.000000000001', '5'],
    ['10', '5'],
    ['10.000000000001', '20'],
    ['11', '20'],
    ['100', '20'],
    ['100.000000000001', '50'],
    ['1000000', '50'],
  ])('5 for up to 10 units, 20 for up to 100, 50 for more: %s units cost %s', (units, expected) => {
    expect(costOf(fees, units)).toBe(expected);
  });

  it.each([
    ['3', '0'],
    ['3.000000000001', '5'],
    ['13', '5'],
    ['13.000000000001', '20'],
    ['103', '20'],
    ['103.000000000001', '50'],
  ])('bounds count from the first unit after the free 3: %s units cost %s', (units, expected) => {
    expect(costOf(afterFree, units)).toBe(expected);
  });

  it('the step shows the units that the fee was for, none of them with a price', () => {
    expect(stepsOf(fees, '42')).toEqual(['units 0..100: 42; 42 x 0 + 20 = 20']);
    expect(stepsOf(afterFree, '200')).toEqual(['free 0..3: 3; 0 x 0 + 0 = 0', 'units 3..: 197; 197 x 0 + 50 = 50']);
    expect(stepsOf(fees, '0')).toEqual([]);
  });

  it('a fee of 0 is a free tier', () => {
    const free = {
      model: 'tiered_flat',
      tiers: [
        { up_to: '10', flat_amount: '0' },
        { up_to: null, flat_amount: '9' },
      ],
    };
    expect(['10', '11'].map((units) => costOf(free, units))).toEqual(['0', '9']);
  });
});
