/** Up to which sequence of the stream usage may be read: everything under it is stored, and was held against all that came before it. */
import type { Db } from './define-route.ts';

export type ReadWatermark = (db: Db) => Promise<bigint>;

/** 0 where nothing was checked yet. */
export const createReadWatermark =
  (streamName: string): ReadWatermark =>
  async (db) => {
    const { rows } = await db.query<{ checked_sequence: bigint }>('SELECT checked_sequence FROM identity_checks WHERE stream = $1', [
      streamName,
    ]);
    return rows[0]?.checked_sequence ?? 0n;
  };
