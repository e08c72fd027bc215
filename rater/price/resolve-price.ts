/**
 * What a price is at an instant that refers to something that changes by time: to a cost book, or to what a credit is
 * worth. Pure.
 *
 * Before the first version of a book, and the first rate of a unit, the first counts: what a plan charges was in force
 * when the plan became active, and time before that has no other price.
 */
import assert from 'node:assert/strict';
import type { CostBook, CostBookVersion } from '#schemas/cost-book.ts';
import { type CreditRate, chainTo, inForce, inForceOrFirst, worthOf } from '#schemas/credit-unit.ts';
import type { Currency } from '#schemas/currency.ts';
import { type Amount, multiplyAmounts } from '#schemas/money.ts';
import type { Instant, Period } from '#schemas/period.ts';
import type { PlanCharge } from '#schemas/plan.ts';
import type { CostBookPrice } from '#schemas/price/cost-book.ts';
import { priceInMoney } from '#schemas/price/credits.ts';
import type { MatrixPrice } from '#schemas/price/matrix.ts';
import { type Price, type PriceJson, priceToJson } from '#schemas/price/price.ts';
import type { PriceSources } from '#schemas/price-span.ts';
import { zeroQuantity } from '#schemas/quantity.ts';
import type { NamedRows, SourceRows } from './source-rows.ts';

/** A price with the unit that its amounts are in. */
export type ReferringPrice = Pick<PlanCharge, 'price' | 'creditUnit'>;

export type ResolvedPrice = { readonly price: Price; readonly sources: PriceSources };

/** Whether the price may be another one at another instant. */
export const isReferring = ({ price, creditUnit }: ReferringPrice): boolean =>
  price.model === 'cost_book' || creditUnit !== null;

const perUnitAt = (unitAmount: Amount) =>
  ({ model: 'per_unit', unitAmount, freeUnits: zeroQuantity, minimumAmount: null, maximumAmount: null }) as const;

/** A cell for each entry, which costs its unit cost times the factor. Dimensions have the order of the book. */
const matrixOf = (price: CostBookPrice, { code, dimensions }: CostBook, version: CostBookVersion): MatrixPrice => {
  const properties = new Map(price.dimensions.map(({ dimension, property }) => [dimension, property]));
  const propertyOf = (dimension: string): string => {
    const property = properties.get(dimension);
    assert(property !== undefined, `a price says no property for ${dimension} of cost book ${code}`);
    return property;
  };
  return {
    model: 'matrix',
    dimensions: dimensions.map(propertyOf),
    cells: version.entries.map(({ match, unitCost }) => ({
      match: Object.fromEntries(Object.entries(match).map(([dimension, value]) => [propertyOf(dimension), value])),
      price: perUnitAt(multiplyAmounts(unitCost, price.factor)),
    })),
    defaultPrice: perUnitAt(multiplyAmounts(version.defaultCost, price.factor)),
    minimumAmount: price.minimumAmount,
    maximumAmount: price.maximumAmount,
  };
};

/**
 * By the very price and the ids of what it is made of: a shard has many periods of few prices, and whoever looks at a
 * price twice finds the same object.
 */
const known = new WeakMap<Price, Map<string, ResolvedPrice>>();
const once = (price: Price, sources: PriceSources, make: () => Price): ResolvedPrice => {
  const byKey = known.get(price) ?? new Map<string, ResolvedPrice>();
  known.set(price, byKey);
  const key = JSON.stringify(sources);
  const resolved = byKey.get(key) ?? { price: make(), sources };
  byKey.set(key, resolved);
  return resolved;
};

const byVersion = (price: CostBookPrice, book: CostBook, version: CostBookVersion): ResolvedPrice =>
  once(price, { costBookVersionId: version.id }, () => matrixOf(price, book, version));

const byChain = (price: Price, chain: readonly CreditRate[]): ResolvedPrice =>
  once(price, { creditUnitRateIds: chain.map(({ id }) => id) }, () => priceInMoney(price, worthOf(chain)));

