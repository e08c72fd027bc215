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
 * A billing period that can't be rated under a plan is a failure of its customer there, as one of a billing run is of
 * its run, and stops no other.
 *
 * Each step can be done twice: a shard's sums are written with its state, and the same watermark gives the same ones.
 */
import assert from 'node:assert/strict';
import type { Currency } from '#schemas/currency.ts';
import { type Amount, addAmounts, zeroAmount } from '#schemas/money.ts';
import type { Instant, Period } from '#schemas/period.ts';
import { failureMessage } from '#schemas/rating-failure.ts';
import {
  type FailedPeriod,
  isSimulationCause,
  monthsOf,
  type SimulationCause,
  type SimulationFailure,
} from '#schemas/simulation.ts';
import type { MeasuredPeriod } from '../price/rating-task.ts';
import type { BillablePeriod } from '../run/measured-periods.ts';
import { type RatePorts, StreamBehindError, takeWatermark, WorkerEndedError } from '../run/rate-period.ts';
import { measureReadable, unreadableUsagesMax } from '../run/rate-shard.ts';
import type { PeriodSum, PeriodsToSum } from './charge-sums.ts';
import { sharedSpans } from './shared-spans.ts';
import {
  type SimulatedMonth,
  type SimulatedPeriod,
  type SubscribedSpan,
  simulatedPeriods,
  type Unfit,
} from './simulated-periods.ts';
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
  /** Of the simulation: prices that came to be later do not count, whichever shard is rated when. */
  readonly askedAt: Instant;
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
  readonly sum: (task: PeriodsToSum) => Promise<readonly PeriodSum[]>;
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

/** What a customer is charged in a currency, by plan, or why that can't be said. */
type Charged = {
  readonly customerId: string;
  readonly externalId: string;
  readonly currency: Currency;
  readonly byPlan: (Amount | Unfit)[];
  /** By plan, too: the first period that could not be rated. */
  readonly failedByPlan: (FailedPeriod | undefined)[];
};

type ChargedByKey = Map<string, Charged>;

const keyOf = (customerId: string, currency: Currency): string => `${customerId} ${currency}`;

/** Plans in as many groups as there are workers, each group's work about the same. */
const inGroups = <T>(items: readonly T[], groups: number): T[][] =>
  Array.from({ length: Math.min(groups, items.length) }, (_, group) =>
    items.filter((_item, index) => index % groups === group),
  );

/** A customer is there whatever the plans can charge. */
const chargedOf = (charged: ChargedByKey, { customerId, customerExternalId, currency }: SubscribedSpan): Charged => {
  const key = keyOf(customerId, currency);
  const one = charged.get(key) ?? {
    customerId,
    externalId: customerExternalId,
    currency,
    byPlan: [],
    failedByPlan: [],
  };
  charged.set(key, one);
  return one;
};

type Unrated = { readonly cause: SimulationCause; readonly message: string };

/** The first one of a customer and a plan is told. */
const markFailed = (charged: ChargedByKey, { plan, of }: SimulatedPeriod, unrated: Unrated): void => {
  const { byPlan, failedByPlan } = chargedOf(charged, of);
  byPlan[plan] ??= zeroAmount;
  failedByPlan[plan] ??= { period: of.span, ...unrated };
};

/** More periods of a group that end their worker are no faults of theirs: the shard is tried again as a whole. */
const deadlyPeriodsMax = 5;

/** Where a worker ends, the group is rated in halves, until the period at fault is known; that one is tried twice. */
const sumReadable = async (ports: SimulatePorts, task: PeriodsToSum): Promise<(PeriodSum | Unrated)[]> => {
  let deadly = 0;
  const sum = async (periods: PeriodsToSum['periods'], isSecond: boolean): Promise<(PeriodSum | Unrated)[]> => {
    try {
      return [...(await ports.sum({ ...task, periods }))];
    } catch (error) {
      if (!(error instanceof WorkerEndedError)) throw error;
      if (periods.length > 1) {
        const half = Math.ceil(periods.length / 2);
        const before = await sum(periods.slice(0, half), false);
        return [...before, ...(await sum(periods.slice(half), false))];
      }
      if (!isSecond) return sum(periods, true);
      deadly += 1;
      if (deadly > deadlyPeriodsMax) throw error;
      return [{ cause: 'worker_ended', message: failureMessage(error) }];
    }
  };
  return sum(task.periods, false);
};

const addSum = (charged: ChargedByKey, simulated: SimulatedPeriod, found: PeriodSum | Unrated): void => {
  if ('cause' in found) markFailed(charged, simulated, found);
  else if ('error' in found) markFailed(charged, simulated, { cause: 'rating_error', message: found.error });
  else {
    const { byPlan } = chargedOf(charged, simulated.of);
    const before = byPlan[simulated.plan] ?? zeroAmount;
    if (typeof before !== 'string') byPlan[simulated.plan] = addAmounts(before, found.sum);
  }
};

