/**
 * What the running processes say of themselves: one event and one billing run, followed by their request id through
 * logs, metrics and traces.
 */
import { readFileSync } from 'node:fs';
import { headers } from '@nats-io/transport-node';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type ProcessName, processNames } from '#platform/config/processes.ts';
import { logPath } from '#platform/local/home.ts';
import { connectNats } from '#platform/stores/nats.ts';
import { deadLetterStreamOf, subjectOf } from '#schemas/usage-stream.ts';
import { llmRequest, makeLlmPro } from '../support/llm-pro.ts';
import { lastMonth, type Pipeline, startPipeline, until } from '../support/pipeline.ts';
import { startTraceCollector, type TraceCollector } from '../support/trace-collector.ts';

const [eventRequest, runRequest] = ['req-of-the-event', 'req-of-the-run'];
const traceId = 'a'.repeat(32);
const pepper = 'the-pepper-of-this-test-is-long-enough';

let collector: TraceCollector;
let pipeline: Pipeline;

type Line = {
  readonly msg: string;
  readonly request_id?: string;
  readonly request_ids?: readonly string[];
  readonly run_id?: string;
};

const logOf = (name: string): string => readFileSync(logPath(pipeline.stack.home, name), 'utf8');
const linesOf = (name: string): Line[] =>
  logOf(name)
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Line);

const urlOf = (name: string): string => pipeline.stack.processes.find((one) => one.name === name)?.url ?? '';
const scrape = async (name: string): Promise<string> => (await fetch(new URL('/metrics', urlOf(name)))).text();

const month = lastMonth();

beforeAll(async () => {
  collector = await startTraceCollector();
  pipeline = await startPipeline(inject('serverUrls'), {
    MILLRACE_LOG_LEVEL: 'debug',
    MILLRACE_OTEL_TRACES_URL: collector.url,
    MILLRACE_KEY_PEPPER: pepper,
  });
  await makeLlmPro(pipeline, ['acme'], month.start);
  const taken = await pipeline.sendEvents([llmRequest('one', 'acme', month.end - 1000, { input: 1000, output: 100 })], {
    'x-request-id': eventRequest,
    traceparent: `00-${traceId}-${'b'.repeat(16)}-01`,
  });
  expect(taken).toMatchObject({ status: 200, body: { accepted: 1 } });
  const run = await pipeline.api('POST', '/v1/invoices/run', { period: month.name }, { 'x-request-id': runRequest });
  const done = await pipeline.api('GET', `/v1/invoices/runs/${run.body.id}?wait_seconds=20`);
  expect(done).toMatchObject({ status: 200, body: { state: 'completed', invoices_issued: 1 } });
});
afterAll(async () => {
  await pipeline?.stop();
  await collector?.close();
});

describe('the request id of an event', () => {
  it('is in the answer and in the lines of its gateway and its sink', async () => {
    const own = (name: string) =>
      linesOf(name)
        .filter((line) => line.request_id === eventRequest || line.request_ids?.includes(eventRequest))
        .map(({ msg }) => msg);
    await until(
      async () => own('gateway'),
      (lines) => lines.length > 2,
    );
    expect(own('gateway')).toEqual(['published', 'events', 'request']);
    await until(
      async () => own('sink'),
      (lines) => lines.length > 0,
    );
    expect(own('sink')).toEqual(['stored']);
  });
});

describe('the request id of a billing run', () => {
  it('is in the lines of API, rater and invoicer', async () => {
    const own = (name: string) => linesOf(name).filter((line) => line.request_id === runRequest);
    await until(
      async () => own('api'),
      (lines) => lines.some(({ msg }) => msg === 'request'),
    );
    await until(
      async () => [own('rater').length, own('invoicer').length],
      ([rated = 0, invoiced = 0]) => rated > 1 && invoiced > 0,
    );
    expect(own('rater').map(({ msg }) => msg)).toEqual(['a billing run was cut into shards', 'a shard was rated']);
    expect(own('invoicer').map(({ msg }) => msg)).toEqual(['a shard was invoiced']);
    expect(own('invoicer')[0]?.run_id).toBe(own('rater')[0]?.run_id);
  });
});

