/** Single events in the store: by key, by what they say, and why one does not count. */
import { buffer } from 'node:stream/consumers';
import type { ClickHouseClient } from '@clickhouse/client';
import { readRows, whileAvailable } from '#platform/stores/clickhouse.ts';
import type { EventPlace } from '#schemas/amendment.ts';
import { placeParams, placesSql, runsOfPlaces } from '#schemas/event-places.ts';
import { fromRows, type UsageEvent } from '#schemas/usage-event.ts';

/** ClickHouse takes 128 KiB in a parameter; a digest is 32 characters there. */
const digestsPerParameter = 3_000;

/** The digests as a subquery, in as many parameters as they need. */
const digestsOf = (digests: readonly string[]): { readonly sql: string; readonly params: Record<string, string> } => {
  const params: Record<string, string> = {};
  for (let from = 0; from < digests.length; from += digestsPerParameter)
    params[`digests${from}`] = digests.slice(from, from + digestsPerParameter).join('');
  // Hex digits without anything between them: a third shorter than an array of texts, as it travels in a URL.
  const lists = Object.keys(params).map((name) => `extractAll({${name}:String}, '.{32}')`);
  return { sql: `(SELECT toFixedString(unhex(arrayJoin(arrayConcat([], ${lists.join(', ')}))), 16))`, params };
};

export type KnownKey = { readonly digest: string; readonly sequence: bigint; readonly receivedAtMs: number };

type KnownRow = Record<'digest' | 'sequence' | 'received_at_ms', string>;

const knownStatement = (digests: string): string => `
SELECT lower(hex(key_digest)) AS digest, toString(min(stream_sequence)) AS sequence,
  toString(toUnixTimestamp64Milli(argMin(received_at, stream_sequence))) AS received_at_ms
FROM usage_keys WHERE tenant = {tenant:String} AND key_digest IN ${digests} GROUP BY key_digest`;

/** A row of a key, twins included, as it came with the stream. */
export type KeyRow = Omit<EventPlace, 'digest'> & {
  readonly digest: string;
  readonly sequence: bigint;
  readonly receivedAtMs: number;
};

type StoredKeyRow = Record<'digest' | 'sequence' | 'event' | 'customer' | 'occurred_at_ms' | 'received_at_ms', string>;

const keyRowsStatement = (digests: string): string => `
SELECT DISTINCT lower(hex(key_digest)) AS digest, toString(stream_sequence) AS sequence, event, customer,
  toString(toUnixTimestamp64Milli(occurred_at)) AS occurred_at_ms,
  toString(toUnixTimestamp64Milli(received_at)) AS received_at_ms
FROM usage_keys WHERE tenant = {tenant:String} AND key_digest IN ${digests} ORDER BY toUInt64(sequence)`;

/** Why a row does not count. `rowSequence` is 0 where every row of the digest is meant. */
export type EventVoid = {
  readonly digest: string;
  readonly rowSequence: bigint;
  readonly voidSequence: bigint;
  readonly reason: string;
  readonly firstSequence: bigint;
  readonly amendmentId: string;
};

type StoredVoid = Record<
  'digest' | 'row_sequence' | 'void_sequence' | 'reason' | 'first_sequence' | 'amendment_id',
  string
>;

// The columns are named by their table: an alias of the same name, a text, would be compared otherwise.
const voidsStatement = (digests: string): string => `
SELECT lower(hex(v.row_digest)) AS digest, toString(v.row_sequence) AS row_sequence,
  toString(v.void_sequence) AS void_sequence, v.reason AS reason,
  toString(v.first_sequence) AS first_sequence, v.amendment_id AS amendment_id
FROM usage_voids AS v FINAL
WHERE v.tenant = {tenant:String} AND v.row_digest IN ${digests} AND v.void_sequence <= {watermark:UInt64}
  AND v.occurred_at >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')
  AND v.occurred_at <= fromUnixTimestamp64Milli({end:Int64}, 'UTC')
ORDER BY v.void_sequence`;

