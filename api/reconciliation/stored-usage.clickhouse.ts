/** How much of an organization's usage is in the store, by hour of receipt. */
import type { ClickHouseClient } from '@clickhouse/client';
import { readRows, whileAvailable } from '#platform/stores/clickhouse.ts';
import type { FateRow, FateStatement } from '../events/fate-query.ts';
import type { Hours, StreamLoss } from './ingest-counts.postgres.ts';

/** Counts by the beginning of their hour, in epoch milliseconds. */
export type ByHour<N extends string> = ReadonlyMap<number, Readonly<Record<N, number>>>;

/** `checked`: of these, those up to the watermark. */
export type PublishedByHour = ByHour<'events' | 'checked' | 'backfilled'>;
export type DistinctByHour = ByHour<'events' | 'checked'>;
/**
 * Later events of a key that was used before, with the same payload and with another one. Amendments that void an
 * event, and that replace one.
 */
export type VoidsByHour = ByHour<'twins' | 'conflicts' | 'voided' | 'replaced'>;

const settings = { do_not_merge_across_partitions_select_final: 1 };

const hour = 'toUnixTimestamp(toStartOfHour(received_at)) AS hour';
const inSpan = `received_at >= fromUnixTimestamp64Milli({from:Int64}, 'UTC')
  AND received_at < fromUnixTimestamp64Milli({to:Int64}, 'UTC')`;
const ofTenant = `tenant = {tenant:String} AND ${inSpan}`;

const published = `
SELECT ${hour}, toFloat64(sum(m.events)) AS events,
  toFloat64(sumIf(m.events, stream_sequence <= {watermark:UInt64})) AS checked,
  toFloat64(sumIf(m.events, is_backfill = 1)) AS backfilled
FROM usage_messages AS m FINAL WHERE ${ofTenant} GROUP BY hour`;

// The identity check made every later event of a key void. What it has not come to yet counts as distinct, for the
// second that this takes.
const distinct = `
SELECT ${hour}, toFloat64(count()) AS events, toFloat64(countIf(stream_sequence <= {watermark:UInt64})) AS checked
FROM usage_keys FINAL
WHERE ${ofTenant} AND (key_digest, stream_sequence) NOT IN (
  SELECT row_digest, row_sequence FROM usage_voids WHERE tenant = {tenant:String} AND row_sequence > 0
    AND void_sequence <= {watermark:UInt64})
GROUP BY hour`;

// An amendment may come twice, when nobody knew that the stream had it; the first one counts.
const voids = `
SELECT hour, toFloat64(countIf(reason = 'twin')) AS twins, toFloat64(countIf(reason = 'conflict')) AS conflicts,
  toFloat64(countIf(reason = 'voided')) AS voided, toFloat64(countIf(reason = 'replaced')) AS replaced
FROM (
  SELECT reason, toUnixTimestamp(toStartOfHour(argMin(received_at, void_sequence))) AS hour
  FROM usage_voids WHERE ${ofTenant} AND void_sequence <= {watermark:UInt64}
  GROUP BY reason, row_digest, row_sequence, amendment_id
) GROUP BY hour`;

const customerNames = `
SELECT DISTINCT customer FROM usage_events PREWHERE ${inSpan}
WHERE tenant = {tenant:String} AND stream_sequence <= {watermark:UInt64} LIMIT {limit:UInt32}`;

// A stream that lost its end gives the same sequences again; what is received after the loss was found is another
// message.
const storedOfLosses = `
SELECT sumForEach(arrayMap((f, t, at) ->
    toUInt64(stream_sequence BETWEEN f AND t AND received_at <= fromUnixTimestamp64Milli(at)),
  {froms:Array(UInt64)}, {tos:Array(UInt64)}, {ats:Array(Int64)})) AS stored
FROM usage_messages FINAL
PREWHERE stream_sequence BETWEEN {from:UInt64} AND {to:UInt64} AND received_at <= fromUnixTimestamp64Milli({at:Int64})
WHERE tenant = {tenant:String}`;

type HourRow<N extends string> = { readonly hour: number } & Readonly<Record<N, number>>;

export const createStoredUsage = (clickhouse: ClickHouseClient) => {
  const read = <R>(
    query: string,
    params: Record<string, unknown>,
    more: Readonly<Record<string, string | number>> = {},
  ): Promise<R[]> =>
    whileAvailable(() => readRows<R>(clickhouse, { query, params, settings: { ...settings, ...more } }));
  const readHours = async <N extends string>(
    query: string,
    tenant: string,
    { from, to }: Hours,
    watermark: bigint,
  ): Promise<ByHour<N>> => {
    const params = { tenant, from: from.getTime(), to: to.getTime(), watermark: watermark.toString() };
    const rows = await read<HourRow<N>>(query, params);
    return new Map(rows.map((row) => [row.hour * 1_000, row]));
  };
  return {
    /** Events of the messages that reached the store, twins included. */
    published: (tenant: string, hours: Hours, watermark: bigint): Promise<PublishedByHour> =>
      readHours(published, tenant, hours, watermark),
    /**
     * Events by their keys, without the later ones of a key; one that was stored twice counts in the hour of its first
     * copy.
     */
    distinct: (tenant: string, hours: Hours, watermark: bigint): Promise<DistinctByHour> =>
      readHours(distinct, tenant, hours, watermark),
    /** What is void up to the watermark: later events of a key by their receipt, amendments by theirs. */
    voids: (tenant: string, hours: Hours, watermark: bigint): Promise<VoidsByHour> =>
      readHours(voids, tenant, hours, watermark),
    /** The customers that events were received for, as the events name them. */
    customerNames: async (
      tenant: string,
      { from, to }: Hours,
      watermark: bigint,
      limit: number,
    ): Promise<readonly string[]> => {
      const params = { tenant, from: from.getTime(), to: to.getTime(), watermark: watermark.toString(), limit };
      return (await read<{ customer: string }>(customerNames, params)).map(({ customer }) => customer);
    },
    fates: ({ query, params, settings: own }: FateStatement): Promise<readonly FateRow[]> =>
      read<FateRow>(query, params, own),
    /** Of each loss: how many of the organization's messages in it the store has all the same. */
    ofLosses: async (tenant: string, losses: readonly StreamLoss[]): Promise<readonly number[]> => {
      if (losses.length === 0) return [];
      const [row] = await read<{ stored: (number | string)[] }>(storedOfLosses, {
        tenant,
        froms: losses.map((loss) => loss.fromSequence),
        tos: losses.map((loss) => loss.toSequence),
        ats: losses.map((loss) => loss.detectedAt),
        from: losses.map((loss) => loss.fromSequence).toSorted((a, b) => Number(a - b))[0],
        to: losses.map((loss) => loss.toSequence).toSorted((a, b) => Number(b - a))[0],
        at: Math.max(...losses.map((loss) => loss.detectedAt)),
      });
      return losses.map((_, index) => Number(row?.stored[index] ?? 0));
    },
  };
};

export type StoredUsage = ReturnType<typeof createStoredUsage>;
