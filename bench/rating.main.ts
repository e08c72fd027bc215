/**
 * `npm run bench:rating`: what rating takes. First the pure core by itself; then whole billing runs over a stored
 * month, from its quantities to rated lines in PostgreSQL, of more and more subscriptions with three metered charges
 * each. The invoicer stands still meanwhile, as it is the rating that is measured, and issues afterwards. With
 * `--closing` nobody asks for a run: the scheduler closes what fell due for all at the same instant, up to the last
 * invoice, and the API answers reads meanwhile. `--hand-over` does the same with issuing held until all is rated. With
 * `--quantities` only quantities are read, from events and from totals by turns.
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { createClient } from '@clickhouse/client';
import pg from 'pg';
import type { Stack } from '#platform/local/stack.ts';
import type { Period } from '#schemas/period.ts';
import { call } from './api/call.ts';
import { percentile } from './api/load.ts';
import { createLineUnderTest, pause } from './line/line-under-test.ts';
import { cpuOf } from './line/process-cost.ts';
import { keepResults, machineOf, todayAndCommit } from './line/report.ts';
import { measureCore, planOfBench } from './rating/core.ts';
import { measureQuantities } from './rating/quantities.ts';
import { makeMeters, makePlan, subscribe } from './rating/stored-customers.ts';
import { withTemporaryStack } from './temporary-stack.ts';
import { storeMonth } from './usage/stored-month.ts';

const { values } = parseArgs({
  options: {
    subscriptions: { type: 'string', default: '10000,30000,100000' },
    'events-each': { type: 'string', default: '100' },
    'core-seconds': { type: 'string', default: '5' },
    name: { type: 'string', default: 'rating' },
    closing: { type: 'boolean', default: false },
    quantities: { type: 'boolean', default: false },
    rounds: { type: 'string', default: '3' },
    'hand-over': { type: 'boolean', default: false },
  },
});
const eventsEach = Number(values['events-each']);
const event = 'llm.request';

type Figures = Readonly<Record<string, number>>;

const say = (line: string): void => {
  process.stderr.write(`millrace  bench: ${line}\n`);
};

const told = (name: string, figures: Figures): Figures => {
  const words = Object.entries(figures).map(([figure, value]) => `${figure} ${Number(value.toFixed(2))}`);
  say(`${name}: ${words.join(', ')}`);
  return figures;
};

/** The most memory that a process held, in MB. */
const peakMegabytes = (pid: number | undefined): number =>
  Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1_000;

/** Of processes that took some. */
const cpuBetween = (before: Figures, after: Figures, what = 'cpu'): Figures =>
  Object.fromEntries(
    Object.entries(after).flatMap(([name, seconds]) => {
      const spent = seconds - (before[name] ?? 0);
      return spent < 0.1 ? [] : [[`${what}_${name}_seconds`, spent]];
    }),
  );

type Stored = {
  readonly clickhouse: ReturnType<typeof createClient>;
  readonly owner: pg.Client;
  readonly line: ReturnType<typeof createLineUnderTest>;
  readonly organizationId: string;
  /** Of the month, `2026-10`. */
  readonly month: string;
  readonly period: Period;
};

const store = async (stack: Stack, subscriptions: number): Promise<Stored> => {
  const clickhouse = createClient({ url: stack.urls.clickhouse, request_timeout: 300_000 });
  const owner = new pg.Client({ connectionString: stack.urls.postgres });
  // A stack that is stopped early ends this connection too; what stopped it is the fault to tell.
  owner.on('error', () => {});
  await owner.connect();
  const line = createLineUnderTest(stack);
  const start = Temporal.Now.zonedDateTimeISO('UTC').with({ day: 1 }).startOfDay().subtract({ months: 1 });
  const end = start.add({ months: 1 });
  await makeMeters(stack, event);
  const { organizationId, planVersionId } = await makePlan(stack, owner, planOfBench);
  await subscribe(owner, organizationId, planVersionId, subscriptions, start.toInstant());
  await storeMonth(
    clickhouse,
    {
      tenant: organizationId,
      event,
      events: subscriptions * eventsEach,
      customers: subscriptions,
      startMs: start.epochMilliseconds,
      endMs: end.epochMilliseconds,
    },
    (stored) => stored % 5_000_000 === 0 && say(`${stored} events stored`),
  );
  await line.untilMerged();
  return {
    clickhouse,
    owner,
    line,
    organizationId,
    month: start.toPlainDate().toString().slice(0, 7),
    period: { start: start.epochMilliseconds, end: end.epochMilliseconds },
  };
};

