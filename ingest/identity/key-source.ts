/**
 * Where the check reads the keys of stored events: from the stream, which has them in the order in which they are
 * checked, so that it costs the store nothing. From the store are read:
 *
 *   - what lies up to the highest sequence that it had when the server of the stream was met. A stream that lost its
 *     end gives sequences again: under those the store may have events that the stream does not;
 *   - what the stream does not hold any more;
 *   - what can't be read as the sink writes it.
 */
import type { CheckPorts, ReadKeys } from './check-identity.ts';
import { type KeyMessage, keysOfMessages } from './message-keys.ts';

/** The messages behind a sequence, without a gap; or up to which sequence the stream holds none of them. */
export type StreamPart = { readonly messages: readonly KeyMessage[] } | { readonly missingUpTo: number };

export type KeySourcePorts = {
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

export const createKeySource = ({ stream, store }: KeySourcePorts): KeySource => {
  let met: { readonly meeting: number; readonly storedUpTo: number } | undefined;
  return {
    doubt: () => {
      met = undefined;
    },
    read: async (after, upTo, rowsMax) => {
      const meeting = stream.meeting();
      if (met?.meeting !== meeting) met = { meeting, storedUpTo: await store.highest() };
      if (after < met.storedUpTo) return store.read(after, Math.min(upTo, met.storedUpTo), rowsMax);
      const part = await stream.take(after, upTo, rowsMax);
      if ('missingUpTo' in part) return store.read(after, part.missingUpTo, rowsMax);
      return readable(part.messages) ?? store.read(after, (part.messages[0] as KeyMessage).sequence, rowsMax);
    },
  };
};
