/** What the client of a round sends: made from a seed, the same for every run of it. */
import { seededRandom } from '../../bench/demo/llm-usage.ts';
import { llmRequest } from '../support/llm-pro.ts';

/**
 * `repeat`: the same event under the same key again. `variant`: another payload under a key whose first event was
 * answered already.
 */
export type SentEvent = {
  readonly kind: 'first' | 'repeat' | 'variant';
  readonly key: string;
  readonly customer: string;
  /** Undefined: the gateway gives the time, which lies in the month that is still open. */
  readonly atMs: number | undefined;
  readonly input: number;
  readonly output: number;
};

/** Batches that are sent at the same moment; the next step follows when each of them has its final answer. */
export type Step = { readonly batches: readonly (readonly SentEvent[])[]; readonly pauseMs: number };

/** One list of steps for each lane. */
export type Workload = readonly (readonly Step[])[];

export type WorkloadOptions = {
  readonly seed: number;
  readonly events: number;
  readonly lanes: number;
  readonly customers: readonly string[];
  readonly month: { readonly start: number; readonly end: number };
};

const dayMs = 86_400_000;
const batchMax = 200;

export const toBody = ({ key, customer, atMs, input, output }: SentEvent): object => {
  const { timestamp, ...body } = llmRequest(key, customer, atMs ?? 0, { input, output });
  return atMs === undefined ? body : { ...body, timestamp };
};

type Dice = { readonly chance: (odds: number) => boolean; readonly upTo: (max: number) => number };

const diceOf = (seed: number): Dice => {
  const random = seededRandom(seed);
  return { chance: (odds) => random() < odds, upTo: (max) => 1 + Math.floor(random() * max) };
};

/** Mostly small batches, some of 200, and a third with a single event. */
const batchSize = ({ chance, upTo }: Dice): number => {
  if (chance(1 / 3)) return 1;
  return chance(0.15) ? upTo(batchMax) : upTo(60);
};

const firstEvent = (
  number: number,
  { chance, upTo }: Dice,
  { seed, customers, month }: WorkloadOptions,
): SentEvent => ({
  kind: 'first',
  key: `crash-${seed}-${number}`,
  customer: customers[upTo(customers.length) - 1] as string,
  // The last days of the month: they are within the accepted past on every day of the next one.
  atMs: chance(0.02) ? undefined : month.end - upTo(3 * dayMs - 1),
  input: upTo(2_000),
  output: upTo(500),
});

/** With the time of another day, for another customer, or with another payload. */
const variantOf = (event: SentEvent, { chance }: Dice, customers: readonly string[]): SentEvent => {
  if (event.atMs !== undefined && chance(0.5)) return { ...event, kind: 'variant', atMs: event.atMs - dayMs };
  const other = customers.find((customer) => customer !== event.customer);
  if (other !== undefined && chance(0.4)) return { ...event, kind: 'variant', customer: other };
  return { ...event, kind: 'variant', input: event.input + 1_000_000 };
};

/** Repeats and variants are of events that the same lane sent in an earlier step, so their first answer is there. */
export const makeWorkload = (options: WorkloadOptions): Workload => {
  const dice = diceOf(options.seed);
  const { chance, upTo } = dice;
  let made = 0;
  const laneSteps: Step[][] = Array.from({ length: options.lanes }, () => []);
  const earlier: SentEvent[][] = laneSteps.map(() => []);
  for (let turn = 0; made < options.events; turn += 1) {
    const lane = turn % options.lanes;
    const known = earlier[lane] as SentEvent[];
    const batch = Array.from({ length: batchSize(dice) }, () => {
      made += 1;
      return firstEvent(made, dice, options);
    });
    const fresh = [...batch];
    const picked = (count: number) =>
      new Map(
        Array.from({ length: count }, () => known[upTo(known.length) - 1] as SentEvent).map((one) => [one.key, one]),
      );
    if (known.length > 0 && chance(0.4))
      for (const event of picked(upTo(6)).values()) batch.push({ ...event, kind: 'repeat' });
    const repeated = new Set(batch.map(({ key }) => key));
    if (known.length > 0 && chance(0.3)) {
      for (const event of picked(upTo(2)).values()) {
        if (!repeated.has(event.key)) batch.push(variantOf(event, dice, options.customers));
      }
    }
    const batches: SentEvent[][] = [batch];
    if (chance(0.25))
      batches.push(fresh.slice(0, Math.ceil(fresh.length / 3)).map((event) => ({ ...event, kind: 'repeat' })));
    known.push(...fresh);
    laneSteps[lane]?.push({ batches, pauseMs: 40 + upTo(80) });
  }
  return laneSteps;
};
