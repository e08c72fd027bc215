/**
 * What holds of logs, metrics and traces whatever is observed. What the running processes say is in
 * test/integration/observability.test.ts.
 */
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { loadConfig, secretsOf } from '../../platform/config/config.ts';
import { processes, processNames } from '../../platform/config/processes.ts';
import { createHttpApp } from '../../platform/http/http.ts';
import { createLog } from '../../platform/process/log.ts';
import { createMetrics } from '../../platform/process/metrics.ts';
import { createRedaction } from '../../platform/process/redaction.ts';
import { createTracer, extractTrace, inSpan, noTracer, traceOfRun } from '../../platform/process/tracing.ts';
import { newApiKey } from '../../schemas/api-key.ts';
import { scaled } from '../support/scale.ts';
import { startTraceCollector, type TraceCollector } from '../support/trace-collector.ts';

const pepper = 'a-pepper-of-more-than-thirty-two-characters';
const masterKey = Buffer.alloc(32, 7).toString('base64');
const config = loadConfig({
  NATS_URL: 'nats://gateway:nats%2Fpass%22word@127.0.0.1:4222',
  CLICKHOUSE_URL: 'http://millrace:click-house-pass@127.0.0.1:8123/millrace',
  REDIS_URL: 'redis://:redis-password@127.0.0.1:6379',
  DATABASE_URL: 'postgres://millrace_app:the-database-pass@127.0.0.1:5432/millrace',
  MILLRACE_KEY_PEPPER: pepper,
  MILLRACE_MASTER_KEY: masterKey,
});

const key = newApiKey(randomBytes);
const secretOfKey = key.slice(25);

/** What a log writes where `write` is called with it. */
const linesOf = (write: (log: ReturnType<typeof createLog>) => void): string => {
  const lines: string[] = [];
  write(createLog('test', 'debug', secretsOf(config), { write: (line) => void lines.push(line) }));
  for (const line of lines) expect(() => JSON.parse(line), line).not.toThrow();
  expect(lines).not.toEqual([]);
  return lines.join('');
};

const withFields = (error: Error, fields: object): Error => Object.assign(error, fields);

