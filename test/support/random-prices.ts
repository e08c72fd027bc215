/** Random prices of every model, meters of every aggregation and plans, as they are sent. */
import type { Json } from './brute-usage.ts';

/** Numbers that follow from a seed (mulberry32). */
export const createRandom = (seed: number) => {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
  const int = (min: number, max: number): number => min + Math.floor(next() * (max - min + 1));
  const pick = <T>(of: readonly T[]): T => of[int(0, of.length - 1)] as T;
  return {
    int,
    pick,
    chance: (share: number): boolean => next() < share,
    times: <T>(count: number, make: (index: number) => T): T[] =>
      Array.from({ length: count }, (_, index) => make(index)),
    shuffled: <T>(of: readonly T[]): T[] =>
      of
        .map((item) => ({ item, place: next() }))
        .toSorted((a, b) => a.place - b.place)
        .map(({ item }) => item),
  };
};
export type Random = ReturnType<typeof createRandom>;

const digits = (random: Random, count: number): string => random.times(count, () => random.int(0, 9)).join('');

/** Amounts and quantities as people write them, and some with all twelve decimals. */
const amount = (random: Random, decimalsMax = 12): string => {
  const whole = String(random.int(0, random.pick([0, 3, 50, 2_000])));
  const decimals = random.pick([0, 0, 1, 2, 3, 6, 12].filter((count) => count <= decimalsMax));
  return decimals === 0 ? whole : `${whole}.${digits(random, decimals)}`;
};
const positive = (random: Random): string =>
  `${random.int(1, random.pick([1, 5, 60]))}${random.chance(0.3) ? `.${digits(random, random.pick([1, 12]))}` : ''}`;
const percent = (random: Random): string => `${random.int(0, 120)}.${digits(random, random.pick([1, 2, 10]))}`;
const maybe = (random: Random, share: number, fields: () => Json): Json => (random.chance(share) ? fields() : {});

const bounds = (random: Random, least: string, most: string): Json => {
  const [low, high] = [String(random.int(0, 8)), `${random.int(9, 400)}.${digits(random, 2)}`];
  return {
    ...maybe(random, 0.25, () => ({ [least]: `${low}.${digits(random, 2)}` })),
    ...maybe(random, 0.25, () => ({ [most]: high })),
  };
};
const limits = (random: Random): Json => bounds(random, 'minimum_amount', 'maximum_amount');
const free = (random: Random): Json => maybe(random, 0.4, () => ({ free_units: amount(random) }));

const tiers = (random: Random, values: () => Json): Json[] => {
  let upTo = 0;
  const bounded = random.times(random.int(0, 3), () => {
    upTo += random.int(1, random.pick([2, 20, 200]));
    return { up_to: random.chance(0.2) ? `${upTo}.${digits(random, 3)}` : String(upTo), ...values() };
  });
  return [...bounded, { up_to: null, ...values() }];
};

export type Model =
  | 'flat'
  | 'per_unit'
  | 'graduated'
  | 'volume'
  | 'package'
  | 'tiered_flat'
  | 'percentage'
  | 'basis_points'
  | 'graduated_percentage'
  | 'dynamic'
  | 'matrix';
const cellModels = ['per_unit', 'graduated', 'volume', 'package', 'tiered_flat'] as const;
export const meteredModels: readonly Model[] = [
  ...cellModels,
  'percentage',
  'basis_points',
  'graduated_percentage',
  'dynamic',
  'matrix',
];

const unitTier = (random: Random) => () => ({
  unit_amount: amount(random),
  ...maybe(random, 0.3, () => ({ flat_amount: amount(random) })),
});
const prorated = (random: Random): Json => ({
  // What one unit comes to has at most 12 decimals.
  package_size: random.pick(['1', '4', '25', '10', '0.5']),
  package_amount: amount(random, 6),
  partial_package: 'prorate',
});

const shares: Readonly<Record<string, (random: Random) => Json>> = {
  percentage: (random) => ({ percent: percent(random) }),
  basis_points: (random) => ({ basis_points: `${random.int(0, 9_000)}.${digits(random, random.pick([1, 8]))}` }),
};

/** Which price, of which meter: a share of each event needs a meter that adds up. */
export type Asked = { readonly model: Model; readonly ofEvents: boolean };

const matchesOf = (
  random: Random,
  dimensions: readonly string[],
  values: Readonly<Record<string, readonly string[]>>,
) => {
  const matches = new Map<string, Json>();
  for (let turn = random.int(1, 8); turn > 0; turn -= 1) {
    const named = dimensions.filter(() => random.chance(0.6));
    const chosen = named.length > 0 ? named : [random.pick(dimensions)];
    const match = Object.fromEntries(chosen.map((name) => [name, random.pick(values[name] as readonly string[])]));
    const starred = dimensions.filter((name) => match[name] === undefined && random.chance(0.3));
    const key = JSON.stringify(dimensions.map((name) => match[name] ?? '*'));
    matches.set(key, { ...match, ...Object.fromEntries(starred.map((name) => [name, '*'])) });
  }
  return [...matches.values()];
};

