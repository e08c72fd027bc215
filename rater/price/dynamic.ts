import { zeroAmount } from '#schemas/money.ts';
import type { DynamicPrice } from '#schemas/price/dynamic.ts';
import { partNames } from '#schemas/price/usage-parts.ts';
import { maxQuantity, type Quantity, zeroQuantity } from '#schemas/quantity.ts';
import type { Priced } from '#schemas/rated-line.ts';
import { pricedOf, stepOf } from './steps.ts';
import { type Parts, partOf } from './usage.ts';

/** What the events say that they cost, in all, x the factor. Below zero it is charged as zero, as a quantity is. */
export const priceDynamic = (price: DynamicPrice, quantity: Quantity, parts: Parts): Priced => {
  const amounts = partOf(parts, partNames.amounts).quantity;
  const charged = maxQuantity(amounts, zeroQuantity);
  return pricedOf(quantity, [stepOf('amounts', zeroQuantity, null, quantity, charged, price.factor, zeroAmount)]);
};
