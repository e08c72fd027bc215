import { clickHouseAnswers, connectClickHouse } from '#platform/clickhouse.ts';
import { stopwatch } from '#platform/clock.ts';
import { loadConfig } from '#platform/config.ts';
import { createHttpApp, listen } from '#platform/http.ts';
import { startJobLoop } from '#platform/job-loop.ts';
import { orExit, runProcess } from '#platform/lifecycle.ts';
import { createLog } from '#platform/log.ts';
import { createMetrics } from '#platform/metrics.ts';
import { connectNats } from '#platform/nats.ts';
import { connectPostgres } from '#platform/postgres.ts';
import { createBillingRuns } from './billing-runs.postgres.ts';
import { createCatalog } from './catalog.postgres.ts';
import { createRatingPool } from './pool.piscina.ts';
import { createHighestStored, createReadQuantities } from './quantities.clickhouse.ts';
import { prepareRun, type RatePorts, rateOneShard } from './rate-period.ts';
import { createStreamProgress } from './usage-stream.nats.ts';

const config = orExit(() => loadConfig(process.env, ['natsUrl', 'clickhouseUrl', 'databaseUrl']));
const log = createLog('rater', config.logLevel);

await runProcess(log, config.shutdownMsMax, async () => {
  const metrics = createMetrics();
  const shards = metrics.counter('millrace_rater_shards_total', 'Shards of billing runs that were rated');
  const faults = metrics.counter('millrace_rater_faults_total', 'Rating work that has to be done again');
  const nats = await connectNats(config.natsUrl, 'rater', log);
  const clickhouse = connectClickHouse(config.clickhouseUrl, { requestTimeoutMs: 300_000, connectionsMax: 8 });
  const postgres = connectPostgres(config.databaseUrl, { poolMax: config.databasePoolMax, as: 'application', log });
  const pool = createRatingPool({ workersMax: config.raterWorkers, queueMax: config.raterWorkers });
  const ports: RatePorts = {
    runs: createBillingRuns(postgres, config.jobLeaseSeconds),
    catalog: createCatalog(postgres),
    stream: createStreamProgress(nats, config.streamName),
    highestStored: createHighestStored(clickhouse),
    readQuantities: createReadQuantities(clickhouse),
    rate: pool.rate,
    stopwatch,
  };
  const onFault = (error: unknown) => {
    faults.inc();
    log.warn({ err: error }, 'rating has to be tried again');
  };
  const preparing = startJobLoop({ work: () => prepareRun(ports, config.raterShardSize), lanes: 1, pollMs: config.jobPollMs, onFault });
  const rating = startJobLoop({
    work: async () => {
      const found = await rateOneShard(ports);
      if (found) shards.inc();
      return found;
    },
    lanes: config.raterWorkers,
    pollMs: config.jobPollMs,
    onFault,
  });
  const app = createHttpApp({
    log,
    metrics,
    bodyBytesMax: 1024,
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
    },
  };
});
