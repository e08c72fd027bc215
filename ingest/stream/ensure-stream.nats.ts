/**
 * The stream of accepted events, as it is made and kept: its limits, its identity, where it begins and where it ends.
 */
import { isDeepStrictEqual } from 'node:util';
import { DiscardPolicy, JetStreamApiError, RetentionPolicy, StorageType, type StreamConfig } from '@nats-io/jetstream';
import { nanos } from '@nats-io/transport-node';
import type { Config } from '#platform/config/config.ts';
import type { Clock } from '#platform/process/clock.ts';
import type { Nats } from '#platform/stores/nats.ts';
import { natsVersionFault } from '#platform/stores/nats-version.ts';
import { UnavailableError } from '#platform/stores/retry.ts';
import { deadLetterStreamOf, subjectsOf } from '#schemas/usage-stream.ts';
import { ensureSinkConsumer } from './sink-consumer.nats.ts';
import type { StreamEnd } from './stream-guard.ts';
import { adoptedStreamId, identityFields, newStreamId, streamIdOf } from './stream-identity.ts';

const duplicateWindowMs = 120_000;

const streamNotFound = 10059;
const streamNameInUse = 10058;

type StreamSettings = Pick<Config, 'streamName' | 'streamHoursMax' | 'streamBytesMax' | 'streamReplicas'>;

/**
 * Members of a configuration that the server does not give back as they were sent, or that differ: those have to be
 * updated.
 */
const differs = (settings: Partial<StreamConfig>, config: StreamConfig): boolean =>
  Object.entries(settings).some(([name, value]) => !isDeepStrictEqual(config[name as keyof StreamConfig], value));

/**
 * Makes the stream and the sink's consumer, or brings their limits up to date. Safe from several processes at once.
 * Limits retention, not a work queue: the stream can be replayed into a lost store. `discard: new`: a full stream
 * refuses, it drops nothing.
 */
export const ensureUsageStream = async (nats: Nats, config: StreamSettings, clock: Clock): Promise<void> => {
  const manager = await nats.manager();
  const limits = {
    subjects: [subjectsOf(config.streamName)],
    max_age: nanos(config.streamHoursMax * 3_600_000),
    max_bytes: config.streamBytesMax,
    num_replicas: config.streamReplicas,
    duplicate_window: nanos(duplicateWindowMs),
    discard: DiscardPolicy.New,
  };
  const add = async (name: string, settings: typeof limits) => {
    // A server may have come back as an older one, which would have it begin at 1.
    const fault = natsVersionFault(nats.connection.info?.version);
    if (fault !== undefined) throw new UnavailableError('nats', fault);
    try {
      await manager.streams.add({
        ...settings,
        ...identityFields(newStreamId()),
        name,
        first_seq: firstSequenceAt(clock.nowMs()),
        retention: RetentionPolicy.Limits,
        storage: StorageType.File,
      });
    } catch (error) {
      // Another process made it meanwhile; then its id and its first sequence hold.
      if (!(error instanceof JetStreamApiError && error.code === streamNameInUse)) throw error;
    }
  };
  // Asked for before it is added: the server counts a stream that is added again against its storage a second time, and
  // refuses it as too large.
  const ensure = async (name: string, settings: typeof limits) => {
    try {
      const { config: present, created } = await manager.streams.info(name);
      // What others wrote beside it stays.
      const metadata = { ...present.metadata, ...identityFields(adoptedStreamId(created)).metadata };
      const wanted = streamIdOf(present) === undefined ? { ...settings, metadata } : settings;
      if (differs(wanted, present)) await manager.streams.update(name, wanted);
    } catch (error) {
      if (!(error instanceof JetStreamApiError && error.code === streamNotFound)) throw error;
      await add(name, settings);
    }
  };
  await ensure(config.streamName, limits);
  await ensure(deadLetterStreamOf(config.streamName), {
    ...limits,
    subjects: [subjectsOf(deadLetterStreamOf(config.streamName))],
    max_age: 0,
    max_bytes: Math.min(config.streamBytesMax, 268_435_456),
  });
  await ensureSinkConsumer(manager, config.streamName);
};

/**
 * A stream that has to be made again, its data lost, must not begin at 1: what is stored already would lie above every
 * later watermark and never be billed, and a later twin would count as the first. So sequences begin at the time of the
 * stream's making, 100,000 a second, and rise over every re-creation; they stay under 2^48 until 2059. All the same the
 * rater refuses to bill from a stream that stands below its store.
 */
const firstSequenceAt = (nowMs: number): number => Math.floor(nowMs / 1000) * 100_000;

/**
 * Calls `listener` when any process makes a stream of that name. What is missed while the server is away is found when
 * it is met again.
 */
export const onStreamMade = (nats: Nats, streamName: string, listener: () => void): void => {
  nats.connection.subscribe(`$JS.EVENT.ADVISORY.STREAM.CREATED.${streamName}`, { callback: () => listener() });
};

/** Makes the stream where it is gone, and says where it ends. */
export const createReadStreamEnd =
  (nats: Nats, config: StreamSettings, clock: Clock) => async (): Promise<StreamEnd> => {
    await ensureUsageStream(nats, config, clock);
    // Asked for once more: of several processes that make it, one has made the stream that is there.
    const { state, config: present } = await (await nats.manager()).streams.info(config.streamName);
    const streamId = streamIdOf(present);
    if (streamId === undefined) throw new Error(`somebody took the id of the stream ${config.streamName} away`);
    return { lastSequence: state.last_seq, streamId };
  };
