import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { chargeToJson } from '#schemas/plan.ts';
import { type Price, priceToJson } from '#schemas/price/price.ts';
import { formatQuantity, type Quantity } from '#schemas/quantity.ts';
import { defaultRatingPolicy } from '#schemas/rated-line.ts';
import type { ChargeUsage, MeasuredPeriod, MeasuredShard } from '../../../../rater/price/rating-task.ts';
import type { Parts } from '../../../../rater/price/usage.ts';
import {
  createRatingPool,
  type RatingPool,
  type RatingPoolBounds,
  RatingPoolFull,
} from '../../../../rater/run/pool.piscina.ts';
import { WorkerEndedError } from '../../../../rater/run/rate-period.ts';
import { type RatedShard, rateShard } from '../../../../rater/run/rated-rows.ts';
import { anyCurrency, pricedUsages, prices } from '../../../support/rating-arbitraries.ts';
import { scaled } from '../../../support/scale.ts';

const pools: RatingPool[] = [];
const bounded = { timeoutMs: 60_000, memoryMbMax: 512, onFault: () => {} };
const poolOf = (bounds: Partial<RatingPoolBounds>): RatingPool => {
  const pool = createRatingPool({ workersMax: 1, queueMax: 0, ...bounded, ...bounds });
  pools.push(pool);
  return pool;
};
afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.close()));
});

type Usage = { readonly price: Price; readonly quantity: Quantity; readonly parts: Parts };

const usageOf = ({ quantity, parts }: Usage): ChargeUsage => ({
  quantity: formatQuantity(quantity),
  parts: [...parts].map(([part, { quantity: of, events }]) => ({
    part,
    quantity: formatQuantity(of),
    events: String(events),
  })),
});

/**
 * A fixed seed: the same 200 billing periods in every run, of three charges each. In every third one the price of the
 * second changes, and the third has no usage.
 */
const periods: MeasuredPeriod[] = fc
  .sample(fc.tuple(anyCurrency, pricedUsages, pricedUsages, pricedUsages, prices), { numRuns: scaled(200), seed: 7 })
  .map(([currency, first, second, changed, unused], index) => {
    const charges = [first.price, second.price, unused].map((price, meter) => ({
      code: `m${meter}`,
      name: `Meter ${meter}`,
      meter: `m${meter}`,
      price,
    }));
    const spans = [second, changed].map((usage, place) => ({
      span: { start: 1_000 * index + 500 * place, end: 1_000 * index + 500 * place + 500 },
      tiers: 'restart' as const,
      sources: place === 0 ? {} : { priceOverrideId: `pov_${index}` },
      price: usage.price,
      storedPrice: priceToJson(usage.price),
      usage: usageOf(usage),
    }));
    return {
      billingPeriodId: `bpd_${String(index).padStart(3, '0')}`,
      span: { start: 1_000 * index, end: 1_000 * (index + 1) },
      subscriptionId: `sub_${String(index).padStart(3, '0')}`,
      customerId: `cus_${index}`,
      planVersionId: 'plv_1',
      currency,
      charges,
      storedCharges: charges.map(chargeToJson),
      customers: [`cus_${index}`],
      meterVersionIds: { m0: 'mtv_0', m1: 'mtv_1', m2: 'mtv_2' },
      usage: { m0: usageOf(first), m1: usageOf(second) },
      ...(index % 3 === 0 && { priceSpans: { m1: spans } }),
    };
  });

const shardsOf = (all: readonly MeasuredPeriod[], size: number): MeasuredShard[] =>
  Array.from({ length: Math.ceil(all.length / size) }, (_, index) => ({
    policy: defaultRatingPolicy,
    watermark: 7n,
    periods: all.slice(index * size, (index + 1) * size),
  }));

/** All rows, with their hashes, in the order of subscription and position. */
const bytesOf = (shards: readonly RatedShard[]): string =>
  shards
    .flatMap(({ rows }) => {
      const columns: readonly (readonly unknown[])[] = Object.values(rows);
      return rows.lines.map((_, index) => JSON.stringify(columns.map((column) => column[index])));
    })
    .toSorted()
    .join('\n');

const rateAll = async (pool: RatingPool, shards: readonly MeasuredShard[]): Promise<string> =>
  bytesOf(await Promise.all(shards.map((shard) => pool.rate(shard))));

