/** Keeps totals of meters as a rater does, at once: of days that need not rest, in small pieces. */
import { randomUUID } from 'node:crypto';
import type { ClickHouseClient } from '@clickhouse/client';
import { stopwatch } from '#platform/process/clock.ts';
import { createKeepTotals, type KeptMeter } from '../../rater/totals/keep-totals.ts';
import { createTotals } from '../../rater/totals/totals.clickhouse.ts';

/** Dies behind some pieces where it is told to; resolves with how many days were made. */
export const keepTotals = async (
  clickhouse: ClickHouseClient,
  meters: readonly KeptMeter[],
  checked: number,
  piecesMax = 1_000,
): Promise<number> => {
  let [days, pieces] = [0, 0];
  const work = createKeepTotals(
    { quietMs: { over: 0, running: 0 }, daysMax: 20, eventsMax: 10 },
    {
      ...createTotals(clickhouse),
      readChecked: async () => BigInt(checked),
      readMeters: async () => meters,
      newBatch: randomUUID,
      report: {
        made: (piece) => {
          days += piece.days;
          pieces += 1;
        },
        waiting: () => {},
        filling: () => {},
      },
      stopwatch,
    },
  );
  while (pieces < piecesMax && (await work()) !== false);
  return days;
};
