/**
 * The outbox of amendments: brings what is committed into the stream, and notes from which sequence on it holds. The
 * order of effects:
 *
 *   1. publish, under the amendment's id, what was not published yet, one amendment of a key at a time;
 *   2. note the sequence that the stream gave;
 *   3. once the store has everything up to there, note the lowest sequence under which it has the amendment: the one
 *      from which on it holds for every read.
 *
 * A process may die anywhere in between. Of several one at a time works for an organization, to save work: a message
 * that is in the stream twice is one row of usage and two voids of the same rows, of which the first counts. What step
 * 3 does not find was lost with the end of the stream, and is published again.
 */
import type { Clock } from '#platform/process/clock.ts';
import type { OrganizationPostgres } from '#platform/stores/postgres.ts';
import type { EventPlace, OutgoingAmendment } from '#schemas/amendment.ts';
import type { AmendmentOutbox, PendingAmendment } from './outbox.postgres.ts';

export type RelayPorts = {
  readonly clock: Clock;
  /** Organizations with amendments that do not hold yet. */
  readonly organizations: () => Promise<readonly string[]>;
  /**
   * Does `work` unless another process is at it for the organization; then it resolves with undefined. `lost` is
   * aborted when another one may be at it from now on.
   */
  readonly alone: <T>(organizationId: string, work: (lost: AbortSignal) => Promise<T>) => Promise<T | undefined>;
  readonly dbOf: (organizationId: string) => OrganizationPostgres;
  readonly outbox: Pick<AmendmentOutbox, 'pending' | 'published' | 'applied'>;
  /** Resolves with the sequence of a message that is durable. */
  readonly publish: (amendment: OutgoingAmendment) => Promise<bigint>;
  /** The lowest sequence that the store has of each, up to the watermark. */
  readonly appliedSequences: (
    organizationId: string,
    amendments: readonly { readonly id: string; readonly removed: readonly EventPlace[] }[],
    watermark: bigint,
  ) => Promise<ReadonlyMap<string, bigint>>;
  /** Up to which sequence the store has everything, checked. */
  readonly readWatermark: () => Promise<bigint>;
  readonly report: (relayed: { readonly published: number; readonly applied: number; readonly lost: number }) => void;
};

const batchMax = 200;
/** What is not in the store by then, though the store is further, is looked for no longer. */
const lostAfterMs = 5_000;

const isLost = ({ publishedSequence, publishedAtMs }: PendingAmendment, watermark: bigint, nowMs: number): boolean =>
  publishedSequence !== undefined && publishedSequence <= watermark && nowMs - (publishedAtMs ?? nowMs) > lostAfterMs;

const relayOf = async (db: OrganizationPostgres, ports: RelayPorts, lost: AbortSignal) => {
  const pending = await ports.outbox.pending(db, batchMax);
  const watermark = await ports.readWatermark();
  const nowMs = ports.clock.nowMs();
  // 3. First, as what holds now may be what the next one of its key waits for.
  const passed = pending.filter(
    ({ publishedSequence }) => publishedSequence !== undefined && publishedSequence <= watermark,
  );
  const sequences =
    passed.length === 0
      ? new Map<string, bigint>()
      : await ports.appliedSequences(db.organizationId, passed, watermark);
  lost.throwIfAborted();
  if (sequences.size > 0) await ports.outbox.applied(db, sequences, new Date(nowMs));
  const gone = passed.filter((one) => !sequences.has(one.id) && isLost(one, watermark, nowMs));
  const due = [...gone, ...pending.filter(({ publishedSequence }) => publishedSequence === undefined)];
  lost.throwIfAborted();
  // 1. and 2. All at once: they are of different keys, of which none waits for another, and the stream writes those
  // together that wait together.
  const answers = await Promise.allSettled(due.map(ports.publish));
  const published = new Map(
    answers.flatMap((answer, at): [string, bigint][] =>
      answer.status === 'fulfilled' ? [[due[at]?.id ?? '', answer.value]] : [],
    ),
  );
  // Even where the lock was lost meanwhile: what is noted is not published once more.
  if (published.size > 0) await ports.outbox.published(db, published, new Date(ports.clock.nowMs()));
  for (const answer of answers) if (answer.status === 'rejected') throw answer.reason;
  return { published: due.length, applied: sequences.size, lost: gone.length };
};

/** Between two looks at what is on its way: the first soon, as most hold within a second, and later ones less often. */
export const lookMsMin = 50;
const lookMsMax = 1_000;
const lookMsMore = 5;
/** Who commits an amendment wakes the relay. A notice that was missed costs this much. */
const idleMs = 5_000;

/** Relays what is due; resolves with true where anything moved, or in how many milliseconds to look again. */
export const createRelay = (ports: RelayPorts) => {
  let fruitless = 0;
  return async (): Promise<true | number> => {
    let moved = false;
    const faults: unknown[] = [];
    const organizations = await ports.organizations();
    for (const organizationId of organizations) {
      try {
        const relayed = await ports.alone(organizationId, (lost) => relayOf(ports.dbOf(organizationId), ports, lost));
        if (!relayed) continue;
        ports.report(relayed);
        moved ||= relayed.published + relayed.applied > 0;
      } catch (error) {
        // One organization's trouble holds up no other.
        faults.push(error);
      }
    }
    if (faults.length > 0) throw faults[0];
    fruitless = moved || organizations.length === 0 ? 0 : fruitless + 1;
    if (moved) return true;
    return organizations.length === 0 ? idleMs : Math.min(lookMsMin + (fruitless - 1) * lookMsMore, lookMsMax);
  };
};
