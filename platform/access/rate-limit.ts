/**
 * How many requests an organization may send: a token bucket and a daily quota for each organization and class of
 * request, shared by all processes through Redis.
 *
 * Everything is whole numbers: a level counts micro-tokens and time counts microseconds, so `perSecond` is at once the
 * micro-tokens that a microsecond brings, and no rounding adds up. The largest number, a full bucket of 100,000 tokens,
 * is 10^11; doubles are exact to 9 x 10^15.
 *
 * A process has one call to Redis under way per bucket. Takes that come meanwhile wait for it and are asked for
 * together by the next one, so a flood of one organization costs fewer calls the stronger it is, and what Redis grants
 * is never more than what it has.
 */
import assert from 'node:assert/strict';
import type { Redis } from 'ioredis';
import { LRUCache } from 'lru-cache';
import {
  type Limit,
  type OrganizationTier,
  quotaWarningPercent,
  type RateClass,
  rateTiers,
} from '#schemas/rate-tiers.ts';
import type { Clock } from '../process/clock.ts';
import type { Log } from '../process/log.ts';

export type Verdict = {
  readonly allowed: boolean;
  /** Which limit refused; undefined where the request is allowed. */
  readonly refusedBy: 'rate' | 'quota' | undefined;
  /** What the bucket holds when it is full, and whole tokens that are left in it. */
  readonly limit: number;
  readonly remaining: number;
  /** Until the bucket is full again. */
  readonly resetSeconds: number;
  /** Until the next try may succeed, at least 1; 0 where the request is allowed. */
  readonly retryAfterSeconds: number;
  /** Requests of this class on this day in UTC; `resetSeconds` until its end. */
  readonly quota: { readonly limit: number; readonly used: number; readonly resetSeconds: number };
  /** Whether all processes were asked, or this one decided alone because Redis is away. */
  readonly from: 'redis' | 'process';
};

export type RateLimit = {
  readonly take: (organizationId: string, tier: OrganizationTier, rateClass: RateClass) => Promise<Verdict>;
};

export type RateLimitOptions = {
  readonly redis: Redis;
  readonly clock: Clock;
  readonly log?: Pick<Log, 'info' | 'warn'>;
  /** Hears of each call that Redis did not answer, for a metric. */
  readonly onFault?: (error: unknown) => void;
  /**
   * Tokens that a process takes at a time, by class; 1 where none is given. They are taken before they are spent, so
   * that all processes together never spend more than there is; in return an organization may be refused while another
   * process still holds some, for a second.
   */
  readonly blockSize?: Partial<Readonly<Record<RateClass, number>>>;
  /** How long a take waits for Redis. */
  readonly timeoutMs?: number;
};

const micro = 1_000_000;
const daySeconds = 86_400;
/** What is left of a block is no longer spent after this time, but given back with the next call. */
const blockMsMax = 1_000;
/** After a fault a process decides alone for this long: a Redis that hangs is asked by one take a second. */
const awayMs = 1_000;
const bucketsMax = 10_000;

/**
 * KEYS[1] the bucket; ARGV: tokens per second, burst, daily quota, tokens that are asked for, tokens of an earlier
 * block that are given back, the day on which that was taken. Answers: tokens granted, micro-tokens left, quota used,
 * Redis' time in seconds.
 *
 * Redis' own clock counts, so processes with skewed clocks agree. Where it was set back, the bucket goes on from the
 * new time; it would otherwise stay as it is until the old time comes again. To give back is exact: the bucket is as if
 * the tokens had never been taken.
 */
