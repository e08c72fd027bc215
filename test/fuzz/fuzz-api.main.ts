/**
 * `npm run fuzz:api -- [--examples N] [--seed N] [--cases-min N]`: starts everything, gives it some data, and lets
 * Schemathesis try what the OpenAPI documents of both hosts allow and what they don't. Ends with 1 on any failure, and
 * where fewer cases were tried than asked for.
 */
import { randomInt } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { Redis } from 'ioredis';
import { rateLimitKey } from '#platform/access/rate-limit.ts';
import { lastMonth, type Pipeline, startPipeline, startTestServers } from '../support/pipeline.ts';
import {
  ensureSchemathesis,
  type FuzzReport,
  readReport,
  runSchemathesis,
  schemathesisVersion,
} from './schemathesis.ts';

const print = (line: string): void => void process.stderr.write(`millrace  ${line}\n`);

const options = {
  examples: { type: 'string', default: '60' },
  seed: { type: 'string', default: String(randomInt(1, 2 ** 31)) },
  'cases-min': { type: 'string', default: '10000' },
} as const;

const numberOf = (name: string, text: string): number => {
  if (!/^\d{1,10}$/.test(text)) throw new Error(`--${name} is a whole number, not ${text}`);
  return Number(text);
};

/** One object of each kind, so that ids exist and there is something to change, to bill and to read. */
const addData = async ({ api, sendEvents, closePeriod }: Pipeline): Promise<void> => {
  const must = async (path: string, body: unknown): Promise<void> => {
    const { status, body: answer } = await api('POST', path, body);
    if (status >= 300) throw new Error(`POST ${path} answered ${status}: ${JSON.stringify(answer)}`);
  };
  const month = lastMonth();
  await must('/v1/meters', {
    code: 'tokens',
    name: 'Tokens',
    event: 'llm.request',
    aggregation: 'sum',
    property: 'tokens',
    group_by: ['model'],
  });
  const tiers = [
    { up_to: '1000', unit_amount: '0.0001' },
    { up_to: null, unit_amount: '0.00005' },
  ];
  const charges = [
    { code: 'base', name: 'Base fee', price: { model: 'flat', amount: '9.00' } },
    { code: 'tokens', name: 'Tokens', meter: 'tokens', price: { model: 'graduated', tiers } },
  ];
  await must('/v1/features', { code: 'tokens', name: 'Tokens', type: 'metered', meter: 'tokens' });
  const entitlements = [{ feature: 'tokens', allowance: '1000' }];
  await must('/v1/plans', { code: 'starter', name: 'Starter', currency: 'USD', charges, entitlements });
  await must('/v1/customers', { external_id: 'acme', name: 'Acme Inc.' });
  await must('/v1/subscriptions', {
    customer_id: 'acme',
    plan: 'starter',
    started_at: new Date(month.start).toISOString(),
  });
  const timestamp = new Date(month.end - 1000).toISOString();
  await sendEvents({
    idempotency_key: 'fuzz-1',
    event: 'llm.request',
    customer_id: 'acme',
    timestamp,
    properties: { tokens: 2500 },
  });
  const run = await closePeriod({ period: month.name });
  if (run.body.invoices_issued !== 1) throw new Error(`the month was not closed: ${JSON.stringify(run.body)}`);
};

/**
 * Keeps the buckets full of what has the strictest limit: 20 a second would turn away every second case about keys, and
 * hide what is behind. What the limits do is tried elsewhere (test/contract/rate-limit.test.ts).
 */
const keepFull = async ({ asOwner }: Pipeline, redisUrl: string): Promise<() => Promise<void>> => {
  const redis = new Redis(redisUrl);
  const { rows } = await asOwner.query<{ id: string }>('SELECT id FROM organizations');
  const keys = rows.map(({ id }) => rateLimitKey(id, 'sensitive'));
  const timer = setInterval(() => void Promise.all(keys.map((key) => redis.del(key))), 250);
  return async () => {
    clearInterval(timer);
    await redis.quit();
  };
};

const told = (name: string, { cases, statuses, operations, checks }: FuzzReport): string => {
  const byStatus = [...statuses].sort(([a], [b]) => a - b).map(([status, count]) => `${status}: ${count}`);
  return `${name}: ${cases} cases over ${operations.size} operations by ${checks.size} checks, answered ${byStatus.join(', ')}`;
};

const { values } = parseArgs({ options });
const [examples, seed] = [numberOf('examples', values.examples), numberOf('seed', values.seed)];
const casesMin = numberOf('cases-min', values['cases-min']);
const home = resolve(process.env.MILLRACE_HOME ?? join(fileURLToPath(new URL('../../', import.meta.url)), '.millrace'));
const command = await ensureSchemathesis(join(home, 'tools', `schemathesis-${schemathesisVersion}`));
const reports = mkdtempSync(join(tmpdir(), 'millrace-fuzz-'));
const servers = await startTestServers();
const pipeline = await startPipeline(servers.urls);
let failed = false;
const letEmpty = await keepFull(pipeline, servers.urls.redis);
try {
  await addData(pipeline);
  const keys = await pipeline.api('GET', '/v1/api-keys');
  const keyId: string = keys.body.items[0].id;
  const begin = performance.now();
  print(`Schemathesis ${schemathesisVersion}, all checks, seed ${seed}, ${examples} examples`);
  let cases = 0;
  for (const [name, url] of [
    ['api', pipeline.stack.apiUrl],
    ['ingest', pipeline.stack.ingestUrl],
  ] as const) {
    const reportFile = join(reports, `${name}.ndjson`);
    const code = await runSchemathesis(
      command,
      { url, key: pipeline.key, keyId },
      { examples, seed, reportFile, storage: join(reports, 'storage') },
    );
    const report = await readReport(reportFile);
    cases += report.cases;
    print(told(name, report));
    if (code !== 0) print(`${name}: failed`);
    failed ||= code !== 0;
    // What is turned away at the door proves nothing about what is behind it.
    const limited = report.statuses.get(429) ?? 0;
    if (limited * 100 > report.cases) print(`${name}: ${limited} cases met a rate limit, which is more than 1 %`);
    failed ||= limited * 100 > report.cases;
  }
  print(
    `${cases} cases in ${((performance.now() - begin) / 1000).toFixed(0)} s, ${failed ? 'with failures' : '0 failures'}; seed ${seed}`,
  );
  if (cases < casesMin) print(`that is less than ${casesMin}: raise --examples`);
  failed ||= cases < casesMin;
} finally {
  await letEmpty();
  await pipeline.stop();
  await servers.stop();
  rmSync(reports, { recursive: true, force: true });
}
process.exitCode = failed ? 1 : 0;
