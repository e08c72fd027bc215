/** Amendments into the stream of accepted events, and where that stream ends. */

import { within } from '#platform/process/clock.ts';
import type { Nats } from '#platform/stores/nats.ts';
import { isPassing, UnavailableError } from '#platform/stores/retry.ts';
import { amendmentMessage, type OutgoingAmendment } from '#schemas/amendment.ts';
import { subjectOf } from '#schemas/usage-stream.ts';

const publishMsMax = 5_000;
const askMsMax = 1_000;

/** `connecting` may take for ever: NATS is waited for, and who asks meanwhile is refused. */
export const createAmendmentStream = (connecting: Promise<Nats>, streamName: string) => {
  const connected = async (): Promise<Nats> => {
    const nats = await within(askMsMax, connecting);
    // What is published while the client reconnects would wait in memory.
    if (!nats.connected()) throw new Error('not connected');
    return nats;
  };
  return {
    /**
     * Resolves with the sequence once the message is durable; one id is stored once within the stream's window. Throws
     * `UnavailableError`.
     */
    publish: async (amendment: OutgoingAmendment): Promise<bigint> => {
      try {
        const nats = await connected();
        const options = { msgID: amendment.id, timeout: publishMsMax, retries: 0 };
        return BigInt((await nats.js.publish(subjectOf(streamName), amendmentMessage(amendment), options)).seq);
      } catch (error) {
        throw new UnavailableError('nats', error);
      }
    },
    /** The sequence of the last accepted message; undefined where the stream does not say. */
    lastSequence: async (): Promise<bigint | undefined> => {
      try {
        const manager = await (await connected()).manager();
        return BigInt((await within(askMsMax, manager.streams.info(streamName))).state.last_seq);
      } catch (error) {
        if (isPassing(error) || error instanceof Error) return undefined;
        throw error;
      }
    },
  };
};

export type AmendmentStream = ReturnType<typeof createAmendmentStream>;
