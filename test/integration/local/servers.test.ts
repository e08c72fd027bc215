import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient } from '@clickhouse/client';
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { Redis } from 'ioredis';
import pg from 'pg';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { startClickHouse } from '#platform/local/clickhouse.ts';
import type { Log } from '#platform/local/home.ts';
import { startNats } from '#platform/local/nats.ts';
import { findFreePort } from '#platform/local/ports.ts';
import { startPostgres } from '#platform/local/postgres.ts';
import { startOf } from '#platform/local/processes.ts';
import { startRedis } from '#platform/local/redis.ts';
import type { LocalServer, ServerOptions } from '#platform/local/server.ts';

/** Writes one more row, or reads how many there are, over a connection of its own. */
type Store = { write(): Promise<unknown>; count(): Promise<number> };

const clickhouse = async (url: string, work: (client: ReturnType<typeof createClient>) => Promise<number>) => {
  const client = createClient({ url: url.replace('/millrace', '/default') });
  try {
    await client.command({ query: 'CREATE TABLE IF NOT EXISTS kept (n Int32) ENGINE = MergeTree ORDER BY n' });
    return await work(client);
  } finally {
    await client.close();
  }
};

const postgres = async (url: string, work: (client: pg.Client) => Promise<number>) => {
  const client = new pg.Client(url);
  await client.connect();
  try {
    await client.query('CREATE TABLE IF NOT EXISTS kept (n int)');
    return await work(client);
  } finally {
    await client.end();
  }
};

const nats = async (url: string, work: (connection: Awaited<ReturnType<typeof connect>>) => Promise<number>) => {
  const connection = await connect({ servers: url });
  try {
    const manager = await jetstreamManager(connection);
    await manager.streams.add({ name: 'KEPT', subjects: ['kept'] });
    return await work(connection);
  } finally {
    await connection.close();
  }
};

const redis = async (url: string, work: (client: Redis) => Promise<number>) => {
  const client = new Redis(url);
  try {
    return await work(client);
  } finally {
    client.disconnect();
  }
};

const kinds: Record<string, { start(options: ServerOptions): Promise<LocalServer>; store(url: string): Store }> = {
  clickhouse: {
    start: startClickHouse,
    store: (url) => ({
      write: () =>
        clickhouse(url, async (client) => {
          await client.insert({ table: 'kept', values: [{ n: 1 }], format: 'JSONEachRow' });
          return 1;
        }),
      count: () =>
        clickhouse(url, async (client) => {
          const rows = await client.query({ query: 'SELECT count() AS n FROM kept', format: 'JSONEachRow' });
          return Number((await rows.json<{ n: string }>())[0]?.n);
        }),
    }),
  },
  postgres: {
    start: startPostgres,
    store: (url) => ({
      write: () => postgres(url, async (client) => (await client.query('INSERT INTO kept VALUES (1)')).rowCount ?? 0),
      count: () =>
        postgres(url, async (client) => Number((await client.query('SELECT count(*) AS n FROM kept')).rows[0].n)),
    }),
  },
  nats: {
    start: startNats,
    store: (url) => ({
      write: () => nats(url, async (connection) => (await jetstream(connection).publish('kept', 'x')).seq),
      count: () =>
        nats(
          url,
          async (connection) => (await (await jetstreamManager(connection)).streams.info('KEPT')).state.messages,
        ),
    }),
  },
  redis: {
    start: startRedis,
    store: (url) => ({
      write: () => redis(url, (client) => client.incr('kept')),
      count: () => redis(url, async (client) => Number(await client.get('kept'))),
    }),
  },
};

const quiet: Log = { info: () => {}, warn: () => {} };
/** Starts servers of one kind, each in a home of its own, and ends them after each test. */
const starterOf = (name: string) => {
  let homes: string[] = [];
  let running: LocalServer[] = [];
  const makeHome = () => {
    const home = mkdtempSync(join(tmpdir(), 'millrace-servers-'));
    homes.push(home);
    return home;
  };
  const start = async (options: Partial<ServerOptions> = {}) => {
    const server = await kinds[name]?.start({ home: makeHome(), log: quiet, ...options });
    if (!server) throw new Error(name);
    running.push(server);
    return server;
  };
  afterEach(async () => {
    await Promise.all(running.map((server) => server.kill()));
    for (const home of homes) rmSync(home, { recursive: true, force: true });
    homes = [];
    running = [];
  });
  return { makeHome, start };
};

