/** Bugs that the simulation must find, put around the ports: each is one that somebody could write. */
import { type AcceptPorts, PublishError } from '../../ingest/gateway/accept-events.ts';
import type { SinkPorts } from '../../ingest/sink/sink.ts';

export type PlantedBug = {
  /** Around the ports of one group of requests, whose keys together are `whole`. */
  readonly accept?: (ports: AcceptPorts, whole: string, nowMs: () => number) => AcceptPorts;
  readonly store?: (ports: SinkPorts) => SinkPorts;
};

const silently = (_error: unknown): undefined => undefined;

export const plantedBugs = {
  'claims are confirmed before the publish': {
    accept: (ports) => {
      const batches: number[] = [];
      return {
        claims: {
          ...ports.claims,
          claim: async (records, assignedMs) => {
            const answer = await ports.claims.claim(records, assignedMs);
            if (answer) batches.push(answer.batch);
            return answer;
          },
        },
        publish: async (message) => {
          for (const batch of batches) await ports.claims.confirm(batch, 1);
          return ports.publish(message);
        },
      };
    },
  },
  'the id of a message is that of its whole request, not of what was won of it': {
    accept: (ports, whole) => ({
      ...ports,
      publish: (message) => ports.publish({ ...message, id: `${whole} ${message.body.readUInt32LE(4)}` }),
    }),
  },
  'claims are released where the stream may hold the message all the same': {
    accept: (ports) => ({
      ...ports,
      publish: async (message) => {
        try {
          return await ports.publish(message);
        } catch (error) {
          throw error instanceof PublishError ? new PublishError(false, error) : error;
        }
      },
    }),
  },
  'the answer does not wait for the acknowledgement': {
    accept: (ports) => ({
      ...ports,
      publish: async (message) => {
        ports.publish(message).catch(silently);
        return 1;
      },
    }),
  },
  'an event that is taken over gets a new time': {
    accept: (ports, _whole, nowMs) => ({
      ...ports,
      claims: {
        ...ports.claims,
        claim: async (records, assignedMs) => {
          const answer = await ports.claims.claim(records, assignedMs);
          return answer && { ...answer, exceptions: answer.exceptions.map((one) => ({ ...one, assignedMs: nowMs() })) };
        },
      },
    }),
  },
  'messages are acknowledged before their insert': {
    store: (ports) => ({
      ...ports,
      insert: async (messages) => {
        for (const message of messages) message.ack();
        await ports.insert(messages);
      },
    }),
  },
} as const satisfies Record<string, PlantedBug>;
