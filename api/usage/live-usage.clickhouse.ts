/** Usage that is kept and brought up, over the store. */
import type { ClickHouseClient } from '@clickhouse/client';
import { stopwatch } from '#platform/process/clock.ts';
import { createLiveUsage, type LivePorts, type LiveUsage } from '../../rater/live/live-usage.ts';
import { createReadInTime } from './usage.clickhouse.ts';

const limits = {
  renewedMs: 350,
  oldestMs: 700,
  idleMs: 30_000,
  // About a kilobyte each, where they have a few measures.
  spansMax: 20_000,
  measuresMax: 100,
  measuredMs: 600_000,
} as const;

/** `windowDays`: for so many days the identity check knows a key. */
export const createLiveUsageOf = (
  clickhouse: ClickHouseClient,
  windowDays: number,
  report: LivePorts['report'],
): LiveUsage =>
  createLiveUsage(
    { ...limits, windowDays },
    {
      read: createReadInTime(clickhouse),
      elapsedMs: stopwatch(),
      report,
    },
  );
