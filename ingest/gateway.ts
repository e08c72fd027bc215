/** The ingest gateway's HTTP face, without listen: admission, the answer per event, and the rule when an answer may be 2xx. */
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Clock } from '#platform/clock.ts';
import { documentRoutes } from '#platform/docs.ts';
import { type GuardPorts, guardRoutes } from '#platform/guard.ts';
import { createHttpApp, type HttpOptions } from '#platform/http.ts';
import { powersOfTen, sizeBytes } from '#platform/metrics.ts';
import type { Operation } from '#platform/openapi.ts';
import { noTracer } from '#platform/tracing.ts';
import { FailureError } from '#schemas/failures.ts';
import { type AcceptPorts, acceptEvents, type Outcomes, type PackLimits, statuses } from './accept-events.ts';
import {
  type Answer,
  type Asked,
  addToTally,
  answerOf,
  answerOfTally,
  type Counts,
  countsOf,
  judged,
  lastLineOf,
  newTally,
  validationOf,
} from './answer.ts';
import type { Conservation } from './conservation.ts';
import { type Encoding, encodings } from './decompress.ts';
import { Format, formatOf, lineType, mediaTypes } from './formats.ts';
import { createInFlight, type Hold } from './in-flight.ts';
import { joinRequests } from './join-requests.ts';
import { type ObservedRequest, observeAccept } from './observe-accept.ts';
import { eventsOperation, ingestInfo, validateOperation } from './openapi.ts';
import { BlockWriter } from './parse/event-block.ts';
import { type Seeds, seedsOf } from './parse/key-hash.ts';
import type { Horizon } from './parse/native.ts';
import { type LineBlock, LineReader, type OpenBlock } from './parse/ndjson.ts';
import { readAgain, readChunks, readRaw, unpacked } from './read-body.ts';
import { keyFieldOf, readAvro, readText } from './read-events.ts';
import { lineHoldBytes, lineLimits, takeLines } from './take-lines.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The room that its body has. */
    hold: Hold;
  }
}

