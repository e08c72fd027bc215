import { describe, expect, it } from 'vitest';
import { hashInto, type Seeds, seedsOf } from '../../../../ingest/parse/key-hash.ts';
import published from './key-hash.vectors.json' with { type: 'json' };

const hashOf = (bytes: Buffer, seeds: Seeds, from = 0, to = bytes.length): string => {
  const lanes = new Int32Array(4);
  hashInto(lanes, bytes, from, to, seeds);
  return Buffer.from(lanes.buffer).toString('hex');
};

describe('the hash behind claims', () => {
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
      const hash = hashOf(Buffer.from(`req-${key}`), seeds);
      digests.add(hash.slice(0, 20));
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
    const seeds = [seedsOf('secret', 'org_1'), seedsOf('secret', 'org_2'), seedsOf('other', 'org_1'), seedsOf('secretorg_', '1')];
    expect(new Set(seeds.map(String)).size).toBe(4);
  });
});
