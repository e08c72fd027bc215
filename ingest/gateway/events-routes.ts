/**
 * The routes of the ingest host: admission, the events of a request taken or tried, the answer to it, and the key of
 * its receipts.
 */
import { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { hasScope } from '#platform/access/authenticate.ts';
import { preferredType } from '#platform/http/accept.ts';
import type { Operation } from '#platform/http/openapi.ts';
import { FailureError } from '#schemas/failures.ts';
import { EventsQuery, ValidationQuery } from '#schemas/http/events.ts';
import { closed } from '#schemas/http/fields.ts';
import type { LineBlock } from '../parse/ndjson.ts';
import type { Outcomes } from './accept-events.ts';
import {
  type Answer,
  type Asked,
  addToTally,
  addWarnings,
  answerOfTally,
  type Counts,
  countsOf,
  judged,
  lastLineOf,
  newTally,
  type Tally,
  validationOf,
} from './answer.ts';
import { encodings } from './decompress.ts';
import { Format, formatOf, lineType, mediaTypes } from './formats.ts';
import type { Hold } from './in-flight.ts';
import { eventsOperation, receiptKeyOperation, validateOperation } from './openapi.ts';
import { keyFieldOf } from './read-events.ts';
import { type EventsRequest, type EventsRoute, isBackfill, type ReadRequest } from './read-request.ts';
import { draftReceipt, type ReceiptSigner } from './receipts.ts';
import { lineHoldBytes } from './take-lines.ts';

export type Take = (
  request: EventsRequest,
  block: LineBlock,
) => Promise<{ readonly outcomes: Outcomes; readonly counts: Counts }>;

export type RoutePorts = {
  readonly read: ReadRequest;
  /** Takes the events of a block: the outcome of each, counted. */
  readonly take: Take;
  readonly receipts: ReceiptSigner;
  /** Room for the bytes of a body; throws OVERLOADED. */
  readonly holdBytes: (bytes: number) => Hold;
  readonly nowMs: () => number;
  readonly observe: (of: { readonly bytes?: number; readonly events: number }) => void;
  readonly bodyBytesMax: number;
  readonly eventsMax: number;
};

const askedBy = ({ query, headers }: EventsRequest, format: Format): Asked => ({
  everyResult: query.results === 'all',
  keyField: keyFieldOf(format, headers),
});

const send = (reply: FastifyReply, answer: Answer): string => {
  reply.code(answer.status);
  if (answer.status === 503) reply.header('retry-after', '1');
  reply.failureCode = answer.code;
  reply.type(answer.code === undefined ? 'application/json; charset=utf-8' : 'application/problem+json');
  return answer.body;
};

const answerLines = async (
  request: EventsRequest,
  reply: FastifyReply,
  tally: Tally,
  asked: Asked,
  { read, take, observe }: RoutePorts,
): Promise<FastifyReply | string> => {
  // All that it may hold is bounded by the events of a request: it never waits for its reader, who may first want to
  // send the rest.
  const isLines = preferredType(request.headers.accept, ['application/json', lineType]) === lineType;
  const lines = isLines ? new Readable({ read: () => {} }) : undefined;
  let hasBegun = false;
  const begin = (): void => {
    if (!lines || hasBegun) return;
    hasBegun = true;
    reply.code(200).type(lineType).send(lines);
  };
  try {
    const refused = await read.readLines(request, async (block) => {
      const { outcomes, counts } = await take(request, block);
      const results = addToTally(tally, block.block, outcomes, counts, asked, lines === undefined);
      begin();
      for (const result of results) lines?.push(`${JSON.stringify(result)}\n`);
    });
    observe({ events: tally.total });
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

const acceptRequest = async (
  request: EventsRequest,
  reply: FastifyReply,
  ports: RoutePorts,
): Promise<FastifyReply | string> => {
  const format = formatOf(request.headers['content-type']);
  const asked = askedBy(request, format);
  const origin = { organization: request.caller.organizationId, requestId: request.id, receivedAtMs: ports.nowMs() };
  const tally = newTally(request.query.receipt === 'true' ? draftReceipt(ports.receipts, origin) : undefined);
  if (format === Format.lines) return answerLines(request, reply, tally, asked, ports);
  const read = await ports.read.readWhole(request, format);
  ports.observe({ bytes: request.body?.length ?? 0, events: read.block.total });
  const { outcomes, counts } = await ports.take(request, read);
  addToTally(tally, read.block, outcomes, counts, asked);
  return send(reply, answerOfTally(tally, request.id));
};

const validateRequest = async (request: EventsRequest, reply: FastifyReply, { read }: RoutePorts): Promise<string> => {
  const format = formatOf(request.headers['content-type']);
  const tally = newTally();
  const asked = askedBy(request, format);
  const add = async ({ block }: LineBlock): Promise<void> => {
    const outcomes = judged(block);
    addToTally(tally, block, outcomes, countsOf(outcomes), asked);
    addWarnings(tally, block, asked);
  };
  const refused =
    format === Format.lines ? await read.readLines(request, add) : await read.readWhole(request, format).then(add);
  if (refused) throw refused;
  reply.type('application/json; charset=utf-8');
  return validationOf(tally);
};

/** Stands before the body is read: a body that is refused costs no memory. */
const admit = (request: EventsRequest, reply: FastifyReply, { bodyBytesMax, holdBytes }: RoutePorts): void => {
  if (isBackfill(request) && !hasScope(request.caller, 'write:backfill'))
    throw new FailureError('MISSING_SCOPE', 'A backfill needs the scope write:backfill');
  const bytes = Number(request.headers['content-length'] ?? bodyBytesMax);
  if (bytes > bodyBytesMax) throw new FailureError('BODY_TOO_LARGE', `${bytes} bytes; the limit is ${bodyBytesMax}`);
  // Who hung up while the key was looked up closed the answer already; nothing would give these bytes back.
  if (reply.raw.destroyed) throw new FailureError('BAD_REQUEST', 'The caller is gone');
  const isHeld =
    formatOf(request.headers['content-type']) !== Format.lines || request.caller.signingSecret !== undefined;
  const hold = holdBytes(isHeld ? bytes : Math.min(bytes, lineHoldBytes));
  request.hold = hold;
  reply.raw.once('close', hold.release);
};

export const eventsRoutes = (app: FastifyInstance, ports: RoutePorts): void => {
  const routeOf = (operation: Operation, querystring: object) => ({
    config: {
      scope: 'write:events',
      rateClass: 'events' as const,
      operation,
      contentEncodings: encodings,
      bodyTypes: Object.keys(mediaTypes),
    },
    schema: { querystring },
    onRequest: async (request: FastifyRequest, reply: FastifyReply) => admit(request as EventsRequest, reply, ports),
  });
  app.decorateRequest('hold');
  app.post<EventsRoute>('/v1/events', routeOf(eventsOperation(ports.eventsMax), EventsQuery), (request, reply) =>
    request.hold.during(acceptRequest(request, reply, ports)),
  );
  app.post<EventsRoute>(
    '/v1/events/validate',
    routeOf(validateOperation(ports.eventsMax), ValidationQuery),
    (request, reply) => request.hold.during(validateRequest(request, reply, ports)),
  );
  app.get(
    '/v1/receipts/key',
    {
      config: { scope: 'write:events', rateClass: 'events', operation: receiptKeyOperation },
      schema: { querystring: Type.Object({}, closed) },
    },
    async () => ports.receipts.key,
  );
};
