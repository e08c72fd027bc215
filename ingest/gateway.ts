/** The ingest gateway's HTTP face, without listen: admission, the answer per event, and the rule when an answer may be 2xx. */
import type { FastifyInstance } from 'fastify';
import type { Clock } from '#platform/clock.ts';
import { documentRoutes } from '#platform/docs.ts';
import { type GuardPorts, guardRoutes } from '#platform/guard.ts';
import { createHttpApp, type HttpOptions } from '#platform/http.ts';
import { powersOfTen, sizeBytes } from '#platform/metrics.ts';
import { type Part, parts } from '#platform/retry.ts';
import { noTracer } from '#platform/tracing.ts';
import { type FailureCode, FailureError, type Fault, toProblem } from '#schemas/failures.ts';
import { type AcceptLimits, type AcceptPorts, acceptEvents, type Outcome, type Status } from './accept-events.ts';
import { observeAccept } from './observe-accept.ts';
import { eventsOperation, ingestInfo } from './openapi.ts';
import { parseNativeBody } from './parse/native.ts';

export type GatewayOptions = HttpOptions & {
  readonly clock: Clock;
  readonly guard: GuardPorts;
  readonly ports: AcceptPorts;
  readonly limits: AcceptLimits & { readonly eventsMax: number; readonly inFlightBytesMax: number };
};

export type Gateway = {
  readonly app: FastifyInstance;
  /** Resolves once no confirmation is under way. */
  readonly drained: () => Promise<void>;
};

/** Faults of one answer are listed up to here; the rest is counted. */
const faultsMax = 1_000;

const counted = (outcomes: readonly Outcome[]): Record<Status, number> => {
  const counts: Record<Status, number> = {
    accepted: 0,
    duplicate: 0,
    conflict: 0,
    invalid: 0,
    too_old: 0,
    in_future: 0,
    unavailable: 0,
    in_flight: 0,
  };
  for (const { status } of outcomes) counts[status] += 1;
  return counts;
};

type Result = {
  readonly index: number;
  readonly idempotency_key: string | null;
  readonly status: Status;
  readonly errors: readonly Fault[];
};

const toResult = ({ index, idempotencyKey, status, faults }: Outcome): Result => ({
  index,
  idempotency_key: idempotencyKey ?? null,
  status,
  errors: faults,
});

/** The parts that keep events from being taken: the fields of the faults of `unavailable`. */
const partsDown = (outcomes: readonly Outcome[]): Part[] => [
  ...new Set(outcomes.filter(({ status }) => status === 'unavailable').flatMap(({ faults }) => faults.map(({ field }) => field as Part))),
];

type Answer = { readonly status: number; readonly code: FailureCode | undefined; readonly body: object };

/**
 * The answer to a request. 2xx only if every event has a final outcome and at least one is taken: a client that looks at the status alone
 * must never drop usage. 503: send all of it again, unchanged. 422 or 409: nothing was taken, and sending it again will not help.
 */
const answerOf = (outcomes: readonly Outcome[], counts: Record<Status, number>, requestId: string, everyResult: boolean): Answer => {
  const taken = counts.accepted + counts.duplicate;
  const summary = {
    accepted: counts.accepted,
    duplicates: counts.duplicate,
    conflicts: counts.conflict,
    rejected: counts.invalid + counts.too_old + counts.in_future,
    results: outcomes.filter(({ status }) => everyResult || status !== 'accepted').map(toResult),
  };
  const faults = outcomes
    .filter(({ status }) => status !== 'accepted' && status !== 'duplicate')
    .flatMap((outcome) =>
      outcome.faults.map((fault) => ({ ...fault, field: `events[${outcome.index}]${fault.field ? `.${fault.field}` : ''}` })),
    )
    .slice(0, faultsMax);
  if (counts.unavailable > 0 || counts.in_flight > 0) {
    const down = partsDown(outcomes);
    const code = down.length > 0 ? 'DEPENDENCY_UNAVAILABLE' : 'EVENTS_NOT_FINAL';
    const detail = down.length > 0 ? `${down.map((part) => parts[part]).join(' and ')} is not available` : undefined;
    return { status: 503, code, body: { ...toProblem(code, requestId, detail, faults), ...summary } };
  }
  if (outcomes.length === 0 || taken > 0) return { status: 200, code: undefined, body: summary };
  const code = counts.conflict === outcomes.length ? 'IDEMPOTENCY_CONFLICT' : 'EVENTS_REJECTED';
  const problem = toProblem(code, requestId, undefined, faults);
  return { status: problem.status, code, body: { ...problem, ...summary } };
};

