/**
 * What is known in memory, over a store in memory: however keys, days, closings and restarts follow each other, no twin
 * is ruled out.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Generation, keysOf, type Range } from '../../../../ingest/identity/key-generation.ts';
import type { KeyRows } from '../../../../ingest/identity/key-rows.ts';
import { KnownKeys, type KnownKeysLimits, type KnownKeysPorts } from '../../../../ingest/identity/known-keys.ts';
import { scaled } from '../../../support/scale.ts';

const dayMs = 86_400_000;
const limits: KnownKeysLimits = {
  windowDays: 5,
  horizonMs: 5 * dayMs,
  generationKeysMax: 6,
  mergedMin: 3,
  mergedKeysMax: 60,
  mergedDaysMax: 3,
};

type Row = {
  readonly sequence: number;
  readonly key: number;
  readonly receivedAtMs: number;
  readonly occurredAtMs: number;
};

const halves = (key: number): readonly [number, number] => [Math.imul(key + 1, 0x9e3779b1) >>> 0, key];

const rowsFrom = (rows: readonly Row[]): KeyRows => {
  const at = (row: number) => rows[row] as Row;
  return {
    count: rows.length,
    low: (row) => halves(at(row).key)[0],
    high: (row) => halves(at(row).key)[1],
    sequence: (row) => at(row).sequence,
    receivedAtMs: (row) => at(row).receivedAtMs,
    occurredAtMs: (row) => at(row).occurredAtMs,
    decode: () => {
      throw new Error('nobody asks for it here');
    },
  };
};

/** A store of rows and generations, and a clock. */
const createStore = () => {
  const rows: Row[] = [];
  const generations: Generation[] = [];
  let nowMs = 1_000 * dayMs;
  const within = ({ from, to }: Range) => rows.filter(({ sequence }) => sequence > from && sequence <= to);
  const ports: KnownKeysPorts = {
    clock: { nowMs: () => nowMs },
    keys: {
      hashes: async function* (range) {
        const bytes = Buffer.from(Uint32Array.from(within(range).flatMap(({ key }) => halves(key))).buffer);
        // In pieces that end anywhere.
        for (let at = 0; at < bytes.length; at += 13) yield bytes.subarray(at, at + 13);
      },
      facts: async (range) => ({
        hashes: new Set(within(range).map(({ key }) => key)).size,
        receivedUntilMs: Math.max(0, ...within(range).map(({ receivedAtMs }) => receivedAtMs)),
      }),
    },
    filters: {
      list: async () => generations.map((generation) => ({ ...generation, segments: 1, storedSegments: 1 })),
      read: async ({ from, to }) => generations.find((one) => one.from === from && one.to === to) as Generation,
      save: async (generation) => void generations.push(generation),
    },
  };
  return { ports, rows, generations, pass: (days: number) => (nowMs += days * dayMs), now: () => nowMs };
};

/** Until nothing is left to do; what a merge reads comes meanwhile. */
const tendAll = async (known: KnownKeys, covered: number): Promise<void> => {
  for (let idle = 0; idle < 5; idle += 1) {
    if ((await known.tend(covered)).worked) idle = 0;
    await new Promise((resolve) => setImmediate(resolve));
  }
};

const dayOf = (ms: number) => Math.floor(ms / dayMs);

/** By the rule, and by looking at every row. */
const isTwin = (row: Row, before: readonly Row[]): boolean =>
  before.some(
    ({ key, receivedAtMs }) =>
      key === row.key &&
      (row.occurredAtMs < row.receivedAtMs - limits.horizonMs ||
        dayOf(receivedAtMs) >= dayOf(row.receivedAtMs) - limits.windowDays),
  );

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('rows' as const),
      keys: fc.array(
        fc.record({ key: fc.nat(40), lateDays: fc.constantFrom(0, 0, 0, 1, 3, 9), agoDays: fc.constantFrom(0, 1, 20) }),
        {
          maxLength: 8,
        },
      ),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('tend' as const), times: fc.nat(4) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('pass' as const), days: fc.nat(4) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('tend all' as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
);

