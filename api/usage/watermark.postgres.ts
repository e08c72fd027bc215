/**
 * Up to which sequence of the stream usage may be read: everything under it is stored, and was held against all that
 * came before it.
 */
import type { Clock } from '#platform/process/clock.ts';
import { readCheckedSequence } from '#platform/stores/checked-sequence.postgres.ts';
import type { Db } from '../route/define-route.ts';

export type ReadWatermark = (db: Db) => Promise<bigint>;

/** 0 where nothing was checked yet. */
export const createReadWatermark =
  (streamName: string): ReadWatermark =>
  (db) =>
    readCheckedSequence(db, streamName);

/** `wanted` is what a caller names as text, where one is named. */
export type RecentWatermark = (db: Db, wanted: string | undefined) => Promise<bigint>;

const recentMs = 100;

/**
 * The watermark of at most 100 ms ago, so that reads that come together are of one moment and can be made together. One
 * that is wanted and higher is looked for anew: a caller may have it from another process.
 */
export const createRecentWatermark = (readWatermark: ReadWatermark, clock: Clock): RecentWatermark => {
  let recent = { watermark: 0n, untilMs: Number.NEGATIVE_INFINITY };
  return async (db, wanted) => {
    const nowMs = clock.nowMs();
    const isReached = wanted === undefined || !/^\d{1,19}$/.test(wanted) || BigInt(wanted) <= recent.watermark;
    if (isReached && nowMs < recent.untilMs) return recent.watermark;
    const watermark = await readWatermark(db);
    recent = { watermark, untilMs: nowMs + recentMs };
    return watermark;
  };
};
