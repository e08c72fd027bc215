/**
 * What a charge costs in a billing period, from docs/prices.md, docs/price-overrides.md and the events: decimal.js and
 * plain loops. It shares no code with the product.
 */
import { Decimal } from 'decimal.js';
import {
  amountSaid,
  Exact,
  inOrderOfTime,
  type Json,
  quantityOf,
  type Span,
  type UsageEvent,
  valueOfEvent,
  zero,
} from './brute-usage.ts';

export type Rated = {
  readonly quantity: Decimal;
  /** Exact, before the one rounding. */
  readonly precise: Decimal;
  /** Events in the span that cost nothing as they have no usable value. */
  readonly unmeasured: number;
};

const decimal = (value: unknown): Decimal => new Exact((value ?? '0') as string);
type Quantified = Pick<Rated, 'quantity' | 'precise'>;

const add = (all: readonly Decimal[]): Decimal => all.reduce((total, one) => total.add(one), zero);

const shareOf = (price: Json): Decimal =>
  price.percent === undefined ? decimal(price.basis_points).div(10_000) : decimal(price.percent).div(100);

const atLeastAtMost = (amount: Decimal, least: unknown, most: unknown): Decimal => {
  const raised = least === undefined ? amount : Exact.max(amount, decimal(least));
  return most === undefined ? raised : Exact.min(raised, decimal(most));
};

/** Slice by slice, up to where the units end. */
const slices = (tiers: readonly Json[], units: Decimal, costOf: (tier: Json, inside: Decimal) => Decimal): Decimal => {
  let cost = zero;
  let from = zero;
  for (const tier of tiers) {
    const to = tier.up_to === null ? units : Exact.min(units, decimal(tier.up_to));
    if (to.lte(from)) break;
    cost = cost.add(costOf(tier, to.sub(from))).add(decimal(tier.flat_amount));
    from = to;
  }
  return cost;
};

const tierOfLast = (tiers: readonly Json[], units: Decimal): Json => {
  for (const tier of tiers) if (tier.up_to === null || units.lte(decimal(tier.up_to))) return tier;
  throw new Error('the last tier has no bound');
};

/** Of a quantity alone, with free units and without the bounds of the period. */
const costOfUnits = (price: Json, quantity: Decimal): Decimal => {
  const units = Exact.max(0, quantity.sub(decimal(price.free_units)));
  const tiers = price.tiers as readonly Json[];
  if (units.isZero()) return zero;
  switch (price.model) {
    case 'per_unit':
      return units.mul(decimal(price.unit_amount));
    case 'graduated':
      return slices(tiers, units, (tier, inside) => inside.mul(decimal(tier.unit_amount)));
    case 'graduated_percentage':
      return slices(tiers, units, (tier, inside) => inside.mul(shareOf(tier)));
    case 'volume': {
      const tier = tierOfLast(tiers, units);
      return units.mul(decimal(tier.unit_amount)).add(decimal(tier.flat_amount));
    }
    case 'tiered_flat':
      return decimal(tierOfLast(tiers, units).flat_amount);
    case 'package': {
      if (price.partial_package === 'prorate')
        return units.mul(decimal(price.package_amount)).div(decimal(price.package_size));
      const rest = units.mod(decimal(price.package_size));
      const whole = units.sub(rest).div(decimal(price.package_size));
      return (rest.isZero() ? whole : whole.add(1)).mul(decimal(price.package_amount));
    }
    case 'percentage':
    case 'basis_points':
      return units.mul(shareOf(price));
    default:
      throw new Error(`no price ${price.model}`);
  }
};

const eventTerms = ['fixed_amount', 'event_minimum_amount', 'event_maximum_amount', 'free_events'];
const pricesEvents = (price: Json): boolean => {
  const { fixed_amount: fixed, free_events: free } = price;
  const hasBounds = price.event_minimum_amount !== undefined || price.event_maximum_amount !== undefined;
  return eventTerms.some((name) => price[name] !== undefined) && (hasBounds || !decimal(fixed).isZero() || !!free);
};

const costOfEvents = (price: Json, meter: Json, inside: readonly UsageEvent[]): Decimal => {
  let free = Number(price.free_events ?? 0);
  let cost = zero;
  for (const event of inOrderOfTime(inside)) {
    const value = valueOfEvent(meter, event);
    if (!value) continue;
    free -= 1;
    if (free >= 0 || value.lt(0)) continue;
    const share = value.mul(shareOf(price)).add(decimal(price.fixed_amount));
    cost = cost.add(atLeastAtMost(share, price.event_minimum_amount, price.event_maximum_amount));
  }
  return cost;
};

type Cell = { readonly match: Readonly<Record<string, string>>; readonly price: Json };

const namesIn = (dimensions: readonly string[], { match }: Cell): readonly boolean[] =>
  dimensions.map((name) => (match[name] ?? '*') !== '*');

