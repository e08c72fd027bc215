/**
 * `npm run bench:api`: what the platform costs. A customer is read by id at a fixed rate, by turns through the API and
 * through a bare Fastify route that does the same read; the difference in the servers' CPU time per request is the
 * price of keys, limits, the tenant wall, conditional answers, headers and metrics.
 */
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import pg from 'pg';
import { startStack } from '#platform/local/stack.ts';
import { percentile, runLoad } from './api/load.ts';

const { values } = parseArgs({
  options: {
    rate: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '10' },
    rounds: { type: 'string', default: '5' },
  },
});
const [perSecond, seconds, rounds] = [Number(values.rate), Number(values.seconds), Number(values.rounds)];

const home = mkdtempSync(join(tmpdir(), 'millrace-bench-'));
const silent = { info: () => {}, warn: () => {} };
const environment = { ...process.env, MILLRACE_API_PORT: '0', MILLRACE_INGEST_PORT: '0', MILLRACE_LOG_LEVEL: 'warn' };
const stack = await startStack({ home, log: silent, environment });

const cpuSeconds = async (url: string): Promise<number> => {
  const text = await (await fetch(`${url.replace(/\/$/, '')}/metrics`)).text();
  return Number(/^process_cpu_seconds_total ([\d.e+-]+)/m.exec(text)?.[1]);
};

const median = (numbers: readonly number[]): number =>
  percentile(
    numbers.toSorted((a, b) => a - b),
    0.5,
  );

const main = async (): Promise<void> => {
  const created = await fetch(new URL('/v1/customers', stack.apiUrl), {
    method: 'POST',
    headers: { authorization: `Bearer ${stack.apiKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ external_id: 'bench', name: 'Bench Inc.', email: 'billing@bench.example' }),
  });
  const { id } = (await created.json()) as { id: string };
  const owner = new pg.Client({ connectionString: stack.urls.postgres });
  await owner.connect();
  const { rows } = await owner.query<{ organization_id: string }>(
    'SELECT organization_id FROM customers WHERE id = $1',
    [id],
  );
  await owner.end();
  const { readFileSync } = await import('node:fs');
  const bare = fork(new URL('./api/bare.main.ts', import.meta.url), {
    env: {
      ...environment,
      DATABASE_URL: stack.urls.postgres,
      MILLRACE_MASTER_KEY: process.env.MILLRACE_MASTER_KEY ?? readFileSync(join(home, 'master-key'), 'utf8').trim(),
      BENCH_ORGANIZATION_ID: rows[0]?.organization_id,
    },
  });
  const bareUrl = await new Promise<string>((resolve) => bare.once('message', (url) => resolve(String(url))));
  const paths = [`/v1/customers/${id}`];
  const measure = async (url: string) => {
    const before = await cpuSeconds(url);
    const { answered, statuses, latenciesMs } = await runLoad({ url, paths, key: stack.apiKey, perSecond, seconds });
    const cpuMs = (((await cpuSeconds(url)) - before) * 1000) / answered;
    return {
      cpuMs,
      statuses,
      p50: percentile(latenciesMs, 0.5),
      p99: percentile(latenciesMs, 0.99),
      max: latenciesMs.at(-1) ?? 0,
    };
  };
  // The first round warms both up and does not count.
  await measure(bareUrl);
  await measure(stack.apiUrl);
  const results: { bare: Awaited<ReturnType<typeof measure>>; platform: Awaited<ReturnType<typeof measure>> }[] = [];
  for (let round = 0; round < rounds; round += 1)
    results.push({ bare: await measure(bareUrl), platform: await measure(stack.apiUrl) });
  bare.disconnect();
  const show = (name: 'bare' | 'platform') =>
    [
      `${name.padEnd(9)} ${median(results.map((result) => result[name].cpuMs)).toFixed(3)} ms CPU`,
      `p50 ${median(results.map((result) => result[name].p50)).toFixed(2)} ms`,
      `p99 ${median(results.map((result) => result[name].p99)).toFixed(2)} ms`,
      `worst ${Math.max(...results.map((result) => result[name].max)).toFixed(1)} ms`,
      JSON.stringify(results.at(-1)?.[name].statuses),
    ].join('  ');
  const differences = results.map(({ bare: one, platform }) => platform.cpuMs - one.cpuMs);
  process.stdout.write(
    `A read by id at ${perSecond}/s, ${seconds} s a round, medians of ${rounds} rounds by turns\n${show('bare')}\n${show('platform')}\n` +
      `The platform costs ${median(differences).toFixed(3)} ms of CPU per request; ` +
      `rounds: ${differences.map((difference) => difference.toFixed(3)).join(' ')}\n`,
  );
};

try {
  await main();
} finally {
  await stack.stop();
  rmSync(home, { recursive: true, force: true });
}
