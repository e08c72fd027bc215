import type { GraduatedPrice } from '#schemas/price.ts';
import { addQuantities, minQuantity, type Quantity, subtractQuantities, zeroQuantity } from '#schemas/quantity.ts';
import type { Priced } from '#schemas/rated-line.ts';
import { pricedOf, takeFreeUnits, unitsStep } from './steps.ts';

/**
 * Each tier prices only the units inside it: with bounds 100 and 200, unit 100 belongs to the first tier and whatever
 * exceeds it, be it 0.000000000001, to the second. A tier without units gives no step and charges no flat amount.
 */
export const priceGraduated = (price: GraduatedPrice, quantity: Quantity): Priced => {
  const { billable, steps } = takeFreeUnits(quantity, price.freeUnits);
  let lower: Quantity = zeroQuantity;
  for (const tier of price.tiers) {
    if (billable <= lower) break;
    const upper = tier.upTo === null ? billable : minQuantity(tier.upTo, billable);
    const from = addQuantities(lower, price.freeUnits);
    const to = tier.upTo === null ? null : addQuantities(tier.upTo, price.freeUnits);
    steps.push(unitsStep(from, to, subtractQuantities(upper, lower), tier.unitAmount, tier.flatAmount));
    lower = upper;
  }
  return pricedOf(billable, steps);
};