describe('traces', () => {
  it('one trace spans gateway and sink for one event, below the span of the caller', async () => {
    const spans = await until(
      async () => collector.spans.filter((span) => span.traceId === traceId),
      (found) => found.some(({ process }) => process === 'sink'),
    );
    const named = (name: string) => spans.find((span) => span.name === name);
    const request = named('POST /v1/events');
    expect(request).toMatchObject({
      process: 'gateway',
      parentSpanId: 'b'.repeat(16),
      attributes: { request_id: eventRequest },
    });
    expect(named('claim')).toMatchObject({ process: 'gateway', parentSpanId: request?.spanId });
    expect(named('publish')).toMatchObject({ process: 'gateway', parentSpanId: request?.spanId });
    expect(named('insert')).toMatchObject({
      process: 'sink',
      parentSpanId: named('publish')?.spanId,
      attributes: { request_id: eventRequest },
    });
    expect(spans.every(({ failed }) => !failed)).toBe(true);
  });

  it('one trace, of the id of the run, spans rater and invoicer', async () => {
    const { rows } = await pipeline.asOwner.query<{ id: string }>('SELECT id FROM billing_runs');
    const spans = await until(
      async () => collector.spans.filter((span) => span.traceId === rows[0]?.id.slice(4)),
      (found) => found.length === 2,
    );
    expect(spans.map(({ process, name }) => `${process}: ${name}`).sort()).toEqual([
      'invoicer: issue shard',
      'rater: rate shard',
    ]);
    for (const { attributes } of spans)
      expect(attributes).toMatchObject({ request_id: runRequest, run_id: rows[0]?.id });
  });
});

describe('secrets', () => {
  it('are in no line of any process, at the level that says most', async () => {
    const passwords = [pipeline.databaseUrl, pipeline.clickhouseUrl].map((url) => new URL(url).password);
    const secrets = [pipeline.key, pepper, ...passwords].filter((secret) => secret.length >= 8);
    for (const name of processNames) {
      const log = logOf(name);
      expect(log.length, name).toBeGreaterThan(0);
      for (const secret of secrets) expect(log.includes(secret), name).toBe(false);
    }
  });
});

type Documented = { readonly type: string; readonly labels: readonly string[] };

const folder = new URL('../../docs/observability/', import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, folder), 'utf8');

/** The items of the list: name -> type and labels. */
const documented = new Map<string, Documented>(
  [...read('README.md').matchAll(/^- `(millrace_\w+)` \((\w+)([^)]*)\):/gm)].map(
    ([, name = '', type = '', labels = '']) => [
      name,
      { type, labels: [...labels.matchAll(/`(\w+)`/g)].map((match) => match[1] ?? '') },
    ],
  ),
);

/** A series is named after its metric; those of a histogram have an ending. */
const metricOf = (series: string): string =>
  documented.has(series) ? series : series.replace(/_(?:bucket|sum|count)$/, '');

