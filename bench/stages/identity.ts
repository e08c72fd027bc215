/**
 * The identity check by itself: what a key takes in memory, what the check of an event costs with filters and by asking
 * the store for each, and how long a start takes. Keys are written into the store directly, under sequences below those
 * of the stack's own stream, and checked under a stream's name of their own.
 */
import { randomFillSync } from 'node:crypto';
import type { ClickHouseClient } from '@clickhouse/client';
import { systemClock } from '#platform/process/clock.ts';
import { connectClickHouse } from '#platform/stores/clickhouse.ts';
import { type CheckPorts, createIdentityCheck } from '../../ingest/identity/check-identity.ts';
import { createKeyFilters } from '../../ingest/identity/key-filters.clickhouse.ts';
import { createGenerationBuilder, probeOf } from '../../ingest/identity/key-generation.ts';
import { createKeyTable } from '../../ingest/identity/key-table.ts';
import { createUsageKeys } from '../../ingest/identity/usage-keys.clickhouse.ts';
import { cpuSecondsOf } from '../line/process-cost.ts';
import { pidOf, type StageServers } from './stage.ts';

export type IdentityFigures = Readonly<Record<string, number>>;

const perMessage = 200;
const generations = 35;
/** Of those that are asked of the store one by one, so many do. */
const askedKeys = 50_000;
const dayMs = 86_400_000;

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

const insert = `
INSERT INTO usage_keys (tenant, key_digest, stream_sequence, received_at, event, customer, occurred_at, payload)
SELECT 'org_bench_identity', substring(SHA256(concat('bench-identity-', toString(number))), 1, 16),
  intDiv(number, {perMessage:UInt64}) + 1, now64(3), 'llm.request',
  concat('customer-', toString(number % 1000)), now64(3), number
FROM numbers({from:UInt64}, {count:UInt64})`;

const storeKeys = async (clickhouse: ClickHouseClient, keys: number): Promise<void> => {
  const perInsert = 500_000;
  for (let from = 0; from < keys; from += perInsert) {
    await clickhouse.command({
      query: insert,
      query_params: { perMessage, from, count: Math.min(perInsert, keys - from) },
    });
  }
};

/** As the checker merges. */
const merging = { mergedMin: 5, mergedKeysMax: 64_000_000, mergedDaysMax: 8 };

const checkerOf = (
  clickhouse: ClickHouseClient,
  stream: string,
  range: { readonly from: number; readonly to: number },
  generationKeysMax: number,
  wrap = (ports: CheckPorts) => ports,
) =>
  createIdentityCheck(
    { ...merging, rowsMax: 100_000, generationKeysMax, windowDays: 35, horizonMs: 35 * dayMs },
    wrap({
      clock: systemClock,
      readStored: async () => ({ last: range.to, stored: range.to }),
      checked: { read: async () => range.from, advance: async () => {} },
      keys: createUsageKeys(clickhouse),
      filters: createKeyFilters(clickhouse, stream),
      report: { checked: () => {}, again: () => {} },
    }),
  );

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

/** Milliseconds, and microseconds of processor time of this process and of ClickHouse, each for one event. */
const costOf = async (
  servers: StageServers,
  events: number,
  work: () => Promise<unknown>,
): Promise<{ readonly wall: number; readonly own: number; readonly store: number }> => {
  const pid = pidOf(servers, 'clickhouse');
  const [ownBefore, storeBefore, startMs] = [process.cpuUsage(), cpuSecondsOf(pid), performance.now()];
  await work();
  const { user, system } = process.cpuUsage(ownBefore);
  return {
    wall: ((performance.now() - startMs) * 1000) / events,
    own: (user + system) / events,
    store: ((cpuSecondsOf(pid) - storeBefore) * 1e6) / events,
  };
};

export const measureIdentity = async (
  servers: StageServers,
  keys: number,
): Promise<Readonly<Record<string, IdentityFigures>>> => {
  const clickhouse = connectClickHouse(servers.urls.clickhouse, { requestTimeoutMs: 300_000, connectionsMax: 4 });
  const whole = { from: 0, to: keys / perMessage };
  const last = { from: whole.to - askedKeys / perMessage, to: whole.to };
  const checkAll = async ({ check }: ReturnType<typeof checkerOf>) => {
    while (await check());
  };
  try {
    const memory = { one_million: inMemory(1_000_000), five_millions: inMemory(5_000_000) };
    await storeKeys(clickhouse, keys);
    const filtered = checkerOf(clickhouse, 'BENCH', whole, Math.ceil(keys / generations));
    const check = await costOf(servers, keys, () => checkAll(filtered));
    const restarted = checkerOf(clickhouse, 'BENCH', { from: whole.to, to: whole.to }, keys);
    const start = await costOf(servers, 1, () => checkAll(restarted));
    const openOnly = checkerOf(clickhouse, 'BENCH-OPEN', { from: whole.to, to: whole.to }, keys);
    const startOpen = await costOf(servers, 1, () => checkAll(openOnly));
    const asked = await costOf(servers, askedKeys, () =>
      checkAll(checkerOf(clickhouse, 'BENCH-ASKED', last, keys * 2, withoutFilters)),
    );
    const { generations: closed, closedBytes, closedKeys } = filtered.known.holdings();
    return {
      ...memory,
      check: {
        keys,
        generations: closed,
        bytes_per_key: closedBytes / closedKeys,
        wall_us: check.wall,
        checker_cpu_us: check.own,
        clickhouse_cpu_us: check.store,
      },
      without_filters: { wall_us: asked.wall, checker_cpu_us: asked.own, clickhouse_cpu_us: asked.store },
      start_ms: { from_filters: start.wall / 1000, from_keys: startOpen.wall / 1000 },
    };
  } finally {
    await clickhouse.close();
  }
};
