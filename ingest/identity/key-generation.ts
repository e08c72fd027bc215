/**
 * A closed generation of the identity check: the keys of a range of sequences, as filters that never change. They are
 * cut by the first bits of the hash, so that each is built in a fraction of a second and the check goes on between two
 * of them.
 */
import { buildKeyFilter, type KeyFilter, openKeyFilter } from './key-filter.ts';
import { firstBits, type KeyTable } from './key-table.ts';

/** From behind `from` up to `to`. */
export type Range = { readonly from: number; readonly to: number };

/** One of 2^bits parts. */
export type HashPart = { readonly bits: number; readonly part: number };

/** What the store says of the keys of a range. */
export type KeyHashes = {
  /**
   * The first 8 bytes of the digest of each key, in any order; a piece may end within a digest. Of a part, those whose
   * first half begins with the bits of its number.
   */
  readonly hashes: (range: Range, part?: HashPart) => AsyncIterable<Buffer>;
  /** How many different hashes there are, and when the last of their events was received; 0 where there is none. */
  readonly facts: (
    range: Range,
    part?: HashPart,
  ) => Promise<{ readonly hashes: number; readonly receivedUntilMs: number }>;
};

export type Generation = Range & {
  /** The latest time at which an event of it was received. */
  readonly receivedUntilMs: number;
  /** 2^segmentBits of them. */
  readonly filters: readonly KeyFilter[];
};

/** A filter of so many keys takes about a fifth of a second to build. */
const segmentKeysMax = 2 ** 19;

export const segmentBitsFor = (keys: number): number => Math.max(0, Math.ceil(Math.log2(keys / segmentKeysMax)));

export const keysOf = ({ filters }: Generation): number => filters.reduce((sum, { keys }) => sum + keys, 0);
export const bytesOf = ({ filters }: Generation): number =>
  filters.reduce((sum, { bytes }) => sum + bytes.byteLength, 0);

/** Asks for one hash after the other: whether it may be in the generation. */
export const probeOf = ({ filters }: Pick<Generation, 'filters'>): ((low: number, high: number) => boolean) => {
  const bits = Math.log2(filters.length);
  return (low, high) => (filters[firstBits(low, bits)] as KeyFilter).mayHave(low, high);
};

export type GenerationBuilder = {
  /** Builds the next filter. The filters once all are built, and undefined until then. */
  readonly next: () => readonly KeyFilter[] | undefined;
};

export const createGenerationBuilder = (table: KeyTable, bits = segmentBitsFor(table.size())): GenerationBuilder => {
  const filters: KeyFilter[] = [];
  return {
    next: () => {
      if (filters.length < 2 ** bits) {
        const { lows, highs } = table.collect(filters.length, bits);
        filters.push(buildKeyFilter(lows, highs));
      }
      return filters.length === 2 ** bits ? filters : undefined;
    },
  };
};

/** What is known of a stored generation before its filters are read. */
export type StoredGeneration = Range & {
  readonly receivedUntilMs: number;
  readonly segments: number;
  readonly storedSegments: number;
};

/**
 * The generations that cover all from the beginning without a gap, each beginning where or before the last one ends.
 * Two checkers at once may have stored ranges that overlap; an incomplete one, and whatever lies behind a gap, is left
 * out and made again from the store.
 */
export const chainOf = (stored: readonly StoredGeneration[]): StoredGeneration[] => {
  const whole = stored.filter(({ segments, storedSegments }) => segments === storedSegments);
  const chain: StoredGeneration[] = [];
  for (let end = 0; ; ) {
    const next = whole.filter(({ from, to }) => from <= end && to > end).sort((one, other) => other.to - one.to)[0];
    if (!next) return chain;
    chain.push(next);
    end = next.to;
  }
};

export const openGeneration = (
  { from, to, receivedUntilMs }: StoredGeneration,
  filters: readonly Uint8Array[],
): Generation => ({
  from,
  to,
  receivedUntilMs,
  filters: filters.map(openKeyFilter),
});
