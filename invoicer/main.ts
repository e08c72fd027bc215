import { stopwatch, systemClock } from '#platform/clock.ts';
import { loadConfig, secretsOf } from '#platform/config.ts';
import { createHttpApp, listen } from '#platform/http.ts';
import { serverBoundsOf } from '#platform/http-server.ts';
import { newId } from '#platform/ids.ts';
import { startJobLoop } from '#platform/job-loop.ts';
import { orExit, runProcess } from '#platform/lifecycle.ts';
import { createLog } from '#platform/log.ts';
import { createMetrics, observePool } from '#platform/metrics.ts';
import { connectPostgres } from '#platform/postgres.ts';
import { createTracer } from '#platform/tracing.ts';
import { issueOneShard } from './close-period.ts';
import { createInvoiceStore } from './invoices.postgres.ts';
import { observeIssuing } from './observe-issuing.ts';

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
    nowMs: systemClock.nowMs,
    newInvoiceId: () => newId('inv'),
    stopwatch,
  };
  const ports = observeIssuing(adapters, metrics, log, tracer);
  // One lane: the invoices of an organization are chained, so a second one would mostly wait for the first.
  const issuing = startJobLoop({
    work: async () => (await issueOneShard(ports)) !== undefined,
    lanes: 1,
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
