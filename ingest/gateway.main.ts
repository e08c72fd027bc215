import { randomBytes } from 'node:crypto';
import { createAuthenticate } from '#platform/authenticate.ts';
import { systemClock } from '#platform/clock.ts';
import { loadConfig } from '#platform/config.ts';
import { listen } from '#platform/http.ts';
import { orExit, runProcess } from '#platform/lifecycle.ts';
import { createLog } from '#platform/log.ts';
import { createMetrics } from '#platform/metrics.ts';
import { connectNats } from '#platform/nats.ts';
import { connectPostgres } from '#platform/postgres.ts';
import { connectRedis, redisAnswers } from '#platform/redis.ts';
import { createClaims } from './claims.redis.ts';
import { createGateway } from './gateway.ts';
import { createPublish, ensureUsageStream } from './usage-stream.nats.ts';

const config = orExit(() => loadConfig(process.env, ['natsUrl', 'redisUrl', 'databaseUrl', 'keyPepper']));
const log = createLog('gateway', config.logLevel);

await runProcess(log, config.shutdownMsMax, async () => {
  const metrics = createMetrics();
  const claimFaults = metrics.counter('millrace_ingest_claim_faults_total', 'Claim calls that Redis did not answer');
  const nats = await connectNats(config.natsUrl, 'gateway', log);
  await ensureUsageStream(nats, config, systemClock);
  const redis = connectRedis(config.redisUrl, config.claimTimeoutMs, log);
  // A gateway works without Redis, so it doesn't wait for it either.
  await redis.connect().catch((error: Error) => log.warn({ err: error }, 'starting without Redis'));
  const postgres = connectPostgres(config.databaseUrl, { poolMax: config.databasePoolMax, as: 'application', log });

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
    clock: systemClock,
    bodyBytesMax: config.bodyBytesMax,
    authenticate: createAuthenticate(postgres, config.keyPepper, systemClock),
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
    },
  };
});
