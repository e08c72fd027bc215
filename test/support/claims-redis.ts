/** A Redis of one's own for claims, to kill, to stop and to look into. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Redis } from 'ioredis';
import { startRedis } from '#platform/local/redis.ts';
import type { LocalServer } from '#platform/local/server.ts';
import { createLog } from '#platform/process/log.ts';
import { connectRedis } from '#platform/stores/redis.ts';
import { createClaims, type ClaimsOptions as RedisOptions } from '../../ingest/claims/claims.redis.ts';
import type { Claims } from './claim-records.ts';
import type { ClaimsOptions } from './memory-claims.ts';

/** The stream that the tests' claims stand beside. */
export const claimedStream = 'USAGE';

/** Beside what the fake has: where buckets are split, and when keys are forgotten early. */
export type ClaimsRedisOptions = ClaimsOptions & Partial<Pick<RedisOptions, 'bytesMax' | 'layout'>>;

export type ClaimsRedis = {
  readonly server: LocalServer;
  readonly connect: () => Promise<Redis>;
  /** Claims with a connection of their own, as each gateway has them. */
  readonly open: (options: ClaimsRedisOptions, onFault?: (error: unknown) => void) => Promise<Claims>;
  readonly stop: () => Promise<void>;
};

/**
 * Undefined on a machine without Redis, with the reason said; called before the tests are named, so that they show as
 * skipped there.
 */
export const startClaimsRedis = async (commandTimeoutMs = 2_000): Promise<ClaimsRedis | undefined> => {
  const home = mkdtempSync(join(tmpdir(), 'millrace-claims-'));
  const server = await startRedis({ home, log: { info: () => {}, warn: () => {} } }).catch((error: Error) => {
    console.warn(`claims in Redis are not tested: ${error.message}`);
    rmSync(home, { recursive: true, force: true });
  });
  if (!server) return undefined;
  const connections: Redis[] = [];
  const connect = async (): Promise<Redis> => {
    const redis = connectRedis(server.url, commandTimeoutMs, createLog('test', 'silent'));
    connections.push(redis);
    await redis.connect();
    return redis;
  };
  return {
    server,
    connect,
    open: async (options, onFault = () => {}) =>
      createClaims(await connect(), { bytesMax: 2 ** 32, ...options, streamName: claimedStream, onFault }),
    stop: async () => {
      for (const redis of connections) redis.disconnect();
      await server.stop();
      rmSync(home, { recursive: true, force: true });
    },
  };
};
