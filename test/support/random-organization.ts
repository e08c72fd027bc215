/**
 * A random organization by its seed: what is asked of the API and of the gateway, step by step, over some months with
 * one to three billing runs in between.
 */
import type { Month, SentAmendment, SentEvent, Step } from './brute-biller.ts';
import { type Json, Numeral } from './brute-usage.ts';
import {
  addsUp,
  createRandom,
  creditUnits,
  currencies,
  dimensionValues,
  eventNames,
  type Model,
  type Random,
  randomCharges,
  randomCredits,
  randomFilter,
  randomHalves,
  randomMeter,
  randomPrice,
  randomTerms,
} from './random-prices.ts';

const customerNames = ['acme', 'Acme', "o'brien; --", '日本', 'a/b c', 'last one'] as const;
const meterCount = 9;

/** The numbers that a meter reads, in every way of writing them, and what it can't read. */
const numbers = [
  '0',
  '1',
  '7',
  '-3',
  '0.5',
  '12.25',
  '-0.000000000001',
  '1234567.890123456789',
  '0.1234567890125',
  '-0',
  '1.0',
];
const exponents = ['1e2', '2.5E-3', '1e-12', '-4.0e+1', '1e0'];
const unusable: readonly unknown[] = ['many', '', ' 1', '1e400', '0x10', '+1', true, null, [1, 2], { deep: 1 }];

const randomValue = (random: Random): unknown => {
  if (random.chance(0.08)) return random.pick(unusable);
  const text = random.chance(0.5) ? String(random.int(0, 120)) : random.pick(random.chance(0.3) ? exponents : numbers);
  return random.chance(0.35) ? random.pick([text, text, `00${text.replace('-', '')}`]) : new Numeral(text);
};

const randomProperties = (random: Random): Json => {
  const some = (share: number, name: string, value: () => unknown): Json =>
    random.chance(share) ? { [name]: value() } : {};
  const someText = (name: string) => random.pick([...(dimensionValues[name] as readonly string[]), '*', 'other']);
  return {
    ...some(0.95, 'n', () => randomValue(random)),
    // A dot in a name is the same as a level.
    ...(random.chance(0.1)
      ? { 'usage.tokens': randomValue(random), 'usage.tier': someText('usage.tier') }
      : some(0.9, 'usage', () => ({
          ...some(0.9, 'tokens', () => randomValue(random)),
          ...some(0.8, 'tier', () =>
            random.chance(0.5) ? someText('usage.tier') : new Numeral(String(random.int(1, 10))),
          ),
          ...some(0.5, 'cached', () => random.chance(0.5)),
        }))),
    ...some(0.9, 'odd name', () => randomValue(random)),
    ...some(0.85, 'order', () => ({ cost: randomValue(random), note: null })),
    ...some(0.9, 'kind', () => someText('kind')),
    ...some(0.9, 'region', () => someText('region')),
  };
};

/** How one instant may be written; what is finer than a millisecond is cut off. */
const instantText = (random: Random, atMs: number): string => {
  const utc = new Date(atMs).toISOString();
  if (random.chance(0.6)) return utc;
  if (random.chance(0.5)) return utc.replace('Z', `${random.int(0, 999_999)}Z`);
  return `${new Date(atMs + 5.5 * 3_600_000).toISOString().slice(0, -1)}+05:30`;
};

const faults: readonly Json[] = [
  { customer_id: '' },
  { event: 7 },
  { timestamp: '1999-12-31T00:00:00Z' },
  { properties: { n: new Numeral('1e400') } },
  { colour: 'red' },
];

type RandomPlan = {
  readonly meters: readonly Json[];
  readonly currencies: readonly string[];
  readonly charges: readonly Json[];
  isOverridden: boolean;
};

type World = {
  readonly random: Random;
  /** What rounding is about is drawn here. */
  readonly ofRounding: Random;
  /** And here what credits are about. */
  readonly ofCredits: Random;
  readonly months: readonly Month[];
  readonly customers: string[];
  readonly plans: Map<string, RandomPlan>;
  readonly subscriptions: { readonly customer: string; readonly startMs: number; endMs: number | undefined }[];
  /** Every event that was taken, by its key, with whether one stands there now. */
  readonly sent: Map<string, { readonly event: SentEvent; stands: boolean }>;
};

/** Mostly anywhere in the months; often on the very bounds of one, or of a subscription. */
const randomInstant = ({ random, months, subscriptions }: World): number => {
  const [first, last] = [months[0] as Month, months.at(-1) as Month];
  if (random.chance(0.7) || subscriptions.length === 0) return random.int(first.start, last.end - 1);
  const { startMs, endMs } = random.pick(subscriptions);
  const { start, end } = random.pick(months);
  const at = random.pick([start, end, startMs, endMs ?? end]) + random.pick([-1, 0, 0, 1]);
  return Math.min(Math.max(at, first.start - 1), last.end);
};

