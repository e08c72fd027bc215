/** Usage that is kept and brought up, over the store. */
import type { ClickHouseClient } from '@clickhouse/client';
import { stopwatch } from '#platform/process/clock.ts';
import { readRows, whileAvailable } from '#platform/stores/clickhouse.ts';
import type { StatementRow } from '../../rater/aggregate/quantity-query.ts';
import { createLiveUsage, type LivePorts, type LiveUsage } from '../../rater/live/live-usage.ts';

const limits = {
  renewedMs: 350,
  oldestMs: 700,
  idleMs: 30_000,
  // About a kilobyte each, where they have a few measures.
  spansMax: 20_000,
  measuresMax: 100,
  measuredMs: 600_000,
} as const;

/** A query that takes longer is ended by the server. */
const queryMsMax = 25_000;

/** `windowDays`: for so many days the identity check knows a key. */
export const createLiveUsageOf = (
  clickhouse: ClickHouseClient,
  windowDays: number,
  report: LivePorts['report'],
): LiveUsage =>
  createLiveUsage(
    { ...limits, windowDays },
    {
      read: (statement) =>
        whileAvailable(() =>
          readRows<StatementRow>(clickhouse, {
            query: statement.query,
            params: statement.params,
            settings: { ...statement.settings, max_execution_time: queryMsMax / 1000 },
          }),
        ),
      elapsedMs: stopwatch(),
      report,
    },
  );
