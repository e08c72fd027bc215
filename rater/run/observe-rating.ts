/**
 * What is measured, logged and traced of rating, apart from the use case. Once per run or shard and never per
 * subscription.
 */
import type { Log } from '#platform/process/log.ts';
import { type Metrics, powersOfTen, workSeconds } from '#platform/process/metrics.ts';
import { type Span, type Tracer, traceOfRun } from '#platform/process/tracing.ts';
import { type Shard, shardFields } from '#schemas/billing-run.ts';
import type { Backlog } from './billing-runs.postgres.ts';
import type { RatingPool } from './pool.piscina.ts';
import type { QueuedRun, RatePorts } from './rate-period.ts';

const runFields = (run: QueuedRun) => ({
  request_id: run.requestId,
  run_id: run.runId,
  organization_id: run.organizationId,
  watermark: run.watermark?.toString(),
});

export const observeRating = (ports: RatePorts, metrics: Metrics, log: Log, tracer: Tracer): RatePorts => {
  const runs = metrics.counter(
    'millrace_rater_runs_total',
    'Billing runs that were cut into shards, by what became of them',
    ['result'],
  );
  const shards = metrics.counter(
    'millrace_rater_shards_total',
    'Shards of billing runs, by whether they were rated or given back',
    ['result'],
  );
  const shardSeconds = metrics.histogram(
    'millrace_rater_shard_seconds',
    'Time to rate one shard, from its lease to its rows',
    workSeconds,
  );
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

  const timed = async <T>(into: { observe: (seconds: number) => void }, work: () => Promise<T>): Promise<T> => {
    const elapsedMs = ports.stopwatch();
    try {
      return await work();
    } finally {
      into.observe(elapsedMs() / 1000);
    }
  };

  const open = new WeakMap<Shard, { readonly span: Span; readonly elapsedMs: () => number }>();
  return {
    ...ports,
    runs: {
      ...ports.runs,
      cutRun: async (run, shardSize) => {
        const count = await ports.runs.cutRun(run, shardSize);
        if (count === undefined) return count;
        runs.labels('prepared').inc();
        log.info({ ...runFields(run), shards: count }, 'a billing run was cut into shards');
        return count;
      },
      failRun: async (run, failure) => {
        const hasFailed = await ports.runs.failRun(run, failure);
        if (!hasFailed) return hasFailed;
        runs.labels('failed').inc();
        log.error({ ...runFields(run), failure }, 'a billing run failed');
        return hasFailed;
      },
      leaseShard: async () => {
        const shard = await ports.runs.leaseShard();
        if (shard) {
          const span = tracer.start('rate shard', {
            parent: traceOfRun(shard.runId),
            kind: 'consumer',
            attributes: shardFields(shard),
          });
          open.set(shard, { span, elapsedMs: ports.stopwatch() });
        }
        return shard;
      },
      saveRated: async (shard, rows, ratedMs) => {
        await ports.runs.saveRated(shard, rows, ratedMs);
        const lines = rows.lines.length;
        shards.labels('rated').inc();
        shardLines.observe(lines);
        const one = open.get(shard);
        if (one) shardSeconds.observe(one.elapsedMs() / 1000);
        one?.span.end({ lines });
        log.info(
          { ...shardFields(shard), billing_periods: shard.billingPeriodIds.length, lines, ratedMs },
          'a shard was rated',
        );
      },
      giveUp: async (shard, error) => {
        shards.labels('given_back').inc();
        open.get(shard)?.span.end(undefined, error);
        log.info(shardFields(shard), 'a shard could not be rated and is given back');
        await ports.runs.giveUp(shard, error);
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
  let reading: Promise<Backlog> | undefined;
  const backlog = (): Promise<Backlog> => {
    reading ??= read().finally(() => {
      reading = undefined;
    });
    return reading;
  };
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