const script = `
local rate, full, quota = tonumber(ARGV[1]), tonumber(ARGV[2]) * ${micro}, tonumber(ARGV[3])
local asked, back = tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call('TIME')
local seconds = tonumber(time[1])
local now = seconds * ${micro} + tonumber(time[2])
local day = math.floor(seconds / ${daySeconds})
local held = redis.call('HMGET', KEYS[1], 'level', 'at', 'day', 'used')
local level, at, heldDay, used = full, now, tonumber(held[3] or -1), 0
if held[1] then
  at = tonumber(held[2])
  level = math.min(full, tonumber(held[1]) + math.max(0, now - at) * rate)
end
if heldDay == day then used = tonumber(held[4]) end
if back > 0 then
  level = math.min(full, level + back * ${micro})
  if tonumber(ARGV[6]) == day then used = math.max(0, used - back) end
end
local granted = math.max(0, math.min(asked, math.floor(level / ${micro}), quota - used))
level = level - granted * ${micro}
used = used + granted
if granted > 0 or back > 0 or now < at then
  -- As text with all digits: Lua's own form of a large number has 14.
  redis.call('HSET', KEYS[1], 'level', string.format('%.0f', level), 'at', string.format('%.0f', now), 'day', day, 'used', string.format('%.0f', used))
  -- Once a day. By then every bucket is full and every quota new, so the key says nothing any more.
  if heldDay ~= day then redis.call('EXPIREAT', KEYS[1], (day + 1) * ${daySeconds} + 3600) end
end
return {granted, level, used, seconds}`;

type Told = { readonly granted: number; readonly level: number; readonly used: number; readonly seconds: number };
type Waiter = { readonly limit: Limit; readonly answer: (verdict: Verdict) => void };

/**
 * What a process knows of one bucket. Redis is the authority; this is what it told last, from which a process goes on
 * alone while Redis is away.
 */
type Bucket = {
  readonly key: string;
  /** Whether Redis has told anything yet. */
  isTold: boolean;
  /** Micro-tokens at `atMs` of this process' clock, and the quota that was used on `day`. */
  level: number;
  atMs: number;
  day: number;
  used: number;
  /** Tokens that were taken from Redis and not spent, on which day, and how long they may be. */
  block: number;
  blockDay: number;
  blockAtMs: number;
  isAsking: boolean;
  waiting: Waiter[];
};

/**
 * Where a bucket lies in Redis. The braces are a cluster's hash tag. No two buckets share a key, whatever an id
 * consists of: the class has no colon, and JSON tells apart even the texts that UTF-8 can't hold.
 */
export const rateLimitKey = (organizationId: string, rateClass: RateClass): string =>
  `rate:{${JSON.stringify(organizationId)}:${rateClass}}`;

const dayOf = (ms: number): number => Math.floor(ms / (daySeconds * 1000));

const verdictOf = (
  limit: Limit,
  bucket: Bucket,
  nowMs: number,
  outcome: Verdict['refusedBy'],
  from: Verdict['from'],
): Verdict => {
  const missing = limit.burst * micro - bucket.level;
  const quotaSeconds = daySeconds - (Math.floor(nowMs / 1000) % daySeconds);
  const nextSeconds = Math.ceil((micro - bucket.level) / (limit.perSecond * micro));
  return {
    allowed: outcome === undefined,
    refusedBy: outcome,
    limit: limit.burst,
    remaining: Math.floor(bucket.level / micro) + bucket.block,
    resetSeconds: Math.max(0, Math.ceil(missing / (limit.perSecond * micro))),
    retryAfterSeconds: outcome === undefined ? 0 : outcome === 'quota' ? quotaSeconds : Math.max(1, nextSeconds),
    quota: { limit: limit.dailyQuota, used: bucket.used - bucket.block, resetSeconds: quotaSeconds },
    from,
  };
};

/** Takes a token of what this process knows; the same bucket as in the script, in milliseconds. */
const takeAlone = (limit: Limit, bucket: Bucket, nowMs: number): Verdict => {
  bucket.block = 0;
  const elapsedMs = Math.max(0, nowMs - bucket.atMs);
  bucket.level = Math.min(limit.burst * micro, bucket.level + elapsedMs * 1000 * limit.perSecond);
  bucket.atMs = nowMs;
  if (bucket.day !== dayOf(nowMs)) {
    bucket.day = dayOf(nowMs);
    bucket.used = 0;
  }
  if (bucket.used >= limit.dailyQuota) return verdictOf(limit, bucket, nowMs, 'quota', 'process');
  if (bucket.level < micro) return verdictOf(limit, bucket, nowMs, 'rate', 'process');
  bucket.level -= micro;
  bucket.used += 1;
  return verdictOf(limit, bucket, nowMs, undefined, 'process');
};

