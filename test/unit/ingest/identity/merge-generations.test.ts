/** Which generations are merged, and that the merged one denies no key of theirs. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildKeyFilter } from '../../../../ingest/identity/key-filter.ts';
import {
  type Generation,
  type HashPart,
  keysOf,
  probeOf,
  type Range,
} from '../../../../ingest/identity/key-generation.ts';
import { firstBits } from '../../../../ingest/identity/key-table.ts';
import { createMerge, dueMerge, type MergeLimits } from '../../../../ingest/identity/merge-generations.ts';

const dayMs = 86_400_000;
const limits: MergeLimits = { mergedMin: 3, mergedKeysMax: 1_000, mergedDaysMax: 8 };

/** A generation of so many keys, whose filter is none. */
const generationOf = (from: number, keys: number, day: number): Generation => ({
  from,
  to: from + 1,
  receivedUntilMs: day * dayMs,
  filters: [{ keys, bytes: new Uint8Array(), mayHave: () => false }],
});
const closedOf = (...of: readonly (readonly [keys: number, day: number])[]): Generation[] =>
  of.map(([keys, day], index) => generationOf(index, keys, day));
const dueIn = (closed: readonly Generation[]): number[] => dueMerge(closed, limits).map(({ from }) => from);

describe('neighbours that are due', () => {
  it.each<[string, Generation[], number[]]>([
    ['the youngest of them', closedOf([9, 1], [9, 2], [9, 3], [9, 4]), [1, 2, 3]],
    ['none, where there are too few', closedOf([9, 1], [9, 2]), []],
    ['none, where one has more than all others', closedOf([100, 1], [9, 2], [9, 3]), []],
    ['those beside a large one', closedOf([9, 1], [9, 1], [9, 1], [500, 2]), [0, 1, 2]],
    ['none, where they would be too many keys', closedOf([400, 1], [400, 1], [400, 1]), []],
    ['none, where they lie too far apart', closedOf([9, 1], [9, 2], [9, 9]), []],
  ])('are %s', (_, closed, due) => expect(dueIn(closed)).toEqual(due));

  it('leave a few generations, however many come, and a key is merged a few times', () => {
    let closed: Generation[] = [];
    let merged = 0;
    const total = 400;
    for (let count = 0; count < total; count += 1) {
      closed.push(generationOf(count, 1, count / 20));
      for (let due = dueMerge(closed, limits); due.length > 0; due = dueMerge(closed, limits)) {
        const keys = due.reduce((sum, one) => sum + keysOf(one), 0);
        merged += keys;
        const at = closed.indexOf(due[0] as Generation);
        closed.splice(at, due.length, generationOf(closed[at]?.from ?? 0, keys, count / 20));
      }
      closed = closed.filter(({ receivedUntilMs }) => receivedUntilMs >= (count / 20 - 35) * dayMs);
    }
    expect(closed.length).toBeLessThan(12);
    expect(merged / total).toBeLessThan(7);
  });
});

/** Hashes by their numbers. */
const hashOf = (number: number): readonly [number, number] => [Math.imul(number + 1, 0x9e3779b1) >>> 0, number];

/** A store that holds so many hashes in the range, and parts of generations over them. */
const storeOf = (hashes: number) => {
  const asked: (HashPart | undefined)[] = [];
  const numbersOf = (part: HashPart | undefined) =>
    Array.from({ length: hashes }, (_, number) => number).filter(
      (number) => !part || firstBits(hashOf(number)[0], part.bits) === part.part,
    );
  const ports = {
    facts: async (_: Range, part?: HashPart) => ({ hashes: numbersOf(part).length, receivedUntilMs: 0 }),
    hashes: async function* (_: Range, part?: HashPart) {
      asked.push(part);
      const bytes = Buffer.from(Uint32Array.from(numbersOf(part).flatMap(hashOf)).buffer);
      for (let at = 0; at < bytes.length; at += 65_533) yield bytes.subarray(at, at + 65_533);
    },
  };
  return { ports, asked };
};

const partsOf = (hashes: number): Generation[] => {
  const cut = Math.floor(hashes / 3);
  return [
    [0, cut],
    [cut, hashes],
  ].map(([from = 0, to = 0]) => {
    const of = Array.from({ length: to - from }, (_, index) => hashOf(from + index));
    const filter = buildKeyFilter(
      Uint32Array.from(of.map(([low]) => low)),
      Uint32Array.from(of.map(([, high]) => high)),
    );
    return { from, to, receivedUntilMs: to, filters: [filter] };
  });
};

const mergedOf = async (merge: ReturnType<typeof createMerge>): Promise<Generation> => {
  for (;;) {
    const next = merge.next();
    if (typeof next !== 'boolean') return next;
    await new Promise((resolve) => setImmediate(resolve));
  }
};

describe('a merged generation', () => {
  it('[I2] denies no key of its parts', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 2, max: 3_000 }), async (hashes) => {
        const { ports } = storeOf(hashes);
        const merged = await mergedOf(createMerge(partsOf(hashes), ports));
        expect(merged).toMatchObject({ from: 0, to: hashes, receivedUntilMs: hashes });
        const mayHave = probeOf(merged);
        for (let number = 0; number < hashes; number += 1) expect(mayHave(...hashOf(number))).toBe(true);
      }),
      { numRuns: 30 },
    );
  });

  it('[I2] of many keys is read in parts, and denies none either', async () => {
    const hashes = 1_200_000;
    const { ports, asked } = storeOf(hashes);
    const merged = await mergedOf(createMerge(partsOf(hashes), ports, 1));
    expect(asked).toEqual([
      { bits: 1, part: 0 },
      { bits: 1, part: 1 },
    ]);
    expect(merged.filters.length).toBe(4);
    expect(keysOf(merged)).toBe(hashes);
    const mayHave = probeOf(merged);
    let denied = 0;
    for (let number = 0; number < hashes; number += 1) if (!mayHave(...hashOf(number))) denied += 1;
    expect(denied).toBe(0);
  });

  it('is given up where the store fails, or gave fewer keys than it has', async () => {
    const { ports } = storeOf(100);
    const fewer = { ...ports, facts: async () => ({ hashes: 101, receivedUntilMs: 0 }) };
    await expect(mergedOf(createMerge(partsOf(100), fewer))).rejects.toThrow(
      '100 hashes were read where there are 101',
    );
    const away = { ...ports, facts: () => Promise.reject(new Error('away')) };
    await expect(mergedOf(createMerge(partsOf(100), away))).rejects.toThrow('away');
  });
});
