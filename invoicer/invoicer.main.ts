import { sameForAll, stopwatch, systemClock } from '#platform/process/clock.ts';
import { createFailPoint } from '#platform/process/fail-point.ts';
import { newId } from '#platform/process/ids.ts';
import { runWorker } from '#platform/start/run-worker.ts';
import { startQueue } from '#platform/stores/queue.graphile.ts';
import { billingChannels } from '#schemas/billing-run.ts';
import { clockJobs } from './clocks/clock-jobs.ts';
import { createTestClocks } from './clocks/test-clocks.postgres.ts';
import { creditedCharges } from './corrections/credited-charges.postgres.ts';
import { handCredits } from './corrections/hand-credits.postgres.ts';
import { discountFacts } from './discounts/discount-facts.postgres.ts';
import type { DiscountedInvoices } from './discounts/discount-facts.ts';
import { failAtClock, failAtClose, failAtIssue } from './fail-points.ts';
import { correctedPeriods } from './issuing/credit-deltas.postgres.ts';
import { createInvoiceStore } from './issuing/invoices.postgres.ts';
import { createShardIssuer } from './issuing/issue-shards.ts';
import { observeIssuing } from './issuing/observe-issuing.ts';
import { closeJobs } from './periods/close-jobs.ts';
import { createClosings, createReadClosingState } from './periods/closings.postgres.ts';
import { observeClosing, observeClosingState } from './periods/observe-closing.ts';
import { createTaxEngine } from './taxes/tax-engine.http.ts';
import { taxFacts } from './taxes/tax-facts.postgres.ts';
import type { TaxedInvoices } from './taxes/tax-facts.ts';

const options = {
  fault: { help: 'Invoicing work that has to be done again', message: 'invoicing has to be tried again' },
};

/** A job takes a few statements; a second lane is there so that one that waits for a lock stops no other. */
const closingLanes = 2;

await runWorker('invoicer', options, ({ config, log, metrics, tracer, postgres }) => {
  const failPoint = createFailPoint(config.failPoint);
  const { nowMs } = sameForAll(systemClock);
  const adapters = {
    ...createInvoiceStore(postgres, config.jobLeaseSeconds),
    taxFacts: (invoices: TaxedInvoices) => taxFacts(postgres, invoices),
    discountFacts: (invoices: DiscountedInvoices) => discountFacts(postgres, invoices),
    correctedPeriods: ({ organizationId, creditIds }: DiscountedInvoices) =>
      correctedPeriods({ query: postgres.query, organizationId }, creditIds, 'look'),
    handCredits: ({ organizationId, creditIds }: DiscountedInvoices) =>
      handCredits(postgres, organizationId, creditIds),
    creditedCharges: (invoices: DiscountedInvoices) => creditedCharges(postgres, invoices),
    taxEngine: createTaxEngine({
      url: config.taxEngineUrl,
      key: config.taxEngineKey,
      timeoutMs: config.taxEngineTimeoutMs,
    }),
    nowMs,
    newInvoiceId: () => newId('inv'),
    stopwatch,
  };
  const ports = failAtIssue(observeIssuing(adapters, metrics, log, tracer), failPoint);
  const issuer = createShardIssuer(ports);
  const work = async () => (await issuer.issueNext()) !== undefined;
  // The invoices of an organization are chained, so a lane works for one that no other works for.
  const loop = { work, lanes: config.invoicerLanes, pollMs: config.jobPollMs, channel: billingChannels.shardRated };

  const beforeCommit = () => failPoint?.pass('closing.before_commit');
  const closing = failAtClose(
    {
      ...createClosings(postgres, config.closingSubscriptionsMax, beforeCommit),
      nowMs,
      hourMs: systemClock.nowMs,
      ...observeClosing(metrics, log),
    },
    failPoint,
  );
  observeClosingState(metrics, createReadClosingState(postgres));
  const faults = metrics.counter('millrace_closing_faults_total', 'Jobs of the scheduler that have to be done again');
  const close = closeJobs(closing);
  const clocks = failAtClock(
    createTestClocks(postgres, () => failPoint?.pass('clock.before_commit')),
    failPoint,
  );
  const clock = clockJobs(clocks, log);
  const queue = startQueue({
    tasks: { ...close.tasks, ...clock.tasks },
    crons: { ...close.crons, ...clock.crons },
    atStart: [...close.atStart, ...clock.atStart],
    url: config.databaseUrl,
    lanes: closingLanes,
    pollMs: config.jobPollMs,
    log,
    onFault: (error) => {
      faults.inc();
      log.warn({ err: error }, 'closing has to be tried again');
    },
  });
  const end = async (): Promise<void> => {
    await queue.stop();
    await issuer.close();
  };
  return { loops: [loop], close: end };
});
