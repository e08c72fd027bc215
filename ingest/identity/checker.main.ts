import { systemClock } from '#platform/process/clock.ts';
import { createFailPoint } from '#platform/process/fail-point.ts';
import { countBuffersWithHeap } from '#platform/process/heap.ts';
import { runWorker } from '#platform/start/run-worker.ts';
import { failAtCheck } from '../fail-points.ts';
import { ensureUsageStream } from '../stream/ensure-stream.nats.ts';
import { onStored } from '../stream/usage-stream.nats.ts';
import { createIdentityCheck } from './check-identity.ts';
import { createCheckedSequence } from './checked-sequence.postgres.ts';
import { createKeyFilters } from './key-filters.clickhouse.ts';
import { createKeySource } from './key-source.ts';
import { mergeLimits } from './merge-generations.ts';
import { observeCheck, observeHoldings } from './observe-check.ts';
import { createReadStored } from './stored-sequence.nats.ts';
import { createStreamKeys } from './stream-keys.nats.ts';
import { createUsageKeys } from './usage-keys.clickhouse.ts';

/**
 * Whoever reads usage or bills waits for the check, so it looks often while events are on their way; a look costs two
 * short questions to NATS. With all of them checked it waits for the word of a sink, which may get lost.
 */
const [pollMs, idleMs] = [50, 1_000];
/** Events that are checked at a time: 15 to 64 MB of the stream. */
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

const options = {
  clickhouse: { requestTimeoutMs: storeMsMax, connectionsMax: 4 },
  postgres: { poolMax: 2, statementMsMax: progressMsMax },
  fault: { help: 'Checks that have to be done again', message: 'the identity check has to be tried again' },
};

countBuffersWithHeap();

await runWorker('checker', options, async ({ config, log, metrics, nats, clickhouse, postgres }) => {
  await ensureUsageStream(nats, config, systemClock);
  const keys = createUsageKeys(clickhouse);
  const stream = createStreamKeys(nats, config.streamName, systemClock, (error) =>
    log.warn({ err: error }, 'the stream can not be read, and keys are read from the store'),
  );
  const identity = createIdentityCheck(
    {
      ...mergeLimits,
      rowsMax,
      generationKeysMax,
      windowDays: config.identityWindowDays,
      horizonMs: config.pastDaysMax * dayMs,
    },
    failAtCheck(
      {
        clock: systemClock,
        readStored: createReadStored(nats, config.streamName),
        checked: createCheckedSequence(postgres, config.streamName),
        keys: {
          ...keys,
          ...createKeySource({ stream, store: keys, clock: systemClock }, config.streamDoubtSeconds * 1_000),
        },
        filters: createKeyFilters(clickhouse, config.streamName),
        report: observeCheck(metrics, log),
      },
      createFailPoint(config.failPoint),
    ),
  );
  observeHoldings(metrics, identity);
  const work = async (): Promise<true | number> => {
    if (await identity.check()) return true;
    const standing = identity.standing();
    return standing && standing.covered === standing.last ? idleMs : pollMs;
  };
  const wokenBy = (wake: () => void) => onStored(nats, config.streamName, wake);
  return { loops: [{ work, lanes: 1, pollMs, wokenBy }], waitingMs: identity.waitingMs };
});
