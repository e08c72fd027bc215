/** The tiers of a price, with what of a quantity lies in each and what it costs. Pure. */
import assert from 'node:assert/strict';
import { type Amount, formatAmount, zeroAmount } from '#schemas/money.ts';
import type { ChargeJson } from '#schemas/plan.ts';
import { type Price, priceFromJson } from '#schemas/price/price.ts';
import { addQuantities, formatQuantity, type Quantity } from '#schemas/quantity.ts';
import type { PriceStepJson } from '#schemas/rated-line.ts';

export type TierUse = Pick<PriceStepJson, 'from' | 'to' | 'unit_amount' | 'flat_amount' | 'units' | 'amount'>;

type PricedTier = { readonly upTo: Quantity | null; readonly unitAmount: Amount; readonly flatAmount: Amount };

const tiersOf = (price: Price): readonly PricedTier[] => {
  switch (price.model) {
    case 'graduated':
    case 'volume':
      return price.tiers;
    case 'tiered_flat':
      return price.tiers.map((tier) => ({ ...tier, unitAmount: zeroAmount }));
    case 'graduated_percentage':
      return price.tiers.map(({ rate, ...tier }) => ({ ...tier, unitAmount: rate }));
    default:
      return [];
  }
};

/**
 * A tier that has units has a step of its own, up to its bound plus the free units; with a volume price and one fee that
 * is the step of all units. Nothing is priced here: units and amounts are those of the steps.
 */
export const tierTable = (json: ChargeJson['price'], steps: readonly PriceStepJson[]): TierUse[] => {
  const parsed = priceFromJson(json);
  assert(parsed.ok, 'a price that is stored was read before');
  const price = parsed.value;
  if (!('freeUnits' in price)) return [];
  let lower = price.freeUnits;
  return tiersOf(price).map(({ upTo, unitAmount, flatAmount }) => {
    const from = formatQuantity(lower);
    const upper = upTo === null ? null : addQuantities(upTo, price.freeUnits);
    const to = upper === null ? null : formatQuantity(upper);
    lower = upper ?? lower;
    const step = steps.find((one) => one.kind === 'units' && one.to === to);
    return {
      from,
      to,
      unit_amount: formatAmount(unitAmount),
      flat_amount: formatAmount(flatAmount),
      units: step?.units ?? '0',
      amount: step?.amount ?? '0',
    };
  });
};
