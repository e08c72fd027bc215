/** Amendments into the stream of accepted events. */
import type { Nats } from '#platform/stores/nats.ts';
import { UnavailableError } from '#platform/stores/retry.ts';
import { amendmentMessage, type OutgoingAmendment } from '#schemas/amendment.ts';
import { subjectOf } from '#schemas/usage-stream.ts';

const publishMsMax = 5_000;

/**
 * Resolves with the sequence once the message is durable; one id is stored once within the stream's window. Throws
 * `UnavailableError`.
 */
export const createPublishAmendment =
  (nats: Nats, streamName: string) =>
  async (amendment: OutgoingAmendment): Promise<bigint> => {
    try {
      // What is published while the client reconnects would wait in memory.
      if (!nats.connected()) throw new Error('not connected');
      const options = { msgID: amendment.id, timeout: publishMsMax, retries: 0 };
      return BigInt((await nats.js.publish(subjectOf(streamName), amendmentMessage(amendment), options)).seq);
    } catch (error) {
      throw new UnavailableError('nats', error);
    }
  };
