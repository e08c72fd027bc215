/** The ports of ingest in memory, by the same rules as the real ones (test/contract/claims.test.ts holds both to them). */
import { type AcceptPorts, type ClaimAnswer, PublishError } from '../../ingest/accept-events.ts';
import type { StreamMessage, Subscription } from '../../ingest/usage-stream.nats.ts';
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

type Held = {
  readonly confirmed: boolean;
  readonly leaseEnd: number;
  readonly token: string;
  readonly fingerprint: string;
  readonly assignedMs: number;
};

export type ClaimsStore = {
  readonly open: (options: { readonly leaseSeconds: number; readonly windowSeconds: number }) => AcceptPorts['claims'];
  /** A store that is down answers nothing, and keeps what it holds. */
  readonly setDown: (down: boolean) => void;
  readonly empty: () => void;
};

export const createClaimsStore = (clock: { readonly nowMs: () => number }): ClaimsStore => {
  const held = new Map<string, Held>();
  let down = false;
  return {
    setDown: (value) => {
      down = value;
    },
    empty: () => held.clear(),
    open: ({ leaseSeconds, windowSeconds }) => {
      const place = (digest: Buffer): { name: string; now: number } => {
        const now = Math.floor(clock.nowMs() / 1000);
        const window = Math.floor(now / windowSeconds);
        const field = digest.toString('hex', 0, 12);
        const name = [`${window}:${field}`, `${window - 1}:${field}`].find((one) => held.has(one)) ?? `${window}:${field}`;
        return { name, now };
      };
      return {
        claim: async (claims, token) => {
          if (down) return undefined;
          return claims.map(({ digest, fingerprint, assignedMs }): ClaimAnswer => {
            const { name, now } = place(digest);
            const other = held.get(name);
            const mine = {
              confirmed: false,
              leaseEnd: now + leaseSeconds,
              token: token.toString('hex'),
              fingerprint: fingerprint.toString('hex'),
            };
            if (!other) {
              held.set(name, { ...mine, assignedMs });
              return { status: 'won', assignedMs, mayBeStored: false };
            }
            if (other.fingerprint !== mine.fingerprint) return { status: 'conflict' };
            if (other.confirmed) return { status: 'duplicate' };
            if (other.leaseEnd >= now) return { status: 'in_flight' };
            held.set(name, { ...mine, assignedMs: other.assignedMs });
            return { status: 'won', assignedMs: other.assignedMs, mayBeStored: true };
          });
        },
        confirm: async (claims) => {
          if (down) return;
          for (const { digest, fingerprint } of claims) {
            const { name } = place(digest);
            if (held.get(name)?.confirmed) continue;
            held.set(name, { confirmed: true, leaseEnd: 0, token: '', fingerprint: fingerprint.toString('hex'), assignedMs: 0 });
          }
        },
        release: async (claims, token) => {
          if (down) return;
          for (const { digest } of claims) {
            const { name } = place(digest);
            const other = held.get(name);
            if (other && !other.confirmed && other.token === token.toString('hex')) held.delete(name);
          }
        },
      };
    },
  };
};

export type Published = { readonly id: string; readonly body: Buffer };

/** What the next publish meets: refused by the stream, stored with its answer lost, or lost on the way with its fate unknown. */
export type PublishFault = 'refused' | 'answer lost' | 'lost';

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
