import { randomBytes } from 'node:crypto';
import { createAuthenticate } from '#platform/authenticate.ts';
import { systemClock } from '#platform/clock.ts';
import { loadConfig, secretsOf } from '#platform/config.ts';
import { listen } from '#platform/http.ts';
import { serverBoundsOf } from '#platform/http-server.ts';
import { orExit, runProcess } from '#platform/lifecycle.ts';
import { createLog } from '#platform/log.ts';
import { createMetrics, observePool } from '#platform/metrics.ts';
import { connectNats } from '#platform/nats.ts';
import { connectPostgres } from '#platform/postgres.ts';
import { createRateLimit } from '#platform/rate-limit.ts';
import { connectRedis, redisAnswers } from '#platform/redis.ts';
import { createOpenSigningSecret } from '#platform/signing-secret.ts';
import { createTracer } from '#platform/tracing.ts';
import { createVault, masterKeysFrom } from '#platform/vault.ts';
import { createClaims } from './claims.redis.ts';
import { createGateway } from './gateway.ts';
import { createPublish, ensureUsageStream } from './usage-stream.nats.ts';

const config = orExit(() => loadConfig(process.env, ['natsUrl', 'redisUrl', 'databaseUrl', 'keyPepper', 'masterKey']));
const log = createLog('gateway', config.logLevel, secretsOf(config));

await runProcess(log, config.shutdownMsMax, async () => {
  const metrics = createMetrics();
  const tracer = await createTracer(config.otelTracesUrl, 'gateway', log);
  const limitFaults = metrics.counter('millrace_rate_limit_faults_total', 'Rate limit calls that Redis did not answer');
  const claimFaults = metrics.counter('millrace_ingest_claim_faults_total', 'Claim calls that Redis did not answer');
  const nats = await connectNats(config.natsUrl, 'gateway', log);
  await ensureUsageStream(nats, config, systemClock);
  const redis = connectRedis(config.redisUrl, config.claimTimeoutMs, log);
  // A gateway works without Redis, so it doesn't wait for it either.
  await redis.connect().catch((error: Error) => log.warn({ err: error }, 'starting without Redis'));
  // It looks up keys only.
  const postgres = connectPostgres(config.databaseUrl, { poolMax: config.databasePoolMax, log, statementMsMax: 5_000 });
  observePool(metrics, postgres.counts);

  // NATS may come back empty; the stream is then made again, once at a time.
  let ensuring = false;
  const ensureAgain = async () => {
    if (ensuring) return;
    ensuring = true;
    await ensureUsageStream(nats, config, systemClock).catch((error) => log.warn({ err: error }, 'the stream could not be made'));
    ensuring = false;
  };

  const { app, drained } = createGateway({
    log,
    metrics,
    tracer,
    clock: systemClock,
    bodyBytesMax: config.bodyBytesMax,
    bounds: serverBoundsOf(config, log),
    guard: {
      clock: systemClock,
      authenticate: createAuthenticate(postgres, config.keyPepper, systemClock),
      // In blocks: a request of events costs no call of its own.
      rateLimit: createRateLimit({ redis, clock: systemClock, log, onFault: () => limitFaults.inc(), blockSize: { events: 100 } }),
      openSigningSecret: createOpenSigningSecret(createVault({ masterKeys: masterKeysFrom(config), clock: systemClock }), postgres),
    },
    limits: {
      pastMsMax: config.pastDaysMax * 86_400_000,
      futureMsMax: config.futureMinutesMax * 60_000,
      messageBytesMax: config.messageBytesMax,
      eventsMax: config.eventsPerRequestMax,
      inFlightBytesMax: config.inFlightBytesMax,
    },
    ports: {
      claims: createClaims(redis, {
        leaseSeconds: config.claimLeaseSeconds,
        windowSeconds: config.claimWindowHours * 3600,
        claimsPerCallMax: 1_000,
        onFault: (error) => {
          claimFaults.inc();
          log.debug({ err: error }, 'a claim call failed');
        },
      }),
      publish: createPublish(nats, {
        streamName: config.streamName,
        timeoutMs: config.publishTimeoutMs,
        attemptsMax: config.publishAttemptsMax,
        onNoStream: () => void ensureAgain(),
      }),
      token: () => randomBytes(4),
    },
    health: [
      { name: 'nats', required: true, check: nats.answers },
      { name: 'redis', required: false, check: () => redisAnswers(redis) },
      { name: 'postgres', required: false, check: postgres.answers },
    ],
  });
  const url = await listen(app, config.host, config.ingestPort);
  return {
    url,
    close: async () => {
      await app.close();
      await drained();
      await nats.close();
      redis.disconnect();
      await postgres.close();
      await tracer.close();
    },
  };
});
