/**
 * What a meter makes of events, from docs/metering.md alone: decimal.js and plain loops over every event. It knows
 * meters and filters as they are sent, and shares no code with the product.
 */
import { Decimal } from 'decimal.js';

/** Wide enough for every product here; decimal.js would otherwise round by itself. */
export const Exact = Decimal.clone({ precision: 300, toExpNeg: -300, toExpPos: 300 });
export const zero = new Exact(0);
const decimals = 12;

export type Json = Readonly<Record<string, unknown>>;

/** A number as JSON writes it, with the digits that are sent. */
export class Numeral {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** The JSON of what is sent: numbers keep their digits. */
export const jsonOf = (value: unknown): string => {
  if (value instanceof Numeral) return value.text;
  if (Array.isArray(value)) return `[${value.map(jsonOf).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).filter(([, inner]) => inner !== undefined);
  return `{${members.map(([name, inner]) => `${JSON.stringify(name)}:${jsonOf(inner)}`).join(',')}}`;
};

export type Properties = ReadonlyMap<string, string>;

/** Every leaf as text, by its dotted path; null is the same as absent. */
export const textsOf = (properties: Json): Properties => {
  const texts = new Map<string, string>();
  const walk = (value: unknown, path: string): void => {
    if (value === null || value === undefined) return;
    if (value instanceof Numeral) texts.set(path, new Exact(value.text).toFixed());
    else if (Array.isArray(value)) texts.set(path, jsonOf(value));
    else if (typeof value === 'object')
      for (const [name, inner] of Object.entries(value)) walk(inner, path === '' ? name : `${path}.${name}`);
    else texts.set(path, String(value));
  };
  walk(properties, '');
  return texts;
};

export type UsageEvent = {
  readonly key: string;
  readonly event: string;
  readonly customer: string;
  readonly atMs: number;
  readonly properties: Properties;
};

export type Span = { readonly start: number; readonly end: number };

const toDecimals = (value: Decimal): Decimal => value.toDecimalPlaces(decimals, Decimal.ROUND_HALF_UP);

/** "What an event is worth": a number as JSON writes one, within bounds on its digits. */
const numberOf = (
  text: string | undefined,
  [digitsMax, exponentMax]: readonly [number, number] = [40, 37],
): Decimal | undefined => {
  const found = /^(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([-+]?[0-9]+))?$/.exec(text ?? '');
  if (!found || text === undefined) return undefined;
  const [, , whole = '', fraction = '', exponent] = found;
  const isWithin =
    exponent === undefined
      ? whole.length <= digitsMax && fraction.length <= 52
      : whole.length <= 3 && fraction.length <= 20 && Number(exponent) >= -52 && Number(exponent) <= exponentMax;
  return isWithin ? toDecimals(new Exact(text)) : undefined;
};

/** `+ - * /`, unary minus and parentheses; undefined where a property has no value, or something is divided by 0. */
const evaluate = (text: string, properties: Properties): Decimal | undefined => {
  const tokens = text.match(/[0-9]+(\.[0-9]+)?|("[^"]*"|[A-Za-z_]\w*)(\.("[^"]*"|[A-Za-z_]\w*))*|[-+*/()]/g) ?? [];
  let place = 0;
  const both = (a: Decimal | undefined, b: Decimal | undefined, of: (a: Decimal, b: Decimal) => Decimal | undefined) =>
    a && b && of(a, b);
  const atom = (): Decimal | undefined => {
    const token = tokens[place] ?? '';
    place += 1;
    if (token === '-') return atom()?.neg();
    if (token === '(') {
      const inner = sum();
      place += 1;
      return inner;
    }
    return /^[0-9]/.test(token) ? new Exact(token) : numberOf(properties.get(token.replaceAll('"', '')), [18, 15]);
  };
  const product = (): Decimal | undefined => {
    let left = atom();
    while (tokens[place] === '*' || tokens[place] === '/') {
      const sign = tokens[place];
      place += 1;
      left = both(left, atom(), (a, b) =>
        sign === '*' ? a.mul(b) : b.isZero() ? undefined : toDecimals(new Exact(a).div(b)),
      );
    }
    return left;
  };
  const sum = (): Decimal | undefined => {
    let left = product();
    while (tokens[place] === '+' || tokens[place] === '-') {
      const sign = tokens[place];
      place += 1;
      left = both(left, product(), (a, b) => (sign === '+' ? a.add(b) : a.sub(b)));
    }
    return left;
  };
  const value = sum();
  return value && toDecimals(value);
};

const scalarText = (value: unknown): string => (value instanceof Numeral ? value.text : String(value));

const passes = (filter: Json, properties: Properties): boolean => {
  if (filter.and) return (filter.and as Json[]).every((one) => passes(one, properties));
  if (filter.or) return (filter.or as Json[]).some((one) => passes(one, properties));
  const text = properties.get(filter.property as string);
  const { operator, value } = filter;
  if (operator === 'exists') return (text !== undefined) === value;
  if (text === undefined) return operator === 'ne' || operator === 'not_in';
  switch (operator) {
    case 'eq':
      return text === scalarText(value);
    case 'ne':
      return text !== scalarText(value);
    case 'in':
      return (value as unknown[]).map(scalarText).includes(text);
    case 'not_in':
      return !(value as unknown[]).map(scalarText).includes(text);
    case 'prefix':
      return text.startsWith(scalarText(value));
    default: {
      const number = numberOf(text);
      const bound = scalarText(value);
      if (!number) return false;
      if (operator === 'gt') return number.gt(bound);
      if (operator === 'gte') return number.gte(bound);
      return operator === 'lt' ? number.lt(bound) : number.lte(bound);
    }
  }
};

export const isCounted = (meter: Json, { event, properties }: UsageEvent): boolean =>
  event === meter.event && (!meter.filter || passes(meter.filter as Json, properties));

/** The value that the meter reads, of an event that it counts; of `unique` any text is one. */
export const valueOfEvent = (meter: Json, { properties }: UsageEvent): Decimal | undefined => {
  if (meter.aggregation === 'count') return new Exact(1);
  if (meter.aggregation === 'unique') return properties.has(meter.property as string) ? new Exact(1) : undefined;
  if (typeof meter.expression === 'string') return evaluate(meter.expression, properties);
  return numberOf(properties.get(meter.property as string));
};

/** The usable amount that a property of an event says. */
export const amountSaid = (property: string, { properties }: UsageEvent): Decimal | undefined =>
  numberOf(properties.get(property));

/** By the time of usage; of one millisecond, by the bytes of the idempotency key. */
export const inOrderOfTime = (events: readonly UsageEvent[]): UsageEvent[] =>
  events.toSorted((a, b) => a.atMs - b.atMs || Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)));

const percentile = (values: readonly Decimal[], { rank, method }: Json): Decimal | undefined => {
  const sorted = values.toSorted((a, b) => a.cmp(b));
  if (method === 'nearest_rank') {
    const place = new Exact(rank as string).mul(sorted.length).div(100).ceil().toNumber();
    return sorted[place - 1];
  }
  const place = new Exact(rank as string).mul(sorted.length - 1).div(100);
  const [below, above] = [sorted[place.floor().toNumber()], sorted[place.ceil().toNumber()]];
  return below && above && below.add(above.sub(below).mul(place.sub(place.floor())));
};

/** Average level over the span: each change counts by the share of the span that it lasts. */
const averageLevel = (meter: Json, events: readonly UsageEvent[], { start, end }: Span): Decimal => {
  let sum = zero;
  for (const event of events) {
    const lasts = end - Math.max(start, event.atMs);
    sum = sum.add((valueOfEvent(meter, event) ?? zero).mul(lasts));
  }
  return sum.div(end - start);
};

/** Undefined where nothing was measured and the aggregation has no value of nothing. */
const aggregate = (meter: Json, events: readonly UsageEvent[], span: Span): Decimal | undefined => {
  const inside = inOrderOfTime(events.filter(({ atMs }) => atMs >= span.start && atMs < span.end));
  const values = inside.flatMap((event) => valueOfEvent(meter, event) ?? []);
  const sum = values.reduce((total, value) => total.add(value), zero);
  switch (meter.aggregation) {
    case 'count':
    case 'sum':
      return sum;
    case 'max':
      return values.length === 0 ? undefined : Exact.max(...values);
    case 'min':
      return values.length === 0 ? undefined : Exact.min(...values);
    case 'unique':
      return new Exact(
        new Set(inside.flatMap(({ properties }) => properties.get(meter.property as string) ?? [])).size,
      );
    case 'latest':
      return values.at(-1);
    case 'average':
      return values.length === 0 ? undefined : new Exact(sum).div(values.length);
    case 'weighted_sum':
      return averageLevel(
        meter,
        events.filter(({ atMs }) => atMs < span.end),
        span,
      );
    case 'percentile':
      return percentile(values, meter.percentile as Json);
    default:
      throw new Error(`no aggregation ${meter.aggregation}`);
  }
};

const roundings: Readonly<Record<string, Decimal.Rounding>> = {
  half_up: Decimal.ROUND_HALF_UP,
  half_even: Decimal.ROUND_HALF_EVEN,
  up: Decimal.ROUND_UP,
  down: Decimal.ROUND_DOWN,
};

/** What is billed of the events that the meter counts, from before the span on; of nothing it is 0. */
export const quantityOf = (meter: Json, counted: readonly UsageEvent[], span: Span): Decimal => {
  const quantity = toDecimals(aggregate(meter, counted, span) ?? zero);
  const rounding = meter.rounding as { mode: string; decimals: number } | undefined;
  return rounding
    ? quantity.toDecimalPlaces(rounding.decimals, roundings[rounding.mode] as Decimal.Rounding)
    : quantity;
};
