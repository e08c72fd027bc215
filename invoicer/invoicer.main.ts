import { sameForAll, stopwatch, systemClock } from '#platform/process/clock.ts';
import { newId } from '#platform/process/ids.ts';
import { runWorker } from '#platform/start/run-worker.ts';
import { billingChannels } from '#schemas/billing-run.ts';
import { issueOneShard } from './invoices/close-period.ts';
import { createInvoiceStore } from './invoices/invoices.postgres.ts';
import { observeIssuing } from './invoices/observe-issuing.ts';

const options = {
  fault: { help: 'Invoicing work that has to be done again', message: 'invoicing has to be tried again' },
};

await runWorker('invoicer', options, ({ config, log, metrics, tracer, postgres }) => {
  const adapters = {
    ...createInvoiceStore(postgres, config.jobLeaseSeconds),
    nowMs: sameForAll(systemClock).nowMs,
    newInvoiceId: () => newId('inv'),
    stopwatch,
  };
  const ports = observeIssuing(adapters, metrics, log, tracer);
  const work = async () => (await issueOneShard(ports)) !== undefined;
  // The invoices of an organization are chained, so a lane works for one that no other works for.
  const loop = { work, lanes: config.invoicerLanes, pollMs: config.jobPollMs, channel: billingChannels.shardRated };
  return { loops: [loop] };
});
