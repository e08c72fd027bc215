/**
 * Closed generations are merged as they age, so that a key is held against a few of them: which ones, and how. The keys
 * of a filter can't be had from it, so they are read from the store once more, a part of the hashes at a time; what the
 * check does meanwhile doesn't wait for that. The filters are built one after the other.
 */
import { buildKeyFilter, type KeyFilter } from './key-filter.ts';
import {
  type Generation,
  type HashPart,
  type KeyHashes,
  keysOf,
  type Range,
  segmentBitsFor,
} from './key-generation.ts';
import { createKeyTable, type KeyTable } from './key-table.ts';

export type MergeLimits = {
  /** Neighbours that are merged at a time. */
  readonly mergedMin: number;
  /** Keys of a merged generation: reading them looks through all keys of the store once for each few millions. */
  readonly mergedKeysMax: number;
  /** Days by whose receipt neighbours may lie apart: the oldest is kept for as long as the youngest. */
  readonly mergedDaysMax: number;
};

/** Up to 35 days of generations are eleven or so then. */
export const mergeLimits: MergeLimits = { mergedMin: 5, mergedKeysMax: 64_000_000, mergedDaysMax: 8 };

const dayMs = 86_400_000;

/**
 * Neighbours that are to be merged now, oldest first; of none, nothing. A generation at least doubles by it, so a key
 * is read a few times in its life, however many come.
 */
export const dueMerge = (closed: readonly Generation[], limits: MergeLimits): readonly Generation[] => {
  const { mergedMin, mergedKeysMax, mergedDaysMax } = limits;
  for (let from = closed.length - mergedMin; from >= 0; from -= 1) {
    const run = closed.slice(from, from + mergedMin);
    const keys = run.map(keysOf);
    const sum = keys.reduce((one, other) => one + other, 0);
    const untilDays = run.map(({ receivedUntilMs }) => Math.floor(receivedUntilMs / dayMs));
    const days = Math.max(...untilDays) - Math.min(...untilDays);
    if (sum <= mergedKeysMax && 2 * Math.max(...keys) <= sum && days < mergedDaysMax) return run;
  }
  return [];
};

/** The keys of 2^3 filters are read at a time: some four millions. */
const readTogetherBits = 3;

export type Merge = {
  readonly parts: readonly Generation[];
  /**
   * Goes on by one filter at most: the generation once it is whole, whether there was something to do until then.
   * Throws where the store failed: the merge is given up.
   */
  readonly next: () => Generation | boolean;
};

/** The store is asked for the number of the keys as well, so that a filter is never built of fewer. */
export const createMerge = (parts: readonly Generation[], ports: KeyHashes, togetherBits = readTogetherBits): Merge => {
  const range: Range = { from: (parts[0] as Generation).from, to: (parts.at(-1) as Generation).to };
  const receivedUntilMs = Math.max(...parts.map((part) => part.receivedUntilMs));
  const bits = segmentBitsFor(parts.reduce((sum, part) => sum + keysOf(part), 0));
  const reads = 2 ** Math.max(0, bits - togetherBits);
  const perRead = 2 ** bits / reads;
  const filters: KeyFilter[] = [];
  let table: KeyTable | undefined;
  let fault: unknown;
  const read = async (): Promise<void> => {
    const part: HashPart = { bits: Math.log2(reads), part: filters.length / perRead };
    const { hashes } = await ports.facts(range, part);
    const found = await tableOf(ports.hashes(range, part), part.bits);
    if (found.size() < hashes) throw new Error(`${found.size()} hashes were read where there are ${hashes}`);
    table = found;
  };
  const begin = (): void => {
    read().catch((error) => {
      fault = error;
    });
  };
  begin();
  return {
    parts,
    next: () => {
      if (fault !== undefined) throw fault;
      if (!table) return false;
      const { lows, highs } = table.collect(filters.length % perRead, Math.log2(perRead));
      filters.push(buildKeyFilter(lows, highs));
      if (filters.length % perRead === 0) table = undefined;
      if (filters.length === 2 ** bits) return { ...range, receivedUntilMs, filters };
      if (!table) begin();
      return true;
    },
  };
};

/**
 * Hashes as they come in pieces that end anywhere, with so many first bits in common. Throws where the last one ends
 * within a hash.
 */
export const tableOf = async (pieces: AsyncIterable<Buffer>, sharedBits = 0): Promise<KeyTable> => {
  const table = createKeyTable(undefined, sharedBits);
  let rest: Buffer = Buffer.alloc(0);
  for await (const piece of pieces) {
    const bytes = rest.length === 0 ? piece : Buffer.concat([rest, piece]);
    const whole = bytes.length - (bytes.length % 8);
    for (let at = 0; at < whole; at += 8) table.add(bytes.readUInt32LE(at), bytes.readUInt32LE(at + 4));
    rest = bytes.subarray(whole);
  }
  if (rest.length > 0) throw new Error('hashes that end within a hash');
  return table;
};
