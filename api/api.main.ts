import { createAuthenticate } from '#platform/access/authenticate.ts';
import { createAuthenticateLink } from '#platform/access/authenticate-link.ts';
import { createRateLimit } from '#platform/access/rate-limit.ts';
import { createOpenSigningSecret } from '#platform/access/signing-secret.ts';
import { createDigest } from '#platform/audit/audit-entry.ts';
import { lookAhead, recordChange } from '#platform/audit/record-change.ts';
import { loadConfig, secretsOf } from '#platform/config/config.ts';
import { corsOf } from '#platform/http/cors.ts';
import { listen } from '#platform/http/http.ts';
import { serverBoundsOf } from '#platform/http/http-server.ts';
import { sameForAll, stopwatch, systemClock } from '#platform/process/clock.ts';
import { createFailPoint } from '#platform/process/fail-point.ts';
import { createLog } from '#platform/process/log.ts';
import { createMetrics, observePool } from '#platform/process/metrics.ts';
import { createTracer } from '#platform/process/tracing.ts';
import { createVault, masterKeysFrom } from '#platform/secrets/vault.ts';
import { orExit, runProcess } from '#platform/start/lifecycle.ts';
import { clickHouseAnswers, connectClickHouse } from '#platform/stores/clickhouse.ts';
import { connectNats } from '#platform/stores/nats.ts';
import { connectPostgres } from '#platform/stores/postgres.ts';
import { connectRedis, redisAnswers } from '#platform/stores/redis.ts';
import { startJobLoop } from '#platform/work/job-loop.ts';
import { hashApiKey } from '#schemas/api-key.ts';
import { createPdfPool } from '../invoicer/documents/pdf-pool.piscina.ts';
import { failAtCredit } from '../invoicer/fail-points.ts';
import { createTotalsProgress } from './catalog/totals-progress.clickhouse.ts';
import { createStoredEvents } from './events/events.clickhouse.ts';
import { createLineEvents } from './explain/line-events.clickhouse.ts';
import { createCountEvents } from './exports/exported-usage.clickhouse.ts';
import { startMaking } from './invoices/making.postgres.ts';
import { startMoving } from './plan-migrations/moving.postgres.ts';
import { createIngestCounts } from './reconciliation/ingest-counts.postgres.ts';
import { createStoredUsage } from './reconciliation/stored-usage.clickhouse.ts';
import { createLastSequence, createStreamSays } from './reconciliation/stream-state.nats.ts';
import { createStores } from './resources.ts';
import { createAnswerStore } from './route/answers.postgres.ts';
import { createCursors } from './route/cursors.ts';
import { createApi } from './server.ts';
import { createLiveUsageOf } from './usage/live-usage.clickhouse.ts';
import { observeLiveUsage, observeReads } from './usage/observe-reads.ts';
import { createReadUsage } from './usage/usage.clickhouse.ts';
import { createUsageNames } from './usage/usage-names.clickhouse.ts';
import { createReadWatermark, createRecentWatermark } from './usage/watermark.postgres.ts';

const config = orExit(() =>
  loadConfig(process.env, ['natsUrl', 'clickhouseUrl', 'redisUrl', 'databaseUrl', 'keyPepper', 'masterKey']),
);
const log = createLog('api', config.logLevel, secretsOf(config));

/**
 * Changes are by ids and written as lists, so a plan for one is a plan for all. Left to itself PostgreSQL plans the two
 * long statements of each entry anew every time: 1.0 ms of its time for a change instead of 0.75.
 */
const transactionSettings = ['SET LOCAL plan_cache_mode = force_generic_plan'];
/** Longer than the longest document takes, behind those that others wait for. */
const documentLeaseSecondsMin = 120;
/** How often answers whose time is over are forgotten. */
const purgeEveryMs = 60_000;
/** A caller waits for a statement; one that waits for a lock keeps a connection from others meanwhile. */
const statementMsMax = 15_000;
const lockMsMax = 5_000;
/** How long a request waits for Redis before its process counts alone. */
const redisTimeoutMs = 100;

