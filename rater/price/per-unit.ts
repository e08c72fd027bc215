import { zeroAmount } from '#schemas/money.ts';
import type { PerUnitPrice } from '#schemas/price/per-unit.ts';
import { type Quantity, zeroQuantity } from '#schemas/quantity.ts';
import type { Priced } from '#schemas/rated-line.ts';
import { pricedOf, takeFreeUnits, unitsStep } from './steps.ts';

/** amount = units after the free ones x unit amount. */
export const pricePerUnit = (price: PerUnitPrice, quantity: Quantity): Priced => {
  const { billable, steps } = takeFreeUnits(quantity, price.freeUnits);
  if (billable > zeroQuantity) steps.push(unitsStep(price.freeUnits, null, billable, price.unitAmount, zeroAmount));
  return pricedOf(billable, steps);
};
