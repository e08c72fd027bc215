/**
 * What is measured, logged and traced of the sink, apart from the use case. Once per batch or message and never per
 * event.
 */
import type { Log } from '#platform/process/log.ts';
import {
  latencySeconds,
  type Metrics,
  powersOfTen,
  sharedRead,
  sizeBytes,
  workSeconds,
} from '#platform/process/metrics.ts';
import type { Span, Tracer } from '#platform/process/tracing.ts';
import type { StreamMessage, StreamState } from '../stream/usage-stream.nats.ts';
import type { Sink, SinkPorts } from './sink.ts';

/** A batch may come from thousands of requests; a line names so many of them, and how many there are. */
const requestIdsMax = 20;

const requestsOf = (
  messages: readonly StreamMessage[],
): { readonly request_ids: string[]; readonly requests: number } => {
  const ids = new Set(messages.flatMap(({ requestId }) => requestId?.split(',') ?? []));
  return { request_ids: [...ids].slice(0, requestIdsMax), requests: ids.size };
};

/** Every message is a span of its own request's trace, so that each trace shows its events until they are stored. */
export const traceInserts =
  (insert: SinkPorts['insert'], tracer: Tracer): SinkPorts['insert'] =>
  async (messages) => {
    const spans = messages.flatMap(({ traceparent, requestId, sequence }): Span[] => {
      if (traceparent === undefined) return [];
      const attributes = {
        sequence,
        batch_messages: messages.length,
        ...(requestId === undefined ? {} : { request_id: requestId }),
      };
      return [tracer.start('insert', { parent: traceparent, kind: 'consumer', attributes })];
    });
    try {
      await insert(messages);
      for (const span of spans) span.end();
    } catch (error) {
      for (const span of spans) span.end(undefined, error);
      throw error;
    }
  };

export const observeSink = (metrics: Metrics, log: Log): SinkPorts['report'] => {
  const rows = metrics.counter('millrace_sink_rows_total', 'Rows stored in ClickHouse');
  const messages = metrics.counter('millrace_sink_messages_total', 'Stream messages stored in ClickHouse');
  const deadLetters = metrics.counter('millrace_sink_dead_letters_total', 'Stream messages put aside as unreadable');
  const retries = metrics.counter('millrace_sink_retries_total', 'Inserts that have to be tried again');
  const inserts = metrics.histogram('millrace_sink_insert_seconds', 'Time of one insert', latencySeconds);
  const insertRows = metrics.histogram('millrace_sink_insert_rows', 'Rows of one insert', powersOfTen);
  const insertBytes = metrics.histogram('millrace_sink_insert_bytes', 'Bytes of one insert', sizeBytes);
  const lag = metrics.histogram(
    'millrace_sink_lag_seconds',
    'From the stream to queryable, of the oldest event of an insert',
    workSeconds,
  );
  return {
    stored: (batch, insertMs, lagMs) => {
      rows.inc(batch.rows);
      messages.inc(batch.messages.length);
      inserts.observe(insertMs / 1000);
      insertRows.observe(batch.rows);
      insertBytes.observe(batch.bytes);
      lag.observe(lagMs / 1000);
      if (!log.isLevelEnabled('debug')) return;
      log.debug(
        { rows: batch.rows, messages: batch.messages.length, insertMs, lagMs, ...requestsOf(batch.messages) },
        'stored',
      );
    },
    waiting: (error, waitMs) => {
      retries.inc();
      log.warn({ err: error, waitMs }, 'ClickHouse did not store a batch; it is tried again');
    },
    deadLettered: ({ sequence, requestId }, reason) => {
      deadLetters.inc();
      log.error({ sequence, request_id: requestId, reason }, 'a stream message is unreadable and was put aside');
    },
  };
};

export const observeWaiting = (metrics: Metrics, { waitingMs }: Sink): void =>
  metrics.gaugeOf(
    'millrace_sink_waiting_seconds',
    'How long the oldest message that the sink holds and has not stored yet has waited in the stream',
    () => waitingMs() / 1000,
  );

/** Asked at each scrape and not at each delivery: a sink that stands still would go on showing the last number. */
export const observeStream = (metrics: Metrics, read: () => Promise<StreamState>): void => {
  const state = sharedRead(read);
  const gauge = (name: string, help: string, of: (state: StreamState) => number) =>
    metrics.gaugeOf(name, help, async () => of(await state()));
  gauge('millrace_sink_behind_messages', 'Stream messages that no sink has fetched yet', ({ waiting }) => waiting);
  gauge(
    'millrace_sink_held_messages',
    'Stream messages that sinks fetched and have not stored yet',
    ({ held }) => held,
  );
  gauge('millrace_stream_messages', 'Messages in the stream, stored ones included', ({ messages }) => messages);
  gauge('millrace_stream_bytes', 'Bytes in the stream', ({ bytes }) => bytes);
  gauge(
    'millrace_stream_bytes_max',
    'Bytes that the stream may hold; a full stream refuses new events',
    ({ bytesMax }) => bytesMax,
  );
  gauge(
    'millrace_stream_dead_letters',
    'Messages that lie aside as unreadable until somebody re-drives them',
    ({ deadLetters }) => deadLetters,
  );
};
