/** What the store does with blocks of messages that no pipeline in good order would send it. */
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { connectClickHouse, readRows } from '#platform/stores/clickhouse.ts';
import { migrateAll } from '#platform/stores/migrate.ts';
import { createInsert } from '../../ingest/sink/usage-store.clickhouse.ts';
import type { StreamMessage } from '../../ingest/stream/usage-stream.nats.ts';
import { freshStores } from '../support/fresh-stores.ts';
import { databasePassword } from '../support/pipeline.ts';
import { exampleEvent, toMessage, toRow } from '../support/usage-rows.ts';

let clickhouse: ReturnType<typeof connectClickHouse>;
let insert: (messages: readonly StreamMessage[]) => Promise<void>;
beforeAll(async () => {
  const { databaseUrl, clickhouseUrl } = await freshStores(inject('serverUrls'));
  await migrateAll({ databaseUrl, clickhouseUrl, databasePassword });
  clickhouse = connectClickHouse(clickhouseUrl, { requestTimeoutMs: 30_000, connectionsMax: 2 });
  insert = createInsert(clickhouse);
});
afterAll(() => clickhouse?.close());

/** The events of the message differ from each other and from those of other messages by their keys alone. */
const messageOf = (
  sequence: number,
  publishedAtMs: number,
  keys: readonly string[],
  tenant: string,
): StreamMessage => ({
  sequence,
  publishedAtMs,
  body: toMessage(keys.map((idempotencyKey) => toRow({ ...exampleEvent, tenant, idempotencyKey }))),
  requestId: undefined,
  traceparent: undefined,
  ack: () => {},
  working: () => {},
});

const stored = async (tenant: string, from: string): Promise<string[]> => {
  const query = `SELECT idempotency_key AS key FROM ${from} WHERE tenant = {tenant:String} ORDER BY key`;
  return (await readRows<{ key: string }>(clickhouse, { query, params: { tenant } })).map(({ key }) => key);
};

it('[I2] a message is stored that has the sequence of an earlier one, which the stream lost', async () => {
  await insert([messageOf(100, 1_000, ['lost'], 'org_lost')]);
  await insert([messageOf(100, 2_000, ['new'], 'org_lost')]);
  expect(await stored('org_lost', 'usage_events FINAL')).toEqual(['lost', 'new']);
});

it('[I8] a batch that is delivered again is stored once, as the same rows', async () => {
  for (const _ of [1, 2])
    await insert([messageOf(200, 1_000, ['a', 'b'], 'org_again'), messageOf(201, 1_001, ['c'], 'org_again')]);
  expect(await stored('org_again', 'usage_events')).toEqual(['a', 'b', 'c']);
});

it('[I2] twins that come with one insert are read as one, and it is the first', async () => {
  await insert([messageOf(302, 1_000, ['a', 'b'], 'org_twins'), messageOf(301, 1_000, ['a'], 'org_twins')]);
  expect(await stored('org_twins', 'usage_events FINAL')).toEqual(['a', 'b']);
  const query = `SELECT toString(stream_sequence) AS sequence FROM usage_events FINAL WHERE tenant = 'org_twins'
     ORDER BY idempotency_key`;
  expect(await readRows(clickhouse, { query, params: {} })).toEqual([{ sequence: '301' }, { sequence: '302' }]);
});