const shut = async ({ clickhouse, owner, line }: Stored): Promise<void> => {
  await line.close();
  await clickhouse.close();
  await owner.end();
};

const measureRun = async (stack: Stack, subscriptions: number): Promise<Figures> => {
  const stored = await store(stack, subscriptions);
  const { owner, line, month } = stored;
  const { invoicer, rater } = line.pids();
  if (invoicer) process.kill(invoicer, 'SIGSTOP');
  const before = cpuOf(line.pids());
  const startMs = performance.now();
  const run = await call(stack, 'POST', '/v1/invoices/run', { period: month });
  const openShards = async (states: readonly string[]): Promise<number | undefined> => {
    const { rows } = await owner.query<{ shards: string; open: string; failed: string | null }>(
      `SELECT count(*) AS shards, count(*) FILTER (WHERE state = ANY ($2)) AS open, max(failure) AS failed
       FROM billing_run_shards WHERE run_id = $1`,
      [run.id, states],
    );
    const [row] = rows;
    if (row?.failed) throw new Error(`the run failed: ${row.failed}`);
    return row && Number(row.shards) > 0 ? Number(row.open) : undefined;
  };
  const until = async (states: readonly string[]): Promise<number> => {
    for (let open = await openShards(states); open !== 0; open = await openShards(states)) await pause(50);
    return (performance.now() - startMs) / 1_000;
  };
  const ratedSeconds = await until(['queued']);
  const after = cpuOf(line.pids());
  const { rows: counted } = await owner.query<{ lines: string }>('SELECT count(*) AS lines FROM rated_lines');
  const lines = Number(counted[0]?.lines ?? 0);
  if (lines !== subscriptions * planOfBench.charges.length)
    throw new Error(`${lines} lines were rated for ${subscriptions} subscriptions`);
  const raterPeakMegabytes = peakMegabytes(rater);
  if (invoicer) process.kill(invoicer, 'SIGCONT');
  const issuedSeconds = (await until(['queued', 'rated'])) - ratedSeconds;
  const issuing = cpuBetween(after, cpuOf(line.pids()), 'issuing_cpu');
  await shut(stored);
  return {
    rated_seconds: ratedSeconds,
    lines_per_second: lines / ratedSeconds,
    rater_peak_megabytes: raterPeakMegabytes,
    issued_seconds: issuedSeconds,
    ...cpuBetween(before, after),
    ...issuing,
  };
};

const measureReading = async (stack: Stack, subscriptions: number): Promise<Figures> => {
  const stored = await store(stack, subscriptions);
  const { clickhouse: clickhousePid = 0 } = stored.line.pids();
  const figures = await measureQuantities({ ...stored, clickhousePid }, Number(values.rounds));
  await shut(stored);
  return figures;
};

/** Reads one after the other while `work` goes on, with a pause between them: how long they took, in milliseconds. */
const readMeanwhile = async (stack: Stack, work: Promise<unknown>): Promise<number[]> => {
  const latenciesMs: number[] = [];
  let isOver = false;
  void work.finally(() => {
    isOver = true;
  });
  while (!isOver) {
    const startMs = performance.now();
    await call(stack, 'GET', '/v1/customers/customer-0');
    latenciesMs.push(performance.now() - startMs);
    await pause(20);
  }
  await work;
  return latenciesMs.toSorted((a, b) => a - b);
};

