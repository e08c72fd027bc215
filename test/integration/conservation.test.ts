/** What was answered is what is stored, hour by hour: `GET /v1/reconciliation` over gateways and sinks that die. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { newId } from '#platform/process/ids.ts';
import { connectClickHouse, readRows } from '#platform/stores/clickhouse.ts';
import { connectPostgres, loginUrl } from '#platform/stores/postgres.ts';
import { createWriteCounts } from '../../ingest/gateway/ingest-counts.postgres.ts';
import { startGatewayByHand } from '../support/gateways.ts';
import { llmRequest } from '../support/llm-pro.ts';
import { startLoad } from '../support/load.ts';
import { parts } from '../support/parts.ts';
import { call, databasePassword, type Pipeline, startPipeline, until } from '../support/pipeline.ts';
import { shortLeases } from '../support/quick.ts';
import { addTenant, firstTenant, makeKey, type Tenant } from '../support/tenants.ts';

let pipeline: Pipeline;
let tenant: Tenant;
let sinkLives = 0;
const atMs = Date.now();

beforeAll(async () => {
  // The first sink dies between its third insert and the acknowledgement.
  pipeline = await startPipeline(inject('serverUrls'), shortLeases, {
    services: parts.usage,
    extraOf: (service) => {
      if (service === 'sink') sinkLives += 1;
      return service === 'sink' && sinkLives === 1 ? { MILLRACE_FAIL_POINT: 'sink.after_insert:3' } : {};
    },
  });
  tenant = await firstTenant(pipeline);
});
afterAll(() => pipeline?.stop());

const eventOf = (key: string, input = 1) => llmRequest(key, 'a-customer', atMs, { input, output: 1 });
const eventsOf = (prefix: string, count: number) =>
  Array.from({ length: count }, (_, index) => eventOf(`${prefix}-${index}`));

type Stages = Readonly<Record<'received' | 'accepted' | 'duplicates' | 'conflicts' | 'rejected' | 'missing', number>>;

/** What stands in the answer once every count is written down and the store has followed. */
const settled = async (api: Tenant['api'], holds: (total: Stages) => boolean = () => true) => {
  const { body } = await until(
    () => api('GET', '/v1/reconciliation'),
    (answer) => answer.status === 200 && answer.body.is_settled && holds(answer.body.total),
  );
  return body;
};

const inStore = async <T>(work: (clickhouse: ReturnType<typeof connectClickHouse>) => Promise<T>): Promise<T> => {
  const clickhouse = connectClickHouse(pipeline.clickhouseUrl, { requestTimeoutMs: 30_000, connectionsMax: 1 });
  try {
    return await work(clickhouse);
  } finally {
    await clickhouse.close();
  }
};

/** A gateway beside the one of the pipeline, which knows its keys. */
const anotherGateway = (settings: Readonly<Record<string, string>>) => {
  const secret = (name: string) => readFileSync(join(pipeline.stack.home, name), 'utf8').trim();
  const secrets = { MILLRACE_KEY_PEPPER: secret('key-pepper'), MILLRACE_MASTER_KEY: secret('master-key') };
  return startGatewayByHand(pipeline, inject('serverUrls'), { ...secrets, ...settings });
};

