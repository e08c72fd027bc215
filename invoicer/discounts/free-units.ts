/**
 * What the first units of a line cost by its own price, in whole minor units. Pure: the rating core prices them, so
 * tiers and packages count as they do on the line. Units that the price gives away come before them; what a billing
 * period costs at least and at most is left out.
 */
import {
  type Amount,
  type PreciseAmount,
  roundToMinorUnits,
  toPrecise,
  zeroAmount,
  zeroPrecise,
} from '#schemas/money.ts';
import { type Price, usagePartsOf } from '#schemas/price/price.ts';
import {
  addQuantities,
  maxQuantity,
  minQuantity,
  type Quantity,
  subtractQuantities,
  zeroQuantity,
} from '#schemas/quantity.ts';
import type { PriceStep, RatedLine, RatedSpan } from '#schemas/rated-line.ts';
import { priceSpans, type SpanUsage } from '../../rater/price/price-spans.ts';
import { priceUnits } from '../../rater/price/price-usage.ts';
import { shareOf } from '../../rater/price/prorate.ts';
import { noParts } from '../../rater/price/usage.ts';

/** The price of a charge as its plan version says it, or a price override. Undefined where it is not known. */
export type PriceOfLine = (line: RatedLine, priceOverrideId: string | undefined) => Price | undefined;

/** Whether it goes by one quantity alone, so that there is a first unit. */
const hasFirstUnits = (price: Price): boolean =>
  price.model !== 'flat' && price.model !== 'cost_book' && Object.keys(usagePartsOf(price)).length === 0;

const ownFreeUnits = (price: Price): Quantity => ('freeUnits' in price ? price.freeUnits : zeroQuantity);

/** The cost of the first `units` of a quantity behind those that the price gives away. */
const costOfFirst = (price: Price, quantity: Quantity, units: Quantity): PreciseAmount => {
  const first = minQuantity(quantity, addQuantities(units, ownFreeUnits(price)));
  return first > zeroQuantity ? priceUnits(price, first).precise : zeroPrecise;
};

/** A part of what they cost whole, of each number that there was in the period. */
const costOfLevels = (line: RatedLine, levels: readonly PriceStep[], price: Price, units: Quantity): PreciseAmount =>
  levels.reduce((sum, { units: number, proration }) => {
    const whole = costOfFirst(price, number, units);
    const share = proration ? toPrecise(shareOf(whole, proration, line.currency, line.rounding)) : whole;
    return (sum + share) as PreciseAmount;
  }, zeroPrecise);

/** The first units in time are those of the first prices. */
const costOfSpans = (spans: readonly RatedSpan[], prices: readonly Price[], units: Quantity): PreciseAmount => {
  let left = addQuantities(units, ownFreeUnits(prices[0] as Price));
  const used: SpanUsage[] = [];
  for (const [index, { span, tiers, quantity }] of spans.entries()) {
    const first = maxQuantity(zeroQuantity, minQuantity(quantity, left));
    left = subtractQuantities(left, first);
    const price = { ...(prices[index] as Price), minimumAmount: null, maximumAmount: null } as Price;
    used.push({ price, span, tiers, quantity: first, parts: noParts });
  }
  return priceSpans(used).precise;
};

/** Zero where its price has no first units: a flat one, one by events or dimensions, in credits or of a cost book. */
export const worthOfFreeUnits = (line: RatedLine, units: Quantity, priceOf: PriceOfLine): Amount => {
  const spans = line.priceSpans ?? [];
  if (spans.some(({ sources }) => sources.costBookVersionId !== undefined || sources.creditUnitRateIds !== undefined))
    return zeroAmount;
  const asked = spans.length > 0 ? spans.map(({ sources }) => sources.priceOverrideId) : [undefined];
  const prices = asked.flatMap((id) => priceOf(line, id) ?? []);
  const [price] = prices;
  if (!price || prices.length < asked.length || !prices.every(hasFirstUnits)) return zeroAmount;
  const levels = line.steps.filter(({ kind }) => kind === 'prorated');
  const precise =
    levels.length > 0
      ? costOfLevels(line, levels, price, units)
      : spans.length > 1
        ? costOfSpans(spans, prices, units)
        : costOfFirst(price, line.quantity, units);
  return roundToMinorUnits(precise, line.currency, line.rounding);
};
