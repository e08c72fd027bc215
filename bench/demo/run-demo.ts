/**
 * The demo: catalog, customers, a month of LLM usage over HTTP, its invoices, balances that rise while more arrives,
 * and a report of what that took.
 */
import { compareAmounts, formatMinorUnits, parseAmount, sumAmounts, zeroAmount } from '#schemas/money.ts';
import { checkConservation, readStages, type Stages } from './check-conservation.ts';
import { customerOf, llmUsage } from './llm-usage.ts';
import { type Client, inLanes } from './millrace-client.ts';
import { type LiveBalances, watchBalances } from './watch-balances.ts';

export type DemoOptions = {
  readonly events: number;
  readonly customers: number;
  readonly seed: number;
  /** Now, in milliseconds: the demo bills the month before. */
  readonly nowMs: number;
  readonly client: Client;
  /** How many of the demo's events can be queried in ClickHouse; the keys of all of them begin with `keyPrefix`. */
  readonly storedEvents: (keyPrefix: string) => Promise<number>;
  readonly progress: Progress;
};

export type Progress = {
  readonly stage: (name: string) => void;
  readonly sending: (sent: number, total: number) => void;
  readonly sent: () => void;
};

type LineJson = { readonly description: string; readonly quantity: string; readonly amount: string };
type InvoiceJson = {
  readonly id: string;
  readonly number: number;
  readonly customer_id: string;
  readonly currency: string;
  readonly total: string;
  readonly lines: readonly LineJson[];
};
type RunJson = {
  readonly id: string;
  readonly state: string;
  readonly failure: string | null;
  readonly invoices_issued: number;
  readonly invoices_already_issued: number;
  readonly unmeasured_events: number;
};

export type DemoReport = {
  readonly period: string;
  readonly ran_before: boolean;
  readonly events: {
    readonly sent: number;
    readonly accepted: number;
    readonly duplicates: number;
    readonly stored: number;
  };
  readonly customers: number;
  readonly invoices: {
    readonly issued: number;
    readonly already_issued: number;
    readonly total: string;
    readonly currency: string;
    readonly unmeasured_events: number;
  };
  /** Since the beginning of the hour in which the demo began. */
  readonly conservation: Stages;
  /** Of the running month. */
  readonly balances: LiveBalances;
  readonly stages_ms: Readonly<Record<string, number>>;
  readonly slowest_stage: string;
  readonly events_per_second: number;
  readonly examples: readonly InvoiceJson[];
};

const eventsPerRequest = 1_000;
const requestLanes = 4;
const accountLanes = 16;

const plan = {
  code: 'demo-llm-pro',
  name: 'LLM Pro',
  currency: 'USD' as const,
  charges: [
    { code: 'base', name: 'Base fee', price: { model: 'flat', amount: '20.00' } },
    {
      code: 'requests',
      name: 'Requests',
      meter: 'demo_requests',
      price: { model: 'package', package_amount: '0.50', package_size: '25', free_units: '20' },
    },
    {
      code: 'input',
      name: 'Input tokens',
      meter: 'demo_input_tokens',
      price: {
        model: 'graduated',
        tiers: [
          { up_to: '100000', unit_amount: '0' },
          { up_to: '200000', unit_amount: '0.000003' },
          { up_to: null, unit_amount: '0.0000024' },
        ],
      },
    },
    {
      code: 'output',
      name: 'Output tokens',
      meter: 'demo_output_tokens',
      price: { model: 'per_unit', unit_amount: '0.000015' },
    },
  ],
};

const meters = [
  { code: 'demo_requests', name: 'Requests', event: 'llm.request', aggregation: 'count' },
  {
    code: 'demo_input_tokens',
    name: 'Input tokens',
    event: 'llm.request',
    aggregation: 'sum',
    property: 'input_tokens',
  },
  {
    code: 'demo_output_tokens',
    name: 'Output tokens',
    event: 'llm.request',
    aggregation: 'sum',
    property: 'output_tokens',
  },
];

/** Creates it, or finds that an earlier demo did. */
const ensure = async (client: Client, path: string, body: unknown): Promise<void> => {
  const { status, body: answer } = await client.post<{ error_code?: string }>(path, body);
  if (status !== 201 && status !== 409) throw new Error(`POST ${path} answered ${status}: ${JSON.stringify(answer)}`);
};

const monthBefore = (nowMs: number) => {
  const month = Temporal.Instant.fromEpochMilliseconds(nowMs)
    .toZonedDateTimeISO('UTC')
    .toPlainDate()
    .toPlainYearMonth()
    .subtract({ months: 1 });
  const start = month.toPlainDate({ day: 1 }).toZonedDateTime('UTC').epochMilliseconds;
  const end = month.add({ months: 1 }).toPlainDate({ day: 1 }).toZonedDateTime('UTC').epochMilliseconds;
  // The last three days of a month are within the accepted 35 days on every day of the next one.
  return { name: month.toString(), start, end, usageFrom: end - 3 * 86_400_000 };
};

