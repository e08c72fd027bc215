import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Amount, formatPreciseAmount, parseAmount } from '#schemas/money.ts';
import type { PackagePrice } from '#schemas/price/package.ts';
import { addQuantities, formatQuantity, parseQuantity, type Quantity } from '#schemas/quantity.ts';
import { pricePackage } from '../../../../rater/price/package.ts';
import { costOf, stepsOf } from '../../../support/prices.ts';
import {
  amountOracle,
  Exact,
  packagePrices,
  preciseOracle,
  quantities,
  quantityOracle,
} from '../../../support/rating-arbitraries.ts';
import { scaled } from '../../../support/scale.ts';

const quantity = (text: string) => parseQuantity(text) as Quantity;
const requests: PackagePrice = {
  model: 'package',
  packageAmount: parseAmount('0.50') as Amount,
  packageSize: quantity('25'),
  partialPackage: 'round_up',
  freeUnits: quantity('20'),
  minimumAmount: null,
  maximumAmount: null,
};

describe('package price', () => {
  it.each([
    ['-1', '0'],
    ['0', '0'],
    ['20', '0'],
    ['20.000000000001', '0.5'],
    ['21', '0.5'],
    ['45', '0.5'],
    ['45.000000000001', '1'],
    ['46', '1'],
    ['70', '1'],
    ['220', '4'],
    ['221', '4.5'],
  ])('0.50 per started 25, the first 20 free: %s units cost %s', (units, expected) => {
    expect(formatPreciseAmount(pricePackage(requests, quantity(units)).precise)).toBe(expected);
  });

  it('the step says how many packages were started for how many units', () => {
    const step = pricePackage(requests, quantity('221')).steps.at(-1);
    expect(step?.kind).toBe('packages');
    expect([step?.units, step?.priced].map((value) => formatQuantity(value as Quantity))).toEqual(['201', '9']);
  });

  it('[I13] the amount is packages, rounded up, times the package amount in exact decimals', () => {
    fc.assert(
      fc.property(packagePrices, quantities, (price, units) => {
        const billable = Exact.max(0, quantityOracle(units).sub(quantityOracle(price.freeUnits)));
        const expected = billable.div(quantityOracle(price.packageSize)).ceil().mul(amountOracle(price.packageAmount));
        expect(preciseOracle(pricePackage(price, units).precise).equals(expected)).toBe(true);
      }),
      { numRuns: scaled(1000) },
    );
  });

  it('one more package size costs exactly one more package', () => {
    fc.assert(
      fc.property(packagePrices, quantities, (price, more) => {
        const units = addQuantities(price.freeUnits, more);
        const next = pricePackage(price, addQuantities(units, price.packageSize)).precise;
        expect(next - pricePackage(price, units).precise).toBe(price.packageAmount * 10n ** 12n);
      }),
    );
  });
});

describe('prorated packages', () => {
  const price = {
    model: 'package',
    package_amount: '0.50',
    package_size: '25',
    partial_package: 'prorate',
    free_units: '20',
  };
  it.each([
    ['-1', '0'],
    ['20', '0'],
    ['20.000000000001', '0.00000000000002'],
    ['21', '0.02'],
    ['44.999999999999', '0.49999999999998'],
    ['45', '0.5'],
    ['45.000000000001', '0.50000000000002'],
    ['57.5', '0.75'],
  ])('0.50 per 25, each unit its part, the first 20 free: %s units cost %s', (units, expected) => {
    expect(costOf(price, units)).toBe(expected);
  });

  it('the step shows units at what one of them costs', () => {
    expect(stepsOf(price, '57.5')).toEqual([
      'free 0..20: 20; 0 x 0 + 0 = 0',
      'units 20..: 37.5; 37.5 x 0.02 + 0 = 0.75',
    ]);
    expect(stepsOf(price, '20')).toEqual(['free 0..20: 20; 0 x 0 + 0 = 0']);
  });

  it.each([
    ['1', '8', '1', '0.125'],
    ['0.000000000001', '1', '3', '0.000000000003'],
    ['3', '0.5', '1', '6'],
    ['0', '7', '5', '0'],
  ])('%s per %s: %s units cost %s', (amount, size, units, expected) => {
    const json = { model: 'package', package_amount: amount, package_size: size, partial_package: 'prorate' };
    expect(costOf(json, units)).toBe(expected);
  });

  it('whole packages cost the same, rounded up or prorated', () => {
    for (const units of ['25', '50', '2500'])
      expect(costOf({ ...price, free_units: '0' }, units)).toBe(
        costOf({ ...price, free_units: '0', partial_package: 'round_up' }, units),
      );
  });
});
