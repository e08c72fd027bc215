/**
 * The use case of the rater: a billing run -> shards -> rated lines. The order of effects for a run:
 *
 *   1. take the watermark: the last sequence of the stream, after the run was asked for, so everything accepted before
 *      is under it; a stream that stands below what is stored of it was lost or restored, and the run fails rather than
 *      leave stored usage out;
 *   2. wait until everything up to the watermark is stored and passed the identity check: no twin that is stored later
 *      can be under it;
 *   3. look for usage that came since the last look and lies in billed time; then, in one transaction, write down which
 *      time of which subscription is due, and which billed periods have a delta, and cut these billing periods into
 *      shards;
 * and for each shard, by whichever rater takes its lease:
 *   4. read its quantities at the watermark in one query, rate them in the pool, write the lines and the shard's new
 *      state in one transaction.
 *
 * Each step can be done twice: the watermark is set once, and the same watermark always gives the same lines.
 */

import type { RunKind, Shard } from '#schemas/billing-run.ts';
import type { Instant } from '#schemas/period.ts';
import type { RatingPolicy } from '#schemas/rated-line.ts';
import type { RatingFailure } from '#schemas/rating-failure.ts';
import type { Quantities, QuantityQuery } from '../aggregate/quantity-query.ts';
import type { MeasuredShard } from '../price/rating-task.ts';
import { type LateUsage, type LookPorts, lookForLateUsage } from './look-for-late-usage.ts';
import { type BillablePeriod, periodsToMeasure } from './measured-periods.ts';
import type { PinnedMeter, PriceSpans } from './measures.ts';
import type { RatedShard } from './rated-rows.ts';

/** A run that waits to be prepared. Its watermark is there where it was taken before. */
export type QueuedRun = {
  readonly runId: string;
  readonly organizationId: string;
  readonly kind: RunKind;
  readonly requestId: string | undefined;
  readonly watermark: bigint | undefined;
  /** Which attempt at it this one is, from 1: the name of its lease. */
  readonly attempt: number;
};

export type RatePorts = {
  readonly runs: {
    /** A queued run that nobody prepares, held for a while. */
    readonly leaseRun: () => Promise<QueuedRun | undefined>;
    /** Sets the watermark of a run, once: resolves with the one that it has. */
    readonly takeWatermark: (run: QueuedRun, watermark: bigint) => Promise<bigint>;
    /** Puts the run at the end of the queue, so that it holds up no other organization's: its time has not come. */
    readonly putBackRun: (run: QueuedRun) => Promise<void>;
    /** Gives the run back after a fault; resolves with whether that was its dead end. */
    readonly giveUpRun: (run: QueuedRun, error: unknown) => Promise<boolean>;
    /** False where the run was prepared meanwhile. */
    readonly failRun: (run: QueuedRun, failure: string) => Promise<boolean>;
    /**
     * Step 3, or as much of it as one transaction takes; resolves with the number of shards, or undefined where the run
     * was prepared meanwhile.
     */
    readonly cutRun: (run: QueuedRun, shardSize: number, late?: LateUsage) => Promise<number | undefined>;
    /** A shard that waits to be rated. */
    readonly leaseShard: () => Promise<Shard | undefined>;
    /** Keeps the lease of a shard from ending, until what it gives is called. */
    readonly holdShard: (shard: Shard) => () => void;
    /** With its failures, which leave the shard. */
    readonly saveRated: (shard: Shard, rated: RatedShard, ratedMs: number) => Promise<void>;
    /**
     * Gives a shard back; at its dead end it is cut in two, until the billing period at fault is known. Resolves with
     * the failure that was found.
     */
    readonly giveUp: (shard: Shard, error: unknown) => Promise<RatingFailure | undefined>;
  };
  readonly catalog: {
    /** That of the organization as it stands now. A change in the midst of a run is that of what is rated after it. */
    readonly ratingPolicy: (organizationId: string) => Promise<RatingPolicy>;
    /** Those of a dry run are of that run alone. */
    readonly billingPeriods: (
      organizationId: string,
      ids: readonly string[],
      dryRunId?: string,
    ) => Promise<readonly BillablePeriod[]>;
    /** What those plan versions charge by, in the versions that they were made with. */
    readonly meters: (organizationId: string, planVersionIds: readonly string[]) => Promise<readonly PinnedMeter[]>;
    /** By billing period, where another price than a charge's own stands for some of the time. */
    readonly priceSpans: (
      shard: PeriodsToMeasure,
      periods: readonly BillablePeriod[],
      meters: readonly PinnedMeter[],
    ) => Promise<ReadonlyMap<string, PriceSpans>>;
  };
  readonly late: LookPorts;
  readonly lastSequence: () => Promise<bigint>;
  /** Whether everything up to the sequence is stored, and was held against all that came before it. */
  readonly isChecked: (sequence: bigint) => Promise<boolean>;
  /** The highest sequence that the store holds of an organization. */
  readonly highestStored: (organizationId: string) => Promise<bigint>;
  readonly readQuantities: (query: QuantityQuery) => Promise<Quantities>;
  /** All that is pure of step 4, in a worker. */
  readonly rate: (shard: MeasuredShard) => Promise<RatedShard>;
  /** Milliseconds since the call. */
  readonly stopwatch: () => () => number;
};

