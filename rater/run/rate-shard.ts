/**
 * Step 4 of `rate-period.ts`: one shard, by whoever has its lease. A billing period that can't be rated is a failure of
 * its own, and never stops the others. Where the catalog or the usage of one can't be read, the shard is read in
 * halves, and their halves, until the period at fault is known. Faults that pass, such as a connection that is lost,
 * are thrown: the whole shard is tried again.
 */
import { isOfServer, isPassing } from '#platform/stores/retry.ts';
import { failureMessage, type RatingFailure } from '#schemas/rating-failure.ts';
import type { MeasuredShard } from '../price/rating-task.ts';
import { type MeasurePorts, measureShard, type PeriodsToMeasure, type RatePorts } from './rate-period.ts';

type Measured = { readonly measured: MeasuredShard; readonly failures: readonly RatingFailure[] };

/**
 * More periods of one shard whose usage can't be read are no faults of theirs: then the query is at fault, or the
 * store, and the shard is tried again as a whole.
 */
export const unreadableUsagesMax = 20;

/** The query for quantities was refused, for a reason that does not pass. */
class UnreadableUsageError extends Error {
  constructor(cause: unknown) {
    super('the usage can not be read', { cause });
    this.name = 'UnreadableUsageError';
  }
}

const withNamedFaults = (ports: MeasurePorts): MeasurePorts => ({
  ...ports,
  readQuantities: async (query) => {
    try {
      return await ports.readQuantities(query);
    } catch (error) {
      throw isPassing(error) ? error : new UnreadableUsageError(error);
    }
  },
});

/** What a server refuses while the catalog is read says nothing of a period. */
const isOfPeriod = (error: unknown): boolean =>
  error instanceof UnreadableUsageError || !(isPassing(error) || isOfServer(error));

/** `unreadableMax`: so many whose usage can't be read are failures of theirs. */
export const measureReadable = async (
  ports: MeasurePorts,
  shard: PeriodsToMeasure,
  unreadableMax = unreadableUsagesMax,
): Promise<Measured> => {
  const named = withNamedFaults(ports);
  const failures: RatingFailure[] = [];
  const measure = async (billingPeriodIds: readonly string[]): Promise<MeasuredShard[]> => {
    try {
      return [await measureShard(named, { ...shard, billingPeriodIds })];
    } catch (error) {
      if (!isOfPeriod(error)) throw error;
      const [first = '', ...more] = billingPeriodIds;
      if (more.length > 0) {
        const half = Math.ceil(billingPeriodIds.length / 2);
        const before = await measure(billingPeriodIds.slice(0, half));
        return [...before, ...(await measure(billingPeriodIds.slice(half)))];
      }
      const code = error instanceof UnreadableUsageError ? 'usage_unreadable' : 'catalog_unreadable';
      failures.push({ billingPeriodId: first, code, message: failureMessage(error) });
      if (failures.filter((one) => one.code === 'usage_unreadable').length > unreadableMax) throw error;
      return [];
    }
  };
  const parts = await measure(shard.billingPeriodIds);
  // Of the same policy and watermark all of them.
  const [first] = parts;
  const measured = first
    ? { ...first, periods: parts.flatMap(({ periods }) => periods) }
    : await measureShard(ports, { ...shard, billingPeriodIds: [] });
  return { measured, failures };
};

/** Resolves with whether there was a shard. */
export const rateOneShard = async (ports: RatePorts): Promise<boolean> => {
  const shard = await ports.runs.leaseShard();
  if (!shard) return false;
  const elapsedMs = ports.stopwatch();
  const release = ports.runs.holdShard(shard);
  try {
    const { measured, failures } = await measureReadable(
      ports,
      shard.kind === 'dry_rating' ? { ...shard, dryRunId: shard.runId } : shard,
    );
    const rated = await ports.rate(measured);
    const all = { rows: rated.rows, failures: [...failures, ...rated.failures] };
    await ports.runs.saveRated(shard, all, Math.round(elapsedMs()));
  } catch (error) {
    await ports.runs.giveUp(shard, error);
    throw error;
  } finally {
    release();
  }
  return true;
};
