import { loadConfig, secretsOf } from '#platform/config/config.ts';
import { createHttpApp, listen } from '#platform/http/http.ts';
import { serverBoundsOf } from '#platform/http/http-server.ts';
import { systemClock } from '#platform/process/clock.ts';
import { createFailPoint } from '#platform/process/fail-point.ts';
import { createLog } from '#platform/process/log.ts';
import { createMetrics, observePool } from '#platform/process/metrics.ts';
import { orExit, runProcess } from '#platform/start/lifecycle.ts';
import { clickHouseAnswers, connectClickHouse } from '#platform/stores/clickhouse.ts';
import { connectNats } from '#platform/stores/nats.ts';
import { connectPostgres } from '#platform/stores/postgres.ts';
import { startJobLoop } from '#platform/work/job-loop.ts';
import { failAtCheck } from '../fail-points.ts';
import { ensureUsageStream } from '../stream/ensure-stream.nats.ts';
import { createIdentityCheck } from './check-identity.ts';
import { createCheckedSequence } from './checked-sequence.postgres.ts';
import { createKeyFilters } from './key-filters.clickhouse.ts';
import { observeCheck, observeHoldings } from './observe-check.ts';
import { createReadStored } from './stored-sequence.nats.ts';
import { createUsageKeys } from './usage-keys.clickhouse.ts';

/** Whoever reads usage or bills waits for the check, so it looks often; a look costs two short questions to NATS. */
const pollMs = 50;
/** Events that are read at a time: about 15 MB. */
const rowsMax = 100_000;
/** The table of the open generation takes 67 MB then, and another one while it is closed. */
const generationKeysMax = 6_000_000;
/**
 * Everybody waits meanwhile: a server that is gone without a word is given up early. The longest question is about the
 * keys of a generation.
 */
const storeMsMax = 20_000;
const progressMsMax = 5_000;
const dayMs = 86_400_000;

const config = orExit(() => loadConfig(process.env, ['natsUrl', 'clickhouseUrl', 'databaseUrl']));
const log = createLog('checker', config.logLevel, secretsOf(config));

await runProcess(log, config.shutdownMsMax, async () => {
  const metrics = createMetrics();
  const faults = metrics.counter('millrace_checker_faults_total', 'Checks that have to be done again');
  const nats = await connectNats(config.natsUrl, 'checker', log);
  await ensureUsageStream(nats, config, systemClock);
  const clickhouse = connectClickHouse(config.clickhouseUrl, { requestTimeoutMs: storeMsMax, connectionsMax: 4 });
  const postgres = connectPostgres(config.databaseUrl, { poolMax: 2, log, statementMsMax: progressMsMax });
  observePool(metrics, postgres.counts);
  const identity = createIdentityCheck(
    { rowsMax, generationKeysMax, windowDays: config.identityWindowDays, horizonMs: config.pastDaysMax * dayMs },
    failAtCheck(
      {
        clock: systemClock,
        readStored: createReadStored(nats, config.streamName),
        checked: createCheckedSequence(postgres, config.streamName),
        keys: createUsageKeys(clickhouse),
        filters: createKeyFilters(clickhouse, config.streamName),
        report: observeCheck(metrics, log),
      },
      createFailPoint(config.failPoint),
    ),
  );
  observeHoldings(metrics, identity);
  const checking = startJobLoop({
    work: identity.check,
    lanes: 1,
    pollMs,
    onFault: (error) => {
      faults.inc();
      log.warn({ err: error }, 'the identity check has to be tried again');
    },
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
  const url = await listen(app, config.host, config.checkerPort);
  return {
    url,
    close: async () => {
      await checking.stop();
      await app.close();
      await Promise.all([nats.close(), clickhouse.close(), postgres.close()]);
    },
  };
});
