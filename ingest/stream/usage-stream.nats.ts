/**
 * The stream of accepted events: publishing with acknowledgement, and the sink's pull consumer. Its making stands in
 * ensure-stream.nats.ts.
 */
import { type ConsumerMessages, JetStreamApiError, type JsMsg } from '@nats-io/jetstream';
import { headers, type MsgHdrs } from '@nats-io/transport-node';
import { sleep, within } from '#platform/process/clock.ts';
import { extractTrace } from '#platform/process/tracing.ts';
import type { Nats } from '#platform/stores/nats.ts';
import { deadLetterStreamOf, sinkConsumer, storedSubjectOf, subjectOf } from '#schemas/usage-stream.ts';
import { type OutgoingMessage, PublishError } from '../gateway/accept-events.ts';

/**
 * Codes with which JetStream says that it did not store a message: full (10077), out of space (10047, 10023), too many
 * at once (10167).
 */
const refusals = new Set([10077, 10047, 10023, 10167]);

// The client names the fault after its most likely reason and does not export the class.
const nobodyListens = (error: unknown): boolean => error instanceof Error && error.name === 'JetStreamNotEnabled';

const surelyNotStored = (error: unknown): boolean =>
  nobodyListens(error) || (error instanceof JetStreamApiError && (refusals.has(error.code) || error.status === 503));

/** Headers of messages: which request one comes from and whether it is a backfill, which a dead letter keeps. */
export const headerOf = {
  requestId: 'Millrace-Request-Id',
  trace: 'traceparent',
  /** `1`, where the events were sent as of the past. */
  backfill: 'Millrace-Backfill',
  /** Of a dead letter: the sequence that it had in the stream, and why it was put aside. */
  sequence: 'Millrace-Sequence',
  reason: 'Millrace-Reason',
} as const;

type Origin = {
  readonly requestId?: string | undefined;
  readonly traceparent?: string | undefined;
  readonly isBackfill?: boolean;
};

/** Made anew for each try: the client writes its own headers into them. */
const originHeaders = ({ requestId, traceparent, isBackfill }: Origin): MsgHdrs => {
  const fields = headers();
  if (requestId !== undefined) fields.set(headerOf.requestId, requestId);
  if (traceparent !== undefined) fields.set(headerOf.trace, traceparent);
  if (isBackfill) fields.set(headerOf.backfill, '1');
  return fields;
};

export type PublishOptions = {
  readonly streamName: string;
  readonly timeoutMs: number;
  readonly attemptsMax: number;
  /** False while it is not known where the stream ends. */
  readonly mayPublish?: () => boolean;
  /** Called with a message that the stream had already: it was acknowledged and not stored again. */
  readonly onRepeated?: (body: Buffer) => void;
  /** Called when nothing listens on the subject: the server may have come back without its stream. */
  readonly onNoStream: () => void;
};

/**
 * A server that works answers a ping within this time, however slow its disk is. `platform/config/config.ts` counts
 * with it.
 */
const answerMsMax = 500;

/**
 * Publishes and waits for the acknowledgement; tries again under the same message id, which the stream stores once. A
 * server that does not answer at all gets nothing more until it does: what the client holds back for it would be memory
 * that nobody counts.
 */
export const createPublish = (nats: Nats, options: PublishOptions) => {
  let silent = false;
  const probe = async (): Promise<void> => {
    while (silent && !nats.connection.isClosed()) {
      await within(answerMsMax, nats.answers())
        .then(() => {
          silent = false;
        })
        .catch(() => sleep(200));
    }
  };
  /** Throws where the server does not answer at all; then nothing is published until it does. */
  const answersAgain = async (): Promise<void> => {
    try {
      await within(answerMsMax, nats.answers());
    } catch (error) {
      if (!silent) {
        silent = true;
        void probe();
      }
      throw error;
    }
  };
  return async (message: OutgoingMessage): Promise<number> => {
    let mayBeStored = false;
    for (let attempt = 1; ; attempt += 1) {
      if (silent || !nats.connected() || options.mayPublish?.() === false)
        throw new PublishError(mayBeStored, new Error('not connected'));
      try {
        const ack = await nats.js.publish(subjectOf(options.streamName), message.body, {
          msgID: message.id,
          headers: originHeaders(message),
          timeout: options.timeoutMs,
          retries: 0,
        });
        if (ack.duplicate) options.onRepeated?.(message.body);
        return ack.seq;
      } catch (error) {
        if (nobodyListens(error)) options.onNoStream();
        if (surelyNotStored(error)) throw new PublishError(mayBeStored, error);
        mayBeStored = true;
        if (attempt >= options.attemptsMax) throw new PublishError(true, error);
        await answersAgain().catch((silence) => {
          throw new PublishError(true, silence);
        });
      }
    }
  };
};

