import { randomUUID } from 'node:crypto';
import { stopwatch, systemClock } from '#platform/process/clock.ts';
import { createFailPoint } from '#platform/process/fail-point.ts';
import { runWorker } from '#platform/start/run-worker.ts';
import { readCheckedSequence } from '#platform/stores/checked-sequence.postgres.ts';
import { billingChannels } from '#schemas/billing-run.ts';
import { simulationChannels } from '#schemas/simulation.ts';
import { failAtRate } from './fail-points.ts';
import { observeQuantities } from './quantities/observe-quantities.ts';
import { createHighestStored, createReadQuantities } from './quantities/quantities.clickhouse.ts';
import { createReadBacklog } from './run/backlog.postgres.ts';
import { createBillingRuns, createIsChecked } from './run/billing-runs.postgres.ts';
import { createCatalog } from './run/catalog.postgres.ts';
import { createArrivals } from './run/late-arrivals.clickhouse.ts';
import { createNextLook } from './run/late-periods.postgres.ts';
import { observeBacklog, observeRating } from './run/observe-rating.ts';
import { createRatingPool } from './run/pool.piscina.ts';
import { prepareRun, type RatePorts } from './run/rate-period.ts';
import { rateOneShard } from './run/rate-shard.ts';
import { removeOldRatingLines } from './run/save-rated.postgres.ts';
import { createReadLastSequence } from './run/usage-stream.nats.ts';
import { advanceSimulation, rateSimulationShard, type SimulatePorts } from './simulate/rate-simulation.ts';
import { createReadMonth } from './simulate/simulated-month.postgres.ts';
import { createSimulations } from './simulate/simulations.postgres.ts';
import { createKeepTotals } from './totals/keep-totals.ts';
import { createReadMeters } from './totals/kept-meters.postgres.ts';
import { observeTotals } from './totals/observe-totals.ts';
import { createTotals } from './totals/totals.clickhouse.ts';

const options = {
  // A month's end keeps all its workers busy for minutes, on a machine that may answer requests as well.
  niceness: 5,
  clickhouse: { requestTimeoutMs: 300_000, connectionsMax: 8 },
  fault: { help: 'Rating work that has to be done again', message: 'rating has to be tried again' },
};

const simulationEntry = new URL('./simulate/simulate.worker.ts', import.meta.url);
const forgetEveryMs = 3_600_000;

/** Days that are looked up at a time, and events of those that one statement makes: some 0.3 s of one core. */
const [totalDaysMax, totalEventsMax] = [20_000, 200_000];

await runWorker('rater', options, ({ config, log, metrics, tracer, nats, clickhouse, postgres }) => {
  const workers = config.raterWorkers;
  const pool = createRatingPool({
    workersMax: workers,
    // Each lane of billing has one task in it, and each lane of simulations one for each worker.
    queueMax: workers * workers,
    timeoutMs: config.ratingTimeoutSeconds * 1000,
    memoryMbMax: config.ratingMemoryMb,
    onFault: (error) => log.error({ err: error }, 'a worker of the rating pool died'),
    compileCache: process.env.NODE_COMPILE_CACHE,
  });
  observeBacklog(metrics, createReadBacklog(postgres), pool);
  const adapters: RatePorts = {
    runs: createBillingRuns(postgres, config.jobLeaseSeconds),
    catalog: createCatalog(postgres),
    late: { nextLook: createNextLook(postgres), arrivals: createArrivals(clickhouse) },
    lastSequence: createReadLastSequence(nats, config.streamName),
    isChecked: createIsChecked(postgres, config.streamName),
    highestStored: createHighestStored(clickhouse),
    readQuantities: createReadQuantities(clickhouse, observeQuantities(metrics, log)),
    rate: pool.rate,
    stopwatch,
  };
  const ports = failAtRate(observeRating(adapters, metrics, log, tracer), createFailPoint(config.failPoint));
  const simulating: SimulatePorts = {
    ...adapters,
    simulations: createSimulations(postgres, config.jobLeaseSeconds),
    readMonth: createReadMonth(postgres),
    sum: (task) => pool.run(simulationEntry, task),
    workers,
  };
  const quietMs = config.totalsQuietSeconds * 1000;
  const keepTotals = createKeepTotals(
    { quietMs: { over: quietMs, running: 20 * quietMs }, daysMax: totalDaysMax, eventsMax: totalEventsMax },
    {
      ...createTotals(clickhouse),
      readChecked: () => readCheckedSequence(postgres, config.streamName),
      readMeters: createReadMeters(postgres),
      newBatch: randomUUID,
      report: observeTotals(metrics),
      stopwatch,
    },
  );
  const pollMs = config.jobPollMs;
  const forget = async (): Promise<boolean> => (await removeOldRatingLines(postgres, systemClock.nowMs())) > 0;
  return {
    loops: [
      { work: () => prepareRun(ports, config.raterShardSize), lanes: 1, pollMs, channel: billingChannels.runQueued },
      { work: () => rateOneShard(ports), lanes: workers, pollMs, channel: billingChannels.shardsQueued },
      {
        work: () => advanceSimulation(simulating, config.raterShardSize),
        lanes: 1,
        pollMs,
        channel: simulationChannels.waiting,
      },
      {
        work: () => rateSimulationShard(simulating),
        lanes: workers,
        pollMs,
        channel: simulationChannels.shardsQueued,
      },
      { work: keepTotals, lanes: 1, pollMs: Math.min(config.totalsLookSeconds * 1000, Math.max(quietMs, 100)) },
      { work: forget, lanes: 1, pollMs: forgetEveryMs },
    ],
    close: pool.close,
  };
});
