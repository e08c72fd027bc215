/** What only the claims in a real Redis have: memory that is bounded, and a Redis that is away, emptied or slow. */
import { randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '#platform/process/clock.ts';
import { claimsPrefixOf, createReadClaimsHeld } from '../../ingest/claims/claims.redis.ts';
import { bytesPer, claimsLayout, statesPerText } from '../../ingest/claims/claims-layout.ts';
import { claimBytes } from '../../ingest/parse/event-block.ts';
import { answerTo, ask, type Claims, neighbour, newClaim, newClaims } from '../support/claim-records.ts';
import { type ClaimsRedis, claimedStream, startClaimsRedis } from '../support/claims-redis.ts';
import type { ClaimsOptions } from '../support/memory-claims.ts';

const commandTimeoutMs = 2_000;
const own = await startClaimsRedis(commandTimeoutMs);
const { open, connect, server } = (own ?? {}) as ClaimsRedis;
afterAll(() => own?.stop());

const long: ClaimsOptions = { leaseSeconds: 15, windowSeconds: 3600 };

/** Texts of a few bytes that stand for all of them. */
const claimsPrefix = claimsPrefixOf(claimedStream);
const lasting = new Set(['batch', 'highest', 'voided', 'stream'].map((name) => claimsPrefix + name));

describe.skipIf(!own)('[I10] what the claims leave in Redis', () => {
  let redis: Redis;
  beforeEach(async () => {
    redis ??= await connect();
    await redis.flushall();
  });

  const expectAllToExpire = async ({ windowSeconds, leaseSeconds }: ClaimsOptions) => {
    const keys = (await redis.keysBuffer('*')).filter((key) => !lasting.has(key.toString()));
    const lives = await Promise.all(keys.map((key) => redis.ttl(key)));
    const wrong = keys.filter(
      (_, index) => !((lives[index] as number) > 0 && (lives[index] as number) <= 2 * windowSeconds + leaseSeconds),
    );
    expect(wrong.map((key) => key.toString('latin1'))).toEqual([]);
    return keys;
  };
  const inBuckets = (count: number, buckets: number) => {
    const firsts = newClaims(buckets);
    return Array.from({ length: count }, (_, index) => neighbour(firsts[index % buckets] as Buffer));
  };

  it('expires after two windows, and is a few keys, however many were claimed', async () => {
    const claims = await open(long);
    for (const asked of [newClaims(2_000), inBuckets(600, 3)]) {
      const { batch } = await answerTo(claims, asked);
      await claims.confirm(batch, 1);
    }
    const keys = await expectAllToExpire(long);
    expect(keys.length).toBeGreaterThanOrEqual(3);
    expect(keys.length).toBeLessThanOrEqual(4);
  });

  it('expires also what is kept of claims that were taken over', async () => {
    const options = { leaseSeconds: 1, windowSeconds: 3600 };
    const claims = await open(options);
    const claim = newClaim();
    await answerTo(claims, [claim], 5);
    await vi.waitFor(async () => expect(await ask(claims, claim)).toEqual(['taken_over']), {
      timeout: 60_000,
      interval: 20,
    });
    const names = (await expectAllToExpire(options)).map(String);
    expect(names.some((name) => name.includes(':taken:'))).toBe(true);
  });

  it('expires also with two gateways that fill the same buckets in turn and at the same time', async () => {
    const [one, two] = await Promise.all([open(long), open(long)]);
    for (let round = 0; round < 20; round += 1) {
      const asked = inBuckets(60, 30);
      await Promise.all([answerTo(one, asked.slice(0, 40)), answerTo(two, asked.slice(20))]);
      await answerTo(round % 2 === 0 ? one : two, asked);
    }
    await expectAllToExpire(long);
  });

  it('expires also after Redis was emptied under gateways that know its buckets, with calls under way', async () => {
    const [one, two] = await Promise.all([open(long), open(long)]);
    const asked = inBuckets(300, 100);
    const again = () => asked.map(neighbour);
    await Promise.all([answerTo(one, asked), answerTo(two, again())]);
    await Promise.all([answerTo(one, again()), redis.flushall(), answerTo(one, again()), answerTo(two, again())]);
    await answerTo(one, again());
    await answerTo(two, again());
    expect((await expectAllToExpire(long)).length).toBeGreaterThanOrEqual(3);
  });

  it('expires also where a call was not answered, whether Redis made it or not', async () => {
    const claims = await open(long);
    const asked = inBuckets(50, 50);
    await answerTo(claims, newClaims(1));
    process.kill(server.pid ?? 0, 'SIGSTOP');
    const unanswered = await claims.claim(Buffer.concat(asked), 0);
    process.kill(server.pid ?? 0, 'SIGCONT');
    expect(unanswered).toBeUndefined();
    await answerTo(claims, asked.map(neighbour));
    await expectAllToExpire(long);
  });

  it('expires also where the first that a gateway sees of a bucket is a key of the older window', async () => {
    const options = { leaseSeconds: 15, windowSeconds: 2 };
    const claims = await open(options);
    const asked = inBuckets(40, 40);
    const window = async () => Math.floor(Number((await redis.time())[0]) / options.windowSeconds);
    const first = await window();
    await answerTo(claims, asked);
    await vi.waitFor(async () => expect(await window()).toBe(first + 1), { timeout: 60_000, interval: 5 });
    // The first call makes the window, the second finds held keys in buckets that are not there yet, beside new ones of
    // the same buckets.
    await answerTo(claims, [newClaim()]);
    await Promise.all([
      answerTo(claims, [...asked.slice(0, 30), ...asked.slice(0, 10).map(neighbour)]),
      answerTo(claims, asked.slice(10, 20).map(neighbour)),
    ]);
    await answerTo(claims, asked.slice(20).map(neighbour));
    expect(await window()).toBe(first + 1);
    await expectAllToExpire(options);
  });

  it('is at most 26 bytes a key where buckets are as full as with millions of keys, and what is told of it is right', async () => {
    const claims = await open(long);
    const [keys, perBucket, perMessage] = [200_000, claimsLayout.bucketKeysMean, 200];
    const buckets = Math.ceil(keys / perBucket);
    const used = async () => Number(/used_memory_dataset:(\d+)/.exec(await redis.info('memory'))?.[1]);
    const before = await used();
    for (let sent = 0; sent < keys; sent += perMessage) {
      const records = randomBytes(perMessage * claimBytes);
      // The places of so many buckets, of which 65,536 and more are told apart by the first four bytes.
      for (let at = 0; at < perMessage; at += 1) records.writeUInt32LE((sent + at) % buckets, at * claimBytes);
      const answer = await claims.claim(records, 0);
      await claims.confirm(answer?.batch ?? 0, sent + 1);
    }
    // A text of states is made as a whole; here it is of a thousandth of its batches.
    const states = bytesPer.state * statesPerText;
    const bytesPerKey = ((await used()) - before - states) / keys;
    expect(bytesPerKey).toBeLessThan(26);
    const held = await createReadClaimsHeld(redis, { ...long, streamName: claimedStream }, systemClock)();
    expect(held.keys).toBe(keys);
    // Told of random keys, which fill more buckets than these do.
    expect(held.bytes / keys).toBeGreaterThan(bytesPerKey);
    expect(held.reachSeconds).toBeLessThan(300);
  });
});

describe.skipIf(!own)('a Redis that', () => {
  it('hangs answers undefined within the time of a command, and says why', async () => {
    const faults: unknown[] = [];
    const claims = await open(long, (error) => faults.push(error));
    const { batch } = await answerTo(claims, newClaims(1));
    process.kill(server.pid ?? 0, 'SIGSTOP');
    try {
      const begin = performance.now();
      expect(await claims.claim(newClaim(), 0)).toBeUndefined();
      expect(performance.now() - begin).toBeLessThan(3 * commandTimeoutMs);
      await claims.confirm(batch, 1);
      await claims.release(batch);
      expect(faults).toHaveLength(3);
    } finally {
      process.kill(server.pid ?? 0, 'SIGCONT');
    }
  });

  it('is down answers undefined at once; back with nothing in memory, not even the scripts, it claims again', async () => {
    const faults: unknown[] = [];
    const claims = await open(long, (error) => faults.push(error));
    const asked = newClaims(5);
    const { batch } = await answerTo(claims, asked);
    await server.stop();
    const begin = performance.now();
    expect(await claims.claim(Buffer.concat(asked), 0)).toBeUndefined();
    await claims.confirm(batch, 1);
    await claims.release(batch);
    expect(performance.now() - begin).toBeLessThan(0.75 * commandTimeoutMs);
    expect(faults.length).toBeGreaterThanOrEqual(3);
    await server.restart();
    await vi.waitFor(
      async () => expect(await ask(claims, ...newClaims(5))).toEqual(['won', 'won', 'won', 'won', 'won']),
      {
        timeout: 60_000,
        interval: 20,
      },
    );
  });

  it.each([
    ['confirmed', ({ confirm }: Claims, batch: number) => confirm(batch, 1)],
    ['released', ({ release }: Claims, batch: number) => release(batch)],
  ])(
    '[I5] comes back as an older copy of itself lets no claim be %s by a number that it gave before',
    async (_, settle) => {
      const [one, redis] = await Promise.all([open(long), connect()]);
      const copied = await redis.get(`${claimsPrefix}batch`).then((number) => number ?? '1000');
      await redis.set(`${claimsPrefix}batch`, copied);
      const { batch } = await answerTo(one, newClaims(1));
      await server.stop();
      await server.restart();
      await vi.waitFor(() => redis.set(`${claimsPrefix}batch`, copied), { timeout: 60_000, interval: 20 });
      const [two, claim] = [await open(long), newClaim()];
      await answerTo(two, [claim]);
      // A call of its own: it is connected again.
      await vi.waitFor(() => answerTo(one, newClaims(1)), { timeout: 60_000, interval: 20 });
      await settle(one, batch);
      expect(await ask(two, claim)).toEqual(['in_flight']);
    },
  );
});
