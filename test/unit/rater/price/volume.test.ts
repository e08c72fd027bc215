import { describe, expect, it } from 'vitest';
import { formatQuantity } from '#schemas/quantity.ts';
import { costOf, pricedOf, stepsOf } from '../../../support/prices.ts';

const tiers = [
  { up_to: '10', unit_amount: '1', flat_amount: '5' },
  { up_to: '20', unit_amount: '0.5', flat_amount: '7' },
  { up_to: null, unit_amount: '0.25' },
];
const volume = { model: 'volume', tiers };
const afterFree = { ...volume, free_units: '100' };

describe('volume price', () => {
  it.each([
    ['-1', '0'],
    ['0', '0'],
    ['0.000000000001', '5.000000000001'],
    ['1', '6'],
    ['9.999999999999', '14.999999999999'],
    ['10', '15'],
    ['10.000000000001', '12.0000000000005'],
    ['11', '12.5'],
    ['20', '17'],
    ['20.000000000001', '5.00000000000025'],
    ['21', '5.25'],
    ['1000000', '250000'],
  ])('up to 10 each 1 and 5 once, up to 20 each 0.5 and 7 once, above 0.25: %s units cost %s', (units, expected) => {
    expect(costOf(volume, units)).toBe(expected);
  });

  it.each([
    ['-1', '0', '0'],
    ['99.999999999999', '0', '0'],
    ['100', '0', '0'],
    ['100.000000000001', '5.000000000001', '0.000000000001'],
    ['110', '15', '10'],
    ['110.000000000001', '12.0000000000005', '10.000000000001'],
    ['120', '17', '20'],
    ['120.000000000001', '5.00000000000025', '20.000000000001'],
  ])('bounds count from the first unit after the free 100: %s units cost %s, for %s units', (units, cost, billable) => {
    expect(costOf(afterFree, units)).toBe(cost);
    expect(formatQuantity(pricedOf(afterFree, units).billableQuantity)).toBe(billable);
  });

  it('the step shows all units in the one tier, whose bound is told with the free units in it', () => {
    expect(stepsOf(volume, '10')).toEqual(['units 0..10: 10; 10 x 1 + 5 = 15']);
    expect(stepsOf(volume, '25')).toEqual(['units 0..: 25; 25 x 0.25 + 0 = 6.25']);
    expect(stepsOf(afterFree, '115')).toEqual([
      'free 0..100: 100; 0 x 0 + 0 = 0',
      'units 100..120: 15; 15 x 0.5 + 7 = 14.5',
    ]);
    expect(stepsOf(afterFree, '60')).toEqual(['free 0..100: 60; 0 x 0 + 0 = 0']);
    expect(stepsOf(volume, '0')).toEqual([]);
    expect(stepsOf(volume, '-2')).toEqual(['below_zero -2..0: -2; 0 x 0 + 0 = 0']);
  });

  it('one more unit may cost less in all: 10 cost 15, and 11 cost 12.5', () => {
    expect(Number(costOf(volume, '11'))).toBeLessThan(Number(costOf(volume, '10')));
  });
});
