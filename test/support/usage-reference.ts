/**
 * Usage worked out from an array of events, one by one and in plain fractions: what the queries are held against. It
 * shares no arithmetic, no evaluation and no reading of expressions with the product; of the product's types it knows
 * what a filter and a meter look like.
 */
import type { Filter } from '#schemas/filter.ts';
import type { Meter } from '#schemas/meter.ts';

export type ReferenceEvent = {
  readonly event: string;
  readonly customer: string;
  readonly key: string;
  readonly occurredAtMs: number;
  readonly sequence: number;
  readonly properties: ReadonlyMap<string, string>;
};

/** `sequence` null: every row of the key falls. */
export type ReferenceVoid = { readonly key: string; readonly sequence: number | null; readonly voidSequence: number };

/** An expression as its own tree; `textOfTree` is how it is written. */
export type Tree =
  | { readonly literal: string }
  | { readonly path: string }
  | { readonly minus: Tree }
  | { readonly left: Tree; readonly sign: '+' | '-' | '*' | '/'; readonly right: Tree };

export type ReferenceMeter = { readonly meter: Meter; readonly tree: Tree | null };

export const textOfTree = (tree: Tree): string => {
  if ('literal' in tree) return tree.literal;
  if ('path' in tree) {
    return tree.path
      .split('.')
      .map((name) => (/^[A-Za-z_][A-Za-z0-9_]*$/.test(name) ? name : `"${name}"`))
      .join('.');
  }
  return 'minus' in tree
    ? `-(${textOfTree(tree.minus)})`
    : `(${textOfTree(tree.left)} ${tree.sign} ${textOfTree(tree.right)})`;
};

type Fraction = { readonly n: bigint; readonly d: bigint };
const fraction = (n: bigint, d = 1n): Fraction => (d < 0n ? { n: -n, d: -d } : { n, d });
const plus = (a: Fraction, b: Fraction): Fraction => fraction(a.n * b.d + b.n * a.d, a.d * b.d);
const times = (a: Fraction, b: Fraction): Fraction => fraction(a.n * b.n, a.d * b.d);
const over = (a: Fraction, b: Fraction): Fraction => fraction(a.n * b.d, a.d * b.n);
const less = (a: Fraction, b: Fraction): boolean => a.n * b.d < b.n * a.d;
const zero = fraction(0n);
const total = (all: readonly Fraction[]): Fraction => all.reduce(plus, zero);

/** A number to `places` decimals: away from zero at a half, or as the mode says. */
const rounded = ({ n, d }: Fraction, places: number, mode = 'half_up'): Fraction => {
  const unit = 10n ** BigInt(places);
  const size = (n < 0n ? -n : n) * unit;
  const [down, rest] = [size / d, size % d];
  const up = {
    down: false,
    up: rest > 0n,
    half_up: rest * 2n >= d,
    half_even: rest * 2n > d || (rest * 2n === d && down % 2n === 1n),
  }[mode];
  const whole = down + (up ? 1n : 0n);
  return fraction(n < 0n ? -whole : whole, unit);
};

const written = ({ n, d }: Fraction): string => {
  const units = (n * 10n ** 12n) / d;
  const digits = (units < 0n ? -units : units).toString().padStart(13, '0');
  const fractionDigits = digits.slice(-12).replace(/0+$/, '');
  return `${units < 0n ? '-' : ''}${digits.slice(0, -12)}${fractionDigits === '' ? '' : `.${fractionDigits}`}`;
};

/**
 * Decimals with an exponent or without: no plus in front, space or lone point; less than 10^`integerDigits`, and 12
 * decimals are kept. Bounds of its parts aside.
 */
const decimal = (text: string | undefined, integerDigits: number): Fraction | null => {
  if (text === undefined) return null;
  const body = text.startsWith('-') ? text.slice(1) : text;
  const [mantissa = '', exponent, ...others] = body.split(/e/i);
  const [integer = '', decimals, ...more] = mantissa.split('.');
  const isDigits = (part: string): boolean => part !== '' && [...part].every((one) => '0123456789'.includes(one));
  if (others.length + more.length > 0 || !isDigits(integer) || (decimals !== undefined && !isDigits(decimals)))
    return null;
  if (exponent !== undefined && !isDigits(exponent.replace(/^[+-]/, ''))) return null;
  const power = Number(exponent ?? 0);
  const [up, down] = [10n ** BigInt(Math.max(0, power)), 10n ** BigInt(Math.max(0, -power) + (decimals?.length ?? 0))];
  const size = fraction(BigInt(integer + (decimals ?? '')) * up, down);
  const limit = fraction(10n ** BigInt(integerDigits));
  const kept = rounded(size, 12);
  if (!less(size, limit) || !less(kept, limit)) return null;
  return text.startsWith('-') ? fraction(-kept.n, kept.d) : kept;
};

