/** Gateways in memory: the use case of ingest over the fakes of its ports, at a time that the test sets. */
import type { Fault } from '#schemas/failures.ts';
import { type AcceptPorts, acceptEvents, type PackLimits, type Status } from '../../ingest/gateway/accept-events.ts';
import { BlockWriter, type EventBlock } from '../../ingest/parse/event-block.ts';
import { seedsOf } from '../../ingest/parse/key-hash.ts';
import { parseNativeBody } from '../../ingest/parse/native.ts';
import { createMemoryStream, createSetClock, type MemoryStream, type SetClock } from './ingest-fakes.ts';
import { type ClaimsStore, createClaimsStore } from './memory-claims.ts';

export const startMs = Date.UTC(2026, 10, 20, 12);
export const leaseSeconds = 15;
export const windowSeconds = 86_400;
export const acceptLimits = {
  pastMsMax: 35 * 86_400_000,
  futureMsMax: 300_000,
  messageBytesMax: 16_384,
  messageEventsMax: 10_000,
};

/** The events of a body as the gateway reads them. */
export const blockOf = (events: readonly unknown[], receivedAtMs: number, tenant = 'org_1'): EventBlock => {
  const body = Buffer.from(JSON.stringify(events));
  const writer = new BlockWriter({ tenant, seeds: seedsOf('a secret of tests', tenant), receivedAtMs }, body.length);
  const parsed = parseNativeBody(body, writer, { nowMs: receivedAtMs, ...acceptLimits }, 100_000);
  if (parsed.kind !== 'events') throw new Error(`the body was not taken: ${parsed.kind}`);
  return writer.done();
};

type Taken = {
  readonly statuses: readonly Status[];
  /** Of each event, none where it was taken. */
  readonly faults: readonly (readonly Fault[])[];
  readonly confirmed: Promise<unknown>;
  readonly unclaimed: boolean;
};

type Replaced = Partial<AcceptPorts> & { readonly limits?: Partial<PackLimits> };

export type MemoryGateway = {
  readonly clock: SetClock;
  readonly claimsStore: ClaimsStore;
  readonly stream: MemoryStream;
  readonly ports: AcceptPorts;
  readonly accept: (events: readonly unknown[], replaced?: Replaced, tenant?: string) => Promise<Taken>;
  /** Requests of one organization that are taken together. */
  readonly acceptJoined: (requests: readonly (readonly unknown[])[], replaced?: Replaced) => Promise<Taken[]>;
  /** Answers and waits until the claims are settled, as a client sees it that takes its time. */
  readonly send: (events: readonly unknown[], tenant?: string) => Promise<readonly Status[]>;
};

export const setUpGateway = (): MemoryGateway => {
  const clock = createSetClock(startMs);
  const claimsStore = createClaimsStore(clock);
  const stream = createMemoryStream();
  const ports: AcceptPorts = { claims: claimsStore.open({ leaseSeconds, windowSeconds }), publish: stream.publish };
  const acceptBlocks = async (blocks: readonly EventBlock[], { limits, ...replaced }: Replaced): Promise<Taken[]> => {
    const accepted = await acceptEvents(
      blocks,
      clock.nowMs(),
      { ...acceptLimits, ...limits },
      { ...ports, ...replaced },
    );
    return accepted.outcomes.map(({ statuses, faults }) => ({
      ...accepted,
      statuses,
      faults: statuses.map((_, place) => faults.get(place) ?? []),
    }));
  };
  const accept: MemoryGateway['accept'] = async (events, replaced = {}, tenant = 'org_1') =>
    (await acceptBlocks([blockOf(events, clock.nowMs(), tenant)], replaced))[0] as Taken;
  return {
    clock,
    claimsStore,
    stream,
    ports,
    accept,
    acceptJoined: (requests, replaced = {}) =>
      acceptBlocks(
        requests.map((events) => blockOf(events, clock.nowMs())),
        replaced,
      ),
    send: async (events, tenant) => {
      const { statuses, confirmed } = await accept(events, {}, tenant);
      await confirmed;
      return statuses;
    },
  };
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
export const unstamped = (key: string, replaced: Record<string, unknown> = {}) =>
  event(key, { timestamp: undefined, ...replaced });
