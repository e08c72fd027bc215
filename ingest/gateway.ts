/** The ingest gateway's HTTP face, without listen: admission, the answer per event, and the rule when an answer may be 2xx. */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import type { Clock } from '#platform/clock.ts';
import { documentRoutes } from '#platform/docs.ts';
import { type GuardPorts, guardRoutes } from '#platform/guard.ts';
import { createHttpApp, type HttpOptions } from '#platform/http.ts';
import { powersOfTen, sizeBytes } from '#platform/metrics.ts';
import { noTracer } from '#platform/tracing.ts';
import { FailureError } from '#schemas/failures.ts';
import { type AcceptPorts, acceptEvents, type PackLimits, statuses } from './accept-events.ts';
import { answerOf, countsOf } from './answer.ts';
import { joinRequests } from './join-requests.ts';
import { type ObservedRequest, observeAccept } from './observe-accept.ts';
import { eventsOperation, ingestInfo } from './openapi.ts';
import { BlockWriter, type EventBlock } from './parse/event-block.ts';
import { type Seeds, seedsOf } from './parse/key-hash.ts';
import { type Horizon, parseNativeBody } from './parse/native.ts';

export type GatewayOptions = HttpOptions & {
  readonly clock: Clock;
  readonly guard: GuardPorts;
  readonly ports: AcceptPorts;
  /** Under which idempotency keys are hashed; all gateways of an installation share it. */
  readonly claimSecret: string;
  readonly limits: PackLimits & {
    readonly pastMsMax: number;
    readonly futureMsMax: number;
    readonly eventsMax: number;
    readonly inFlightBytesMax: number;
  };
};

export type Gateway = {
  readonly app: FastifyInstance;
  /** Resolves once no confirmation is under way. */
  readonly drained: () => Promise<void>;
};

/** Requests of fewer events are taken together where they come together. */
const joinedRowsMax = 50;
const joinedGroupsMax = 2;

/** The seeds of the organizations that were seen last. */
const createSeeds = (secret: string): ((tenant: string) => Seeds) => {
  const known = new Map<string, Seeds>();
  const tenantsMax = 10_000;
  return (tenant) => {
    const seeds = known.get(tenant) ?? seedsOf(secret, tenant);
    if (known.size >= tenantsMax) known.clear();
    known.set(tenant, seeds);
    return seeds;
  };
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
  for (const outcome of statuses) events.labels(outcome).inc(0);
  const requestBytes = metrics.histogram('millrace_ingest_request_bytes', 'Bytes of one request body', sizeBytes);
  const requestEvents = metrics.histogram('millrace_ingest_request_events', 'Events of one request', powersOfTen);
  const portsOf = observeAccept(ports, metrics, options.tracer ?? noTracer);

  let inFlightBytes = 0;
  const confirmations = new Set<Promise<unknown>>();
  const seedsFor = createSeeds(options.claimSecret);

  const take = joinRequests<ObservedRequest>({
    rowsMax: joinedRowsMax,
    groupsMax: joinedGroupsMax,
    groupRowsMax: limits.messageEventsMax,
    accept: async (joined) => {
      const receivedAtMs = Math.max(...joined.map((one) => one.receivedAtMs));
      const accepted = await acceptEvents(
        joined.map(({ block }) => block),
        receivedAtMs,
        limits,
        portsOf(joined.map(({ request }) => request)),
      );
      const settled = accepted.confirmed.finally(() => confirmations.delete(settled));
      confirmations.add(settled);
      return accepted;
    },
  });

  const readEvents = (request: FastifyRequest, body: Buffer): { readonly block: EventBlock; readonly receivedAtMs: number } => {
    const receivedAtMs = clock.nowMs();
    const tenant = request.caller.organizationId;
    const horizon: Horizon = { nowMs: receivedAtMs, pastMsMax: limits.pastMsMax, futureMsMax: limits.futureMsMax };
    // Rows are a little shorter than the JSON that they come from.
    const writer = new BlockWriter({ tenant, seeds: seedsFor(tenant), receivedAtMs }, body.length);
    const parsed = parseNativeBody(body, writer, horizon, limits.eventsMax);
    if (parsed.kind === 'malformed') throw new FailureError('MALFORMED_BODY', parsed.reason);
    if (parsed.kind === 'too_many')
      throw new FailureError('TOO_MANY_EVENTS', `${parsed.events} events; the limit is ${limits.eventsMax} a request`);
    return { block: writer.done(), receivedAtMs };
  };

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
      const body = request.body ?? Buffer.alloc(0);
      const { block, receivedAtMs } = readEvents(request, body);
      requestBytes.observe(body.length);
      requestEvents.observe(block.total);
      const { outcomes, unclaimed } = await take({ block, receivedAtMs, request });
      if (unclaimed) degraded.inc();
      const counts = countsOf(outcomes);
      for (const status of statuses) if (counts[status] > 0) events.labels(status).inc(counts[status]);
      request.log.debug({ organization_id: block.tenant, ...counts }, 'events');
      const answer = answerOf(block, outcomes, counts, request.id, request.query.results === 'all');
      reply.code(answer.status);
      if (answer.status === 503) reply.header('retry-after', '1');
      reply.failureCode = answer.code;
      reply.type(answer.code === undefined ? 'application/json; charset=utf-8' : 'application/problem+json');
      return answer.body;
    },
  );
  return {
    app,
    drained: async () => {
      while (confirmations.size > 0) await Promise.all(confirmations);
    },
  };
};
