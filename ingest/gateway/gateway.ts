/**
 * The ingest gateway without listen: how requests are read, taken together, counted and measured. Its routes are in
 * events-routes.ts.
 */
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { type GuardPorts, guardRoutes } from '#platform/access/guard.ts';
import { documentRoutes } from '#platform/http/docs.ts';
import { createHttpApp, type HttpOptions } from '#platform/http/http.ts';
import type { Clock } from '#platform/process/clock.ts';
import { powersOfTen, sizeBytes } from '#platform/process/metrics.ts';
import { noTracer } from '#platform/process/tracing.ts';
import { FailureError } from '#schemas/failures.ts';
import { isBinaryMode } from '../parse/cloudevents.ts';
import { type AcceptPorts, acceptEvents, type PackLimits, statuses } from './accept-events.ts';
import { countsOf } from './answer.ts';
import type { Conservation } from './conservation.ts';
import { eventsRoutes, type Take } from './events-routes.ts';
import { lineType, mediaTypes, otherJsonTypes } from './formats.ts';
import { createInFlight } from './in-flight.ts';
import { joinRequests } from './join-requests.ts';
import { type ObservedRequest, observeAccept } from './observe-accept.ts';
import { ingestInfo } from './openapi.ts';
import { type Incoming, readRaw } from './read-body.ts';
import { createReadRequest, isBackfill } from './read-request.ts';
import { createReceiptSigner } from './receipts.ts';

export type GatewayOptions = HttpOptions & {
  readonly clock: Clock;
  readonly guard: GuardPorts;
  readonly ports: AcceptPorts;
  readonly conservation: Pick<Conservation, 'count'>;
  /**
   * Under which idempotency keys are hashed, and from which the key of receipts is derived; all gateways of an
   * installation share it.
   */
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
const joinedRowsMax = 500;
const joinedGroupsMax = 2;

const takenTypes = `Taken are ${Object.keys(mediaTypes).join(', ')}, and with the headers of a CloudEvent data of a type that ends in +json, or of none`;

/** The body stays as bytes until we read it: our own readers find all faults and keep the digits of numbers. */
const keepBodies = (app: FastifyInstance, bodyBytesMax: number): void => {
  app.removeAllContentTypeParsers();
  const wholeTypes = Object.keys(mediaTypes).filter((type) => type !== lineType);
  const keepWhole = async (request: FastifyRequest, body: Buffer): Promise<Buffer> => {
    request.rawBody = body;
    return body;
  };
  app.addContentTypeParser(wholeTypes, { parseAs: 'buffer' }, keepWhole);
  app.addContentTypeParser(otherJsonTypes, { parseAs: 'buffer' }, keepWhole);
  const keepRaw = async (request: FastifyRequest, payload: Incoming): Promise<Buffer> =>
    keepWhole(request, await readRaw(payload, bodyBytesMax));
  // The headers of a CloudEvent say what it is, and its data is JSON: the official client for Python names no type by
  // itself.
  app.addContentTypeParser('*', async (request: FastifyRequest, payload: IncomingMessage) => {
    if (request.headers['content-type'] !== undefined || !isBinaryMode(request.headers))
      throw new FailureError('UNSUPPORTED_MEDIA_TYPE', takenTypes);
    return keepRaw(request, payload);
  });
  // Lines are read by their route, as they come. A signature is over all of them: then they are read before, as any
  // other body.
  app.addContentTypeParser(lineType, async (request: FastifyRequest, payload: IncomingMessage) => {
    if (request.caller?.signingSecret !== undefined) await keepRaw(request, payload);
  });
};

const observeRequests = ({ metrics, limits }: GatewayOptions) => {
  const events = metrics.counter('millrace_ingest_events_total', 'Events by outcome', ['outcome']);
  for (const outcome of statuses) events.labels(outcome).inc(0);
  metrics
    .gauge('millrace_ingest_in_flight_bytes_max', 'Bytes of request bodies above which requests are refused')
    .set(limits.inFlightBytesMax);
  return {
    events,
    degraded: metrics.counter(
      'millrace_ingest_unclaimed_requests_total',
      'Requests that were taken without claims because Redis was away',
    ),
    inFlight: metrics.gauge('millrace_ingest_in_flight_bytes', 'Bytes of request bodies that are being worked on'),
    requestBytes: metrics.histogram('millrace_ingest_request_bytes', 'Bytes of one request body', sizeBytes),
    requestEvents: metrics.histogram('millrace_ingest_request_events', 'Events of one request', powersOfTen),
  };
};

export const createGateway = (options: GatewayOptions): Gateway => {
  const { metrics, limits, clock, bodyBytesMax } = options;
  const app = createHttpApp(options);
  documentRoutes(app, ingestInfo);
  guardRoutes(app, options.guard);
  keepBodies(app, bodyBytesMax);
  const observed = observeRequests(options);
  const portsOf = observeAccept(options.ports, metrics, options.tracer ?? noTracer);
  const confirmations = new Set<Promise<unknown>>();

  const takeTogether = joinRequests<ObservedRequest>({
    rowsMax: joinedRowsMax,
    groupsMax: joinedGroupsMax,
    groupRowsMax: limits.messageEventsMax,
    accept: async (joined) => {
      const receivedAtMs = Math.max(...joined.map((one) => one.receivedAtMs));
      const ports = portsOf(
        joined.map(({ request }) => request),
        joined[0]?.isBackfill === true,
      );
      const blocks = joined.map(({ block }) => block);
      const accepted = await acceptEvents(blocks, receivedAtMs, limits, ports);
      const settled = accepted.confirmed.finally(() => confirmations.delete(settled));
      confirmations.add(settled);
      return accepted;
    },
  });

  const take: Take = async (request, { block, receivedAtMs }) => {
    const { outcomes, unclaimed } = await takeTogether({
      block,
      receivedAtMs,
      isBackfill: isBackfill(request),
      request,
    });
    if (unclaimed) observed.degraded.inc();
    const counts = countsOf(outcomes);
    options.conservation.count(block, receivedAtMs, counts);
    for (const status of statuses) if (counts[status] > 0) observed.events.labels(status).inc(counts[status]);
    request.log.debug({ organization_id: block.tenant, ...counts }, 'events');
    return { outcomes, counts };
  };

  eventsRoutes(app, {
    take,
    bodyBytesMax,
    eventsMax: limits.eventsMax,
    nowMs: clock.nowMs,
    read: createReadRequest({ clock, bodyBytesMax, claimSecret: options.claimSecret, ...limits }),
    receipts: createReceiptSigner(options.claimSecret),
    holdBytes: createInFlight(limits.inFlightBytesMax, (bytes) => observed.inFlight.set(bytes)),
    observe: ({ bytes, events }) => {
      if (bytes !== undefined) observed.requestBytes.observe(bytes);
      observed.requestEvents.observe(events);
    },
  });
  return {
    app,
    drained: async () => {
      while (confirmations.size > 0) await Promise.all(confirmations);
    },
  };
};
