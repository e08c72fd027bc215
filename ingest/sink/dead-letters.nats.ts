/**
 * Messages that the sink put aside because the store can't read them: looking at them, and giving them back to the
 * stream.
 */
import { JetStreamApiError, type SeqMsgRequest, type StoredMsg } from '@nats-io/jetstream';
import { extractTrace } from '#platform/process/tracing.ts';
import type { Nats } from '#platform/stores/nats.ts';
import { countInMessage } from '#schemas/usage-event.ts';
import { deadLetterStreamOf, subjectsOf } from '#schemas/usage-stream.ts';
import type { OutgoingMessage } from '../gateway/accept-events.ts';
import { headerOf } from '../stream/usage-stream.nats.ts';

export type DeadLetter = {
  /** In the stream of dead letters; names the letter. */
  readonly sequence: number;
  /** In the stream of usage, where it could not be read from. */
  readonly originalSequence: number | undefined;
  readonly putAsideAtMs: number;
  readonly body: Buffer;
  /** How many events it says that it holds; undefined where not even that can be read. */
  readonly events: number | undefined;
  readonly reason: string;
  readonly requestId: string | undefined;
  readonly traceparent: string | undefined;
  readonly isBackfill: boolean;
};

export type DeadLetters = {
  /** In the order of their sequences, one at a time in memory; what is put aside meanwhile is left out. */
  readonly all: () => AsyncIterable<DeadLetter>;
  readonly find: (sequence: number) => Promise<DeadLetter | undefined>;
  /**
   * Gives one back, and says under which sequence the stream of usage has it. Undefined where there is no such letter
   * (any more).
   */
  readonly redrive: (sequence: number) => Promise<number | undefined>;
};

const streamNotFound = 10059;

const countOrUndefined = (body: Buffer): number | undefined => {
  try {
    return countInMessage(body);
  } catch {
    return undefined;
  }
};

const fromStored = ({ seq, header, data, time }: StoredMsg): DeadLetter => {
  const textOf = (name: string): string | undefined => header?.get(name) || undefined;
  const original = textOf(headerOf.sequence);
  const body = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return {
    sequence: seq,
    originalSequence: original === undefined ? undefined : Number(original),
    putAsideAtMs: time.getTime(),
    body,
    events: countOrUndefined(body),
    reason: textOf(headerOf.reason) ?? 'not said',
    requestId: textOf(headerOf.requestId),
    traceparent: extractTrace(textOf(headerOf.trace)),
    isBackfill: textOf(headerOf.backfill) === '1',
  };
};

/**
 * `publish` resolves with the sequence once the stream of usage has acknowledged the message (usage-stream.nats.ts).
 */
export const openDeadLetters = async (
  nats: Nats,
  streamName: string,
  publish: (message: OutgoingMessage) => Promise<number>,
): Promise<DeadLetters> => {
  const manager = await nats.manager();
  const stream = deadLetterStreamOf(streamName);

  const lastSequence = async (): Promise<number> => {
    try {
      return (await manager.streams.info(stream)).state.last_seq;
    } catch (error) {
      // No sink has run yet.
      if (error instanceof JetStreamApiError && error.code === streamNotFound) return 0;
      throw error;
    }
  };

  /**
   * The first one from a sequence on: those that were given back leave gaps. The client's type does not know this
   * request; the server does, since 2.9.
   */
  const nextFrom = async (sequence: number): Promise<DeadLetter | undefined> => {
    const request = { seq: sequence, next_by_subj: subjectsOf(stream) } as SeqMsgRequest;
    const stored = await manager.streams.getMessage(stream, request);
    return stored === null ? undefined : fromStored(stored);
  };

  const find = async (sequence: number): Promise<DeadLetter | undefined> => {
    if ((await lastSequence()) < sequence) return undefined;
    const stored = await manager.streams.getMessage(stream, { seq: sequence });
    return stored === null ? undefined : fromStored(stored);
  };

  const remove = async (sequence: number): Promise<void> => {
    try {
      await manager.streams.deleteMessage(stream, sequence);
    } catch (error) {
      // Somebody else gave it back at the same time.
      if (!(error instanceof JetStreamApiError) || (await find(sequence)) !== undefined) throw error;
    }
  };

  return {
    all: async function* () {
      const last = await lastSequence();
      for (let at = 1; at <= last; ) {
        const letter = await nextFrom(at);
        if (!letter || letter.sequence > last) return;
        yield letter;
        at = letter.sequence + 1;
      }
    },
    find,
    /**
     * The order of effects:
     *
     *   1. read the letter (no effect);
     *   2. publish its body under an id that is made from the letter, and wait for the acknowledgement;
     *   3. remove the letter.
     *
     * Killed before 2, nothing has happened. Killed between 2 and 3, the message is in both streams: the next try
     * publishes it under the same id, which the stream stores once within its window; after that the store gets the
     * same events under a later sequence, and keeps the first. A message that still can't be read is put aside again,
     * as a new letter, by the sink.
     */
    redrive: async (sequence) => {
      const letter = await find(sequence);
      if (!letter) return undefined;
      const { body, requestId, traceparent, isBackfill, putAsideAtMs } = letter;
      const id = `re-driven-${sequence}-${putAsideAtMs}`;
      const published = await publish({
        id,
        body,
        ...(requestId === undefined ? {} : { requestId }),
        traceparent,
        isBackfill,
      });
      await remove(sequence);
      return published;
    },
  };
};
