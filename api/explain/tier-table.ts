/** The tiers of a price, with what of a quantity lies in each and what it costs. Pure. */
import type { ChargeJson } from '#schemas/plan.ts';
import { addQuantities, formatQuantity, parseQuantity, type Quantity, zeroQuantity } from '#schemas/quantity.ts';
import type { PriceStepJson } from '#schemas/rated-line.ts';

export type TierUse = Pick<PriceStepJson, 'from' | 'to' | 'unit_amount' | 'flat_amount' | 'units' | 'amount'>;

const quantityOf = (text: string | undefined): Quantity => parseQuantity(text ?? '0') ?? zeroQuantity;

/**
 * A tier that has units has a step of its own, from its lower to its upper bound plus the free units. Nothing is priced
 * here: units and amounts are those of the steps.
 */
export const tierTable = (price: ChargeJson['price'], steps: readonly PriceStepJson[]): TierUse[] => {
  if (!('tiers' in price)) return [];
  const free = quantityOf(price.free_units);
  let lower = free;
  return price.tiers.map(({ up_to: upTo, unit_amount, flat_amount = '0' }) => {
    const from = formatQuantity(lower);
    const upper = upTo === null ? null : addQuantities(quantityOf(upTo), free);
    const to = upper === null ? null : formatQuantity(upper);
    lower = upper ?? lower;
    const step = steps.find((one) => one.kind === 'units' && one.from === from && one.to === to);
    return { from, to, unit_amount, flat_amount, units: step?.units ?? '0', amount: step?.amount ?? '0' };
  });
};
