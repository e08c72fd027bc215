/**
 * One round: a pipeline with stores of its own, a seeded load, one fault in the middle of it, and the verdict. The
 * order of its steps:
 *
 *   1. start our processes, one of them armed or behind a proxy; make a plan and its subscriptions
 *   2. load; at a third of it the fault, unless a fail point brings it by itself
 *   3. from the first moment of the fault: a new batch, until it is accepted and stored (the time to recover)
 *   4. wait for the end of the load, send some of the events once more, then wait until the sinks hold nothing more,
 *      and all was checked
 *   5. read the store, close the month, read the invoices, judge
 */
import { setTimeout as pause } from 'node:timers/promises';
import { makeLlmPro } from '../support/llm-pro.ts';
import { lastMonth, type Pipeline, startPipeline, type TestServers, until } from '../support/pipeline.ts';
import { shortLeases } from '../support/quick.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { type CrashClient, createCrashClient } from './client.ts';
import {
  type Evidence,
  findsPlantedLies,
  isSound,
  judge,
  type Lie,
  plantedLies,
  type Verdict,
} from './conservation.ts';
import { checkConservation, readInvoices, readStored, untilSettled } from './evidence.ts';
import { copyRedis, inflict, pidOf, type Scene } from './faults.ts';
import type { Scenario } from './scenarios.ts';
import { makeWorkload, type SentEvent, type Workload } from './workload.ts';

export type RoundResult = Verdict & {
  /** From the first moment of the fault until a new batch was accepted and stored. */
  readonly recoveredMs: number;
  /** From there until the sinks held nothing more: what a dead sink had fetched waits for its turn again. */
  readonly settledMs: number;
  readonly deaths: number;
  readonly resent: number;
  readonly sound: boolean;
};

const customers = Array.from({ length: 8 }, (_, index) => `crash-${index}`);
const lanes = 4;
const events = 2_500;
const deathsMax = 2;

const settings = {
  ...shortLeases,
  // Many small inserts, so that there are many moments between two of them.
  MILLRACE_SINK_AGE_MS_MAX: '20',
};

/** Something in [min, max] that depends on the seed alone. */
const between = (seed: number, min: number, max: number): number =>
  min + ((Math.imul(seed, 0x9e3779b1) >>> 8) % (max - min + 1));

const startProxy = async ({ fault }: Scenario, servers: TestServers): Promise<TcpProxy | undefined> => {
  if (fault.kind !== 'network') return undefined;
  const { hostname, port } = new URL(servers.urls[fault.route.to]);
  return startTcpProxy({ host: hostname, port: Number(port) });
};

/**
 * What the process under test gets into its environment at each start: a fail point for its first lives, or the proxy
 * in place of a server.
 */