/** Undefined where there is no book, no version, or no chain into the currency. */
const resolveIfPossible = (
  { price, creditUnit }: ReferringPrice,
  currency: Currency,
  at: Instant,
  { books, rates }: SourceRows,
): ResolvedPrice | undefined => {
  if (creditUnit !== null) {
    const chain = chainTo(creditUnit, currency, at, rates) ?? chainTo(creditUnit, currency, at, rates, inForceOrFirst);
    return chain && byChain(price, chain);
  }
  if (price.model !== 'cost_book') return { price, sources: {} };
  const book = books.get(price.costBook);
  const version = book && inForceOrFirst(book.versions, at);
  return version && byVersion(price, book, version);
};

/** A plan is active only if all that its prices refer to is there, so what is missing is damage. */
export const resolvePrice = (
  referring: ReferringPrice,
  currency: Currency,
  at: Instant,
  rows: SourceRows,
): ResolvedPrice => {
  const resolved = resolveIfPossible(referring, currency, at, rows);
  const { price, creditUnit } = referring;
  const what = price.model === 'cost_book' ? `cost book ${price.costBook}` : `credit unit ${creditUnit}`;
  assert(resolved, `${what} says nothing in ${currency} at ${new Date(at).toISOString()}`);
  return resolved;
};

/** The price that was made of those rows. */
export const resolvePriceBy = (price: Price, sources: PriceSources, rows: NamedRows): Price => {
  const { costBookVersionId, creditUnitRateIds } = sources;
  if (creditUnitRateIds !== undefined) {
    const chain = creditUnitRateIds.map((id) => {
      const rate = rows.rates.get(id);
      assert(rate, `the rate ${id} is gone`);
      return rate;
    });
    return byChain(price, chain).price;
  }
  if (costBookVersionId === undefined) return price;
  const found = rows.versions.get(costBookVersionId);
  assert(found, `the version ${costBookVersionId} of a cost book is gone`);
  assert(price.model === 'cost_book', `the price refers to no cost book, and its line names ${costBookVersionId}`);
  return byVersion(price, found.book, found.version).price;
};

/** Whether all that the price refers to is in force at an instant, and not only the first of what is to come. */
export const isPricedAt = (
  { price, creditUnit }: ReferringPrice,
  currency: Currency,
  at: Instant,
  { books, rates }: SourceRows,
): boolean => {
  if (creditUnit !== null) return chainTo(creditUnit, currency, at, rates) !== undefined;
  if (price.model !== 'cost_book') return true;
  return inForce(books.get(price.costBook)?.versions ?? [], at) !== undefined;
};

const texts = new WeakMap<Price, string>();
const textOf = (price: Price): string => {
  const text = texts.get(price) ?? JSON.stringify(priceToJson(price));
  texts.set(price, text);
  return text;
};

/** From when on the rows count that the price may refer to. */
const instantsOf = ({ price, creditUnit }: ReferringPrice, { books, rates }: SourceRows): readonly Instant[] => {
  if (creditUnit !== null) return [...rates.values()].flat().map(({ effectiveFrom }) => effectiveFrom);
  if (price.model !== 'cost_book') return [];
  return (books.get(price.costBook)?.versions ?? []).map(({ effectiveFrom }) => effectiveFrom);
};

/**
 * When inside a span the price changes, in order: neither at its start nor at its end. Rows that say what was said
 * before change nothing.
 */
export const changeInstants = (
  referring: ReferringPrice,
  currency: Currency,
  { start, end }: Period,
  rows: SourceRows,
): readonly Instant[] => {
  const inside = instantsOf(referring, rows).filter((instant) => instant > start && instant < end);
  if (inside.length === 0) return [];
  let last = resolvePrice(referring, currency, start, rows).price;
  return [...new Set(inside)]
    .toSorted((a, b) => a - b)
    .filter((instant) => {
      const before = last;
      last = resolvePrice(referring, currency, instant, rows).price;
      return last !== before && textOf(last) !== textOf(before);
    });
};

/** A price as explanations show it. What a cost book comes to is long, and its version is named. */
export const shownPrice = (stored: PriceJson, resolved: Price): PriceJson =>
  stored.model === 'cost_book' ? stored : priceToJson(resolved);
