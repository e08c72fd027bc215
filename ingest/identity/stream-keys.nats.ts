/**
 * The messages of the stream as the check reads them: by a consumer that lives as long as it is read, ahead of what is
 * stored, so that a batch is there when the store has it. Nothing is acknowledged: the place of the check is the
 * sequence that is checked. A message is taken where it follows the one before. After a connection that was lost, and
 * for every place that is not the next one, a new consumer begins there.
 *
 * Rejected: to ask for messages by their sequences, many at a time. Servers before 2.11 can't, and a copy of the stream
 * that is behind may answer.
 */
import { AckPolicy, type ConsumerMessages, DeliverPolicy } from '@nats-io/jetstream';
import { nanos } from '@nats-io/transport-node';
import type { Clock } from '#platform/process/clock.ts';
import type { Nats } from '#platform/stores/nats.ts';
import { countInMessage } from '#schemas/usage-event.ts';
import type { KeySourcePorts, StreamPart } from './key-source.ts';
import type { KeyMessage } from './message-keys.ts';

/** The server forgets a consumer that nobody reads after this. */
const inactiveMs = 60_000;
/** Bytes that are read ahead, and then a fetch more. */
const aheadBytes = 16_777_216;
/**
 * Messages of a fetch: so many as would have been about `aheadBytes` the time before; 64 MB where they are as large as
 * messages get.
 */
const [fetchLeast, fetchMost] = [16, 128];
const fetchMs = 30_000;
/** What is stored was in the stream: it comes by then, or is not there any more. */
const arriveMsMax = 2_000;
/** A stream that can't be read is left alone for so long. */
const againMs = 10_000;

/** A message that is none counts as one event: whoever reads it finds out. */
const eventsIn = ({ body }: KeyMessage): number => {
  try {
    return countInMessage(body);
  } catch {
    return 1;
  }
};

/** What one waits for and another tells: where nobody waits, telling costs nothing. */
const createSignal = () => {
  let tell: (() => void) | undefined;
  return {
    /** Until it is told, and no longer than that. */
    wait: (ms: number): Promise<void> =>
      new Promise((resolve) => {
        const timer = setTimeout(resolve, ms);
        tell = () => {
          clearTimeout(timer);
          tell = undefined;
          resolve();
        };
      }),
    tell: (): void => tell?.(),
  };
};

/** Reads what comes behind a sequence until it is ended. */
const createReader = (nats: Nats, streamName: string, after: number) => {
  let queue: KeyMessage[] = [];
  /** Messages of the queue that were taken. */
  let taken = 0;
  let bytesAhead = 0;
  let isEnded = false;
  let fault: unknown;
  let pulled: ConsumerMessages | undefined;
  const arrived = createSignal();
  const room = createSignal();
  const end = (): void => {
    isEnded = true;
    void pulled?.close();
    arrived.tell();
    room.tell();
  };

  /** Fetches once, and says how many messages the next time should bring. */
  const fetchInto = async (fetch: (max: number) => Promise<ConsumerMessages>, max: number): Promise<number> => {
    pulled = await fetch(max);
    let bytes = 0;
    let messages = 0;
    for await (const { seq, data } of pulled) {
      if (isEnded) break;
      queue.push({ sequence: seq, body: Buffer.from(data.buffer, data.byteOffset, data.byteLength) });
      bytesAhead += data.length;
      bytes += data.length;
      messages += 1;
      arrived.tell();
    }
    if (bytes === 0) return max;
    return Math.max(fetchLeast, Math.min(fetchMost, Math.floor((aheadBytes * messages) / bytes)));
  };
  const run = async (): Promise<void> => {
    const { consumers } = await nats.manager();
    const { name } = await consumers.add(streamName, {
      ack_policy: AckPolicy.None,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: after + 1,
      inactive_threshold: nanos(inactiveMs),
      mem_storage: true,
      num_replicas: 1,
    });
    try {
      const consumer = await nats.js.consumers.get(streamName, name);
      const fetch = (max: number) => consumer.fetch({ max_messages: max, expires: fetchMs });
      for (let max = fetchLeast; !isEnded; ) {
        max = await fetchInto(fetch, max);
        while (bytesAhead > aheadBytes && !isEnded) await room.wait(fetchMs);
      }
    } finally {
      if (nats.connected()) await consumers.delete(streamName, name).catch(() => {});
    }
  };
  run().catch((error) => {
    fault = error;
    end();
  });

  return {
    /** The sequence that was taken last. */
    place: after,
    isEnded: () => isEnded,
    end,
    /** The next message, once it is there; undefined where none came. Throws where the stream can't be read. */
    next: async (): Promise<KeyMessage | undefined> => {
      if (taken === queue.length && !isEnded) await arrived.wait(arriveMsMax);
      // What was read before the server was lost may be lost as well.
      if (isEnded || !nats.connected()) throw fault ?? new Error('the server of the stream is away');
      return queue[taken];
    },
    take: (message: KeyMessage): void => {
      taken += 1;
      bytesAhead -= message.body.length;
      // Something always lies ahead while events come: what was taken must not be kept for that.
      if (2 * taken >= queue.length) [queue, taken] = [queue.slice(taken), 0];
      if (bytesAhead <= aheadBytes) room.tell();
    },
  };
};

/**
 * Where the stream can't be read although its server is there (no right to a consumer, no memory for one), nothing of
 * it is there: what is stored can be read from the store. `onFault` is told.
 */
export const createStreamKeys = (
  nats: Nats,
  streamName: string,
  clock: Clock,
  onFault: (error: unknown) => void,
): KeySourcePorts['stream'] => {
  let meetings = 0;
  let againFromMs = Number.NEGATIVE_INFINITY;
  let reader: ReturnType<typeof createReader> | undefined;
  const leave = (): void => {
    meetings += 1;
    reader?.end();
    reader = undefined;
  };
  nats.onDisconnect(leave);
  nats.onReconnect(leave);

  const readerAt = (after: number): ReturnType<typeof createReader> => {
    if (reader && reader.place === after && !reader.isEnded()) return reader;
    reader?.end();
    reader = createReader(nats, streamName, after);
    return reader;
  };
  return {
    meeting: () => meetings,
    take: async (after, upTo, rowsMax): Promise<StreamPart> => {
      if (clock.nowMs() < againFromMs) return { missingUpTo: upTo };
      const from = readerAt(after);
      const meeting = meetings;
      const messages: KeyMessage[] = [];
      const orMissing = (missingUpTo: number): StreamPart => (messages.length > 0 ? { messages } : { missingUpTo });
      for (let events = 0; events < rowsMax && from.place < upTo; ) {
        const message = await from.next().catch((error) => {
          if (!nats.connected() || meeting !== meetings) throw error;
          onFault(error);
          againFromMs = clock.nowMs() + againMs;
          return undefined;
        });
        if (!message) {
          from.end();
          return orMissing(upTo);
        }
        if (message.sequence !== from.place + 1) return orMissing(Math.min(upTo, message.sequence - 1));
        from.take(message);
        from.place = message.sequence;
        messages.push(message);
        events += eventsIn(message);
      }
      return { messages };
    },
  };
};