describe('[I11] the stages of ingest', () => {
  const told = { received: 0, accepted: 0, duplicates: 0, conflicts: 0, rejected: 0 };
  const send = async (events: readonly unknown[]): Promise<void> => {
    const { body } = await pipeline.sendEvents(events);
    told.received += events.length;
    for (const name of ['accepted', 'duplicates', 'conflicts', 'rejected'] as const) told[name] += body[name];
  };

  it('add up to what the client was told, with duplicates, conflicts, invalid events, and a sink that died before it acknowledged', async () => {
    for (let round = 0; round < 8; round += 1) {
      await send(eventsOf(`mixed-${round}`, 50));
      await send([
        ...eventsOf(`mixed-${round}`, 20),
        eventOf(`mixed-${round}-30`, 2),
        { ...eventOf('bad'), event: '' },
      ]);
      await send([eventOf(`twin-${round}`), eventOf(`twin-${round}`), { idempotency_key: 'no event at all' }]);
      // One insert a round.
      await settled(tenant.api);
    }
    expect(told).toMatchObject({ accepted: 8 * 51, duplicates: 8 * 21, conflicts: 8, rejected: 16 });
    const { total, hours, is_balanced, ...rest } = await settled(
      tenant.api,
      ({ received }) => received === told.received,
    );
    expect(total).toMatchObject({
      ...told,
      not_final: 0,
      published: told.accepted,
      distinct: told.accepted,
      twins_removed: 0,
    });
    expect(total).toMatchObject({ missing: 0, on_the_way: 0, unanswered: 0, repeated: 0, is_balanced: true });
    expect({ is_balanced, ...rest }).toMatchObject({
      is_balanced: true,
      losses: [],
      dead_letters: 0,
      unreported_gateways: [],
    });
    expect(hours.reduce((sum: number, { received }: Stages) => sum + received, 0)).toBe(told.received);
    expect(sinkLives).toBe(2);
  });

  it('are those of the organization alone, and those of a sandbox its own', async () => {
    const other = await addTenant(pipeline);
    const sandbox = await makeKey(pipeline, tenant.api, { scopes: ['admin'], world: 'test' });
    const before = (await settled(tenant.api)).total;
    expect((await sandbox.ingest('POST', '/v1/events', eventsOf('sandbox', 3))).body.accepted).toBe(3);
    expect((await settled(sandbox.api, ({ received }) => received === 3)).total).toMatchObject({
      accepted: 3,
      distinct: 3,
    });
    expect(await settled(other.api)).toMatchObject({
      is_balanced: true,
      hours: [],
      total: { received: 0, published: 0, distinct: 0 },
    });
    expect((await settled(tenant.api)).total).toEqual(before);
  });

  it('count what the stream recognized without Redis once', async () => {
    const before = (await settled(tenant.api)).total;
    const gateway = await anotherGateway({ REDIS_URL: 'redis://127.0.0.1:1' });
    const blind = call(gateway.url, pipeline.key);
    for (let turn = 0; turn < 2; turn += 1)
      expect((await blind('POST', '/v1/events', eventsOf('blind', 7))).body).toMatchObject({ accepted: 7 });
    gateway.process.kill('SIGTERM');
    await gateway.exited;
    // It ended in good order: everything is written.
    const { total } = await settled(tenant.api);
    expect(total).toMatchObject({ accepted: before.accepted + 14, repeated: 7, published: before.published + 7 });
    expect(total).toMatchObject({ missing: 0, unanswered: 0, is_balanced: true });
  });

  it('stay balanced where a gateway is killed under load, and name it', async () => {
    const gateway = await anotherGateway(shortLeases);
    let sendEvents: Pipeline['sendEvents'] = (body) => call(gateway.url, pipeline.key)('POST', '/v1/events', body);
    const load = startLoad(
      { ...pipeline, sendEvents: (body) => sendEvents(body) },
      { customer: 'killed', atMs, lanes: 2, batch: 20, pauseMs: 5 },
    );
    await until(
      async () => load.taken(),
      (taken) => taken >= 100,
    );
    gateway.process.kill('SIGKILL');
    await gateway.exited;
    // The client sends what was not answered again, to another one.
    sendEvents = pipeline.sendEvents;
    const sent = await load.finish();
    const { body } = await until(
      () => tenant.api('GET', '/v1/reconciliation'),
      (answer) => answer.body.unreported_gateways?.length === 1 && answer.body.is_settled,
    );
    expect(body.total).toMatchObject({ missing: 0, is_balanced: true });
    expect(body.total.distinct).toBe(told.accepted + 7 + sent);
    expect(body.unreported_gateways[0].id).toMatch(/^gtw_/);
  });
});

describe('[I11] the span', () => {
  it('is made of whole hours, the last 24 where nothing is said', async () => {
    const { body } = await tenant.api('GET', '/v1/reconciliation');
    const span = Date.parse(body.period.end) - Date.parse(body.period.start);
    expect([24, 25]).toContain(span / 3_600_000);
    const past = await tenant.api('GET', '/v1/reconciliation?from=2026-01-01T10:30:00Z&to=2026-01-01T12:30:00%2B01:00');
    expect(past.body).toMatchObject({
      period: { start: '2026-01-01T10:00:00.000Z', end: '2026-01-01T12:00:00.000Z' },
      hours: [],
    });
  });

  it.each([
    ['from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z', 'from', 'not_increasing'],
    ['from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00.001Z', 'to', 'out_of_range'],
  ])('%s is refused', async (query, field, code) => {
    expect(await tenant.api('GET', `/v1/reconciliation?${query}`)).toMatchObject({
      status: 400,
      body: { errors: [{ field, code }] },
    });
  });
});