/** Whether the first of the two is tried before the other. */
const isBefore = (dimensions: readonly string[], a: Cell, b: Cell): boolean => {
  const [inA, inB] = [namesIn(dimensions, a), namesIn(dimensions, b)];
  const [manyA, manyB] = [inA.filter(Boolean).length, inB.filter(Boolean).length];
  if (manyA !== manyB) return manyA > manyB;
  const place = inA.findIndex((isNamed, index) => isNamed !== inB[index]);
  return place >= 0 && inA[place] === true;
};

const cellFor = (price: Json, event: UsageEvent): Cell | undefined => {
  const dimensions = price.dimensions as readonly string[];
  let best: Cell | undefined;
  for (const cell of price.cells as readonly Cell[]) {
    const isMatch = namesIn(dimensions, cell).every((isNamed, index) => {
      const name = dimensions[index] as string;
      return !isNamed || event.properties.get(name) === cell.match[name];
    });
    if (isMatch && (!best || isBefore(dimensions, cell, best))) best = cell;
  }
  return best;
};

const isInside =
  ({ start, end }: Span) =>
  ({ atMs }: UsageEvent): boolean =>
    atMs >= start && atMs < end;
const unmeasuredOf = (meter: Json, inside: readonly UsageEvent[]): number =>
  inside.filter((event) => valueOfEvent(meter, event) === undefined).length;

const rateMatrix = (price: Json, meter: Json, counted: readonly UsageEvent[], span: Span): Quantified => {
  const cells: (Cell | undefined)[] = [...(price.cells as readonly Cell[]), undefined];
  const rated = cells.map((cell) => {
    const own = counted.filter((event) => cellFor(price, event) === cell);
    return rateCharge(cell?.price ?? (price.default_price as Json), meter, own, span);
  });
  return { quantity: add(rated.map(({ quantity }) => quantity)), precise: add(rated.map(({ precise }) => precise)) };
};

const beforeBounds = (price: Json, meter: Json, counted: readonly UsageEvent[], span: Span): Quantified => {
  if (price.model === 'matrix') return rateMatrix(price, meter, counted, span);
  const quantity = quantityOf(meter, counted, span);
  const inside = counted.filter(isInside(span));
  if (price.model === 'dynamic') {
    const said = inside.flatMap(
      (event) => (valueOfEvent(meter, event) && amountSaid(price.amount_property as string, event)) ?? [],
    );
    return { quantity, precise: Exact.max(0, add(said)).mul(decimal(price.factor ?? '1')) };
  }
  return { quantity, precise: pricesEvents(price) ? costOfEvents(price, meter, inside) : costOfUnits(price, quantity) };
};

/** A metered charge, of the events that its meter counts, from before the span on. */
const rateCharge = (price: Json, meter: Json, counted: readonly UsageEvent[], span: Span): Quantified => {
  const { quantity, precise } = beforeBounds(price, meter, counted, span);
  return { quantity, precise: atLeastAtMost(precise, price.minimum_amount, price.maximum_amount) };
};

const unusableAmounts = (price: Json, meter: Json, inside: readonly UsageEvent[]): number =>
  price.model === 'dynamic'
    ? inside.filter(
        (event) => valueOfEvent(meter, event) !== undefined && !amountSaid(price.amount_property as string, event),
      ).length
    : 0;

/** A price while it stands, and how units are counted from its beginning on. */
export type PriceSpan = { readonly price: Json; readonly span: Span; readonly tiers: 'restart' | 'continue' };

/** Prices that follow each other within a billing period: each measured and rated by itself, bounded once. */
export const rateSpans = (spans: readonly PriceSpan[], meter: Json, counted: readonly UsageEvent[]): Rated => {
  let [quantity, precise, used, unmeasured] = [zero, zero, zero, 0];
  for (const { price, span, tiers } of spans) {
    const inside = counted.filter(isInside(span));
    unmeasured += unmeasuredOf(meter, inside) + unusableAmounts(price, meter, inside);
    if (tiers === 'restart') used = zero;
    const part = beforeBounds(price, meter, counted, span);
    const billed = Exact.max(0, part.quantity);
    const isBehind = used.gt(0);
    precise = precise.add(isBehind ? costOfUnits(price, used.add(billed)).sub(costOfUnits(price, used)) : part.precise);
    quantity = quantity.add(part.quantity);
    used = used.add(billed);
  }
  const last = spans.at(-1)?.price as Json;
  return { quantity, precise: atLeastAtMost(precise, last.minimum_amount, last.maximum_amount), unmeasured };
};

const minorUnits: Readonly<Record<string, number>> = { USD: 2, EUR: 2, HUF: 2, JPY: 0, KRW: 0, KWD: 3, TND: 3 };

/** How the half of a minor unit is rounded: away from zero, or to the even one. */
export type Rounding = 'half_up' | 'half_even';
const modes: Readonly<Record<Rounding, Decimal.Rounding>> = {
  half_up: Decimal.ROUND_HALF_UP,
  half_even: Decimal.ROUND_HALF_EVEN,
};

/** Once, straight to the minor unit. */
export const printed = (precise: Decimal, currency: string, rounding: Rounding): string =>
  precise.toFixed(minorUnits[currency] as number, modes[rounding]);
