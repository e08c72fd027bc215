/**
 * The messages of the stream as the check reads them: those that are stored, so many at a time, by a consumer that
 * lives as long as one reads on where the last one ended. Nothing is acknowledged: the place of the check is the
 * sequence that is checked. After a connection that was lost, and for every place that is not the next one, a new
 * consumer begins; the server forgets the former.
 *
 * Rejected: to read ahead of what is stored. Messages of single events then come one by one, and each wakes server and
 * checker: 7 us an event in place of 1.5. Rejected: to ask for messages by their sequences, many at a time. Servers
 * before 2.11 can't, and a copy of the stream that is behind may answer.
 */
import { AckPolicy, type Consumer, type ConsumerMessages, DeliverPolicy } from '@nats-io/jetstream';
import { nanos } from '@nats-io/transport-node';
import type { Clock } from '#platform/process/clock.ts';
import type { Nats } from '#platform/stores/nats.ts';
import { countInMessage } from '#schemas/usage-event.ts';
import type { KeySourcePorts, StreamPart } from './key-source.ts';
import type { KeyMessage } from './message-keys.ts';

/** A consumer that nobody reads is forgotten after this. */
const inactiveMs = 60_000;
/**
 * Messages of a fetch: so many as would have been about `fetchBytes` the time before; 64 MB where they are as large as
 * messages get.
 */
const [fetchLeast, fetchMost] = [16, 128];
const fetchBytes = 16_777_216;
/** Bytes that are taken at a time, and then a fetch more: they are held until their keys are checked. */
const takenBytesMax = 67_108_864;
/** What is stored was in the stream: it comes by then, or is not there any more. */
const fetchMs = 2_000;
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

type Reader = {
  readonly consumer: Consumer;
  /** The sequence that was taken last. */
  place: number;
  fetchMax: number;
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
  let reader: Reader | undefined;
  let pulled: ConsumerMessages | undefined;
  const leave = (): void => {
    meetings += 1;
    reader = undefined;
    void pulled?.close();
  };
  nats.onDisconnect(leave);
  nats.onReconnect(leave);

  const readerAt = async (after: number): Promise<Reader> => {
    if (reader?.place === after) return reader;
    const { name } = await (await nats.manager()).consumers.add(streamName, {
      ack_policy: AckPolicy.None,
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: after + 1,
      inactive_threshold: nanos(inactiveMs),
      mem_storage: true,
      num_replicas: 1,
    });
    return { consumer: await nats.js.consumers.get(streamName, name), place: after, fetchMax: fetchLeast };
  };

  /** Some of the messages up to a sequence, which follow each other; and the first that does not. */
  const fetchOf = async (from: Reader, upTo: number) => {
    const messages: KeyMessage[] = [];
    let gapTo: number | undefined;
    let bytes = 0;
    pulled = await from.consumer.fetch({ max_messages: Math.min(from.fetchMax, upTo - from.place), expires: fetchMs });
    for await (const { seq, data } of pulled) {
      if (seq !== from.place + 1) {
        gapTo = seq - 1;
        void pulled.close();
        break;
      }
      messages.push({ sequence: seq, body: Buffer.from(data.buffer, data.byteOffset, data.byteLength) });
      from.place = seq;
      bytes += data.length;
    }
    if (bytes > 0)
      from.fetchMax = Math.max(fetchLeast, Math.min(fetchMost, Math.floor((fetchBytes * messages.length) / bytes)));
    return { messages, gapTo };
  };

  const take = async (after: number, upTo: number, rowsMax: number): Promise<StreamPart> => {
    const meeting = meetings;
    const from = await readerAt(after);
    const messages: KeyMessage[] = [];
    let bytes = 0;
    for (let events = 0; events < rowsMax && bytes < takenBytesMax && from.place < upTo; ) {
      const fetched = await fetchOf(from, upTo);
      // What was read before the server was lost may be lost as well.
      if (meeting !== meetings || !nats.connected()) throw new Error('the server of the stream was away');
      messages.push(...fetched.messages);
      for (const message of fetched.messages) {
        events += eventsIn(message);
        bytes += message.body.length;
      }
      if (fetched.gapTo !== undefined || fetched.messages.length === 0) {
        const missingUpTo = Math.min(upTo, fetched.gapTo ?? upTo);
        return messages.length > 0 ? { messages } : { missingUpTo };
      }
    }
    reader = from;
    return { messages };
  };

  return {
    meeting: () => meetings,
    take: async (after, upTo, rowsMax) => {
      if (clock.nowMs() < againFromMs) return { missingUpTo: upTo };
      const meeting = meetings;
      for (;;) {
        const isFormer = reader !== undefined;
        try {
          return await take(after, upTo, rowsMax);
        } catch (error) {
          reader = undefined;
          if (meeting !== meetings || !nats.connected()) throw error;
          // A consumer of before may have been forgotten meanwhile.
          if (isFormer) continue;
          onFault(error);
          againFromMs = clock.nowMs() + againMs;
          return { missingUpTo: upTo };
        }
      }
    },
  };
};
