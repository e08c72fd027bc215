/**
 * The use case of the rater: a billing run -> shards -> rated lines. The order of effects for a run:
 *
 *   1. take the watermark: the last sequence of the stream, after the run was asked for, so everything accepted before is under it; a stream
 *      that stands below what is stored of it was lost or restored, and the run fails rather than leave stored usage out;
 *   2. wait until everything up to the watermark is stored and passed the identity check: no twin that is stored later can be under it;
 *   3. cut the subscriptions into shards, in one transaction;
 * and for each shard, by whichever rater takes its lease:
 *   4. read its quantities at the watermark in one query, rate them in the pool, write the lines and the shard's new state in one transaction.
 *
 * Each step can be done twice: the watermark is set once, and the same watermark always gives the same lines.
 */

import type { Shard } from '#schemas/billing-run.ts';
import type { Currency } from '#schemas/currency.ts';
import type { Meter } from '#schemas/meter.ts';
import { usageNames } from '#schemas/names.ts';
import { intersect, type Period } from '#schemas/period.ts';
import type { Charge } from '#schemas/plan.ts';
import { defaultRatingPolicy, type RatedLine } from '#schemas/rated-line.ts';
import type { MeasuredSubscription, Quantities, QuantityQuery } from '../aggregate/quantity-query.ts';
import type { RatingShard } from '../price/rating-task.ts';

/** A subscription with what its plan version charges for. */
type BillableSubscription = {
  readonly subscriptionId: string;
  readonly customerId: string;
  readonly customerExternalId: string;
  readonly planVersionId: string;
  readonly currency: Currency;
  readonly charges: readonly Charge[];
  readonly startedAt: number;
  readonly endedAt: number | null;
};

type PinnedMeter = { readonly planVersionId: string; readonly meter: Meter };

type UnmeasuredLine = { readonly line: RatedLine; readonly unmeasuredEvents: bigint };

/** A run behind step 3: cut into shards, or done at once as there was nothing to bill, or failed with its reason. */
type PreparedRun = {
  readonly runId: string;
  readonly organizationId: string;
  readonly requestId: string | undefined;
  readonly watermark: bigint | undefined;
  readonly shards: number;
  readonly failure: string | undefined;
};

export type RatePorts = {
  readonly runs: {
    /** Prepares one queued run; resolves with it where there was one that got further. */
    readonly prepare: (
      watermarkNow: (organizationId: string) => Promise<bigint>,
      isChecked: (watermark: bigint) => Promise<boolean>,
      shardSize: number,
    ) => Promise<PreparedRun | undefined>;
    /** A shard that waits to be rated. */
    readonly leaseShard: () => Promise<Shard | undefined>;
    readonly saveRated: (shard: Shard, lines: readonly UnmeasuredLine[], ratedMs: number) => Promise<void>;
    readonly giveUp: (shard: Shard, error: unknown) => Promise<void>;
  };
  readonly catalog: {
    readonly subscriptions: (
      organizationId: string,
      ids: readonly string[],
    ) => Promise<readonly BillableSubscription[]>;
    /** What those plan versions charge by, in the versions that they were made with. */
    readonly meters: (organizationId: string, planVersionIds: readonly string[]) => Promise<readonly PinnedMeter[]>;
  };
  readonly lastSequence: () => Promise<bigint>;
  /** Whether everything up to the sequence is stored, and was held against all that came before it. */
  readonly isChecked: (sequence: bigint) => Promise<boolean>;
  /** The highest sequence that the store holds of an organization. */
  readonly highestStored: (organizationId: string) => Promise<bigint>;
  readonly readQuantities: (query: QuantityQuery) => Promise<Quantities>;
  readonly rate: (shard: RatingShard) => Promise<readonly RatedLine[]>;
  /** Milliseconds since the call. */
  readonly stopwatch: () => () => number;
};

/** Thrown by step 1; it fails the run, as waiting would not help. */
export class StreamBehindError extends Error {
  constructor(stored: bigint, last: bigint) {
    super(
      `the store holds usage at sequence ${stored}, but the stream ends at ${last}: it was lost, or restored from an older copy`,
    );
    this.name = 'StreamBehindError';
  }
}

