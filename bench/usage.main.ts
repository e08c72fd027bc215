/**
 * `npm run bench:usage`: what reading usage takes. A month of 10 million events of 10,000 customers is stored; then one
 * customer's month by day, a whole organization's month by customer and model, and 200 queries a second while 20,000
 * events a second arrive, all through the API.
 */
import { parseArgs } from 'node:util';
import { createClient } from '@clickhouse/client';
import type { Stack } from '#platform/local/stack.ts';
import { askText, call, organizationOf } from './api/call.ts';
import { type LoadResult, percentile, runLoad } from './api/load.ts';
import { createLineUnderTest, pause } from './line/line-under-test.ts';
import { cpuSecondsOf } from './line/process-cost.ts';
import { keepResults, machineOf, todayAndCommit } from './line/report.ts';
import { withTemporaryStack } from './temporary-stack.ts';
import { type StoredMonth, storeMonth } from './usage/stored-month.ts';

const { values } = parseArgs({
  options: {
    events: { type: 'string', default: '10000000' },
    customers: { type: 'string', default: '10000' },
    seconds: { type: 'string', default: '20' },
    totals: { type: 'string', default: 'on' },
    name: { type: 'string', default: 'usage' },
  },
});
const [events, customers, seconds] = [Number(values.events), Number(values.customers), Number(values.seconds)];
/** Without totals days never rest for as long as they would have to. */
const quietSeconds = values.totals === 'off' ? 86_400 : 1;
const queriesPerSecond = 200;
const eventsPerSecond = 20_000;
/** Of all customers, those that are asked for. */
const askedCustomers = 200;
const event = 'llm.request';

const say = (line: string): void => {
  process.stderr.write(`millrace  bench: ${line}\n`);
};

type Figures = Readonly<Record<string, number>>;

/** Said at once: what comes later may fail. */
const told = (name: string, figures: Figures): Figures => {
  const words = Object.entries(figures).map(([figure, value]) => `${figure} ${Number(value.toFixed(2))}`);
  say(`${name}: ${words.join(', ')}`);
  return figures;
};

const timesOf = (times: readonly number[]): Figures => {
  const sorted = times.toSorted((a, b) => a - b);
  return {
    queries: times.length,
    p50_ms: percentile(sorted, 0.5),
    p99_ms: percentile(sorted, 0.99),
    max_ms: sorted.at(-1) ?? 0,
  };
};

const answersOf = ({ latenciesMs, answered, statuses }: LoadResult): Figures => ({
  ...timesOf(latenciesMs),
  not_200: answered - (statuses['200'] ?? 0),
});

/** One after the other; the first ones warm up and do not count. */
const timed = async (stack: Stack, paths: readonly string[], uncounted: number): Promise<Figures> => {
  const times: number[] = [];
  for (const path of paths) {
    const started = performance.now();
    await askText(stack, 'GET', path);
    times.push(performance.now() - started);
  }
  return timesOf(times.slice(uncounted));
};

/** The first pages of a query, one after the other. */
const pagesOf = async (stack: Stack, path: string, pages: number): Promise<Figures> => {
  const times: number[] = [];
  for (let cursor: string | null = ''; cursor !== null && times.length < pages; ) {
    const started = performance.now();
    const text = await askText(stack, 'GET', cursor === '' ? path : `${path}&cursor=${encodeURIComponent(cursor)}`);
    times.push(performance.now() - started);
    cursor = (JSON.parse(text) as { pagination: { next_cursor: string | null } }).pagination.next_cursor;
  }
  return { pages: times.length, pages_ms: times.reduce((sum, ms) => sum + ms, 0) };
};

/** Waits until the whole month is answered from totals. */
const untilTotals = async (stack: Stack, span: string): Promise<Figures> => {
  const spent = () => cpuSecondsOf(stack.processes.find(({ name }) => name === 'clickhouse')?.pid ?? 0);
  const [cpuBefore, started] = [spent(), performance.now()];
  for (;;) {
    const text = await askText(stack, 'GET', `/v1/meters/tokens/usage?${span}&explain=true`);
    const { explanation } = JSON.parse(text) as { explanation: { days_of_events?: readonly string[] } };
    if (explanation.days_of_events?.length === 0) break;
    await pause(2_000);
  }
  return {
    seconds: (performance.now() - started) / 1000,
    clickhouse_micros_per_event: ((spent() - cpuBefore) * 1e6) / events,
  };
};

