/**
 * What a price costs, worked out a second time: from its JSON, in decimal.js, by a formula for each model that was
 * written from docs/prices.md. It shares no code with readers or rating.
 */
import type { Decimal } from 'decimal.js';
import { Exact } from './rating-arbitraries.ts';

type Json = Readonly<Record<string, unknown>>;
type TierJson = Readonly<Record<string, string | null | undefined>>;
export type OraclePart = { readonly quantity: Decimal; readonly events: Decimal };
export type OracleParts = ReadonlyMap<string, OraclePart>;

const zero = new Exact(0);
const decimal = (value: unknown): Decimal => new Exact((value ?? '0') as string);
const sum = (terms: readonly Decimal[]): Decimal => terms.reduce((total, term) => total.add(term), zero);
const billableOf = (price: Json, quantity: Decimal): Decimal =>
  Exact.max(zero, Exact.max(zero, quantity).sub(decimal(price.free_units)));

/** Percent or basis points as a fraction. */
const shareOf = (json: Json): Decimal =>
  json.percent === undefined ? decimal(json.basis_points).div(10_000) : decimal(json.percent).div(100);

/** What lies inside each tier. */
const graduated = (price: Json, quantity: Decimal, unitAmount: (tier: TierJson) => Decimal): Decimal => {
  const billable = billableOf(price, quantity);
  const tiers = price.tiers as readonly TierJson[];
  return sum(
    tiers.map((tier, index) => {
      const lower = decimal(tiers[index - 1]?.up_to);
      const upper = tier.up_to === null ? billable : Exact.min(billable, decimal(tier.up_to));
      const inside = upper.sub(lower);
      return inside.gt(0) ? inside.mul(unitAmount(tier)).add(decimal(tier.flat_amount)) : zero;
    }),
  );
};

/** The one tier that the last unit lies in. */
const inOneTier = (price: Json, quantity: Decimal, amount: (tier: TierJson, billable: Decimal) => Decimal): Decimal => {
  const billable = billableOf(price, quantity);
  const tier = (price.tiers as readonly TierJson[]).find(
    ({ up_to: upTo }) => upTo === null || billable.lte(decimal(upTo)),
  );
  return billable.gt(0) && tier ? amount(tier, billable) : zero;
};

/** What one event costs that has a price of its own. */
export const oracleOfEvent = (price: Json, value: Decimal): Decimal => {
  if (value.lt(0)) return zero;
  const share = value.mul(shareOf(price)).add(decimal(price.fixed_amount));
  const atLeast = Exact.max(share, decimal(price.event_minimum_amount));
  return price.event_maximum_amount === undefined ? atLeast : Exact.min(atLeast, decimal(price.event_maximum_amount));
};

export const hasEventTerms = (price: Json): boolean =>
  !decimal(price.fixed_amount).isZero() ||
  price.event_minimum_amount !== undefined ||
  price.event_maximum_amount !== undefined ||
  (price.free_events ?? 0) !== 0;

const percentage = (price: Json, quantity: Decimal, parts: OracleParts): Decimal => {
  if (!hasEventTerms(price)) return billableOf(price, quantity).mul(shareOf(price));
  const part = (name: string) => parts.get(name) ?? { quantity: zero, events: zero };
  const rate = part('rate');
  return sum([
    rate.quantity.mul(shareOf(price)),
    rate.events.mul(decimal(price.fixed_amount)),
    part('minimum').events.mul(decimal(price.event_minimum_amount)),
    part('maximum').events.mul(decimal(price.event_maximum_amount)),
  ]);
};

type CellJson = { readonly match: Readonly<Record<string, string>>; readonly price: Json };

/** More named values first, and of as many the one that names an earlier dimension. */
export const oracleCells = (price: Json): readonly CellJson[] => {
  const dimensions = price.dimensions as readonly string[];
  const weightOf = ({ match }: CellJson): number =>
    dimensions.reduce((weight, name, index) => weight + (match[name] === undefined ? 0 : 100 + 2 ** (9 - index)), 0) +
    Object.keys(match).length * 10_000;
  return (price.cells as readonly CellJson[]).toSorted((a, b) => weightOf(b) - weightOf(a));
};

const matrix = (price: Json, parts: OracleParts): Decimal =>
  sum(
    [{ price: price.default_price as Json }, ...oracleCells(price)].map((cell, place) =>
      oracleOf(cell.price, parts.get(String(place))?.quantity ?? zero, new Map()),
    ),
  );

const beforeBounds = (price: Json, quantity: Decimal, parts: OracleParts): Decimal => {
  const billable = billableOf(price, quantity);
  switch (price.model) {
    case 'flat':
      return decimal(price.amount);
    case 'per_unit':
      return billable.mul(decimal(price.unit_amount));
    case 'graduated':
      return graduated(price, quantity, (tier) => decimal(tier.unit_amount));
    case 'graduated_percentage':
      return graduated(price, quantity, (tier) => decimal(tier.percent).div(100));
    case 'volume':
      return inOneTier(price, quantity, (tier, units) =>
        units.mul(decimal(tier.unit_amount)).add(decimal(tier.flat_amount)),
      );
    case 'tiered_flat':
      return inOneTier(price, quantity, (tier) => decimal(tier.flat_amount));
    case 'package': {
      const packages = billable.div(decimal(price.package_size));
      return price.partial_package === 'prorate'
        ? billable.mul(decimal(price.package_amount)).div(decimal(price.package_size))
        : packages.ceil().mul(decimal(price.package_amount));
    }
    case 'percentage':
    case 'basis_points':
      return percentage(price, quantity, parts);
    case 'dynamic':
      return Exact.max(zero, parts.get('amounts')?.quantity ?? zero).mul(decimal(price.factor));
    case 'matrix':
      return matrix(price, parts);
    default:
      throw new Error(`no formula for ${price.model}`);
  }
};

/** The exact amount of a price, given as its JSON. */
export const oracleOf = (price: Json, quantity: Decimal, parts: OracleParts): Decimal => {
  const atLeast = Exact.max(beforeBounds(price, quantity, parts), decimal(price.minimum_amount));
  return price.maximum_amount === undefined ? atLeast : Exact.min(atLeast, decimal(price.maximum_amount));
};
