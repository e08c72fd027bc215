/**
 * `npm run demo`: everything from nothing to issued invoices and balances that rise. `--exit` stops after the report,
 * `--json` reports in one line.
 */
import { parseArgs } from 'node:util';
import { createClient as createClickHouse } from '@clickhouse/client';
import cliProgress from 'cli-progress';
import { print, runStack } from '#platform/local/run-stack.ts';
import type { Stack } from '#platform/local/stack.ts';
import { conservationLine } from './demo/check-conservation.ts';
import { createClient } from './demo/millrace-client.ts';
import { type DemoReport, type Progress, runDemo } from './demo/run-demo.ts';

const { values } = parseArgs({
  options: {
    exit: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    events: { type: 'string', default: '200000' },
    customers: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '20261120' },
  },
});

const wholeNumber = (name: 'events' | 'customers' | 'seed'): number => {
  const value = Number(values[name]);
  if (Number.isSafeInteger(value) && value > 0) return value;
  print(`--${name} must be a whole number above 0, not "${values[name]}"`);
  process.exit(2);
};
const [events, customers, seed] = [wholeNumber('events'), wholeNumber('customers'), wholeNumber('seed')];

/** A bar on a terminal, a line every fifth elsewhere; always on stderr. */
const createProgress = (): Progress => {
  const bar = new cliProgress.SingleBar({
    format: 'millrace    {bar} {percentage}% | {value} of {total} events | {rate} events/s | {elapsed} s',
    hideCursor: true,
    stream: process.stderr,
  });
  let begin = 0;
  let fifths = 0;
  const terminal = process.stderr.isTTY === true;
  return {
    stage: (name) => {
      print(`demo: ${name}`);
      begin = performance.now();
    },
    sending: (sent, total) => {
      const seconds = (performance.now() - begin) / 1000;
      const figures = { rate: Math.floor(sent / Math.max(seconds, 0.001)), elapsed: seconds.toFixed(1) };
      if (terminal && !bar.isActive) bar.start(total, 0, figures);
      if (terminal) bar.update(sent, figures);
      else if (Math.floor((sent * 5) / total) > fifths) {
        fifths = Math.floor((sent * 5) / total);
        print(`  ${sent} of ${total} events, ${figures.rate} events/s, ${figures.elapsed} s`);
      }
    },
    sent: () => {
      if (bar.isActive) bar.stop();
    },
  };
};

const textOf = (report: DemoReport, stack: Stack, elapsedMs: number): string => {
  const api = stack.apiUrl.replace(/\/$/, '');
  const stages = Object.entries(report.stages_ms).map(
    ([name, ms]) =>
      `  ${name.padEnd(26)}${(ms / 1000).toFixed(2).padStart(8)} s${name === report.slowest_stage ? '   <- slowest' : ''}`,
  );
  const invoices = report.examples.flatMap((invoice) => [
    '',
    `  Invoice ${invoice.number}   ${invoice.total} ${invoice.currency}   ${api}/v1/invoices/${invoice.id}`,
    ...invoice.lines.map(
      (line) =>
        `    ${line.description.padEnd(16)}${line.quantity.padStart(14)}${line.amount.padStart(12)} ${invoice.currency}`,
    ),
  ]);
  const { accepted, duplicates, sent, stored } = report.events;
  const { balances } = report;
  return [
    '',
    report.ran_before
      ? `This demo ran before: all ${duplicates} events were duplicates and all ${report.invoices.already_issued} invoices of ${report.period} were there. Nothing was doubled.`
      : `Billed ${report.period}: ${accepted} events accepted, ${duplicates} duplicates, ${stored} stored; ${report.invoices.issued} invoices issued.`,
    `All invoices of ${report.period}: ${report.invoices.total} ${report.invoices.currency} for ${report.customers} ` +
      `customers; ingest ${report.events_per_second} events/s (${sent} events).`,
    conservationLine(report.conservation),
    `Balances while usage arrives, read ${balances.reads} times: p50 ${balances.p50_ms} ms, max ${balances.max_ms} ms; ` +
      `all of it counted after ${balances.counted_after_ms} ms.`,
    ...balances.customers.map(
      ({ customer, before, after }) =>
        `  ${customer.padEnd(22)}${before.padStart(10)} -> ${after.padStart(8)} ${report.invoices.currency}`,
    ),
    '',
    ...stages,
    `  ${'the whole demo'.padEnd(26)}${(elapsedMs / 1000).toFixed(2).padStart(8)} s`,
    ...invoices,
    '',
    `Read one:  curl -H "Authorization: Bearer $(cat ${stack.home}/bootstrap-key)" ${api}/v1/invoices/${report.examples[0]?.id ?? ''}`,
    ...(values.exit ? [] : ['Millrace keeps running. Ctrl-C stops it.']),
  ].join('\n');
};

await runStack(async (stack, startedMs) => {
  print(`ready after ${(startedMs / 1000).toFixed(1)} s; the demo begins`);
  const clickhouse = createClickHouse({ url: stack.urls.clickhouse });
  const report = await runDemo({
    events,
    customers,
    seed,
    nowMs: Date.now(),
    client: createClient(stack),
    storedEvents: async (keyPrefix) => {
      const result = await clickhouse.query({
        query: `SELECT uniqExact(key_digest) AS stored FROM usage_events
           WHERE startsWith(idempotency_key, {keyPrefix:String})`,
        query_params: { keyPrefix },
        format: 'JSONEachRow',
      });
      const [row] = await result.json<{ stored: string | number }>();
      return Number(row?.stored ?? 0);
    },
    progress: createProgress(),
  });
  await clickhouse.close();
  const elapsedMs = Math.round(performance.now());
  const where = { api: stack.apiUrl, ingest: stack.ingestUrl };
  process.stdout.write(
    values.json
      ? `${JSON.stringify({ ...report, ...where, start_ms: startedMs, elapsed_ms: elapsedMs })}\n`
      : `${textOf(report, stack, elapsedMs)}\n`,
  );
  return values.exit ? 'exit' : 'stay';
});
