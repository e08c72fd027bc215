import { Readable } from 'node:stream';
import { connectClickHouse } from '#platform/stores/clickhouse.ts';
import { fromRow, newMessage } from '#schemas/usage-event.ts';
import { BlockWriter } from '../../ingest/parse/event-block.ts';
import { seedsOf } from '../../ingest/parse/key-hash.ts';
import { parseNativeBody } from '../../ingest/parse/native.ts';
import { createInsert } from '../../ingest/sink/usage-store.clickhouse.ts';
import { sampleBody } from './parse.ts';
import { measureStage, pidOf, type Stage, type StageServers } from './stage.ts';

const messagesPerInsert = 250;
const inserts = 2;
const tenant = 'org_bench';
const nowMs = Date.UTC(2026, 10, 20, 12);

/** A copy of a message in which no key is that of another: twins would make the store's work easier than it is. */
const renamed = (message: Buffer, number: number): Buffer => {
  const copy = Buffer.from(message);
  const count = copy.readUInt32LE(4);
  let at = 8 + 4 * count;
  for (let row = 0; row < count; row += 1) {
    // Behind the fixed fields, the tenant with its length, and the length of the key.
    copy.write(number.toString(36).padStart(8, '0'), at + 24 + 1 + tenant.length + 1, 'latin1');
    at += copy.readUInt32LE(8 + 4 * row);
  }
  return copy;
};

/** One stream message of 200 events. */
const sampleMessage = (): Buffer => {
  const body = sampleBody();
  const writer = new BlockWriter(
    { tenant, seeds: seedsOf('the secret of a bench, which is none', tenant), receivedAtMs: nowMs },
    body.length,
  );
  parseNativeBody(body, writer, { nowMs, pastMsMax: 35 * 86_400_000, futureMsMax: 300_000 }, 1_000);
  const { rows, ends } = writer.done();
  const { message, rowsAt } = newMessage(ends.map((end, row) => end - (ends[row - 1] ?? 0)));
  rows.copy(message, rowsAt);
  return message;
};

const connect = ({ urls }: StageServers) =>
  connectClickHouse(urls.clickhouse, { requestTimeoutMs: 60_000, connectionsMax: inserts });

/** Stream messages to queryable rows, as the sink does it on a backlog: two inserts at a time of 50,000 rows. */
export const insertStage = (servers: StageServers): Stage => ({
  name: 'insert',
  run: async (seconds) => {
    const clickhouse = connect(servers);
    const insert = createInsert(clickhouse);
    const message = sampleMessage();
    const origin = { publishedAtMs: nowMs, ack: () => {}, working: () => {} };
    let sequence = 1;
    try {
      return await measureStage({ seconds, lanes: inserts, pids: [pidOf(servers, 'clickhouse')] }, async () => {
        const messages = Array.from({ length: messagesPerInsert }, () => {
          sequence += 1;
          return { ...origin, sequence, body: renamed(message, sequence) };
        });
        await insert(messages);
        return messagesPerInsert * 200;
      });
    } finally {
      await clickhouse.close();
    }
  },
});

/** The rejected way: properties as JSON text, which ClickHouse parses into the column. */
export const insertTextStage = (servers: StageServers): Stage => ({
  name: 'insert, properties as text',
  run: async (seconds) => {
    const clickhouse = connect(servers);
    const message = sampleMessage();
    const lines = [...Array(200).keys()].map((row) => {
      const at =
        8 + 4 * 200 + [...Array(row).keys()].reduce((sum, before) => sum + message.readUInt32LE(8 + 4 * before), 0);
      const { properties, ...event } = fromRow(message.subarray(at, at + message.readUInt32LE(8 + 4 * row)));
      return { ...event, properties: JSON.stringify(Object.fromEntries(properties)) };
    });
    const text = (value: string): Buffer => {
      const bytes = Buffer.from(value);
      return Buffer.concat([
        Buffer.from(bytes.length < 128 ? [bytes.length] : [(bytes.length & 127) | 128, bytes.length >> 7]),
        bytes,
      ]);
    };
    const integer = (value: number): Buffer => {
      const bytes = Buffer.alloc(8);
      bytes.writeBigInt64LE(BigInt(value));
      return bytes;
    };
    const rowsOf = (number: number): Buffer =>
      Buffer.concat(
        lines.flatMap((line) => [
          ...[integer(1), integer(line.occurredAtMs), integer(line.receivedAtMs), text(line.tenant)],
          text(number.toString(36).padStart(8, '0') + line.idempotencyKey.slice(8)),
          ...[text(line.event), text(line.customer), text(line.properties)],
        ]),
      );
    // Made ahead: to make them is no part of either way.
    const made = Array.from({ length: 40 * messagesPerInsert }, (_, number) => rowsOf(number));
    let next = 0;
    const columns = 'stream_sequence, occurred_at, received_at, tenant, idempotency_key, event, customer, properties';
    const types = `stream_sequence UInt64, occurred_at DateTime64(3), received_at DateTime64(3), tenant String, idempotency_key String, event String, customer String, properties String`;
    const query = `INSERT INTO usage_events (${columns}, key_digest)
      SELECT ${columns}, substring(SHA256(concat(tenant, '\\0', idempotency_key)), 1, 16) FROM input('${types}')
      FORMAT RowBinary`;
    try {
      return await measureStage({ seconds, lanes: inserts, pids: [pidOf(servers, 'clickhouse')] }, async () => {
        const values = Readable.from(
          Array.from({ length: messagesPerInsert }, () => made[next++ % made.length] as Buffer),
          { objectMode: false },
        );
        const settings = {
          async_insert: 0,
          insert_deduplicate: 0,
          max_insert_block_size: '2000000',
          optimize_on_insert: 0,
          wait_end_of_query: 1,
        } as const;
        const { stream } = await clickhouse.exec({ query, values, clickhouse_settings: settings });
        stream.resume();
        await new Promise<void>((resolve, reject) => stream.once('end', resolve).once('error', reject));
        return messagesPerInsert * 200;
      });
    } finally {
      await clickhouse.close();
    }
  },
});
