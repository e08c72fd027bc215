/**
 * Where the stream ends, whether the store has followed it, and what lies aside. The API does without NATS but for
 * this.
 */
import { sleep, stopwatch, within } from '#platform/process/clock.ts';
import type { Nats } from '#platform/stores/nats.ts';
import { deadLetterStreamOf, sinkConsumer } from '#schemas/usage-stream.ts';

export type StreamSays = {
  /** Whether everything that was in the stream when this was asked is stored and can be queried. */
  readonly isSettled: boolean;
  /** Messages of the whole installation that lie aside as unreadable; undefined where NATS does not say. */
  readonly deadLetters: number | undefined;
};

/** A sink that keeps up has stored everything within this time; a caller waits no longer for one that does not. */
const followMsMax = 2_000;
const askEveryMs = 50;

/** `connecting` may take for ever: NATS is waited for, and who asks meanwhile is told that nothing is known. */
export const createStreamSays =
  (connecting: Promise<Nats>, streamName: string) =>
  async (isCallerThere: () => boolean): Promise<StreamSays> => {
    try {
      return await within(2 * followMsMax, ask(await within(followMsMax, connecting), streamName, isCallerThere));
    } catch {
      return { isSettled: false, deadLetters: undefined };
    }
  };

const ask = async (nats: Nats, streamName: string, isCallerThere: () => boolean): Promise<StreamSays> => {
  const manager = await nats.manager();
  const [stream, dead] = await Promise.all([
    manager.streams.info(streamName),
    manager.streams.info(deadLetterStreamOf(streamName)),
  ]);
  const elapsedMs = stopwatch();
  for (;;) {
    const consumer = await manager.consumers.info(streamName, sinkConsumer);
    const isSettled =
      consumer.ack_floor.stream_seq >= stream.state.last_seq ||
      (consumer.num_pending === 0 && consumer.num_ack_pending === 0);
    if (isSettled || elapsedMs() > followMsMax || !isCallerThere())
      return { isSettled, deadLetters: dead.state.messages };
    await sleep(askEveryMs);
  }
};

const endMsMax = 1_000;

/** The sequence of the last accepted message; undefined where the stream does not say. */
export const createLastSequence =
  (connecting: Promise<Nats>, streamName: string) => async (): Promise<bigint | undefined> => {
    try {
      const nats = await within(endMsMax, connecting);
      if (!nats.connected()) return undefined;
      const manager = await nats.manager();
      return BigInt((await within(endMsMax, manager.streams.info(streamName))).state.last_seq);
    } catch (error) {
      if (error instanceof Error) return undefined;
      throw error;
    }
  };