const randomEvent = (world: World, key: string): SentEvent => {
  const { random, customers } = world;
  const name = random.chance(0.9) ? random.pick(customers) : random.pick(['nobody', customerNames.at(-1) as string]);
  return {
    key,
    event: random.pick(random.chance(0.9) ? eventNames.slice(0, 2) : eventNames),
    customer: random.chance(0.3) && customers.includes(name) ? `@${name}` : name,
    ...(random.chance(0.98) && { time: instantText(random, randomInstant(world)) }),
    properties: randomProperties(random),
  };
};

/** The same key again: unchanged, written otherwise, with another time, or another payload. */
const again = (world: World, { event }: { readonly event: SentEvent }): SentEvent => {
  const { random } = world;
  const turned = Object.fromEntries(Object.entries(event.properties).toReversed());
  return random.pick([
    event,
    { ...event, properties: turned },
    { ...event, time: instantText(random, randomInstant(world)) },
    { ...event, properties: randomProperties(random) },
    { ...event, customer: random.pick([...world.customers, 'nobody']) },
    randomEvent(world, event.key),
  ]);
};

const randomEvents = (world: World, count: number): Step => {
  const { random, sent } = world;
  const events: SentEvent[] = [];
  for (let place = 0; place < count; place += 1) {
    if (place > 0 && random.chance(0.12) && sent.size > 0) {
      events.push(again(world, random.pick([...sent.values()])));
      continue;
    }
    const event = randomEvent(world, `key-${sent.size}-${random.int(0, 9)}`);
    if (place > 0 && random.chance(0.03)) {
      events.push({ ...event, fault: random.pick(faults) });
      continue;
    }
    events.push(event);
    sent.set(event.key, { event, stands: true });
  }
  return { does: 'events', events, inLines: random.chance(0.5) };
};

const randomAmendments = (world: World, count: number): Step => {
  const { random, sent } = world;
  const amendments = random
    .shuffled([...sent.values()])
    .slice(0, count)
    .map((known): SentAmendment => {
      const { key } = known.event;
      // What is void can't be made void once more.
      const isVoid = known.stands && random.chance(0.5);
      known.stands = !isVoid;
      return isVoid
        ? { key }
        : { key, replacement: { ...randomEvent(world, key), time: instantText(random, randomInstant(world)) } };
    });
  return { does: 'amend', amendments };
};

const addSubscription = (world: World, customer: string, plan: string): Step[] => {
  const { random, months, subscriptions, plans } = world;
  const [first, last] = [months[0] as Month, months.at(-1) as Month];
  const startMs = random.chance(0.65)
    ? first.start - random.pick([0, 1, 86_400_000])
    : random.pick([random.pick(months).start, random.int(first.start, last.end - 1)]);
  const currency = random.pick(plans.get(plan)?.currencies ?? []);
  subscriptions.push({ customer, startMs, endMs: undefined });
  return [{ does: 'subscription', customer, plan, currency, startMs }];
};

/** Never before its begin, and no millisecond of nothing. */
const endSubscription = (world: World): Step[] => {
  const { random, months, subscriptions } = world;
  const number = random.int(0, subscriptions.length - 1);
  const subscription = subscriptions[number];
  if (!subscription || subscription.endMs !== undefined) return [];
  const last = months.at(-1) as Month;
  const atMs = random.pick([random.pick(months).end, random.int(subscription.startMs + 1, last.end)]);
  if (atMs <= subscription.startMs) return [];
  subscription.endMs = atMs;
  return [{ does: 'end subscription', subscription: number, atMs }];
};

/** What credits are worth, mostly from some moment within the months on. */
const creditSteps = ({ ofCredits: random, months }: World): Step[] => {
  const [first, last] = [months[0] as Month, months.at(-1) as Month];
  const fromMs = (): number =>
    random.chance(0.7)
      ? random.int(first.start, last.end - 1)
      : random.pick([first.start - 1, random.pick(months).start]);
  const rate = (unit: string, of: string, amount: string): Step => ({
    does: 'credit rate',
    unit,
    of,
    amount,
    fromMs: fromMs(),
  });
  const [plain, packed] = creditUnits;
  return [
    ...creditUnits.map((unit): Step => ({ does: 'credit unit', unit })),
    ...currencies.flatMap((currency) =>
      random.times(random.int(3, 7), () => rate(plain, currency, `0.${random.int(1, 999)}`)),
    ),
    ...random.times(random.int(1, 5), () => rate(packed, plain, `${random.int(0, 20)}.${random.int(1, 9)}`)),
  ];
};

const catalog = (world: World): Step[] => {
  const { random, ofRounding, ofCredits, plans } = world;
  const offset = random.int(0, 8);
  // The first two add up, so that every organization can have events with a price of their own.
  const meters = random.times(meterCount, (place) =>
    randomMeter(random, place < 2 ? place : 2 + ((place + offset) % 7)),
  );
  const named = meters.map((meter, place): Json => ({ ...meter, code: `meter-${place}` }));
  const made = random.times(random.int(1, 6), (index): Step => {
    const priced = random.shuffled(currencies).slice(0, random.pick([1, 1, 2, 3]));
    const code = `plan-${index}`;
    const charges = randomCharges(random, named, priced);
    plans.set(code, { meters: named, currencies: priced, charges, isOverridden: false });
    const all = [
      ...charges,
      ...randomHalves(ofRounding, named[0] as Json, priced),
      randomCredits(ofCredits, ofCredits.pick([...named.slice(0, 2), ...named.slice(0, 2), ...named]), priced),
    ];
    return {
      does: 'plan',
      plan: { code, name: `Plan ${index}`, currency: priced[0], charges: all, ...randomTerms(random, priced) },
    };
  });
  return [...named.map((meter): Step => ({ does: 'meter', meter })), ...creditSteps(world), ...made];
};

