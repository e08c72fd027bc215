/**
 * The identity check by itself: what a key takes in memory; what the check of an event costs from the store and from
 * the stream, with a window of keys behind it, and by asking the store for each; and how long a start takes.
 */
import { randomFillSync } from 'node:crypto';
import type { ClickHouseClient } from '@clickhouse/client';
import { loadConfig } from '#platform/config/config.ts';
import { systemClock } from '#platform/process/clock.ts';
import { createLog } from '#platform/process/log.ts';
import { connectClickHouse } from '#platform/stores/clickhouse.ts';
import { connectNats, type Nats } from '#platform/stores/nats.ts';
import { toMessage } from '#schemas/usage-event.ts';
import { subjectOf } from '#schemas/usage-stream.ts';
import type { CheckPorts } from '../../ingest/identity/check-identity.ts';
import { createGenerationBuilder, probeOf } from '../../ingest/identity/key-generation.ts';
import { createKeySource } from '../../ingest/identity/key-source.ts';
import { createKeyTable } from '../../ingest/identity/key-table.ts';
import { createStreamKeys } from '../../ingest/identity/stream-keys.nats.ts';
import { createUsageKeys } from '../../ingest/identity/usage-keys.clickhouse.ts';
import { ensureUsageStream } from '../../ingest/stream/ensure-stream.nats.ts';
import { cpuSecondsOf } from '../line/process-cost.ts';
import { pidOf, type StageServers } from './stage.ts';
import { checkAll, checkerOf, keyOf, keysPerMessage, keysTenant, storeKeys, storeWindow } from './stored-keys.ts';

export type IdentityFigures = Readonly<Record<string, number>>;

/** The keys of a generation are those of a day. */
const generations = 35;
/** Of those that are asked of the store one by one, so many do. */
const askedKeys = 50_000;
/** And so many come with a stream. */
const streamedKeys = 2_000_000;
const streamName = 'BENCH-IDENTITY';

const randomHalves = (count: number): Uint32Array => {
  const halves = new Uint32Array(count);
  // What can be filled at a time has a bound.
  for (let from = 0; from < count; from += 1_000_000)
    randomFillSync(halves.subarray(from, Math.min(count, from + 1_000_000)));
  return halves;
};

/** The structures in memory, of so many keys. */
const inMemory = (keys: number): IdentityFigures => {
  const [lows, highs] = [randomHalves(keys), randomHalves(keys)];
  const table = createKeyTable();
  let startMs = performance.now();
  for (let key = 0; key < keys; key += 1) table.add(lows[key] as number, highs[key] as number);
  const addNanos = ((performance.now() - startMs) * 1e6) / keys;
  startMs = performance.now();
  const builder = createGenerationBuilder(table);
  let filters = builder.next();
  while (!filters) filters = builder.next();
  const buildNanos = ((performance.now() - startMs) * 1e6) / keys;
  const mayHave = probeOf({ filters });
  const strangers = randomHalves(4_000_000);
  let passed = 0;
  startMs = performance.now();
  for (let key = 0; key < strangers.length; key += 2)
    if (mayHave(strangers[key] as number, strangers[key + 1] as number)) passed += 1;
  return {
    open_bytes_per_key: table.bytes() / keys,
    closed_bytes_per_key: filters.reduce((sum, { bytes }) => sum + bytes.byteLength, 0) / keys,
    add_ns: addNanos,
    build_ns: buildNanos,
    probe_ns: ((performance.now() - startMs) * 1e6) / (strangers.length / 2),
    passed_of_a_million: (passed * 1e6) / (strangers.length / 2),
  };
};

/** As if there were no memory: each event is asked of the store. */
const withoutFilters = (ports: CheckPorts): CheckPorts => ({
  ...ports,
  keys: {
    ...ports.keys,
    read: async (...range) => {
      const { rows, upTo } = await ports.keys.read(...range);
      return { rows: { ...rows, low: () => 1, high: () => 1 }, upTo };
    },
  },
});

/** Messages of keys from `first` on into a stream of their own; the sequences before the first and of the last. */
const publishKeys = async (nats: Nats, first: number): Promise<{ readonly from: number; readonly to: number }> => {
  await ensureUsageStream(nats, { ...loadConfig({}, []), streamName }, systemClock);
  const nowMs = Date.now();
  const bodyOf = (message: number): Buffer =>
    toMessage(
      Array.from({ length: keysPerMessage }, (_, row) => ({
        tenant: keysTenant,
        idempotencyKey: keyOf(first + message * keysPerMessage + row),
        event: 'llm.request',
        customer: `customer-${row}`,
        occurredAtMs: nowMs,
        receivedAtMs: nowMs,
        properties: [
          ['input_tokens', '1200'],
          ['model', 'small-3'],
          ['output_tokens', '116'],
          ['region', 'eu-west'],
        ],
      })),
    );
  const messages = streamedKeys / keysPerMessage;
  let to = 0;
  // In their order: the numbers of the keys tell their sequences in the store.
  for (let message = 0; message < messages; message += 1)
    to = (await nats.js.publish(subjectOf(streamName), bodyOf(message))).seq;
  return { from: to - messages, to };
};