/** By what usage is grouped, and which values events have there. */
export const dimensionValues: Readonly<Record<string, readonly string[]>> = {
  kind: ['a', 'b', 'ü', 'a b'],
  region: ['eu', 'us', "o'hare"],
  'usage.tier': ['1', '2', '10'],
};

export const randomPrice = (random: Random, { model, ofEvents }: Asked): Json => {
  const own = (): Json => {
    switch (model) {
      case 'flat':
        return { amount: amount(random) };
      case 'per_unit':
        return { unit_amount: amount(random), ...free(random), ...limits(random) };
      case 'graduated':
      case 'volume':
        return { tiers: tiers(random, unitTier(random)), ...free(random), ...limits(random) };
      case 'tiered_flat':
        return { tiers: tiers(random, () => ({ flat_amount: amount(random) })), ...free(random), ...limits(random) };
      case 'package': {
        const size = random.chance(0.5)
          ? prorated(random)
          : { package_size: positive(random), package_amount: amount(random) };
        return { ...size, ...free(random), ...limits(random) };
      }
      case 'percentage':
      case 'basis_points':
        return {
          ...shares[model]?.(random),
          ...(ofEvents
            ? {
                fixed_amount: amount(random),
                ...bounds(random, 'event_minimum_amount', 'event_maximum_amount'),
                ...maybe(random, 0.5, () => ({ free_events: random.int(0, 4) })),
              }
            : free(random)),
          ...limits(random),
        };
      case 'graduated_percentage': {
        const tier = () => ({
          percent: percent(random),
          ...maybe(random, 0.3, () => ({ flat_amount: amount(random) })),
        });
        return { tiers: tiers(random, tier), ...free(random), ...limits(random) };
      }
      case 'dynamic':
        return {
          amount_property: 'order.cost',
          ...maybe(random, 0.5, () => ({ factor: amount(random) })),
          ...limits(random),
        };
      case 'matrix': {
        const dimensions = random.shuffled(Object.keys(dimensionValues)).slice(0, random.int(1, 3));
        const cellPrice = () => randomPrice(random, { model: random.pick(cellModels), ofEvents: false });
        const cells = matchesOf(random, dimensions, dimensionValues).map((match) => ({ match, price: cellPrice() }));
        return { dimensions, cells, default_price: cellPrice(), ...limits(random) };
      }
    }
  };
  return { model, ...own() };
};

export const aggregations = [
  'count',
  'sum',
  'max',
  'min',
  'unique',
  'latest',
  'average',
  'weighted_sum',
  'percentile',
] as const;
export const eventNames = ['call', 'upload', "order 'x'"] as const;
const expressions = [
  'n + 4 * usage.tokens',
  '(n - usage.tokens) / 3',
  'n / usage.tokens',
  '-(n * 0.5) - -usage.tokens',
  '"odd name" - n - 2',
  '2 * (n + 1) / 7 * 3',
];

const conditions: readonly ((random: Random) => Json)[] = [
  (random) => ({ property: 'kind', operator: random.pick(['eq', 'ne', 'prefix']), value: 'a' }),
  (random) => ({ property: 'region', operator: random.pick(['in', 'not_in']), value: ['eu', "o'hare"] }),
  (random) => ({
    property: 'n',
    operator: random.pick(['gt', 'gte', 'lt', 'lte']),
    value: random.pick(['0', '5', '2.5']),
  }),
  (random) => ({ property: 'usage.tokens', operator: 'exists', value: random.chance(0.7) }),
  (random) => ({ property: 'usage.cached', operator: random.pick(['eq', 'ne']), value: true }),
];
export const randomFilter = (random: Random, depth = 0): Json => {
  if (depth === 2 || random.chance(0.6)) return random.pick(conditions)(random);
  const inner = random.times(random.int(1, 3), () => randomFilter(random, depth + 1));
  return random.chance(0.5) ? { and: inner } : { or: inner };
};

/** `place` walks through all aggregations. The first two add up, and are not rounded. */
export const randomMeter = (random: Random, place: number): Json => {
  const aggregation = aggregations[place % aggregations.length] as string;
  const measured = (): Json => {
    if (aggregation === 'count') return {};
    if (aggregation === 'unique') return { property: random.pick(['kind', 'n', 'usage.tier']) };
    if (random.chance(0.35)) return { expression: random.pick(expressions) };
    return { property: random.pick(['n', 'n', 'usage.tokens', 'odd name']) };
  };
  const rank = random.pick(['50', '95', '99.9', '0.1', '100', '33.3333']);
  return {
    code: `meter-${place}`,
    name: `Meter ${place}`,
    event: random.pick(eventNames.slice(0, 2)),
    aggregation,
    ...measured(),
    ...(aggregation === 'percentile' && { percentile: { rank, method: random.pick(['nearest_rank', 'linear']) } }),
    ...maybe(random, 0.5, () => ({ filter: randomFilter(random) })),
    group_by: Object.keys(dimensionValues),
    ...(place > 1 &&
      maybe(random, 0.4, () => ({
        rounding: {
          mode: random.pick(['half_up', 'half_even', 'up', 'down']),
          decimals: random.pick([0, 0, 1, 2, 12]),
        },
      }))),
  };
};

