/** A Redis of one's own, to kill and to stop, with what the tests of the rate limit ask of it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { createRateLimit, type RateLimit, type RateLimitOptions, type Verdict } from '#platform/access/rate-limit.ts';
import { startRedis } from '#platform/local/redis.ts';
import type { LocalServer } from '#platform/local/server.ts';
import { systemClock } from '#platform/process/clock.ts';
import { createLog } from '#platform/process/log.ts';
import { connectRedis } from '#platform/stores/redis.ts';

export type RateLimitRedis = {
  readonly server: LocalServer;
  readonly connect: () => Promise<Redis>;
  /** A limiter with a connection of its own. It waits long: a machine under load may be slow, and that is no outage. */
  readonly open: (options?: Partial<RateLimitOptions>) => Promise<RateLimit>;
  readonly stop: () => Promise<void>;
};

/**
 * Undefined on a machine without Redis, with the reason said; called before the tests are named, so that they show as
 * skipped there.
 */
export const startRateLimitRedis = async (): Promise<RateLimitRedis | undefined> => {
  const home = mkdtempSync(join(tmpdir(), 'millrace-rate-limit-'));
  const server = await startRedis({ home, log: { info: () => {}, warn: () => {} } }).catch((error: Error) => {
    console.warn(`the rate limit in Redis is not tested: ${error.message}`);
    rmSync(home, { recursive: true, force: true });
  });
  if (!server) return undefined;
  const connections: Redis[] = [];
  const connect = async (): Promise<Redis> => {
    const redis = connectRedis(server.url, 5_000, createLog('test', 'silent'));
    connections.push(redis);
    await redis.connect();
    return redis;
  };
  return {
    server,
    connect,
    open: async (options = {}) =>
      createRateLimit({ redis: await connect(), clock: systemClock, timeoutMs: 5_000, ...options }),
    stop: async () => {
      for (const redis of connections) redis.disconnect();
      await server.stop();
      rmSync(home, { recursive: true, force: true });
    },
  };
};

let organizations = 0;
export const newOrganization = (): string => {
  organizations += 1;
  return `org_${organizations}`;
};

export const untilRefused = async (take: () => Promise<Verdict>): Promise<Verdict> => {
  for (;;) {
    const verdict = await take();
    if (!verdict.allowed) return verdict;
  }
};
