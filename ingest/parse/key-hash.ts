/**
 * The hash behind claims: MurmurHash3 (x86, 128 bits; Austin Appleby, public domain), its four lanes started with four seeds. It tells keys and payloads apart,
 * and is no proof: the seeds are secret and each organization has its own, so that nobody can make a key that meets another organization's. The store has an
 * identity of its own. Rejected: SHA-256 of node:crypto, 0.7 to 1.3 microseconds a call against 0.05 here.
 */
import { hkdfSync } from 'node:crypto';

export type Seeds = readonly [number, number, number, number];

/** The seeds of an organization under the installation's secret. */
export const seedsOf = (secret: string, tenant: string): Seeds => {
  const bytes = Buffer.from(hkdfSync('sha256', secret, '', `millrace claims ${tenant}`, 16));
  return [bytes.readInt32LE(0), bytes.readInt32LE(4), bytes.readInt32LE(8), bytes.readInt32LE(12)];
};

const c1 = 0x239b961b;
const c2 = 0xab0e9789;
const c3 = 0x38b34ae5;
const c4 = 0xa1e38b93;

const mixed = (lane: number): number => {
  let h = lane ^ (lane >>> 16);
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return h ^ (h >>> 16);
};

const scrambled = (k: number, by: number, rotation: number, then: number): number => {
  const product = Math.imul(k, by);
  return Math.imul((product << rotation) | (product >>> (32 - rotation)), then);
};

/** Bytes of the last, shorter block: `from` up to 4 of them, least significant first; those behind `to` count as zero. */
const tailWord = (source: Buffer, from: number, to: number): number => {
  let word = 0;
  for (let at = Math.min(from + 4, to) - 1; at >= from; at -= 1) word = (word << 8) | (source[at] as number);
  return word;
};

/** Hashes `source` from `from` to `to` into `lanes`. */
export const hashInto = (lanes: Int32Array, source: Buffer, from: number, to: number, seeds: Seeds): void => {
  let [h1, h2, h3, h4] = seeds;
  let at = from;
  for (; at + 16 <= to; at += 16) {
    const k1 =
      (source[at] as number) | ((source[at + 1] as number) << 8) | ((source[at + 2] as number) << 16) | ((source[at + 3] as number) << 24);
    const k2 =
      (source[at + 4] as number) |
      ((source[at + 5] as number) << 8) |
      ((source[at + 6] as number) << 16) |
      ((source[at + 7] as number) << 24);
    const k3 =
      (source[at + 8] as number) |
      ((source[at + 9] as number) << 8) |
      ((source[at + 10] as number) << 16) |
      ((source[at + 11] as number) << 24);
    const k4 =
      (source[at + 12] as number) |
      ((source[at + 13] as number) << 8) |
      ((source[at + 14] as number) << 16) |
      ((source[at + 15] as number) << 24);
    h1 ^= scrambled(k1, c1, 15, c2);
    h1 = (((h1 << 19) | (h1 >>> 13)) + h2) | 0;
    h1 = (Math.imul(h1, 5) + 0x561ccd1b) | 0;
    h2 ^= scrambled(k2, c2, 16, c3);
    h2 = (((h2 << 17) | (h2 >>> 15)) + h3) | 0;
    h2 = (Math.imul(h2, 5) + 0x0bcaa747) | 0;
    h3 ^= scrambled(k3, c3, 17, c4);
    h3 = (((h3 << 15) | (h3 >>> 17)) + h4) | 0;
    h3 = (Math.imul(h3, 5) + 0x96cd1c35) | 0;
    h4 ^= scrambled(k4, c4, 18, c1);
    h4 = (((h4 << 13) | (h4 >>> 19)) + h1) | 0;
    h4 = (Math.imul(h4, 5) + 0x32ac3b17) | 0;
  }
  if (at + 12 < to) h4 ^= scrambled(tailWord(source, at + 12, to), c4, 18, c1);
  if (at + 8 < to) h3 ^= scrambled(tailWord(source, at + 8, to), c3, 17, c4);
  if (at + 4 < to) h2 ^= scrambled(tailWord(source, at + 4, to), c2, 16, c3);
  if (at < to) h1 ^= scrambled(tailWord(source, at, to), c1, 15, c2);
  const length = to - from;
  h1 ^= length;
  h2 ^= length;
  h3 ^= length;
  h4 ^= length;
  h1 = (h1 + h2 + h3 + h4) | 0;
  h2 = (h2 + h1) | 0;
  h3 = (h3 + h1) | 0;
  h4 = (h4 + h1) | 0;
  h1 = mixed(h1);
  h2 = mixed(h2);
  h3 = mixed(h3);
  h4 = mixed(h4);
  h1 = (h1 + h2 + h3 + h4) | 0;
  lanes[0] = h1;
  lanes[1] = (h2 + h1) | 0;
  lanes[2] = (h3 + h1) | 0;
  lanes[3] = (h4 + h1) | 0;
};
