/**
 * The use case of the sink: stream -> store. The order of effects: 1. insert the events, 2. insert a row per message
 * that counts them (both in `insert`), 3. acknowledge, 4. announce it. Whatever dies in between, the stream delivers
 * the messages again and the store removes the twins: they have the same sequence, so they are the same rows. It never
 * gives a message up: a store that is away is waited for, and a message that the store can't read is put aside
 * durably.
 */
import { type Clock, sleep } from '#platform/process/clock.ts';
import { backoffMs } from '#platform/stores/retry.ts';
import { countInMessage } from '#schemas/usage-event.ts';
import type { StreamMessage, Subscription } from '../stream/usage-stream.nats.ts';
import { type Batch, type BatchLimits, createBatcher } from './batcher.ts';

/** Thrown by `insert` for data that the store can't read, as opposed to a store that can't work now. */
export class UnreadableError extends Error {
  constructor(cause: unknown) {
    super(`the store can't read the data: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
    this.name = 'UnreadableError';
  }
}

export type SinkPorts = {
  readonly subscribe: () => Promise<Subscription>;
  /**
   * Resolves once the rows can be queried. Throws `UnreadableError`, or anything else where a later try may succeed.
   */
  readonly insert: (messages: readonly StreamMessage[]) => Promise<void>;
  readonly deadLetter: (message: StreamMessage, reason: string) => Promise<void>;
  /** Tells whoever follows the store that there is more in it. It may get lost, and never throws. */
  readonly announce: () => void;
  readonly clock: Clock;
  readonly report: {
    readonly stored: (batch: Batch<StreamMessage>, insertMs: number, lagMs: number) => void;
    readonly waiting: (error: unknown, waitMs: number) => void;
    readonly deadLettered: (message: StreamMessage, reason: string) => void;
  };
};

export type Sink = {
  readonly done: Promise<void>;
  readonly stop: () => Promise<void>;
  /** Since the oldest message that is held was published. */
  readonly waitingMs: () => number;
};

/**
 * How often the server is told that messages are still being worked on, and from which age of theirs on: most are
 * stored long before. Together well under the consumer's ack wait (5 s), so that one sign may get lost.
 */
const workingEveryMs = 1_000;
const workingFromMs = 1_000;

/** A store that is back is used again within this time, however long it was away. */
const waitMsMax = 1_000;

/** So long an insert that is under way may take when the subscription has failed. */
const endMsMax = 5_000;

/** Resolves with the milliseconds that the insert took, where it was one. */
const store = async (
  batch: Batch<StreamMessage>,
  ports: SinkPorts,
  signal: AbortSignal,
): Promise<number | undefined> => {
  for (let attempt = 0; ; attempt += 1) {
    const startedMs = ports.clock.nowMs();
    try {
      await ports.insert(batch.messages);
      for (const message of batch.messages) message.ack();
      ports.announce();
      const nowMs = ports.clock.nowMs();
      ports.report.stored(batch, nowMs - startedMs, nowMs - (batch.messages[0]?.publishedAtMs ?? nowMs));
      return nowMs - startedMs;
    } catch (error) {
      if (error instanceof UnreadableError) {
        await divide(batch, error, ports, signal);
        return undefined;
      }
      // Not stored, not acknowledged: the stream still has it, so a stop just leaves it there.
      if (signal.aborted) return undefined;
      await pause(error, attempt, ports, signal);
    }
  }
};

const pause = async (error: unknown, attempt: number, ports: SinkPorts, signal: AbortSignal): Promise<void> => {
  const waitMs = backoffMs(attempt, Math.random(), 100, waitMsMax);
  ports.report.waiting(error, waitMs);
  await sleep(waitMs, signal);
};

/** Halves a batch until the unreadable message stands alone, and puts that one aside. */
const divide = async (
  batch: Batch<StreamMessage>,
  error: UnreadableError,
  ports: SinkPorts,
  signal: AbortSignal,
): Promise<void> => {
  const [first] = batch.messages;
  if (batch.messages.length === 1 && first) return await putAside(first, error, ports, signal);
  const middle = Math.ceil(batch.messages.length / 2);
  for (const messages of [batch.messages.slice(0, middle), batch.messages.slice(middle)]) {
    const rows = messages.reduce((sum, { body }) => sum + countInMessage(body), 0);
    const bytes = messages.reduce((sum, { body }) => sum + body.length, 0);
    await store({ messages, rows, bytes }, ports, signal);
  }
};

/**
 * Acknowledges an unreadable message once it is durable elsewhere; until then it stays in the stream, and is tried
 * again.
 */
const putAside = async (
  message: StreamMessage,
  reason: UnreadableError,
  ports: SinkPorts,
  signal: AbortSignal,
): Promise<void> => {
  for (let attempt = 0; ; attempt += 1) {
    try {
      await ports.deadLetter(message, reason.message);
      break;
    } catch (error) {
      if (signal.aborted) return;
      await pause(error, attempt, ports, signal);
    }
  }
  ports.report.deadLettered(message, reason.message);
  message.ack();
  ports.announce();
};

/**
 * What was received and is not acknowledged yet, whether it is being inserted, waits for its turn or fills a batch: for
 * all of it the server is told that it is being worked on. Else a wait for the store would have it delivered again, to
 * this sink or to another one, and stored once more.
 */
const createHeld = (clock: Clock) => {
  const heldSinceMs = new Map<StreamMessage, number>();
  const timer = setInterval(() => {
    const dueMs = clock.nowMs() - workingFromMs;
    for (const [message, sinceMs] of heldSinceMs) {
      // In the order of their receipt: all that follow are younger.
      if (sinceMs > dueMs) break;
      message.working();
    }
  }, workingEveryMs);
  return {
    /** The message, held until its acknowledgement. */
    hold: (message: StreamMessage): StreamMessage => {
      heldSinceMs.set(message, clock.nowMs());
      const ack = () => {
        heldSinceMs.delete(message);
        message.ack();
      };
      return { ...message, ack };
    },
    waitingMs: (): number => {
      const [oldest] = heldSinceMs.keys();
      return oldest === undefined ? 0 : Math.max(0, clock.nowMs() - oldest.publishedAtMs);
    },
    end: () => clearInterval(timer),
  };
};

/**
 * `insertsMax`: inserts that are under way at a time. One parses on one core of ClickHouse; memory grows by a batch
 * with each.
 */
export type SinkLimits = BatchLimits & { readonly insertsMax: number };

export const startSink = async (limits: SinkLimits, ports: SinkPorts): Promise<Sink> => {
  const subscription = await ports.subscribe();
  const stopped = new AbortController();
  const held = createHeld(ports.clock);
  const batcher = createBatcher<StreamMessage>(limits);
  // The next batch fills meanwhile: memory is bounded by `insertsMax` and one batches, and what the subscription
  // fetches ahead.
  const inserting = new Set<Promise<void>>();
  let fault: unknown;
  let stopping = false;
  const insert = async (batch: Batch<StreamMessage>): Promise<void> => {
    try {
      const tookMs = await store(batch, ports, stopped.signal);
      if (tookMs !== undefined) batcher.inserted(tookMs);
    } catch (error) {
      fault ??= error;
      void subscription.stop();
    }
  };
  // While the loop below waits for its turn, and once it has ended, nothing else begins an insert.
  let isHeldBack = false;
  const flush = async (batch: Batch<StreamMessage> | undefined): Promise<void> => {
    if (!batch) return;
    isHeldBack = true;
    while (inserting.size >= limits.insertsMax) await Promise.race(inserting);
    isHeldBack = false;
    const inserted = insert(batch).finally(() => {
      inserting.delete(inserted);
      flushDue();
    });
    inserting.add(inserted);
  };
  let timer: NodeJS.Timeout | undefined;
  /** A batch that is due by its age goes on filling while no insert may begin; the end of one looks again. */
  const flushDue = (): void => {
    if (isHeldBack || inserting.size >= limits.insertsMax) return;
    const nowMs = ports.clock.nowMs();
    void flush(batcher.take(nowMs));
    const waitMs = batcher.dueInMs(nowMs);
    if (waitMs === undefined) return;
    timer ??= setTimeout(() => {
      timer = undefined;
      flushDue();
    }, waitMs);
  };

  const done = (async () => {
    try {
      for await (const received of subscription.messages) {
        const message = held.hold(received);
        let rows: number;
        try {
          rows = countInMessage(message.body);
        } catch (error) {
          await putAside(message, new UnreadableError(error), ports, stopped.signal);
          continue;
        }
        const nowMs = ports.clock.nowMs();
        await flush(batcher.add(message, rows, message.body.length, nowMs));
        await flush(batcher.take(nowMs));
        flushDue();
      }
      await flush(batcher.take(ports.clock.nowMs(), true));
      await Promise.all(inserting);
    } finally {
      isHeldBack = true;
      // Where the stream is gone, nobody delivers again what is in the store by half.
      const ended = new AbortController();
      void Promise.allSettled(inserting).then(() => ended.abort());
      await sleep(endMsMax, ended.signal);
      clearTimeout(timer);
      held.end();
    }
    if (fault !== undefined) throw fault;
    // Otherwise a subscription that ended by itself would leave a process that looks healthy and stores nothing.
    if (!stopping) throw new Error('the subscription ended by itself');
  })();
  return {
    done,
    waitingMs: held.waitingMs,
    stop: async () => {
      stopping = true;
      await subscription.stop();
      // What was fetched is stored if the store works; if it does not, it stays in the stream.
      stopped.abort();
      await done;
    },
  };
};
