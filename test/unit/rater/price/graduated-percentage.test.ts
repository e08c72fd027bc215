import { describe, expect, it } from 'vitest';
import { costOf, stepsOf } from '../../../support/prices.ts';

const shares = {
  model: 'graduated_percentage',
  tiers: [
    { up_to: '1000', percent: '1', flat_amount: '200' },
    { up_to: '10000', percent: '2', flat_amount: '300' },
    { up_to: null, percent: '3', flat_amount: '400' },
  ],
};

describe('graduated percentage', () => {
  it.each([
    ['-1', '0'],
    ['0', '0'],
    ['0.000000000001', '200.00000000000001'],
    ['500', '205'],
    ['1000', '210'],
    ['1000.000000000001', '510.00000000000002'],
    ['1001', '510.02'],
    ['10000', '690'],
    ['10000.000000000001', '1090.00000000000003'],
    ['14050', '1211.5'],
  ])('1 %% and 200 in the first 1,000, 2 %% and 300 up to 10,000, 3 %% and 400 above: of %s %s', (value, expected) => {
    expect(costOf(shares, value)).toBe(expected);
  });

  it.each([
    ['50', '0'],
    ['50.000000000001', '200.00000000000001'],
    ['1050', '210'],
    ['1050.000000000001', '510.00000000000002'],
  ])('bounds count from the first value after the free 50: of %s %s', (value, expected) => {
    expect(costOf({ ...shares, free_units: '50' }, value)).toBe(expected);
  });

  it('a flat amount is 0 where it is absent, and each tier that has a value in it is a step', () => {
    const tiers = [
      { up_to: '100', percent: '10' },
      { up_to: null, percent: '0.5' },
    ];
    expect(stepsOf({ model: 'graduated_percentage', tiers, free_units: '5' }, '305')).toEqual([
      'free 0..5: 5; 0 x 0 + 0 = 0',
      'units 5..105: 100; 100 x 0.1 + 0 = 10',
      'units 105..: 200; 200 x 0.005 + 0 = 1',
    ]);
  });
});
