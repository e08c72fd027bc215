/** What is measured, logged and traced of invoicing, apart from the use case. Once per shard and never per invoice. */
import type { Log } from '#platform/process/log.ts';
import { type Metrics, powersOfTen, workSeconds } from '#platform/process/metrics.ts';
import type { Tracer } from '#platform/process/tracing.ts';
import { observeShards, type ShardWork } from '#platform/work/observe-shards.ts';
import type { IssuePorts } from './close-period.ts';

const shardIssuing: ShardWork = {
  process: 'invoicer',
  span: 'issue shard',
  done: 'issued',
  timeHelp: 'Time to invoice one shard, from its lease to its commit',
  doneMessage: 'a shard was invoiced',
  givenBackMessage: 'a shard could not be invoiced and is given back',
};

export const observeIssuing = (ports: IssuePorts, metrics: Metrics, log: Log, tracer: Tracer): IssuePorts => {
  const invoices = metrics.counter('millrace_invoicer_invoices_total', 'Invoices that were issued');
  const drafts = metrics.counter('millrace_invoicer_drafts_total', 'Drafts that were made of what was closed');
  const carriedOver = metrics.counter(
    'millrace_invoicer_carried_over_total',
    'Invoices that were not issued, as they would have come to less than the minimum of their payer',
  );
  const shards = observeShards(shardIssuing, { metrics, log, tracer, stopwatch: ports.stopwatch });
  const issuing = metrics.histogram(
    'millrace_invoicer_issue_seconds',
    'Time of the transaction that issues the invoices of a shard',
    workSeconds,
  );
  const shardInvoices = metrics.histogram('millrace_invoicer_shard_invoices', 'Invoices of one shard', powersOfTen);

  return {
    ...ports,
    leaseShard: async () => shards.leased(await ports.leaseShard()),
    leaseNext: async (before) => shards.leased(await ports.leaseNext(before)),
    commit: async (shard, ...how) => {
      const committedMs = ports.stopwatch();
      const count = await ports.commit(shard, ...how);
      const { issued, drafted, carried } = count;
      issuing.observe(committedMs() / 1000);
      invoices.inc(issued);
      drafts.inc(drafted);
      carriedOver.inc(carried);
      shardInvoices.observe(issued);
      shards.done(shard, { invoices: issued, drafts: drafted, carried_over: carried });
      return count;
    },
    giveUp: async (shard, error) => {
      shards.givenBack(shard, error);
      await ports.giveUp(shard, error);
    },
  };
};
