/**
 * Closed generations of the identity check in the store: a row for each of their filters, all written with one insert.
 * Two checkers may cut the same range into other numbers of filters: those of one do not go with those of the other.
 */
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { ClickHouseClient } from '@clickhouse/client';
import { readRows } from '#platform/stores/clickhouse.ts';
import { openGeneration, type StoredGeneration } from './key-generation.ts';
import type { KnownKeysPorts } from './known-keys.ts';

const listStatement = `
SELECT toString(from_sequence) AS from, toString(to_sequence) AS to,
  toString(max(toUnixTimestamp64Milli(received_until))) AS received_until_ms,
  segments, toUInt32(uniqExact(segment)) AS stored_segments
FROM key_filters WHERE stream = {stream:String}
GROUP BY from_sequence, to_sequence, segments`;

type ListRow = Readonly<Record<'from' | 'to' | 'received_until_ms', string>> & {
  readonly segments: number;
  readonly stored_segments: number;
};

const readStatement = `
SELECT filter FROM key_filters WHERE stream = {stream:String} AND from_sequence = {from:UInt64}
  AND to_sequence = {to:UInt64} AND segments = {segments:UInt16}
ORDER BY segment LIMIT 1 BY segment
FORMAT RowBinary`;

const saveStatement = `
INSERT INTO key_filters (stream, from_sequence, to_sequence, segment, segments, keys, received_until, filter)
SELECT {stream:String}, {from:UInt64}, {to:UInt64}, segment, {segments:UInt16}, keys,
  fromUnixTimestamp64Milli({received_until:Int64}, 'UTC'), filter
FROM input('segment UInt16, keys UInt64, filter String')
FORMAT RowBinary`;

/** A number as RowBinary has it before a text: seven bits a byte, the least first. */
const lengthBytes = (length: number): Buffer => {
  const bytes: number[] = [];
  let rest = length;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) + 0x80);
  return Buffer.from([...bytes, rest]);
};

const textsIn = (bytes: Buffer): Buffer[] => {
  const texts: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    let length = 0;
    for (let factor = 1; ; factor *= 0x80) {
      const byte = bytes.readUInt8(at++);
      length += (byte & 0x7f) * factor;
      if (byte < 0x80) break;
    }
    texts.push(bytes.subarray(at, at + length));
    at += length;
  }
  return texts;
};

export const createKeyFilters = (clickhouse: ClickHouseClient, stream: string): KnownKeysPorts['filters'] => ({
  list: async () => {
    const rows = await readRows<ListRow>(clickhouse, { query: listStatement, params: { stream } });
    return rows.map(
      (row): StoredGeneration => ({
        from: Number(row.from),
        to: Number(row.to),
        receivedUntilMs: Number(row.received_until_ms),
        segments: row.segments,
        storedSegments: row.stored_segments,
      }),
    );
  },

  read: async (stored) => {
    const { from, to, segments } = stored;
    const { stream: answer } = await clickhouse.exec({
      query: readStatement,
      query_params: { stream, from, to, segments },
      // Rows of a megabyte: not many of them at a time.
      clickhouse_settings: { max_block_size: '16', wait_end_of_query: 1 },
    });
    return openGeneration(stored, textsIn(await buffer(answer)));
  },

  save: async ({ from, to, receivedUntilMs, filters }) => {
    const rows = filters.flatMap(({ keys, bytes }, segment) => {
      const head = Buffer.alloc(10);
      head.writeUInt16LE(segment, 0);
      head.writeBigUInt64LE(BigInt(keys), 2);
      return [head, lengthBytes(bytes.byteLength), Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)];
    });
    const { stream: answer } = await clickhouse.exec({
      query: saveStatement,
      query_params: { stream, from, to, segments: filters.length, received_until: receivedUntilMs },
      values: Readable.from(rows, { objectMode: false }),
      // One block, so that all are there or none. The same again is kept once.
      clickhouse_settings: {
        async_insert: 0,
        insert_deduplicate: 0,
        min_insert_block_size_rows: '65536',
        min_insert_block_size_bytes: '0',
        wait_end_of_query: 1,
      },
    });
    await buffer(answer);
  },
});
