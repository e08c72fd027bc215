/** What the rater asks of the stream: how far it reaches, and how far the store has followed. */
import type { Nats } from '#platform/nats.ts';
import { sinkConsumer } from '#schemas/usage-stream.ts';

export const createStreamProgress = (nats: Nats, streamName: string) => ({
  /** The sequence of the last accepted message. */
  lastSequence: async (): Promise<bigint> => {
    const manager = await nats.manager();
    return BigInt((await manager.streams.info(streamName)).state.last_seq);
  },
  /** Everything up to here is stored and can be queried: the sink acknowledges after its insert. */
  storedSequence: async (): Promise<bigint> => {
    const manager = await nats.manager();
    const consumer = await manager.consumers.info(streamName, sinkConsumer);
    // Messages that expired before they were delivered never raise the floor; when nothing is outstanding, all that was delivered is stored.
    const settled = consumer.num_pending === 0 && consumer.num_ack_pending === 0;
    return BigInt(settled ? Math.max(consumer.delivered.stream_seq, consumer.ack_floor.stream_seq) : consumer.ack_floor.stream_seq);
  },
});