export const createGateway = (options: GatewayOptions): Gateway => {
  const { metrics, limits, ports, clock } = options;
  const app = createHttpApp(options);
  documentRoutes(app, ingestInfo);
  guardRoutes(app, options.guard);
  const events = metrics.counter('millrace_ingest_events_total', 'Events by outcome', ['outcome']);
  const degraded = metrics.counter(
    'millrace_ingest_unclaimed_requests_total',
    'Requests that were taken without claims because Redis was away',
  );
  const inFlight = metrics.gauge('millrace_ingest_in_flight_bytes', 'Bytes of request bodies that are being worked on');
  metrics
    .gauge('millrace_ingest_in_flight_bytes_max', 'Bytes of request bodies above which requests are refused')
    .set(limits.inFlightBytesMax);
  for (const outcome of Object.keys(counted([]))) events.labels(outcome).inc(0);
  const requestBytes = metrics.histogram('millrace_ingest_request_bytes', 'Bytes of one request body', sizeBytes);
  const requestEvents = metrics.histogram('millrace_ingest_request_events', 'Events of one request', powersOfTen);
  const portsOf = observeAccept(ports, metrics, options.tracer ?? noTracer);

  let inFlightBytes = 0;
  const confirmations = new Set<Promise<unknown>>();

  // The body stays as bytes until we read it: our own reader finds all faults and keeps the digits of numbers.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    request.rawBody = body as Buffer;
    done(null, body);
  });

  app.post<{ Querystring: { results?: string }; Body: Buffer | undefined }>(
    '/v1/events',
    {
      config: { scope: 'write:events', rateClass: 'events', operation: eventsOperation(limits.eventsMax) },
      schema: { querystring: { type: 'object', properties: { results: { enum: ['all'] } }, additionalProperties: false } },
      // Admission stands before the body is read: a body that is refused costs no memory.
      onRequest: async (request, reply) => {
        const bytes = Number(request.headers['content-length'] ?? options.bodyBytesMax);
        if (bytes > options.bodyBytesMax) throw new FailureError('BODY_TOO_LARGE', `${bytes} bytes; the limit is ${options.bodyBytesMax}`);
        if (inFlightBytes + bytes > limits.inFlightBytesMax) throw new FailureError('OVERLOADED');
        // Who hung up while the key was looked up closed the answer already; nothing would give these bytes back.
        if (reply.raw.destroyed) throw new FailureError('BAD_REQUEST', 'The caller is gone');
        inFlightBytes += bytes;
        inFlight.set(inFlightBytes);
        reply.raw.once('close', () => {
          inFlightBytes -= bytes;
          inFlight.set(inFlightBytes);
        });
      },
    },
    async (request, reply) => {
      const parsed = parseNativeBody(request.body ?? Buffer.alloc(0));
      if (parsed.kind === 'malformed') throw new FailureError('MALFORMED_BODY', parsed.reason);
      if (parsed.events.length > limits.eventsMax) {
        throw new FailureError('TOO_MANY_EVENTS', `${parsed.events.length} events; the limit is ${limits.eventsMax} a request`);
      }
      const { outcomes, confirmed, unclaimed } = await acceptEvents(
        parsed.events,
        request.caller.organizationId,
        clock.nowMs(),
        limits,
        portsOf(request),
      );
      requestBytes.observe(request.body?.length ?? 0);
      requestEvents.observe(parsed.events.length);
      const settled = confirmed.finally(() => confirmations.delete(settled));
      confirmations.add(settled);
      if (unclaimed) degraded.inc();
      const counts = counted(outcomes);
      for (const [outcome, count] of Object.entries(counts)) if (count > 0) events.labels(outcome).inc(count);
      request.log.debug({ organization_id: request.caller.organizationId, ...counts }, 'events');
      const { status, code, body } = answerOf(outcomes, counts, request.id, request.query.results === 'all');
      reply.code(status);
      if (status === 503) reply.header('retry-after', '1');
      reply.failureCode = code;
      if (code !== undefined) reply.type('application/problem+json');
      return body;
    },
  );
  return {
    app,
    drained: async () => {
      while (confirmations.size > 0) await Promise.all(confirmations);
    },
  };
};
