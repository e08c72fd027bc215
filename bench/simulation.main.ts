/**
 * `npm run bench:simulation`: what a simulation takes, from its request to its summary: ten plans, 1,000 customers and
 * a million events that lie in the store. The bar is drawn from what the route tells of its progress.
 */
import { parseArgs } from 'node:util';
import { createClient } from '@clickhouse/client';
import pg from 'pg';
import type { Stack } from '#platform/local/stack.ts';
import { call } from './api/call.ts';
import { createLineUnderTest } from './line/line-under-test.ts';
import { cpuOf } from './line/process-cost.ts';
import { keepResults, machineOf, todayAndCommit } from './line/report.ts';
import { planOfBench } from './rating/core.ts';
import { makeMeters, makePlan, subscribe } from './rating/stored-customers.ts';
import { withTemporaryStack } from './temporary-stack.ts';
import { storeMonth } from './usage/stored-month.ts';

const { values } = parseArgs({
  options: {
    customers: { type: 'string', default: '1000' },
    events: { type: 'string', default: '1000000' },
    plans: { type: 'string', default: '10' },
    runs: { type: 'string', default: '3' },
    name: { type: 'string', default: 'simulation' },
  },
});
const customers = Number(values.customers);
const event = 'llm.request';

type Figures = Readonly<Record<string, number>>;
type Simulation = {
  readonly id: string;
  readonly state: string;
  readonly failure: string | null;
  readonly progress: { readonly done: number; readonly total: number | null; readonly share: number };
  readonly summary: { readonly candidates: readonly { readonly currencies: readonly unknown[] }[] } | null;
};

const say = (line: string): void => {
  process.stderr.write(`millrace  bench: ${line}\n`);
};

const barCells = 40;
const drawBar = ({ progress: { done, total, share } }: Simulation): void => {
  const cells = Math.round(share * barCells);
  process.stderr.write(`\r  [${'#'.repeat(cells).padEnd(barCells, '.')}] ${done} of ${total ?? '?'} customers`);
};

/** The plan of the bench, dearer by so many percent in its last tier. */
const candidate = (percent: number) => ({
  name: `Plan ${percent}`,
  currency: planOfBench.currency,
  charges: planOfBench.charges.map((charge) => ({
    ...charge,
    price: {
      ...charge.price,
      tiers: charge.price.tiers.map((tier) =>
        tier.up_to === null ? { ...tier, unit_amount: `0.00000${240 + percent}` } : tier,
      ),
    },
  })),
});

const measureSimulation = async (stack: Stack, body: object): Promise<Figures> => {
  const line = createLineUnderTest(stack);
  const before = cpuOf(line.pids());
  const startMs = performance.now();
  const asked = await call<Simulation>(stack, 'POST', '/v1/simulations', body);
  const read = (waitSeconds: number) =>
    call<Simulation>(stack, 'GET', `/v1/simulations/${asked.id}?wait_seconds=${waitSeconds}`);
  const bar = setInterval(() => void read(0).then(drawBar), 200);
  const waited = async (): Promise<Simulation> => {
    const simulation = await read(25);
    return simulation.state === 'queued' || simulation.state === 'running' ? waited() : simulation;
  };
  const simulation = await waited();
  const seconds = (performance.now() - startMs) / 1_000;
  clearInterval(bar);
  drawBar(simulation);
  process.stderr.write('\n');
  if (simulation.state !== 'completed') throw new Error(`it is ${simulation.state}: ${simulation.failure}`);
  const after = cpuOf(line.pids());
  await line.close();
  const cpu = Object.entries(after).map(([name, now]) => [`cpu_${name}_seconds`, now - (before[name] ?? 0)] as const);
  return { seconds, ...Object.fromEntries(cpu.filter(([, used]) => used >= 0.1)) };
};

const measureAll = async (stack: Stack): Promise<Figures[]> => {
  const clickhouse = createClient({ url: stack.urls.clickhouse, request_timeout: 300_000 });
  const owner = new pg.Client({ connectionString: stack.urls.postgres });
  // A stack that is stopped early ends this connection too; what stopped it is the fault to tell.
  owner.on('error', () => {});
  await owner.connect();
  const start = Temporal.Now.zonedDateTimeISO('UTC').with({ day: 1 }).startOfDay().subtract({ months: 1 });
  const end = start.add({ months: 1 });
  await makeMeters(stack, event);
  const { organizationId, planVersionId } = await makePlan(stack, owner, planOfBench);
  await subscribe(owner, organizationId, planVersionId, customers, start.toInstant());
  const stored = {
    tenant: organizationId,
    event,
    events: Number(values.events),
    customers,
    startMs: start.epochMilliseconds,
    endMs: end.epochMilliseconds,
  };
  await storeMonth(clickhouse, stored, (events) => say(`${events} events stored`));
  const line = createLineUnderTest(stack);
  await line.untilMerged();
  await line.close();
  const body = {
    from: start.toInstant().toString(),
    to: end.toInstant().toString(),
    customers: { all: true },
    candidates: Array.from({ length: Number(values.plans) }, (_, index) => candidate(index + 1)),
  };
  const runs: Figures[] = [];
  for (let run = 0; run < Number(values.runs); run += 1) {
    const figures = await measureSimulation(stack, body);
    say(
      Object.entries(figures)
        .map(([name, value]) => `${name} ${Number(value.toFixed(2))}`)
        .join(', '),
    );
    runs.push(figures);
  }
  await clickhouse.close();
  await owner.end();
  return runs;
};

let machine: ReturnType<typeof machineOf> | undefined;
const runs = await withTemporaryStack({}, async (stack) => {
  machine = machineOf(stack.natsSyncAlways);
  return measureAll(stack);
});
const shape = { customers, events: Number(values.events), plans: Number(values.plans) };
const report = { ...todayAndCommit(), machine, ...shape, runs };
keepResults(values.name, report);
process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
process.exit(0);
