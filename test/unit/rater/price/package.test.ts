import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Amount, formatPreciseAmount, parseAmount } from '#schemas/money.ts';
import type { PackagePrice } from '#schemas/price/package.ts';
import { addQuantities, formatQuantity, parseQuantity, type Quantity } from '#schemas/quantity.ts';
import { pricePackage } from '../../../../rater/price/package.ts';
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
