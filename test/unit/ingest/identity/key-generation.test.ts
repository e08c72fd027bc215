import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  chainOf,
  createGenerationBuilder,
  openGeneration,
  probeOf,
  type StoredGeneration,
  segmentBitsFor,
} from '../../../../ingest/identity/key-generation.ts';
import { createKeyTable } from '../../../../ingest/identity/key-table.ts';

const stored = (from: number, to: number, storedSegments = 1): StoredGeneration => ({
  from,
  to,
  receivedUntilMs: 0,
  segments: 1,
  storedSegments,
});

describe('a generation', () => {
  it.each([
    [0, 0],
    [1, 0],
    [2 ** 19, 0],
    [2 ** 19 + 1, 1],
    [6_000_000, 4],
  ])('of %i keys is cut by %i bits', (keys, bits) => expect(segmentBitsFor(keys)).toBe(bits));

  it('[I2] knows every key of its table, in however many segments, also after it was stored', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(0xffff_ffff), fc.nat(0xffff_ffff)), { maxLength: 200 }),
        fc.nat(5),
        (hashes, bits) => {
          const table = createKeyTable();
          for (const hash of hashes) table.add(...hash);
          const builder = createGenerationBuilder(table, bits);
          for (let turn = 1; turn < 2 ** bits; turn += 1) expect(builder.next()).toBeUndefined();
          const filters = builder.next() ?? [];
          const read = openGeneration(
            stored(0, 1),
            filters.map(({ bytes }) => bytes),
          );
          for (const mayHave of [probeOf({ filters }), probeOf(read)])
            for (const hash of hashes) expect(mayHave(...hash)).toBe(true);
          expect(builder.next()).toBe(filters);
        },
      ),
    );
  });
});

describe('the chain of what is stored', () => {
  const ends = (...generations: StoredGeneration[]) => chainOf(generations).map(({ from, to }) => [from, to]);

  it.each([
    ['nothing', [], []],
    [
      'two that follow each other, in any order',
      [stored(5, 9), stored(0, 5)],
      [
        [0, 5],
        [5, 9],
      ],
    ],
    ['one that does not begin at the beginning', [stored(1, 5)], []],
    ['a gap', [stored(0, 5), stored(6, 9)], [[0, 5]]],
    ['an incomplete one', [stored(0, 5), stored(5, 9, 0), stored(9, 12)], [[0, 5]]],
    [
      'those of two checkers that overlap',
      [stored(0, 5), stored(0, 7), stored(5, 9), stored(7, 8), stored(8, 20)],
      [
        [0, 7],
        [5, 9],
        [8, 20],
      ],
    ],
    ['one that says less than what is there', [stored(0, 9), stored(3, 5)], [[0, 9]]],
  ])('%s', (_, given, expected) => expect(ends(...given)).toEqual(expected));

  it('[I2] covers all up to its end, whatever is given', () => {
    const generation = fc
      .tuple(fc.nat(30), fc.nat(10), fc.boolean())
      .map(([from, length, whole]) => stored(from, from + length, Number(whole)));
    fc.assert(
      fc.property(fc.array(generation, { maxLength: 30 }), (given) => {
        let end = 0;
        for (const { from, to, storedSegments } of chainOf(given)) {
          expect(storedSegments).toBe(1);
          expect(from).toBeLessThanOrEqual(end);
          expect(to).toBeGreaterThan(end);
          end = to;
        }
      }),
    );
  });
});
