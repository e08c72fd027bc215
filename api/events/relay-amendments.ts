/**
 * The outbox of amendments: brings what is committed into the stream, and notes from which sequence on it holds. The
 * order of effects:
 *
 *   1. publish, under the amendment's id, what was not published yet, one amendment of a key at a time;
 *   2. note the sequence that the stream gave;
 *   3. once the store has everything up to there, note the lowest sequence under which it has the amendment: the one from which on it holds for every read.
 *
 * A process may die anywhere in between, and two may do the same at once: a message that is in the stream twice is one
 * row of usage and two voids of the same rows, of which the first counts. What step 3 does not find was lost with the
 * end of the stream, and is published again.
 */
import type { Clock } from '#platform/process/clock.ts';
import type { Db } from '../route/define-route.ts';
import type { AmendmentStream } from './amendments.nats.ts';
import type { AmendmentOutbox, OutboxDb, PendingAmendment } from './amendments.postgres.ts';
import type { StoredEvents } from './events.clickhouse.ts';

export type RelayPorts = {
  readonly clock: Clock;
  /** Organizations with amendments that do not hold yet. */
  readonly organizations: () => Promise<readonly string[]>;
  readonly dbOf: (organizationId: string) => OutboxDb;
  readonly outbox: Pick<AmendmentOutbox, 'pending' | 'published' | 'applied'>;
  readonly publish: AmendmentStream['publish'];
  readonly amendmentSequences: StoredEvents['amendmentSequences'];
  readonly readWatermark: (db: Db) => Promise<bigint>;
  readonly report: (relayed: { readonly published: number; readonly applied: number; readonly lost: number }) => void;
};

const batchMax = 200;
/** What is not in the store by then, though the store is further, is looked for no longer. */
const lostAfterMs = 5_000;

const isLost = ({ publishedSequence, publishedAtMs }: PendingAmendment, watermark: bigint, nowMs: number): boolean =>
  publishedSequence !== undefined && publishedSequence <= watermark && nowMs - (publishedAtMs ?? nowMs) > lostAfterMs;

const relayOf = async (db: OutboxDb, ports: RelayPorts) => {
  const pending = await ports.outbox.pending(db, batchMax);
  const watermark = await ports.readWatermark(db);
  const nowMs = ports.clock.nowMs();
  // 3. First, as what holds now may be what the next one of its key waits for.
  const passed = pending.filter(
    ({ publishedSequence }) => publishedSequence !== undefined && publishedSequence <= watermark,
  );
  const sequences =
    passed.length === 0
      ? new Map<string, bigint>()
      : await ports.amendmentSequences(db.organizationId, passed, watermark);
  if (sequences.size > 0) await ports.outbox.applied(db, sequences, new Date(nowMs));
  const lost = passed.filter((one) => !sequences.has(one.id) && isLost(one, watermark, nowMs));
  const due = [...lost, ...pending.filter(({ publishedSequence }) => publishedSequence === undefined)];
  // 1. and 2. All at once: they are of different keys, of which none waits for another, and the stream writes those
  // together that wait together.
  const answers = await Promise.allSettled(due.map(ports.publish));
  const published = new Map(
    answers.flatMap((answer, at): [string, bigint][] =>
      answer.status === 'fulfilled' ? [[due[at]?.id ?? '', answer.value]] : [],
    ),
  );
  if (published.size > 0) await ports.outbox.published(db, published, new Date(ports.clock.nowMs()));
  for (const answer of answers) if (answer.status === 'rejected') throw answer.reason;
  return { published: due.length, applied: sequences.size, lost: lost.length };
};

/** Relays what is due; resolves with whether anything moved. */
export const createRelay = (ports: RelayPorts) => async (): Promise<boolean> => {
  let moved = false;
  const faults: unknown[] = [];
  for (const organizationId of await ports.organizations()) {
    try {
      const relayed = await relayOf(ports.dbOf(organizationId), ports);
      ports.report(relayed);
      moved ||= relayed.published + relayed.applied > 0;
    } catch (error) {
      // One organization's trouble holds up no other.
      faults.push(error);
    }
  }
  if (faults.length > 0) throw faults[0];
  return moved;
};