const valueOfTree = (tree: Tree, properties: ReadonlyMap<string, string>): Fraction | null => {
  if ('literal' in tree) return decimal(tree.literal, 100);
  if ('path' in tree) return decimal(properties.get(tree.path), 18);
  if ('minus' in tree) {
    const inner = valueOfTree(tree.minus, properties);
    return inner && fraction(-inner.n, inner.d);
  }
  const [left, right] = [valueOfTree(tree.left, properties), valueOfTree(tree.right, properties)];
  if (!left || !right) return null;
  if (tree.sign === '*') return times(left, right);
  if (tree.sign === '/') return right.n === 0n ? null : rounded(over(left, right), 12);
  return plus(left, tree.sign === '+' ? right : fraction(-right.n, right.d));
};

const holds = (filter: Filter, properties: ReadonlyMap<string, string>): boolean => {
  if ('and' in filter) return !filter.and.some((one) => !holds(one, properties));
  if ('or' in filter) return filter.or.some((one) => holds(one, properties));
  const text = properties.get(filter.property);
  if (filter.operator === 'exists') return properties.has(filter.property) === filter.value;
  if (text === undefined) return ['ne', 'not_in'].includes(filter.operator);
  if (filter.operator === 'in') return filter.value.includes(text);
  if (filter.operator === 'not_in') return !filter.value.includes(text);
  if (filter.operator === 'eq') return text === filter.value;
  if (filter.operator === 'ne') return text !== filter.value;
  if (filter.operator === 'prefix') return text.slice(0, filter.value.length) === filter.value;
  const [a, b] = [decimal(text, 40), decimal(String(filter.value), 40)];
  if (!a || !b) return false;
  return { gt: less(b, a), gte: !less(a, b), lt: less(a, b), lte: !less(b, a) }[filter.operator];
};

export const isCounted = ({ meter }: ReferenceMeter, event: ReferenceEvent, filter: Filter | null = null): boolean =>
  event.event === meter.event &&
  (!meter.filter || holds(meter.filter, event.properties)) &&
  (!filter || holds(filter, event.properties));

const exactValue = ({ meter, tree }: ReferenceMeter, { properties }: ReferenceEvent): Fraction | null => {
  if (tree) {
    const exact = valueOfTree(tree, properties);
    return exact && rounded(exact, 12);
  }
  return decimal(properties.get(meter.property ?? ''), 40);
};

/** What `measureEvent` says of an event that counts. */
export const valueTextOf = (one: ReferenceMeter, event: ReferenceEvent): string | null => {
  if (one.meter.aggregation === 'count') return '1';
  if (one.meter.aggregation === 'unique') return event.properties.get(one.meter.property ?? '') ?? null;
  const value = exactValue(one, event);
  return value && written(value);
};

const bytesOf = (text: string): Buffer => Buffer.from(text);

const percentileOf = (values: readonly Fraction[], rank: string, method: string): Fraction | null => {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => (less(a, b) ? -1 : less(b, a) ? 1 : 0));
  const share = over(decimal(rank, 3) as Fraction, fraction(100n));
  const at = (place: bigint): Fraction => sorted[Number(place)] as Fraction;
  if (method === 'nearest_rank') {
    const { n, d } = times(share, fraction(BigInt(sorted.length)));
    return at((n + d - 1n) / d - 1n);
  }
  const { n, d } = times(share, fraction(BigInt(sorted.length - 1)));
  const below = n / d;
  const upper = below + 1n < BigInt(sorted.length) ? below + 1n : below;
  return plus(at(below), times(fraction(n % d, d), plus(at(upper), times(fraction(-1n), at(below)))));
};

export type Slice = { readonly start: number; readonly end: number };

/** `before` are the events of earlier than the slice, which levels come from. */
const exactQuantity = (
  one: ReferenceMeter,
  inside: readonly ReferenceEvent[],
  before: readonly ReferenceEvent[],
  { start, end }: Slice,
): Fraction | null => {
  const { meter } = one;
  const measured = inside.flatMap((event) => {
    const value = exactValue(one, event);
    return value ? [{ event, value }] : [];
  });
  const values = measured.map(({ value }) => value);
  const extreme = (isBetter: (a: Fraction, b: Fraction) => boolean): Fraction | null =>
    values.reduce<Fraction | null>((best, value) => (best === null || isBetter(value, best) ? value : best), null);
  switch (meter.aggregation) {
    case 'count':
      return fraction(BigInt(inside.length));
    case 'sum':
      return total(values);
    case 'max':
      return extreme((a, b) => less(b, a));
    case 'min':
      return extreme(less);
    case 'unique':
      return fraction(
        BigInt(new Set(inside.flatMap(({ properties }) => properties.get(meter.property ?? '') ?? [])).size),
      );
    case 'average':
      return values.length === 0 ? null : over(total(values), fraction(BigInt(values.length)));
    case 'percentile':
      return percentileOf(values, meter.percentile?.rank ?? '', meter.percentile?.method ?? '');
    case 'latest':
      return (
        measured
          .sort(
            (a, b) =>
              a.event.occurredAtMs - b.event.occurredAtMs || Buffer.compare(bytesOf(a.event.key), bytesOf(b.event.key)),
          )
          .at(-1)?.value ?? null
      );
    case 'weighted_sum': {
      const changes = [...before, ...inside].map((event) => {
        const rest = BigInt(end - Math.max(start, event.occurredAtMs));
        return times(exactValue(one, event) ?? zero, fraction(rest, BigInt(end - start)));
      });
      return total(changes);
    }
  }
};