/**
 * What `work` gives within `ms`. An answer that came while this process was busy itself is read first: the process was
 * slow then, and not Redis.
 */
const answerWithin = <T>(ms: number, work: Promise<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    const late = () => reject(new Error(`Redis gave no answer within ${ms} ms`));
    const timer = setTimeout(() => setImmediate(late), ms);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });

type Script = (key: string, ...args: number[]) => Promise<[number, number, number, number]>;

const createAsk = (redis: Redis, timeoutMs: number) => {
  redis.defineCommand('millrace_take', { lua: script, numberOfKeys: 1 });
  const run = (redis as unknown as { readonly millrace_take: Script }).millrace_take;
  return async (limit: Limit, bucket: Bucket, asked: number): Promise<Told> => {
    const back = bucket.block;
    // Given back at most once: of a call that is not answered nobody knows whether it was carried out.
    bucket.block = 0;
    const call = run.call(
      redis,
      bucket.key,
      limit.perSecond,
      limit.burst,
      limit.dailyQuota,
      asked,
      back,
      bucket.blockDay,
    );
    const [granted, level, used, seconds] = await answerWithin(timeoutMs, call);
    return { granted, level, used, seconds };
  };
};

/** Whether Redis is asked. After a fault only one take in `awayMs` tries, and nobody else waits for it. */
const createReach = (log: RateLimitOptions['log']) => {
  let faultAtMs: number | undefined;
  let isProbing = false;
  return {
    mayAsk: (nowMs: number): boolean => {
      if (faultAtMs === undefined) return true;
      // A clock that was set back does not make the time longer.
      if (isProbing || (nowMs >= faultAtMs && nowMs - faultAtMs < awayMs)) return false;
      isProbing = true;
      return true;
    },
    answered: () => {
      if (faultAtMs !== undefined) log?.info('rate limits hold over all processes again');
      faultAtMs = undefined;
      isProbing = false;
    },
    failed: (nowMs: number, error: unknown) => {
      if (faultAtMs === undefined)
        log?.warn({ err: error }, 'Redis does not answer: rate limits hold for this process alone');
      faultAtMs = nowMs;
      isProbing = false;
    },
  };
};

/**
 * The buckets that a process knows; the one that was used longest ago makes room. It costs nothing but what a process
 * remembers alone.
 */
const createBuckets = (clock: Clock) => {
  const buckets = new LRUCache<string, Bucket>({ max: bucketsMax });
  return (organizationId: string, rateClass: RateClass, limit: Limit): Bucket => {
    const name = `${rateClass}:${organizationId}`;
    const known = buckets.get(name);
    if (known) return known;
    const nowMs = clock.nowMs();
    const bucket: Bucket = {
      key: rateLimitKey(organizationId, rateClass),
      level: limit.burst * micro,
      atMs: nowMs,
      day: dayOf(nowMs),
      used: 0,
      isTold: false,
      block: 0,
      blockDay: 0,
      blockAtMs: 0,
      isAsking: false,
      waiting: [],
    };
    buckets.set(name, bucket);
    return bucket;
  };
};

/**
 * The limiter of a process. `take` answers always: after `timeoutMs` without Redis, or twice that where the one call
 * before it was slow too, from what the process knows alone.
 */
