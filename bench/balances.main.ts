/**
 * `npm run bench:balances`: what balances cost that are read while usage arrives. Customers with a subscription of a
 * fee and two metered charges have a month of usage in the store; each read asks for another customer's balance.
 */
import { parseArgs } from 'node:util';
import type { Stack } from '#platform/local/stack.ts';
import { call, organizationOf } from './api/call.ts';
import { percentile, runLoad } from './api/load.ts';
import { createLineUnderTest, type LineUnderTest, pause } from './line/line-under-test.ts';
import { cpuSecondsOf } from './line/process-cost.ts';
import { keepResults, machineOf, todayAndCommit } from './line/report.ts';
import { withTemporaryStack } from './temporary-stack.ts';
import { storeMonth } from './usage/stored-month.ts';

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '1000000' },
    customers: { type: 'string', default: '1000' },
    reads: { type: 'string', default: '100,500' },
    arriving: { type: 'string', default: '0,20000' },
    seconds: { type: 'string', default: '15' },
    name: { type: 'string', default: 'balances' },
  },
});
const numbersOf = (text: string): number[] => text.split(',').map(Number);
const [events, customers, seconds] = [Number(values.events), Number(values.customers), Number(values.seconds)];
const event = 'llm.request';
const callsAtATime = 16;

type Figures = Readonly<Record<string, number>>;

const say = (line: string): void => {
  process.stderr.write(`millrace  bench: ${line}\n`);
};

const namesOf = (): string[] => Array.from({ length: customers }, (_, number) => `customer-${number}`);

const setUp = async (stack: Stack, line: LineUnderTest): Promise<void> => {
  const tenant = await organizationOf(stack);
  await call(stack, 'POST', '/v1/meters', { code: 'calls', name: 'Calls', event, aggregation: 'count' });
  const tokens = { code: 'tokens', name: 'Tokens', event, aggregation: 'sum', property: 'input_tokens' };
  await call(stack, 'POST', '/v1/meters', tokens);
  await call(stack, 'POST', '/v1/plans', {
    code: 'scale',
    name: 'Scale',
    currency: 'USD',
    charges: [
      { code: 'base', name: 'Base fee', price: { model: 'flat', amount: '20.00' } },
      { code: 'calls', name: 'Calls', meter: 'calls', price: { model: 'per_unit', unit_amount: '0.0004' } },
      {
        code: 'tokens',
        name: 'Tokens',
        meter: 'tokens',
        price: {
          model: 'graduated',
          tiers: [
            { up_to: '100000', unit_amount: '0.00001' },
            { up_to: null, unit_amount: '0.000008' },
          ],
        },
      },
    ],
  });
  const now = Temporal.Now.zonedDateTimeISO('UTC');
  const start = now.with({ day: 1 }).startOfDay();
  const waiting = namesOf();
  const subscribe = async (): Promise<void> => {
    for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
      await call(stack, 'POST', '/v1/customers', { external_id: name, name });
      const started_at = start.toInstant().toString();
      await call(stack, 'POST', '/v1/subscriptions', { customer_id: name, plan: 'scale', started_at });
    }
  };
  await Promise.all(Array.from({ length: callsAtATime }, subscribe));
  const month = { tenant, event, events, customers };
  const bounds = { startMs: start.epochMilliseconds, endMs: now.epochMilliseconds };
  await storeMonth(line.clickhouse, { ...month, ...bounds }, (stored) => say(`${stored} events stored`));
  await line.untilMerged();
};

/** Of each process, milliseconds of CPU for each read. */
const costsOf = (stack: Stack): (() => (reads: number) => Figures) => {
  const spent = () => stack.processes.map(({ name, pid }) => ({ name, seconds: cpuSecondsOf(pid) }));
  return () => {
    const before = new Map(spent().map(({ name, seconds: at }) => [name, at]));
    return (reads) =>
      Object.fromEntries(
        spent().map(({ name, seconds: at }) => [`${name}_ms`, ((at - (before.get(name) ?? 0)) * 1000) / reads]),
      );
  };
};

const measure = async (stack: Stack): Promise<Readonly<Record<string, Figures>>> => {
  const line = createLineUnderTest(stack);
  await setUp(stack, line);
  const paths = namesOf().map((name) => `/v1/customers/${name}/balance`);
  const costs = costsOf(stack);
  const cases: Record<string, Figures> = {};
  const read = async (name: string, perSecond: number): Promise<void> => {
    const load = { url: stack.apiUrl, paths, key: stack.apiKey, perSecond };
    await runLoad({ ...load, seconds: 3 });
    const costOf = costs();
    const { latenciesMs, answered, statuses } = await runLoad({ ...load, seconds });
    const figures = {
      reads: answered,
      p50_ms: percentile(latenciesMs, 0.5),
      p99_ms: percentile(latenciesMs, 0.99),
      max_ms: latenciesMs.at(-1) ?? 0,
      not_200: answered - (statuses['200'] ?? 0),
      ...costOf(answered),
    };
    cases[name] = figures;
    const words = Object.entries(figures).map(([figure, value]) => `${figure} ${Number(value.toFixed(2))}`);
    say(`${name}: ${words.join(', ')}`);
  };
  for (const arriving of numbersOf(values.arriving))
    for (const perSecond of numbersOf(values.reads)) {
      const name = `${perSecond} reads/s${arriving > 0 ? ` while ${arriving} events/s arrive` : ''}`;
      if (arriving === 0) {
        await read(name, perSecond);
        continue;
      }
      const sending = line.measure({ event, seconds: seconds + 6, eventsPerSecond: arriving, connections: 8 });
      await pause(2_000);
      await read(name, perSecond);
      const { load } = await sending;
      cases[name] = { ...cases[name], events_per_second: load.accepted / load.seconds };
    }
  await line.close();
  return cases;
};

const report = await withTemporaryStack({}, async (stack) => ({
  ...todayAndCommit(),
  machine: machineOf(stack.natsSyncAlways),
  events,
  customers,
  seconds,
  cases: await measure(stack),
}));
keepResults(values.name, report);
process.exit(0);
