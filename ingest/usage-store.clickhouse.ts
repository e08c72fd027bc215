/** Inserts blocks of usage events. ClickHouse reads the Avro that the gateway wrote; nothing is decoded on the way. */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { type ClickHouseClient, ClickHouseError } from '@clickhouse/client';
import { toAvroContainer } from '#schemas/usage-event.ts';
import { UnreadableError } from './sink.ts';
import type { StreamMessage } from './usage-stream.nats.ts';

const columns = ['tenant', 'event', 'customer', 'occurred_at', 'received_at', 'idempotency_key', 'key_digest', 'properties'];

const message = `stream_sequence UInt64, events Array(Tuple(tenant String, idempotency_key String, key_digest FixedString(16), event String, customer String,
  occurred_at DateTime64(3, 'UTC'), received_at DateTime64(3, 'UTC'), properties String))`;

const insertStatement = `
INSERT INTO usage_events (${columns.join(', ')}, stream_sequence)
SELECT ${columns.map((column) => `e.${column}`).join(', ')}, stream_sequence
FROM (SELECT stream_sequence, arrayJoin(events) AS e FROM input('${message.replaceAll("'", "\\'")}'))
FORMAT Avro`;

/** Codes with which ClickHouse says that it can't read the data: parse errors and incorrect data. */
const unreadableCodes = new Set(['6', '26', '27', '33', '38', '41', '53', '69', '70', '72', '117', '131', '190', '349']);

/**
 * Faults of its Avro reader come under code 1001, which ClickHouse gives to every exception that is not its own, a full disk included; so they
 * are told by their type. The client can't parse that answer, and hands it over as a plain `Error`.
 */
const isUnreadable = (error: unknown): boolean =>
  error instanceof ClickHouseError
    ? unreadableCodes.has(error.code)
    : error instanceof Error && /type: avro::Exception/.test(error.message);

export const createInsert =
  (clickhouse: ClickHouseClient) =>
  async (messages: readonly StreamMessage[]): Promise<void> => {
    const container = toAvroContainer(messages);
    // The token is the content, sequences included. Rejected: first and last sequence with a count. After a redelivery another batch can have
    // the same three, and ClickHouse would leave it out without a word.
    const token = createHash('sha256');
    for (const part of container) token.update(part);
    try {
      const { stream } = await clickhouse.exec({
        query: insertStatement,
        values: Readable.from(container, { objectMode: false }),
        clickhouse_settings: {
          // Our batches are made here; the server's own buffering and its changing defaults are switched off by name.
          async_insert: 0,
          insert_deduplicate: 1,
          insert_deduplication_token: token.digest('hex'),
          deduplicate_blocks_in_dependent_materialized_views: 1,
          // One block, so one part per month of usage.
          max_insert_block_size: '2000000',
          min_insert_block_size_rows: '2000000',
          max_partitions_per_insert_block: '0',
          // A text that looks like a date or a number is the caller's text: ClickHouse must not guess a type for it.
          input_format_try_infer_dates: 0,
          input_format_try_infer_datetimes: 0,
          input_format_json_try_infer_numbers_from_strings: 0,
          input_format_json_infer_array_of_dynamic_from_array_of_different_types: 0,
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
