/**
 * Where the check reads the keys of stored events: from the stream, which has them in the order in which they are
 * checked, so that it costs the store nothing. From the store are read:
 *
 *   - what it has for a while after the server of the stream was met, and what was stored by then. A stream that lost
 *     its end gives sequences again: under those the store may have events that the stream does not, and an insert of
 *     before may still be under way;
 *   - what the stream does not hold any more;
 *   - what can't be read as the sink writes it.
 */
import type { Clock } from '#platform/process/clock.ts';
import type { CheckPorts, ReadKeys } from './check-identity.ts';
import { type KeyMessage, keysOfMessages } from './message-keys.ts';

/** The messages behind a sequence, without a gap; or up to which sequence the stream holds none of them. */
export type StreamPart = { readonly messages: readonly KeyMessage[] } | { readonly missingUpTo: number };

export type KeySourcePorts = {
  readonly clock: Clock;
  readonly stream: {
    /** Another number each time that the server was met. */
    readonly meeting: () => number;
    /** Messages behind `after` and up to `upTo`: some of them, and of about `rowsMax` events. */
    readonly take: (after: number, upTo: number, rowsMax: number) => Promise<StreamPart>;
  };
  readonly store: {
    readonly read: CheckPorts['keys']['read'];
    /** The highest sequence of all that is stored; 0 of nothing. */
    readonly highest: () => Promise<number>;
  };
};

/** The rows of messages, up to the first that is none; undefined where that is the first of them. */
const readable = (messages: readonly KeyMessage[]): ReadKeys | undefined => {
  for (let count = messages.length; count > 0; count = Math.floor(count / 2)) {
    try {
      const rows = keysOfMessages(messages.slice(0, count));
      return { rows, upTo: (messages[count - 1] as KeyMessage).sequence };
    } catch {
      // Fewer of them.
    }
  }
  return undefined;
};

export type KeySource = {
  readonly read: CheckPorts['keys']['read'];
  /** The store has more than the stream: all that it has by now is read from it. */
  readonly doubt: () => void;
};

/** `doubtMs`: for so long after a meeting an insert of before may be under way. */
export const createKeySource = ({ clock, stream, store }: KeySourcePorts, doubtMs: number): KeySource => {
  let met: { readonly meeting: number; readonly sinceMs: number; readonly storedUpTo: number } | undefined;
  /** Up to which sequence the store may have more than the stream. */
  const storedUpTo = async (): Promise<number> => {
    const [meeting, nowMs] = [stream.meeting(), clock.nowMs()];
    const sinceMs = met?.meeting === meeting ? met.sinceMs : nowMs;
    if (met?.meeting !== meeting || nowMs - sinceMs < doubtMs)
      met = { meeting, sinceMs, storedUpTo: await store.highest() };
    return met.storedUpTo;
  };
  return {
    doubt: () => {
      met = undefined;
    },
    read: async (after, upTo, rowsMax) => {
      const highest = await storedUpTo();
      if (after < highest) return store.read(after, Math.min(upTo, highest), rowsMax);
      if (met?.meeting !== stream.meeting()) throw new Error('the server of the stream was met anew');
      const part = await stream.take(after, upTo, rowsMax);
      if ('missingUpTo' in part) return store.read(after, part.missingUpTo, rowsMax);
      return readable(part.messages) ?? store.read(after, (part.messages[0] as KeyMessage).sequence, rowsMax);
    },
  };
};