describe('rating pool', () => {
  it('[I12] however periods are shuffled and cut into shards, by one to three workers, lines and hashes are equal to the byte', async () => {
    const expected = bytesOf([rateShard({ policy: defaultRatingPolicy, watermark: 7n, periods })]);
    const workers = [1, 2, 3].map((workersMax) => poolOf({ workersMax, queueMax: periods.length }));
    const shuffled = fc.shuffledSubarray(periods, { minLength: periods.length });
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...workers),
        shuffled,
        fc.integer({ min: 1, max: 99 }),
        async (pool, all, size) => {
          expect((await rateAll(pool, shardsOf(all, size))) === expected).toBe(true);
        },
      ),
      { numRuns: scaled(6), endOnFailure: true },
    );
  }, 600_000);

  it('[I10] takes no more shards than workers and queue hold, and takes new ones once there is room', async () => {
    const pool = poolOf({ workersMax: 1, queueMax: 2 });
    const shard = shardsOf(periods, 200)[0] as MeasuredShard;
    const taken = [pool.rate(shard), pool.rate(shard), pool.rate(shard)];
    await expect(pool.rate(shard)).rejects.toBeInstanceOf(RatingPoolFull);
    await Promise.all(taken);
    expect((await pool.rate(shard)).rows.lines).toHaveLength(600);
  });

  it('a pool without a queue takes one shard per worker', async () => {
    const pool = poolOf({ workersMax: 2, queueMax: 0 });
    const shard = shardsOf(periods, 10)[0] as MeasuredShard;
    const taken = [pool.rate(shard), pool.rate(shard)];
    await expect(pool.rate(shard)).rejects.toBeInstanceOf(RatingPoolFull);
    expect((await Promise.all(taken)).map(({ rows }) => rows.lines.length)).toEqual([30, 30]);
  });

  it('a period that can not be rated is a failure of its own, with its reason, and the others are rated', async () => {
    const pool = poolOf({ workersMax: 1, queueMax: 5 });
    const [good] = shardsOf(periods, 10) as [MeasuredShard];
    // Its first charge is rated before the fault is met.
    const bad = { ...(good.periods[4] as MeasuredPeriod), usage: { m0: { quantity: '1' }, m1: { quantity: 'x' } } };
    const { rows, failures } = await pool.rate({ ...good, periods: good.periods.with(4, bad) });
    expect(failures).toEqual([
      { billingPeriodId: 'bpd_004', code: 'rating_error', message: expect.stringContaining('is not a decimal: x') },
    ]);
    expect(new Set(Object.values(rows).map(({ length }) => length))).toEqual(new Set([27]));
    const others = good.periods.toSpliced(4, 1);
    expect(bytesOf([{ rows, failures }])).toBe(bytesOf([rateShard({ ...good, periods: others })]));
  });

  it.each([
    ['does not end', 'hang', 5, 'was ended, as it took more than 5 s'],
    ['ends the process', 'exit', 60, 'died: worker exited with code: 7'],
    ['fills its memory', 'memory', 60, 'died: Worker terminated due to reaching memory limit'],
  ])(
    'a worker that %s is replaced, and the shards of others are rated',
    async (_, death, seconds, message) => {
      const entry = new URL('../../../support/deadly-rating.worker.ts', import.meta.url);
      const pool = poolOf({ workersMax: 2, queueMax: 4, timeoutMs: seconds * 1_000, memoryMbMax: 64, entry });
      const [good] = shardsOf(periods, 10) as [MeasuredShard];
      const deadly = { ...good, periods: [{ ...(periods[0] as MeasuredPeriod), subscriptionId: death }] };
      const expected = bytesOf([rateShard(good)]);
      for (let round = 0; round < 2; round += 1) {
        const [died, ...rated] = await Promise.allSettled([pool.rate(deadly), pool.rate(good), pool.rate(good)]);
        expect(died.status === 'rejected' && died.reason).toBeInstanceOf(WorkerEndedError);
        expect(died.status === 'rejected' && died.reason.message).toContain(message);
        for (const one of rated) {
          expect(one.status === 'rejected' && one.reason).toBe(false);
          expect(one.status === 'fulfilled' && bytesOf([one.value]) === expected).toBe(true);
        }
      }
      expect(pool.load()).toMatchObject({ working: 0, queued: 0 });
    },
    60_000,
  );

  it('closing finishes the shards that were taken on', async () => {
    const pool = createRatingPool({ workersMax: 1, queueMax: 10, ...bounded });
    const taken = shardsOf(periods, 40).map((shard) => pool.rate(shard));
    await pool.close();
    expect((await Promise.all(taken)).map(({ rows }) => rows.lines.length)).toEqual([120, 120, 120, 120, 120]);
  });
});
