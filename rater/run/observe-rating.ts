/**
 * What is measured, logged and traced of rating, apart from the use case. Once per run or shard and never per
 * subscription.
 */
import type { Log } from '#platform/process/log.ts';
import { type Metrics, powersOfTen, sharedRead, workSeconds } from '#platform/process/metrics.ts';
import type { Tracer } from '#platform/process/tracing.ts';
import { causeOf } from '#platform/work/lease-rules.ts';
import { observeShards, type ShardWork } from '#platform/work/observe-shards.ts';
import { type Shard, shardFields } from '#schemas/billing-run.ts';
import type { RatingFailure } from '#schemas/rating-failure.ts';
import type { Backlog } from './backlog.postgres.ts';
import type { RatingPool } from './pool.piscina.ts';
import type { QueuedRun, RatePorts } from './rate-period.ts';

const runFields = (run: QueuedRun) => ({
  request_id: run.requestId,
  run_id: run.runId,
  organization_id: run.organizationId,
  watermark: run.watermark?.toString(),
});

const shardRating: ShardWork = {
  process: 'rater',
  span: 'rate shard',
  done: 'rated',
  timeHelp: 'Time to rate one shard, from its lease to its rows',
  doneMessage: 'a shard was rated',
  givenBackMessage: 'a shard could not be rated and is given back',
};

export const observeRating = (ports: RatePorts, metrics: Metrics, log: Log, tracer: Tracer): RatePorts => {
  const runs = metrics.counter(
    'millrace_rater_runs_total',
    'Billing runs that were cut into shards, by what became of them',
    ['result'],
  );
  const shards = observeShards(shardRating, { metrics, log, tracer, stopwatch: ports.stopwatch });
  const shardLines = metrics.histogram('millrace_rater_shard_lines', 'Rated lines of one shard', powersOfTen);
  const reading = metrics.histogram(
    'millrace_rater_quantities_seconds',
    'Time to read the quantities of a shard in ClickHouse',
    workSeconds,
  );
  const rating = metrics.histogram(
    'millrace_rater_rating_seconds',
    'Time of a shard in the worker pool, with its wait there',
    workSeconds,
  );

  const failures = metrics.counter(
    'millrace_rater_failures_total',
    'Billing periods that could not be rated, by what was at fault',
    ['code'],
  );

  const tellFailure = (shard: Shard, { billingPeriodId, code, message }: RatingFailure): void => {
    failures.labels(code).inc();
    const fields = { ...shardFields(shard), billing_period_id: billingPeriodId, code, message };
    log.warn(fields, 'a billing period could not be rated');
  };

  const timed = async <T>(into: { observe: (seconds: number) => void }, work: () => Promise<T>): Promise<T> => {
    const elapsedMs = ports.stopwatch();
    try {
      return await work();
    } finally {
      into.observe(elapsedMs() / 1000);
    }
  };

  const failed = (run: QueuedRun, failure: string, hasFailed: boolean): boolean => {
    if (!hasFailed) return hasFailed;
    runs.labels('failed').inc();
    log.error({ ...runFields(run), failure }, 'a billing run failed');
    return hasFailed;
  };

  return {
    ...ports,
    runs: {
      ...ports.runs,
      cutRun: async (run, shardSize, late) => {
        const count = await ports.runs.cutRun(run, shardSize, late);
        if (count === undefined) return count;
        runs.labels('prepared').inc();
        log.info({ ...runFields(run), shards: count }, 'a billing run was cut into shards');
        return count;
      },
      failRun: async (run, failure) => failed(run, failure, await ports.runs.failRun(run, failure)),
      giveUpRun: async (run, error) => failed(run, causeOf(error), await ports.runs.giveUpRun(run, error)),
      leaseShard: async () => shards.leased(await ports.runs.leaseShard()),
      saveRated: async (shard, rated, ratedMs) => {
        await ports.runs.saveRated(shard, rated, ratedMs);
        const lines = rated.rows.lines.length;
        shardLines.observe(lines);
        for (const failure of rated.failures) tellFailure(shard, failure);
        shards.done(shard, { lines, failures: rated.failures.length }, { ratedMs });
      },
      giveUp: async (shard, error) => {
        shards.givenBack(shard, error);
        const failure = await ports.runs.giveUp(shard, error);
        if (failure) tellFailure(shard, failure);
        return failure;
      },
    },
    readQuantities: (query) => timed(reading, () => ports.readQuantities(query)),
    rate: (shard) => timed(rating, () => ports.rate(shard)),
  };
};

/** Read at each scrape. Every rater says the same of the backlog, as it is that of all of them. */
export const observeBacklog = (
  metrics: Metrics,
  read: () => Promise<Backlog>,
  pool: Pick<RatingPool, 'load'>,
): void => {
  const backlog = sharedRead(read);
  metrics.gaugeOf(
    'millrace_billing_runs',
    'Billing runs that are not done, and those that failed within 24 hours',
    async () => (await backlog()).runs,
    'state',
  );
  metrics.gaugeOf(
    'millrace_billing_run_oldest_seconds',
    'Age of the oldest billing run that is not done',
    async () => (await backlog()).oldestSeconds,
  );
  metrics.gaugeOf(
    'millrace_billing_shards',
    'Shards that are not done: queued ones wait for a rater, rated ones for an invoicer',
    async () => (await backlog()).shards,
    'state',
  );
  metrics.gaugeOf(
    'millrace_rater_pool_shards',
    'Shards in the worker pool: working ones have a worker, queued ones wait for one',
    () => {
      const { working, queued } = pool.load();
      return { working, queued };
    },
    'state',
  );
  metrics.gaugeOf(
    'millrace_rater_pool_utilization',
    "Share of the workers' time that was used since the start, 0 to 1",
    () => pool.load().utilization,
  );
};
