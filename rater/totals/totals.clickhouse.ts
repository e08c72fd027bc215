/** Totals as they are kept in the store. */
import type { ClickHouseClient } from '@clickhouse/client';
import { readRows } from '#platform/stores/clickhouse.ts';
import type { KeepPorts } from './keep-totals.ts';
import { dueFromRows, dueStatement, makeStatement } from './make-totals.ts';

/** One core of the store at most: whoever asks for usage has the others. */
const aside = { max_threads: 1 } as const;

const changedStatement = (sinceMs: number | undefined) =>
  sinceMs === undefined
    ? 'SELECT DISTINCT tenant, event FROM usage_days WHERE false'
    : "SELECT DISTINCT tenant, event FROM usage_days WHERE changed_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')";

export const createTotals = (clickhouse: ClickHouseClient): Pick<KeepPorts, 'readChanged' | 'readDue' | 'make'> => ({
  readChanged: async (sinceMs) => {
    // The time is of before: what changes meanwhile is seen again by the next look.
    const [clock] = await readRows<{ now: string }>(clickhouse, {
      query: "SELECT toString(toUnixTimestamp64Milli(now64(3, 'UTC'))) AS now",
      params: {},
    });
    const events = await readRows<{ tenant: string; event: string }>(clickhouse, {
      query: changedStatement(sinceMs),
      params: sinceMs === undefined ? {} : { since: sinceMs },
      settings: aside,
    });
    return { nowMs: Number(clock?.now), events };
  },
  readDue: async (wanted) => dueFromRows(await readRows(clickhouse, { ...dueStatement(wanted), settings: aside })),
  make: async ({ tenant, meter }, watermark, days) => {
    const { query, params, settings } = makeStatement(tenant, meter, watermark, days);
    await clickhouse.command({
      query,
      query_params: { ...params },
      clickhouse_settings: { ...settings, ...aside, wait_end_of_query: 1 },
    });
  },
});
