import type { Amount } from '#schemas/money.ts';
import type { Tier } from '#schemas/price/field.ts';
import type { GraduatedPrice } from '#schemas/price/graduated.ts';
import { addQuantities, minQuantity, type Quantity, subtractQuantities, zeroQuantity } from '#schemas/quantity.ts';
import type { Priced } from '#schemas/rated-line.ts';
import { pricedOf, takeFreeUnits, unitsStep } from './steps.ts';

/** What is charged inside a tier: for each unit, and once. */
type PricedTier = Tier<{ readonly unitAmount: Amount; readonly flatAmount: Amount }>;

/**
 * Each tier prices only the units inside it: with bounds 100 and 200, unit 100 belongs to the first tier and whatever
 * exceeds it, be it 0.000000000001, to the second. A tier without units gives no step and charges no flat amount.
 */
export const priceTiers = (tiers: readonly PricedTier[], freeUnits: Quantity, quantity: Quantity): Priced => {
  const { billable, steps } = takeFreeUnits(quantity, freeUnits);
  let lower: Quantity = zeroQuantity;
  for (const tier of tiers) {
    if (billable <= lower) break;
    const upper = tier.upTo === null ? billable : minQuantity(tier.upTo, billable);
    const from = addQuantities(freeUnits, lower);
    const to = tier.upTo === null ? null : addQuantities(freeUnits, tier.upTo);
    steps.push(unitsStep(from, to, subtractQuantities(upper, lower), tier.unitAmount, tier.flatAmount));
    lower = upper;
  }
  return pricedOf(billable, steps);
};

export const priceGraduated = (price: GraduatedPrice, quantity: Quantity): Priced =>
  priceTiers(price.tiers, price.freeUnits, quantity);
