/** What is measured, logged and traced of a shard alike, whether it is rated or issued. */
import { type Shard, shardFields } from '#schemas/billing-run.ts';
import type { Log } from '../process/log.ts';
import { type Metrics, workSeconds } from '../process/metrics.ts';
import { type Span, type Tracer, traceOfRun } from '../process/tracing.ts';

export type ShardWork = {
  readonly process: 'rater' | 'invoicer';
  /** The name of a shard's span. */
  readonly span: string;
  /** What a shard is when the work is done: the label of the counter. */
  readonly done: 'rated' | 'issued';
  /** The words of the histogram of its time, and of the log. */
  readonly timeHelp: string;
  readonly doneMessage: string;
  readonly givenBackMessage: string;
};

export type ObservedShards = {
  readonly leased: (shard: Shard | undefined) => Shard | undefined;
  /** `counts` go onto the span, and into the log with `more`. */
  readonly done: (
    shard: Shard,
    counts: Readonly<Record<string, number>>,
    more?: Readonly<Record<string, number>>,
  ) => void;
  readonly givenBack: (shard: Shard, error: unknown) => void;
};

type Telling = {
  readonly metrics: Metrics;
  readonly log: Log;
  readonly tracer: Tracer;
  readonly stopwatch: () => () => number;
};

export const observeShards = (work: ShardWork, { metrics, log, tracer, stopwatch }: Telling): ObservedShards => {
  const results = metrics.counter(
    `millrace_${work.process}_shards_total`,
    `Shards of billing runs, by whether they were ${work.done} or given back`,
    ['result'],
  );
  const seconds = metrics.histogram(`millrace_${work.process}_shard_seconds`, work.timeHelp, workSeconds);
  const open = new WeakMap<Shard, { readonly span: Span; readonly elapsedMs: () => number }>();
  return {
    leased: (shard) => {
      if (!shard) return shard;
      const attributes = shardFields(shard);
      const span = tracer.start(work.span, { parent: traceOfRun(shard.runId), kind: 'consumer', attributes });
      open.set(shard, { span, elapsedMs: stopwatch() });
      return shard;
    },
    done: (shard, counts, more = {}) => {
      results.labels(work.done).inc();
      const one = open.get(shard);
      if (one) seconds.observe(one.elapsedMs() / 1000);
      one?.span.end(counts);
      const fields = { ...shardFields(shard), billing_periods: shard.billingPeriodIds.length, ...counts, ...more };
      log.info(fields, work.doneMessage);
    },
    givenBack: (shard, error) => {
      results.labels('given_back').inc();
      open.get(shard)?.span.end(undefined, error);
      log.info(shardFields(shard), work.givenBackMessage);
    },
  };
};