type Cost = { readonly wall: number; readonly own: number; readonly store: number; readonly stream: number };

/** Microseconds, and microseconds of processor time of this process and of the servers, each for one event. */
const costOf = async (servers: StageServers, events: number, work: () => Promise<unknown>): Promise<Cost> => {
  const pids = ['clickhouse', 'nats'].map((name) => pidOf(servers, name));
  const secondsOf = () => pids.map(cpuSecondsOf);
  const [ownBefore, before, startMs] = [process.cpuUsage(), secondsOf(), performance.now()];
  await work();
  const { user, system } = process.cpuUsage(ownBefore);
  const [store = 0, stream = 0] = secondsOf().map((after, index) => after - (before[index] ?? 0));
  return {
    wall: ((performance.now() - startMs) * 1000) / events,
    own: (user + system) / events,
    store: (store * 1e6) / events,
    stream: (stream * 1e6) / events,
  };
};

const figuresOf = ({ wall, own, store, stream }: Cost): IdentityFigures => ({
  wall_us: wall,
  checker_cpu_us: own,
  clickhouse_cpu_us: store,
  ...(stream > 0.01 && { nats_cpu_us: stream }),
});

/** Two millions more, as the checker reads them, with all that is stored known. */
const measureStreamed = async (
  servers: StageServers,
  clickhouse: ClickHouseClient,
  keys: number,
): Promise<IdentityFigures> => {
  const nats = await connectNats(servers.urls.nats, 'bench', createLog('bench', 'warn'));
  try {
    const { from, to } = await publishKeys(nats, keys);
    const stored = { receivedFromMs: Date.now() - 1_000, receivedUntilMs: Date.now() };
    await storeKeys(clickhouse, { first: keys, count: streamedKeys, sequence: from + 1, ...stored });
    const store = createUsageKeys(clickhouse);
    const stream = createStreamKeys(nats, streamName, systemClock, (error) => {
      throw error;
    });
    // As of a checker that was running when they came.
    const source = createKeySource({ clock: systemClock, stream, store: { ...store, highest: async () => from } }, 0);
    const range = { from: keys / keysPerMessage, to, generationKeysMax: 6_000_000 };
    // What is known is loaded before anything is there to check.
    let end = range.from;
    const streamed = checkerOf(clickhouse, 'BENCH', range, (ports) => ({
      ...ports,
      keys: { ...ports.keys, ...source },
      readStored: async () => ({ last: to, stored: end }),
    }));
    await streamed.check();
    end = to;
    const cost = await costOf(servers, streamedKeys, async () => {
      while ((streamed.standing()?.covered ?? 0) < to) await streamed.check();
    });
    return {
      keys: streamedKeys,
      window_keys: keys,
      generations: streamed.known.holdings().generations,
      ...figuresOf(cost),
    };
  } finally {
    await (await nats.manager()).streams.delete(streamName);
    await nats.close();
  }
};

export const measureIdentity = async (
  servers: StageServers,
  keys: number,
): Promise<Readonly<Record<string, IdentityFigures>>> => {
  const clickhouse = connectClickHouse(servers.urls.clickhouse, { requestTimeoutMs: 300_000, connectionsMax: 4 });
  const to = keys / keysPerMessage;
  const whole = { from: 0, to, generationKeysMax: Math.ceil(keys / generations) };
  try {
    const memory = { one_million: inMemory(1_000_000), five_millions: inMemory(5_000_000) };
    await storeWindow(clickhouse, keys);
    const filtered = checkerOf(clickhouse, 'BENCH', whole);
    const check = await costOf(servers, keys, () => checkAll(filtered));
    const { generations: closed, closedBytes, closedKeys } = filtered.known.holdings();
    const restarted = checkerOf(clickhouse, 'BENCH', { ...whole, from: to });
    const start = await costOf(servers, 1, () => restarted.check());
    const streamed = await measureStreamed(servers, clickhouse, keys);
    const last = { from: to - askedKeys / keysPerMessage, to, generationKeysMax: keys * 2 };
    const asked = await costOf(servers, askedKeys, () =>
      checkAll(checkerOf(clickhouse, 'BENCH-ASKED', last, withoutFilters)),
    );
    return {
      ...memory,
      from_the_store: { keys, generations: closed, bytes_per_key: closedBytes / closedKeys, ...figuresOf(check) },
      from_the_stream: streamed,
      without_filters: figuresOf(asked),
      start_ms: { from_filters: start.wall / 1000 },
    };
  } finally {
    await clickhouse.close();
  }
};
