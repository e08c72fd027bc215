/**
 * A seeded generator of LLM usage: the same seed and month always give the same events, keys and times included, so
 * that a second demo sends nothing new. Customers are skewed as in production: a few make most of the calls, and tokens
 * per call have a long tail.
 */
export type UsageEventJson = {
  readonly idempotency_key: string;
  readonly event: string;
  readonly customer_id: string;
  readonly timestamp: string;
  readonly properties: {
    readonly model: string;
    readonly region: string;
    readonly input_tokens: number;
    readonly output_tokens: number;
  };
};

export type UsageOptions = {
  readonly seed: number;
  readonly events: number;
  readonly customers: number;
  readonly month: string;
  readonly from: number;
  readonly to: number;
};

/** Numbers in [0, 1): mulberry32, a small generator whose whole state is one 32-bit word. */
export const seededRandom = (seed: number): (() => number) => {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
};

export const customerOf = (index: number): string => `demo_customer_${String(index + 1).padStart(4, '0')}`;

/** Where each customer's share of the calls ends, in [0, 1]: the share falls with rank^-0.9, as in Zipf's law. */
const shareEnds = (customers: number): Float64Array => {
  const ends = new Float64Array(customers);
  let total = 0;
  for (let rank = 0; rank < customers; rank += 1) {
    total += (rank + 1) ** -0.9;
    ends[rank] = total;
  }
  return ends.map((end) => end / total);
};

const indexIn = (ends: Float64Array, at: number): number => {
  let low = 0;
  let high = ends.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ends[middle] ?? 1) > at) high = middle;
    else low = middle + 1;
  }
  return low;
};

const models = ['large-3', 'large-3', 'small-3', 'small-3', 'small-3', 'code-2'] as const;
const regions = ['eu-west', 'us-east', 'us-east', 'ap-south'] as const;

/** Log-normal, by the Box-Muller transform: median `median`, and about one call in forty above seven times it. */
const tokens = (random: () => number, median: number): number =>
  Math.max(1, Math.floor(median * Math.exp(Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()))));

export function* llmUsage(options: UsageOptions): Generator<UsageEventJson> {
  const random = seededRandom(options.seed);
  const ends = shareEnds(options.customers);
  const span = options.to - options.from;
  for (let index = 0; index < options.events; index += 1) {
    yield {
      idempotency_key: `demo-${options.month}-${String(index + 1).padStart(7, '0')}`,
      event: 'llm.request',
      customer_id: customerOf(indexIn(ends, random())),
      timestamp: new Date(options.from + Math.floor(random() * span)).toISOString(),
      properties: {
        model: models[Math.floor(random() * models.length)] ?? 'small-3',
        region: regions[Math.floor(random() * regions.length)] ?? 'eu-west',
        input_tokens: tokens(random, 900),
        output_tokens: tokens(random, 150),
      },
    };
  }
}
