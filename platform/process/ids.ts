import { randomUUIDv7 } from 'node:crypto';
import type { IdPrefix } from '#schemas/ids.ts';

/**
 * A new id: `inv_01a1fb0cd72275f3...`. UUIDv7, so ids of one kind sort by the time of their making and can't be
 * guessed.
 */
export const newId = <P extends IdPrefix>(prefix: P): `${P}_${string}` =>
  `${prefix}_${randomUUIDv7().replaceAll('-', '')}`;
