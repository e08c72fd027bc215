/** How many events of a customer are stored, by month and event. */
import type { ClickHouseClient } from '@clickhouse/client';
import { readRows, whileAvailable } from '#platform/stores/clickhouse.ts';
import { standingCondition } from '../../rater/aggregate/standing.ts';

export type MonthOfEvents = { readonly month: string; readonly event: string; readonly events: bigint };

/** A query that takes longer is ended by the server. */
const queryMsMax = 60_000;

const statement = `
SELECT formatDateTime(occurred_at, '%Y-%m', 'UTC') AS month, event, toString(count()) AS events
FROM usage_events FINAL
WHERE tenant = {tenant:String} AND customer IN {customers:Array(String)} AND stream_sequence <= {watermark:UInt64}
  ${standingCondition({ events: false, start: false, end: false })}
GROUP BY month, event ORDER BY month, event`;

/** What stands at the watermark: twins count once, and what was amended as it is now. */
export const createCountEvents =
  (clickhouse: ClickHouseClient) =>
  async (tenant: string, customers: readonly string[], watermark: bigint): Promise<MonthOfEvents[]> => {
    const rows = await whileAvailable(() =>
      readRows<{ month: string; event: string; events: string }>(clickhouse, {
        query: statement,
        params: { tenant, customers, watermark: watermark.toString() },
        settings: { max_execution_time: queryMsMax / 1000 },
      }),
    );
    return rows.map(({ month, event, events }) => ({ month, event, events: BigInt(events) }));
  };

export type CountEvents = ReturnType<typeof createCountEvents>;