// The kinds side by side, as much of a start and a stop is waiting; the tests of one kind one after the other.
describe.each(Object.keys(kinds))('%s', { concurrent: true }, (name) => {
  const { makeHome, start } = starterOf(name);
  const storeOf = (server: LocalServer) => kinds[name]?.store(server.url) as Store;

  // The first test of NATS on a machine builds its server.
  test('keeps its data, its port and its address through a SIGKILL and a stop', {
    timeout: 300_000,
    concurrent: false,
  }, async () => {
    const server = await start();
    const { url, pid } = server;
    expect(startOf(pid)).toBeDefined();
    expect(server.origin).toMatch(/\d+\.\d+.*, from /);
    await storeOf(server).write();
    await server.kill();
    expect(startOf(pid)).toBeUndefined();
    await server.restart();
    expect(server.url).toBe(url);
    expect(server.pid).not.toBe(pid);
    await storeOf(server).write();
    expect(await storeOf(server).count()).toBe(2);
    await server.stop();
    await server.restart();
    expect(await storeOf(server).count()).toBe(2);
    const last = server.pid;
    await server.stop();
    await server.stop();
    expect(startOf(last)).toBeUndefined();
  });

  test('comes back from ten SIGKILLs in a row', { concurrent: false }, async () => {
    const server = await start();
    for (let round = 1; round <= 10; round += 1) {
      await storeOf(server).write();
      await server.kill();
      await server.restart();
      expect(await storeOf(server).count()).toBe(round);
    }
  });

  test('runs twice side by side with data of its own', { concurrent: false }, async () => {
    const [one, two] = await Promise.all([start(), start()]);
    await storeOf(one).write();
    await storeOf(two).write();
    await storeOf(two).write();
    expect(await storeOf(one).count()).toBe(1);
    expect(await storeOf(two).count()).toBe(2);
  });

  test('refuses a port that a stranger has, and says which', { concurrent: false }, async () => {
    const port = await findFreePort();
    const stranger = createServer().listen(port, '127.0.0.1');
    await expect(start({ port })).rejects.toThrow(`port ${port}`);
    await new Promise((resolve) => stranger.close(resolve));
  });

  test('is not started twice on one folder', { concurrent: false }, async () => {
    const home = makeHome();
    const server = await start({ home });
    await expect(start({ home })).rejects.toThrow(`process ${server.pid}`);
    await storeOf(server).write();
  });

  test('tells of its death, but not of an end that was asked for', { concurrent: false }, async () => {
    const server = await start();
    const deaths: string[] = [];
    const died = new Promise<void>((resolve) => {
      server.onDeath((how) => {
        deaths.push(how);
        resolve();
      });
    });
    await server.kill();
    await server.restart();
    await server.stop();
    await server.restart();
    expect(deaths).toEqual([]);
    process.kill(server.pid, 'SIGKILL');
    await died;
    expect(deaths[0]).toContain('SIGKILL');
  });
});

describe('under work', () => {
  const { makeHome, start } = starterOf('postgres');

  test('postgres comes back from a SIGKILL while its sessions compute', async () => {
    const home = makeHome();
    const server = await start({ home });
    const clients = Array.from({ length: 10 }, () => new pg.Client(server.url));
    for (const client of clients) {
      client.on('error', () => {});
      await client.connect();
      client.query('DO $$ BEGIN FOR i IN 1..2000000000 LOOP END LOOP; END $$').catch(() => {});
    }
    const probe = new pg.Client(server.url);
    await probe.connect();
    const busy = "SELECT count(*)::int AS n FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'DO %'";
    await vi.waitFor(async () => expect((await probe.query(busy)).rows[0].n).toBeGreaterThanOrEqual(10), {
      timeout: 60_000,
    });
    probe.on('error', () => {});
    await server.kill();
    // As a start leaves it that is killed at its very beginning.
    writeFileSync(join(home, 'postgres', 'data', 'postmaster.pid'), '');
    await server.restart();
    await postgres(server.url, async () => 0);
    for (const client of [...clients, probe]) await client.end().catch(() => {});
  });
});
