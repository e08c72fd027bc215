/** Buckets of claims that are split and joined while keys come and go, and what is forgotten for want of room. */
import type { Redis } from 'ioredis';
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '#platform/process/clock.ts';
import { claimsPrefixOf, createReadClaimsHeld } from '../../ingest/claims/claims.redis.ts';
import { type ClaimsLayout, entryBytes } from '../../ingest/claims/claims-layout.ts';
import { createRandom } from '../fuzz/parsers/random.ts';
import { answerTo, ask, type Claims, newClaim, newClaims, otherPayload, statusesOf } from '../support/claim-records.ts';
import { type ClaimsRedis, claimedStream, startClaimsRedis } from '../support/claims-redis.ts';
import { createClaimsStore } from '../support/memory-claims.ts';

const own = await startClaimsRedis(10_000);
const { open, connect } = (own ?? {}) as ClaimsRedis;
afterAll(() => own?.stop());

/** A bucket is split for every sixteenth of a key: some thousand keys are as many splits as some millions else. */
const layout: ClaimsLayout = { bucketsMin: 65_536, bucketKeysMean: 1 / 16 };
const long = { leaseSeconds: 300, windowSeconds: 3600, layout };

describe.skipIf(!own)('buckets of claims', () => {
  let redis: Redis;
  beforeEach(async () => {
    redis ??= await connect();
    await redis.flushall();
  });
  const headOf = async (windowSeconds: number): Promise<Buffer> =>
    (await redis.getBuffer(`${claimsPrefixOf(claimedStream)}${windowSeconds}:head`)) as Buffer;
  const bucketsOf = async (windowSeconds: number) => (await headOf(windowSeconds)).readUInt32BE(12);
  /** All entries that lie in buckets, by the bucket. */
  const entriesOf = async (windowSeconds: number): Promise<Map<number, Buffer>> => {
    const flat = (await redis.callBuffer(
      'HGETALL',
      `${claimsPrefixOf(claimedStream)}${windowSeconds}:keys`,
    )) as Buffer[];
    const entries = new Map<number, Buffer>();
    for (let at = 0; at < flat.length; at += 2)
      entries.set((flat[at] as Buffer).readUInt32BE(), flat[at + 1] as Buffer);
    return entries;
  };
  /** Each entry lies where the number of buckets wants it, and as many as the head says. */
  const expectInPlace = async (windowSeconds: number): Promise<void> => {
    const [buckets, held] = [await bucketsOf(windowSeconds), (await headOf(windowSeconds)).readUIntBE(0, 6)];
    const low = 2 ** Math.floor(Math.log2(buckets));
    let count = 0;
    for (const [bucket, value] of await entriesOf(windowSeconds))
      for (let at = 0; at < value.length; at += entryBytes) {
        const hash = (bucket % 65_536) + 65_536 * value.readUInt32LE(at);
        const place = hash % (2 * low) < buckets ? hash % (2 * low) : hash % low;
        if (place !== bucket) throw new Error(`an entry of bucket ${place} lies in ${bucket}, of ${buckets}`);
        count += 1;
      }
    expect(count).toBe(held);
  };

  it('[I4] give the answers of a simple map while they grow sixteenfold, to two gateways that claim, settle and retry at random', async () => {
    const random = createRandom(20_261_130);
    const model = createClaimsStore(systemClock).open(long);
    const gateways = await Promise.all([open(long), open(long)]);
    const asked: Buffer[] = [];
    let sequence = 0;
    for (let round = 0; round < 320; round += 1) {
      const call = newClaims(1 + random.below(400));
      // Retries, conflicts and twins, of keys from any time.
      for (let again = random.below(60); again > 0 && asked.length > 0; again -= 1) {
        const claim = asked[random.below(asked.length)] as Buffer;
        call.splice(random.below(call.length), 0, random.below(4) === 0 ? otherPayload(claim) : claim);
      }
      if (random.below(3) === 0) call.push(call[random.below(call.length)] as Buffer);
      const claims = gateways[round % 2] as Claims;
      const [real, wanted] = [await answerTo(claims, call, round + 1), await answerTo(model, call, round + 1)];
      expect(statusesOf(real, call.length)).toEqual(statusesOf(wanted, call.length));
      expect(real.exceptions.map(({ assignedMs }) => assignedMs)).toEqual(
        wanted.exceptions.map(({ assignedMs }) => assignedMs),
      );
      asked.push(...call);
      const settled = random.below(4);
      sequence += 1;
      if (settled < 2) await Promise.all([claims.confirm(real.batch, sequence), model.confirm(wanted.batch, sequence)]);
      else if (settled === 2) await Promise.all([claims.release(real.batch), model.release(wanted.batch)]);
    }
    expect(await bucketsOf(long.windowSeconds)).toBeGreaterThan(12 * layout.bucketsMin);
    await expectInPlace(long.windowSeconds);
  }, 120_000);

  it('are split within a call that is larger than they were, and know all of its keys afterwards', async () => {
    const claims = await open(long);
    const asked = newClaims(9_000);
    const { batch, exceptions } = await answerTo(claims, asked);
    expect(exceptions).toEqual([]);
    expect(await bucketsOf(long.windowSeconds)).toBe(16 * 9_000);
    await claims.confirm(batch, 1);
    expect(new Set(await ask(claims, ...asked))).toEqual(new Set(['duplicate']));
    await expectInPlace(long.windowSeconds);
  });

  it('are split by two gateways at once, and each of their keys is won by exactly one', async () => {
    const [one, two] = await Promise.all([open(long), open(long)]);
    const asked = newClaims(20_000);
    const all = async (claims: Claims, of: readonly Buffer[], size: number) => {
      const calls = Array.from({ length: Math.ceil(of.length / size) }, (_, call) =>
        of.slice(call * size, (call + 1) * size),
      );
      return (await Promise.all(calls.map((call) => ask(claims, ...call)))).flat();
    };
    const [ofOne, ofTwo] = await Promise.all([all(one, asked, 170), all(two, asked.toReversed(), 230)]);
    const pairs = asked.map((_, index) => [ofOne[index], ofTwo[asked.length - 1 - index]].sort().join());
    expect(new Set(pairs)).toEqual(new Set(['in_flight,won']));
    await expectInPlace(long.windowSeconds);
  });

  it('are joined again when most keys are forgotten, and lose none that are not', async () => {
    const options = { leaseSeconds: 300, windowSeconds: 2, layout };
    const claims = await open(options);
    await answerTo(claims, newClaims(6_000));
    const grown = await bucketsOf(options.windowSeconds);
    const kept: Buffer[] = [];
    await vi.waitFor(
      async () => {
        const fresh = newClaims(2);
        await answerTo(claims, fresh);
        kept.push(...fresh);
        expect(await bucketsOf(options.windowSeconds)).toBeLessThan(grown - 5_000);
      },
      { timeout: 60_000, interval: 5 },
    );
    await expectInPlace(options.windowSeconds);
    expect(new Set(await ask(claims, ...kept.slice(-100)))).toEqual(new Set(['in_flight']));
  }, 90_000);

  it('begin anew with what was counted where Redis was emptied in between', async () => {
    const [one, two] = await Promise.all([open(long), open(long)]);
    await answerTo(one, newClaims(9_000));
    await redis.flushall();
    const asked = newClaims(300);
    await Promise.all([answerTo(one, asked.slice(0, 150)), answerTo(two, asked.slice(150))]);
    expect(await bucketsOf(long.windowSeconds)).toBe(layout.bucketsMin);
    expect(new Set(await ask(two, ...asked))).toEqual(new Set(['in_flight']));
    await expectInPlace(long.windowSeconds);
  });

  it('begin anew where the number of the last batch is gone: those from then on would not tell their age', async () => {
    const claims = await open(long);
    const asked = newClaims(3);
    await answerTo(claims, asked);
    await redis.del(`${claimsPrefixOf(claimedStream)}batch`);
    expect(await ask(claims, ...asked)).toEqual(['won', 'won', 'won']);
    expect(await ask(claims, ...asked)).toEqual(['in_flight', 'in_flight', 'in_flight']);
    await expectInPlace(long.windowSeconds);
  });

  it('forget the oldest keys where the bytes are used up, and hold what is told of them to the bytes', async () => {
    const bytesMax = 16_000_000;
    const options = {
      leaseSeconds: 300,
      windowSeconds: 3600,
      bytesMax,
      layout: { bucketsMin: 65_536, bucketKeysMean: 10 },
    };
    const claims = await open(options);
    const read = createReadClaimsHeld(redis, { ...options, streamName: claimedStream }, systemClock);
    const first = newClaim();
    await claims.confirm((await answerTo(claims, [first])).batch, 1);
    let most = 0;
    let latest: Buffer[] = [];
    for (let round = 0; round < 1_000; round += 1) {
      latest = newClaims(1_000);
      await answerTo(claims, latest);
      most = Math.max(most, (await read()).bytes);
    }
    // A million keys, of which two thirds fit.
    expect(most).toBeGreaterThan(0.75 * bytesMax);
    expect(most).toBeLessThan(bytesMax);
    // One text of states is made as a whole, and some MB are of Redis itself.
    expect(Number(/used_memory_dataset:(\d+)/.exec(await redis.info('memory'))?.[1])).toBeLessThan(
      bytesMax + 4_000_000,
    );
    expect(await ask(claims, otherPayload(first))).toEqual(['won']);
    expect(new Set(await ask(claims, ...latest))).toEqual(new Set(['in_flight']));
    const keys = await redis.keys('*');
    const lives = await Promise.all(keys.map((key) => redis.ttl(key)));
    expect(
      keys.filter((key, index) => (lives[index] as number) < 0 && !key.endsWith(':batch') && !key.endsWith(':highest')),
    ).toEqual([]);
  }, 60_000);
});