const rateMonth = async (
  ports: SimulatePorts,
  shard: SimulationShard,
  month: Period,
  charged: ChargedByKey,
): Promise<void> => {
  const { spans, plans, metersOf } = await ports.readMonth(shard, month);
  const byId = new Map<string, SimulatedPeriod & { readonly period: BillablePeriod }>();
  for (const one of simulatedPeriods({ spans, plans }))
    if ('period' in one) {
      chargedOf(charged, one.of).byPlan[one.plan] ??= zeroAmount;
      byId.set(one.period.billingPeriodId, one);
    } else if ('unfit' in one) chargedOf(charged, one.of).byPlan[one.plan] = one.unfit;
    else markFailed(charged, one, { cause: 'catalog_unreadable', message: failureMessage(one.unreadable) });
  const { measured, failures } = await measureReadable(
    {
      catalog: {
        billingPeriods: async (_, ids) =>
          ids.flatMap((id) => {
            const found = byId.get(id);
            return found ? [found.period] : [];
          }),
        meters: (_, planVersionIds) => metersOf(planVersionIds),
        priceSpans: ports.catalog.priceSpans,
        ratingPolicy: ports.catalog.ratingPolicy,
      },
      readQuantities: async (asked) => {
        const { query, toEach } = sharedSpans(asked);
        return toEach(await ports.readQuantities(query));
      },
    },
    {
      organizationId: shard.organizationId,
      watermark: shard.watermark,
      billingPeriodIds: [...byId.keys()],
      pricesUntil: shard.askedAt,
    },
    // What of one customer can't be read may be so under each plan.
    unreadableUsagesMax * plans.length,
  );
  const simulatedOf = (billingPeriodId: string): SimulatedPeriod => {
    const found = byId.get(billingPeriodId);
    assert(found, `the period ${billingPeriodId} was asked for`);
    return found;
  };
  for (const { billingPeriodId, code, message } of failures) {
    assert(isSimulationCause(code), `${code} is no fault of a simulation`);
    markFailed(charged, simulatedOf(billingPeriodId), { cause: code, message });
  }
  const ofPlan = Map.groupBy(measured.periods, ({ billingPeriodId }) => byId.get(billingPeriodId)?.plan);
  const groups: MeasuredPeriod[][] = inGroups([...ofPlan.values()], ports.workers).map((of) => of.flat());
  const sums = await Promise.all(
    groups.map((group) => sumReadable(ports, { policy: measured.policy, periods: group })),
  );
  for (const [index, group] of groups.entries())
    for (const [at, { billingPeriodId }] of group.entries()) {
      const found = sums[index]?.[at];
      assert(found, `the sum of ${billingPeriodId} is there`);
      addSum(charged, simulatedOf(billingPeriodId), found);
    }
};

type Comparison = Pick<SimulatedSum, 'baseline' | 'amount' | 'failure' | 'failed'>;

const amountOf = (charged: Amount | Unfit, failed: FailedPeriod | undefined): Amount | null =>
  typeof charged === 'string' || failed ? null : charged;

const comparisonOf = ({ byPlan, failedByPlan }: Charged, plan: number): Comparison => {
  const [baseline, amount] = [byPlan[0] ?? zeroAmount, byPlan[plan] ?? zeroAmount];
  const [failedBaseline, failed] = [failedByPlan[0], failedByPlan[plan]];
  const failing = (failure: SimulationFailure | null, by?: FailedPeriod): Comparison => ({
    baseline: amountOf(baseline, failedBaseline),
    amount: amountOf(amount, failed),
    failure,
    failed: by ?? null,
  });
  if (typeof amount === 'string') return failing(`candidate_${amount}`);
  if (typeof baseline === 'string') return failing(`baseline_${baseline}`);
  if (failed) return failing('candidate_not_rated', failed);
  return failedBaseline ? failing('baseline_not_rated', failedBaseline) : failing(null);
};

const sumsOf = (shard: SimulationShard, charged: ChargedByKey): SimulatedSum[] => {
  const numbers = new Map(shard.customerIds.map((id, index) => [id, shard.firstCustomer + index]));
  return [...charged.values()].flatMap((one) =>
    Array.from({ length: one.byPlan.length - 1 }, (_, index) => ({
      customerNumber: numbers.get(one.customerId) as number,
      customerId: one.customerId,
      externalId: one.externalId,
      candidate: index + 1,
      currency: one.currency,
      ...comparisonOf(one, index + 1),
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
