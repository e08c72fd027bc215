/** Inserts blocks of usage events. ClickHouse reads the rows that the gateway wrote; nothing is decoded on the way. */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { type ClickHouseClient, ClickHouseError } from '@clickhouse/client';
import { rowColumns, rowsWithSequence } from '#schemas/usage-event.ts';
import { UnreadableError } from './sink.ts';
import type { StreamMessage } from './usage-stream.nats.ts';

const columns = ['tenant', 'event', 'customer', 'occurred_at', 'received_at', 'idempotency_key', 'properties', 'stream_sequence'];

// The digest is made here, and not by the gateway: SHA-256 costs ClickHouse a fraction of what it costs Node.
const insertStatement = `
INSERT INTO usage_events (${columns.join(', ')}, key_digest)
SELECT ${columns.join(', ')}, substring(SHA256(concat(tenant, '\\0', idempotency_key)), 1, 16)
FROM input('${rowColumns.replaceAll("'", "\\'")}')
FORMAT RowBinary`;

/** Codes with which ClickHouse says that it can't read the data: parse errors and incorrect data. */
const unreadableCodes = new Set(['6', '26', '27', '32', '33', '38', '41', '53', '69', '70', '72', '117', '131', '190', '349']);

const isUnreadable = (error: unknown): boolean => error instanceof ClickHouseError && unreadableCodes.has(error.code);

export const createInsert =
  (clickhouse: ClickHouseClient) =>
  async (messages: readonly StreamMessage[]): Promise<void> => {
    // The token is the content, sequences included. Rejected: first and last sequence with a count. After a redelivery another batch can have
    // the same three, and ClickHouse would leave it out without a word.
    const token = createHash('sha256');
    const parts: Buffer[] = [];
    try {
      for (const { body, sequence } of messages) parts.push(rowsWithSequence(body, sequence));
    } catch (error) {
      throw new UnreadableError(error);
    }
    for (const part of parts) token.update(part);
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
          wait_end_of_query: 1,
        },
      });
      stream.resume();
      await new Promise<void>((resolve, reject) => stream.once('end', resolve).once('error', reject));
    } catch (error) {
      if (isUnreadable(error)) throw new UnreadableError(error);
      throw error;
    }
  };