/** The columns of a row as `fromRows` reads them. */
export const rowColumns =
  'stream_sequence, occurred_at, received_at, tenant, idempotency_key, event, customer, properties';

const placesStatement = `
SELECT ${rowColumns} FROM usage_events
WHERE tenant = {tenant:String} AND (event, customer, toDate(occurred_at), key_digest) IN ${placesSql}
FORMAT RowBinary`;

const messagesStatement = `
SELECT toString(stream_sequence) AS sequence, toString(toUnixTimestamp64Milli(min(stored_at))) AS stored_at_ms,
  max(is_backfill) AS is_backfill
FROM usage_messages
WHERE tenant = {tenant:String} AND received_at = fromUnixTimestamp64Milli({receivedAt:Int64}, 'UTC')
  AND stream_sequence = {sequence:UInt64}
GROUP BY stream_sequence`;

export type EventSearch = {
  readonly tenant: string;
  readonly watermark: bigint;
  /** Half-open. */
  readonly start: number;
  readonly end: number;
  readonly event: string | undefined;
  /** Names that its customer goes by. */
  readonly customers: readonly string[] | undefined;
  /** The last row of the page before. */
  readonly before: { readonly occurredAtMs: number; readonly digest: string; readonly sequence: bigint } | undefined;
  readonly limit: number;
};

const dayMs = 86_400_000;

/**
 * Newest first. Which rows, is found without their properties, and these are then read of those rows alone. FINAL has
 * to see whole days (quantity-query.ts), so the exact bounds are tested outside of it.
 */
const searchStatement = ({ event, customers, before }: EventSearch): string => {
  const of = [
    'tenant = {tenant:String}',
    ...(event === undefined ? [] : ['event = {event:String}']),
    ...(customers === undefined ? [] : ['customer IN {customers:Array(String)}']),
    `occurred_at >= fromUnixTimestamp64Milli({startDay:Int64}, 'UTC')
      AND occurred_at < fromUnixTimestamp64Milli({endDay:Int64}, 'UTC')`,
    'stream_sequence <= {watermark:UInt64}',
  ].join(' AND ');
  const behind = before
    ? `AND (occurred_at, key_digest, stream_sequence) < (fromUnixTimestamp64Milli({beforeTime:Int64}, 'UTC'),
        toFixedString(unhex({beforeDigest:String}), 16), {beforeSequence:UInt64})`
    : '';
  return `
WITH page AS (
  SELECT event, customer, occurred_at, key_digest, stream_sequence
  FROM (SELECT event, customer, occurred_at, key_digest, stream_sequence FROM usage_events FINAL WHERE ${of})
  WHERE occurred_at >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')
    AND occurred_at < fromUnixTimestamp64Milli({end:Int64}, 'UTC') ${behind}
  ORDER BY occurred_at DESC, key_digest DESC, stream_sequence DESC LIMIT {limit:UInt32}
)
SELECT ${rowColumns} FROM usage_events
WHERE tenant = {tenant:String}
  AND (event, customer, toDate(occurred_at), key_digest) IN (
    SELECT event, customer, toDate(occurred_at), key_digest FROM page)
  AND (key_digest, stream_sequence) IN (SELECT key_digest, stream_sequence FROM page)
FORMAT RowBinary`;
};

export type StoredEvent = { readonly event: UsageEvent; readonly sequence: bigint };

/** A row that is stored twice, and not merged yet, once. */
const onceEach = (rows: readonly StoredEvent[]): StoredEvent[] => [
  ...new Map(rows.map((row) => [`${row.sequence} ${row.event.idempotencyKey}`, row])).values(),
];

/** The rows that a statement gives, which selects `rowColumns` and ends with `FORMAT RowBinary`. */
export const readStoredEvents = (
  clickhouse: ClickHouseClient,
  query: string,
  query_params: Record<string, unknown>,
): Promise<StoredEvent[]> =>
  whileAvailable(async () => {
    const settings = { do_not_merge_across_partitions_select_final: 1, wait_end_of_query: 1 } as const;
    const { stream } = await clickhouse.exec({ query, query_params, clickhouse_settings: settings });
    return onceEach(fromRows(await buffer(stream)));
  });

