/**
 * No transaction in PostgreSQL stands open while one of our processes waits for another server: it would hold a
 * connection, and the locks of rows, of the audit chain and of an Idempotency-Key, for as long as that server hangs.
 */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { definedRoutes, examples, worldOf } from '../support/api-routes.ts';
import { type ApiAnswer, lastMonth, type Pipeline, startPipeline, until } from '../support/pipeline.ts';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts';
import { firstTenant, makeKey, makeObjects, type Objects, type Tenant, unique } from '../support/tenants.ts';

/** The variables of the servers that a process may wait for, PostgreSQL aside. */
const others = ['CLICKHOUSE_URL', 'NATS_URL', 'REDIS_URL'] as const;

let pipeline: Pipeline;
let tenant: Tenant;
let objects: Objects;
const proxies = new Map<string, TcpProxy>();

beforeAll(async () => {
  const urls = inject('serverUrls');
  const direct = { CLICKHOUSE_URL: urls.clickhouse, NATS_URL: urls.nats, REDIS_URL: urls.redis };
  for (const name of others) {
    const { hostname, port } = new URL(direct[name]);
    proxies.set(name, await startTcpProxy({ host: hostname, port: Number(port) }));
  }
  const viaProxies = (_service: string, environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv =>
    Object.fromEntries(
      others.map((name) => {
        const url = new URL(environment[name] ?? direct[name]);
        return [name, Object.assign(url, { hostname: '127.0.0.1', port: String(proxies.get(name)?.port) }).href];
      }),
    );
  pipeline = await startPipeline(urls, {}, { extraOf: viaProxies });
  tenant = await firstTenant(pipeline);
  objects = await makeObjects(tenant.api, `c-${unique()}`, tenant.ingest);
});
afterAll(async () => {
  // What hangs ends with its connection, and so does not hold up the end of the processes; a proxy ends with its last
  // one.
  for (const proxy of proxies.values()) {
    proxy.begin('reset');
    proxy.heal();
  }
  await pipeline?.stop();
  for (const proxy of proxies.values()) await proxy.close();
});

/** No statement of ours, and no work between two of them, takes this long. */
const standsMsMin = 700;

/** Transactions that stand still, with the statement that each ran last. */
const standing = async (): Promise<string[]> => {
  const { rows } = await pipeline.asOwner.query<{ query: string }>(
    `SELECT query FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'
     AND clock_timestamp() - state_change > make_interval(secs => $1)`,
    [standsMsMin / 1000],
  );
  return rows.map(({ query }) => query);
};

/** Whether a relay works for the tenant: it holds the lock of the organization meanwhile. */
const relaying = async (): Promise<boolean> => {
  const { rows } = await pipeline.asOwner.query<{ held: boolean }>(
    `SELECT EXISTS (SELECT 1 FROM pg_locks, hashtextextended($1, 1) AS key WHERE locktype = 'advisory'
     AND classid::bigint = (key >> 32) & 4294967295 AND objid::bigint = key & 4294967295) AS held`,
    [`relay ${tenant.organizationId}`],
  );
  return rows[0]?.held ?? false;
};

const hang = () => proxies.forEach((proxy) => void proxy.begin('half_open'));
const changes = definedRoutes().filter(({ method, rateClass }) => method !== 'GET' && rateClass !== 'read');

describe('a transaction that stands still', () => {
  it('is found, or the test below would prove nothing', async () => {
    await pipeline.asApplication.transaction(async ({ query }) => {
      await query('SELECT 1');
      expect(await until(standing, (found) => found.length > 0)).toEqual(['SELECT 1']);
    });
  });
});

describe('while ClickHouse, NATS and Redis hang', () => {
  it('no change through the API, no billing run and no relay of amendments keeps a transaction open; a repeat has its answer', async () => {
    const { api } = tenant;
    const kept = [
      { status: 201, key: unique(), example: await examples.amendEvents?.(api, objects) },
      { status: 404, key: unique(), example: await examples.amendEvents?.(api, { ...objects, event: 'nobody' }) },
    ];
    const path = '/v1/events/amendments';
    const amend = ({ key, example }: (typeof kept)[number]) =>
      api('POST', path, example?.body, { 'idempotency-key': key });
    // Its amendment goes on its way when all hangs.
    const relayPid = pipeline.stack.processes.find(({ name }) => name === 'relay')?.pid ?? 0;
    process.kill(relayPid, 'SIGSTOP');
    const first: ApiAnswer[] = [];
    for (const one of kept) first.push(await amend(one));
    expect(first.map(({ status }) => status)).toEqual(kept.map(({ status }) => status));
    const asked: { readonly operation: string; readonly send: () => Promise<ApiAnswer> }[] = [];
    const { api: sandbox } = await makeKey(pipeline, api, { scopes: ['admin'], world: 'test' });
    for (const route of changes) {
      const { operation, method } = route;
      const call = worldOf(route) === 'test' ? sandbox : api;
      const example = await examples[operation]?.(call, objects);
      if (example) asked.push({ operation, send: () => call(method, example.path, example.body) });
    }
    expect(asked.map(({ operation }) => operation)).toContain('amendEvents');
    // Another period than the objects have: the rater has to ask how far the stream is.
    const before = new Date(lastMonth().start - 1).toISOString().slice(0, 7);
    asked.push({ operation: 'run', send: () => api('POST', '/v1/invoices/run', { period: before }) });

    hang();
    const waiting = new Set(asked.map(({ operation }) => operation));
    const sent = asked.map(({ operation, send }) =>
      send().then(
        () => waiting.delete(operation),
        () => waiting.delete(operation),
      ),
    );
    // All but the amendment need PostgreSQL alone. It waits for ClickHouse, or nothing would have been proven.
    await until(
      async () => [...waiting],
      (left) => left.length === 1,
    );
    expect([...waiting]).toEqual(['amendEvents']);
    process.kill(relayPid, 'SIGCONT');
    await until(relaying, (held) => held);
    const begin = performance.now();
    while (performance.now() - begin < 3 * standsMsMin) {
      expect([await standing(), await relaying()]).toEqual([[], true]);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    expect([...waiting]).toEqual(['amendEvents']);
    for (const [index, one] of kept.entries()) {
      const again = await amend(one);
      expect(again.headers.get('idempotency-replayed')).toBe('true');
      expect([again.status, again.body]).toEqual([first[index]?.status, first[index]?.body]);
    }
    // What hung ends, and the amendment asks again.
    for (const proxy of proxies.values()) {
      proxy.begin('reset');
      proxy.heal();
    }
    await Promise.all(sent);
  });
});