describe('[I11] what does not add up', () => {
  it('a loss that a gateway found is kept, with how many messages in it are stored all the same', async () => {
    const url = loginUrl(pipeline.databaseUrl, 'millrace_gateway', databasePassword);
    const asGateway = connectPostgres(url, { poolMax: 1, log: pino({ level: 'silent' }) });
    const [range] = await inStore((clickhouse) =>
      readRows<{ first: string; last: string; count: string }>(clickhouse, {
        query: `SELECT toString(min(stream_sequence)) AS first, toString(max(stream_sequence)) AS last,
            toString(count()) AS count
          FROM usage_messages FINAL WHERE tenant = {tenant:String}`,
        params: { tenant: tenant.organizationId },
      }),
    );
    const [first, last] = [Number(range?.first), Number(range?.last)];
    const write = createWriteCounts(asGateway, newId('gtw'), pipeline.streamName);
    const losses = [
      { from: first, to: last, detectedAtMs: Date.now() },
      { from: last + 1, to: last + 10, detectedAtMs: Date.now() },
    ];
    // Written twice it is one.
    for (let turn = 0; turn < 2; turn += 1) await write([], losses, true);
    await asGateway.close();
    const { body } = await tenant.api('GET', '/v1/reconciliation');
    expect(body.losses).toMatchObject([
      { from_sequence: String(first), to_sequence: String(last), stored_messages: Number(range?.count) },
      { from_sequence: String(last + 1), to_sequence: String(last + 10), stored_messages: 0 },
    ]);
    await expect(pipeline.asOwner.query('DELETE FROM stream_losses')).rejects.toThrow();
  });

  it('a message that is gone from the store is missing, with all of its events', async () => {
    const victim = await addTenant(pipeline);
    for (const [prefix, count] of [
      ['kept', 5],
      ['gone', 9],
    ] as const)
      expect((await victim.ingest('POST', '/v1/events', eventsOf(prefix, count))).body.accepted).toBe(count);
    expect((await settled(victim.api, ({ accepted }) => accepted === 14)).total).toMatchObject({
      distinct: 14,
      missing: 0,
      is_balanced: true,
    });
    const forget = (table: string) =>
      inStore((clickhouse) =>
        clickhouse.command({
          query: `ALTER TABLE ${table} DELETE WHERE tenant = {tenant:String} AND stream_sequence = {sequence:UInt64}
            SETTINGS mutations_sync = 2`,
          query_params: { tenant: victim.organizationId, sequence },
        }),
      );
    const [last] = await inStore((clickhouse) =>
      readRows<{ sequence: string }>(clickhouse, {
        query: 'SELECT toString(max(stream_sequence)) AS sequence FROM usage_messages WHERE tenant = {tenant:String}',
        params: { tenant: victim.organizationId },
      }),
    );
    const sequence = last?.sequence;
    await forget('usage_messages');
    // Events that no message brought.
    expect((await settled(victim.api)).total).toMatchObject({
      published: 5,
      distinct: 14,
      missing: 9,
      is_balanced: false,
      differences: [
        { stage: 'published', difference: 9 },
        { stage: 'distinct', difference: 9 },
      ],
    });
    // Keys of events that nobody can bill.
    await forget('usage_events');
    expect((await settled(victim.api)).total).toMatchObject({
      distinct: 14,
      differences: { 2: { stage: 'billed', difference: 9 } },
    });
    await forget('usage_keys');
    const { total, hours, is_balanced } = await settled(victim.api);
    expect(total).toMatchObject({
      accepted: 14,
      published: 5,
      distinct: 5,
      missing: 9,
      on_the_way: 0,
      is_balanced: false,
    });
    expect([is_balanced, hours.some((hour: { is_balanced: boolean }) => !hour.is_balanced)]).toEqual([false, true]);
    expect(await settled(tenant.api)).toMatchObject({ is_balanced: true });
  });
});
