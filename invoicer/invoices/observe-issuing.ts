/** What is measured, logged and traced of invoicing, apart from the use case. Once per shard and never per invoice. */
import type { Log } from '#platform/process/log.ts';
import { type Metrics, powersOfTen, workSeconds } from '#platform/process/metrics.ts';
import { type Span, type Tracer, traceOfRun } from '#platform/process/tracing.ts';
import { type Shard, shardFields } from '#schemas/billing-run.ts';
import type { IssuePorts } from './close-period.ts';

export const observeIssuing = (ports: IssuePorts, metrics: Metrics, log: Log, tracer: Tracer): IssuePorts => {
  const invoices = metrics.counter('millrace_invoicer_invoices_total', 'Invoices that were issued');
  const shards = metrics.counter(
    'millrace_invoicer_shards_total',
    'Shards of billing runs, by whether they were issued or given back',
    ['result'],
  );
  const shardSeconds = metrics.histogram(
    'millrace_invoicer_shard_seconds',
    'Time to invoice one shard, from its lease to its commit',
    workSeconds,
  );
  const issuing = metrics.histogram(
    'millrace_invoicer_issue_seconds',
    'Time of the transaction that issues the invoices of a shard',
    workSeconds,
  );
  const shardInvoices = metrics.histogram('millrace_invoicer_shard_invoices', 'Invoices of one shard', powersOfTen);

  const open = new WeakMap<Shard, { readonly span: Span; readonly elapsedMs: () => number }>();
  return {
    ...ports,
    leaseShard: async () => {
      const shard = await ports.leaseShard();
      if (shard) {
        const span = tracer.start('issue shard', {
          parent: traceOfRun(shard.runId),
          kind: 'consumer',
          attributes: shardFields(shard),
        });
        open.set(shard, { span, elapsedMs: ports.stopwatch() });
      }
      return shard;
    },
    commit: async (shard, issue, elapsedMs) => {
      const committedMs = ports.stopwatch();
      const issued = await ports.commit(shard, issue, elapsedMs);
      issuing.observe(committedMs() / 1000);
      invoices.inc(issued);
      shards.labels('issued').inc();
      shardInvoices.observe(issued);
      const one = open.get(shard);
      if (one) shardSeconds.observe(one.elapsedMs() / 1000);
      one?.span.end({ invoices: issued });
      log.info(
        { ...shardFields(shard), billing_periods: shard.billingPeriodIds.length, invoices: issued },
        'a shard was invoiced',
      );
      return issued;
    },
    giveUp: async (shard, error) => {
      shards.labels('given_back').inc();
      open.get(shard)?.span.end(undefined, error);
      log.info(shardFields(shard), 'a shard could not be invoiced and is given back');
      await ports.giveUp(shard, error);
    },
  };
};