export type GatewayOptions = HttpOptions & {
  readonly clock: Clock;
  readonly guard: GuardPorts;
  readonly ports: AcceptPorts;
  readonly conservation: Pick<Conservation, 'count'>;
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
const joinedRowsMax = 500;
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

type EventsRoute = { Querystring: { results?: string }; Body: Buffer | undefined };
type EventsRequest = FastifyRequest<EventsRoute>;
type Take = (request: FastifyRequest, block: LineBlock) => Promise<{ readonly outcomes: Outcomes; readonly counts: Counts }>;

const nothing = Buffer.alloc(0);

const encodingOf = (headers: FastifyRequest['headers']): Encoding | undefined => {
  const encoding = headers['content-encoding']?.toLowerCase();
  return encodings.find((one) => one === encoding);
};

const askedBy = ({ query, headers }: EventsRequest, format: Format): Asked => ({
  everyResult: query.results === 'all',
  keyField: keyFieldOf(format, headers),
});

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
  const readLimits = { eventsMax: limits.eventsMax, bodyBytesMax: options.bodyBytesMax };
  const requestEvents = metrics.histogram('millrace_ingest_request_events', 'Events of one request', powersOfTen);
  const portsOf = observeAccept(ports, metrics, options.tracer ?? noTracer);

  const holdBytes = createInFlight(limits.inFlightBytesMax, (bytes) => inFlight.set(bytes));
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

  const openBlock = (request: FastifyRequest, bytes: number): OpenBlock => {
    const receivedAtMs = clock.nowMs();
    const tenant = request.caller.organizationId;
    const horizon: Horizon = { nowMs: receivedAtMs, pastMsMax: limits.pastMsMax, futureMsMax: limits.futureMsMax };
    return { writer: new BlockWriter({ tenant, seeds: seedsFor(tenant), receivedAtMs }, bytes), horizon, receivedAtMs };
  };

  /** Takes the events of a block: the outcome of each, counted. */
  const takeBlock: Take = async (request, { block, receivedAtMs }) => {
    const { outcomes, unclaimed } = await take({ block, receivedAtMs, request });
    if (unclaimed) degraded.inc();
    const counts = countsOf(outcomes);
    options.conservation.count(block, receivedAtMs, counts);
    for (const status of statuses) if (counts[status] > 0) events.labels(status).inc(counts[status]);
    request.log.debug({ organization_id: block.tenant, ...counts }, 'events');
    return { outcomes, counts };
  };

  /** A body that is read as a whole, which all are but lines. */
  const readWhole = async (request: EventsRequest, format: Format): Promise<LineBlock> => {
    const raw = request.body ?? nothing;
    const encoding = encodingOf(request.headers);
    const body = encoding === undefined ? raw : await unpacked(raw, encoding, options.bodyBytesMax, request.hold);
    // Rows are a little shorter than the JSON that they come from.
    const open = openBlock(request, body.length);
    if (format === Format.avro) await readAvro(body, open, readLimits, request.hold);
    else readText(format, body, request.headers, open, readLimits);
    return { block: open.writer.done(), receivedAtMs: open.receivedAtMs };
  };

  /** Takes lines as they come. Returns what ended them early. */
  const readLines = async (request: EventsRequest, each: (block: LineBlock) => Promise<void>): Promise<FailureError | undefined> => {
    const bytes = Math.min(Number(request.headers['content-length'] ?? Number.POSITIVE_INFINITY), lineLimits.blockBytesMax / 4);
    const reader = new LineReader(() => openBlock(request, bytes), { ...lineLimits, eventsMax: limits.eventsMax });
    const encoding = encodingOf(request.headers);
    const { chunks, drain } = request.rawBody
      ? readAgain(request.rawBody, encoding, options.bodyBytesMax)
      : readChunks(request.raw, encoding, options.bodyBytesMax);
    const refused = await takeLines(chunks, reader, limits.eventsMax, each);
    if (refused) drain();
    return refused;
  };

  const send = (reply: FastifyReply, answer: Answer): string => {
    reply.code(answer.status);
    if (answer.status === 503) reply.header('retry-after', '1');
    reply.failureCode = answer.code;
    reply.type(answer.code === undefined ? 'application/json; charset=utf-8' : 'application/problem+json');
    return answer.body;
  };

  const answerLines = async (request: EventsRequest, reply: FastifyReply, asked: Asked): Promise<FastifyReply | string> => {
    const tally = newTally();
    // All that it may hold is bounded by the events of a request: it never waits for its reader, who may first want to send the rest.
    const lines = request.headers.accept?.includes(lineType) ? new Readable({ read: () => {} }) : undefined;
    let hasBegun = false;
    const begin = (): void => {
      if (!lines || hasBegun) return;
      hasBegun = true;
      reply.code(200).type(lineType).send(lines);
    };
    try {
      const refused = await readLines(request, async (block) => {
        const { outcomes, counts } = await takeBlock(request, block);
        const results = addToTally(tally, block.block, outcomes, counts, asked, lines === undefined);
        begin();
        for (const result of results) lines?.push(`${JSON.stringify(result)}\n`);
      });
      requestEvents.observe(tally.total);
      // Nothing was taken of it: it is a request that was refused like any other.
      if (refused && tally.total === 0) throw refused;
      if (!lines) return send(reply, answerOfTally(tally, request.id, refused));
      begin();
      const last = lastLineOf(tally, request.id, refused);
      reply.failureCode = last.code;
      lines.push(`${last.body}\n`);
      lines.push(null);
      return reply;
    } catch (error) {
      if (!hasBegun) throw error;
      // The answer has begun: that it ends without a last line says that it failed.
      request.log.error({ err: error }, 'bug: a request failed');
      lines?.destroy(error as Error);
      return reply;
    }
  };

  // The body stays as bytes until we read it: our own readers find all faults and keep the digits of numbers.
  app.removeAllContentTypeParsers();
  const wholeTypes = Object.keys(mediaTypes).filter((type) => type !== lineType);
  app.addContentTypeParser(wholeTypes, { parseAs: 'buffer' }, (request, body, done) => {
    request.rawBody = body as Buffer;
    done(null, body);
  });
  // Lines are read by their route, as they come. A signature is over all of them: then they are read before, as any other body.
  app.addContentTypeParser(lineType, (request, payload, done) => {
    if (request.caller?.signingSecret === undefined) return done(null);
    readRaw(payload, options.bodyBytesMax).then(
      (body) => {
        request.rawBody = body;
        done(null);
      },
      (error: Error) => done(error),
    );
  });
  app.decorateRequest('hold');

  const routeOf = (operation: Operation) => ({
    config: { scope: 'write:events', rateClass: 'events' as const, operation, contentEncodings: encodings },
    schema: { querystring: { type: 'object', properties: { results: { enum: ['all'] } }, additionalProperties: false } },
    // Admission stands before the body is read: a body that is refused costs no memory.
    onRequest: async (request: FastifyRequest, reply: FastifyReply) => {
      const bytes = Number(request.headers['content-length'] ?? options.bodyBytesMax);
      if (bytes > options.bodyBytesMax) throw new FailureError('BODY_TOO_LARGE', `${bytes} bytes; the limit is ${options.bodyBytesMax}`);
      // Who hung up while the key was looked up closed the answer already; nothing would give these bytes back.
      if (reply.raw.destroyed) throw new FailureError('BAD_REQUEST', 'The caller is gone');
      const isHeld = formatOf(request.headers['content-type']) !== Format.lines || request.caller.signingSecret !== undefined;
      const hold = holdBytes(isHeld ? bytes : Math.min(bytes, lineHoldBytes));
      request.hold = hold;
      reply.raw.once('close', hold.release);
    },
  });

  const acceptRequest = async (request: EventsRequest, reply: FastifyReply): Promise<FastifyReply | string> => {
    const format = formatOf(request.headers['content-type']);
    const asked = askedBy(request, format);
    if (format === Format.lines) return answerLines(request, reply, asked);
    const read = await readWhole(request, format);
    requestBytes.observe(request.body?.length ?? 0);
    requestEvents.observe(read.block.total);
    const { outcomes, counts } = await takeBlock(request, read);
    return send(reply, answerOf(read.block, outcomes, counts, request.id, asked.everyResult, asked.keyField));
  };

  const validateRequest = async (request: EventsRequest, reply: FastifyReply): Promise<string> => {
    const format = formatOf(request.headers['content-type']);
    const tally = newTally();
    const add = async ({ block }: LineBlock): Promise<void> => {
      const outcomes = judged(block);
      addToTally(tally, block, outcomes, countsOf(outcomes), askedBy(request, format));
    };
    const refused = format === Format.lines ? await readLines(request, add) : await readWhole(request, format).then(add);
    if (refused) throw refused;
    reply.type('application/json; charset=utf-8');
    return validationOf(tally);
  };

  app.post<EventsRoute>('/v1/events', routeOf(eventsOperation(limits.eventsMax)), (request, reply) =>
    request.hold.during(acceptRequest(request, reply)),
  );
  app.post<EventsRoute>('/v1/events/validate', routeOf(validateOperation(limits.eventsMax)), (request, reply) =>
    request.hold.during(validateRequest(request, reply)),
  );
  return {
    app,
    drained: async () => {
      while (confirmations.size > 0) await Promise.all(confirmations);
    },
  };
};
