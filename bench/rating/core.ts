/** The pure core by itself: how many lines a core prices a second, and what a second worker of the pool adds. */
import { chargeToJson, planVersionFromJson } from '#schemas/plan.ts';
import { parseQuantity, type Quantity } from '#schemas/quantity.ts';
import { defaultRatingPolicy } from '#schemas/rated-line.ts';
import { rateCharge, ratePlan } from '../../rater/price/rate.ts';
import type { MeasuredPeriod, MeasuredShard } from '../../rater/price/rating-task.ts';
import { createRatingPool } from '../../rater/run/pool.piscina.ts';
import { rateShard } from '../../rater/run/rated-rows.ts';
import { cpuSecondsOf } from '../line/process-cost.ts';

/** What the plan of the bench charges for: three metered charges, each with three tiers. */
export const planOfBench = {
  code: 'rated',
  name: 'Rated',
  currency: 'USD',
  charges: ['requests', 'input_tokens', 'output_tokens'].map((meter) => ({
    code: meter,
    name: meter,
    meter,
    price: {
      model: 'graduated',
      tiers: [
        { up_to: '10000', unit_amount: '0' },
        { up_to: '100000', unit_amount: '0.000003' },
        { up_to: null, unit_amount: '0.0000024' },
      ],
    },
  })),
};

const shardOf = (periods: number): MeasuredShard => {
  const parsed = planVersionFromJson(planOfBench);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
  const { charges, currency } = parsed.value;
  // One list for all periods of a plan version, as the catalog reads them: a worker gets it once.
  const storedCharges = charges.map(chargeToJson);
  return {
    policy: defaultRatingPolicy,
    watermark: 1_000_000n,
    periods: Array.from(
      { length: periods },
      (_, index): MeasuredPeriod => ({
        billingPeriodId: `bpd_${index}`,
        span: { start: 0, end: 2_678_400_000 },
        subscriptionId: `sub_${index}`,
        customerId: `cus_${index}`,
        planVersionId: 'plv_1',
        currency,
        charges,
        storedCharges,
        customers: [`cus_${index}`, `customer-${index}`],
        meterVersionIds: Object.fromEntries(charges.map(({ code }) => [code, `mtv_${code}`])),
        usage: Object.fromEntries(charges.map(({ code }) => [code, { quantity: String(1_000 + index * 977) }])),
      }),
    ),
  };
};

const periodsPerShard = 250;
const linesPerShard = periodsPerShard * planOfBench.charges.length;

/** Lines a second of CPU time in this thread. */
const alone = (seconds: number, rate: () => number): number => {
  for (let warmUp = 0; warmUp < 200; warmUp += 1) rate();
  const startSeconds = cpuSecondsOf(process.pid);
  const startMs = performance.now();
  let lines = 0;
  while (performance.now() - startMs < seconds * 1_000) lines += rate();
  return lines / (cpuSecondsOf(process.pid) - startSeconds);
};

/** Lines a second of wall time through a pool, which is kept busy. */
const inPool = async (workersMax: number, seconds: number): Promise<number> => {
  const pool = createRatingPool({
    workersMax,
    queueMax: workersMax,
    timeoutMs: 300_000,
    memoryMbMax: 1024,
    onFault: (error) => {
      throw error;
    },
  });
  const shard = shardOf(periodsPerShard);
  const lane = async (untilMs: number): Promise<number> => {
    let lines = 0;
    while (performance.now() < untilMs) {
      await pool.rate(shard);
      lines += linesPerShard;
    }
    return lines;
  };
  const lanes = (lengthSeconds: number) =>
    Promise.all(Array.from({ length: workersMax * 2 }, () => lane(performance.now() + lengthSeconds * 1_000)));
  await lanes(2);
  const startMs = performance.now();
  const lines = (await lanes(seconds)).reduce((sum, one) => sum + one, 0);
  const elapsedSeconds = (performance.now() - startMs) / 1_000;
  await pool.close();
  return lines / elapsedSeconds;
};

export const measureCore = async (seconds: number): Promise<Readonly<Record<string, number>>> => {
  const shard = shardOf(periodsPerShard);
  const [charge] = shard.periods[0]?.charges ?? [];
  const used = shard.periods.map((_, index) => ({ quantity: parseQuantity(String(1_000 + index * 977)) as Quantity }));
  const charges = () => {
    if (charge) for (const usage of used) rateCharge(charge, usage, 'USD', shard.policy);
    return used.length;
  };
  const rated = () => shard.periods.reduce((lines, period) => lines + ratePlan(period, shard.policy).length, 0);
  const charged = alone(seconds, charges);
  const [lines, rows] = [alone(seconds, rated), alone(seconds, () => rateShard(shard).rows.lines.length)];
  const [one, two] = [await inPool(1, seconds), await inPool(2, seconds)];
  return {
    rated_charges_per_cpu_second: charged,
    lines_per_cpu_second: lines,
    hashed_rows_per_cpu_second: rows,
    one_worker_lines_per_second: one,
    two_workers_lines_per_second: two,
    two_workers_to_one: two / one,
  };
};