/** One message on its way to the store. */
export type StreamMessage = {
  readonly sequence: number;
  readonly body: Buffer;
  readonly publishedAtMs: number;
  /** Of the request that it came with, where it says. */
  readonly requestId?: string | undefined;
  readonly traceparent?: string | undefined;
  readonly isBackfill?: boolean;
  readonly ack: () => void;
  /** Asks the server not to deliver the message again yet. */
  readonly working: () => void;
};

const fromJsMsg = (message: JsMsg): StreamMessage => ({
  sequence: message.seq,
  body: Buffer.from(message.data.buffer, message.data.byteOffset, message.data.byteLength),
  publishedAtMs: message.time.getTime(),
  requestId: message.headers?.get(headerOf.requestId) || undefined,
  traceparent: extractTrace(message.headers?.get(headerOf.trace)),
  isBackfill: message.headers?.get(headerOf.backfill) === '1',
  ack: () => message.ack(),
  working: () => message.working(),
});

export type Subscription = { readonly messages: AsyncIterable<StreamMessage>; readonly stop: () => Promise<void> };

/**
 * Pulls messages, `messagesMax` at a time; the next pull goes out when the last one is used up, so no more than these
 * wait in memory. Rejected: the client's own `consume`. While its reader is busy it takes the missing heartbeats for a
 * fault and asks again and again, so that a long wait for the store ends in a flood: 20 times the bytes that it was
 * told to fetch, measured after 60 s. Rejected: a bound in bytes, which the server meets by ending the pull with an
 * error.
 *
 * A server that is away is waited for. A consumer that is gone ends the messages with its error: whoever subscribes
 * next makes it again.
 */
export const subscribe = async (nats: Nats, streamName: string, messagesMax: number): Promise<Subscription> => {
  const consumer = await nats.js.consumers.get(streamName, sinkConsumer);
  let stopped = false;
  let pulled: ConsumerMessages | undefined;
  const pauseMs = 200;
  // A pull that the server forgot when it ended would be waited for until it expires.
  nats.onReconnect(() => void pulled?.close());
  const isThere = async (): Promise<void> => {
    try {
      await consumer.info();
    } catch (error) {
      if (error instanceof JetStreamApiError) throw error;
    }
  };
  return {
    messages: (async function* () {
      while (!stopped) {
        try {
          pulled = await consumer.fetch({ max_messages: messagesMax, expires: 30_000 });
          for await (const message of pulled) yield fromJsMsg(message);
        } catch {
          if (stopped) return;
          if (nats.connected()) await isThere();
          await sleep(pauseMs);
        }
      }
    })(),
    stop: async () => {
      stopped = true;
      await pulled?.close();
    },
  };
};

/**
 * Puts a message that can't be stored aside, with the reason; it stays until somebody re-drives it. Resolves once it is
 * durable.
 */
export const createDeadLetter =
  (nats: Nats, streamName: string) =>
  async (message: StreamMessage, reason: string): Promise<void> => {
    const fields = originHeaders(message);
    fields.set(headerOf.sequence, String(message.sequence));
    fields.set(headerOf.reason, reason.replace(/[\r\n]+/g, ' ').slice(0, 1000));
    await nats.js.publish(subjectOf(deadLetterStreamOf(streamName)), message.body, {
      // With the time: a stream that lost its end gives the same sequences to other messages.
      msgID: `dead-${message.sequence}-${message.publishedAtMs}`,
      headers: fields,
      timeout: 5_000,
    });
  };

/** Tells those of `onStored` that a sink has stored something. Without promise: a server that is away hears nothing. */
export const createAnnounce =
  ({ connection }: Nats, streamName: string) =>
  (): void => {
    if (!connection.isClosed() && !connection.isDraining()) connection.publish(storedSubjectOf(streamName));
  };

/** Calls whenever a sink says that it has stored something, until the connection ends. */
export const onStored = ({ connection }: Nats, streamName: string, listener: () => void): void => {
  connection.subscribe(storedSubjectOf(streamName), { callback: listener });
};

export type StreamState = {
  readonly messages: number;
  readonly bytes: number;
  readonly bytesMax: number;
  /** Messages that the sinks have not fetched yet, and messages that they hold. */
  readonly waiting: number;
  readonly held: number;
  readonly deadLetters: number;
};

/** How full the stream is and how far the sinks are behind, as the server says now. */
export const createReadStreamState = (nats: Nats, streamName: string) => async (): Promise<StreamState> => {
  const manager = await nats.manager();
  const [stream, consumer, dead] = await Promise.all([
    manager.streams.info(streamName),
    manager.consumers.info(streamName, sinkConsumer),
    manager.streams.info(deadLetterStreamOf(streamName)),
  ]);
  return {
    messages: stream.state.messages,
    bytes: stream.state.bytes,
    bytesMax: stream.config.max_bytes,
    waiting: consumer.num_pending,
    held: consumer.num_ack_pending,
    deadLetters: dead.state.messages,
  };
};
