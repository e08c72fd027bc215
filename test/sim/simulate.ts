/**
 * One run of ingest from a seed: the real use cases over parts that lose, delay, repeat and reorder, with processes
 * that end at any await. First chaos, in which clients send and send again; then calm, in which all they still want has
 * to come to an end. What must hold is checked when anybody is answered, and at the end.
 */
import assert from 'node:assert/strict';
import type { Status } from '../../ingest/gateway/accept-events.ts';
import { createClaimsStore } from '../support/memory-claims.ts';
import { type Asked, checkAnswer, checkEnd, type Wish, wishesOf } from './expectations.ts';
import type { PlantedBug } from './planted-bugs.ts';
import { runSink, type SimGateway, startGateway, type World } from './processes.ts';
import { createRandom, createScheduler, type Process, type Random } from './scheduler.ts';
import { createSimStore, createSimStream } from './usage-line.ts';

export type Timers = { readonly advance: (ms: number) => void };

/** Ten seconds before a window of the claims ends. */
const startMs = Date.UTC(2026, 10, 20, 14) - 10_000;
const claimsOptions = { leaseSeconds: 15, windowSeconds: 7_200 };
const chaosSteps = 160;
const calmStepsMax = 20_000;

const toggle = <N extends string>(of: { [K in N]: boolean }, name: N): void => {
  of[name] = !of[name];
};

type Act = readonly [weight: number, act: () => void | Promise<void>];

const drawAct = (random: Random, acts: readonly Act[]): Act[1] => {
  let at = random.below(1_000_000) * 1e-6 * acts.reduce((sum, [weight]) => sum + weight, 0);
  for (const [weight, act] of acts) {
    at -= weight;
    if (at < 0) return act;
  }
  return () => {};
};

/** Clients send some of what they want, and wait until they are answered or the gateway is gone. */
const createClients = (
  world: World,
  gateways: readonly SimGateway[],
  wishes: readonly Wish[],
  told: Map<Status, number>,
) => {
  const { random, scheduler, stream, broken } = world;
  let last: Asked = [];
  const send = (asked: Asked): void => {
    const { process, handle } = random.pick(gateways);
    last = asked;
    for (const wish of asked) wish.sent += 1;
    scheduler.note(`a client sends ${asked.map(({ name }) => name).join(' ')} to ${process.name}`);
    const answered = handle(asked.map(({ body }) => body)).then((statuses) => {
      if (!process.alive) return;
      scheduler.note(
        `${process.name} answers ${asked.map(({ name }, index) => `${name}: ${statuses[index]}`).join(', ')}`,
      );
      for (const status of statuses) told.set(status, (told.get(status) ?? 0) + 1);
      checkAnswer(asked, statuses, stream);
    });
    answered.catch((error) => broken.push(error));
  };
  const sendFrom = (from: readonly Wish[]): void => {
    if (from.length > 0) send([...new Set(Array.from({ length: 1 + random.below(5) }, () => random.pick(from)))]);
  };
  const open = (): Wish[] => wishes.filter(({ settled }) => settled === undefined);
  return {
    sendAgain: () => (last.length > 0 ? send(last) : undefined),
    sendAny: () => sendFrom([...open(), ...open(), ...wishes]),
    sendOpen: () => sendFrom(open().filter(({ abandoned }) => !abandoned)),
    areDone: () => open().every(({ abandoned }) => abandoned),
  };
};

const createWorld = (seed: number, bug: PlantedBug, clock: World['clock']) => {
  const random = createRandom(seed);
  const scheduler = createScheduler(random);
  const claimsStore = createClaimsStore(clock);
  const world: World = {
    random,
    scheduler,
    clock,
    bug,
    broken: [],
    stream: createSimStream(clock, scheduler),
    store: createSimStore(),
    claims: claimsStore.open(claimsOptions),
    redisFails: random.chance(0.5),
    faults: { network: random.pick([0, 0.1, 0.4]), redisDown: false, storeDown: false },
  };
  return { world, claimsStore };
};

export const createSimulation = (seed: number, timers: Timers, bug: PlantedBug = {}) => {
  let nowMs = startMs;
  const { world, claimsStore } = createWorld(seed, bug, { nowMs: () => nowMs });
  const { random, scheduler, stream, store, faults, redisFails, broken } = world;
  // Where Redis fails, the store alone tells twins apart, and that tells no payload from another: then no key comes
  // with two.
  const wishes = wishesOf(random, !redisFails);
  const told = new Map<Status, number>();
  const gateways = ['gateway 1', 'gateway 2'].map((name) => startGateway(world, name));
  const sinks: Process[] = [];
  const clients = createClients(world, gateways, wishes, told);
  const advance = (ms: number): void => {
    scheduler.note(`${ms} ms pass`);
    nowMs += ms;
    timers.advance(ms);
  };
  const end = (process: Process): void => {
    process.alive = false;
    scheduler.note(`${process.name} ends`);
  };
  const disturbances: readonly Act[] = [
    [10, clients.sendAny],
    [2, clients.sendAgain],
    [6, () => advance(1 + random.below(800))],
    [2, () => advance(1_000 * (1 + random.below(20)))],
    [0.3, () => advance(130_000)],
    [
      0.8,
      () => {
        const index = random.below(gateways.length);
        const { process } = gateways[index] as SimGateway;
        end(process);
        gateways[index] = startGateway(world, process.name);
      },
    ],
    [
      0.8,
      async () => {
        const index = random.below(sinks.length);
        const process = sinks[index] as Process;
        end(process);
        sinks[index] = await runSink(world, process.name);
      },
    ],
    [0.6, () => toggle(stream, 'full')],
    [0.6, () => toggle(faults, 'storeDown')],
    [redisFails ? 0.8 : 0, () => toggle(faults, 'redisDown')],
    [redisFails ? 0.5 : 0, claimsStore.empty],
  ];
  /** One thing happens in the line; false where nothing can before time passes. */
  const move = (): boolean =>
    (random.chance(0.3) && stream.deliverOne(random.pick)) || scheduler.runOne() || stream.deliverOne(random.pick);
  const rest = async (): Promise<void> => {
    await scheduler.settle();
    if (broken.length > 0) throw broken[0];
  };
  const run = async (): Promise<void> => {
    for (const name of ['sink 1', 'sink 2']) sinks.push(await runSink(world, name));
    for (let step = 0; step < chaosSteps; step += 1) {
      if (random.chance(0.35)) await drawAct(random, disturbances)();
      else move();
      await rest();
    }
    scheduler.note('calm');
    Object.assign(faults, { network: 0, redisDown: false, storeDown: false });
    stream.full = false;
    for (let step = 0; !(clients.areDone() && stream.isDrained()); step += 1) {
      assert.ok(step < calmStepsMax, 'nothing comes to an end any more');
      if (!move()) {
        clients.sendOpen();
        advance(1_100);
      }
      await rest();
    }
    checkEnd(wishes, stream, store, !redisFails);
  };
  return { run, told, history: scheduler.history };
};
