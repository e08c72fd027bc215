/** Inserts blocks of usage events. ClickHouse reads the rows that the gateway wrote; nothing is decoded on the way. */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { type ClickHouseClient, ClickHouseError } from '@clickhouse/client';
import { originOfMessage, rowColumns, rowsWithSequence } from '#schemas/usage-event.ts';
import type { StreamMessage } from '../stream/usage-stream.nats.ts';
import { UnreadableError } from './sink.ts';

const columns = [
  'tenant',
  'event',
  'customer',
  'occurred_at',
  'received_at',
  'idempotency_key',
  'properties',
  'stream_sequence',
];

// The digest is made here, and not by the gateway: SHA-256 costs ClickHouse a fraction of what it costs Node.
const insertStatement = `
INSERT INTO usage_events (${columns.join(', ')}, key_digest)
SELECT ${columns.join(', ')}, substring(SHA256(concat(tenant, '\\0', idempotency_key)), 1, 16)
FROM input('${rowColumns.replaceAll("'", "\\'")}')
FORMAT RowBinary`;

/** Codes with which ClickHouse says that it can't read the data: parse errors and incorrect data. */
const unreadableCodes = new Set([
  '6',
  '26',
  '27',
  '32',
  '33',
  '38',
  '41',
  '53',
  '69',
  '70',
  '72',
  '117',
  '131',
  '190',
  '349',
]);

const isUnreadable = (error: unknown): boolean => error instanceof ClickHouseError && unreadableCodes.has(error.code);

/**
 * One row per message, in place of the one that an earlier delivery wrote. Small, so by itself, and not deduplicated:
 * its table keeps one.
 */
const insertMessages = async (clickhouse: ClickHouseClient, values: readonly object[]): Promise<void> => {
  await clickhouse.insert({
    table: 'usage_messages',
    values,
    format: 'JSONEachRow',
    clickhouse_settings: {
      async_insert: 0,
      insert_deduplicate: 0,
      date_time_input_format: 'best_effort',
      wait_end_of_query: 1,
    },
  });
};

/**
 * The order of effects: 1. the events; 2. a row per message that says how many they are. A message without its row was
 * not acknowledged, so it is delivered and inserted again; the rows of both are the same then.
 */
export const createInsert =
  (clickhouse: ClickHouseClient) =>
  async (messages: readonly StreamMessage[]): Promise<void> => {
    // The token names each message of the batch, by its sequence and by when the stream took it: a stream that lost its
    // end gives the same sequences to other messages. Rejected: first and last sequence with a count. After a
    // redelivery another batch can have the same three, and ClickHouse would leave it out without a word. Rejected: a
    // hash of the rows, a fifth of the sink's time.
    const token = createHash('sha256');
    const parts: Buffer[] = [];
    const stored: object[] = [];
    try {
      for (const { body, sequence, publishedAtMs, isBackfill } of messages) {
        parts.push(rowsWithSequence(body, sequence));
        token.update(`${sequence} ${publishedAtMs} `);
        const { tenant, receivedAtMs, events } = originOfMessage(body);
        const received_at = new Date(receivedAtMs).toISOString();
        stored.push({ tenant, received_at, stream_sequence: sequence, events, is_backfill: isBackfill ? 1 : 0 });
      }
    } catch (error) {
      throw new UnreadableError(error);
    }
    try {
      const { stream } = await clickhouse.exec({
        query: insertStatement,
        values: Readable.from(parts, { objectMode: false }),
        clickhouse_settings: {
          // Our batches are made here; the server's own buffering and its changing defaults are switched off by name.
          async_insert: 0,
          insert_deduplicate: 1,
          insert_deduplication_token: token.digest('hex'),
          deduplicate_blocks_in_dependent_materialized_views: 1,
          // One block, so one part per month of usage.
          max_insert_block_size: '2000000',
          min_insert_block_size_rows: '2000000',
          min_insert_block_size_bytes: '0',
          max_partitions_per_insert_block: '0',
          // Twins within one insert are collapsed with all others, by merges and FINAL: to do it here as well would
          // cost a third of the insert.
          optimize_on_insert: 0,
          wait_end_of_query: 1,
        },
      });
      stream.resume();
      await new Promise<void>((resolve, reject) => stream.once('end', resolve).once('error', reject));
    } catch (error) {
      if (isUnreadable(error)) throw new UnreadableError(error);
      throw error;
    }
    await insertMessages(clickhouse, stored);
  };
