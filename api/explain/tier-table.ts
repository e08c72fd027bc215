/** The tiers of a price, with what of a quantity lies in each and what it costs. Pure. */
import assert from 'node:assert/strict';
import { type Amount, formatAmount, zeroAmount } from '#schemas/money.ts';
import type { PeriodJson } from '#schemas/period.ts';
import { isPeriodBound } from '#schemas/period-bound.ts';
import type { CellPrice } from '#schemas/price/cell-price.ts';
import { cellsInOrder } from '#schemas/price/matrix.ts';
import { type Price, type PriceJson, priceFromJson } from '#schemas/price/price.ts';
import { addQuantities, formatQuantity, type Quantity, zeroQuantity } from '#schemas/quantity.ts';
import type { PriceStepJson } from '#schemas/rated-line.ts';

export type TierUse = Pick<
  PriceStepJson,
  'from' | 'to' | 'unit_amount' | 'flat_amount' | 'units' | 'amount' | 'cell' | 'span'
>;

type PricedTier = { readonly upTo: Quantity | null; readonly unitAmount: Amount; readonly flatAmount: Amount };

/** What is charged for each unit, or each one of value, inside a tier, and once. */
const tiersOf = (price: Price | CellPrice): readonly PricedTier[] => {
  switch (price.model) {
    case 'graduated':
    case 'volume':
      return price.tiers;
    case 'graduated_percentage':
      return price.tiers.map(({ upTo, rate, flatAmount }) => ({ upTo, unitAmount: rate, flatAmount }));
    case 'tiered_flat':
      return price.tiers.map(({ upTo, flatAmount }) => ({ upTo, unitAmount: zeroAmount, flatAmount }));
    default:
      return [];
  }
};

const ofOnePrice = (price: Price | CellPrice, steps: readonly PriceStepJson[]): TierUse[] => {
  const free = 'freeUnits' in price ? price.freeUnits : zeroQuantity;
  let lower = free;
  return tiersOf(price).map(({ upTo, unitAmount, flatAmount }) => {
    const from = formatQuantity(lower);
    lower = upTo === null ? lower : addQuantities(upTo, free);
    const to = upTo === null ? null : formatQuantity(lower);
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

/**
 * A tier that has units has the one step that ends at its upper bound; where all units cost what the last one does, all
 * of them are in its tier. Nothing is priced here: units and amounts are those of the steps. Of a matrix the tiers of
 * each cell follow each other.
 */
export const tierTable = (json: { readonly model: string }, steps: readonly PriceStepJson[]): TierUse[] => {
  if (isPeriodBound(json.model)) return [];
  const parsed = priceFromJson(json);
  assert(parsed.ok, 'a price that is stored was read before');
  const price = parsed.value;
  if (price.model !== 'matrix') return ofOnePrice(price, steps);
  const cells = [...cellsInOrder(price), { match: {}, price: price.defaultPrice }];
  return cells.flatMap(({ match, price: cellPrice }) => {
    const name = JSON.stringify(match);
    const own = steps.filter(({ cell }) => JSON.stringify(cell) === name);
    return ofOnePrice(cellPrice, own).map((tier) => ({ ...tier, cell: match }));
  });
};

/** The tables of several prices, each with the steps of its time. */
export const tierTables = (
  prices: readonly { readonly span: PeriodJson; readonly price: PriceJson }[],
  steps: readonly PriceStepJson[],
): TierUse[] => {
  const [only, ...more] = prices;
  // A price that stood all the time has the time of its line, and so have its steps.
  if (only && more.length === 0) return tierTable(only.price, steps);
  return prices.flatMap(({ span, price }) =>
    tierTable(
      price,
      steps.filter((step) => step.span?.start === span.start),
    ).map((tier) => ({ ...tier, span })),
  );
};
