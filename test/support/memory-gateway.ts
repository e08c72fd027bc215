/** Gateways in memory: the use case of ingest over the fakes of its ports, at a time that the test sets. */
import { type Accepted, type AcceptPorts, acceptEvents } from '../../ingest/accept-events.ts';
import {
  type ClaimsStore,
  createClaimsStore,
  createMemoryStream,
  createSetClock,
  type MemoryStream,
  type SetClock,
} from './ingest-fakes.ts';

export const startMs = Date.UTC(2026, 10, 20, 12);
export const leaseSeconds = 15;
export const windowSeconds = 86_400;
export const acceptLimits = { pastMsMax: 35 * 86_400_000, futureMsMax: 300_000, messageBytesMax: 16_384 };

export type MemoryGateway = {
  readonly clock: SetClock;
  readonly claimsStore: ClaimsStore;
  readonly stream: MemoryStream;
  readonly ports: AcceptPorts;
  readonly accept: (events: readonly unknown[], replaced?: Partial<AcceptPorts>, tenant?: string) => Promise<Accepted>;
  /** Answers and waits until the claims are settled, as a client sees it that takes its time. */
  readonly send: (events: readonly unknown[], tenant?: string) => Promise<string[]>;
};

export const setUpGateway = (): MemoryGateway => {
  const clock = createSetClock(startMs);
  const claimsStore = createClaimsStore(clock);
  const stream = createMemoryStream();
  const claims = claimsStore.open({ leaseSeconds, windowSeconds });
  let tokens = 0;
  const ports: AcceptPorts = {
    claims,
    publish: stream.publish,
    token: () => {
      tokens += 1;
      const token = Buffer.alloc(4);
      token.writeUInt32BE(tokens);
      return token;
    },
  };
  const accept: MemoryGateway['accept'] = (events, replaced = {}, tenant = 'org_1') =>
    acceptEvents(events, tenant, clock.nowMs(), acceptLimits, { ...ports, ...replaced });
  const send: MemoryGateway['send'] = async (events, tenant) => {
    const { outcomes, confirmed } = await accept(events, {}, tenant);
    await confirmed;
    return outcomes.map(({ status }) => status);
  };
  return { clock, claimsStore, stream, ports, accept, send };
};

/** A valid event, some of its fields replaced. */
export const event = (key: string, replaced: Record<string, unknown> = {}) => ({
  idempotency_key: key,
  event: 'llm.request',
  customer_id: 'cus_1',
  timestamp: '2026-11-20T11:00:00Z',
  properties: { tokens: 12 },
  ...replaced,
});

/** One whose time is ours to give. */
export const unstamped = (key: string, replaced: Record<string, unknown> = {}) => event(key, { timestamp: undefined, ...replaced });
