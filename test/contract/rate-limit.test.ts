/** The rate limit on a real Redis: exact over several processes, and what becomes of it while Redis is away or hangs. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../platform/clock.ts';
import { startRedis } from '../../platform/local/redis.ts';
import { createLog } from '../../platform/log.ts';
import {
  createRateLimit,
  type RateLimit,
  type RateLimitOptions,
  rateLimitHeaders,
  rateLimitKey,
  type Verdict,
} from '../../platform/rate-limit.ts';
import { connectRedis } from '../../platform/redis.ts';
import { type RateClass, rateClasses } from '../../schemas/rate-tiers.ts';
import { createSetClock } from '../support/ingest-fakes.ts';
import type { Order, Sum } from '../support/rate-limit-taker.main.ts';

// Started before the tests are named, so that a machine without Redis shows them as skipped, with the reason above them.
const home = mkdtempSync(join(tmpdir(), 'millrace-rate-limit-'));
const server = await startRedis({ home, log: { info: () => {}, warn: () => {} } }).catch((error: Error) => {
  console.warn(`the rate limit in Redis is not tested: ${error.message}`);
  return undefined;
});
const connections: Redis[] = [];

afterAll(async () => {
  for (const redis of connections) redis.disconnect();
  await server?.stop();
  rmSync(home, { recursive: true, force: true });
});

const connect = async (): Promise<Redis> => {
  const redis = connectRedis(server?.url ?? '', 5_000, createLog('test', 'silent'));
  connections.push(redis);
  await redis.connect();
  return redis;
};
/** A machine under load may be slow: only the tests of a Redis that hangs wait as short as a process does. */
const open = async (options: Partial<RateLimitOptions> = {}): Promise<RateLimit> =>
  createRateLimit({ redis: await connect(), clock: systemClock, timeoutMs: 5_000, ...options });

let organizations = 0;
const newOrganization = (): string => {
  organizations += 1;
  return `org_${organizations}`;
};

const micro = 1_000_000;
type Stored = { readonly level: number; readonly at: number; readonly day: number; readonly used: number };
const stored = async (redis: Redis, organizationId: string, rateClass: RateClass): Promise<Stored> => {
  const fields = await redis.hgetall(rateLimitKey(organizationId, rateClass));
  return Object.fromEntries(Object.entries(fields).map(([name, text]) => [name, Number(text)])) as Stored;
};
const redisDay = async (redis: Redis): Promise<number> => Math.floor(Number((await redis.time())[0]) / 86_400);

const untilRefused = async (take: () => Promise<Verdict>): Promise<Verdict> => {
  for (;;) {
    const verdict = await take();
    if (!verdict.allowed) return verdict;
  }
};

