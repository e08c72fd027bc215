import { randomBytes } from 'node:crypto';
import { loadConfig } from '#platform/config/config.ts';
import { createLog } from '#platform/process/log.ts';
import { connectRedis } from '#platform/stores/redis.ts';
import { createClaims } from '../../ingest/claims/claims.redis.ts';
import { claimBytes } from '../../ingest/parse/event-block.ts';
import type { StageServers } from './stage.ts';

const claimsPerRequest = 200;

/**
 * Bytes of Redis for each of `keys` claims, confirmed, that came in requests of 200. Empties the Redis that it
 * measures.
 */
export const measureClaimsMemory = async (servers: StageServers, keys: number): Promise<number> => {
  const config = loadConfig({}, []);
  const redis = connectRedis(servers.urls.redis, 60_000, createLog('bench', 'warn'));
  await redis.connect();
  const usedBytes = async (): Promise<number> => Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1]);
  try {
    await redis.flushall();
    const before = await usedBytes();
    const claims = createClaims(redis, {
      streamName: 'BENCH',
      leaseSeconds: config.claimLeaseSeconds,
      windowSeconds: config.claimWindowHours * 3600,
      bytesMax: 2 ** 40,
      onFault: (error) => {
        throw error;
      },
    });
    for (let done = 0, sequence = 1; done < keys; done += 4 * claimsPerRequest, sequence += 4) {
      const lane = async (own: number) => {
        const answer = await claims.claim(randomBytes(claimsPerRequest * claimBytes), 0);
        if (answer === undefined) throw new Error('Redis did not answer a claim');
        await claims.confirm(answer.batch, own);
      };
      await Promise.all([0, 1, 2, 3].map((own) => lane(sequence + own)));
    }
    return ((await usedBytes()) - before) / keys;
  } finally {
    await redis.flushall().catch(() => {});
    redis.disconnect();
  }
};
