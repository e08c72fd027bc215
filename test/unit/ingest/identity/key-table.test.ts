import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createKeyTable, firstBits } from '../../../../ingest/identity/key-table.ts';

const hash = fc.tuple(fc.nat(0xffff_ffff), fc.nat(0xffff_ffff));
/** Few different halves: many of them collide, stand at the ends of the table, or look like an empty place. */
const crowded = fc.tuple(
  fc.constantFrom<number[]>(0, 1, 2, 0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff),
  fc.constantFrom<number[]>(0, 1, 0xffff_ffff),
);
const hashes = fc.array<[number, number]>(fc.oneof(hash, crowded), { maxLength: 300 });
const text = ([low, high]: readonly [number, number]): string => `${low} ${high}`;

describe('a table of keys', () => {
  it('holds exactly what was added, and says once of each that it is new', () => {
    fc.assert(
      fc.property(hashes, hashes, (added, others) => {
        const table = createKeyTable(3);
        const expected = new Set<string>();
        for (const one of added) {
          expect(table.add(...one)).toBe(!expected.has(text(one)));
          expected.add(text(one));
        }
        expect(table.size()).toBe(expected.size);
        for (const one of [...added, ...others]) expect(table.has(...one)).toBe(expected.has(text(one)));
      }),
    );
  });

  it('gives each hash in exactly one segment, that of its first bits', () => {
    fc.assert(
      fc.property(hashes, fc.nat(6), (added, bits) => {
        const table = createKeyTable(3);
        for (const one of added) table.add(...one);
        const found: string[] = [];
        for (let segment = 0; segment < 2 ** bits; segment += 1) {
          const { lows, highs } = table.collect(segment, bits);
          for (const [index, low] of lows.entries()) {
            expect(firstBits(low, bits)).toBe(segment);
            found.push(text([low, highs[index] as number]));
          }
        }
        expect(found.toSorted()).toEqual([...new Set(added.map(text))].toSorted());
      }),
    );
  });

  it('of hashes that begin alike goes by what comes behind that', () => {
    fc.assert(
      fc.property(hashes, fc.integer({ min: 1, max: 5 }), fc.nat(3), (added, shared, bits) => {
        const alike = added.map(([low, high]) => [((low >>> shared) | (1 << (32 - shared))) >>> 0, high] as const);
        const table = createKeyTable(3, shared);
        for (const one of alike) table.add(...one);
        const found: string[] = [];
        for (let segment = 0; segment < 2 ** bits; segment += 1) {
          const { lows, highs } = table.collect(segment, bits);
          for (const [index, low] of lows.entries()) {
            expect(firstBits(low, shared + bits)).toBe(2 ** bits + segment);
            found.push(text([low, highs[index] as number]));
          }
        }
        expect(found.toSorted()).toEqual([...new Set(alike.map(text))].toSorted());
      }),
    );
    const table = createKeyTable(undefined, 8);
    for (let key = 0; key < 200_000; key += 1) table.add((Math.imul(key, 0x9e3779b1) >>> 8) + 0xab00_0000, key);
    // It would take minutes otherwise: all would look for a place in a 256th of the table.
    expect(table.size()).toBe(200_000);
  });

  it('takes at most 21.4 bytes a key', () => {
    const table = createKeyTable();
    for (let key = 0; key < 200_000; key += 1) {
      table.add(Math.imul(key, 0x9e3779b1) >>> 0, key);
      if (key > 10_000) expect(table.bytes() / table.size()).toBeLessThan(21.4);
    }
  });
});
