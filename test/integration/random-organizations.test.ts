/**
 * Random organizations over the real servers, with two raters, against a biller that works everything out once more, by
 * plain loops over what was sent: every answer, every line to the last digit, and what became of every event.
 */
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { claimsPrefixOf } from '../../ingest/claims/claims.redis.ts';
import { billOrganization } from '../support/bill-organization.ts';
import { type Month, reasons } from '../support/brute-biller.ts';
import { type Pipeline, startPipeline } from '../support/pipeline.ts';
import { randomOrganization } from '../support/random-organization.ts';
import { aggregations, meteredModels } from '../support/random-prices.ts';
import { startRaterByHand } from '../support/raters.ts';
import { scaled } from '../support/scale.ts';
import { addTenant, type Tenant } from '../support/tenants.ts';
import { verify } from '../support/verify-command.ts';

let pipeline: Pipeline;
let secondRater: Awaited<ReturnType<typeof startRaterByHand>>;
/** Shards of one and of three, as each rater cuts the runs that it prepares. */
const shards = (size: number, workers: number) => ({
  MILLRACE_RATER_SHARD_SIZE: String(size),
  MILLRACE_RATER_WORKERS: String(workers),
  MILLRACE_JOB_POLL_MS: '50',
});
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'), shards(1, 2));
  secondRater = await startRaterByHand(pipeline, inject('serverUrls'), shards(3, 1));
});
afterAll(async () => {
  await secondRater?.stop();
  await pipeline?.stop();
});

/** Of a leap year, so long ago that events come as a backfill: a seed means the same organization on every day. */
const months: readonly Month[] = [1, 2, 3].map((month) => ({
  name: `2024-0${month}`,
  start: Date.UTC(2024, month - 1),
  end: Date.UTC(2024, month),
}));

/** The claims of this stream alone: other tests have the same Redis. */
const emptyRedis = async (): Promise<void> => {
  const redis = new Redis(inject('serverUrls').redis);
  const keys = await redis.keysBuffer(`${claimsPrefixOf(pipeline.streamName)}*`);
  if (keys.length > 0) await redis.del(...keys);
  await redis.quit();
};

const bill = (tenant: Tenant, seed: number, events: number) =>
  billOrganization({ pipeline, tenant, emptyRedis }, seed, randomOrganization(seed, { months, events }));

/** Three that have everything between them; `MILLRACE_ORGANIZATIONS_SEED=17` begins with another one. */
const firstSeed = Number(process.env.MILLRACE_ORGANIZATIONS_SEED || 9);
const seeds = Array.from({ length: scaled(3) }, (_, index) => firstSeed + index);
/** What was billed for more than nothing, and what became of events, in all of them. */
const seen = new Set<string>();

describe('[I11] [I12] [I13] [I15] [I19] random organizations', () => {
  it.each(seeds)(
    'are answered, billed and accounted for as plain loops over their events do it: seed %i',
    async (seed) => {
      const { kinds } = await bill(await addTenant(pipeline), seed, 110);
      for (const kind of kinds) seen.add(kind);
    },
    300_000,
  );

  it('had every model, aggregation, rounded half and fate', () => {
    const billed = [...meteredModels, 'flat', ...aggregations, 'price_spans', 'minimum_commitment', 'spend_cap'];
    const halves = ['half_up', 'half_even'];
    const credits = ['credits', 'credits, cut'];
    expect([...seen].sort()).toEqual([...billed, ...halves, ...credits, 'billed', ...reasons].sort());
  });

  it('are rated again to the same bytes and hashes by one process in other shards, another time zone and another language', async () => {
    const environment = { CLICKHOUSE_URL: pipeline.clickhouseUrl, MILLRACE_RATER_SHARD_SIZE: '7' };
    const elsewhere = { TZ: 'Pacific/Chatham', LC_ALL: 'tr_TR.UTF-8' };
    const verdict = await verify(pipeline.databaseUrl, [], 'rater/verify/rating.main.ts', {
      ...environment,
      ...elsewhere,
    });
    expect(verdict).toMatchObject({ code: 0, faults: [] });
  }, 600_000);

  it.each<[string, (text: string) => string]>([
    ['an event says another number than was sent', (text) => text.replaceAll('"n":', '"n":1')],
    ['its customer is another one', (text) => text.replaceAll('"customer_id":"acme"', '"customer_id":"Acme"')],
  ])('are not billed alike where %s', async (_, lie) => {
    const tenant = await addTenant(pipeline);
    const ingest: Tenant['ingest'] = (method, path, body, headers) =>
      tenant.ingest(method, path, lie(body as string), headers);
    await expect(bill({ ...tenant, ingest }, firstSeed, 40)).rejects.toThrow();
  });
});
