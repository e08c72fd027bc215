/**
 * What this process answered, per organization and hour of receipt: the first stage of conservation [I11]. Totals since
 * the process began, so that writing them down twice counts once. Pure: times are arguments.
 *
 * `accepted - repeated` is never more than what the stream took. An event is accepted with a message that the stream
 * acknowledged; each message that the stream stored was acknowledged once as new, and every further time as one that it
 * had already, which is `repeated`.
 */
import { originOfMessage, receivedAtOf } from '#schemas/usage-event.ts';
import type { EventBlock } from '../parse/event-block.ts';
import type { Counts } from './answer.ts';

type IngestTotals = {
  readonly received: number;
  readonly accepted: number;
  readonly repeated: number;
  readonly duplicates: number;
  readonly conflicts: number;
  readonly rejected: number;
  /** Unavailable or in flight: the caller was told to send them again. */
  readonly notFinal: number;
};

export type IngestCount = IngestTotals & { readonly organizationId: string; readonly hourMs: number };

type Pair = {
  readonly organizationId: string;
  readonly hourMs: number;
  readonly totals: { -readonly [K in keyof IngestTotals]: number };
};

export type Conservation = {
  /**
   * A request that is answered now. It counts in the hour that its rows bear, which is a later one than its own where
   * it was taken together with others.
   */
  readonly count: (block: EventBlock, receivedAtMs: number, counts: Counts) => void;
  /** A message that the stream had already. */
  readonly countRepeated: (body: Buffer) => void;
  /** Up to `countsMax` totals that changed since they were written. */
  readonly changed: (countsMax: number) => readonly IngestCount[];
  /** These were written. What is older than two hours is forgotten. */
  readonly written: (counts: readonly IngestCount[], nowMs: number) => void;
};

export const hourMs = 3_600_000;

/** So long after its hour began nothing is received in it any more. */
const keptMs = 2 * hourMs;

/**
 * Pairs that wait while PostgreSQL can't write; some 20 MB. Further ones are left out: their hour then shows less
 * accepted than the store has, which is never taken for a loss.
 */
const pairsMax = 50_000;

export const createConservation = (): Conservation => {
  const pairs = new Map<string, Pair>();
  const unwritten = new Set<string>();
  const totalsOf = (organizationId: string, receivedAtMs: number): Pair['totals'] | undefined => {
    const hour = receivedAtMs - (receivedAtMs % hourMs);
    const key = `${hour} ${organizationId}`;
    let pair = pairs.get(key);
    if (!pair) {
      if (pairs.size >= pairsMax) return undefined;
      const totals = { received: 0, accepted: 0, repeated: 0, duplicates: 0, conflicts: 0, rejected: 0, notFinal: 0 };
      pair = { organizationId, hourMs: hour, totals };
      pairs.set(key, pair);
    }
    unwritten.add(key);
    return pair.totals;
  };
  return {
    count: ({ tenant, rows }, receivedAtMs, counts) => {
      const totals = totalsOf(tenant, rows.length > 0 ? receivedAtOf(rows) : receivedAtMs);
      if (!totals) return;
      const rejected = counts.invalid + counts.too_old + counts.in_future;
      const notFinal = counts.unavailable + counts.in_flight;
      totals.received += counts.accepted + counts.duplicate + counts.conflict + rejected + notFinal;
      totals.accepted += counts.accepted;
      totals.duplicates += counts.duplicate;
      totals.conflicts += counts.conflict;
      totals.rejected += rejected;
      totals.notFinal += notFinal;
    },
    countRepeated: (body) => {
      const { tenant, receivedAtMs, events } = originOfMessage(body);
      const totals = totalsOf(tenant, receivedAtMs);
      if (totals) totals.repeated += events;
    },
    changed: (countsMax) =>
      [...unwritten.values().take(countsMax)].map((key) => {
        const { organizationId, hourMs: hour, totals } = pairs.get(key) as Pair;
        return { organizationId, hourMs: hour, ...totals };
      }),
    written: (counts, nowMs) => {
      for (const { organizationId, hourMs: hour, received, repeated } of counts) {
        const key = `${hour} ${organizationId}`;
        const totals = pairs.get(key)?.totals;
        // What came while it was written is written next time.
        if (totals?.received === received && totals.repeated === repeated) unwritten.delete(key);
      }
      for (const [key, pair] of pairs) if (pair.hourMs < nowMs - keptMs && !unwritten.has(key)) pairs.delete(key);
    },
  };
};
