import { divide, zeroAmount } from '#schemas/money.ts';
import type { PackagePrice } from '#schemas/price.ts';
import { oneQuantity, type Quantity, zeroQuantity } from '#schemas/quantity.ts';
import type { Priced } from '#schemas/rated-line.ts';
import { pricedOf, stepOf, takeFreeUnits } from './steps.ts';

/**
 * amount = package amount x started packages after the free units: 25 units are one package of 25, and 25.1 are two.
 */
export const pricePackage = (price: PackagePrice, quantity: Quantity): Priced => {
  const { billable, steps } = takeFreeUnits(quantity, price.freeUnits);
  if (billable > zeroQuantity) {
    const started = divide(billable, price.packageSize, 'up');
    steps.push(
      stepOf({
        kind: 'packages',
        from: price.freeUnits,
        to: null,
        units: billable,
        priced: (started * oneQuantity) as Quantity,
        unitAmount: price.packageAmount,
        flatAmount: zeroAmount,
      }),
    );
  }
  return pricedOf(billable, steps);
};