const sendUsage = async (options: DemoOptions, month: ReturnType<typeof monthBefore>) => {
  const { events, customers, seed, client, progress } = options;
  const totals = { accepted: 0, duplicates: 0, conflicts: 0, rejected: 0 };
  let sent = 0;
  const generator = llmUsage({ seed, events, customers, month: month.name, from: month.usageFrom, to: month.end });
  const batches = (function* () {
    let batch: unknown[] = [];
    for (const event of generator) {
      if (batch.push(event) < eventsPerRequest) continue;
      yield batch;
      batch = [];
    }
    if (batch.length > 0) yield batch;
  })();
  await inLanes(batches, requestLanes, async (batch) => {
    const answer = await client.sendEvents(batch);
    for (const name of ['accepted', 'duplicates', 'conflicts', 'rejected'] as const) totals[name] += answer[name];
    sent += batch.length;
    progress.sending(sent, events);
  });
  progress.sent();
  if (totals.conflicts + totals.rejected > 0) throw new Error(`events were refused: ${JSON.stringify(totals)}`);
  return totals;
};

const untilStored = async (options: DemoOptions, keyPrefix: string): Promise<number> => {
  for (;;) {
    const stored = await options.storedEvents(keyPrefix);
    if (stored >= options.events) return stored;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
};

const closePeriod = async (client: Client, period: string): Promise<RunJson> => {
  const { status, body } = await client.post<RunJson>('/v1/invoices/run', { period });
  if (status !== 202) throw new Error(`POST /v1/invoices/run answered ${status}: ${JSON.stringify(body)}`);
  let run = body;
  while (run.state !== 'completed') {
    if (run.state === 'failed') throw new Error(`the billing run failed: ${run.failure}`);
    run = await client.get<RunJson>(`/v1/invoices/runs/${run.id}?wait_seconds=25`);
  }
  return run;
};

type InvoicePage = {
  readonly items: readonly (InvoiceJson & { readonly period: { readonly start: string } })[];
  readonly pagination: { readonly next_cursor: string | null };
};

const invoicesOf = async (client: Client, periodStart: number): Promise<InvoiceJson[]> => {
  const invoices: InvoiceJson[] = [];
  let cursor: string | null = '';
  while (cursor !== null) {
    const page: InvoicePage = await client.get(`/v1/invoices?limit=1000${cursor && `&cursor=${cursor}`}`);
    invoices.push(...page.items.filter(({ period }) => Date.parse(period.start) === periodStart));
    cursor = page.pagination.next_cursor;
  }
  return invoices;
};

const amountOf = ({ total }: InvoiceJson) => parseAmount(total) ?? zeroAmount;

/** The largest, the middle and the smallest invoice, with their lines. */
const examplesOf = async (client: Client, invoices: readonly InvoiceJson[]): Promise<InvoiceJson[]> => {
  const sorted = invoices.toSorted((a, b) => compareAmounts(amountOf(b), amountOf(a)));
  const picked = [sorted[0], sorted[sorted.length >> 1], sorted.at(-1)].filter((invoice) => invoice !== undefined);
  return Promise.all([...new Set(picked)].map(({ id }) => client.get<InvoiceJson>(`/v1/invoices/${id}`)));
};

export const runDemo = async (options: DemoOptions): Promise<DemoReport> => {
  const { client, progress, customers } = options;
  const month = monthBefore(options.nowMs);
  const stages: Record<string, number> = {};
  const timed = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    progress.stage(name);
    const begin = performance.now();
    const result = await work();
    stages[name] = Math.round(performance.now() - begin);
    return result;
  };

  await timed('catalog and customers', async () => {
    for (const meter of meters) await ensure(client, '/v1/meters', meter);
    await ensure(client, '/v1/plans', plan);
    await inLanes(Array(customers).keys(), accountLanes, async (index) => {
      await ensure(client, '/v1/customers', { external_id: customerOf(index), name: `Demo customer ${index + 1}` });
      await ensure(client, '/v1/subscriptions', {
        customer_id: customerOf(index),
        plan: plan.code,
        started_at: new Date(month.start).toISOString(),
      });
    });
  });
  const before = await readStages(client, options.nowMs);
  const answered = await timed('ingest over HTTP', () => sendUsage(options, month));
  const stored = await timed('until queryable', () => untilStored(options, `demo-${month.name}-`));
  const run = await timed('rating and invoicing', () => closePeriod(client, month.name));
  const { invoices, examples } = await timed('reading the invoices back', async () => {
    const all = await invoicesOf(client, month.start);
    return { invoices: all, examples: await examplesOf(client, all) };
  });
  const received = before.total.received + options.events;
  const conservation = await timed('conservation', () => checkConservation(client, options.nowMs, received));
  const balances = await timed('balances while usage arrives', () => watchBalances(client, customers, options.nowMs));
  const slowest = Object.entries(stages).reduce((a, b) => (b[1] > a[1] ? b : a));
  return {
    period: month.name,
    ran_before: answered.accepted === 0 && run.invoices_issued === 0,
    events: { sent: options.events, accepted: answered.accepted, duplicates: answered.duplicates, stored },
    customers,
    invoices: {
      issued: run.invoices_issued,
      already_issued: run.invoices_already_issued,
      total: formatMinorUnits(sumAmounts(invoices.map(amountOf)), plan.currency),
      currency: plan.currency,
      unmeasured_events: run.unmeasured_events,
    },
    conservation,
    balances,
    stages_ms: stages,
    slowest_stage: slowest[0],
    events_per_second: Math.floor((options.events * 1000) / (stages['ingest over HTTP'] ?? 1)),
    examples,
  };
};
