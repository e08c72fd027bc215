/**
 * A stretch of time with one price that refers to something else, cut where that changes. Pure.
 *
 * It is cut where the parts add up to the whole: the meter sums or counts without rounding, and each unit costs what
 * it costs by itself (then nothing is counted across the cut) or units are counted on behind the cut. Elsewhere a fee
 * would be owed twice, or a level counted twice, so what stands when the stretch begins stands for all of it.
 */
import type { Currency } from '#schemas/currency.ts';
import type { MeterDefinition } from '#schemas/meter.ts';
import { addsUp } from '#schemas/price/meter-fit.ts';
import type { Price } from '#schemas/price/price.ts';
import { canContinue, type TierCount } from '#schemas/price-span.ts';
import { zeroQuantity } from '#schemas/quantity.ts';
import type { PricedSpan } from './price-timeline.ts';
import { changeInstants, isReferring, resolvePrice, shownPrice } from './resolve-price.ts';
import type { SourceRows } from './source-rows.ts';

type Meter = Pick<MeterDefinition, 'aggregation' | 'rounding'>;

const isPlain = (price: Price): boolean =>
  price.model === 'per_unit' &&
  price.freeUnits === zeroQuantity &&
  price.minimumAmount === null &&
  price.maximumAmount === null;

/** How units are counted behind a cut; undefined where there is none to be. */
const countOf = (price: Price, meter: Meter | undefined): TierCount | undefined => {
  if (!meter || !addsUp(meter)) return undefined;
  if (canContinue(price)) return 'continue';
  switch (price.model) {
    case 'cost_book':
      return 'restart';
    case 'matrix':
      return [price.defaultPrice, ...price.cells.map((cell) => cell.price)].every(isPlain) ? 'restart' : undefined;
    default:
      return undefined;
  }
};

/** `meter` is undefined where the charge has none. */
export const cutBySources = (
  stretch: PricedSpan,
  creditUnit: string | null,
  currency: Currency,
  meter: Meter | undefined,
  rows: SourceRows,
): PricedSpan[] => {
  const { price, span } = stretch;
  const referring = { price, creditUnit };
  if (!isReferring(referring)) return [stretch];
  const count = countOf(price, meter);
  const changes = count === undefined ? [] : changeInstants(referring, currency, span, rows);
  return [span.start, ...changes].map((start, index) => {
    const resolved = resolvePrice(referring, currency, start, rows);
    return {
      span: { start, end: changes[index] ?? span.end },
      tiers: index === 0 ? stretch.tiers : (count as TierCount),
      sources: { ...stretch.sources, ...resolved.sources },
      price: resolved.price,
      storedPrice: shownPrice(stretch.storedPrice, resolved.price),
    };
  });
};