describe('a log', () => {
  it.each<[string, string, (log: ReturnType<typeof createLog>) => void]>([
    ['an API key in a message', secretOfKey, (log) => log.info(`the key ${key} is unknown`)],
    ['an API key in a field', secretOfKey, (log) => log.info({ deep: { deeper: [{ value: key }] } }, 'a line')],
    [
      'the token of a link',
      'A'.repeat(43),
      (log) => log.info({ url: `/v1/quote-links/mr_quote_${'A'.repeat(43)}/accept` }),
    ],
    ['an API key that is not in our format', 'first_millrace_key', (log) => log.info('mr_live_my_first_millrace_key')],
    ['an API key in the words of an error', secretOfKey, (log) => log.warn({ err: new Error(`no ${key}`) }, 'a line')],
    [
      'an API key in the cause of an error',
      secretOfKey,
      (log) => log.warn({ err: new Error('a', { cause: new Error(key) }) }, 'a line'),
    ],
    ['an API key in a bound field', secretOfKey, (log) => log.child({ of: key }).info('a line')],
    ['an API key as a format argument', secretOfKey, (log) => log.info('the key %s', key)],
    ['an error that is logged by itself', secretOfKey, (log) => log.error(new Error(key))],
    [
      'an Authorization header',
      'dXNlcjpwYXNz',
      (log) => log.info({ req: { headers: { authorization: 'Basic dXNlcjpwYXNz' } } }, 'a'),
    ],
    ['a bearer token in a text', 'abcdefghij', (log) => log.info('sent Authorization: Bearer abcdefghij')],
    ['a signature header', 'v1=abcdef', (log) => log.info({ headers: { 'x-signature': 't=1,v1=abcdef' } }, 'a line')],
    ['a cookie', 'session-of-ada', (log) => log.info({ headers: { cookie: ['session-of-ada', 'b'] } }, 'a line')],
    ['a signing secret', 'whatever-it-is', (log) => log.info({ key: { signing_secret: 'whatever-it-is' } }, 'a line')],
    ['a secret as bytes', '104,117,110', (log) => log.info({ signingSecret: Buffer.from('hunter') }, 'a line')],
    ['a field in JSON that was quoted', 'hunter22', (log) => log.info(JSON.stringify({ password: 'hunter22' }))],
    ['an assignment in a text', 'hunter22', (log) => log.info('host=a password=hunter22 user=b')],
    ['a password in a URL', 'hunter22', (log) => log.info('connect postgres://ada:hunter22@10.0.0.1/a')],
    ['a password with an @ in a URL', 'ter22', (log) => log.info('connect postgres://ada:hun@ter22@10.0.0.1/a')],
    ['a password with a quote in a URL', 'ter22', (log) => log.info('connect postgres://ada:hun"ter22@10.0.0.1/a')],
    [
      'a URL that is none, in its error',
      'hunter22',
      (log) => log.error(withFields(new Error('Invalid URL'), { input: 'a:hunter22@' })),
    ],
    ['the pepper of this process', pepper, (log) => log.info({ value: `x${pepper}x` }, 'a line')],
    ['the master key of this process', masterKey, (log) => log.info(`unwrapped with ${masterKey}`)],
    ['the password of a store, without its URL', 'click-house-pass', (log) => log.info('refused: click-house-pass')],
    ['the password of a store, in clear', 'pass\\"word', (log) => log.info('refused: nats/pass"word')],
    [
      'a row that PostgreSQL quotes',
      'Ada Lovelace',
      (log) => {
        const error = new pg.DatabaseError('duplicate key value violates unique constraint', 1, 'error');
        error.detail = 'Failing row contains (cus_1, Ada Lovelace).';
        error.where = 'COPY customers, line 1: "Ada Lovelace"';
        log.error({ err: error }, 'a line');
      },
    ],
    [
      'the arguments of a command of Redis',
      'argument-of-it',
      (log) =>
        log.warn(
          { err: withFields(new Error('ERR'), { command: { name: 'evalsha', args: ['argument-of-it'] } }) },
          'a line',
        ),
    ],
  ])('never has %s', (_, secret, write) => {
    expect(linesOf(write)).not.toContain(secret);
  });

  it('keeps what tells a fault: the public id of a key, host and code of an error, its causes and its stack', () => {
    const error = withFields(new Error('connect failed', { cause: new Error('the cause') }), {
      code: 'ECONNREFUSED',
      address: '10.0.0.1',
      port: 5432,
    });
    const { err } = JSON.parse(linesOf((log) => log.warn({ err: error }, 'postgres://ada:hunter22@10.0.0.1/a')));
    expect(err).toMatchObject({
      type: 'Error',
      message: 'connect failed',
      code: 'ECONNREFUSED',
      address: '10.0.0.1',
      port: 5432,
    });
    expect(err.cause.message).toBe('the cause');
    expect(err.stack).toContain('observability.test.ts');
    expect(linesOf((log) => log.info(`the key ${key}`))).toContain(`${key.slice(0, 24)}_[redacted]`);
    expect(linesOf((log) => log.info('postgres://ada:hunter22@10.0.0.1/a'))).toContain(
      'postgres://[redacted]@10.0.0.1/a',
    );
    expect(linesOf((log) => log.info({ key_id: 'key_1', request_id: 'req_1' }, 'a'))).toContain(
      '"key_id":"key_1","request_id":"req_1"',
    );
  });

  it('stays JSON and has no secret of this process, whatever it is about', () => {
    const secret = 'pa"ss\\wo/rd-of\u00e9';
    const redact = createRedaction([secret, pepper]);
    const word = fc.oneof(
      fc.string(),
      fc.constantFrom(secret, pepper, 'password', 'token=', 'Bearer ', '://', '@', '"', '\\', 'mr_live_'),
    );
    const text = fc.array(word, { maxLength: 8 }).map((words) => words.join(''));
    fc.assert(
      fc.property(fc.dictionary(text, fc.oneof(text, fc.array(text), fc.dictionary(text, text))), (fields) => {
        const line = redact(`${JSON.stringify(fields)}\n`);
        const left = JSON.stringify(JSON.parse(line));
        expect(left).not.toContain(JSON.stringify(secret).slice(1, -1));
        expect(left).not.toContain(pepper);
      }),
      { numRuns: scaled(500) },
    );
  });

  it('takes time in proportion to a line, also of one that is made to be slow', { timeout: 120_000 }, () => {
    const redact = createRedaction([pepper]);
    const secondsOf = (part: string): number => {
      const started = performance.now();
      redact(part.repeat(200_000 / part.length));
      return (performance.now() - started) / 1000;
    };
    for (const part of [
      '://',
      '"a',
      'mr_live_',
      'Bearer ',
      '"password',
      '\\"',
      'secret= ',
      '"secret":["a",',
      '"a-a-',
      'password=',
    ]) {
      // In proportion to the square of it, it would be minutes.
      expect(secondsOf(part), part).toBeLessThan(20);
    }
  });
});

