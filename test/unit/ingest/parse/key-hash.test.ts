import { describe, expect, it } from 'vitest';
import { hashInto, keyHashInto, type Seeds, seedsOf } from '../../../../ingest/parse/key-hash.ts';
import published from './key-hash.vectors.json' with { type: 'json' };

const hashOf = (bytes: Buffer, seeds: Seeds, from = 0, to = bytes.length): string => {
  const lanes = new Int32Array(4);
  hashInto(lanes, bytes, from, to, seeds);
  return Buffer.from(lanes.buffer).toString('hex');
};

/** Of the authors' own test: the bytes 0, 1, 2 ... of every length from 0 on, under the key 0, 1 ... 7. */
const halfSipHashes = `
  218d1f59b9b83cc8 be552412f8387315 064f39ef7c50eb57 ce0f1a45f7060679 d5e78a175be52ea1 cb9d7c3f2f3db580 ce3e91358aa2bc25 ff202728b07bc684
  edfee820bce4858c 5b51cccc13888307 95b0469f06a6f2ee ae26333994ddcd48 7bc71f9faef5c799 5a2352d75a0c3744 3bb1a870eae8e658 217d0bcb4e81c902
  7336aad25f7bf3b5 37adc0641c4c4f6a c9b2db2b9a3e42f9 f910e48020ab363c 1bf52b0a6feea7db 00741dc269e8b3ef e20103fa1ba776ef 4c2210e54b681d73`
  .trim()
  .split(/\s+/);

/** Two keys with one MurmurHash3_x86_128 under all seeds, by its differential over three blocks. */
const confused = [
  Buffer.from(
    '65766f6c61616161616161615d7e523c28d4aa7861616161616161616161616161616161616161616161616161616161',
    'hex',
  ),
  Buffer.from(
    '5a453a256161616161616161dc983d7928d4972461616161616161616161616161616161616161616161616161616161',
    'hex',
  ),
] as const;

const keyHashOf = (bytes: Buffer, seeds: Seeds, from = 0, to = bytes.length): string => {
  const lanes = new Int32Array(4);
  keyHashInto(lanes, bytes, from, to, seeds);
  return Buffer.from(lanes.buffer).toString('hex', 0, 8);
};

describe('the hash of keys', () => {
  it.each(halfSipHashes.map((hash, length) => [length, hash] as const))(
    'is HalfSipHash-2-4: %i bytes',
    (length, hash) => {
      const bytes = Buffer.from(Array.from({ length }, (_, at) => at));
      expect(keyHashOf(bytes, [0x03020100, 0x07060504, 9, 9])).toBe(hash);
      const around = Buffer.concat([Buffer.alloc(3, 0xee), bytes, Buffer.alloc(9, 0xee)]);
      expect(keyHashOf(around, [0x03020100, 0x07060504, 8, 8], 3, 3 + length)).toBe(hash);
    },
  );

  it('keys that the hash of payloads can not tell apart under any secret are two', () => {
    const [one, other] = confused;
    for (const seeds of [seedsOf('secret-1', 'org_1'), seedsOf('another', 'org_2')]) {
      expect(hashOf(one, seeds)).toBe(hashOf(other, seeds));
      expect(keyHashOf(one, seeds)).not.toBe(keyHashOf(other, seeds));
    }
  });

  it('another secret gives another hash', () => {
    const bytes = Buffer.from('idempotency-key-0001');
    expect(
      new Set([keyHashOf(bytes, [1, 2, 0, 0]), keyHashOf(bytes, [2, 2, 0, 0]), keyHashOf(bytes, [1, 3, 0, 0])]).size,
    ).toBe(3);
  });
});

describe('the hash of payloads', () => {
  it.each(published.vectors as [string, number, string][])(
    'is MurmurHash3_x86_128 where all seeds are one: %s under %i',
    (hex, seed, hash) => {
      const lane = seed | 0;
      expect(hashOf(Buffer.from(hex, 'hex'), [lane, lane, lane, lane])).toBe(hash);
    },
  );

  it('is of the bytes between the two places, whatever stands around them', () => {
    const seeds: Seeds = [1, 2, 3, 4];
    for (let length = 0; length < 40; length += 1) {
      const bytes = Buffer.from(Array.from({ length }, (_, at) => at * 7));
      const around = Buffer.concat([Buffer.alloc(5, 0xee), bytes, Buffer.alloc(20, 0xee)]);
      expect(hashOf(around, seeds, 5, 5 + length)).toBe(hashOf(bytes, seeds));
    }
  });

  it('each of the four seeds changes it, and so does each byte', () => {
    const bytes = Buffer.from('idempotency-key-0001');
    const hashes = new Set([hashOf(bytes, [0, 0, 0, 0])]);
    for (let lane = 0; lane < 4; lane += 1)
      hashes.add(hashOf(bytes, [0, 0, 0, 0].map((_, at) => (at === lane ? 1 : 0)) as unknown as Seeds));
    for (let at = 0; at < bytes.length; at += 1) {
      const other = Buffer.from(bytes);
      other[at] = (other[at] as number) ^ 1;
      hashes.add(hashOf(other, [0, 0, 0, 0]));
    }
    expect(hashes.size).toBe(1 + 4 + bytes.length);
  });

  it('100,000 keys that are alike have as many digests, spread over all buckets', () => {
    const seeds = seedsOf('a secret', 'org_1');
    const digests = new Set<string>();
    const buckets = new Set<string>();
    for (let key = 0; key < 100_000; key += 1) {
      const hash = keyHashOf(Buffer.from(`req-${key}`), seeds);
      digests.add(hash);
      buckets.add(hash.slice(0, 4));
    }
    expect(digests.size).toBe(100_000);
    // Of 65,536 buckets 100,000 keys leave e^-1.53 empty.
    expect(Math.abs(buckets.size - 65_536 * (1 - Math.exp(-100_000 / 65_536)))).toBeLessThan(500);
  });
});

describe('the seeds of an organization', () => {
  it('are the same for the same secret and organization, and others for any other', () => {
    expect(seedsOf('secret', 'org_1')).toEqual(seedsOf('secret', 'org_1'));
    const seeds = [
      seedsOf('secret', 'org_1'),
      seedsOf('secret', 'org_2'),
      seedsOf('other', 'org_1'),
      seedsOf('secretorg_', '1'),
    ];
    expect(new Set(seeds.map(String)).size).toBe(4);
  });
});
