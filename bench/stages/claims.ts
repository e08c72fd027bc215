import { randomBytes } from 'node:crypto';
import { loadConfig } from '#platform/config/config.ts';
import { createLog } from '#platform/process/log.ts';
import { connectRedis } from '#platform/stores/redis.ts';
import { createClaims } from '../../ingest/claims/claims.redis.ts';
import { claimBytes } from '../../ingest/parse/event-block.ts';
import { measureStage, pidOf, type Stage, type StageServers } from './stage.ts';

const claimsPerRequest = 200;
const inFlight = 8;

/** The claims of a request with new keys, and their confirmation. */
export const claimsStage = (servers: StageServers): Stage => ({
  name: 'claims',
  run: async (seconds) => {
    const config = loadConfig({}, []);
    const redis = connectRedis(servers.urls.redis, config.claimTimeoutMs, createLog('bench', 'warn'));
    await redis.connect();
    const claims = createClaims(redis, {
      streamName: 'BENCH',
      leaseSeconds: config.claimLeaseSeconds,
      windowSeconds: config.claimWindowHours * 3600,
      bytesMax: 2 ** 40,
      onFault: (error) => {
        throw error;
      },
    });
    let sequence = 0;
    try {
      return await measureStage({ seconds, lanes: inFlight, pids: [pidOf(servers, 'redis')] }, async () => {
        const answer = await claims.claim(randomBytes(claimsPerRequest * claimBytes), 0);
        if (answer === undefined) throw new Error('Redis did not answer a claim');
        sequence += 1;
        await claims.confirm(answer.batch, sequence);
        return claimsPerRequest;
      });
    } finally {
      redis.disconnect();
    }
  },
});
