/** The keys of stored events, their twins, and the records that void these. */
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { ClickHouseClient } from '@clickhouse/client';
import { readRows } from '#platform/stores/clickhouse.ts';
import type { CheckPorts } from './check-identity.ts';
import type { KeyDay, Said, Twin } from './find-twins.ts';
import { type KeyRow, keyColumns, keyRowsFrom } from './key-rows.ts';
import type { KeySourcePorts } from './key-source.ts';

const readStatement = `
SELECT ${keyColumns} FROM usage_keys
WHERE stream_sequence > {after:UInt64} AND stream_sequence <= {upTo:UInt64}
ORDER BY stream_sequence LIMIT {rows:UInt32} WITH TIES
FORMAT RowBinary`;

const countStatement = `
SELECT toString(count()) AS rows FROM usage_keys
WHERE stream_sequence > {after:UInt64} AND stream_sequence <= {upTo:UInt64}`;

const highestStatement = 'SELECT toString(max(stream_sequence)) AS highest FROM usage_heads';

/** Of a part: the first half of a hash is the first four bytes of the digest, the least significant first. */
const ofRange = `stream_sequence > {from:UInt64} AND stream_sequence <= {to:UInt64} AND ({bits:UInt8} = 0
    OR bitShiftRight(reinterpretAsUInt32(substring(key_digest, 1, 4)), 32 - {bits:UInt8}) = {part:UInt32})`;

/** The first 64 bits of the digests, as they lie in memory. */
const hashesStatement = `
SELECT toFixedString(substring(key_digest, 1, 8), 8) FROM usage_keys WHERE ${ofRange}
FORMAT RowBinary`;

const factsStatement = `
SELECT toString(uniqExact(reinterpretAsUInt64(substring(key_digest, 1, 8)))) AS hashes,
  toString(toUnixTimestamp64Milli(max(received_at))) AS received_until_ms
FROM usage_keys WHERE ${ofRange}`;

const saysOf = 'tuple(toString(stream_sequence), event, customer, toString(payload))';

const lookUpStatement = `
SELECT tenant, lower(hex(key_digest)) AS digest, toUInt32(toDate(received_at)) AS received_day,
  argMin(${saysOf}, stream_sequence) AS first,
  groupUniqArrayIf(${saysOf}, stream_sequence IN (SELECT arrayJoin({sequences:Array(UInt64)}))) AS asked
FROM usage_keys
WHERE stream_sequence <= {upTo:UInt64} AND (tenant, key_digest) IN (
  SELECT tupleElement(identity, 1), toFixedString(unhex(tupleElement(identity, 2)), 16)
  FROM (SELECT arrayJoin(arrayZip({tenants:Array(String)}, {digests:Array(String)})) AS identity))
GROUP BY tenant, key_digest, received_day`;

type Says = readonly [sequence: string, event: string, customer: string, payload: string];

type LookUpRow = {
  readonly tenant: string;
  readonly digest: string;
  readonly received_day: number;
  readonly first: Says;
  readonly asked: readonly Says[];
};

const saidBy = ([sequence, event, customer, payload]: Says): Said => ({
  sequence: Number(sequence),
  event,
  customer,
  payload: BigInt(payload),
});

const fromLookUp = ({ tenant, digest, received_day, first, asked }: LookUpRow): KeyDay => ({
  tenant,
  digest,
  receivedDay: received_day,
  first: saidBy(first),
  asked: asked.map(saidBy),
});

const voidStatement = `
INSERT INTO usage_voids (tenant, event, customer, occurred_at, row_digest, row_sequence, void_sequence, reason,
  first_sequence, received_at)
SELECT tenant, event, customer, fromUnixTimestamp64Milli(occurred_at, 'UTC'), toFixedString(unhex(digest), 16),
  sequence, sequence, reason, first_sequence, fromUnixTimestamp64Milli(received_at, 'UTC')
FROM input('tenant String, event String, customer String, occurred_at Int64, digest String, sequence UInt64,
  reason String, first_sequence UInt64, received_at Int64')
FORMAT JSONEachRow`;

const voidLine = ({ row, said, firstSequence, reason }: Twin): string =>
  `${JSON.stringify({
    tenant: row.tenant,
    event: said.event,
    customer: said.customer,
    occurred_at: row.occurredAtMs,
    digest: row.digest,
    sequence: row.sequence,
    reason,
    first_sequence: firstSequence,
    received_at: row.receivedAtMs,
  })}\n`;

const whole = { bits: 0, part: 0 };

/**
 * `backlogParts`: the keys are sorted by their digest, so each read looks through all that is stored. A long backlog is
 * read in at most so many parts, that it takes a time in proportion to its length; `readMax` bounds the memory of one.
 */
export type ReadLimits = { readonly backlogParts: number; readonly readMax: number };

export const createUsageKeys = (
  clickhouse: ClickHouseClient,
  { backlogParts, readMax }: ReadLimits = { backlogParts: 16, readMax: 4_000_000 },
): CheckPorts['keys'] & KeySourcePorts['store'] => ({
  read: async (after, upTo, rowsMax) => {
    const [waiting] = await readRows<{ rows: string }>(clickhouse, { query: countStatement, params: { after, upTo } });
    const wanted = Math.max(rowsMax, Math.min(readMax, Math.ceil(Number(waiting?.rows ?? 0) / backlogParts)));
    const { stream } = await clickhouse.exec({
      query: readStatement,
      query_params: { after, upTo, rows: wanted },
      // Rows that are stored twice and not merged yet come twice; for whoever checks them they are one.
      clickhouse_settings: { wait_end_of_query: 1 },
    });
    const rows = keyRowsFrom(await buffer(stream));
    return { rows, upTo: rows.count >= wanted ? rows.sequence(rows.count - 1) : upTo };
  },

  doubt: () => {},

  highest: async () => {
    const [row] = await readRows<{ highest: string }>(clickhouse, { query: highestStatement, params: {} });
    return Number(row?.highest ?? 0);
  },

  hashes: async function* ({ from, to }, { bits, part } = whole) {
    const { stream } = await clickhouse.exec({
      query: hashesStatement,
      query_params: { from, to, bits, part },
      // All of it before the first byte: a fault halfway would otherwise look like an end, and the keys behind it like
      // new ones.
      clickhouse_settings: { wait_end_of_query: 1 },
    });
    for await (const piece of stream) yield piece as Buffer;
  },

  facts: async ({ from, to }, { bits, part } = whole) => {
    const [row] = await readRows<{ hashes: string; received_until_ms: string }>(clickhouse, {
      query: factsStatement,
      params: { from, to, bits, part },
    });
    return { hashes: Number(row?.hashes ?? 0), receivedUntilMs: Number(row?.received_until_ms ?? 0) };
  },

  daysOf: async (rows: readonly KeyRow[], upTo: number): Promise<KeyDay[]> => {
    const keys = [...new Map(rows.map((row) => [`${row.digest} ${row.tenant}`, row])).values()];
    const params = {
      upTo,
      tenants: keys.map(({ tenant }) => tenant),
      digests: keys.map(({ digest }) => digest),
      sequences: [...new Set(rows.map(({ sequence }) => sequence))],
    };
    return (await readRows<LookUpRow>(clickhouse, { query: lookUpStatement, params })).map(fromLookUp);
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