describe.skipIf(!server)('a bucket in Redis', () => {
  let redis: Redis;
  let limiter: RateLimit;
  beforeAll(async () => {
    redis = await connect();
    limiter = await open();
  });

  it('holds a burst; then a request is refused and told when to come back', async () => {
    const organization = newOrganization();
    for (let left = 9; left >= 5; left -= 1) {
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
      ...{ 'X-RateLimit-Limit': '10', 'X-RateLimit-Remaining': '0', 'X-RateLimit-Reset': '10', 'Retry-After': '1' },
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
    expect(after.level).toBeLessThan(micro);
  });

  it('that was left alone for long is full, and not fuller', async () => {
    const organization = newOrganization();
    await untilRefused(() => limiter.take(organization, 'starter', 'write'));
    await redis.hincrby(rateLimitKey(organization, 'write'), 'at', -86_400 * micro);
    expect(await limiter.take(organization, 'starter', 'write')).toMatchObject({ allowed: true, remaining: 49, resetSeconds: 1 });
  });

  it('goes on at once where the clock of Redis was set back', async () => {
    const organization = newOrganization();
    await untilRefused(() => limiter.take(organization, 'starter', 'write'));
    await redis.hincrby(rateLimitKey(organization, 'write'), 'at', 3_600 * micro);
    await vi.waitFor(async () => expect(await limiter.take(organization, 'starter', 'write')).toMatchObject({ allowed: true }), {
      interval: 10,
    });
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
    ids.push('__proto__', 'constructor', 'ä', 'a\u0308', '\ud800', '\ud801', '\ufffd', '\\ud800', '"\\ud800"', 'x'.repeat(10_000));
    for (const id of ids) {
      for (const rateClass of rateClasses) {
        const { limit, remaining, from } = await limiter.take(id, 'starter', rateClass);
        expect({ remaining, from }, `${JSON.stringify(id).slice(0, 40)} ${rateClass}`).toEqual({ remaining: limit - 1, from: 'redis' });
      }
    }
  });
});

describe.skipIf(!server)('a daily quota', () => {
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

describe.skipIf(!server)('several processes', () => {
  const children: ChildProcess[] = [];
  let redis: Redis;
  beforeAll(async () => {
    redis = await connect();
    const file = new URL('../support/rate-limit-taker.main.ts', import.meta.url);
    for (let count = 0; count < 3; count += 1) children.push(fork(file, [server?.url ?? ''], { execArgv: [] }));
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
    const order: Order = { organizationId: newOrganization(), tier: 'starter', rateClass: 'write', blockSize: 1, forMs: 1_500 };
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
    const order: Order = { organizationId: newOrganization(), tier: 'standard', rateClass: 'write', blockSize: 1, forMs: 1_000 };
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
    const order: Order = { organizationId: newOrganization(), tier: 'standard', rateClass: 'events', blockSize: 200, forMs: 1_000 };
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

describe.skipIf(!server)('one process', () => {
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
    await next();
    const calls = await scriptCalls(async () => {
      for (let spent = 1; spent < 40; spent += 1) expect(await next()).toMatchObject({ allowed: true, quota: { used: spent + 1 } });
    });
    expect(calls).toBe(0);
    expect((await stored(redis, organization, 'events')).used).toBe(40);
    expect(await next()).toMatchObject({ allowed: true, quota: { used: 41 } });
    expect((await stored(redis, organization, 'events')).used).toBe(80);
    clock.advance(999);
    expect(await scriptCalls(next)).toBe(0);
    clock.advance(1);
    // 42 are spent; 38 go back and 40 are taken.
    expect(await next()).toMatchObject({ allowed: true, quota: { used: 43 } });
    expect((await stored(redis, organization, 'events')).used).toBe(82);
  });

  it('gives back to the quota of the day on which it took, and of no other', async () => {
    const organization = newOrganization();
    const own = await connect();
    const { take } = await open({ redis: own, blockSize: { events: 40 } });
    await take(organization, 'starter', 'events');
    const script = own as unknown as { readonly millrace_take: (key: string, ...args: number[]) => Promise<number[]> };
    const giveBack = (day: number) => script.millrace_take(rateLimitKey(organization, 'events'), 500, 1_000, 10_000_000, 0, 39, day);
    const today = await redisDay(redis);
    await giveBack(today - 1);
    expect((await stored(redis, organization, 'events')).used).toBe(40);
    await giveBack(today);
    expect((await stored(redis, organization, 'events')).used).toBe(1);
    await giveBack(today);
    expect((await stored(redis, organization, 'events')).used).toBe(0);
  });

  it('holds no more than a tenth of a burst at a time', async () => {
    const organization = newOrganization();
    const { take } = await open({ blockSize: { events: 5_000 } });
    await take(organization, 'starter', 'events');
    expect((await stored(redis, organization, 'events')).used).toBe(100);
  });
});

describe.skipIf(!server)('while Redis does not answer', () => {
  /** As a process has it, but for a clock that the test sets. */
  const openShort = async () => {
    const clock = createSetClock(Date.now());
    const faults: unknown[] = [];
    const said: string[] = [];
    const say = (...words: unknown[]) => said.push(String(words.at(-1)));
    const limiter = await open({ clock, timeoutMs: 100, onFault: (error) => faults.push(error), log: { info: say, warn: say } });
    return { ...limiter, clock, faults, said };
  };
  const untilShared = async ({ take, clock }: { take: RateLimit['take']; clock: ReturnType<typeof createSetClock> }) => {
    const probe = newOrganization();
    await vi.waitFor(
      async () => {
        clock.advance(1_000);
        expect(await take(probe, 'scale', 'read')).toMatchObject({ from: 'redis' });
      },
      { timeout: 10_000, interval: 20 },
    );
  };

  it('because it hangs, a take waits a tenth of a second, the next ones not at all, and one in a second asks again', async () => {
    const limiter = await openShort();
    const { take, clock, faults, said } = limiter;
    const [organization, other] = [newOrganization(), newOrganization()];
    await untilRefused(() => take(organization, 'starter', 'sensitive'));
    process.kill(server?.pid ?? 0, 'SIGSTOP');
    try {
      const begin = performance.now();
      const first = await Promise.all([
        ...Array.from({ length: 20 }, () => take(organization, 'starter', 'sensitive')),
        take(other, 'starter', 'sensitive'),
      ]);
      const waitedMs = performance.now() - begin;
      expect(waitedMs).toBeGreaterThanOrEqual(90);
      // 150 ms and some for a machine under load.
      expect(waitedMs).toBeLessThan(400);
      expect(first.map(({ from }) => from)).toEqual(Array.from({ length: 21 }, () => 'process'));
      expect(first.filter(({ allowed }) => allowed)).toEqual([first.at(-1)]);
      expect(faults).toHaveLength(2);

      const localBegin = performance.now();
      for (let tries = 0; tries < 100; tries += 1) {
        expect(await take(other, 'starter', 'sensitive')).toMatchObject({ from: 'process', allowed: tries < 9 });
      }
      expect(performance.now() - localBegin).toBeLessThan(90);
      expect(faults).toHaveLength(2);

      clock.advance(1_000);
      const probing = take(other, 'starter', 'sensitive');
      const besideBegin = performance.now();
      await Promise.all(Array.from({ length: 20 }, () => take(other, 'starter', 'sensitive')));
      expect(performance.now() - besideBegin).toBeLessThan(90);
      expect(await probing).toMatchObject({ from: 'process' });
      expect(faults).toHaveLength(3);
    } finally {
      process.kill(server?.pid ?? 0, 'SIGCONT');
    }
    await untilShared(limiter);
    expect(said).toEqual(['Redis does not answer: rate limits hold for this process alone', 'rate limits hold over all processes again']);
  });

  it('because this process was busy itself, Redis is not taken for away', async () => {
    const { take, faults } = await openShort();
    const verdict = take(newOrganization(), 'starter', 'read');
    const begin = performance.now();
    while (performance.now() - begin < 250);
    expect(await verdict).toMatchObject({ from: 'redis', remaining: 99 });
    expect(faults).toEqual([]);
  });

  it('because it was killed in the middle, the limits hold for the process, from what Redis told last; then they are shared again', async () => {
    const limiter = await openShort();
    const { take, clock } = limiter;
    const [drained, flooded, fresh] = [newOrganization(), newOrganization(), newOrganization()];
    const allowedOf = (verdicts: readonly Verdict[]) => verdicts.filter(({ allowed }) => allowed).length;
    const takeMany = (organization: string, tries: number) =>
      Promise.all(Array.from({ length: tries }, () => take(organization, 'starter', 'sensitive')));
    expect(allowedOf(await takeMany(drained, 20))).toBe(10);

    const flood = Array.from({ length: 200 }, async (_, lane) => {
      let allowed = 0;
      for (let verdict = await take(flooded, 'scale', 'events'); ; verdict = await take(flooded, 'scale', 'events')) {
        if (verdict.allowed) allowed += 1;
        if (verdict.from === 'process') return { lane, allowed };
        await new Promise(setImmediate);
      }
    });
    await server?.kill();
    expect((await Promise.all(flood)).every(({ allowed }) => allowed > 0)).toBe(true);

    expect(await takeMany(drained, 5)).toEqual(
      Array.from({ length: 5 }, () => expect.objectContaining({ allowed: false, refusedBy: 'rate', from: 'process' })),
    );
    expect(allowedOf(await takeMany(fresh, 50))).toBe(10);
    clock.advance(3_000);
    expect(allowedOf(await takeMany(drained, 20))).toBe(3);
    expect(allowedOf(await takeMany(fresh, 20))).toBe(3);

    await server?.restart();
    await untilShared(limiter);
    expect(await take(newOrganization(), 'starter', 'read')).toMatchObject({ allowed: true, from: 'redis', remaining: 99 });
  });

  it('because it is full, requests are answered all the same', async () => {
    const limiter = await openShort();
    const redis = await connect();
    await redis.config('SET', 'maxmemory', '1');
    try {
      expect(await limiter.take(newOrganization(), 'starter', 'read')).toMatchObject({ allowed: true, from: 'process' });
    } finally {
      await redis.config('SET', 'maxmemory', '0');
    }
    await untilShared(limiter);
  });
});