await runProcess(log, config.shutdownMsMax, async () => {
  const metrics = createMetrics();
  const tracer = await createTracer(config.otelTracesUrl, 'api', log);
  const limitFaults = metrics.counter('millrace_rate_limit_faults_total', 'Rate limit calls that Redis did not answer');
  const postgres = connectPostgres(config.databaseUrl, {
    poolMax: config.databasePoolMax,
    log,
    statementMsMax,
    lockMsMax,
    transactionSettings,
  });
  observePool(metrics, postgres.counts);
  const clickhouse = connectClickHouse(config.clickhouseUrl, { requestTimeoutMs: 30_000, connectionsMax: 16 });
  const redis = connectRedis(config.redisUrl, redisTimeoutMs, log);
  await redis.connect().catch((error: Error) => log.warn({ err: error }, 'starting without Redis'));
  // One route asks it, and answers without it, so nothing waits for it.
  const nats = connectNats(config.natsUrl, 'api', log);
  nats.catch((error: Error) => log.warn({ err: error }, 'NATS does not let the API in'));
  const vault = createVault({ masterKeys: masterKeysFrom(config), clock: systemClock });
  const answers = createAnswerStore(postgres, vault);
  const digestOf = createDigest(config.keyPepper);
  const storedEvents = createStoredEvents(clickhouse);
  const readWatermark = createReadWatermark(config.streamName);
  const pdfs = createPdfPool((error) => log.warn({ err: error }, 'the thread of documents ended'));
  const stores = createStores(vault);
  const failPoint = createFailPoint(config.failPoint);
  const app = createApi({
    log,
    metrics,
    tracer,
    bodyBytesMax: Math.min(config.bodyBytesMax, 1_048_576),
    bounds: serverBoundsOf(config, log),
    cors: corsOf(config.corsOrigins),
    guard: {
      clock: systemClock,
      authenticate: createAuthenticate(postgres, config.keyPepper, systemClock),
      authenticateLink: createAuthenticateLink(postgres, config.keyPepper),
      // Reads in blocks: as long as an organization is far from its limit, a read costs no call of its own.
      rateLimit: createRateLimit({
        redis,
        clock: systemClock,
        log,
        onFault: () => limitFaults.inc(),
        blockSize: { read: 50, public: 50 },
      }),
      openSigningSecret: createOpenSigningSecret(vault, postgres),
    },
    routes: {
      clock: systemClock,
      organizationClock: sameForAll(systemClock),
      postgres,
      answers,
      recordChange,
      lookAhead,
      digestOf,
      cursors: createCursors(config.keyPepper),
      vault,
    },
    ports: {
      ...stores,
      creditIssuing: failAtCredit(stores.creditIssuing, failPoint),
      makePdf: pdfs.make,
      lineEvents: createLineEvents(clickhouse),
      usageNames: createUsageNames(clickhouse),
      totalsProgress: createTotalsProgress(clickhouse),
      readUsage: createReadUsage(clickhouse, observeReads(metrics, log)),
      liveUsage: createLiveUsageOf(clickhouse, config.identityWindowDays, observeLiveUsage(metrics)),
      readWatermark,
      recentWatermark: createRecentWatermark(readWatermark, systemClock),
      lastSequence: createLastSequence(nats, config.streamName),
      storedEvents,
      futureMsMax: config.futureMinutesMax * 60_000,
      ingestCounts: createIngestCounts(config.streamName),
      storedUsage: createStoredUsage(clickhouse),
      countEvents: createCountEvents(clickhouse),
      streamSays: createStreamSays(nats, config.streamName),
      hashKey: (key) => hashApiKey(config.keyPepper, key),
    },
    health: [
      { name: 'postgres', required: true, check: postgres.answers },
      { name: 'redis', required: false, check: () => redisAnswers(redis) },
      { name: 'clickhouse', required: false, check: () => clickHouseAnswers(clickhouse) },
    ],
  });
  const purging = startJobLoop({
    work: async () => (await answers.purge(systemClock.nowMs())) > 0,
    lanes: 1,
    pollMs: purgeEveryMs,
    onFault: (error) => log.warn({ err: error }, 'old answers could not be forgotten'),
  });
  const moving = startMoving({
    databaseUrl: config.databaseUrl,
    leaseSeconds: config.jobLeaseSeconds,
    pollMs: config.jobPollMs,
    log,
    metrics,
    failPoint,
    digestOf,
    organizationClock: sameForAll(systemClock),
  });
  const making = startMaking({
    ports: { ...stores, makePdf: pdfs.make },
    postgres,
    leaseSeconds: Math.max(config.jobLeaseSeconds, documentLeaseSecondsMin),
    pollMs: config.jobPollMs,
    lanes: config.documentLanes,
    stopwatch,
    nowMs: systemClock.nowMs,
    log,
    metrics,
  });
  const url = await listen(app, config.host, config.apiPort);
  return {
    url,
    close: async () => {
      await Promise.all([purging.stop(), moving.stop(), making.stop()]);
      await app.close();
      await pdfs.close();
      redis.disconnect();
      void nats.then(({ close }) => close()).catch(() => {});
      await Promise.all([postgres.close(), clickhouse.close()]);
      await tracer.close();
    },
  };
});
