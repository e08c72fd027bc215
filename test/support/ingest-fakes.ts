/** The stream of ingest in memory, seen from the gateway and from the sink; its claims are in memory-claims.ts. */
import { type AcceptPorts, PublishError } from '../../ingest/gateway/accept-events.ts';
import type { StreamMessage, Subscription } from '../../ingest/stream/usage-stream.nats.ts';
import { fromMessage, type UsageEvent } from '../../schemas/usage-event.ts';

export type SetClock = { nowMs: () => number; set: (ms: number) => void; advance: (ms: number) => void };

export const createSetClock = (startMs: number): SetClock => {
  let nowMs = startMs;
  return {
    nowMs: () => nowMs,
    set: (ms) => {
      nowMs = ms;
    },
    advance: (ms) => {
      nowMs += ms;
    },
  };
};

type Published = { readonly id: string; readonly body: Buffer };

/**
 * What the next publish meets: refused by the stream, stored with its answer lost, or lost on the way with its fate
 * unknown.
 */
type PublishFault = 'refused' | 'answer lost' | 'lost';

export type MemoryStream = {
  readonly publish: AcceptPorts['publish'];
  /** Each publish takes the first; without one it succeeds. */
  readonly faults: PublishFault[];
  /** Every call, also the failed ones. */
  readonly calls: Published[];
  readonly stored: Published[];
  readonly events: () => UsageEvent[];
  /** As after the window in which the stream knows message ids. */
  readonly forgetIds: () => void;
};

export const createMemoryStream = (): MemoryStream => {
  const faults: PublishFault[] = [];
  const calls: Published[] = [];
  const stored: Published[] = [];
  const sequences = new Map<string, number>();
  const store = (message: Published): number => {
    const known = sequences.get(message.id);
    if (known !== undefined) return known;
    stored.push(message);
    sequences.set(message.id, stored.length);
    return stored.length;
  };
  return {
    faults,
    calls,
    stored,
    events: () => stored.flatMap(({ body }) => fromMessage(body)),
    forgetIds: () => sequences.clear(),
    publish: async (message) => {
      calls.push(message);
      const fault = faults.shift();
      if (fault === 'refused') throw new PublishError(false, new Error('maximum bytes exceeded'));
      if (fault === 'lost') throw new PublishError(true, new Error('timeout'));
      const sequence = store(message);
      if (fault === 'answer lost') throw new PublishError(true, new Error('timeout'));
      return sequence;
    },
  };
};

export type Delivery = {
  readonly subscribe: () => Promise<Subscription>;
  readonly deliver: (...bodies: readonly Buffer[]) => StreamMessage[];
  /** Ends the subscription from the other side. */
  readonly end: () => void;
  /** Sequences that the sink took, acknowledged, and said to be working on. */
  readonly pulled: number[];
  readonly acked: number[];
  readonly worked: number[];
};

/** A subscription that hands out one message at a time, so that a test sees how many the sink takes. */
export const createDelivery = (): Delivery => {
  const waiting: StreamMessage[] = [];
  const [pulled, acked, worked]: [number[], number[], number[]] = [[], [], []];
  let ended = false;
  let wake = () => {};
  let sequence = 0;
  const end = () => {
    ended = true;
    wake();
  };
  return {
    pulled,
    acked,
    worked,
    end,
    deliver: (...bodies) => {
      const messages = bodies.map((body): StreamMessage => {
        sequence += 1;
        const own = sequence;
        return { sequence: own, body, publishedAtMs: 0, ack: () => acked.push(own), working: () => worked.push(own) };
      });
      waiting.push(...messages);
      wake();
      return messages;
    },
    subscribe: async () => ({
      messages: (async function* () {
        while (!ended) {
          const message = waiting.shift();
          if (message) {
            pulled.push(message.sequence);
            yield message;
          } else {
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
          }
        }
      })(),
      stop: async () => end(),
    }),
  };
};
