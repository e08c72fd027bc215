import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Log, lockHome, prepareHome } from '#platform/local/home.ts';
import { keepAlive } from '#platform/local/keep-alive.ts';
import { findFreePort } from '#platform/local/ports.ts';
import { endLeftovers, startOf } from '#platform/local/processes.ts';
import { startRedis } from '#platform/local/redis.ts';
import { type Service, startService } from '#platform/local/service.ts';

const serviceFile = 'test/integration/local/fixtures/service.main.ts';
const supervisorFile = new URL('./fixtures/supervisor.main.ts', import.meta.url);

type Report = { fault?: string; redis: { pid: number; port: number }; service: { pid: number } };

let home: string;
let lines: string[];
let supervisors: ChildProcess[];
const log: Log = { info: (line) => lines.push(line), warn: (line) => lines.push(line) };

const superviseInChild = async (): Promise<{ child: ChildProcess; report: Report }> => {
  const child = fork(supervisorFile, [home], { silent: true });
  supervisors.push(child);
  const [report] = (await once(child, 'message')) as [Report];
  return { child, report };
};

const startFixture = (environment: NodeJS.ProcessEnv): Promise<Service> =>
  startService({
    home,
    log,
    name: 'fixture',
    file: serviceFile,
    shutdownMsMax: 2000,
    environment: async () => ({ ...process.env, ...environment }),
  });

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'millrace-supervision-'));
  prepareHome(home);
  lines = [];
  supervisors = [];
});
afterEach(async () => {
  for (const child of supervisors) child.kill('SIGKILL');
  await endLeftovers(home, log, ['redis']);
  rmSync(home, { recursive: true, force: true });
});

test('a second supervisor is refused while the first lives, and ends what it left behind once it was killed', {
  timeout: 180_000,
}, async () => {
  const first = await superviseInChild();
  const second = await superviseInChild();
  expect(second.report.fault).toContain(`process ${first.child.pid}`);
  expect(startOf(first.report.redis.pid)).toBeDefined();

  first.child.kill('SIGKILL');
  await once(first.child, 'exit');
  // Redis can't know that its supervisor is gone; our services do, by their channel.
  expect(startOf(first.report.redis.pid)).toBeDefined();
  await vi.waitFor(() => expect(startOf(first.report.service.pid)).toBeUndefined(), { timeout: 60_000 });

  const lock = lockHome(home);
  await endLeftovers(home, log, ['redis']);
  expect(startOf(first.report.redis.pid)).toBeUndefined();
  expect(lines.join('\n')).toContain(`redis: ending process ${first.report.redis.pid}`);
  const redis = await startRedis({ home, log, port: first.report.redis.port });
  await redis.stop();
  lock.release();
});

test('a record whose pid now belongs to another process ends nobody', async () => {
  const { writeFileWhole } = await import('#platform/local/home.ts');
  const stranger = fork(new URL('./fixtures/service.main.ts', import.meta.url), { silent: true });
  supervisors.push(stranger);
  await once(stranger, 'message');
  const identity = { pid: stranger.pid, started: 'another boot 1' };
  writeFileWhole(
    join(home, 'run', 'redis.json'),
    JSON.stringify({ ...identity, stopSignal: 'SIGKILL', supervisor: identity }),
  );
  await endLeftovers(home, log, []);
  expect(startOf(stranger.pid ?? 0)).toBeDefined();
});

test('a service that dies is started again at the same address, and stays down once it is ended', {
  timeout: 180_000,
}, async () => {
  const stopping = new AbortController();
  const service = await startFixture({ FIXTURE_PORT: String(await findFreePort()) });
  const guard = keepAlive(service, log, stopping.signal);
  const { url } = service;
  const first = await (await fetch(url)).text();
  await fetch(`${url}/crash`).catch(() => {});
  const second = await vi.waitFor(async () => (await fetch(url)).text(), { timeout: 60_000, interval: 50 });
  expect(second).not.toBe(first);
  expect(lines.join('\n')).toContain('exited with code 70');
  stopping.abort();
  await guard.end();
  expect(startOf(Number(second))).toBeUndefined();
});

test('ending a service while it is about to be restarted leaves nothing running', async () => {
  const stopping = new AbortController();
  const service = await startFixture({});
  const guard = keepAlive(service, log, stopping.signal);
  process.kill(service.pid, 'SIGKILL');
  await vi.waitFor(() => expect(lines.join('\n')).toContain('restarting in'), { timeout: 60_000, interval: 5 });
  stopping.abort();
  await guard.end();
  expect(service.pid).toBe(0);
});

test('a service that can not start fails after five attempts with the end of its log', {
  timeout: 180_000,
}, async () => {
  await expect(startFixture({ FIXTURE_EXIT: '3' })).rejects.toThrow(
    /exited with code 3[\s\S]*giving up as told, with code 3/,
  );
  expect(lines.filter((line) => line.includes('attempt'))).toHaveLength(4);
});