const takeWatermark = async (ports: RatePorts, organizationId: string): Promise<bigint> => {
  // The store is asked first: it follows the stream, so in this order it can only stand lower.
  const stored = await ports.highestStored(organizationId);
  const last = await ports.lastSequence();
  if (stored > last) throw new StreamBehindError(stored, last);
  return last;
};

/** Steps 1 to 3 for one run. */
export const prepareRun = async (ports: RatePorts, shardSize: number): Promise<boolean> =>
  (await ports.runs.prepare((organizationId) => takeWatermark(ports, organizationId), ports.isChecked, shardSize)) !==
  undefined;

const measured = (subscription: BillableSubscription, period: Period): MeasuredSubscription[] => {
  const covered = intersect(period, { start: subscription.startedAt, end: subscription.endedAt ?? period.end });
  return covered
    ? [
        {
          subscriptionId: subscription.subscriptionId,
          customers: usageNames(subscription.customerId, subscription.customerExternalId),
          period: covered,
        },
      ]
    : [];
};

/**
 * Two plan versions may be bound to two versions of one meter, so among the quantities of a shard a meter goes by both.
 */
const versionName = ({ code, version }: Meter): string => `${code}@${version}`;

/**
 * The quantities of a shard, each by the code of the meter in the version that the subscription's plan version is bound
 * to.
 */
const readShard = async (ports: RatePorts, shard: Shard, subscriptions: readonly BillableSubscription[]) => {
  const planVersionIds = [...new Set(subscriptions.map(({ planVersionId }) => planVersionId))];
  const pinned = await ports.catalog.meters(shard.organizationId, planVersionIds);
  const byName = new Map(pinned.map(({ meter }) => [versionName(meter), { ...meter, code: versionName(meter) }]));
  const quantities = await ports.readQuantities({
    tenant: shard.organizationId,
    watermark: shard.watermark,
    subscriptions: subscriptions.flatMap((subscription) => measured(subscription, shard.period)),
    meters: [...byName.values()],
  });
  const ofPlan = Map.groupBy(pinned, ({ planVersionId }) => planVersionId);
  return new Map(
    subscriptions.map(({ subscriptionId, planVersionId }) => {
      const found = quantities.get(subscriptionId);
      const own = (ofPlan.get(planVersionId) ?? []).flatMap(({ meter }) => {
        const quantity = found?.get(versionName(meter));
        return quantity ? [[meter.code, quantity] as const] : [];
      });
      return [subscriptionId, new Map(own)];
    }),
  );
};

/** Step 4 for one shard. Resolves with whether there was one. */
export const rateOneShard = async (ports: RatePorts): Promise<boolean> => {
  const shard = await ports.runs.leaseShard();
  if (!shard) return false;
  const elapsedMs = ports.stopwatch();
  try {
    const subscriptions = await ports.catalog.subscriptions(shard.organizationId, shard.subscriptionIds);
    const quantities = await readShard(ports, shard, subscriptions);
    const lines = await ports.rate({
      policy: defaultRatingPolicy,
      subscriptions: subscriptions.map(({ subscriptionId, customerId, planVersionId, currency, charges }) => ({
        subscriptionId,
        customerId,
        planVersionId,
        currency,
        charges,
        quantities: Object.fromEntries(
          [...(quantities.get(subscriptionId) ?? [])].map(([code, { quantity }]) => [code, quantity]),
        ),
      })),
    });
    const unmeasuredOf = (line: RatedLine) =>
      (line.meter === null ? undefined : quantities.get(line.subscriptionId)?.get(line.meter)?.unmeasuredEvents) ?? 0n;
    await ports.runs.saveRated(
      shard,
      lines.map((line) => ({ line, unmeasuredEvents: unmeasuredOf(line) })),
      Math.round(elapsedMs()),
    );
  } catch (error) {
    await ports.runs.giveUp(shard, error);
    throw error;
  }
  return true;
};
