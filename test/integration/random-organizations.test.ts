/**
 * Random organizations over the real servers against a biller that works out everything once more, by plain loops over
 * what was sent: every answer, every line to the last digit, and what became of every event.
 */
import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { claimsPrefixOf } from '../../ingest/claims/claims.redis.ts';
import { billOrganization } from '../support/bill-organization.ts';
import type { Month } from '../support/brute-biller.ts';
import { type Pipeline, startPipeline } from '../support/pipeline.ts';
import { randomOrganization } from '../support/random-organization.ts';
import { scaled } from '../support/scale.ts';
import { addTenant } from '../support/tenants.ts';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'), {
    MILLRACE_RATER_SHARD_SIZE: '2',
    MILLRACE_RATER_WORKERS: '3',
    MILLRACE_PAST_DAYS_MAX: '150',
  });
}, 60_000);
afterAll(() => pipeline?.stop());

/** The last ones that have ended, the newest last. */
const months: readonly Month[] = [3, 2, 1].map((back) => {
  const month = Temporal.Now.plainDateISO('UTC').toPlainYearMonth().subtract({ months: back });
  const startOf = (of: Temporal.PlainYearMonth) => of.toPlainDate({ day: 1 }).toZonedDateTime('UTC').epochMilliseconds;
  return { name: month.toString(), start: startOf(month), end: startOf(month.add({ months: 1 })) };
});

/** The claims of this stream alone: other tests have the same Redis. */
const emptyRedis = async (): Promise<void> => {
  const redis = new Redis(inject('serverUrls').redis);
  const keys = await redis.keysBuffer(`${claimsPrefixOf(pipeline.streamName)}*`);
  if (keys.length > 0) await redis.del(...keys);
  await redis.quit();
};

const firstSeed = Number(process.env.MILLRACE_ORGANIZATIONS_SEED ?? 1);
const seeds = Array.from({ length: scaled(4) }, (_, index) => firstSeed + index);

it.each(seeds)(
  '[I11] [I12] [I13] [I15] [I19] the organization of seed %i is billed as plain loops over its events bill it',
  async (seed) => {
    const tenant = await addTenant(pipeline);
    const steps = randomOrganization(seed, { months, events: 120 });
    const { invoices } = await billOrganization({ pipeline, tenant, emptyRedis }, seed, steps);
    expect(invoices).toBeGreaterThanOrEqual(0);
  },
  60_000,
);
