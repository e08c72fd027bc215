import type { GraduatedPercentagePrice } from '#schemas/price/graduated-percentage.ts';
import type { Quantity } from '#schemas/quantity.ts';
import type { Priced } from '#schemas/rated-line.ts';
import { priceTiers } from './graduated.ts';

/** Graduated, where what is charged for each one of value is the share of its tier. */
export const priceGraduatedPercentage = (price: GraduatedPercentagePrice, quantity: Quantity): Priced =>
  priceTiers(
    price.tiers.map(({ upTo, rate, flatAmount }) => ({ upTo, unitAmount: rate, flatAmount })),
    price.freeUnits,
    quantity,
  );
