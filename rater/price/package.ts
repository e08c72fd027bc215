import { divide, zeroAmount } from '#schemas/money.ts';
import { type PackagePrice, unitAmountOf } from '#schemas/price/package.ts';
import { oneQuantity, type Quantity, zeroQuantity } from '#schemas/quantity.ts';
import type { Priced } from '#schemas/rated-line.ts';
import { pricedOf, stepOf, takeFreeUnits, unitsStep } from './steps.ts';

/**
 * amount = package amount x packages after the free units. Started ones count whole: 25 units are one package of 25,
 * and 25.1 are two. Where they are prorated, each unit costs its part of a package.
 */
export const pricePackage = (price: PackagePrice, quantity: Quantity): Priced => {
  const { packageAmount, packageSize, freeUnits } = price;
  const { billable, steps } = takeFreeUnits(quantity, freeUnits);
  if (billable > zeroQuantity && price.partialPackage === 'prorate')
    steps.push(unitsStep(freeUnits, null, billable, unitAmountOf(price), zeroAmount));
  else if (billable > zeroQuantity) {
    const started = (divide(billable, packageSize, 'up') * oneQuantity) as Quantity;
    steps.push(stepOf('packages', freeUnits, null, billable, started, packageAmount, zeroAmount));
  }
  return pricedOf(billable, steps);
};
