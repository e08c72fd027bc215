import { loadConfig, secretsOf } from '#platform/config/config.ts';
import { createHttpApp, listen } from '#platform/http/http.ts';
import { serverBoundsOf } from '#platform/http/http-server.ts';
import { sameForAll, stopwatch, systemClock } from '#platform/process/clock.ts';
import { newId } from '#platform/process/ids.ts';
import { createLog } from '#platform/process/log.ts';
import { createMetrics, observePool } from '#platform/process/metrics.ts';
import { createTracer } from '#platform/process/tracing.ts';
import { orExit, runProcess } from '#platform/start/lifecycle.ts';
import { connectPostgres } from '#platform/stores/postgres.ts';
import { startJobLoop } from '#platform/work/job-loop.ts';
import { issueOneShard } from './invoices/close-period.ts';
import { createInvoiceStore } from './invoices/invoices.postgres.ts';
import { observeIssuing } from './invoices/observe-issuing.ts';

const config = orExit(() => loadConfig(process.env, ['databaseUrl']));
const log = createLog('invoicer', config.logLevel, secretsOf(config));

await runProcess(log, config.shutdownMsMax, async () => {
  const metrics = createMetrics();
  const faults = metrics.counter('millrace_invoicer_faults_total', 'Invoicing work that has to be done again');
  const tracer = await createTracer(config.otelTracesUrl, 'invoicer', log);
  const postgres = connectPostgres(config.databaseUrl, { poolMax: config.databasePoolMax, log });
  observePool(metrics, postgres.counts);
  const adapters = {
    ...createInvoiceStore(postgres, config.jobLeaseSeconds),
    nowMs: sameForAll(systemClock).nowMs,
    newInvoiceId: () => newId('inv'),
    stopwatch,
  };
  const ports = observeIssuing(adapters, metrics, log, tracer);
  // The invoices of an organization are chained, so a lane works for one that no other works for.
  const issuing = startJobLoop({
    work: async () => (await issueOneShard(ports)) !== undefined,
    lanes: config.invoicerLanes,
    pollMs: config.jobPollMs,
    onFault: (error) => {
      faults.inc();
      log.warn({ err: error }, 'invoicing has to be tried again');
    },
  });
  const app = createHttpApp({
    log,
    metrics,
    bodyBytesMax: 1024,
    bounds: serverBoundsOf(config, log),
    health: [{ name: 'postgres', required: true, check: postgres.answers }],
  });
  const url = await listen(app, config.host, config.invoicerPort);
  return {
    url,
    close: async () => {
      await issuing.stop();
      await app.close();
      await postgres.close();
      await tracer.close();
    },
  };
});
