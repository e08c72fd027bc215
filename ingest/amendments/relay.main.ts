import { removeOldOutboxRows } from '#platform/audit/record-change.ts';
import { systemClock } from '#platform/process/clock.ts';
import { createFailPoint } from '#platform/process/fail-point.ts';
import { runWorker } from '#platform/start/run-worker.ts';
import { createSessionLocks } from '#platform/stores/session-locks.ts';
import { amendmentsChannel } from '#schemas/amendment.ts';
import { failAtRelay } from '../fail-points.ts';
import { createCheckedSequence } from '../identity/checked-sequence.postgres.ts';
import { ensureUsageStream } from '../stream/ensure-stream.nats.ts';
import { createPublishAmendment } from './amendments.nats.ts';
import { createAppliedSequences } from './applied-sequences.clickhouse.ts';
import { observeRelay } from './observe-relay.ts';
import { amendmentOutbox } from './outbox.postgres.ts';
import { createRelay, lookMsMin, type RelayPorts } from './relay.ts';

/** How often rows of the outbox are looked for that are too old for anyone to ask for. */
const forgetEveryMs = 60_000;

const options = {
  clickhouse: { requestTimeoutMs: 20_000, connectionsMax: 4 },
  postgres: { poolMax: 4, statementMsMax: 20_000 },
  fault: { help: 'Amendments that have to be relayed again', message: 'amendments wait for the stream' },
};

await runWorker('relay', options, async ({ config, log, metrics, nats, clickhouse, postgres }) => {
  await ensureUsageStream(nats, config, systemClock);
  const checked = createCheckedSequence(postgres, config.streamName);
  const locks = createSessionLocks(config.databaseUrl, log);
  const ports: RelayPorts = {
    clock: systemClock,
    organizations: amendmentOutbox.organizations(postgres),
    alone: (organizationId, work) => locks.alone(`relay ${organizationId}`, work),
    dbOf: postgres.forOrganization,
    outbox: amendmentOutbox,
    publish: createPublishAmendment(nats, config.streamName),
    appliedSequences: createAppliedSequences(clickhouse),
    readWatermark: async () => BigInt(await checked.read()),
    report: observeRelay(metrics, log),
  };
  const relay = createRelay(failAtRelay(ports, createFailPoint(config.failPoint)));
  const forget = async (): Promise<boolean> => (await removeOldOutboxRows(postgres, systemClock.nowMs())) > 0;
  return {
    loops: [
      { work: relay, lanes: 1, pollMs: lookMsMin, channel: amendmentsChannel },
      { work: forget, lanes: 1, pollMs: forgetEveryMs },
    ],
    close: locks.close,
  };
});
