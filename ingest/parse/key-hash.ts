/**
 * The hashes behind claims. Both are keyed by secrets that each organization has of its own; the store has an identity
 * of its own beside them.
 *
 * Keys: HalfSipHash-2-4 with 64 bits (Aumasson and Bernstein, "SipHash: a fast short-input PRF"), made for keys that a
 * stranger chooses: who does not know the secret can't make two keys that meet, of which the second would be taken for
 * a duplicate and never billed. 16 bits of the other hash stand beside it.
 *
 * Payloads: MurmurHash3 (x86, 128 bits; Austin Appleby, public domain), its four lanes started with four seeds. It has
 * collisions that no seed prevents; who makes one under a key of his own gets `duplicate` instead of `conflict`, and
 * neither is billed.
 *
 * Rejected: SHA-256 of node:crypto, 0.7 to 1.3 microseconds a call.
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

/**
 * Bytes of the last, shorter block: `from` up to 4 of them, least significant first; those behind `to` count as zero.
 */
const tailWord = (source: Buffer, from: number, to: number): number => {
  let word = 0;
  for (let at = Math.min(from + 4, to) - 1; at >= from; at -= 1) word = (word << 8) | (source[at] as number);
  return word;
};

/** MurmurHash3 of `source` from `from` to `to`, into all four lanes. */
export const hashInto = (lanes: Int32Array, source: Buffer, from: number, to: number, seeds: Seeds): void => {
  let [h1, h2, h3, h4] = seeds;
  let at = from;
  for (; at + 16 <= to; at += 16) {
    const k1 =
      (source[at] as number) |
      ((source[at + 1] as number) << 8) |
      ((source[at + 2] as number) << 16) |
      ((source[at + 3] as number) << 24);
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

const word = (source: Buffer, at: number): number =>
  (source[at] as number) |
  ((source[at + 1] as number) << 8) |
  ((source[at + 2] as number) << 16) |
  ((source[at + 3] as number) << 24);

/**
 * HalfSipHash of `source` from `from` to `to` under the first two seeds, into the first two lanes. The rounds stand in
 * a loop, each with the word that it takes in.
 */
export const keyHashInto = (lanes: Int32Array, source: Buffer, from: number, to: number, seeds: Seeds): void => {
  const [key0, key1] = seeds;
  let v0 = key0;
  let v1 = key1 ^ 0xee;
  let v2 = 0x6c796765 ^ key0;
  let v3 = 0x74656462 ^ key1;
  const words = (to - from) >>> 2;
  const last = ((to - from) << 24) | tailWord(source, from + 4 * words, to);
  // One round after another: two for each word and for the last one, then four for each half of the result.
  const rounds = 2 * words + 2 + 8;
  let taken = 0;
  for (let round = 0; round < rounds; round += 1) {
    const isEnd = round >= 2 * words + 2;
    if (!isEnd && (round & 1) === 0) {
      taken = round < 2 * words ? word(source, from + 2 * round) : last;
      v3 ^= taken;
    }
    v0 = (v0 + v1) | 0;
    v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    v2 = (v2 + v3) | 0;
    v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    if (!isEnd && (round & 1) === 1) v0 ^= taken;
    if (round === 2 * words + 1) v2 ^= 0xee;
    if (round === 2 * words + 5) {
      lanes[0] = v1 ^ v3;
      v1 ^= 0xdd;
    }
  }
  lanes[1] = v1 ^ v3;
};