export const quantityOf = (
  one: ReferenceMeter,
  inside: readonly ReferenceEvent[],
  before: readonly ReferenceEvent[],
  slice: Slice,
): string | null => {
  const exact = exactQuantity(one, inside, before, slice);
  if (!exact) return null;
  const quantity = rounded(exact, 12);
  const { rounding } = one.meter;
  return written(rounding ? rounded(quantity, rounding.decimals, rounding.mode) : quantity);
};

/** The events that count at a watermark: no later twin of one day and name, nothing that was voided by then. */
export const standing = (
  events: readonly ReferenceEvent[],
  voids: readonly ReferenceVoid[],
  watermark: number,
): ReferenceEvent[] => {
  const first = new Map<string, ReferenceEvent>();
  for (const event of events.filter(({ sequence }) => sequence <= watermark)) {
    const falls = voids.some(
      (one) =>
        one.voidSequence <= watermark &&
        one.key === event.key &&
        (one.sequence === null || one.sequence === event.sequence),
    );
    if (falls) continue;
    const day = Math.floor(event.occurredAtMs / 86_400_000);
    const place = JSON.stringify([event.event, event.customer, day, event.key]);
    const known = first.get(place);
    if (!known || event.sequence < known.sequence) first.set(place, event);
  }
  return [...first.values()];
};

export type ReferenceWanted = {
  readonly period: Slice;
  readonly windowStarts: readonly number[] | null;
  readonly customers: readonly string[] | null;
  readonly groupBy: readonly string[];
  /** Names that are of the customer which the group goes by. */
  readonly merged?: { readonly names: readonly string[]; readonly groups: readonly string[] };
  readonly filter: Filter | null;
};

export type ReferenceRow = {
  windowStart: number | null;
  group: (string | null)[];
  quantity: string | null;
  events: string;
  unmeasuredEvents: string;
};

const inOrder = (a: ReferenceRow, b: ReferenceRow): number => {
  if (a.windowStart !== b.windowStart) return Number(a.windowStart) - Number(b.windowStart);
  for (const [index, text] of a.group.entries()) {
    const other = b.group[index] ?? null;
    if (text === other) continue;
    if (text === null || other === null) return text === null ? -1 : 1;
    return Buffer.compare(bytesOf(text), bytesOf(other));
  }
  return 0;
};

/** Usage in windows and groups, of events that stand. */
export const referenceUsage = (
  one: ReferenceMeter,
  events: readonly ReferenceEvent[],
  wanted: ReferenceWanted,
): ReferenceRow[] => {
  const { period, groupBy, customers } = wanted;
  const counted = events.filter(
    (event) => isCounted(one, event, wanted.filter) && (!customers || customers.includes(event.customer)),
  );
  const called = (customer: string): string => {
    const place = wanted.merged?.names.indexOf(customer) ?? -1;
    return wanted.merged?.groups[place] ?? customer;
  };
  const groupOf = ({ customer, properties }: ReferenceEvent): (string | null)[] =>
    groupBy.map((name) => (name === 'customer_id' ? called(customer) : (properties.get(name) ?? null)));
  const groups = new Map(counted.map((event) => [JSON.stringify(groupOf(event)), groupOf(event)]));
  const starts = wanted.windowStarts ?? [period.start];
  const carries = one.meter.aggregation === 'weighted_sum';
  return [...groups]
    .flatMap(([name, group]) => {
      const own = counted.filter((event) => JSON.stringify(groupOf(event)) === name);
      return starts.flatMap((start, index) => {
        const slice = { start, end: starts[index + 1] ?? period.end };
        const inside = own.filter(({ occurredAtMs }) => occurredAtMs >= slice.start && occurredAtMs < slice.end);
        const before = own.filter(({ occurredAtMs }) => occurredAtMs < slice.start);
        const level = total(before.map((event) => exactValue(one, event) ?? zero));
        if (inside.length === 0 && !(carries && level.n !== 0n)) return [];
        const unmeasured = inside.filter((event) => valueTextOf(one, event) === null);
        return [
          {
            windowStart: wanted.windowStarts ? start : null,
            group,
            quantity: quantityOf(one, inside, before, slice),
            events: `${inside.length}`,
            unmeasuredEvents: `${unmeasured.length}`,
          },
        ];
      });
    })
    .sort(inOrder);
};