describe('the metrics', () => {
  let answers: ReadonlyMap<string, string>;
  beforeAll(async () => {
    answers = new Map(await Promise.all(processNames.map(async (name) => [name, await scrape(name)] as const)));
  });
  const all = () => [...answers.values()].join('\n');

  it('that are scraped are those of docs/observability, with their types', () => {
    const scraped = new Map(
      [...all().matchAll(/^# TYPE (millrace_\w+) (\w+)$/gm)].map(([, name, type]) => [name ?? '', type]),
    );
    expect([...scraped.keys()].sort()).toEqual([...documented.keys()].sort());
    for (const [name, { type }] of documented) expect(scraped.get(name), name).toBe(type);
  });

  it('have the labels that are documented, and no others', () => {
    for (const [, series = '', labels = ''] of all().matchAll(/^(millrace_\w+)(?:\{([^}]*)\})? /gm)) {
      const names = [...labels.matchAll(/(\w+)="/g)].map((match) => match[1] ?? '').filter((name) => name !== 'le');
      expect(documented.get(metricOf(series))?.labels, series).toEqual(names);
    }
  });

  it('of every name in dashboard and alerts are there', () => {
    for (const file of ['grafana-dashboard.json', 'alerts.yml']) {
      const names = new Set([...read(file).matchAll(/\bmillrace_[a-z_]+/g)].map(([series]) => metricOf(series)));
      expect(names.size).toBeGreaterThan(10);
      for (const name of names) expect([...documented.keys()], file).toContain(name);
    }
  });

  it('every metric is on the dashboard', () => {
    const shown = new Set(
      [...read('grafana-dashboard.json').matchAll(/\bmillrace_[a-z_]+/g)].map(([series]) => metricOf(series)),
    );
    expect([...documented.keys()].filter((name) => !shown.has(name))).toEqual([]);
  });

  it.each<[string, ProcessName, RegExp]>([
    ['the gateway counted the event', 'gateway', /^millrace_ingest_events_total\{outcome="accepted"\} 1$/m],
    ['the gateway timed its claim', 'gateway', /^millrace_ingest_claim_seconds_count 1$/m],
    ['the gateway timed its publish', 'gateway', /^millrace_ingest_publish_seconds_count 1$/m],
    ['the sink counted the row', 'sink', /^millrace_sink_rows_total 1$/m],
    ['the sink timed its lag', 'sink', /^millrace_sink_lag_seconds_count 1$/m],
    ['the sink has nothing before it', 'sink', /^millrace_sink_behind_messages 0$/m],
    ['the stream holds the message', 'sink', /^millrace_stream_messages 1$/m],
    ['the rater rated a shard', 'rater', /^millrace_rater_shards_total\{result="rated"\} 1$/m],
    ['the rater timed its query', 'rater', /^millrace_rater_quantities_seconds_count 1$/m],
    ['the rater has no failed run', 'rater', /^millrace_billing_runs\{state="failed"\} 0$/m],
    ['the rater has no shard left', 'rater', /^millrace_billing_shards\{state="rated"\} 0$/m],
    ['the invoicer issued an invoice', 'invoicer', /^millrace_invoicer_invoices_total 1$/m],
    ['the invoicer has its part', 'invoicer', /^millrace_dependency_up\{dependency="postgres"\} 1$/m],
    ['nobody waits for a connection', 'invoicer', /^millrace_postgres_pool\{state="waiting"\} 0$/m],
  ])('%s', (_, name, expected) => {
    expect(answers.get(name)).toMatch(expected);
  });

  it('a billing run that failed is shown', async () => {
    const { rows } = await pipeline.asOwner.query<{ id: string }>(
      "UPDATE billing_runs SET state = 'failed', updated_at = now() RETURNING id",
    );
    expect(rows).toHaveLength(1);
    expect(await scrape('rater')).toMatch(/^millrace_billing_runs\{state="failed"\} 1$/m);
    await pipeline.asOwner.query("UPDATE billing_runs SET updated_at = now() - interval '25 hours'");
    expect(await scrape('rater')).toMatch(/^millrace_billing_runs\{state="failed"\} 0$/m);
  });
});

describe('an unreadable message', () => {
  it('is put aside with its request id, which the sink logs', async () => {
    const nats = await connectNats(inject('serverUrls').nats, 'test', pino({ level: 'silent' }));
    const fields = headers();
    fields.set('Millrace-Request-Id', 'req-of-rubbish');
    await nats.js.publish(subjectOf(pipeline.streamName), Buffer.from([0xff, 0xff]), { headers: fields });
    const manager = await nats.manager();
    const dead = await until(
      async () =>
        manager.streams.getMessage(deadLetterStreamOf(pipeline.streamName), {
          last_by_subj: subjectOf(deadLetterStreamOf(pipeline.streamName)),
        }),
      (message) => message !== null,
    );
    await nats.close();
    expect(dead?.header.get('Millrace-Request-Id')).toBe('req-of-rubbish');
    const lines = await until(
      async () => linesOf('sink').filter((line) => line.request_id === 'req-of-rubbish'),
      (found) => found.length > 0,
    );
    expect(lines).toMatchObject([{ level: 50, msg: 'a stream message is unreadable and was put aside' }]);
    expect(await scrape('sink')).toMatch(/^millrace_stream_dead_letters 1$/m);
  });
});
