import { loadConfig, secretsOf } from '#platform/config/config.ts';
import { createHttpApp, listen } from '#platform/http/http.ts';
import { serverBoundsOf } from '#platform/http/http-server.ts';
import { stopwatch } from '#platform/process/clock.ts';
import { createLog } from '#platform/process/log.ts';
import { createMetrics, observePool } from '#platform/process/metrics.ts';
import { createTracer } from '#platform/process/tracing.ts';
import { orExit, runProcess } from '#platform/start/lifecycle.ts';
import { clickHouseAnswers, connectClickHouse } from '#platform/stores/clickhouse.ts';
import { connectNats } from '#platform/stores/nats.ts';
import { connectPostgres } from '#platform/stores/postgres.ts';
import { startJobLoop } from '#platform/work/job-loop.ts';
import { createHighestStored, createReadQuantities } from './quantities/quantities.clickhouse.ts';
import { createBillingRuns, createIsChecked, createReadBacklog } from './run/billing-runs.postgres.ts';
import { createCatalog } from './run/catalog.postgres.ts';
import { observeBacklog, observeRating } from './run/observe-rating.ts';
import { createRatingPool } from './run/pool.piscina.ts';
import { prepareRun, type RatePorts, rateOneShard } from './run/rate-period.ts';
import { createReadLastSequence } from './run/usage-stream.nats.ts';

const config = orExit(() => loadConfig(process.env, ['natsUrl', 'clickhouseUrl', 'databaseUrl']));
const log = createLog('rater', config.logLevel, secretsOf(config));

await runProcess(log, config.shutdownMsMax, async () => {
  const metrics = createMetrics();
  const faults = metrics.counter('millrace_rater_faults_total', 'Rating work that has to be done again');
  const tracer = await createTracer(config.otelTracesUrl, 'rater', log);
  const nats = await connectNats(config.natsUrl, 'rater', log);
  const clickhouse = connectClickHouse(config.clickhouseUrl, { requestTimeoutMs: 300_000, connectionsMax: 8 });
  const postgres = connectPostgres(config.databaseUrl, { poolMax: config.databasePoolMax, log });
  const pool = createRatingPool({ workersMax: config.raterWorkers, queueMax: config.raterWorkers });
  observePool(metrics, postgres.counts);
  observeBacklog(metrics, createReadBacklog(postgres), pool);
  const adapters: RatePorts = {
    runs: createBillingRuns(postgres, config.jobLeaseSeconds),
    catalog: createCatalog(postgres),
    lastSequence: createReadLastSequence(nats, config.streamName),
    isChecked: createIsChecked(postgres, config.streamName),
    highestStored: createHighestStored(clickhouse),
    readQuantities: createReadQuantities(clickhouse),
    rate: pool.rate,
    stopwatch,
  };
  const ports = observeRating(adapters, metrics, log, tracer);
  const onFault = (error: unknown) => {
    faults.inc();
    log.warn({ err: error }, 'rating has to be tried again');
  };
  const preparing = startJobLoop({
    work: () => prepareRun(ports, config.raterShardSize),
    lanes: 1,
    pollMs: config.jobPollMs,
    onFault,
  });
  const rating = startJobLoop({
    work: () => rateOneShard(ports),
    lanes: config.raterWorkers,
    pollMs: config.jobPollMs,
    onFault,
  });
  const app = createHttpApp({
    log,
    metrics,
    bodyBytesMax: 1024,
    bounds: serverBoundsOf(config, log),
    health: [
      { name: 'nats', required: true, check: nats.answers },
      { name: 'clickhouse', required: true, check: () => clickHouseAnswers(clickhouse) },
      { name: 'postgres', required: true, check: postgres.answers },
    ],
  });
  const url = await listen(app, config.host, config.raterPort);
  return {
    url,
    close: async () => {
      await Promise.all([preparing.stop(), rating.stop()]);
      await pool.close();
      await app.close();
      await Promise.all([nats.close(), clickhouse.close(), postgres.close()]);
      await tracer.close();
    },
  };
});
