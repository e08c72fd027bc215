/**
 * The events that a quantity is made of. Nothing of them is stored with the line: they are found again by the condition
 * under which they were counted (rater/aggregate/quantity-query.ts), at the same watermark.
 */
import type { ClickHouseClient } from '@clickhouse/client';
import { readRows, whileAvailable } from '#platform/stores/clickhouse.ts';
import type { Period } from '#schemas/period.ts';
import { createBindings } from '../../rater/aggregate/bindings.ts';
import { countedSql } from '../../rater/aggregate/meter-columns.ts';
import { finalByPartition, wholeDays } from '../../rater/aggregate/quantity-query.ts';
import { standingCondition } from '../../rater/aggregate/standing.ts';
import { type EventSearch, readStoredEvents, rowColumns, type StoredEvent } from '../events/events.clickhouse.ts';
import { newestFirst } from '../events/search-events.ts';
import { type LineQuery, stretchOf } from './line-query.ts';

/** A part of the events of a line, newest first. */
export type LineEventsPart = LineQuery & Pick<EventSearch, 'start' | 'end' | 'before' | 'limit'>;

const keyColumns = 'event, customer, occurred_at, key_digest, stream_sequence';

type Condition = { readonly condition: string; readonly params: Readonly<Record<string, string>> };
const all: Condition = { condition: '', params: {} };

/** Of what counts at the watermark: what did not before. */
const added = (since: bigint): Condition => ({
  condition: 'AND stream_sequence > {since:UInt64}',
  params: { since: since.toString() },
});
/** Of what counted before: what does not at the watermark. Twins counted at neither. */
const removed = (watermark: bigint): Condition => ({
  condition: `AND key_digest IN (SELECT row_digest FROM usage_voids WHERE tenant = {tenant:String}
      AND event IN {events:Array(String)} AND customer IN {customers:Array(String)}
      AND void_sequence > {watermark:UInt64} AND void_sequence <= {now:UInt64} AND row_sequence = 0)`,
  params: { now: watermark.toString() },
});

/**
 * The events of a stretch of time as a subquery. PREWHERE, FINAL and whole days as in quantity-query.ts: of the same
 * rows the same ones count.
 */
const countedEvents = (
  { tenant, meter, customers, watermark }: LineQuery,
  { start, end }: Period,
  more: Condition = all,
) => {
  const bindings = createBindings();
  const counted = countedSql(meter, bindings);
  const days = wholeDays({ start, end });
  const from = `(
    SELECT ${[keyColumns, ...bindings.columns()].join(', ')}
    FROM usage_events FINAL
    PREWHERE tenant = {tenant:String} AND event IN {events:Array(String)} AND customer IN {customers:Array(String)}
      AND occurred_at >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')
      AND occurred_at < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
      AND stream_sequence <= {watermark:UInt64}
    WHERE true ${standingCondition()}
  )
  WHERE occurred_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC')
    AND occurred_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC') AND ${counted} ${more.condition}`;
  const params = {
    tenant,
    watermark: watermark.toString(),
    events: [meter.event],
    customers,
    start: days.start,
    end: days.end,
    from: start,
    to: end,
    ...more.params,
    ...bindings.params(),
  };
  return { from, params };
};

/** A query that takes longer is ended by the server: nobody waits so long for an answer. */
const queryMsMax = 25_000;

const behind = `AND (occurred_at, key_digest, stream_sequence) < (fromUnixTimestamp64Milli({beforeTime:Int64}, 'UTC'),
    toFixedString(unhex({beforeDigest:String}), 16), {beforeSequence:UInt64})`;

const pageStatement = (from: string, isBehind: boolean): string => `
WITH page AS (
  SELECT ${keyColumns} FROM ${from}
  ${isBehind ? behind : ''}
  ORDER BY occurred_at DESC, key_digest DESC, stream_sequence DESC LIMIT {limit:UInt32}
)
SELECT ${rowColumns} FROM usage_events
WHERE tenant = {tenant:String} AND (event, customer, toDate(occurred_at), key_digest) IN (SELECT event, customer,
  toDate(occurred_at), key_digest FROM page)
  AND (key_digest, stream_sequence) IN (SELECT key_digest, stream_sequence FROM page)
FORMAT RowBinary`;

/**
 * The sum of hashes and not their exclusive or, in which an event that is there twice would be as one that is not
 * there. SHA-256 over a text, so that whoever has the list can add it up: digest, blank, sequence.
 */
const summaryStatement = (from: string): string => `
SELECT toString(count()) AS events,
  toString(sum(reinterpretAsUInt256(reverse(SHA256(concat(lower(hex(key_digest)), ' ',
    toString(stream_sequence))))))) AS hash_sum
FROM ${from}`;

type Counted = ReturnType<typeof countedEvents>;

/** As two lists: what came, and what went. */
const changedEvents = (query: LineQuery, since: bigint, stretch: Period): readonly [Counted, Counted] => [
  countedEvents(query, stretch, added(since)),
  countedEvents({ ...query, watermark: since }, stretch, removed(query.watermark)),
];

const readPage = (clickhouse: ClickHouseClient, { from, params }: Counted, part: LineEventsPart) =>
  readStoredEvents(clickhouse, pageStatement(from, part.before !== undefined), {
    ...params,
    limit: part.limit,
    ...(part.before && {
      beforeTime: part.before.occurredAtMs,
      beforeDigest: part.before.digest,
      beforeSequence: part.before.sequence.toString(),
    }),
  });

const readCount = async (clickhouse: ClickHouseClient, { from, params }: Counted): Promise<bigint> => {
  const query = `SELECT toString(count()) AS events FROM ${from}`;
  const settings = { ...finalByPartition, max_execution_time: queryMsMax / 1000 };
  const [row] = await whileAvailable(() => readRows<{ events: string }>(clickhouse, { query, params, settings }));
  return BigInt(row?.events ?? 0);
};

export const createLineEvents = (clickhouse: ClickHouseClient) => ({
  page: async (part: LineEventsPart): Promise<StoredEvent[]> => {
    if (part.since === undefined) return readPage(clickhouse, countedEvents(part, part), part);
    const lists = await Promise.all(
      changedEvents(part, part.since, part).map((counted) => readPage(clickhouse, counted, part)),
    );
    return lists.flat().toSorted(newestFirst).slice(0, part.limit);
  },
  /** How many came, and how many went. */
  changes: async (query: LineQuery, since: bigint): Promise<{ added: bigint; removed: bigint }> => {
    const [came, went] = changedEvents(query, since, stretchOf(query));
    return { added: await readCount(clickhouse, came), removed: await readCount(clickhouse, went) };
  },
  /** How many there are, and the sum of their hashes in hex. */
  summary: async (query: LineQuery): Promise<{ events: bigint; contentHash: string }> => {
    const { from, params } = countedEvents(query, stretchOf(query));
    const statement = {
      query: summaryStatement(from),
      params,
      settings: { ...finalByPartition, max_execution_time: queryMsMax / 1000 },
    };
    const [row] = await whileAvailable(() => readRows<{ events: string; hash_sum: string }>(clickhouse, statement));
    return {
      events: BigInt(row?.events ?? 0),
      contentHash: BigInt(row?.hash_sum ?? 0)
        .toString(16)
        .padStart(64, '0'),
    };
  },
});

export type LineEvents = ReturnType<typeof createLineEvents>;
