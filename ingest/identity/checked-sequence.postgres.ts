/**
 * Up to which sequence the stored events of a stream are checked: what the checker writes, and what everybody may read
 * up to.
 */
import { readCheckedSequence } from '#platform/stores/checked-sequence.postgres.ts';
import type { Queryable } from '#platform/stores/postgres.ts';
import type { CheckPorts } from './check-identity.ts';

export const createCheckedSequence = (postgres: Queryable, stream: string): CheckPorts['checked'] => ({
  read: async () => Number(await readCheckedSequence(postgres, stream)),
  // Never back: a checker that is behind another one has found the same twins and has nothing to say.
  advance: async (sequence) => {
    await postgres.query(
      `INSERT INTO identity_checks AS c (stream, checked_sequence, checked_at) VALUES ($1, $2, clock_timestamp())
       ON CONFLICT (stream) DO UPDATE SET checked_sequence = excluded.checked_sequence, checked_at = excluded.checked_at
       WHERE c.checked_sequence < excluded.checked_sequence`,
      [stream, BigInt(sequence)],
    );
  },
});
