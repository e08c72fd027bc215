/** How much of what a price gives was used: its free units, and each of its tiers. Pure. */
import type { Price } from '#schemas/price/price.ts';
import {
  formatQuantity,
  maxQuantity,
  minQuantity,
  parseQuantity,
  type Quantity,
  subtractQuantities,
  zeroQuantity,
} from '#schemas/quantity.ts';

export type Limits = {
  readonly free_units: string;
  readonly free_units_left: string;
  readonly tiers: readonly { readonly up_to: string | null; readonly quantity: string }[];
};

/**
 * Of a tier's units, those between the bound of the tier before and its own; the same half-open tiers as rating has.
 */
export const limitsOf = (price: Price, quantity: string): Limits => {
  const used = maxQuantity(parseQuantity(quantity) ?? zeroQuantity, zeroQuantity);
  const free = 'freeUnits' in price ? price.freeUnits : zeroQuantity;
  const billable = maxQuantity(subtractQuantities(used, free), zeroQuantity);
  let lower: Quantity = zeroQuantity;
  const tiers = ('tiers' in price ? price.tiers : []).map(({ upTo }) => {
    const upper = upTo === null ? billable : minQuantity(upTo, billable);
    const inTier = maxQuantity(subtractQuantities(upper, lower), zeroQuantity);
    lower = maxQuantity(lower, upper);
    return { up_to: upTo === null ? null : formatQuantity(upTo), quantity: formatQuantity(inTier) };
  });
  return {
    free_units: formatQuantity(free),
    free_units_left: formatQuantity(maxQuantity(subtractQuantities(free, used), zeroQuantity)),
    tiers,
  };
};
