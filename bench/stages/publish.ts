import { randomBytes, randomUUID } from 'node:crypto';
import { loadConfig } from '#platform/config/config.ts';
import { systemClock } from '#platform/process/clock.ts';
import { createLog } from '#platform/process/log.ts';
import { connectNats } from '#platform/stores/nats.ts';
import { ensureUsageStream } from '../../ingest/stream/ensure-stream.nats.ts';
import { createPublish } from '../../ingest/stream/usage-stream.nats.ts';
import { measureStage, pidOf, type Stage, type StageServers } from './stage.ts';

/** A message as one request of 200 events gives it. */
const eventsPerMessage = 200;
const messageBytes = 40_960;
const inFlight = 8;

/** Into a stream that nobody reads, and waiting for each acknowledgement. */
export const publishStage = (servers: StageServers): Stage => ({
  name: 'publish',
  run: async (seconds) => {
    const config = { ...loadConfig({}, []), streamName: 'BENCH' };
    const nats = await connectNats(servers.urls.nats, 'bench', createLog('bench', 'warn'));
    await ensureUsageStream(nats, config, systemClock);
    const { streamName, publishTimeoutMs: timeoutMs, publishAttemptsMax: attemptsMax } = config;
    const publish = createPublish(nats, {
      streamName,
      timeoutMs,
      attemptsMax,
      mayPublish: () => true,
      onNoStream: () => {},
    });
    const body = randomBytes(messageBytes);
    try {
      return await measureStage({ seconds, lanes: inFlight, pids: [pidOf(servers, 'nats')] }, async () => {
        await publish({ id: randomUUID(), body });
        return eventsPerMessage;
      });
    } finally {
      await (await nats.manager()).streams.delete(streamName);
      await nats.close();
    }
  },
});