describe('known keys', () => {
  it('[I2] [I7] rule out no later twin, whatever happened before', async () => {
    let [twins, forgotten, merged] = [0, 0, 0];
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), async (steps) => {
        const store = createStore();
        let known = new KnownKeys(limits, store.ports);
        let covered = 0;
        for (const one of steps) {
          if (one.kind === 'pass') store.pass(one.days);
          else if (one.kind === 'tend') for (let time = 0; time < one.times; time += 1) await known.tend(covered);
          else if (one.kind === 'tend all') await tendAll(known, covered);
          else if (one.kind === 'restart') {
            known = new KnownKeys(limits, store.ports);
            await known.load(covered);
          } else {
            const rows = one.keys.map(({ key, lateDays, agoDays }, index): Row => {
              const receivedAtMs = store.now() - lateDays * dayMs;
              return { sequence: covered + 1 + index, key, receivedAtMs, occurredAtMs: receivedAtMs - agoDays * dayMs };
            });
            const before = [...store.rows];
            store.rows.push(...rows);
            const suspects = new Set(known.takeSuspects(rowsFrom(rows)));
            for (const [index, row] of rows.entries()) {
              if (!isTwin(row, [...before, ...rows.slice(0, index)])) continue;
              twins += 1;
              expect(suspects.has(index), `row ${row.sequence} of key ${row.key}`).toBe(true);
            }
            covered += rows.length;
          }
        }
        const isWithin = ({ from, to }: Range, other: Range) => other.from <= from && to <= other.to;
        const parts = store.generations.filter((one) =>
          store.generations.some((other) => other !== one && isWithin(one, other)),
        );
        merged += parts.length;
        const keys = store.generations.filter((one) => !parts.includes(one)).map(keysOf);
        forgotten += keys.reduce((sum, one) => sum + one, 0) - known.holdings().closedKeys;
      }),
      { numRuns: scaled(500) },
    );
    // It would hold as well of one that never forgets, and of a workload without twins.
    expect(twins).toBeGreaterThan(500);
    expect(forgotten).toBeGreaterThan(100);
    expect(merged).toBeGreaterThan(30);
  });

  it('rule out new keys: after a year of days each of them is looked up by the chance of a filter only', async () => {
    const store = createStore();
    const known = new KnownKeys(limits, store.ports);
    let suspects = 0;
    for (let day = 0; day < 365; day += 1) {
      const rows = Array.from(
        { length: 10 },
        (_, index): Row => ({
          sequence: day * 10 + index + 1,
          key: day * 10 + index,
          receivedAtMs: store.now(),
          occurredAtMs: store.now(),
        }),
      );
      store.rows.push(...rows);
      suspects += known.takeSuspects(rowsFrom(rows)).length;
      store.pass(1);
      await tendAll(known, (day + 1) * 10);
      // Of three days each, but for the youngest; kept are the window, a day over it, and what was merged with these.
      expect(known.holdings().generations).toBeLessThanOrEqual(5);
    }
    expect(known.holdings().closedKeys).toBeLessThanOrEqual(10 * (limits.windowDays + 1 + 3));
    expect(suspects).toBeLessThan(20);
  });

  it('close the generation of a day that is over, also where nothing comes any more', async () => {
    const store = createStore();
    const known = new KnownKeys(limits, store.ports);
    store.rows.push({ sequence: 1, key: 1, receivedAtMs: store.now(), occurredAtMs: store.now() });
    known.takeSuspects(rowsFrom(store.rows));
    expect(await known.tend(1)).toEqual({ worked: false });
    store.pass(1);
    while ((await known.tend(1)).worked);
    expect(known.holdings()).toMatchObject({ openKeys: 0, closedKeys: 1, generations: 1 });
    store.pass(1);
    expect(await known.tend(1)).toEqual({ worked: false });
  });

  it('go on being asked while the store does not answer for a generation that is due, and it is closed later', async () => {
    const store = createStore();
    let isAway = true;
    const facts: KnownKeysPorts['keys']['facts'] = (range) =>
      isAway ? Promise.reject(new Error('away')) : store.ports.keys.facts(range);
    const known = new KnownKeys(limits, { ...store.ports, keys: { ...store.ports.keys, facts } });
    store.rows.push({ sequence: 1, key: 1, receivedAtMs: store.now(), occurredAtMs: store.now() });
    known.takeSuspects(rowsFrom(store.rows));
    store.pass(1);
    await expect(known.tend(1)).rejects.toThrow('away');
    expect(await known.tend(1)).toEqual({ worked: false });
    expect(known.takeSuspects(rowsFrom(store.rows))).toEqual([0]);
    isAway = false;
    expect(await known.tend(1)).toEqual({ worked: false });
    store.pass(1 / 1_440);
    await tendAll(known, 1);
    expect(known.holdings()).toMatchObject({ openKeys: 0, closedKeys: 1 });
  });
});
