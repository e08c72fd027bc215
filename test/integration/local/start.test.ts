/** `npm start` as a user or a supervisor runs it, with our own services. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { processNames } from '#platform/config/processes.ts';
import { startOf } from '#platform/local/processes.ts';
import { serverNames } from '#platform/local/servers.ts';

type Ready = {
  ready: boolean;
  api: string;
  ingest: string;
  api_key: string;
  home: string;
  processes: { name: string; pid: number }[];
  servers: Record<string, string>;
  elapsed_ms: number;
};

const {
  CLICKHOUSE_URL: _c,
  DATABASE_URL: _d,
  NATS_URL: _n,
  REDIS_URL: _r,
  MILLRACE_BOOTSTRAP_KEY: _b,
  ...clean
} = process.env;
const bootstrapFile = new URL('../../../platform/local/bootstrap.mjs', import.meta.url).pathname;

let home: string;
let child: ChildProcessWithoutNullStreams;
let out: string;
let err: string;

const begin = (environment: NodeJS.ProcessEnv = {}) => {
  out = '';
  err = '';
  child = spawn(process.execPath, [bootstrapFile, 'start', '--json'], {
    env: { ...clean, MILLRACE_HOME: home, MILLRACE_API_PORT: '0', MILLRACE_INGEST_PORT: '0', ...environment },
  });
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    err += text;
  });
};
const ready = async (): Promise<Ready> => {
  await vi.waitFor(() => expect(out, err).toMatch(/\n$/), { timeout: 60_000, interval: 50 });
  return JSON.parse(out) as Ready;
};
const stop = async (signal: NodeJS.Signals): Promise<number | null> => {
  child.kill(signal);
  const [code] = await once(child, 'exit');
  return code as number | null;
};
const isUp = async (url: string) => (await fetch(`${url}/health/ready`)).ok;
const areUp = async (url: string) => {
  const { dependencies } = (await (await fetch(`${url}/health/ready`)).json()) as { dependencies: object };
  return Object.values(dependencies).every((state) => state === 'up');
};
/** What a first send, or a retry of the same event, is told: once it is told anything for good. */
const sendOnce = async ({ ingest, api_key }: Ready): Promise<{ accepted: number; duplicates: number }> => {
  const event = {
    idempotency_key: 'kept',
    event: 'call',
    customer_id: 'acme',
    timestamp: '2026-11-27T12:00:00Z',
    properties: {},
  };
  const { status, told } = await vi.waitFor(
    async () => {
      const headers = { authorization: `Bearer ${api_key}`, 'content-type': 'application/json' };
      const response = await fetch(`${ingest}/v1/events?backfill=true`, {
        method: 'POST',
        headers,
        body: JSON.stringify(event),
      });
      expect(response.status).not.toBe(503);
      return { status: response.status, told: await response.json() };
    },
    { timeout: 60_000, interval: 100 },
  );
  expect(status).toBe(200);
  return told as { accepted: number; duplicates: number };
};
const lossesOf = async ({ api, api_key }: Ready): Promise<unknown[]> => {
  const answer = await fetch(`${api}/v1/reconciliation`, { headers: { authorization: `Bearer ${api_key}` } });
  return ((await answer.json()) as { losses: unknown[] }).losses;
};
const alive = (pids: number[]) => pids.filter((pid) => startOf(pid) !== undefined);

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'millrace-start-'));
});
afterEach(async () => {
  if (child.exitCode === null && child.signalCode === null) await stop('SIGTERM');
  rmSync(home, { recursive: true, force: true });
});

test('one line on stdout once everything answers; the key stays; SIGTERM and SIGINT end all with code 0, and nothing stays behind when the command itself is killed', {
  timeout: 180_000,
}, async () => {
  begin();
  const first = await ready();
  expect(first).toMatchObject({ ready: true, home });
  expect(out.trim().split('\n')).toHaveLength(1);
  expect(out).not.toContain('postgres:postgres');
  expect(await isUp(first.api)).toBe(true);
  expect(await isUp(first.ingest)).toBe(true);
  expect(first.processes.map(({ name }) => name).sort()).toEqual([...serverNames, ...processNames].toSorted());
  expect(await sendOnce(first)).toMatchObject({ accepted: 1 });
  expect(await stop('SIGTERM')).toBe(0);
  expect(alive(first.processes.map(({ pid }) => pid))).toEqual([]);

  // [I5] NATS tells another time of its stream's making from the second start on.
  for (let turn = 0; turn < 2; turn += 1) {
    begin();
    const again = await ready();
    expect(again.api_key).toBe(first.api_key);
    expect(await sendOnce(again)).toMatchObject({ accepted: 0, duplicates: 1 });
    expect(await lossesOf(again)).toEqual([]);
    const living = () => alive(again.processes.map(({ pid }) => pid));
    if (turn === 0) {
      expect(await stop('SIGINT')).toBe(0);
      expect(living()).toEqual([]);
    } else {
      child.kill('SIGKILL');
      await vi.waitFor(() => expect(living()).toEqual([]), { timeout: 60_000, interval: 50 });
    }
  }
});

test('[I5] whatever is killed comes back at its address, and knows what was accepted', {
  timeout: 180_000,
}, async () => {
  begin();
  const first = await ready();
  expect(await sendOnce(first)).toMatchObject({ accepted: 1 });
  for (const { pid } of first.processes) process.kill(pid, 'SIGKILL');
  // Without Redis an ingest gateway accepts a retry, and the identity check finds the twin.
  const allUp = async () => expect([await areUp(first.api), await areUp(first.ingest)]).toEqual([true, true]);
  await vi.waitFor(allUp, { timeout: 60_000, interval: 100 });
  expect(await sendOnce(first)).toMatchObject({ accepted: 0, duplicates: 1 });
  expect(await lossesOf(first)).toEqual([]);
  expect(await stop('SIGTERM')).toBe(0);
});

test('a fault of the configuration ends it with code 1 and a plain list, before anything is started', async () => {
  begin({ MILLRACE_API_PORT: 'abc', NATS_URL: 'nowhere' });
  const [code] = await once(child, 'close');
  expect(code).toBe(1);
  expect(err).toMatch(/NATS_URL must be a URL[\s\S]*MILLRACE_API_PORT|MILLRACE_API_PORT[\s\S]*NATS_URL must be a URL/);
  expect(err).not.toContain('    at ');
  expect(out).toBe('');
});