const arm = ({ fault }: Scenario, seed: number, proxy: TcpProxy | undefined) => {
  let lives = 0;
  return (service: string, environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv => {
    if (fault.kind === 'fail_point' && fault.point.startsWith(`${service}.`)) {
      lives += 1;
      const passes = between(seed, fault.passesMin, fault.passesMax);
      return lives > deathsMax ? {} : { MILLRACE_FAIL_POINT: `${fault.point}:${passes}` };
    }
    if (fault.kind === 'network' && proxy && fault.route.from === service) {
      const { variable } = fault.route;
      return { [variable]: Object.assign(new URL(environment[variable] ?? ''), { port: String(proxy.port) }).href };
    }
    return {};
  };
};

/** Counts the deaths of a process, and tells of the first. */
const watchDeaths = (pipeline: Pipeline, name: string, first: () => void) => {
  let deaths = 0;
  let pid = pidOf(pipeline, name);
  const timer = setInterval(() => {
    const now = pidOf(pipeline, name);
    if (now !== pid && pid !== 0) {
      deaths += 1;
      if (deaths === 1) first();
    }
    pid = now;
  }, 10);
  return { deaths: () => deaths, stop: () => clearInterval(timer) };
};

const processOf = ({ fault }: Scenario): string => {
  if (fault.kind === 'fail_point') return fault.point.split('.')[0] as string;
  return fault.kind === 'kill_process' ? fault.process : 'gateway';
};

/** Each call sends a new event until it is accepted, and answers its key. */
const createProbes = (client: CrashClient, seed: number) => {
  let made = 0;
  return async (): Promise<string> => {
    made += 1;
    const key = `probe-${seed}-${made}`;
    await client.send([
      { kind: 'first', key, customer: customers[0] as string, atMs: lastMonth().end - 1, input: 1, output: 1 },
    ]);
    return key;
  };
};

/** Sends a new event and waits for it in the store: from then on the outside world is whole again. */
const recover = async ({ pipeline, sendProbe }: Scene): Promise<void> => {
  const key = await sendProbe();
  await until(
    () => readStored(pipeline, key),
    (rows) => rows.length === 1,
    180_000,
  );
};

/**
 * Some of the events of all times of the round, before the fault and after it: of these, each is a duplicate by now.
 */
const repeats = (workload: Workload): SentEvent[] => {
  const firsts = workload.flat().flatMap(({ batches }) => batches.flat().filter(({ kind }) => kind === 'first'));
  return firsts.filter((_, index) => index % 10 === 0).map((event) => ({ ...event, kind: 'repeat' }));
};

/**
 * Step 2 and 3, and the beginning of 4. Resolves when every batch has its final answer, with the times of the fault and
 * the recovery.
 */
const loadThrough = async (scenario: Scenario, scene: Scene, client: CrashClient, workload: Workload) => {
  const { pipeline } = scene;
  const steps = workload.flat().length;
  const fault = Promise.withResolvers<number>();
  const begun = () => fault.resolve(performance.now());
  const watch = watchDeaths(pipeline, processOf(scenario), begun);
  const load = client.run(workload);
  const reached = async (part: number) => {
    while (client.progress() < steps * part) await Promise.race([pause(5), load]);
  };
  try {
    if (scenario.fault.kind === 'restore_redis') {
      await reached(1 / 6);
      copyRedis(scene);
    }
    // So early, as two lives of a checker are to end in what is left.
    await reached(scenario.fault.kind === 'fail_point' ? 1 / 6 : 1 / 3);
    const whole = inflict(scenario.fault, scene, begun);
    const beganMs = await Promise.race([fault.promise, load.then(() => undefined)]);
    if (beganMs === undefined) throw new Error('the load ended before the fault came');
    await recover(scene);
    const recoveredMs = performance.now() - beganMs;
    await whole;
    await load;
    await client.send(repeats(workload));
    return { beganMs, recoveredMs, deaths: watch.deaths() };
  } finally {
    watch.stop();
  }
};

const closeMonth = async (pipeline: Pipeline): Promise<void> => {
  const { body } = await until(
    () => pipeline.closePeriod({ period: lastMonth().name }),
    ({ status, body }) => status === 200 && ['completed', 'failed'].includes(body.state),
    60_000,
  );
  if (body.state !== 'completed') throw new Error(`the billing run ended as ${JSON.stringify(body)}`);
};

export type RoundOptions = {
  /** Judges evidence with one accepted event missing, or doubled, to see that a round says so. */
  readonly lie?: Lie;
};

export const runRound = async (
  scenario: Scenario,
  seed: number,
  servers: TestServers,
  { lie }: RoundOptions = {},
): Promise<RoundResult> => {
  const proxy = await startProxy(scenario, servers);
  const pipeline = await startPipeline(servers.urls, settings, { extraOf: arm(scenario, seed, proxy) });
  try {
    await makeLlmPro(pipeline, customers, lastMonth().start);
    const client = createCrashClient(pipeline.stack.ingestUrl, pipeline.key);
    const scene = {
      servers,
      pipeline,
      proxy,
      awayMs: between(seed, 200, 1_500),
      sendProbe: createProbes(client, seed),
    };
    const workload = makeWorkload({ seed, events, lanes, customers, month: lastMonth() });
    const { beganMs, recoveredMs, deaths } = await loadThrough(scenario, scene, client, workload);
    await untilSettled(pipeline, servers.urls.nats);
    const settledMs = performance.now() - beganMs;
    const stored = await readStored(pipeline);
    await closeMonth(pipeline);
    const truth: Evidence = { book: client.book(), stored, invoices: await readInvoices(pipeline, customers) };
    const evidence = lie ? plantedLies(truth)[lie] : truth;
    const verdict = judge(evidence, scenario.losesClaims);
    // A check that sees nothing would let any round pass.
    const seesLies = findsPlantedLies(truth, scenario.losesClaims);
    const faults = [
      ...verdict.faults,
      ...(seesLies ? [] : ['the check does not see what is wrong']),
      ...(await checkConservation(pipeline, verdict)),
    ];
    const judged = { ...verdict, faults };
    return { ...judged, recoveredMs, settledMs, deaths, resent: evidence.book.resent, sound: isSound(judged) };
  } finally {
    await pipeline.stop();
    await proxy?.close();
  }
};
