/**
 * One run of billing from a seed: the real use cases of scheduling, rating, issuing and crediting over tables in
 * memory, by processes that end at any await. First chaos, then calm, in which all that is due comes to its end.
 */
import assert from 'node:assert/strict';
import { createRandom, createScheduler, type Process } from '../scheduler.ts';
import type { SentUsage } from './brute-bill.ts';
import { createChecks } from './checks.ts';
import { addRun, isOpen } from './closing-ports.ts';
import type { BillingBug } from './planted-bugs.ts';
import { creditSome, startInvoicer, startRater } from './processes.ts';
import { addDiscount, addWorld, changeTaxRate, startMs } from './random-world.ts';
import { nextLook } from './rater-ports.ts';
import { createTables, type Message, type Subscription, type Usage } from './tables.ts';
import { createLocks, leaseMs, type World } from './world.ts';

const [minuteMs, hourMs, dayMs] = [60_000, 3_600_000, 86_400_000];
const chaosSteps = 420;
const calmRoundsMax = 60;

type Act = readonly [weight: number, act: () => void];

export const createBillingSimulation = (seed: number, bug: BillingBug = {}) => {
  let nowMs = startMs;
  let ids = 0;
  const random = createRandom(seed);
  const scheduler = createScheduler(random);
  const tables = createTables();
  const world: World = {
    random,
    scheduler,
    tables,
    bug,
    broken: [],
    idle: [],
    held: new Set(),
    found: { count: 0 },
    clock: { nowMs: () => nowMs },
    faults: { network: random.pick([0, 0, 0.03]) },
    nextId: (prefix) => {
      ids += 1;
      return `${prefix}_${ids}`;
    },
  };
  const scope = { hasDiscounts: random.chance(0.4), hasTaxes: random.chance(0.4) };
  const facts = addWorld(tables, random, scope);
  const sent: SentUsage[] = [];
  const checks = createChecks(tables, facts, sent);
  const locks = createLocks();
  const crediting: Process = { name: 'the API', alive: true };
  const raters: Process[] = [];
  const invoicers: Process[] = [];

  const publish = (message: Message): void => {
    const before = sent.findLast(({ key }) => key === message.key);
    tables.messages.push(message);
    const from = tables.messages.length;
    if (before && before.until > from) before.until = from;
    const { key, usage } = message;
    if (usage) {
      const { customer, atMs, hundredths } = usage;
      const value = `${Math.trunc(hundredths / 100)}.${String(hundredths % 100).padStart(2, '0')}`;
      sent.push({ key, customer, atMs, value, from, until: Number.POSITIVE_INFINITY });
    }
  };
  const randomUsage = (): Usage => {
    const { customer, startMs: begin } = random.pick(facts.subscribed);
    const recent = random.chance(0.5) ? nowMs - random.below(2 * dayMs) : begin + random.below(nowMs - begin + 1);
    return {
      customer: random.chance(0.5) ? customer : `their ${customer}`,
      atMs: Math.max(begin - hourMs, recent),
      hundredths: random.chance(0.7) ? 100 * random.below(40) : random.below(9_000),
    };
  };
  const send = (): void => {
    publish({
      key: `key ${tables.messages.length}`,
      usage: randomUsage(),
      isAmendment: false,
      isNumbered: true,
      before: undefined,
    });
  };
  const amend = (): void => {
    const last = tables.messages.findLast((message) => message.usage && random.chance(0.3));
    if (!last) return;
    const before = tables.messages.findLast(({ key }) => key === last.key)?.usage;
    publish({
      key: last.key,
      usage: random.chance(0.5) ? undefined : randomUsage(),
      isAmendment: true,
      isNumbered: false,
      before,
    });
  };
  const numberAmendments = (): void => {
    for (const message of tables.messages) message.isNumbered = true;
  };
  const store = (all: boolean): void => {
    const left = tables.messages.length - Number(tables.checked);
    tables.checked += BigInt(all ? left : random.below(left + 1));
  };
  const wake = (count: number): void => {
    for (let turn = 0; turn < count && world.idle.length > 0; turn += 1)
      world.idle.splice(random.below(world.idle.length), 1)[0]?.wake();
  };
  const advance = (ms: number): void => {
    scheduler.note(`${ms} ms pass`);
    nowMs += ms;
    for (const { process, shard } of world.held)
      if (process.alive && random.chance(0.7)) {
        const row = tables.shards.find(({ runId, number }) => runId === shard.runId && number === shard.shardNumber);
        if (row?.state === 'queued' && row.attempts === shard.attempt) row.leasedUntil = nowMs + leaseMs;
      }
  };
  const crash = (list: Process[], start: (name: string) => Process): void => {
    const index = random.below(list.length);
    const process = list[index] as Process;
    process.alive = false;
    scheduler.note(`${process.name} ends`);
    for (const one of [...world.held]) if (one.process === process) world.held.delete(one);
    list[index] = start(process.name);
  };
  const rater = (name: string): Process => startRater(world, name);
  const invoicer = (name: string): Process => startInvoicer(world, name, locks);
  const crashAny = (): void => (random.chance(0.5) ? crash(raters, rater) : crash(invoicers, invoicer));
  const bill = (subscriptionId: string | null): void => {
    addRun(world, { askedBy: 'api', dueUntil: nowMs, arrearsUntil: nowMs, subscriptionId });
  };
  const credit = (): void => {
    const corrected = [...tables.periods.values()].filter(
      ({ timing, state }) => timing === 'delta' && state === 'open',
    );
    const first = tables.periods.get(corrected.at(-1)?.correctsId ?? '')?.invoiceId;
    const recent = tables.invoices[tables.invoices.length - 1 - random.below(Math.min(4, tables.invoices.length))];
    // Above all one of which a delta is under way.
    const invoice = random.chance(0.7) ? (tables.invoices.find(({ id }) => id === first) ?? recent) : recent;
    if (!invoice) return;
    for (let times = 1 + random.below(2); times > 0; times -= 1) void creditSome(world, crediting, locks, invoice.id);
  };
  /** As the API takes changes: behind all time that is written down as what is billed. */
  const firstInstant = ({ id, cutUntil, terms, customerId }: Subscription): number => {
    const clock = tables.clocks.get(tables.customers.get(customerId)?.clockId ?? '');
    const spans = [...tables.periods.values()].filter((one) => one.subscriptionId === id && one.timing === 'arrears');
    const changes = terms.changes.map(({ effectiveAt }) => effectiveAt + 1);
    const cut = Math.max(cutUntil ?? 0, ...spans.map(({ part }) => part.span.end));
    return Math.max(clock?.now ?? nowMs, terms.startedAt + 1, cut + 1, ...changes);
  };
  const lookAt = (subscription: Subscription, at: number): void => {
    if (subscription.nextDueAt !== undefined) subscription.nextDueAt = Math.min(subscription.nextDueAt, at);
  };
  const changePlan = (): void => {
    const one = random.pick(facts.subscribed);
    const subscription = tables.subscriptions.get(one.name) as Subscription;
    const plan = random.pick([...facts.plans.values()]);
    if (one.endMs !== undefined || plan.code === one.plans.at(-1)?.plan) return;
    const effectiveAt = firstInstant(subscription) + (random.chance(0.3) ? random.below(9 * dayMs) : 0);
    const bills = random.pick(['now', 'next'] as const);
    const change = { kind: 'plan' as const, effectiveAt, bills, planVersionId: plan.code, interval: plan.interval };
    subscription.terms = { ...subscription.terms, changes: [...subscription.terms.changes, change] };
    lookAt(subscription, effectiveAt);
    (one.plans as { fromMs: number; plan: string }[]).push({ fromMs: effectiveAt, plan: plan.code });
    scheduler.note(`${one.name} goes over to ${plan.code} at ${new Date(effectiveAt).toISOString()}`);
  };
  const cancel = (one: (typeof facts.subscribed)[number]): void => {
    const subscription = tables.subscriptions.get(one.name) as Subscription;
    if (one.endMs !== undefined) return;
    const endedAt = firstInstant(subscription);
    subscription.terms = { ...subscription.terms, endedAt };
    lookAt(subscription, endedAt);
    one.endMs = endedAt;
    scheduler.note(`${one.name} ends at ${new Date(endedAt).toISOString()}`);
  };
  const advanceClock = (): void => {
    for (const clock of tables.clocks.values())
      if (clock.now >= clock.target) clock.target = clock.now + random.below(25 * dayMs);
  };
  const pay = (): void => {
    const invoice = tables.invoices.at(-1);
    const state = invoice && tables.states.get(invoice.id);
    if (invoice && state?.state === 'issued' && invoice.total > 0n && state.amountCredited === 0n)
      tables.states.set(invoice.id, { ...state, state: 'paid', amountPaid: invoice.total });
  };
  const acts: readonly Act[] = [
    [9, send],
    [2, amend],
    [2, numberAmendments],
    [5, () => store(random.chance(0.5))],
    [8, () => wake(3)],
    [2, () => advance(random.below(30_000))],
    [2, () => advance(random.below(4 * hourMs))],
    [2.5, () => advance(random.below(6 * dayMs))],
    [0.8, crashAny],
    [0.7, () => bill(random.chance(0.3) ? random.pick(facts.subscribed).name : null)],
    [1.4, credit],
    [0.3, pay],
    [0.3, changePlan],
    [0.08, () => cancel(random.pick(facts.subscribed))],
    [0.8, advanceClock],
    [scope.hasTaxes ? 0.15 : 0, () => changeTaxRate(tables, random, nowMs)],
    [scope.hasDiscounts ? 0.15 : 0, () => addDiscount(tables, random, random.pick(facts.subscribed).customer, nowMs)],
  ];
  const weight = acts.reduce((sum, [one]) => sum + one, 0);
  const act = (): void => {
    let at = random.below(1_000_000) * 1e-6 * weight;
    for (const [own, run] of acts) {
      at -= own;
      if (at < 0) {
        run();
        return;
      }
    }
  };
  const settle = async (): Promise<void> => {
    await scheduler.settle();
    if (world.broken.length > 0) throw world.broken[0];
    checks.afterStep();
  };

  /** All that anybody would do now, until nobody finds anything. */
  const workOff = async (): Promise<void> => {
    for (let found = -1; found !== world.found.count; ) {
      found = world.found.count;
      wake(world.idle.length);
      await settle();
      while (scheduler.runOne()) await settle();
    }
  };
  /** What is still to be done, in words. */
  const left = (): string[] => {
    const open = [...tables.periods.values()].filter(({ state }) => state === 'open');
    const due = [...tables.subscriptions.values()].filter(({ nextDueAt }) => nextDueAt !== undefined);
    const look = nextLook(world, BigInt(tables.messages.length));
    return [
      ...[...tables.runs.values()].filter(isOpen).map(({ id, state }) => `${id} is ${state}`),
      ...open.map(({ id, timing }) => `${id} (${timing}) is open`),
      ...due.map(({ id }) => `${id} is due`),
      ...[...tables.latePeriods].map((id) => `usage is late for ${id}`),
      ...(look ? [`usage behind ${look.after} is to be looked for`] : []),
    ];
  };
  const calmDown = async (): Promise<void> => {
    scheduler.note('calm');
    world.faults.network = 0;
    numberAmendments();
    store(true);
    for (let round = 0; round === 0 || left().length > 0; round += 1) {
      assert(round < calmRoundsMax, `nothing comes to an end any more: ${left().join(', ')}`);
      for (const one of facts.subscribed) cancel(one);
      for (const clock of tables.clocks.values()) clock.target = Math.max(clock.target, clock.now + dayMs);
      if (round > 3 && ![...tables.runs.values()].some(isOpen)) {
        bill(null);
        for (const { id, now } of tables.clocks.values())
          addRun(world, { askedBy: 'clock', dueUntil: now, arrearsUntil: now, clockId: id });
      }
      await workOff();
      advance(round < 3 ? 10 * minuteMs : dayMs);
    }
  };
  const run = async (): Promise<void> => {
    for (const name of ['rater 1', 'rater 2']) raters.push(rater(name));
    for (const name of ['invoicer 1', 'invoicer 2']) invoicers.push(invoicer(name));
    for (let step = 0; step < chaosSteps; step += 1) {
      if (random.chance(0.3) || !scheduler.runOne()) act();
      await settle();
    }
    await calmDown();
    // What comes late once more, and again, is held against the deltas before it.
    for (let wave = 0; wave < 2; wave += 1) {
      for (let count = 0; count < 3; count += 1) (random.chance(0.7) ? send : amend)();
      await calmDown();
    }
    checks.atEnd();
    for (const process of [...raters, ...invoicers, crediting]) process.alive = false;
  };
  return { run, tables, checks, history: scheduler.history };
};