describe('a scrape', () => {
  it('works while a gauge can not be read, and shows no number for it', async () => {
    const metrics = createMetrics();
    let fails = false;
    const read = async () => {
      if (fails) throw new Error('away');
      return 7;
    };
    metrics.gaugeOf('millrace_one', 'One', read);
    metrics.gaugeOf('millrace_many', 'Many', async () => ({ a: await read() }), 'kind');
    expect(await metrics.text()).toMatch(/^millrace_one 7$[\s\S]*^millrace_many\{kind="a"\} 7$/m);
    fails = true;
    const text = await metrics.text();
    expect(text).not.toMatch(/^millrace_(?:one|many)/m);
    expect(text).toMatch(/^process_cpu_seconds_total /m);
  });

  it('says of every part whether it answers, and counts problems by their code', async () => {
    const metrics = createMetrics();
    const health = [
      { name: 'nats', required: true, check: async () => {} },
      { name: 'redis', required: false, check: async () => Promise.reject(new Error('away')) },
    ];
    const app = createHttpApp({ log: createLog('test', 'silent'), metrics, health, bodyBytesMax: 1_024 });
    await app.inject('/absent');
    const { body } = await app.inject('/metrics');
    await app.close();
    expect(body).toContain('millrace_dependency_up{dependency="nats"} 1');
    expect(body).toContain('millrace_dependency_up{dependency="redis"} 0');
    expect(body).toContain('millrace_http_problems_total{code="NOT_FOUND"} 1');
    expect(body).toContain('millrace_http_problems_total{code="INTERNAL_ERROR"} 0');
  });
});

const traceparent = `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01`;

