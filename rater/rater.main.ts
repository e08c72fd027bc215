import { stopwatch, systemClock } from '#platform/process/clock.ts';
import { runWorker } from '#platform/start/run-worker.ts';
import { billingChannels } from '#schemas/billing-run.ts';
import { createHighestStored, createReadQuantities } from './quantities/quantities.clickhouse.ts';
import { createBillingRuns, createIsChecked, createReadBacklog } from './run/billing-runs.postgres.ts';
import { createCatalog } from './run/catalog.postgres.ts';
import { observeBacklog, observeRating } from './run/observe-rating.ts';
import { createRatingPool } from './run/pool.piscina.ts';
import { prepareRun, type RatePorts } from './run/rate-period.ts';
import { rateOneShard } from './run/rate-shard.ts';
import { removeOldRatingLines } from './run/save-rated.postgres.ts';
import { createReadLastSequence } from './run/usage-stream.nats.ts';

const options = {
  clickhouse: { requestTimeoutMs: 300_000, connectionsMax: 8 },
  fault: { help: 'Rating work that has to be done again', message: 'rating has to be tried again' },
};

const forgetEveryMs = 3_600_000;

await runWorker('rater', options, ({ config, log, metrics, tracer, nats, clickhouse, postgres }) => {
  const pool = createRatingPool({
    workersMax: config.raterWorkers,
    queueMax: config.raterWorkers,
    timeoutMs: config.ratingTimeoutSeconds * 1000,
    memoryMbMax: config.ratingMemoryMb,
    onFault: (error) => log.error({ err: error }, 'a worker of the rating pool died'),
  });
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
  const pollMs = config.jobPollMs;
  const forget = async (): Promise<boolean> => (await removeOldRatingLines(postgres, systemClock.nowMs())) > 0;
  return {
    loops: [
      { work: () => prepareRun(ports, config.raterShardSize), lanes: 1, pollMs, channel: billingChannels.runQueued },
      { work: () => rateOneShard(ports), lanes: config.raterWorkers, pollMs, channel: billingChannels.shardsQueued },
      { work: forget, lanes: 1, pollMs: forgetEveryMs },
    ],
    close: pool.close,
  };
});
