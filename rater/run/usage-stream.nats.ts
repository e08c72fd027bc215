/**
 * What the rater asks of the stream: how far it reaches. How far the store has followed, and was checked, PostgreSQL
 * says.
 */
import type { Nats } from '#platform/stores/nats.ts';

/** The sequence of the last accepted message. */
export const createReadLastSequence = (nats: Nats, streamName: string) => async (): Promise<bigint> => {
  const manager = await nats.manager();
  return BigInt((await manager.streams.info(streamName)).state.last_seq);
};
