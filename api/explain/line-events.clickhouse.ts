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
import { type LineQuery, stretchOf } from './line-query.ts';

/** A part of the events of a line, newest first. */
export type LineEventsPart = LineQuery & Pick<EventSearch, 'start' | 'end' | 'before' | 'limit'>;

const keyColumns = 'event, customer, occurred_at, key_digest, stream_sequence';

/**
 * The events of a stretch of time as a subquery. PREWHERE, FINAL and whole days as in quantity-query.ts: of the same
 * rows the same ones count.
 */
const countedEvents = ({ tenant, meter, customers, watermark }: LineQuery, { start, end }: Period) => {
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
    AND occurred_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC') AND ${counted}`;
  const params = {
    tenant,
    watermark: watermark.toString(),
    events: [meter.event],
    customers,
    start: days.start,
    end: days.end,
    from: start,
    to: end,
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

export const createLineEvents = (clickhouse: ClickHouseClient) => ({
  page: (part: LineEventsPart): Promise<StoredEvent[]> => {
    const { from, params } = countedEvents(part, part);
    return readStoredEvents(clickhouse, pageStatement(from, part.before !== undefined), {
      ...params,
      limit: part.limit,
      ...(part.before && {
        beforeTime: part.before.occurredAtMs,
        beforeDigest: part.before.digest,
        beforeSequence: part.before.sequence.toString(),
      }),
    });
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
