import { clickHouseAnswers, connectClickHouse } from '#platform/clickhouse.ts';
import { systemClock } from '#platform/clock.ts';
import { loadConfig } from '#platform/config.ts';
import { createHttpApp, listen } from '#platform/http.ts';
import { orExit, runProcess } from '#platform/lifecycle.ts';
import { createLog } from '#platform/log.ts';
import { createMetrics, latencySeconds } from '#platform/metrics.ts';
import { connectNats } from '#platform/nats.ts';
import { startSink } from './sink.ts';
import { createInsert } from './usage-store.clickhouse.ts';
import { createDeadLetter, ensureUsageStream, subscribe } from './usage-stream.nats.ts';

const config = orExit(() => loadConfig(process.env, ['natsUrl', 'clickhouseUrl']));
const log = createLog('sink', config.logLevel);

await runProcess(log, config.shutdownMsMax, async () => {
  const metrics = createMetrics();
  const rows = metrics.counter('millrace_sink_rows_total', 'Rows stored in ClickHouse');
  const messages = metrics.counter('millrace_sink_messages_total', 'Stream messages stored in ClickHouse');
  const deadLetters = metrics.counter('millrace_sink_dead_letters_total', 'Stream messages put aside as unreadable');
  const retries = metrics.counter('millrace_sink_retries_total', 'Inserts that have to be tried again');
  const inserts = metrics.histogram('millrace_sink_insert_seconds', 'Time of one insert', latencySeconds);
  const lag = metrics.histogram(
    'millrace_sink_lag_seconds',
    'From the stream to queryable, of the oldest event of an insert',
    latencySeconds,
  );
  const behind = metrics.gauge('millrace_sink_behind_messages', 'Stream messages that wait to be delivered');

  const nats = await connectNats(config.natsUrl, 'sink', log);
  await ensureUsageStream(nats, config, systemClock);
  const clickhouse = connectClickHouse(config.clickhouseUrl, { requestTimeoutMs: 120_000, connectionsMax: 4 });
  const sink = await startSink(
    { rowsMax: config.sinkRowsMax, bytesMax: config.sinkBytesMax, ageMsMax: config.sinkAgeMsMax },
    {
      // Messages are as large as the gateways pack them, so this many are about one insert.
      subscribe: () => subscribe(nats, config.streamName, Math.max(1, Math.floor(config.sinkBytesMax / config.messageBytesMax))),
      insert: createInsert(clickhouse),
      deadLetter: createDeadLetter(nats, config.streamName),
      clock: systemClock,
      report: {
        stored: (storedRows, storedMessages, insertMs, lagMs) => {
          rows.inc(storedRows);
          messages.inc(storedMessages);
          inserts.observe(insertMs / 1000);
          lag.observe(lagMs / 1000);
          log.debug({ rows: storedRows, messages: storedMessages, insertMs, lagMs }, 'stored');
        },
        waiting: (error, waitMs) => {
          retries.inc();
          log.warn({ err: error, waitMs }, 'ClickHouse did not store a batch; it is tried again');
        },
        deadLettered: (sequence, reason) => {
          deadLetters.inc();
          log.error({ sequence, reason }, 'a stream message is unreadable and was put aside');
        },
        behind: (count) => behind.set(count),
      },
    },
  );
  // A sink that ends by itself is a bug: the process ends, and a fresh one takes up what was not acknowledged.
  sink.done.catch((error) => process.emit('uncaughtException', error));

  const app = createHttpApp({
    log,
    metrics,
    bodyBytesMax: 1024,
    health: [
      { name: 'nats', required: true, check: nats.answers },
      { name: 'clickhouse', required: true, check: () => clickHouseAnswers(clickhouse) },
    ],
  });
  const url = await listen(app, config.host, config.sinkPort);
  return {
    url,
    close: async () => {
      await sink.stop();
      await app.close();
      await nats.close();
      await clickhouse.close();
    },
  };
});
