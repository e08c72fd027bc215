/**
 * The use case of simulations: what is asked for -> watermark -> shards of customers -> sums -> summary. Nothing of
 * billing is written, and its core does the rating: the same questions to the store, the same prices, one rounding. The
 * order of effects for a simulation:
 *
 *   1. take the watermark, once, and wait until everything up to it is stored and checked, as for a billing run;
 *   2. cut the customers that were subscribed in its time into shards, in one transaction;
 * for each shard, by whichever rater takes its lease, month by month:
 *   3. read the quantities of all plans together, each span once, and rate the plans side by side in the pool;
 *   4. write the sums and the shard's new state in one transaction; the last one leaves the simulation rated;
 * and then
 *   5. sum up each candidate, and write that with the end of the simulation.
 *
 * Each step can be done twice: a shard's sums are written with its state, and the same watermark gives the same ones.
 */
import assert from 'node:assert/strict';
import type { Currency } from '#schemas/currency.ts';
import { type Amount, addAmounts, zeroAmount } from '#schemas/money.ts';
import type { Period } from '#schemas/period.ts';
import { monthsOf, type SimulationFailure } from '#schemas/simulation.ts';
import { measureShard, type RatePorts, StreamBehindError, takeWatermark } from '../run/rate-period.ts';
import type { PeriodsToSum } from './charge-sums.ts';
import { sharedSpans } from './shared-spans.ts';
import { type SimulatedMonth, type SimulatedPeriod, simulatedPeriods, type Unfit } from './simulated-periods.ts';
import { type SimulationSummaryJson, type SummedUp, summarize } from './summarize.ts';

/** A simulation that waits for its next step outside of shards. */
export type LeasedSimulation = {
  readonly id: string;
  readonly organizationId: string;
  readonly requestId: string;
  readonly state: 'queued' | 'rated';
  readonly period: Period;
  readonly candidates: number;
  readonly watermark: bigint | undefined;
  readonly attempt: number;
};

export type SimulationShard = {
  readonly simulationId: string;
  readonly shardNumber: number;
  readonly organizationId: string;
  readonly requestId: string;
  readonly period: Period;
  readonly watermark: bigint;
  /** The number of its first customer. */
  readonly firstCustomer: number;
  readonly customerIds: readonly string[];
  readonly attempt: number;
};

/** What one candidate comes to for one customer in one currency. */
export type SimulatedSum = SummedUp & {
  readonly customerNumber: number;
  /** From 1. */
  readonly candidate: number;
};

export type SimulatePorts = Pick<RatePorts, 'lastSequence' | 'isChecked' | 'highestStored' | 'readQuantities'> & {
  readonly catalog: Pick<RatePorts['catalog'], 'priceSpans' | 'ratingPolicy'>;
  readonly simulations: {
    readonly lease: () => Promise<LeasedSimulation | undefined>;
    readonly takeWatermark: (simulation: LeasedSimulation, watermark: bigint) => Promise<bigint>;
    readonly putBack: (simulation: LeasedSimulation) => Promise<void>;
    readonly giveUp: (simulation: LeasedSimulation, error: unknown) => Promise<void>;
    readonly fail: (simulation: LeasedSimulation, failure: string) => Promise<void>;
    /** Step 2; nothing where the simulation was cut or cancelled meanwhile. */
    readonly cut: (simulation: LeasedSimulation, shardSize: number) => Promise<void>;
    /** The sums of one candidate, in the order of its customers. */
    readonly sumsOf: (simulation: LeasedSimulation, candidate: number) => Promise<readonly SimulatedSum[]>;
    readonly complete: (simulation: LeasedSimulation, summary: SimulationSummaryJson) => Promise<void>;
    /** None while shards of billing runs wait. */
    readonly leaseShard: () => Promise<SimulationShard | undefined>;
    /** Whether there is a shard that only waits for billing. */
    readonly isShardWaiting: () => Promise<boolean>;
    readonly saveShard: (shard: SimulationShard, sums: readonly SimulatedSum[]) => Promise<void>;
    readonly giveUpShard: (shard: SimulationShard, error: unknown) => Promise<void>;
  };
  readonly readMonth: (shard: SimulationShard, month: Period) => Promise<SimulatedMonth>;
  /** All that is pure of step 3, in a worker. */
  readonly sum: (task: PeriodsToSum) => Promise<readonly Amount[]>;
  readonly workers: number;
};

/** Sink and identity check are behind by tenths of a second, as a rule. */
const putBackMs = 100;
/** Billing goes first: how long a simulation stands aside until it looks again. */
const asideMs = 250;
/** What is read and rated at a time, in months of customers: progress is told in steps, and billing waits for one. */
const spansPerShard = 200;

const prepare = async (
  ports: SimulatePorts,
  simulation: LeasedSimulation,
  shardSizeMax: number,
): Promise<boolean | number> => {
  const { simulations } = ports;
  let watermark: bigint;
  try {
    watermark =
      simulation.watermark ??
      (await simulations.takeWatermark(simulation, await takeWatermark(ports, simulation.organizationId)));
  } catch (error) {
    if (!(error instanceof StreamBehindError)) throw error;
    await simulations.fail(simulation, error.message);
    return true;
  }
  if (!(await ports.isChecked(watermark))) {
    await simulations.putBack(simulation);
    return putBackMs;
  }
  const spans = Math.max(1, Math.floor(spansPerShard / monthsOf(simulation.period).length));
  await simulations.cut(simulation, Math.min(shardSizeMax, spans));
  return true;
};

