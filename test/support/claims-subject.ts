/** Holds the memory fake of claims and the scripts in a real Redis to one suite. */
import { afterAll, describe } from 'vitest';
import { systemClock } from '#platform/process/clock.ts';
import { createStreamKnowledge } from '../../ingest/claims/claims.redis.ts';
import type { GuardPorts } from '../../ingest/stream/stream-guard.ts';
import type { Claims } from './claim-records.ts';
import { type ClaimsRedis, claimedStream, startClaimsRedis } from './claims-redis.ts';
import { type ClaimsOptions, createClaimsStore } from './memory-claims.ts';

export type ClaimsSubject = {
  readonly open: (options: ClaimsOptions) => Promise<Claims>;
  readonly knowledge: () => Promise<Pick<GuardPorts, 'readKnown' | 'voidBehind'>>;
  readonly empty: () => Promise<unknown>;
};

/**
 * `concurrent` where no test minds another one in the same store: then those that wait for time to pass wait together.
 */
export const holdClaims = async (
  contract: (subject: ClaimsSubject) => void,
  { concurrent = false } = {},
): Promise<void> => {
  describe('claims in memory', { concurrent }, () => {
    const store = createClaimsStore(systemClock);
    contract({
      open: async (options) => store.open(options),
      knowledge: async () => store.knowledge,
      empty: async () => store.empty(),
    });
  });
  const own = await startClaimsRedis();
  afterAll(() => own?.stop());
  describe.skipIf(!own)('claims in Redis', { concurrent }, () => {
    const { open, connect } = (own ?? {}) as ClaimsRedis;
    contract({
      open: (options) => open(options),
      knowledge: async () => createStreamKnowledge(await connect(), claimedStream),
      empty: async () => (await connect()).flushall(),
    });
  });
};