/** What later subscriptions take, and those that there are do not. */
const changeCatalog = (world: World): Step[] => {
  const { random, plans } = world;
  // Prices that stand for a while have to fit.
  const free = [...plans].filter(([, { isOverridden }]) => !isOverridden);
  if (free.length === 0) return [];
  const [code, { meters, currencies: priced }] = random.pick(free);
  const meter = random.pick(meters);
  return [
    { does: 'change meter', code: meter.code as string, fields: { filter: randomFilter(random) } },
    { does: 'change plan', code, charges: randomCharges(random, meters, priced) },
  ];
};

const continuous: readonly unknown[] = ['per_unit', 'graduated', 'package', 'graduated_percentage'];

/** Prices that stand for a while, made before anything is billed. */
const randomOverrides = (world: World): Step[] => {
  const { random, months, customers, plans } = world;
  const last = months.at(-1) as Month;
  return [...plans].flatMap(([code, plan]) =>
    random.times(random.chance(0.5) ? random.int(1, 6) : 0, (): Step => {
      plan.isOverridden = true;
      const charge = random.pick(plan.charges);
      const meter = plan.meters.find((one) => one.code === charge.meter) ?? {};
      const { model } = charge.price as { model: Model };
      const price = randomPrice(random, { model, ofEvents: addsUp(meter) && random.chance(0.7) });
      const fromMs = randomInstant(world);
      const untilMs = fromMs + random.int(1, last.end - (months[0] as Month).start);
      return {
        does: 'override',
        plan: code,
        charge: charge.code as string,
        ...(random.chance(0.4) && { customer: random.pick(customers) }),
        currency: random.pick(plan.currencies),
        price,
        tiers: continuous.includes(model) && addsUp(meter) && random.chance(0.8) ? 'continue' : 'restart',
        fromMs,
        ...(random.chance(0.6) && { untilMs }),
      };
    }),
  );
};

export type OrganizationOptions = { readonly months: readonly Month[]; readonly events: number };

/** The steps of the organization; the same seed gives the same ones. */
export const randomOrganization = function* (
  seed: number,
  { months: all, events }: OrganizationOptions,
): Generator<Step> {
  const random = createRandom(seed);
  const months = all.slice(-random.pick([2, 2, 3]));
  // Numbers of its own, so that what else a seed means does not depend on it.
  const ofRounding = createRandom(seed ^ 0x5eed);
  const roundingStep = (): Step => ({ does: 'rounding', rounding: ofRounding.pick(['half_up', 'half_even']) });
  const world: World = {
    random,
    ofRounding,
    ofCredits: createRandom(seed ^ 0xc4ed17),
    months,
    customers: [],
    plans: new Map(),
    subscriptions: [],
    sent: new Map(),
  };
  yield roundingStep();
  yield* catalog(world);
  const addCustomer = function* (name: string): Generator<Step> {
    yield { does: 'customer', name };
    world.customers.push(name);
    for (const plan of random.shuffled([...world.plans.keys()]).slice(0, random.pick([0, 1, 1, 2, 2, 3])))
      yield* addSubscription(world, name, plan);
  };
  const names = customerNames.slice(0, random.int(2, customerNames.length - 1));
  for (const name of names) yield* addCustomer(name);
  yield* randomOverrides(world);
  const runs = random.int(1, 3);
  for (let turn = 0; turn < runs; turn += 1) {
    yield randomEvents(world, events);
    if (random.chance(0.4)) yield* endSubscription(world);
    if (random.chance(0.6)) yield randomAmendments(world, random.int(1, 12));
    if (random.chance(0.3)) yield { does: 'forget' };
    if (random.chance(0.6)) yield randomEvents(world, Math.ceil(events / 4));
    if (random.chance(0.4)) yield* changeCatalog(world);
    // Its events were sent before it was there.
    if (turn === 1) yield* addCustomer(customerNames.at(-1) as string);
    const customer = random.chance(0.25) ? random.pick(names) : undefined;
    if (ofRounding.chance(0.5)) yield roundingStep();
    yield { does: 'run', month: random.pick(months), ...(customer !== undefined && { customer }) };
  }
  yield randomEvents(world, Math.ceil(events / 8));
  yield randomAmendments(world, random.int(1, 6));
  // Whatever is left of a month is billed at another watermark than what was.
  for (const month of random.shuffled(months)) {
    yield roundingStep();
    yield { does: 'run', month };
  }
};