const sumUp = async ({ simulations }: SimulatePorts, simulation: LeasedSimulation): Promise<true> => {
  const candidates = [];
  for (let candidate = 1; candidate <= simulation.candidates; candidate += 1)
    candidates.push(await simulations.sumsOf(simulation, candidate));
  await simulations.complete(simulation, summarize(candidates));
  return true;
};

/** Steps 1 and 2, or step 5, of one; resolves with whether there is more to do, or in how many milliseconds. */
export const advanceSimulation = async (ports: SimulatePorts, shardSizeMax: number): Promise<boolean | number> => {
  const simulation = await ports.simulations.lease();
  if (!simulation) return false;
  try {
    return simulation.state === 'queued'
      ? await prepare(ports, simulation, shardSizeMax)
      : await sumUp(ports, simulation);
  } catch (error) {
    await ports.simulations.giveUp(simulation, error);
    throw error;
  }
};

/** What a customer is charged in a currency, by plan, or why a plan can't charge some of its time. */
type Charged = {
  readonly customerId: string;
  readonly externalId: string;
  readonly currency: Currency;
  readonly byPlan: (Amount | Unfit)[];
};

type ChargedByKey = Map<string, Charged>;

const keyOf = (customerId: string, currency: Currency): string => `${customerId} ${currency}`;

/** Plans in as many groups as there are workers, each group's work about the same. */
const inGroups = <T>(items: readonly T[], groups: number): T[][] =>
  Array.from({ length: Math.min(groups, items.length) }, (_, group) =>
    items.filter((_item, index) => index % groups === group),
  );

const rateMonth = async (
  ports: SimulatePorts,
  shard: SimulationShard,
  month: Period,
  charged: ChargedByKey,
): Promise<void> => {
  const simulated = await ports.readMonth(shard, month);
  const periods = simulatedPeriods(simulated);
  // A customer is there whatever the plans have a price for.
  for (const span of simulated.spans) {
    const { customerId, customerExternalId: externalId, currency } = span;
    const key = keyOf(customerId, currency);
    const soFar = charged.get(key)?.byPlan;
    const byPlan = simulated.plans.map((planOf, plan) => {
      const found = planOf(span);
      return typeof found === 'string' ? found : (soFar?.[plan] ?? zeroAmount);
    });
    charged.set(key, { customerId, externalId, currency, byPlan });
  }
  const measured = await measureShard(
    {
      catalog: {
        billingPeriods: async () => periods.map(({ period }) => period),
        meters: async () => simulated.meters,
        priceSpans: ports.catalog.priceSpans,
        ratingPolicy: ports.catalog.ratingPolicy,
      },
      readQuantities: async (asked) => {
        const { query, toEach } = sharedSpans(asked);
        return toEach(await ports.readQuantities(query));
      },
    },
    { organizationId: shard.organizationId, watermark: shard.watermark, billingPeriodIds: [] },
  );
  const byId = new Map(periods.map((one): [string, SimulatedPeriod] => [one.period.billingPeriodId, one]));
  const ofPlan = Map.groupBy(measured.periods, ({ billingPeriodId }) => byId.get(billingPeriodId)?.plan);
  const groups = inGroups([...ofPlan.values()], ports.workers).map((plans) => plans.flat());
  const sums = await Promise.all(groups.map((group) => ports.sum({ policy: measured.policy, periods: group })));
  for (const [index, group] of groups.entries())
    for (const [at, { billingPeriodId }] of group.entries()) {
      const { plan, of } = byId.get(billingPeriodId) as SimulatedPeriod;
      const one = charged.get(keyOf(of.customerId, of.currency));
      const sum = sums[index]?.[at];
      assert(one && sum !== undefined, `the sum of ${billingPeriodId} is there`);
      const soFar = one.byPlan[plan] ?? zeroAmount;
      one.byPlan[plan] = typeof soFar === 'string' ? soFar : addAmounts(soFar, sum);
    }
};

const failureOf = (baseline: Amount | Unfit, amount: Amount | Unfit): SimulationFailure | null => {
  if (typeof amount === 'string') return `candidate_${amount}`;
  return typeof baseline === 'string' ? `baseline_${baseline}` : null;
};

const amountOf = (charged: Amount | Unfit): Amount | null => (typeof charged === 'string' ? null : charged);

const sumsOf = (shard: SimulationShard, charged: ChargedByKey): SimulatedSum[] => {
  const numbers = new Map(shard.customerIds.map((id, index) => [id, shard.firstCustomer + index]));
  return [...charged.values()].flatMap(
    ({ customerId, externalId, currency, byPlan: [baseline = zeroAmount, ...amounts] }) =>
      amounts.map((amount, index) => ({
        customerNumber: numbers.get(customerId) as number,
        customerId,
        externalId,
        candidate: index + 1,
        currency,
        baseline: amountOf(baseline),
        amount: amountOf(amount),
        failure: failureOf(baseline, amount),
      })),
  );
};

/** Steps 3 and 4 for one shard. Resolves with whether there was one, or in how many milliseconds there may be. */
export const rateSimulationShard = async (ports: SimulatePorts): Promise<boolean | number> => {
  const { simulations } = ports;
  const shard = await simulations.leaseShard();
  if (!shard) return (await simulations.isShardWaiting()) ? asideMs : false;
  try {
    const charged: ChargedByKey = new Map();
    for (const month of monthsOf(shard.period)) await rateMonth(ports, shard, month, charged);
    await simulations.saveShard(shard, sumsOf(shard, charged));
  } catch (error) {
    await simulations.giveUpShard(shard, error);
    throw error;
  }
  return true;
};
