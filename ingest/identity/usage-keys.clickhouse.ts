/** The keys of stored events, their twins, and the records that void these. */
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { ClickHouseClient } from '@clickhouse/client';
import { readRows } from '#platform/stores/clickhouse.ts';
import type { CheckPorts } from './check-identity.ts';
import type { FirstOfDay, Twin } from './find-twins.ts';
import { type KeyRow, type KeyRows, keyColumns, keyRowsFrom } from './key-rows.ts';

/** Two texts of a key take 75 bytes with their quotes; ClickHouse takes 128 KiB in one parameter. */
const keysPerLookUp = 2_000;

const readStatement = `
SELECT ${keyColumns} FROM usage_keys
WHERE stream_sequence > {after:UInt64} AND stream_sequence <= {upTo:UInt64}
ORDER BY stream_sequence LIMIT {rows:UInt32} WITH TIES
FORMAT RowBinary`;

/** The first 64 bits of the digests, as they lie in memory. */
const hashesStatement = `
SELECT toFixedString(substring(key_digest, 1, 8), 8) FROM usage_keys
WHERE stream_sequence > {from:UInt64} AND stream_sequence <= {to:UInt64}
FORMAT RowBinary`;

const factsStatement = `
SELECT toString(uniqExact(reinterpretAsUInt64(substring(key_digest, 1, 8)))) AS hashes,
  toString(toUnixTimestamp64Milli(max(received_at))) AS received_until_ms
FROM usage_keys WHERE stream_sequence > {from:UInt64} AND stream_sequence <= {to:UInt64}`;

const lookUpStatement = `
SELECT tenant, lower(hex(key_digest)) AS digest, toUInt32(toDate(received_at)) AS received_day,
  toString(min(stream_sequence)) AS sequence,
  argMin(tuple(event, customer, toString(payload)), stream_sequence) AS says
FROM usage_keys
WHERE stream_sequence <= {upTo:UInt64} AND (tenant, key_digest) IN (
  SELECT tupleElement(identity, 1), toFixedString(unhex(tupleElement(identity, 2)), 16)
  FROM (SELECT arrayJoin(arrayZip({tenants:Array(String)}, {digests:Array(String)})) AS identity))
GROUP BY tenant, key_digest, received_day`;

type LookUpRow = {
  readonly tenant: string;
  readonly digest: string;
  readonly received_day: number;
  readonly sequence: string;
  readonly says: readonly [event: string, customer: string, payload: string];
};

const fromLookUp = ({
  tenant,
  digest,
  received_day,
  sequence,
  says: [event, customer, payload],
}: LookUpRow): FirstOfDay => ({
  tenant,
  digest,
  event,
  customer,
  receivedDay: received_day,
  sequence: Number(sequence),
  payload: BigInt(payload),
});

const voidStatement = `
INSERT INTO usage_voids (tenant, event, customer, occurred_at, row_digest, row_sequence, void_sequence, reason,
  first_sequence, received_at)
SELECT tenant, event, customer, fromUnixTimestamp64Milli(occurred_at, 'UTC'), toFixedString(unhex(digest), 16),
  sequence, sequence, reason, first_sequence, fromUnixTimestamp64Milli(received_at, 'UTC')
FROM input('tenant String, event String, customer String, occurred_at Int64, digest String, sequence UInt64,
  reason String, first_sequence UInt64, received_at Int64')
FORMAT JSONEachRow`;

const voidLine = ({ row, firstSequence, reason }: Twin): string =>
  `${JSON.stringify({
    tenant: row.tenant,
    event: row.event,
    customer: row.customer,
    occurred_at: row.occurredAtMs,
    digest: row.digest,
    sequence: row.sequence,
    reason,
    first_sequence: firstSequence,
    received_at: row.receivedAtMs,
  })}\n`;

export const createUsageKeys = (clickhouse: ClickHouseClient): CheckPorts['keys'] => ({
  read: async (after, upTo, rowsMax): Promise<KeyRows> => {
    const { stream } = await clickhouse.exec({
      query: readStatement,
      query_params: { after, upTo, rows: rowsMax },
      // Rows that are stored twice and not merged yet come twice; for whoever checks them they are one.
      clickhouse_settings: { wait_end_of_query: 1 },
    });
    return keyRowsFrom(await buffer(stream));
  },

  hashes: async function* ({ from, to }) {
    const { stream } = await clickhouse.exec({
      query: hashesStatement,
      query_params: { from, to },
      // All of it before the first byte: a fault halfway would otherwise look like an end, and the keys behind it like
      // new ones.
      clickhouse_settings: { wait_end_of_query: 1 },
    });
    for await (const piece of stream) yield piece as Buffer;
  },

  facts: async ({ from, to }) => {
    const [row] = await readRows<{ hashes: string; received_until_ms: string }>(clickhouse, {
      query: factsStatement,
      params: { from, to },
    });
    return { hashes: Number(row?.hashes ?? 0), receivedUntilMs: Number(row?.received_until_ms ?? 0) };
  },

  firstsOf: async (rows: readonly KeyRow[], upTo: number): Promise<FirstOfDay[]> => {
    const wanted = [...new Map(rows.map((row) => [`${row.digest} ${row.tenant}`, row])).values()];
    const found: FirstOfDay[] = [];
    for (let from = 0; from < wanted.length; from += keysPerLookUp) {
      const part = wanted.slice(from, from + keysPerLookUp);
      const params = { upTo, tenants: part.map(({ tenant }) => tenant), digests: part.map(({ digest }) => digest) };
      for (const row of await readRows<LookUpRow>(clickhouse, { query: lookUpStatement, params }))
        found.push(fromLookUp(row));
    }
    return found;
  },

  voidTwins: async (twins: readonly Twin[]): Promise<void> => {
    if (twins.length === 0) return;
    const { stream } = await clickhouse.exec({
      query: voidStatement,
      values: Readable.from(twins.map(voidLine), { objectMode: false }),
      // The same rows again are kept once by the table, so nothing has to be remembered of the insert.
      clickhouse_settings: {
        async_insert: 0,
        insert_deduplicate: 0,
        max_partitions_per_insert_block: '0',
        wait_end_of_query: 1,
      },
    });
    await buffer(stream);
  },
});
