/**
 * An API process in small, for tests of the rate limit: says that it is ready, then takes over several connections for
 * as long as it is told, and tells the sum.
 */
import type { OrganizationTier, RateClass } from '#schemas/rate-tiers.ts';
import { createRateLimit } from '../../platform/access/rate-limit.ts';
import { systemClock } from '../../platform/process/clock.ts';
import { createLog } from '../../platform/process/log.ts';
import { connectRedis } from '../../platform/stores/redis.ts';

export type Order = {
  readonly organizationId: string;
  readonly tier: OrganizationTier;
  readonly rateClass: RateClass;
  readonly blockSize: number;
  readonly forMs: number;
};
export type Sum = { readonly allowed: number; readonly refused: number; readonly alone: number };

const [url = ''] = process.argv.slice(2);
const connections = await Promise.all(
  [1, 2].map(async () => {
    const redis = connectRedis(url, 5_000, createLog('taker', 'silent'));
    await redis.connect();
    return redis;
  }),
);

process.on('message', async ({ organizationId, tier, rateClass, blockSize, forMs }: Order) => {
  const sum = { allowed: 0, refused: 0, alone: 0 };
  const endMs = performance.now() + forMs;
  const lane = async (take: ReturnType<typeof createRateLimit>['take']) => {
    while (performance.now() < endMs) {
      const { allowed, from } = await take(organizationId, tier, rateClass);
      sum[allowed ? 'allowed' : 'refused'] += 1;
      if (from === 'process') sum.alone += 1;
      // A take that is answered from a block lets nothing else have its turn.
      await new Promise(setImmediate);
    }
  };
  const limiters = connections.map((redis) =>
    createRateLimit({ redis, clock: systemClock, blockSize: { [rateClass]: blockSize }, timeoutMs: 5_000 }),
  );
  await Promise.all(limiters.flatMap(({ take }) => Array.from({ length: 8 }, () => lane(take))));
  process.send?.(sum satisfies Sum);
});
process.on('disconnect', () => process.exit(0));
process.send?.('ready');
