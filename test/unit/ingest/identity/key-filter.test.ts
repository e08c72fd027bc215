import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../../../bench/demo/llm-usage.ts';
import { buildKeyFilter, fingerprintBits, openKeyFilter } from '../../../../ingest/identity/key-filter.ts';

const halvesOf = (hashes: readonly (readonly [number, number])[]) =>
  [Uint32Array.from(hashes, ([low]) => low), Uint32Array.from(hashes, ([, high]) => high)] as const;

const random = (count: number, seed: number): [number, number][] => {
  const next = seededRandom(seed);
  return Array.from({ length: count }, () => [Math.floor(next() * 2 ** 32), Math.floor(next() * 2 ** 32)]);
};

const distinct = fc.uniqueArray(fc.tuple(fc.nat(0xffff_ffff), fc.nat(0xffff_ffff)), {
  maxLength: 400,
  selector: String,
});
/** Hashes that have a half in common: the other half has to do. */
const alike = fc.uniqueArray(fc.tuple(fc.nat(3), fc.nat(0xffff)), { maxLength: 400, selector: String });

describe('a filter of keys', () => {
  it('[I2] never denies a key that it was built of, nor does one that was stored and read', () => {
    fc.assert(
      fc.property(fc.oneof(distinct, alike), (hashes) => {
        const filter = buildKeyFilter(...halvesOf(hashes));
        const read = openKeyFilter(Uint8Array.from(filter.bytes));
        for (const [low, high] of hashes)
          expect([filter.mayHave(low, high), read.mayHave(low, high)]).toEqual([true, true]);
        expect(read.keys).toBe(hashes.length);
      }),
    );
  });

  it.each([1, 2, 3, 7, 50, 1_000, 30_000, 300_000])('[I2] of %i keys denies none of them', (count) => {
    const hashes = random(count, count);
    const filter = buildKeyFilter(...halvesOf(hashes));
    expect(hashes.filter(([low, high]) => !filter.mayHave(low, high))).toEqual([]);
  });

  it('lets one strange key in 2^14 pass', () => {
    const filter = buildKeyFilter(...halvesOf(random(100_000, 1)));
    const strange = random(2_000_000, 2);
    const passed = strange.filter(([low, high]) => filter.mayHave(low, high)).length;
    // Of 122 that are to be expected, five standard deviations either way.
    const expected = strange.length / 2 ** fingerprintBits;
    expect(Math.abs(passed - expected)).toBeLessThan(5 * Math.sqrt(expected));
  });

  it('of many keys takes less than 2 bytes for each', () => {
    const { bytes, keys } = buildKeyFilter(...halvesOf(random(500_000, 3)));
    expect(bytes.byteLength / keys).toBeLessThan(2);
  });

  it('of nothing denies everything', () => {
    const filter = buildKeyFilter(...halvesOf([]));
    expect(random(1_000, 4).filter(([low, high]) => filter.mayHave(low, high))).toEqual([]);
  });

  it("can't be built of a key that is there twice, and says so", () => {
    expect(() => buildKeyFilter(...halvesOf([...random(10, 5), ...random(1, 5)]))).toThrow('do not fit');
  });

  it.each([
    ['cut', (bytes: Uint8Array) => bytes.subarray(0, bytes.length - 1)],
    ['empty', () => new Uint8Array()],
    ['longer', (bytes: Uint8Array) => Uint8Array.from([...bytes, 0])],
  ])('is not read from bytes that are %s', (_, spoil) => {
    const { bytes } = buildKeyFilter(...halvesOf(random(10, 6)));
    expect(() => openKeyFilter(spoil(bytes))).toThrow('not a filter of keys');
  });
});
