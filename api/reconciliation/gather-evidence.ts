/**
 * Reads what was answered and what is stored while both go on changing, in an order that makes a difference mean
 * something:
 *
 *   1. the counts of the gateways: an event that is counted was in the stream before;
 *   2. the stream, waiting until the store has what it holds: then that event is stored;
 *   3. how far the identity check has come: up to there nothing of the store changes any more, in whatever order it is
 *      read;
 *   4. the events of the store;
 *   5. its messages. A sink writes events before the message that counts them, so where 4 found more than 5, steps 2
 *      and 5 are done once more: whatever 4 saw has its message by then;
 *   6. what is void, and on which invoices the events are.
 */

import type { Db } from '../route/define-route.ts';
import type { ReadWatermark } from '../usage/watermark.postgres.ts';
import { countFates, type FatePorts } from './count-fates.ts';
import type { Hours, IngestCounts } from './ingest-counts.postgres.ts';
import { type Evidence, hasSurplus } from './reconcile.ts';
import type { StoredUsage } from './stored-usage.clickhouse.ts';
import type { StreamSays } from './stream-state.nats.ts';

export type EvidencePorts = FatePorts & {
  readonly ingestCounts: Pick<IngestCounts, 'answeredHours'>;
  readonly storedUsage: Pick<StoredUsage, 'published' | 'distinct' | 'voids'>;
  readonly readWatermark: ReadWatermark;
  readonly streamSays: () => Promise<StreamSays>;
};

export type Gathered = Evidence & StreamSays & { readonly watermark: bigint };

export const gatherEvidence = async (ports: EvidencePorts, db: Db, hours: Hours): Promise<Gathered> => {
  const { ingestCounts, storedUsage, streamSays } = ports;
  const of = db.organizationId;
  const answered = await ingestCounts.answeredHours(db, hours);
  const first = await streamSays();
  const watermark = await ports.readWatermark(db);
  const distinct = await storedUsage.distinct(of, hours, watermark);
  let published = await storedUsage.published(of, hours, watermark);
  let { isSettled } = first;
  if (hasSurplus({ published, distinct })) {
    isSettled &&= (await streamSays()).isSettled;
    published = await storedUsage.published(of, hours, watermark);
  }
  const voids = await storedUsage.voids(of, hours, watermark);
  const fates = await countFates(ports, db, hours, watermark);
  return { answered, published, distinct, voids, fates, watermark, deadLetters: first.deadLetters, isSettled };
};