/**
 * Stops the invoicer as soon as its scheduler has begun a run; what this resolves with lets it issue. A lock would hold
 * it too, and keep PostgreSQL from clearing away what is dead meanwhile, which no installation does.
 */
const holdIssuing = async (owner: pg.Client, pid: number): Promise<() => void> => {
  for (;;) {
    const { rows } = await owner.query('SELECT 1 FROM billing_runs');
    if (rows.length > 0) break;
    await pause(5);
  }
  process.kill(pid, 'SIGSTOP');
  return () => process.kill(pid, 'SIGCONT');
};

const closingState = `
SELECT (SELECT coalesce(bool_and(is_cut), false) FROM billing_runs) AND EXISTS (SELECT 1 FROM billing_run_shards)
    AND NOT EXISTS (SELECT 1 FROM billing_run_shards WHERE state = 'queued') AS rated,
  (SELECT coalesce(sum(last_number), 0) FROM invoice_series) AS issued`;

const measureClosing = async (stack: Stack, subscriptions: number): Promise<Figures> => {
  const stored = await store(stack, subscriptions);
  const { owner, line } = stored;
  const before = cpuOf(line.pids());
  const startMs = performance.now();
  const passed = (): number => (performance.now() - startMs) / 1_000;
  await call(stack, 'PATCH', '/v1/organization', { closing: { automatic: true, grace_minutes: 0 } });
  const { invoicer } = line.pids();
  let release = values['hand-over'] && invoicer ? await holdIssuing(owner, invoicer) : undefined;
  let ratedSeconds = 0;
  const close = async (): Promise<number> => {
    for (;;) {
      const { rows } = await owner.query<{ rated: boolean; issued: string }>(closingState);
      if (ratedSeconds === 0 && rows[0]?.rated) {
        ratedSeconds = passed();
        release?.();
        release = undefined;
      }
      if (Number(rows[0]?.issued) >= subscriptions) return passed();
      await pause(200);
    }
  };
  const closing = close();
  const readsMs = await readMeanwhile(stack, closing);
  const issuedSeconds = await closing;
  const after = cpuOf(line.pids());
  const { rows } = await owner.query<{ lines: string; invoices: string; runs: string }>(
    `SELECT (SELECT count(*) FROM rated_lines) AS lines, (SELECT count(*) FROM invoices) AS invoices,
       (SELECT count(*) FROM billing_runs) AS runs`,
  );
  const [found] = rows;
  if (Number(found?.invoices) !== subscriptions || Number(found?.lines) !== subscriptions * planOfBench.charges.length)
    throw new Error(`${found?.lines} lines and ${found?.invoices} invoices of ${subscriptions} subscriptions`);
  await shut(stored);
  return {
    closing_rated_seconds: ratedSeconds,
    closing_issued_seconds: issuedSeconds,
    closing_runs: Number(found?.runs),
    read_p50_ms: percentile(readsMs, 0.5),
    read_p99_ms: percentile(readsMs, 0.99),
    ...cpuBetween(before, after),
  };
};

// Totals of a month that was just stored.
const settings = values.quantities ? { MILLRACE_TOTALS_QUIET_SECONDS: '1', MILLRACE_TOTALS_LOOK_SECONDS: '1' } : {};
const measure = values.quantities ? measureReading : values.closing ? measureClosing : measureRun;
const core = told('the pure core', await measureCore(Number(values['core-seconds'])));
const runs: Record<string, Figures> = {};
let machine: ReturnType<typeof machineOf> | undefined;
for (const subscriptions of values.subscriptions.split(',').map(Number)) {
  const name = `${subscriptions} subscriptions, ${subscriptions * eventsEach} events`;
  runs[name] = await withTemporaryStack({ settings }, async (stack) => {
    machine = machineOf(stack.natsSyncAlways);
    return told(name, await measure(stack, subscriptions));
  });
}
const report = { ...todayAndCommit(), machine, core, runs };
keepResults(values.name, report);
process.stdout.write(`${JSON.stringify(report, null, 2)}\n`);
process.exit(0);
