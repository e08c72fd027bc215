/**
 * What a charge costs at an instant, where its price refers to something that changes by time: a cost book, or what a
 * credit is worth. A price that refers to nothing is what it is. Pure: the sources are read before
 * (`run/price-sources.postgres.ts`), and the same sources give the same price for ever, as they only gain rows.
 *
 * Before the first version of a book, and the first rate of a unit, the first counts: what a plan charged was in force
 * when the plan was activated, and time before that has no other price.
 */
import assert from 'node:assert/strict';
import type { CostBook, CostBookVersion } from '#schemas/cost-book.ts';
import { chainTo, inForce, inForceOrFirst, type RatesByUnit, worthOf } from '#schemas/credit-unit.ts';
import type { Currency } from '#schemas/currency.ts';
import { type Amount, multiplyAmounts } from '#schemas/money.ts';
import type { Instant, Period } from '#schemas/period.ts';
import type { PlanCharge } from '#schemas/plan.ts';
import type { CostBookPrice } from '#schemas/price/cost-book.ts';
import { priceInMoney } from '#schemas/price/credits.ts';
import type { MatrixPrice } from '#schemas/price/matrix.ts';
import { type Price, type PriceJson, priceToJson } from '#schemas/price/price.ts';
import { zeroQuantity } from '#schemas/quantity.ts';

/** By code. */
export type PriceSources = { readonly books: ReadonlyMap<string, CostBook>; readonly rates: RatesByUnit };

export const noSources: PriceSources = { books: new Map(), rates: new Map() };

export type PricedCharge = Pick<PlanCharge, 'code' | 'price' | 'creditUnit'>;

export type ResolvedPrice = {
  readonly price: Price;
  /** Canonical. */
  readonly priceJson: PriceJson;
  /** Ids of the version of the book, or of the rates in the order of their chain. */
  readonly sources: readonly string[];
};

/** Whether the price is another one at another instant, perhaps. */
export const refersToSources = ({ price, creditUnit }: PricedCharge): boolean =>
  price.model === 'cost_book' || creditUnit !== null;

const perUnitAt = (unitAmount: Amount) =>
  ({ model: 'per_unit', unitAmount, freeUnits: zeroQuantity, minimumAmount: null, maximumAmount: null }) as const;

/** A cell for each entry, which costs its unit cost times the factor. Dimensions have the order of the book. */
const matrixOf = (price: CostBookPrice, book: CostBook, version: CostBookVersion): MatrixPrice => {
  const properties = new Map(price.dimensions.map(({ dimension, property }) => [dimension, property]));
  const propertyOf = (dimension: string): string => {
    const property = properties.get(dimension);
    assert(property !== undefined, `a price says no property for ${dimension} of cost book ${book.code}`);
    return property;
  };
  return {
    model: 'matrix',
    dimensions: book.dimensions.map(propertyOf),
    cells: version.entries.map(({ match, unitCost }) => ({
      match: Object.fromEntries(Object.entries(match).map(([dimension, value]) => [propertyOf(dimension), value])),
      price: perUnitAt(multiplyAmounts(unitCost, price.factor)),
    })),
    defaultPrice: perUnitAt(multiplyAmounts(version.defaultCost, price.factor)),
    minimumAmount: price.minimumAmount,
    maximumAmount: price.maximumAmount,
  };
};

/** Undefined where there is no book, no version, or no chain into the currency. */
export const resolvePriceIfPossible = (
  { price, creditUnit }: PricedCharge,
  currency: Currency,
  at: Instant,
  { books, rates }: PriceSources,
): Omit<ResolvedPrice, 'priceJson'> | undefined => {
  if (creditUnit !== null) {
    const chain = chainTo(creditUnit, currency, at, rates) ?? chainTo(creditUnit, currency, at, rates, inForceOrFirst);
    return chain && { price: priceInMoney(price, worthOf(chain)), sources: chain.map(({ id }) => id) };
  }
  if (price.model !== 'cost_book') return { price, sources: [] };
  const book = books.get(price.costBook);
  const version = book && inForceOrFirst(book.versions, at);
  return version && { price: matrixOf(price, book, version), sources: [version.id] };
};

/** A plan is active only if all that its prices refer to is there, so what is missing is damage. */
export const resolvePrice = (
  charge: PricedCharge,
  currency: Currency,
  at: Instant,
  sources: PriceSources,
): ResolvedPrice => {
  const resolved = resolvePriceIfPossible(charge, currency, at, sources);
  assert(resolved, `charge ${charge.code} has no price in ${currency} at ${new Date(at).toISOString()}`);
  return { ...resolved, priceJson: priceToJson(resolved.price) };
};

/** Whether all that the price refers to is in force at an instant, and not only the first of what is to come. */
export const isPricedAt = (
  { price, creditUnit }: PricedCharge,
  currency: Currency,
  at: Instant,
  { books, rates }: PriceSources,
): boolean => {
  if (creditUnit !== null) return chainTo(creditUnit, currency, at, rates) !== undefined;
  if (price.model !== 'cost_book') return true;
  return inForce(books.get(price.costBook)?.versions ?? [], at) !== undefined;
};

/** From when on the rows count that a charge's price may refer to. */
const instantsOf = ({ price, creditUnit }: PricedCharge, { books, rates }: PriceSources): readonly Instant[] => {
  if (creditUnit !== null) return [...rates.values()].flat().map(({ effectiveFrom }) => effectiveFrom);
  if (price.model !== 'cost_book') return [];
  return (books.get(price.costBook)?.versions ?? []).map(({ effectiveFrom }) => effectiveFrom);
};

/**
 * When inside a span the price changes, in order: neither at its start nor at its end. Rows that say what was said
 * before change nothing.
 */
export const changeInstants = (
  charge: PricedCharge,
  currency: Currency,
  { start, end }: Period,
  sources: PriceSources,
): readonly Instant[] => {
  const inside = instantsOf(charge, sources).filter((instant) => instant > start && instant < end);
  if (inside.length === 0) return [];
  const textAt = (instant: Instant) => JSON.stringify(resolvePrice(charge, currency, instant, sources).priceJson);
  let text = textAt(start);
  return [...new Set(inside)]
    .toSorted((a, b) => a - b)
    .filter((instant) => {
      const before = text;
      text = textAt(instant);
      return text !== before;
    });
};
