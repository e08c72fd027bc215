import { randomUUIDv7 } from 'node:crypto';
import type { IdPrefix } from '#schemas/ids.ts';

/** Where the millisecond ends in the hex digits of a UUIDv7, and where what a process may count within it does. */
const instantEnd = 12;
const countEnd = 16;
const countMax = 0xfff;

/** The millisecond of the newest id, and how many were made in it before. */
const newest = { instant: '', count: 0 };

/**
 * A new id: `inv_01a1fb0cd72275f3...`. UUIDv7, so ids of one kind sort by the time of their making and can't be
 * guessed. Of one process also those of one millisecond do, 4,096 of them: lists break ties by ids, and what is made
 * together stands there in its order (a counter in `rand_a`, RFC 9562, section 6.2, method 1).
 */
export const newId = <P extends IdPrefix>(prefix: P): `${P}_${string}` => {
  const digits = randomUUIDv7().replaceAll('-', '');
  const instant = digits.slice(0, instantEnd);
  newest.count = instant === newest.instant ? Math.min(newest.count + 1, countMax) : 0;
  newest.instant = instant;
  return `${prefix}_${instant}7${newest.count.toString(16).padStart(3, '0')}${digits.slice(countEnd)}`;
};