/** Thrown by `rate`: the worker died with the shard in its hands, or was ended for taking too long. */
export class WorkerEndedError extends Error {
  constructor(how: string) {
    super(`the worker that rated the shard ${how}`);
    this.name = 'WorkerEndedError';
  }
}

/** Thrown by step 1; it fails the run, as waiting would not help. */
export class StreamBehindError extends Error {
  constructor(stored: bigint, last: bigint) {
    super(
      `the store holds usage at sequence ${stored}, but the stream ends at ${last}: it was lost, or restored from an older copy`,
    );
    this.name = 'StreamBehindError';
  }
}

/** Where the stream ends now: step 1. */
export const takeWatermark = async (
  ports: Pick<RatePorts, 'highestStored' | 'lastSequence'>,
  organizationId: string,
): Promise<bigint> => {
  // The store is asked first: it follows the stream, so in this order it can only stand lower.
  const stored = await ports.highestStored(organizationId);
  const last = await ports.lastSequence();
  if (stored > last) throw new StreamBehindError(stored, last);
  return last;
};

/** Sink and identity check are behind by tenths of a second, as a rule. */
const putBackMs = 100;

const prepareLeased = async (ports: RatePorts, run: QueuedRun, shardSize: number): Promise<boolean | number> => {
  let watermark: bigint;
  try {
    watermark = run.watermark ?? (await ports.runs.takeWatermark(run, await takeWatermark(ports, run.organizationId)));
  } catch (error) {
    if (!(error instanceof StreamBehindError)) throw error;
    return ports.runs.failRun(run, error.message);
  }
  if (!(await ports.isChecked(watermark))) {
    // One that a caller named: where the stream is not that far, nobody knows when it will be.
    if (run.kind !== 'billing' && watermark > (await ports.lastSequence()))
      return ports.runs.failRun(run, `the stream ends before the watermark ${watermark}`);
    // The sink or the identity check is behind. The watermark stays.
    await ports.runs.putBackRun(run);
    return putBackMs;
  }
  const late = run.kind === 'billing' ? await lookForLateUsage(ports.late, run.organizationId, watermark) : undefined;
  return (await ports.runs.cutRun({ ...run, watermark }, shardSize, late)) !== undefined;
};

/**
 * Steps 1 to 3 for one run; resolves with whether there is more to do, or in how many milliseconds. The run is held
 * by a lease: no transaction is open
 * while stream and store are asked, and each effect is a short one of its own that can be done twice.
 */
export const prepareRun = async (ports: RatePorts, shardSize: number): Promise<boolean | number> => {
  const run = await ports.runs.leaseRun();
  if (!run) return false;
  try {
    return await prepareLeased(ports, run, shardSize);
  } catch (error) {
    await ports.runs.giveUpRun(run, error);
    throw error;
  }
};

/** What is rated: billing periods of one organization, at one watermark. */
export type PeriodsToMeasure = Pick<Shard, 'organizationId' | 'watermark' | 'billingPeriodIds'> & {
  readonly dryRunId?: string;
  /** Prices that came to be later do not count; absent: all that are there. */
  readonly pricesUntil?: Instant;
};

export type MeasurePorts = Pick<RatePorts, 'catalog' | 'readQuantities'>;

/**
 * All that is read for rating: the usage of each charge, by the meter version that the plan version of its period is
 * bound to. The same periods at the same watermark give the same, whenever they are read.
 */
export const measureShard = async (ports: MeasurePorts, shard: PeriodsToMeasure): Promise<MeasuredShard> => {
  const billable = await ports.catalog.billingPeriods(shard.organizationId, shard.billingPeriodIds, shard.dryRunId);
  const planVersionIds = [...new Set(billable.map(({ planVersionId }) => planVersionId))];
  const meters = await ports.catalog.meters(shard.organizationId, planVersionIds);
  const priceSpans = await ports.catalog.priceSpans(shard, billable, meters);
  const { query, measured } = periodsToMeasure(billable, meters, priceSpans);
  const quantities = await ports.readQuantities({ ...query, tenant: shard.organizationId, watermark: shard.watermark });
  return {
    policy: await ports.catalog.ratingPolicy(shard.organizationId),
    watermark: shard.watermark,
    periods: measured(quantities),
  };
};