describe('a trace', () => {
  let collector: TraceCollector;
  beforeAll(async () => {
    collector = await startTraceCollector();
  });
  afterAll(() => collector.close());
  const log = createLog('test', 'silent');

  it('is taken from a header that is well formed, and from no other', () => {
    expect(extractTrace(traceparent)).toBe(traceparent);
    const zeros = [`00-${'0'.repeat(32)}-${'2'.repeat(16)}-01`, `00-${'1'.repeat(32)}-${'0'.repeat(16)}-01`];
    for (const header of [
      undefined,
      '',
      ['a'],
      `${traceparent}-x`,
      `01${traceparent.slice(2)}`,
      traceparent.toUpperCase().replace('00', 'FF'),
      ...zeros,
    ])
      expect(extractTrace(header)).toBeUndefined();
  });

  it('of a billing run has the id of the run', () => {
    expect(traceOfRun('run_01a1fb2b2f1e75dd8fa1574e85b72578')).toBe(
      '00-01a1fb2b2f1e75dd8fa1574e85b72578-8fa1574e85b72578-01',
    );
    expect(traceOfRun('run_1')).toBeUndefined();
  });

  it('without a collector loads nothing, and passes the trace of the caller on', async () => {
    expect(noTracer.start('a', { parent: traceparent }).traceparent).toBe(traceparent);
    const script = `
      import { registerHooks } from 'node:module';
      const loaded = [];
      registerHooks({ resolve: (name, context, next) => { if (name.startsWith('@opentelemetry')) loaded.push(name); return next(name, context); } });
      const { createTracer } = await import('./platform/process/tracing.ts');
      await createTracer('', 'test', { info() {} });
      const without = loaded.length;
      await createTracer('http://127.0.0.1:1/v1/traces', 'test', { info() {} });
      console.log(without, loaded.length > 0);`;
    const root = new URL('../../', import.meta.url);
    expect(
      execFileSync(process.execPath, ['--input-type=module', '-e', script], { cwd: root, encoding: 'utf8' }).trim(),
    ).toBe('0 true');
  });

  it('is sent with its parents, its attributes, and of an error the name and not the words; the end of a process waits for it', async () => {
    const tracer = await createTracer(collector.url, 'test', log);
    const failing = inSpan(
      tracer,
      'outer',
      { parent: traceparent, attributes: { request_id: 'req_1' } },
      async ({ traceparent: parent }) => {
        tracer.start('inner', { parent }).end({ lines: 2 });
        throw new TypeError(`a secret: ${key}`);
      },
    );
    await expect(failing).rejects.toThrow('a secret');
    await tracer.close();
    const [inner, outer] = collector.spans.splice(0);
    expect(outer).toMatchObject({
      process: 'test',
      name: 'outer',
      traceId: '1'.repeat(32),
      parentSpanId: '2'.repeat(16),
      failed: true,
    });
    expect(outer?.attributes).toEqual({ request_id: 'req_1', 'error.type': 'TypeError' });
    expect(inner).toMatchObject({
      name: 'inner',
      traceId: '1'.repeat(32),
      parentSpanId: outer?.spanId,
      attributes: { lines: 2 },
      failed: false,
    });
  });

  it('that its caller does not sample is passed on and not sent', async () => {
    const tracer = await createTracer(collector.url, 'test', log);
    const span = tracer.start('unsampled', { parent: traceparent.replace(/01$/, '00') });
    expect(span.traceparent).toMatch(new RegExp(`^00-${'1'.repeat(32)}-[0-9a-f]{16}-00$`));
    span.end();
    await tracer.close();
    expect(collector.spans).toEqual([]);
  });

  it('whose collector is away does not keep a process from ending', async () => {
    const tracer = await createTracer('http://127.0.0.1:1/v1/traces', 'test', log);
    tracer.start('lost').end();
    const started = performance.now();
    await tracer.close();
    expect(performance.now() - started).toBeLessThan(4_000);
  });

  it('of a request has the route and the status, below the span of the caller; what is not under /v1 has none', async () => {
    const tracer = await createTracer(collector.url, 'test', log);
    const app = createHttpApp({ log, metrics: createMetrics(), tracer, health: [], bodyBytesMax: 1_024 });
    app.get('/v1/things/:id', async (request) => ({ traceparent: request.traceparent }));
    app.get('/v1/broken', async () => {
      throw new Error('a bug');
    });
    const headers = { traceparent, 'x-request-id': 'req-7' };
    const answer = await app.inject({ url: '/v1/things/1', headers });
    await app.inject({ url: '/v1/broken', headers });
    await app.inject({ url: '/health/live', headers });
    await app.close();
    await tracer.close();
    const [thing, broken, ...rest] = collector.spans.splice(0);
    expect(rest).toEqual([]);
    expect(thing).toMatchObject({ name: 'GET /v1/things/:id', parentSpanId: '2'.repeat(16), failed: false });
    expect(thing?.attributes).toMatchObject({ request_id: 'req-7', 'http.response.status_code': 200 });
    expect(answer.json().traceparent).toBe(`00-${'1'.repeat(32)}-${thing?.spanId}-01`);
    expect(broken).toMatchObject({
      name: 'GET /v1/broken',
      failed: true,
      attributes: { 'error.type': 'INTERNAL_ERROR' },
    });
  });
});

