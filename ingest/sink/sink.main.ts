import { systemClock } from '#platform/process/clock.ts';
import { createFailPoint } from '#platform/process/fail-point.ts';
import { countBuffersWithHeap } from '#platform/process/heap.ts';
import { runWorker } from '#platform/start/run-worker.ts';
import { failAtStore } from '../fail-points.ts';
import { ensureUsageStream } from '../stream/ensure-stream.nats.ts';
import { createAnnounce, createDeadLetter, createReadStreamState, subscribe } from '../stream/usage-stream.nats.ts';
import { observeSink, observeStream, observeWaiting, traceInserts } from './observe-sink.ts';
import { startSink } from './sink.ts';
import { createInsert } from './usage-store.clickhouse.ts';

/**
 * A server that is gone without a word is given up after this; what it may have stored is stored once, by its token.
 */
const insertTimeoutMs = 30_000;
const options = { clickhouse: { requestTimeoutMs: insertTimeoutMs, connectionsMax: 4 } };

countBuffersWithHeap();

await runWorker('sink', options, async ({ config, log, metrics, tracer, nats, clickhouse }) => {
  await ensureUsageStream(nats, config, systemClock);
  observeStream(metrics, createReadStreamState(nats, config.streamName));
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
        announce: createAnnounce(nats, config.streamName),
        clock: systemClock,
        report: observeSink(metrics, log),
      },
      createFailPoint(config.failPoint),
    ),
  );
  // A sink that ends by itself is a bug: the process ends, and a fresh one takes up what was not acknowledged.
  sink.done.catch((error) => process.emit('uncaughtException', error));
  observeWaiting(metrics, sink);
  return { close: sink.stop, waitingMs: sink.waitingMs };
});
