/** What the rater asks of the stream: how far it reaches, and how far the store has followed. */
import type { Nats } from '#platform/nats.ts';
import { sinkConsumer } from '#schemas/usage-stream.ts';

export const createStreamProgress = (nats: Nats, streamName: string) => ({
  /** The sequence of the last accepted message. */
  lastSequence: async (): Promise<bigint> => {
    const manager = await nats.manager();
    return BigInt((await manager.streams.info(streamName)).state.last_seq);
  },
  /** Whether everything up to the sequence is stored and can be queried: the sink acknowledges after its insert. */
  isStored: async (sequence: bigint): Promise<boolean> => {
    const manager = await nats.manager();
    const consumer = await manager.consumers.info(streamName, sinkConsumer);
    // Nothing waits to be delivered or acknowledged: then the store has all there is, also where the floor stands lower, because the stream
    // is new or messages expired before they were delivered.
    const settled = consumer.num_pending === 0 && consumer.num_ack_pending === 0;
    return settled || BigInt(consumer.ack_floor.stream_seq) >= sequence;
  },
});
