/**
 * What is measured, logged and traced of the ports of ingest, apart from the use case. Once per call of a port and
 * never per event.
 */
import { stopwatch } from '#platform/process/clock.ts';
import { latencySeconds, type Metrics, sizeBytes } from '#platform/process/metrics.ts';
import { inSpan, type Tracer } from '#platform/process/tracing.ts';
import { claimBytes } from '../parse/event-block.ts';
import { type AcceptPorts, PublishError } from './accept-events.ts';

type Line = (fields: object, words: string) => void;

/** As Fastify has it: its log names the request in every line. */
export type ObservedRequest = {
  readonly id: string;
  readonly traceparent: string | undefined;
  readonly log: { readonly debug: Line; readonly warn: Line };
};

/**
 * The ports for one request, or for several that are taken together: what is published names them, and says whether
 * they are a backfill.
 */
export type PortsOfRequests = (requests: readonly ObservedRequest[], isBackfill: boolean) => AcceptPorts;

/** A message names so many of its requests. */
const requestIdsMax = 20;

export const observeAccept = (ports: AcceptPorts, metrics: Metrics, tracer: Tracer): PortsOfRequests => {
  const claiming = metrics.histogram(
    'millrace_ingest_claim_seconds',
    'Time to claim the keys of a request in Redis',
    latencySeconds,
  );
  const publishing = metrics.histogram(
    'millrace_ingest_publish_seconds',
    'Time until the stream acknowledged a message, with its tries',
    latencySeconds,
  );
  const bytes = metrics.histogram(
    'millrace_ingest_message_bytes',
    'Bytes of one stream message of packed events',
    sizeBytes,
  );
  const faults = metrics.counter(
    'millrace_ingest_publish_faults_total',
    'Messages that the stream did not acknowledge; `stored` says whether it may have them all the same',
    ['stored'],
  );
  for (const stored of ['no', 'maybe']) faults.labels(stored).inc(0);

  return (requests, isBackfill) => {
    const { log } = requests[0] as ObservedRequest;
    const requestId = requests
      .slice(0, requestIdsMax)
      .map(({ id }) => id)
      .join(',');
    const traceparent = requests.find((request) => request.traceparent !== undefined)?.traceparent;
    const noteFault = (error: unknown, words: string): void => {
      if (!(error instanceof PublishError)) return;
      faults.labels(error.mayBeStored ? 'maybe' : 'no').inc();
      log.warn({ err: error }, words);
    };
    return {
      claims: {
        ...ports.claims,
        claim: async (records, assignedMs) => {
          const elapsedMs = stopwatch();
          const span = tracer.start('claim', {
            parent: traceparent,
            kind: 'client',
            attributes: { keys: records.length / claimBytes },
          });
          const answer = await ports.claims.claim(records, assignedMs).catch((error: unknown) => {
            span.end(undefined, error);
            noteFault(error, 'events were not claimed');
            throw error;
          });
          span.end(undefined, answer === undefined ? 'unclaimed' : undefined);
          claiming.observe(elapsedMs() / 1000);
          return answer;
        },
      },
      publish: (message) =>
        inSpan(
          tracer,
          'publish',
          { parent: traceparent, kind: 'producer', attributes: { bytes: message.body.length } },
          async (span) => {
            const elapsedMs = stopwatch();
            try {
              const sequence = await ports.publish({
                ...message,
                requestId,
                isBackfill,
                traceparent: span.traceparent,
              });
              log.debug({ sequence, bytes: message.body.length }, 'published');
              return sequence;
            } catch (error) {
              noteFault(error, 'a message was not published');
              throw error;
            } finally {
              publishing.observe(elapsedMs() / 1000);
              bytes.observe(message.body.length);
            }
          },
        ),
    };
  };
};
