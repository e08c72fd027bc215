import { zeroAmount } from '#schemas/money.ts';
import type { FlatPrice } from '#schemas/price.ts';
import { oneQuantity, type Quantity, zeroQuantity } from '#schemas/quantity.ts';
import type { Priced } from '#schemas/rated-line.ts';
import { pricedOf, stepOf } from './steps.ts';

/** The amount, once, whatever the quantity: the customer pays for the period and not for units. */
export const priceFlat = (price: FlatPrice, _quantity: Quantity): Priced =>
  pricedOf(oneQuantity, [
    stepOf({
      kind: 'flat',
      from: zeroQuantity,
      to: oneQuantity,
      units: oneQuantity,
      priced: zeroQuantity,
      unitAmount: zeroAmount,
      flatAmount: price.amount,
    }),
  ]);
