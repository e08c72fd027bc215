/** Totals as they are kept in the store. */
import type { ClickHouseClient } from '@clickhouse/client';
import { type ClickHouseStatement, readRows } from '#platform/stores/clickhouse.ts';
import type { DaysCount, KeepPorts } from './keep-totals.ts';
import { countStatement, type DuePiece, dueStatement, makeStatement, piecesStatement } from './make-totals.ts';

/** One core of the store at most: whoever asks for usage has the others. */
const aside = { max_threads: 1 } as const;

const changedStatement = `SELECT DISTINCT tenant, event FROM usage_days
  WHERE changed_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC')`;

export const createTotals = (
  clickhouse: ClickHouseClient,
): Pick<KeepPorts, 'readChanged' | 'writeDue' | 'make' | 'forget' | 'countDays' | 'isFilled' | 'writeProgress'> => {
  const run = async ({ query, params, settings }: ClickHouseStatement): Promise<void> => {
    await clickhouse.command({
      query,
      query_params: { ...params },
      clickhouse_settings: { ...settings, ...aside, async_insert: 0, wait_end_of_query: 1 },
    });
  };
  return {
    readChanged: async (sinceMs) => {
      // The time is of before: what changes meanwhile is seen again by the next look.
      const [clock] = await readRows<{ now: string }>(clickhouse, {
        query: "SELECT toString(toUnixTimestamp64Milli(now64(3, 'UTC'))) AS now",
        params: {},
      });
      const events =
        sinceMs === undefined
          ? []
          : await readRows<{ tenant: string; event: string }>(clickhouse, {
              query: changedStatement,
              params: { since: sinceMs },
              settings: aside,
            });
      const tenants = await readRows<{ tenant: string }>(clickhouse, {
        query: 'SELECT DISTINCT tenant FROM usage_days',
        params: {},
        settings: aside,
      });
      return { nowMs: Number(clock?.now), tenants: tenants.map(({ tenant }) => tenant), events };
    },
    writeDue: async (wanted) => {
      const { query, params } = dueStatement(wanted);
      await run({ query, params, settings: { max_partitions_per_insert_block: '0' } });
      const rows = await readRows<Omit<DuePiece, 'events'> & { events: string }>(
        clickhouse,
        piecesStatement(wanted.batch),
      );
      return rows.map((row) => ({ ...row, events: Number(row.events) }));
    },
    countDays: async ({ tenant, meter }) => {
      const [row] = await readRows<Record<keyof DaysCount, string>>(clickhouse, {
        ...countStatement(tenant, meter),
        settings: aside,
      });
      const { days = 0, daysMade = 0, daysMissing = 0 } = row ?? {};
      return { days: Number(days), daysMade: Number(daysMade), daysMissing: Number(daysMissing) };
    },
    isFilled: async ({ tenant, meter }) => {
      const [row] = await readRows<{ filled: number }>(clickhouse, {
        query: `SELECT max(is_filled) AS filled FROM totals_progress
          WHERE tenant = {tenant:String} AND meter_version = {meterVersion:String}`,
        params: { tenant, meterVersion: meter.versionId },
      });
      return row?.filled === 1;
    },
    writeProgress: async ({ tenant, meter }, { days, daysMade, watermark, isFilled }) => {
      await clickhouse.insert({
        table: 'totals_progress',
        values: [
          {
            tenant,
            meter_version: meter.versionId,
            days,
            days_made: daysMade,
            watermark: watermark.toString(),
            is_filled: isFilled ? 1 : 0,
          },
        ],
        format: 'JSONEachRow',
        clickhouse_settings: { async_insert: 0 },
      });
    },
    make: (of, batch, piece) => run(makeStatement(of, batch, piece)),
    forget: (batch) => run({ query: 'ALTER TABLE usage_due DROP PARTITION {batch:String}', params: { batch } }),
  };
};