export const addsUp = ({ aggregation, rounding }: Json): boolean =>
  (aggregation === 'sum' || aggregation === 'count') && rounding === undefined;

export const currencies = ['USD', 'EUR', 'HUF', 'JPY', 'KRW', 'KWD', 'TND'] as const;

const minorUnits: Readonly<Record<string, number>> = { JPY: 0, KRW: 0, KWD: 3, TND: 3 };

/** Some halves of a minor unit. */
const halves = (count: number, currency: string): string => {
  const places = (minorUnits[currency] ?? 2) + 1;
  const text = String(5 * count).padStart(places + 1, '0');
  return `${text.slice(0, -places)}.${text.slice(-places)}`;
};

/**
 * Charges whose amounts often end in half a minor unit, which others do not by chance: so much of each event, and a fee
 * of which some days of a month of 29 or 31 come to such an amount, too.
 */
export const randomHalves = (random: Random, { code: meter }: Json, of: readonly string[]): Json[] => {
  const odd = (): number => 2 * random.int(0, 20) + 1;
  const ofEach = (currency: string): Json => ({ model: 'per_unit', unit_amount: halves(odd(), currency) });
  const fee = (currency: string): Json => ({ model: 'flat', amount: halves(29 * 31 * odd(), currency) });
  const [own, ...others] = of;
  const priced = (priceIn: (currency: string) => Json): Json => ({
    price: priceIn(own as string),
    ...(others.length > 0 && {
      currency_options: Object.fromEntries(others.map((currency) => [currency, priceIn(currency)])),
    }),
  });
  return [
    { code: 'half-each', name: 'Half a minor unit each', meter, ...priced(ofEach) },
    { code: 'half-fee', name: 'A fee with half a minor unit', ...priced(fee) },
  ];
};

/** Units of credits: the second is worth some of the first, in which rates say what it is in money. */
export const creditUnits = ['AIC', 'PACK'] as const;
/** A charge in one of them: its amounts have so few digits that none is refused. */
export const randomCredits = (random: Random, { code: meter }: Json, of: readonly string[]): Json => {
  const some = (): string => `${random.int(0, 30)}.${digits(random, 2)}`;
  const model = random.pick(['flat', 'per_unit', 'per_unit', 'graduated', 'graduated', 'package', 'package', 'volume']);
  const tiersOf = (): Json[] =>
    [String(random.int(1, 4)), null].map((up_to) => ({ up_to, unit_amount: some(), flat_amount: some() }));
  const price = (): Json => ({
    model,
    ...(model === 'flat' && { amount: some() }),
    ...(model === 'per_unit' && { unit_amount: some(), free_units: String(random.int(0, 2)) }),
    ...(model === 'package' && { package_amount: some(), package_size: '3' }),
    ...((model === 'graduated' || model === 'volume') && { tiers: tiersOf() }),
    ...(model !== 'flat' && maybe(random, 0.2, () => ({ maximum_amount: `${random.int(1, 90)}.5` }))),
  });
  const [, ...others] = of;
  return {
    code: `credits-${model.replace('_', '-')}`,
    name: 'In credits',
    ...(model !== 'flat' && { meter }),
    credit_unit: random.pick(creditUnits),
    price: price(),
    ...(others.length > 0 && { currency_options: Object.fromEntries(others.map((currency) => [currency, price()])) }),
  };
};

/** A price in each of the currencies, all of one model; the first currency is the plan's own. */
export const randomCharges = (random: Random, meters: readonly Json[], of: readonly string[]): Json[] =>
  random.times(random.int(2, 8), (index) => {
    const meter = random.pick(meters);
    const model = random.chance(0.15) ? 'flat' : random.pick(meteredModels);
    const price = (): Json => randomPrice(random, { model, ofEvents: addsUp(meter) && random.chance(0.7) });
    const [, ...others] = of;
    return {
      code: `charge-${index}`,
      name: `Charge ${index}`,
      ...(model !== 'flat' && { meter: meter.code }),
      price: price(),
      ...(others.length > 0 && { currency_options: Object.fromEntries(others.map((currency) => [currency, price()])) }),
    };
  });

/** What a billing period costs at least and at most, in each of the currencies. */
export const randomTerms = (random: Random, of: readonly string[]): Json => {
  const amountsFrom = (least: number): Json => {
    const amountIn = (currency: string): string => {
      const places = minorUnits[currency] ?? 2;
      return `${least + random.int(0, 300)}${places === 0 ? '' : `.${digits(random, places)}`}`;
    };
    const [own, ...others] = of;
    const options = Object.fromEntries(others.map((currency) => [currency, amountIn(currency)]));
    return { amount: amountIn(own as string), ...(others.length > 0 && { currency_options: options }) };
  };
  return {
    ...maybe(random, 0.35, () => ({ minimum_commitment: amountsFrom(0) })),
    ...maybe(random, 0.35, () => ({ spend_cap: { name: 'No more', ...amountsFrom(301) } })),
    ...maybe(random, 0.6, () => ({ proration: random.pick(['time', 'day', 'none']) })),
  };
};