export const createRateLimit = (options: RateLimitOptions): RateLimit => {
  const { redis, clock, log, onFault, blockSize = {}, timeoutMs = 100 } = options;
  for (const size of Object.values(blockSize))
    assert(Number.isSafeInteger(size) && size > 0, 'a block is a whole number of tokens');
  const ask = createAsk(redis, timeoutMs);
  const reach = createReach(log);
  const bucketOf = createBuckets(clock);
  /**
   * A process never holds more than a tenth of what the bucket does; and once the bucket is half empty, or not known
   * yet, each request asks by itself, so that near the limit no process holds what another is refused.
   */
  const blockOf = (limit: Limit, rateClass: RateClass, bucket: Bucket): number =>
    bucket.isTold && bucket.level * 2 >= limit.burst * micro
      ? Math.max(1, Math.min(blockSize[rateClass] ?? 1, Math.floor(limit.burst / 10)))
      : 1;

  const spend = (limit: Limit, bucket: Bucket, nowMs: number): Verdict => {
    bucket.block -= 1;
    return verdictOf(limit, bucket, nowMs, undefined, 'redis');
  };

  /** Asks for all who wait, until nobody does. */
  const askForWaiting = async (bucket: Bucket, block: number): Promise<void> => {
    bucket.isAsking = true;
    while (bucket.waiting.length > 0) {
      const waiters = bucket.waiting.splice(0);
      const { limit } = waiters[0] as Waiter;
      let told: Told;
      try {
        told = await ask(limit, bucket, Math.max(block, waiters.length));
      } catch (error) {
        reach.failed(clock.nowMs(), error);
        onFault?.(error);
        for (const waiter of [...waiters, ...bucket.waiting.splice(0)])
          waiter.answer(takeAlone(waiter.limit, bucket, clock.nowMs()));
        break;
      }
      reach.answered();
      const toldMs = told.seconds * 1000;
      Object.assign(bucket, {
        isTold: true,
        level: told.level,
        atMs: clock.nowMs(),
        day: dayOf(toldMs),
        used: told.used,
      });
      Object.assign(bucket, { block: told.granted, blockDay: dayOf(toldMs), blockAtMs: clock.nowMs() });
      for (const { limit, answer } of waiters) {
        if (bucket.block > 0) answer(spend(limit, bucket, toldMs));
        else answer(verdictOf(limit, bucket, toldMs, told.used >= limit.dailyQuota ? 'quota' : 'rate', 'redis'));
      }
      // Who came meanwhile takes what is left of the block; the rest is asked for.
      for (const { limit, answer } of bucket.waiting.splice(0, bucket.block)) answer(spend(limit, bucket, toldMs));
    }
    bucket.isAsking = false;
  };

  return {
    take: async (organizationId, tier, rateClass) => {
      const limit = rateTiers[tier][rateClass];
      const bucket = bucketOf(organizationId, rateClass, limit);
      const nowMs = clock.nowMs();
      const blockAgeMs = nowMs - bucket.blockAtMs;
      if (bucket.block > 0 && blockAgeMs >= 0 && blockAgeMs < blockMsMax) return spend(limit, bucket, nowMs);
      if (!reach.mayAsk(nowMs)) return takeAlone(limit, bucket, nowMs);
      return new Promise((answer) => {
        bucket.waiting.push({ limit, answer });
        if (!bucket.isAsking) void askForWaiting(bucket, blockOf(limit, rateClass, bucket));
      });
    },
  };
};

const isNearQuota = ({ limit, used }: Verdict['quota']): boolean => used * 100 >= limit * quotaWarningPercent;

/** The headers of an answer, allowed or refused; `docs/rate-limits.md` says what each means. */
export const rateLimitHeaders = (verdict: Verdict): Record<string, string> => {
  const { limit, remaining, resetSeconds, retryAfterSeconds, quota } = verdict;
  return {
    'X-RateLimit-Limit': String(limit),
    'X-RateLimit-Remaining': String(remaining),
    'X-RateLimit-Reset': String(resetSeconds),
    ...(verdict.allowed ? {} : { 'Retry-After': String(retryAfterSeconds) }),
    // A dictionary of whole numbers as in RFC 9651.
    ...(isNearQuota(quota)
      ? { 'X-Quota-Warning': `used=${quota.used}, limit=${quota.limit}, reset=${quota.resetSeconds}` }
      : {}),
  };
};
