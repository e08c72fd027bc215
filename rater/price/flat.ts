import { zeroAmount } from '#schemas/money.ts';
import type { FlatPrice } from '#schemas/price/flat.ts';
import { oneQuantity, zeroQuantity } from '#schemas/quantity.ts';
import type { Priced } from '#schemas/rated-line.ts';
import { pricedOf, stepOf } from './steps.ts';

/** The amount, once, whatever the quantity: the customer pays for the period and not for units. */
export const priceFlat = (price: FlatPrice): Priced =>
  pricedOf(oneQuantity, [
    stepOf('flat', zeroQuantity, oneQuantity, oneQuantity, zeroQuantity, zeroAmount, price.amount),
  ]);
