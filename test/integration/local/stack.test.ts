import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { HomeInUseError, type Log } from '#platform/local/home.ts';
import { startOf } from '#platform/local/processes.ts';
import { readStackConfig, type Stack, stackFile, startStack } from '#platform/local/stack.ts';

let homes: string[];
let stacks: Stack[];
const quiet: Log = { info: () => {}, warn: () => {} };
const { CLICKHOUSE_URL: _c, DATABASE_URL: _d, NATS_URL: _n, REDIS_URL: _r, ...clean } = process.env;

const start = async (environment: NodeJS.ProcessEnv = clean, home = makeHome(), signal?: AbortSignal) => {
  const stack = await startStack({ environment, home, log: quiet, services: [], ...(signal ? { signal } : {}) });
  stacks.push(stack);
  return stack;
};
const makeHome = () => {
  const home = mkdtempSync(join(tmpdir(), 'millrace-stack-'));
  homes.push(home);
  return home;
};

beforeEach(() => {
  homes = [];
  stacks = [];
});
afterEach(async () => {
  await Promise.all(stacks.map((stack) => stack.stop()));
  for (const home of homes) rmSync(home, { recursive: true, force: true });
});

test('two stacks run side by side, each migrated, and stop without a trace', { timeout: 300_000 }, async () => {
  const [one, two] = await Promise.all([start(), start()]);
  const pids = [...one.processes, ...two.processes].map(({ pid }) => pid);
  expect(new Set(pids).size).toBe(8);
  for (const stack of [one, two]) {
    const client = new pg.Client(stack.urls.postgres);
    await client.connect();
    expect((await client.query('SELECT count(*) > 0 AS migrated FROM schema_migrations')).rows).toEqual([
      { migrated: true },
    ]);
    await client.end();
    expect(JSON.stringify(stack.processes)).not.toContain(new URL(stack.urls.postgres).password);
    expect(statSync(stackFile(stack.home)).mode & 0o777).toBe(0o600);
  }
  await Promise.all([one.stop(), one.stop(), two.stop()]);
  expect(pids.filter((pid) => startOf(pid) !== undefined)).toEqual([]);
  expect(readdirSync(join(one.home, 'run')).filter((name) => name.endsWith('.json'))).toEqual([]);
});

test('a second stack in the same home is refused and leaves the first alone', async () => {
  const stack = await start();
  await expect(start(clean, stack.home)).rejects.toThrow(HomeInUseError);
  expect(stack.processes.every(({ pid }) => startOf(pid) !== undefined)).toBe(true);
});

test('a server that is named in the environment is not started, and one that is killed comes back on its port', {
  timeout: 180_000,
}, async () => {
  const first = await start();
  const second = await start({
    ...clean,
    DATABASE_URL: first.urls.postgres,
    CLICKHOUSE_URL: first.urls.clickhouse,
    NATS_URL: first.urls.nats,
  });
  expect(second.processes.map(({ name }) => name)).toEqual(['redis']);
  expect(second.natsSyncAlways).toBeNull();
  const before = second.processes[0];
  process.kill(before?.pid ?? 0, 'SIGKILL');
  await vi.waitFor(
    () => {
      const now = second.processes[0];
      expect(now?.pid).not.toBe(before?.pid);
      expect(startOf(now?.pid ?? 0)).toBeDefined();
    },
    { timeout: 60_000 },
  );
  expect(second.processes[0]?.url).toBe(before?.url);
});

test('a start that is given up leaves nothing running, and the home free', async () => {
  const home = makeHome();
  const giveUp = new AbortController();
  const starting = start(clean, home, giveUp.signal);
  const refused = expect(starting).rejects.toThrow();
  await vi.waitFor(() => expect(readdirSync(join(home, 'run'))).toContain('redis.json'), {
    timeout: 180_000,
    interval: 2,
  });
  giveUp.abort();
  await refused;
  expect(readdirSync(join(home, 'run')).filter((name) => name.endsWith('.json'))).toEqual([]);
  await start(clean, home);
});

test('faults of the configuration are all reported before anything is started', async () => {
  await expect(readStackConfig({ MILLRACE_KEY_PEPPER: 'short', NATS_URL: 'nowhere' }, true)).rejects.toThrow(
    /NATS_URL must be a URL[\s\S]*MILLRACE_KEY_PEPPER/,
  );
  await expect(readStackConfig({ MILLRACE_API_PORT: '18997', MILLRACE_INGEST_PORT: '18997' }, true)).rejects.toThrow(
    'MILLRACE_API_PORT and MILLRACE_INGEST_PORT are both 18997',
  );
});