const measure = async (stack: Stack): Promise<Readonly<Record<string, Figures>>> => {
  const clickhouse = createClient({ url: stack.urls.clickhouse, request_timeout: 300_000 });
  const line = createLineUnderTest(stack);
  const now = Temporal.Now.zonedDateTimeISO('UTC');
  const start = now.with({ day: 1 }).startOfDay().subtract({ months: 1 });
  const month: StoredMonth = {
    tenant: await organizationOf(stack),
    event,
    events,
    customers,
    startMs: start.epochMilliseconds,
    endMs: start.add({ months: 1 }).epochMilliseconds,
  };
  const span = `from=${start.toInstant()}&to=${start.add({ months: 1 }).toInstant()}`;
  await call(stack, 'POST', '/v1/meters', {
    code: 'tokens',
    name: 'Tokens',
    event,
    aggregation: 'sum',
    property: 'input_tokens',
    group_by: ['model'],
  });
  for (let number = 0; number < askedCustomers; number += 1)
    await call(stack, 'POST', '/v1/customers', { external_id: `customer-${number}`, name: `Customer ${number}` });
  await storeMonth(clickhouse, month, (stored) => say(`${stored} events stored`));
  await line.untilMerged();
  const totals = values.totals === 'off' ? {} : told('totals of the month', await untilTotals(stack, span));
  const ofCustomer = (number: number) =>
    `/v1/meters/tokens/usage?${span}&window=day&customer_id=customer-${number % askedCustomers}`;

  const customerMonth = told(
    "one customer's month by day",
    await timed(
      stack,
      Array.from({ length: 440 }, (_, number) => ofCustomer(number * 7)),
      40,
    ),
  );
  const byCustomer = `/v1/meters/tokens/usage?${span}&group_by=customer_id,model`;
  const firstPage = await timed(
    stack,
    Array.from({ length: 6 }, () => `${byCustomer}&limit=1000`),
    1,
  );
  const pages = await pagesOf(stack, `${byCustomer}&limit=1000`, 5);
  const organizationMonth = told("the organization's month by customer and model", { ...firstPage, ...pages });

  const paths = Array.from({ length: askedCustomers }, (_, number) => ofCustomer(number));
  const load = { url: stack.apiUrl, paths, key: stack.apiKey, perSecond: queriesPerSecond };
  await runLoad({ ...load, seconds: 3 });
  const alone = told(`${queriesPerSecond} queries/s alone`, answersOf(await runLoad({ ...load, seconds })));
  const measuring = line.measure({ event: 'llm.other', seconds: seconds + 4, eventsPerSecond, connections: 8 });
  await pause(2_000);
  const beside = told(
    `${queriesPerSecond} queries/s while ${eventsPerSecond} events/s arrive`,
    answersOf(await runLoad({ ...load, seconds })),
  );
  const { load: sent, cpuMicrosPerEvent } = await measuring;
  await line.close();
  await clickhouse.close();
  return {
    totals,
    customer_month_by_day: customerMonth,
    organization_by_customer_and_model: organizationMonth,
    queries_alone: alone,
    queries_while_events_arrive: {
      ...beside,
      events_per_second: sent.accepted / sent.seconds,
      ...Object.fromEntries(
        Object.entries(cpuMicrosPerEvent).map(([name, micros]) => [`${name}_micros_per_event`, micros]),
      ),
    },
  };
};

const settings = { MILLRACE_TOTALS_QUIET_SECONDS: `${quietSeconds}` };
const report = await withTemporaryStack({ settings }, async (stack) => ({
  ...todayAndCommit(),
  machine: machineOf(stack.natsSyncAlways),
  events,
  customers,
  seconds,
  cases: await measure(stack),
}));
keepResults(values.name, report);
for (const [name, figures] of Object.entries(report.cases))
  process.stdout.write(
    `${name}\n${Object.entries(figures)
      .map(([figure, value]) => `  ${figure.padEnd(28)} ${Number(value.toFixed(2))}\n`)
      .join('')}`,
  );
process.exit(0);
