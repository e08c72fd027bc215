/** The sinks' place in the stream, which all of them share. */
import {
  AckPolicy,
  type ConsumerInfo,
  DeliverPolicy,
  JetStreamApiError,
  type JetStreamManager,
} from '@nats-io/jetstream';
import { nanos } from '@nats-io/transport-node';
import { sinkConsumer } from '#schemas/usage-stream.ts';

const settings = {
  durable_name: sinkConsumer,
  // Explicit, so that several sinks can share the consumer: its ack floor is then the sequence up to which everything
  // is stored.
  ack_policy: AckPolicy.Explicit,
  // How long the messages of a sink that died wait for another one.
  ack_wait: nanos(5_000),
  max_ack_pending: 20_000,
  max_deliver: -1,
};

const consumerNotFound = 10014;

const isGone = (error: unknown): boolean => error instanceof JetStreamApiError && error.code === consumerNotFound;

/**
 * Makes the consumer, or brings its limits up to date. Safe from several processes at once; called before anything is
 * published to a server that was met anew.
 *
 * The server keeps the consumer's place apart from the messages. Where the stream lost its end and the place is beyond,
 * it takes what comes next under the lost sequences for delivered: that would be accepted and never stored. Such a
 * consumer is made anew where the stream ends, or from the first message that was not acknowledged. The end is read
 * before the consumer and once more behind it: only a place beyond the second is wrong for sure, and what another
 * gateway, which has put this right already, published meanwhile lies behind the first.
 */
export const ensureSinkConsumer = async (manager: JetStreamManager, streamName: string): Promise<void> => {
  const readLast = async (): Promise<number> => (await manager.streams.info(streamName)).state.last_seq;
  const last = await readLast();
  let found: ConsumerInfo;
  try {
    found = await manager.consumers.info(streamName, sinkConsumer);
  } catch (error) {
    if (!isGone(error)) throw error;
    await manager.consumers.add(streamName, { ...settings, deliver_policy: DeliverPolicy.All });
    return;
  }
  const { delivered, ack_floor: floor } = found;
  if (delivered.stream_seq <= last || delivered.stream_seq <= (await readLast())) {
    await manager.consumers.update(streamName, sinkConsumer, settings);
    return;
  }
  await manager.consumers.delete(streamName, sinkConsumer).catch((error) => {
    if (!isGone(error)) throw error;
  });
  await manager.consumers.add(streamName, {
    ...settings,
    deliver_policy: DeliverPolicy.StartSequence,
    opt_start_seq: Math.min(floor.stream_seq, last) + 1,
  });
};
