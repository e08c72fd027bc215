/** How far the store has followed the stream: the sink acknowledges after its insert, and nothing else acknowledges. */
import type { Nats } from '#platform/stores/nats.ts';
import { sinkConsumer } from '#schemas/usage-stream.ts';
import type { CheckPorts } from './check-identity.ts';

export const createReadStored =
  (nats: Nats, streamName: string): CheckPorts['readStored'] =>
  async () => {
    const manager = await nats.manager();
    // The stream first: what comes in between the two questions lies behind this sequence.
    const last = (await manager.streams.info(streamName)).state.last_seq;
    const { num_pending, num_ack_pending, ack_floor } = await manager.consumers.info(streamName, sinkConsumer);
    // Nothing waits to be delivered or acknowledged: then the store has all there is, also where the floor stands
    // lower, because the stream is new or messages expired before they were delivered.
    const settled = num_pending === 0 && num_ack_pending === 0;
    return { last, stored: settled ? last : Math.min(ack_floor.stream_seq, last) };
  };