type Panel = {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly datasource?: { readonly uid: string };
  readonly targets?: readonly { readonly expr: string; readonly datasource: { readonly uid: string } }[];
};
type Rule = {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string };
};

const folder = new URL('../../docs/observability/', import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, folder), 'utf8');

describe('docs/observability', () => {
  const dashboard = JSON.parse(read('grafana-dashboard.json')) as {
    readonly panels: readonly Panel[];
    readonly templating: {
      readonly list: readonly { readonly name: string; readonly type: string; readonly query: string }[];
    };
    readonly schemaVersion: number;
  };
  const rules = (
    parse(read('alerts.yml')) as { readonly groups: readonly { readonly rules: readonly Rule[] }[] }
  ).groups.flatMap((group) => group.rules);

  it('the dashboard asks the data source that is chosen in it, in panels that do not overlap, a row for every stage', () => {
    expect(dashboard.schemaVersion).toBeGreaterThanOrEqual(38);
    expect(dashboard.templating.list).toEqual([
      expect.objectContaining({ name: 'datasource', type: 'datasource', query: 'prometheus' }),
    ]);
    const { panels } = dashboard;
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    expect(panels.filter(({ type }) => type === 'row').map(({ title }) => title)).toEqual([
      ...[
        'Overview',
        'HTTP: API and gateway',
        'Ingest: gateway',
        'Stream and sink',
        'Identity check',
        'Rating',
        'Invoicing',
        'Closing by itself',
        'Plan migrations',
        'Parts and processes',
      ],
    ]);
    for (const panel of panels.filter(({ type }) => type !== 'row')) {
      expect(panel.targets?.length, panel.title).toBeGreaterThan(0);
      for (const of of [panel, ...(panel.targets ?? [])])
        expect(of.datasource?.uid, panel.title).toBe(`\${${'datasource'}}`);
    }
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, at) => `${x + (at % w)},${y + Math.floor(at / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
  });

  it('every alert has a name of its own, a severity and words', () => {
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
    for (const { alert, labels, annotations } of rules) {
      expect(alert).toMatch(/^Millrace[A-Z]/);
      expect(['critical', 'warning']).toContain(labels.severity);
      expect(annotations.summary.length).toBeGreaterThan(10);
    }
  });

  it('every process of platform/config/processes.ts is scraped, and missed where it is not', () => {
    const missing = rules.find(({ alert }) => alert === 'MillraceProcessMissing')?.expr.split(/\s+or\s+/);
    expect(missing, 'the rule MillraceProcessMissing').toEqual(
      processNames.map((name) => `absent(up{job="millrace", process="${name}"})`),
    );
    const targets = read('README.md').match(/(?<=^ {6}- )\{ targets: .+\}$/gm);
    expect(targets, 'the targets of README.md').toEqual(
      processNames.map((name) => `{ targets: ["${name}:${processes[name].port}"], labels: { process: ${name} } }`),
    );
  });

  it('what the issue asks for is watched: lag, errors and failed closes', () => {
    const watched = rules.map(({ expr }) => expr).join('\n');
    for (const name of [
      'millrace_sink_waiting_seconds',
      'status=~"5.."',
      'millrace_billing_runs{state="failed"}',
      'millrace_stream_dead_letters',
    ])
      expect(watched).toContain(name);
  });
});
