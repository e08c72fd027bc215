/**
 * A charge whose price changed inside its billing period -> one amount, exact. Each stretch of the time is rated at its
 * own price, tiers beginning again or going on as it states; then the sum is brought to the bounds, once, as they
 * belong to the billing period: those of the price that stands at its end.
 */
import type { Period } from '#schemas/period.ts';
import type { Bounds } from '#schemas/price/model.ts';
import type { Price } from '#schemas/price/price.ts';
import type { TierCount } from '#schemas/price-span.ts';
import { addQuantities, maxQuantity, type Quantity, subtractQuantities, zeroQuantity } from '#schemas/quantity.ts';
import type { Priced, PriceStep } from '#schemas/rated-line.ts';
import { bounded, priceUnits } from './price-usage.ts';
import { pricedOf, takeFreeUnits } from './steps.ts';
import type { Parts } from './usage.ts';

/** What was used while a price stood. */
export type SpanUsage = {
  readonly price: Price;
  readonly span: Period;
  readonly tiers: TierCount;
  readonly quantity: Quantity;
  readonly parts: Parts;
};

const nameOf = ({ kind, from, to }: PriceStep): string => `${kind} ${from} ${to}`;

/** What a step of a larger quantity has more than the same step of a smaller one. */
const stepBetween = (step: PriceStep, before: PriceStep | undefined): PriceStep =>
  before === undefined
    ? step
    : {
        ...step,
        units: subtractQuantities(step.units, before.units),
        priced: subtractQuantities(step.priced, before.priced),
        flatAmount: (step.flatAmount - before.flatAmount) as PriceStep['flatAmount'],
        amount: (step.amount - before.amount) as PriceStep['amount'],
      };

/**
 * What the units behind the first `before` cost: rated up to the end, less rated up to the beginning. Slices of one
 * price add up to the whole, wherever they are cut. For models whose steps fill up in order.
 */
const priceSlice = (price: Price, before: Quantity, quantity: Quantity, parts: Parts): Priced => {
  if (before === zeroQuantity) return priceUnits(price, quantity, parts);
  // Below zero: nothing is charged, as at any price (`takeFreeUnits`).
  if (quantity < zeroQuantity) return pricedOf(zeroQuantity, takeFreeUnits(quantity, zeroQuantity).steps);
  const first = priceUnits(price, before, parts);
  const all = priceUnits(price, addQuantities(before, quantity), parts);
  const stepsBefore = new Map(first.steps.map((step) => [nameOf(step), step]));
  const steps = all.steps
    .map((step) => stepBetween(step, stepsBefore.get(nameOf(step))))
    .filter(({ units, amount }) => units !== 0n || amount !== 0n);
  return pricedOf(subtractQuantities(all.billableQuantity, first.billableQuantity), steps);
};

/** In the order of time; at least one. */
export const priceSpans = (spans: readonly SpanUsage[]): Priced => {
  const steps: PriceStep[] = [];
  let billable: Quantity = zeroQuantity;
  let before: Quantity = zeroQuantity;
  for (const { price, span, tiers, quantity, parts } of spans) {
    if (tiers === 'restart') before = zeroQuantity;
    const priced = priceSlice(price, before, quantity, parts);
    before = addQuantities(before, maxQuantity(quantity, zeroQuantity));
    billable = addQuantities(billable, priced.billableQuantity);
    // A price that stood all the time has the time of its line.
    steps.push(...(spans.length === 1 ? priced.steps : priced.steps.map((step) => ({ ...step, span }))));
  }
  const last = spans.at(-1)?.price;
  const priced = pricedOf(billable, steps);
  return !last || last.model === 'flat' ? priced : bounded(last as Bounds, priced);
};
