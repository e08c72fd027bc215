import { clickHouseAnswers, connectClickHouse } from '#platform/clickhouse.ts';
import { systemClock } from '#platform/clock.ts';
import { loadConfig, secretsOf } from '#platform/config.ts';
import { createFailPoint } from '#platform/fail-point.ts';
import { countBuffersWithHeap } from '#platform/heap.ts';
import { createHttpApp, listen } from '#platform/http.ts';
import { serverBoundsOf } from '#platform/http-server.ts';
import { orExit, runProcess } from '#platform/lifecycle.ts';
import { createLog } from '#platform/log.ts';
import { createMetrics } from '#platform/metrics.ts';
import { connectNats } from '#platform/nats.ts';
import { createTracer } from '#platform/tracing.ts';
import { ensureUsageStream } from './ensure-stream.nats.ts';
import { failAtStore } from './fail-points.ts';
import { observeSink, observeStream, traceInserts } from './observe-sink.ts';
import { startSink } from './sink.ts';
import { createInsert } from './usage-store.clickhouse.ts';
import { createDeadLetter, createReadStreamState, subscribe } from './usage-stream.nats.ts';

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
