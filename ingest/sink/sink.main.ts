import { loadConfig, secretsOf } from '#platform/config/config.ts';
import { createHttpApp, listen } from '#platform/http/http.ts';
import { serverBoundsOf } from '#platform/http/http-server.ts';
import { systemClock } from '#platform/process/clock.ts';
import { createFailPoint } from '#platform/process/fail-point.ts';
import { countBuffersWithHeap } from '#platform/process/heap.ts';
import { createLog } from '#platform/process/log.ts';
import { createMetrics } from '#platform/process/metrics.ts';
import { createTracer } from '#platform/process/tracing.ts';
import { orExit, runProcess } from '#platform/start/lifecycle.ts';
import { clickHouseAnswers, connectClickHouse } from '#platform/stores/clickhouse.ts';
import { connectNats } from '#platform/stores/nats.ts';
import { failAtStore } from '../fail-points.ts';
import { ensureUsageStream } from '../stream/ensure-stream.nats.ts';
import { createDeadLetter, createReadStreamState, subscribe } from '../stream/usage-stream.nats.ts';
import { observeSink, observeStream, traceInserts } from './observe-sink.ts';
import { startSink } from './sink.ts';
import { createInsert } from './usage-store.clickhouse.ts';

/**
 * A server that is gone without a word is given up after this; what it may have stored is stored once, by its token.
 */
const insertTimeoutMs = 30_000;

countBuffersWithHeap();
const config = orExit(() => loadConfig(process.env, ['natsUrl', 'clickhouseUrl']));
const log = createLog('sink', config.logLevel, secretsOf(config));

await runProcess(log, config.shutdownMsMax, async () => {
  const metrics = createMetrics();
  const tracer = await createTracer(config.otelTracesUrl, 'sink', log);
  const nats = await connectNats(config.natsUrl, 'sink', log);
  await ensureUsageStream(nats, config, systemClock);
  observeStream(metrics, createReadStreamState(nats, config.streamName));
  const clickhouse = connectClickHouse(config.clickhouseUrl, { requestTimeoutMs: insertTimeoutMs, connectionsMax: 4 });
  const sink = await startSink(
    {
      rowsMax: config.sinkRowsMax,
      bytesMax: config.sinkBytesMax,
      ageMsMax: config.sinkAgeMsMax,
      insertsMax: config.sinkInsertsMax,
    },
    failAtStore(
      {
        // Messages are as large as the gateways pack them, so this many are about one insert.
        subscribe: () =>
          subscribe(nats, config.streamName, Math.max(1, Math.floor(config.sinkBytesMax / config.messageBytesMax))),
        insert: traceInserts(createInsert(clickhouse), tracer),
        deadLetter: createDeadLetter(nats, config.streamName),
        clock: systemClock,
        report: observeSink(metrics, log),
      },
      createFailPoint(config.failPoint),
    ),
  );
  // A sink that ends by itself is a bug: the process ends, and a fresh one takes up what was not acknowledged.
  sink.done.catch((error) => process.emit('uncaughtException', error));

  const app = createHttpApp({
    log,
    metrics,
    bodyBytesMax: 1024,
    bounds: serverBoundsOf(config, log),
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
      await tracer.close();
    },
  };
});
