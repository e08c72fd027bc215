import type { Queryable } from './postgres.ts';

/** Up to which sequence of the stream everything is stored and checked; 0 where nothing was checked yet. */
export const readCheckedSequence = async (db: Pick<Queryable, 'query'>, stream: string): Promise<bigint> => {
  const { rows } = await db.query<{ checked_sequence: bigint }>(
    'SELECT checked_sequence FROM identity_checks WHERE stream = $1',
    [stream],
  );
  return rows[0]?.checked_sequence ?? 0n;
};
