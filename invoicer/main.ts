import { stopwatch, systemClock } from '#platform/clock.ts';
import { loadConfig } from '#platform/config.ts';
import { createHttpApp, listen } from '#platform/http.ts';
import { newId } from '#platform/ids.ts';
import { startJobLoop } from '#platform/job-loop.ts';
import { orExit, runProcess } from '#platform/lifecycle.ts';
import { createLog } from '#platform/log.ts';
import { createMetrics } from '#platform/metrics.ts';
import { connectPostgres } from '#platform/postgres.ts';
import { issueOneShard } from './close-period.ts';
import { createInvoiceStore } from './invoices.postgres.ts';

const config = orExit(() => loadConfig(process.env, ['databaseUrl']));
const log = createLog('invoicer', config.logLevel);

await runProcess(log, config.shutdownMsMax, async () => {
  const metrics = createMetrics();
  const invoices = metrics.counter('millrace_invoicer_invoices_total', 'Invoices that were issued');
  const faults = metrics.counter('millrace_invoicer_faults_total', 'Invoicing work that has to be done again');
  const postgres = connectPostgres(config.databaseUrl, { poolMax: config.databasePoolMax, as: 'application', log });
  const ports = {
    ...createInvoiceStore(postgres, config.jobLeaseSeconds),
    nowMs: systemClock.nowMs,
    newInvoiceId: () => newId('inv'),
    stopwatch,
  };
  // One lane: the invoices of an organization are chained, so a second one would mostly wait for the first.
  const issuing = startJobLoop({
    work: async () => {
      const issued = await issueOneShard(ports);
      invoices.inc(issued ?? 0);
      return issued !== undefined;
    },
    lanes: 1,
    pollMs: config.jobPollMs,
    onFault: (error) => {
      faults.inc();
      log.warn({ err: error }, 'invoicing has to be tried again');
    },
  });
  const app = createHttpApp({ log, metrics, bodyBytesMax: 1024, health: [{ name: 'postgres', required: true, check: postgres.answers }] });
  const url = await listen(app, config.host, config.invoicerPort);
  return {
    url,
    close: async () => {
      await issuing.stop();
      await app.close();
      await postgres.close();
    },
  };
});
