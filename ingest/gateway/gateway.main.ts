import { createAuthenticate } from '#platform/access/authenticate.ts';
import { createRateLimit } from '#platform/access/rate-limit.ts';
import { createOpenSigningSecret } from '#platform/access/signing-secret.ts';
import { loadConfig, secretsOf, settings } from '#platform/config/config.ts';
import { listen } from '#platform/http/http.ts';
import { serverBoundsOf } from '#platform/http/http-server.ts';
import { sleep, systemClock } from '#platform/process/clock.ts';
import { createFailPoint } from '#platform/process/fail-point.ts';
import { countBuffersWithHeap } from '#platform/process/heap.ts';
import { newId } from '#platform/process/ids.ts';
import { createLog } from '#platform/process/log.ts';
import { createMetrics, observePool } from '#platform/process/metrics.ts';
import { createTracer } from '#platform/process/tracing.ts';
import { createVault, masterKeysFrom } from '#platform/secrets/vault.ts';
import { orExit } from '#platform/start/lifecycle.ts';
import { runWorkers, shareMetrics } from '#platform/start/worker-processes.ts';
import { connectNats } from '#platform/stores/nats.ts';
import { connectPostgres } from '#platform/stores/postgres.ts';
import { connectRedis, redisAnswers } from '#platform/stores/redis.ts';
import { createClaims, createReadClaimsHeld, createStreamKnowledge } from '../claims/claims.redis.ts';
import { observeClaims } from '../claims/observe-claims.ts';
import { failAtAccept, failAtRespond } from '../fail-points.ts';
import { createReadStreamEnd, onStreamMade } from '../stream/ensure-stream.nats.ts';
import { createStreamGuard } from '../stream/stream-guard.ts';
import { createPublish } from '../stream/usage-stream.nats.ts';
import { createConservation } from './conservation.ts';
import { createGateway } from './gateway.ts';
import { createWriteCounts } from './ingest-counts.postgres.ts';
import { startReport } from './report-counts.ts';

countBuffersWithHeap();
const config = orExit(() => loadConfig(process.env, ['natsUrl', 'redisUrl', 'databaseUrl', 'keyPepper', 'masterKey']));
const log = createLog('gateway', config.logLevel, secretsOf(config));

const crew = {
  log,
  workers: config.ingestWorkers,
  shutdownMsMax: config.shutdownMsMax,
  host: config.host,
  port: config.ingestPort,
  portVariable: settings.ingestPort.variable,
};

await runWorkers(crew, async () => {
  const metrics = shareMetrics(createMetrics());
  const tracer = await createTracer(config.otelTracesUrl, 'gateway', log);
  const limitFaults = metrics.counter('millrace_rate_limit_faults_total', 'Rate limit calls that Redis did not answer');
  const claimFaults = metrics.counter('millrace_ingest_claim_faults_total', 'Claim calls that Redis did not answer');
  const nats = await connectNats(config.natsUrl, 'gateway', log);
  const redis = connectRedis(config.redisUrl, config.claimTimeoutMs, log);
  // A gateway works without Redis, so it doesn't wait for it either.
  await redis.connect().catch((error: Error) => log.warn({ err: error }, 'starting without Redis'));
  // It looks up keys, and writes down what was answered.
  const postgres = connectPostgres(config.databaseUrl, { poolMax: config.databasePoolMax, log, statementMsMax: 5_000 });
  observePool(metrics, postgres.counts);

  const conservation = createConservation();
  const unwritten = metrics.counter(
    'millrace_conservation_write_faults_total',
    'Writes of what was answered that PostgreSQL did not take',
  );
  const report = startReport({
    conservation,
    write: createWriteCounts(postgres, newId('gtw'), config.streamName),
    clock: systemClock,
    onFault: (error) => {
      unwritten.inc();
      log.debug({ err: error }, 'what was answered could not be written down; it is tried again');
    },
  });

  const lost = metrics.counter(
    'millrace_stream_lost_sequences_total',
    'Sequences of messages that the stream had acknowledged and lost',
  );
  lost.inc(0);
  const claimFault = (error: unknown) => {
    claimFaults.inc();
    log.debug({ err: error }, 'a claim call failed');
  };
  const windowSeconds = config.claimWindowHours * 3600;
  observeClaims(metrics, createReadClaimsHeld(redis, { streamName: config.streamName, windowSeconds }, systemClock));
  const guard = createStreamGuard({
    ...createStreamKnowledge(redis, config.streamName),
    readEnd: createReadStreamEnd(nats, config, systemClock),
    onLoss: (loss) => {
      const { from, to } = loss;
      report.addLoss(loss);
      lost.inc(to - from + 1);
      log.error(
        { from, to },
        'the stream lost messages that it had acknowledged; their events are accepted again when they are sent again',
      );
    },
    onFault: claimFault,
    pause: () => sleep(200),
    clock: systemClock,
  });
  nats.onDisconnect(guard.leave);
  // A sink that starts makes a stream that is gone, perhaps before this process finds that it is.
  onStreamMade(nats, config.streamName, () => void guard.meet());
  nats.onReconnect(() => void guard.meet());
  redis.on('close', guard.leaveClaims);
  redis.on('ready', () => void guard.meetClaims());
  await guard.meet();

  const failPoint = createFailPoint(config.failPoint);
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
      rateLimit: createRateLimit({
        redis,
        clock: systemClock,
        log,
        onFault: () => limitFaults.inc(),
        blockSize: { events: 100 },
      }),
      openSigningSecret: createOpenSigningSecret(
        createVault({ masterKeys: masterKeysFrom(config), clock: systemClock }),
        postgres,
      ),
    },
    claimSecret: config.keyPepper,
    conservation,
    limits: {
      pastMsMax: config.pastDaysMax * 86_400_000,
      futureMsMax: config.futureMinutesMax * 60_000,
      messageBytesMax: config.messageBytesMax,
      // So many claims block Redis for a few milliseconds.
      messageEventsMax: 1_000,
      eventsMax: config.eventsPerRequestMax,
      inFlightBytesMax: config.inFlightBytesMax,
    },
    ports: failAtAccept(
      {
        claims: guard.guarded(
          createClaims(redis, {
            streamName: config.streamName,
            leaseSeconds: config.claimLeaseSeconds,
            windowSeconds,
            bytesMax: config.claimBytesMax,
            onFault: claimFault,
          }),
        ),
        publish: createPublish(nats, {
          streamName: config.streamName,
          timeoutMs: config.publishTimeoutMs,
          attemptsMax: config.publishAttemptsMax,
          mayPublish: guard.mayPublish,
          onRepeated: conservation.countRepeated,
          // It may have come back empty.
          onNoStream: () => void guard.meet(),
        }),
      },
      failPoint,
    ),
    health: [
      { name: 'nats', required: true, check: nats.answers },
      { name: 'redis', required: false, check: () => redisAnswers(redis) },
      { name: 'postgres', required: false, check: postgres.answers },
    ],
  });
  failAtRespond(app, failPoint);
  const url = await listen(app, config.host, config.ingestPort, config.ingestWorkers > 1);
  return {
    url,
    close: async () => {
      await app.close();
      await drained();
      await report.stop();
      await nats.close();
      redis.disconnect();
      await postgres.close();
      await tracer.close();
    },
  };
});