export const createStoredEvents = (clickhouse: ClickHouseClient) => {
  const read = <R>(query: string, params: Record<string, unknown>): Promise<R[]> =>
    whileAvailable(() => readRows<R>(clickhouse, { query, params }));
  const readEvents = (query: string, params: Record<string, unknown>): Promise<StoredEvent[]> =>
    readStoredEvents(clickhouse, query, params);
  return {
    /** The first row of each key that is stored; at most 10,000 digests, in hex. */
    known: async (tenant: string, digests: readonly string[]): Promise<KnownKey[]> => {
      const { sql, params } = digestsOf(digests);
      const rows = await read<KnownRow>(knownStatement(sql), { tenant, ...params });
      return rows.map(({ digest, sequence, received_at_ms }) => ({
        digest,
        sequence: BigInt(sequence),
        receivedAtMs: Number(received_at_ms),
      }));
    },
    /** Every row of these keys, in the order of the stream. */
    keyRows: async (tenant: string, digests: readonly string[]): Promise<KeyRow[]> => {
      const { sql, params } = digestsOf(digests);
      const rows = await read<StoredKeyRow>(keyRowsStatement(sql), { tenant, ...params });
      return rows.map(({ digest, sequence, event, customer, occurred_at_ms, received_at_ms }) => ({
        digest,
        sequence: BigInt(sequence),
        event,
        customer,
        occurredAtMs: Number(occurred_at_ms),
        receivedAtMs: Number(received_at_ms),
      }));
    },
    /**
     * The voids of rows of these digests that occurred between the two times, at the watermark, in the order in which
     * they came to hold.
     */
    voids: async (
      tenant: string,
      digests: readonly string[],
      span: { start: number; end: number },
      watermark: bigint,
    ): Promise<EventVoid[]> => {
      if (digests.length === 0) return [];
      const { sql, params } = digestsOf(digests);
      const rows = await read<StoredVoid>(voidsStatement(sql), {
        tenant,
        watermark: watermark.toString(),
        ...span,
        ...params,
      });
      return rows.map(({ digest, reason, amendment_id: amendmentId, ...row }) => ({
        digest,
        reason,
        amendmentId,
        rowSequence: BigInt(row.row_sequence),
        voidSequence: BigInt(row.void_sequence),
        firstSequence: BigInt(row.first_sequence),
      }));
    },
    /** Every stored row at these places, properties and all. */
    rowsAt: async (tenant: string, places: readonly EventPlace[]): Promise<StoredEvent[]> => {
      const found: StoredEvent[] = [];
      for (const run of runsOfPlaces(places))
        found.push(...(await readEvents(placesStatement, { tenant, ...placeParams(run) })));
      return found;
    },
    /** One page, newest first. */
    search: async (search: EventSearch): Promise<StoredEvent[]> => {
      const { tenant, watermark, start, end, event, customers, before, limit } = search;
      const rows = await readEvents(searchStatement(search), {
        tenant,
        watermark: watermark.toString(),
        start,
        end,
        limit,
        startDay: Math.floor(start / dayMs) * dayMs,
        endDay: Math.ceil(end / dayMs) * dayMs,
        ...(event === undefined ? {} : { event }),
        ...(customers === undefined ? {} : { customers }),
        ...(before && {
          beforeTime: before.occurredAtMs,
          beforeDigest: before.digest,
          beforeSequence: before.sequence.toString(),
        }),
      });
      return rows;
    },
    /** When the message of an event was stored, and whether it was a backfill. */
    message: async (tenant: string, receivedAtMs: number, sequence: bigint) => {
      const [row] = await read<{ stored_at_ms: string; is_backfill: number }>(messagesStatement, {
        tenant,
        receivedAt: receivedAtMs,
        sequence: sequence.toString(),
      });
      return row && { storedAtMs: Number(row.stored_at_ms), isBackfill: row.is_backfill === 1 };
    },
  };
};

export type StoredEvents = ReturnType<typeof createStoredEvents>;
