/** The rate limit on a real Redis: exact over several processes, and cheap for one. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type RateLimit, rateLimitHeaders, rateLimitKey, type Verdict } from '../../platform/access/rate-limit.ts';
import { type RateClass, rateClasses } from '../../schemas/rate-tiers.ts';
import { createSetClock } from '../support/ingest-fakes.ts';
import {
  newOrganization,
  type RateLimitRedis,
  startRateLimitRedis,
  untilRefused,
} from '../support/rate-limit-redis.ts';
import type { Order, Sum } from '../support/rate-limit-taker.main.ts';

const own = await startRateLimitRedis();
const { connect, open, server } = (own ?? {}) as RateLimitRedis;
afterAll(() => own?.stop());

const micro = 1_000_000;
type Stored = { readonly level: number; readonly at: number; readonly day: number; readonly used: number };
const stored = async (redis: Redis, organizationId: string, rateClass: RateClass): Promise<Stored> => {
  const fields = await redis.hgetall(rateLimitKey(organizationId, rateClass));
  return Object.fromEntries(Object.entries(fields).map(([name, text]) => [name, Number(text)])) as Stored;
};
const redisDay = async (redis: Redis): Promise<number> => Math.floor(Number((await redis.time())[0]) / 86_400);

describe.skipIf(!own)('a bucket in Redis', () => {
  let redis: Redis;
  let limiter: RateLimit;
  beforeAll(async () => {
    redis = await connect();
    limiter = await open();
  });

  it('holds a burst; then a request is refused and told when to come back', async () => {
    const organization = newOrganization();
    for (const left of [9, 8]) {
      const verdict = await limiter.take(organization, 'starter', 'sensitive');
      expect(verdict).toMatchObject({
        allowed: true,
        refusedBy: undefined,
        limit: 10,
        remaining: left,
        retryAfterSeconds: 0,
        from: 'redis',
      });
      expect(verdict.quota).toMatchObject({ limit: 5_000, used: 10 - left });
    }
    const verdict = await untilRefused(() => limiter.take(organization, 'starter', 'sensitive'));
    expect(verdict).toMatchObject({
      allowed: false,
      refusedBy: 'rate',
      remaining: 0,
      resetSeconds: 10,
      retryAfterSeconds: 1,
      from: 'redis',
    });
    expect(rateLimitHeaders(verdict)).toEqual({
      'X-RateLimit-Limit': '10',
      'X-RateLimit-Remaining': '0',
      'X-RateLimit-Reset': '10',
      'Retry-After': '1',
    });
  });

  it('refills at the rate by the clock of Redis, to the micro-token', async () => {
    const organization = newOrganization();
    const take = () => limiter.take(organization, 'starter', 'write');
    await untilRefused(take);
    const before = await stored(redis, organization, 'write');
    let allowed = 0;
    while (allowed < 3) if ((await take()).allowed) allowed += 1;
    const after = await stored(redis, organization, 'write');
    expect(allowed * micro + after.level).toBe(before.level + 10 * (after.at - before.at));
  });

  it('that was left alone for long is full, and not fuller', async () => {
    const organization = newOrganization();
    await untilRefused(() => limiter.take(organization, 'starter', 'write'));
    await redis.hincrby(rateLimitKey(organization, 'write'), 'at', -86_400 * micro);
    expect(await limiter.take(organization, 'starter', 'write')).toMatchObject({
      allowed: true,
      remaining: 49,
      resetSeconds: 1,
    });
  });

  it('goes on at once where the clock of Redis was set back', async () => {
    const organization = newOrganization();
    await untilRefused(() => limiter.take(organization, 'starter', 'write'));
    await redis.hincrby(rateLimitKey(organization, 'write'), 'at', 3_600 * micro);
    await vi.waitFor(
      async () => expect(await limiter.take(organization, 'starter', 'write')).toMatchObject({ allowed: true }),
      {
        interval: 10,
      },
    );
  });

  it('takes on the numbers of another tier with the next request', async () => {
    const organization = newOrganization();
    expect(await limiter.take(organization, 'scale', 'read')).toMatchObject({ limit: 10_000, remaining: 9_999 });
    expect(await limiter.take(organization, 'starter', 'read')).toMatchObject({
      limit: 100,
      remaining: 99,
      quota: { limit: 1_000_000, used: 2 },
    });
  });

  it('a script that Redis has forgotten is sent again', async () => {
    await redis.script('FLUSH');
    expect(await limiter.take(newOrganization(), 'starter', 'read')).toMatchObject({ from: 'redis', remaining: 99 });
  });

  it('[I10] ends as a key an hour after its day, in the compact form', async () => {
    const organization = newOrganization();
    for (const rateClass of rateClasses) {
      await limiter.take(organization, 'scale', rateClass);
      const key = rateLimitKey(organization, rateClass);
      expect(await redis.expiretime(key)).toBe(((await redisDay(redis)) + 1) * 86_400 + 3_600);
      expect(await redis.object('ENCODING', key)).toMatch(/^(?:listpack|ziplist)$/);
    }
  });

  it('belongs to one organization and one class, whatever an id consists of', async () => {
    const ids = [
      '',
      'a',
      'a:read',
      'a:write',
      'a}',
      '{a}',
      '}',
      '{',
      '{}',
      '"a"',
      'a":read}',
      'rate:{"a":read}',
      '\0',
      'a\r\nDEL b',
      ' a',
      'a ',
    ];
    ids.push(
      '__proto__',
      'constructor',
      'ä',
      'a\u0308',
      '\ud800',
      '\ud801',
      '\ufffd',
      '\\ud800',
      '"\\ud800"',
      'x'.repeat(10_000),
    );
    for (const id of ids) {
      for (const rateClass of rateClasses) {
        const { limit, remaining, from } = await limiter.take(id, 'starter', rateClass);
        expect({ remaining, from }, `${JSON.stringify(id).slice(0, 40)} ${rateClass}`).toEqual({
          remaining: limit - 1,
          from: 'redis',
        });
      }
    }
  });
});

describe.skipIf(!own)('a daily quota', () => {
  let redis: Redis;
  let limiter: RateLimit;
  beforeAll(async () => {
    redis = await connect();
    limiter = await open();
  });

  it('is warned of from 80 % on, then refuses until the day ends, and what is refused costs no token', async () => {
    const organization = newOrganization();
    const key = rateLimitKey(organization, 'read');
    const take = () => limiter.take(organization, 'starter', 'read');
    await take();
    await redis.hset(key, 'used', 799_998);
    expect(rateLimitHeaders(await take())['X-Quota-Warning']).toBeUndefined();
    expect(rateLimitHeaders(await take())['X-Quota-Warning']).toMatch(/^used=800000, limit=1000000, reset=\d{1,5}$/);
    await redis.hset(key, 'used', 999_999);
    expect(await take()).toMatchObject({ allowed: true, quota: { used: 1_000_000 } });
    const before = await stored(redis, organization, 'read');
    const refused = await take();
    expect(refused).toMatchObject({ allowed: false, refusedBy: 'quota', quota: { limit: 1_000_000, used: 1_000_000 } });
    expect(refused.remaining).toBeGreaterThan(0);
    const untilMidnight = 86_400 - (Number((await redis.time())[0]) % 86_400);
    expect(refused.retryAfterSeconds).toBe(refused.quota.resetSeconds);
    expect(Math.abs(refused.retryAfterSeconds - untilMidnight)).toBeLessThanOrEqual(2);
    expect(rateLimitHeaders(refused)).toMatchObject({
      'Retry-After': String(refused.retryAfterSeconds),
      'X-Quota-Warning': expect.any(String),
    });
    expect(await stored(redis, organization, 'read')).toEqual(before);
  });

  it('begins anew with the day, and its key ends later by a day', async () => {
    const organization = newOrganization();
    const key = rateLimitKey(organization, 'read');
    await limiter.take(organization, 'starter', 'read');
    const today = await redisDay(redis);
    await redis.hset(key, { day: today - 1, used: 1_000_000 });
    await redis.expireat(key, today * 86_400 + 3_600 + 86_400 - 1);
    expect(await limiter.take(organization, 'starter', 'read')).toMatchObject({ allowed: true, quota: { used: 1 } });
    expect(await stored(redis, organization, 'read')).toMatchObject({ day: today, used: 1 });
    expect(await redis.expiretime(key)).toBe((today + 1) * 86_400 + 3_600);
  });

  it('is not overdrawn by requests at the same time', async () => {
    const organization = newOrganization();
    await limiter.take(organization, 'starter', 'read');
    await redis.hset(rateLimitKey(organization, 'read'), 'used', 1_000_000 - 25);
    const limiters = await Promise.all([open(), open({ blockSize: { read: 10 } }), open({ blockSize: { read: 10 } })]);
    const verdicts = await Promise.all(
      limiters.flatMap(({ take }) => Array.from({ length: 20 }, () => take(organization, 'starter', 'read'))),
    );
    expect(verdicts.filter(({ allowed }) => allowed)).toHaveLength(25);
    expect(new Set(verdicts.map(({ refusedBy }) => refusedBy))).toEqual(new Set([undefined, 'quota']));
  });
});

describe.skipIf(!own)('several processes', () => {
  const children: ChildProcess[] = [];
  let redis: Redis;
  beforeAll(async () => {
    redis = await connect();
    const file = new URL('../support/rate-limit-taker.main.ts', import.meta.url);
    for (let count = 0; count < 3; count += 1) children.push(fork(file, [server.url], { execArgv: [] }));
    await Promise.all(children.map((child) => once(child, 'message')));
  });
  afterAll(() => {
    for (const child of children) child.disconnect();
  });

  const takeEverywhere = async (order: Order): Promise<Sum> => {
    const sums = children.map((child) => once(child, 'message') as Promise<[Sum]>);
    for (const child of children) child.send(order);
    const total = { allowed: 0, refused: 0, alone: 0 };
    for (const [sum] of await Promise.all(sums)) {
      total.allowed += sum.allowed;
      total.refused += sum.refused;
      total.alone += sum.alone;
    }
    return total;
  };

  it('together get exactly the burst and what flows in meanwhile, and not a token more', async () => {
    const order: Order = {
      organizationId: newOrganization(),
      tier: 'starter',
      rateClass: 'write',
      blockSize: 1,
      forMs: 1_500,
    };
    const begin = performance.now();
    const sum = await takeEverywhere(order);
    const elapsedSeconds = (performance.now() - begin) / 1_000;
    expect(sum.alone).toBe(0);
    expect(sum.refused).toBeGreaterThan(sum.allowed);
    expect(sum.allowed).toBeLessThanOrEqual(50 + 10 * elapsedSeconds);
    expect(sum.allowed).toBeGreaterThanOrEqual(50 + 10);
    expect((await stored(redis, order.organizationId, 'write')).used).toBe(sum.allowed);
  });

  it('on an empty bucket get what flows in to the micro-token, and leave nothing', async () => {
    const order: Order = {
      organizationId: newOrganization(),
      tier: 'standard',
      rateClass: 'write',
      blockSize: 1,
      forMs: 1_000,
    };
    const { take } = await open();
    const drain = () => untilRefused(() => take(order.organizationId, order.tier, order.rateClass));
    await drain();
    const before = await stored(redis, order.organizationId, 'write');
    const { allowed, alone } = await takeEverywhere(order);
    const after = await stored(redis, order.organizationId, 'write');
    expect(alone).toBe(0);
    expect(allowed).toBeGreaterThan(50);
    expect(allowed * micro + after.level).toBe(before.level + 100 * (after.at - before.at));
    await drain();
    expect((await stored(redis, order.organizationId, 'write')).level).toBeLessThan(micro);
  });

  it('that take in blocks spend no token that was not taken', async () => {
    const order: Order = {
      organizationId: newOrganization(),
      tier: 'standard',
      rateClass: 'events',
      blockSize: 200,
      forMs: 1_000,
    };
    const { take } = await open();
    const begin = performance.now();
    const { allowed, alone } = await takeEverywhere(order);
    const elapsedSeconds = (performance.now() - begin) / 1_000;
    expect(alone).toBe(0);
    expect(allowed).toBeGreaterThan(1_000);
    expect(allowed).toBeLessThanOrEqual(10_000 + 5_000 * elapsedSeconds);
    const { used } = await stored(redis, order.organizationId, 'events');
    // Three processes with two connections each may hold a block.
    expect(used).toBeGreaterThanOrEqual(allowed);
    expect(used).toBeLessThanOrEqual(allowed + 6 * 200);
    expect(await take(order.organizationId, order.tier, order.rateClass)).toMatchObject({ from: 'redis' });
  });
});

describe.skipIf(!own)('one process', () => {
  let redis: Redis;
  beforeAll(async () => {
    redis = await connect();
  });
  const scriptCalls = async (work: () => Promise<unknown>): Promise<number> => {
    await redis.config('RESETSTAT');
    await work();
    return Number(/^cmdstat_evalsha:calls=(\d+)/m.exec(await redis.info('commandstats'))?.[1] ?? 0);
  };

  it('asks together for what comes at the same time, and each is told a number of its own', async () => {
    const organization = newOrganization();
    const { take } = await open();
    await take(organization, 'scale', 'sensitive');
    let verdicts: Verdict[] = [];
    const calls = await scriptCalls(async () => {
      verdicts = await Promise.all(Array.from({ length: 60 }, () => take(organization, 'scale', 'sensitive')));
    });
    expect(calls).toBeLessThanOrEqual(2);
    expect(verdicts.every(({ allowed }) => allowed)).toBe(true);
    expect(verdicts.map(({ quota }) => quota.used)).toEqual(Array.from({ length: 60 }, (_, index) => index + 2));
  });

  it('takes a block with one call and gives back what it did not spend, so that the quota counts requests', async () => {
    const organization = newOrganization();
    const clock = createSetClock(Date.now());
    const { take } = await open({ clock, blockSize: { events: 40 } });
    const next = () => take(organization, 'starter', 'events');
    // The first asks by itself, as nothing is known of the bucket yet; the second takes a block.
    await next();
    expect((await stored(redis, organization, 'events')).used).toBe(1);
    await next();
    const calls = await scriptCalls(async () => {
      for (let spent = 2; spent < 41; spent += 1)
        expect(await next()).toMatchObject({ allowed: true, quota: { used: spent + 1 } });
    });
    expect(calls).toBe(0);
    expect((await stored(redis, organization, 'events')).used).toBe(41);
    expect(await next()).toMatchObject({ allowed: true, quota: { used: 42 } });
    expect((await stored(redis, organization, 'events')).used).toBe(81);
    clock.advance(999);
    expect(await scriptCalls(next)).toBe(0);
    clock.advance(1);
    // 43 are spent; 38 go back and 40 are taken.
    expect(await next()).toMatchObject({ allowed: true, quota: { used: 44 } });
    expect((await stored(redis, organization, 'events')).used).toBe(83);
  });

  it('gives back to the quota of the day on which it took, and of no other', async () => {
    const organization = newOrganization();
    const connection = await connect();
    const { take } = await open({ redis: connection, blockSize: { events: 40 } });
    await take(organization, 'starter', 'events');
    await take(organization, 'starter', 'events');
    const script = connection as unknown as {
      readonly millrace_take: (key: string, ...args: number[]) => Promise<number[]>;
    };
    const giveBack = (day: number) =>
      script.millrace_take(rateLimitKey(organization, 'events'), 500, 1_000, 10_000_000, 0, 39, day);
    const today = await redisDay(redis);
    await giveBack(today - 1);
    expect((await stored(redis, organization, 'events')).used).toBe(41);
    await giveBack(today);
    expect((await stored(redis, organization, 'events')).used).toBe(2);
    await giveBack(today);
    expect((await stored(redis, organization, 'events')).used).toBe(0);
  });

  it('gives back to the bucket as if it had never taken, and not above the burst', async () => {
    const organization = newOrganization();
    const connection = await connect();
    const { take } = await open({ redis: connection });
    const script = connection as unknown as {
      readonly millrace_take: (key: string, ...args: number[]) => Promise<number[]>;
    };
    const giveBack = (tokens: number) =>
      script.millrace_take(rateLimitKey(organization, 'write'), 10, 50, 200_000, 0, tokens, 0);
    await untilRefused(() => take(organization, 'starter', 'write'));
    const before = await stored(redis, organization, 'write');
    await giveBack(3);
    const after = await stored(redis, organization, 'write');
    expect(after.level).toBe(before.level + 3 * micro + 10 * (after.at - before.at));
    await giveBack(48);
    expect((await stored(redis, organization, 'write')).level).toBe(50 * micro);
  });

  it('holds no more than a tenth of a burst at a time', async () => {
    const organization = newOrganization();
    const { take } = await open({ blockSize: { events: 5_000 } });
    await take(organization, 'starter', 'events');
    await take(organization, 'starter', 'events');
    expect((await stored(redis, organization, 'events')).used).toBe(101);
  });

  it('asks for each request by itself once the bucket is half empty, so that no process holds what another is refused', async () => {
    const organization = newOrganization();
    const { take } = await open({ blockSize: { read: 50 } });
    // A burst of 100, in blocks of 10 down to the half of it.
    for (let taken = 0; taken < 80; taken += 1)
      expect((await take(organization, 'starter', 'read')).allowed).toBe(true);
    const before = await stored(redis, organization, 'read');
    expect((await take(organization, 'starter', 'read')).allowed).toBe(true);
    expect((await stored(redis, organization, 'read')).used).toBe(before.used + 1);
  });
});
