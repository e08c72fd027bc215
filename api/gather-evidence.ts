/**
 * Reads what was answered and what is stored while both go on changing, in an order that makes a difference mean something:
 *
 *   1. the counts of the gateways: an event that is counted was in the stream before;
 *   2. the stream, waiting until the store has what it holds: then that event is stored;
 *   3. the events of the store;
 *   4. its messages. A sink writes events before the message that counts them, so where 3 found more than 4, steps 2 and 4 are done once more: whatever
 *      3 saw has its message by then.
 */
import type { Db } from './define-route.ts';
import type { Hours, IngestCounts } from './ingest-counts.postgres.ts';
import { type Evidence, hasSurplus } from './reconcile.ts';
import type { StoredUsage } from './stored-usage.clickhouse.ts';
import type { StreamSays } from './stream-state.nats.ts';

export type EvidencePorts = {
  readonly ingestCounts: Pick<IngestCounts, 'answeredHours'>;
  readonly storedUsage: Pick<StoredUsage, 'published' | 'distinct'>;
  readonly streamSays: () => Promise<StreamSays>;
};

export const gatherEvidence = async (
  { ingestCounts, storedUsage, streamSays }: EvidencePorts,
  db: Db,
  hours: Hours,
): Promise<Evidence & StreamSays> => {
  const answered = await ingestCounts.answeredHours(db, hours);
  const first = await streamSays();
  const distinct = await storedUsage.distinct(db.organizationId, hours);
  const published = await storedUsage.published(db.organizationId, hours);
  if (!hasSurplus({ published, distinct })) return { answered, distinct, published, ...first };
  const { isSettled } = await streamSays();
  const again = await storedUsage.published(db.organizationId, hours);
  return { answered, distinct, published: again, ...first, isSettled: first.isSettled && isSettled };
};
