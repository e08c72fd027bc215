/**
 * The processes of a run: gateways and sinks with the real use cases, over ports that reach the other parts through the
 * scheduler.
 */
import assert from 'node:assert/strict';
import { type AcceptPorts, acceptEvents, PublishError, type Status } from '../../ingest/gateway/accept-events.ts';
import { joinRequests } from '../../ingest/gateway/join-requests.ts';
import { keyOfRow } from '../../ingest/parse/event-block.ts';
import { type SinkPorts, startSink } from '../../ingest/sink/sink.ts';
import { blockOf } from '../support/memory-gateway.ts';
import type { PlantedBug } from './planted-bugs.ts';
import type { Fate, Process, Random, Scheduler } from './scheduler.ts';
import { RefusalError, type SimStore, type SimStream } from './usage-line.ts';

/** What a run consists of, besides its processes. */
export type World = {
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly clock: { readonly nowMs: () => number };
  readonly stream: SimStream;
  readonly store: SimStore;
  readonly claims: AcceptPorts['claims'];
  /** Whether claims may be away, lost or emptied in this run. */
  readonly redisFails: boolean;
  /** `network`: how likely a call is lost, late, or not answered. */
  readonly faults: { network: number; redisDown: boolean; storeDown: boolean };
  readonly bug: PlantedBug;
  /** What was thrown where nobody catches it. */
  readonly broken: unknown[];
};

const fateOf = ({ random }: World, trouble: number): Fate =>
  random.chance(trouble) ? random.pick(['lost', 'unanswered', 'late'] as const) : 'answered';

/** As claims.redis.ts: what is not answered is undefined, or forgotten. */
const claimsOf = (world: World, process: Process): AcceptPorts['claims'] => {
  const { claims, faults, redisFails, scheduler } = world;
  const ask = <T>(what: string, work: () => Promise<T>): Promise<T> => {
    const fate = redisFails ? fateOf(world, faults.network / 2) : 'answered';
    // The fake works when it is called: nothing of it waits.
    return scheduler.call(process, what, faults.redisDown ? 'lost' : fate, work) as Promise<T>;
  };
  const quietly = (work: Promise<void>): Promise<void> => work.catch(() => {});
  return {
    claim: (records, assignedMs) => ask('claim', () => claims.claim(records, assignedMs)).catch(() => undefined),
    confirm: (batch, sequence) => quietly(ask('confirm', () => claims.confirm(batch, sequence))),
    release: (batch) => quietly(ask('release', () => claims.release(batch))),
  };
};

/**
 * As usage-stream.nats.ts: tries again under the same id, and says whether the stream may hold the message all the
 * same.
 */
const publishTo =
  (world: World, process: Process): AcceptPorts['publish'] =>
  async (message) => {
    const { scheduler, faults, stream } = world;
    for (let attempt = 1, mayBeStored = false; ; attempt += 1) {
      try {
        return await scheduler.call(process, 'publish', fateOf(world, faults.network), () => stream.publish(message));
      } catch (error) {
        if (error instanceof RefusalError) throw new PublishError(mayBeStored, error);
        mayBeStored = true;
        if (attempt === 2) throw new PublishError(true, error);
      }
    }
  };

export type SimGateway = {
  readonly process: Process;
  readonly handle: (events: readonly unknown[]) => Promise<readonly Status[]>;
};

/** Messages are small, so that most requests are of several. */
const packLimits = { messageBytesMax: 500, messageEventsMax: 3 };

export const startGateway = (world: World, name: string): SimGateway => {
  const { random, clock, bug } = world;
  const process: Process = { name, alive: true };
  const skewMs = random.below(4_000) - 2_000;
  const ports: AcceptPorts = { claims: claimsOf(world, process), publish: publishTo(world, process) };
  const take = joinRequests<undefined>({
    rowsMax: 3,
    groupsMax: 1 + random.below(2),
    groupRowsMax: 6,
    accept: (joined) => {
      const blocks = joined.map(({ block }) => block);
      const whole = blocks.flatMap((block) => block.places.map((_, row) => keyOfRow(block, row))).join();
      const receivedAtMs = Math.max(...joined.map((one) => one.receivedAtMs));
      return acceptEvents(blocks, receivedAtMs, packLimits, bug.accept?.(ports, whole, clock.nowMs) ?? ports);
    },
  });
  return {
    process,
    handle: async (events) => {
      const receivedAtMs = clock.nowMs() + skewMs;
      const { outcomes } = await take({ block: blockOf(events, receivedAtMs), receivedAtMs, request: undefined });
      return outcomes.statuses;
    },
  };
};

export const runSink = async (world: World, name: string): Promise<Process> => {
  const { random, scheduler, clock, stream, store, faults, bug, broken } = world;
  const process: Process = { name, alive: true };
  const ports: SinkPorts = {
    subscribe: async () => stream.subscribe(process, () => random.chance(faults.network)),
    insert: (messages) => {
      const what = `insert of ${messages.map(({ sequence }) => sequence).join(' ')}`;
      return scheduler.call(process, what, fateOf(world, faults.network), () => {
        if (faults.storeDown) throw new Error('the store is away');
        store.insert(messages);
      });
    },
    deadLetter: async () => assert.fail('a readable message was put aside'),
    announce: () => {},
    clock,
    report: { stored: () => {}, waiting: () => {}, deadLettered: () => {} },
  };
  const sink = await startSink(
    { rowsMax: 6, bytesMax: 5_000, ageMsMax: 2_000, insertsMax: 2 },
    bug.store?.(ports) ?? ports,
  );
  sink.done.catch((error) => broken.push(error));
  return process;
};
