/**
 * Puts a made-up history into a real store, by the product's own insert: each under an organization of its own, in
 * several parts, some of it delivered twice.
 */

import { createHash } from 'node:crypto';
import type { ClickHouseClient } from '@clickhouse/client';
import { connectClickHouse } from '#platform/stores/clickhouse.ts';
import { migrateAll } from '#platform/stores/migrate.ts';
import { createInsert } from '../../ingest/sink/usage-store.clickhouse.ts';
import type { StreamMessage } from '../../ingest/stream/usage-stream.nats.ts';
import { freshStores } from './fresh-stores.ts';
import type { History, Message } from './metering-arbitraries.ts';
import { databasePassword, type ServerUrls } from './pipeline.ts';
import type { ReferenceEvent } from './usage-reference.ts';
import { toMessage, toRow } from './usage-rows.ts';

const receivedAtMs = Date.UTC(2026, 10, 5);

const digestOf = (tenant: string, key: string): string =>
  createHash('sha256').update(`${tenant}\0${key}`).digest('hex').slice(0, 32);

const rowOf = (tenant: string, { event, customer, key, occurredAtMs, properties }: ReferenceEvent): Buffer =>
  toRow({
    tenant,
    event,
    customer,
    idempotencyKey: key,
    occurredAtMs,
    receivedAtMs,
    properties: [...properties].sort(),
  });

const amendmentRow = (tenant: string, { id, target, isReplaced }: NonNullable<Message['amends']>): Buffer =>
  toRow({
    tenant: `${tenant}\0`,
    event: isReplaced ? 'replaced' : 'voided',
    customer: target.customer,
    idempotencyKey: `\0${id}`,
    occurredAtMs: target.occurredAtMs,
    receivedAtMs,
    properties: [
      ['event', target.event],
      ['key', target.key],
      ['row_digest', digestOf(tenant, target.key)],
    ],
  });

const messageOf = (tenant: string, publishedAtMs: number, { sequence, event, amends }: Message): StreamMessage => ({
  sequence,
  publishedAtMs,
  body: toMessage([...(amends ? [amendmentRow(tenant, amends)] : []), ...(event ? [rowOf(tenant, event)] : [])]),
  isBackfill: false,
  requestId: undefined,
  traceparent: undefined,
  ack: () => {},
  working: () => {},
});

/** What the identity check writes: every later row of a key falls, from its own sequence on. */
const voidTwins = `
INSERT INTO usage_voids (tenant, event, customer, occurred_at, row_digest, row_sequence, void_sequence, reason,
  received_at)
SELECT DISTINCT tenant, event, customer, occurred_at, key_digest, stream_sequence, stream_sequence, 'twin', received_at
FROM usage_events
WHERE tenant = {tenant:String} AND (key_digest, stream_sequence) NOT IN
  (SELECT key_digest, min(stream_sequence) FROM usage_events WHERE tenant = {tenant:String} GROUP BY key_digest)`;

/** Under an organization of its own, or under the one that the beginning of the history has. */
const createStoreHistory = (clickhouse: ClickHouseClient): ((history: History, of?: string) => Promise<string>) => {
  const insert = createInsert(clickhouse);
  let organizations = 0;
  return async ({ messages }, of) => {
    organizations += 1;
    const tenant = of ?? `org_${organizations}`;
    // Each history has a time of its own in the stream, as the insert leaves out a block of sequences and times that it
    // had.
    const third = Math.ceil(messages.length / 3);
    // The second block repeats a message of the first, as a sink does that was killed before it acknowledged.
    for (const block of [
      messages.slice(0, third),
      messages.slice(Math.max(0, third - 1), 2 * third),
      messages.slice(2 * third),
    ]) {
      if (block.length > 0)
        await insert(block.map((message) => messageOf(tenant, receivedAtMs + organizations, message)));
    }
    await clickhouse.command({ query: voidTwins, query_params: { tenant } });
    return tenant;
  };
};

/** A store of a test's own, migrated, and what puts histories into it; who opens it closes the client. */
export const openMeteringStore = async (urls: ServerUrls, requestTimeoutMs = 120_000) => {
  const { databaseUrl, clickhouseUrl } = await freshStores(urls);
  await migrateAll({ databaseUrl, clickhouseUrl, databasePassword });
  const clickhouse = connectClickHouse(clickhouseUrl, { requestTimeoutMs, connectionsMax: 4 });
  return { clickhouse, store: createStoreHistory(clickhouse) };
};

export type MeteringStore = Awaited<ReturnType<typeof openMeteringStore>>;
