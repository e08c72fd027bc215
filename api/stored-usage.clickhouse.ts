/** How much of an organization's usage is in the store, by hour of receipt. */
import type { ClickHouseClient } from '@clickhouse/client';
import { readRows } from '#platform/clickhouse.ts';
import { isPassing, UnavailableError } from '#platform/retry.ts';
import type { Hours, StreamLoss } from './ingest-counts.postgres.ts';

/** Events by the beginning of their hour, in epoch milliseconds. */
export type EventsByHour = ReadonlyMap<number, number>;

const settings = { do_not_merge_across_partitions_select_final: 1 };

const byHour = (events: string, table: string): string => `
SELECT toUnixTimestamp(toStartOfHour(received_at)) AS hour, toFloat64(${events}) AS events FROM ${table} FINAL
WHERE tenant = {tenant:String} AND received_at >= fromUnixTimestamp64Milli({from:Int64}) AND received_at < fromUnixTimestamp64Milli({to:Int64})
GROUP BY hour`;

const published = byHour('sum(events)', 'usage_messages');
const distinct = byHour('count()', 'usage_events');

// A stream that lost its end gives the same sequences again; what is received after the loss was found is another message.
const storedOfLosses = `
SELECT sumForEach(arrayMap((f, t, at) -> toUInt64(stream_sequence BETWEEN f AND t AND received_at <= fromUnixTimestamp64Milli(at)),
  {froms:Array(UInt64)}, {tos:Array(UInt64)}, {ats:Array(Int64)})) AS stored
FROM usage_messages FINAL WHERE tenant = {tenant:String}`;

export const createStoredUsage = (clickhouse: ClickHouseClient) => {
  const read = async <R>(query: string, params: Record<string, unknown>): Promise<R[]> => {
    try {
      return await readRows<R>(clickhouse, { query, params, settings });
    } catch (error) {
      throw isPassing(error) ? new UnavailableError('clickhouse', error) : error;
    }
  };
  const readHours = async (query: string, tenant: string, { from, to }: Hours): Promise<EventsByHour> => {
    const rows = await read<{ hour: number; events: number }>(query, { tenant, from: from.getTime(), to: to.getTime() });
    return new Map(rows.map(({ hour, events }) => [hour * 1_000, events]));
  };
  return {
    /** Events of the messages that reached the store, twins included. */
    published: (tenant: string, hours: Hours) => readHours(published, tenant, hours),
    /** Events that are left where twins are removed, as billing reads them; one that was stored twice counts in the hour of its first copy. */
    distinct: (tenant: string, hours: Hours) => readHours(distinct, tenant, hours),
    /** Of each loss: how many of the organization's messages in it the store has all the same. */
    ofLosses: async (tenant: string, losses: readonly StreamLoss[]): Promise<readonly number[]> => {
      if (losses.length === 0) return [];
      const [row] = await read<{ stored: (number | string)[] }>(storedOfLosses, {
        tenant,
        froms: losses.map((loss) => loss.from_sequence),
        tos: losses.map((loss) => loss.to_sequence),
        ats: losses.map((loss) => loss.detected_at.getTime()),
      });
      return losses.map((_, index) => Number(row?.stored[index] ?? 0));
    },
  };
};

export type StoredUsage = ReturnType<typeof createStoredUsage>;
