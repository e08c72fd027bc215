/** How far totals have come, as who makes them wrote it down: one row of each meter version. */
import type { ClickHouseClient } from '@clickhouse/client';
import { LateError, within } from '#platform/process/clock.ts';
import { readRows } from '#platform/stores/clickhouse.ts';
import { isPassing } from '#platform/stores/retry.ts';
import type { MeterPorts } from './meter-routes.ts';

type Row = { days: string; days_made: string; watermark: string; is_filled: number };

const query = `SELECT toString(days) AS days, toString(days_made) AS days_made, toString(watermark) AS watermark,
    is_filled
  FROM totals_progress WHERE tenant = {tenant:String} AND meter_version = {meterVersion:String}
  ORDER BY written_at DESC LIMIT 1`;

/** A store that hangs is not waited for. */
const answerMsMax = 1_000;

/** A meter is read without the store, too: it is only this that is not known then. */
export const createTotalsProgress =
  (clickhouse: ClickHouseClient): MeterPorts['totalsProgress'] =>
  async (tenant, meterVersion) => {
    let rows: Row[];
    try {
      rows = await within(answerMsMax, readRows<Row>(clickhouse, { query, params: { tenant, meterVersion } }));
    } catch (error) {
      if (!isPassing(error) && !(error instanceof LateError)) throw error;
      return { state: 'unknown' };
    }
    const [row] = rows;
    if (!row) return { state: 'waiting' };
    return {
      state: row.is_filled === 1 ? 'kept' : 'filling',
      days: Number(row.days),
      daysMade: Number(row.days_made),
      watermark: BigInt(row.watermark),
    };
  };
