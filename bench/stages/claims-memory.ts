import { randomBytes } from 'node:crypto';
import { loadConfig } from '#platform/config/config.ts';
import { createLog } from '#platform/process/log.ts';
import { connectRedis } from '#platform/stores/redis.ts';
import { createClaims } from '../../ingest/claims/claims.redis.ts';
import { claimBytes } from '../../ingest/parse/event-block.ts';
import { cpuSecondsOf } from '../line/process-cost.ts';
import { pidOf, type StageServers } from './stage.ts';

const claimsPerRequest = 200;

/** The last of them, that the CPU time of a claim is measured with. */
const measuredKeys = 1_000_000;

export type ClaimsFigures = {
  readonly bytesPerKey: number;
  /** CPU time of Redis for a claim with its confirmation, of the last million. */
  readonly redisMicrosPerKey: number;
};

/**
 * What claims take of Redis where it holds so many of them, by their number, which rises; confirmed, in requests of
 * 200. Empties the Redis that it measures.
 */
export const measureClaimsMemory = async (
  servers: StageServers,
  fills: readonly number[],
): Promise<Readonly<Record<string, ClaimsFigures>>> => {
  const config = loadConfig({}, []);
  const redis = connectRedis(servers.urls.redis, 60_000, createLog('bench', 'warn'));
  await redis.connect();
  const usedBytes = async (): Promise<number> => Number(/used_memory:(\d+)/.exec(await redis.info('memory'))?.[1]);
  let done = 0;
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
    const fillTo = async (keys: number): Promise<void> => {
      const lane = async () => {
        while (done < keys) {
          done += claimsPerRequest;
          const sequence = done;
          const answer = await claims.claim(randomBytes(claimsPerRequest * claimBytes), 0);
          if (answer === undefined) throw new Error('Redis did not answer a claim');
          await claims.confirm(answer.batch, sequence);
        }
      };
      await Promise.all(Array.from({ length: 4 }, lane));
    };
    const measured: Record<string, ClaimsFigures> = {};
    for (const keys of fills) {
      await fillTo(keys - measuredKeys);
      const [cpuBefore, doneBefore] = [cpuSecondsOf(pidOf(servers, 'redis')), done];
      await fillTo(keys);
      const cpuSeconds = cpuSecondsOf(pidOf(servers, 'redis')) - cpuBefore;
      measured[`${keys.toLocaleString('en-US')} keys`] = {
        bytesPerKey: ((await usedBytes()) - before) / done,
        redisMicrosPerKey: (cpuSeconds * 1e6) / (done - doneBefore),
      };
    }
    return measured;
  } finally {
    await redis.flushall('ASYNC').catch(() => {});
    redis.disconnect();
  }
};
