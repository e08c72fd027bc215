/** The body of a request of events to blocks of rows: as a whole, or line by line while it arrives. */
import type { FastifyRequest } from 'fastify';
import { LRUCache } from 'lru-cache';
import type { Clock } from '#platform/process/clock.ts';
import { earliestEventMs, sandboxFutureMs } from '#schemas/event-fields.ts';
import type { FailureError } from '#schemas/failures.ts';
import { BlockWriter } from '../parse/event-block.ts';
import { type Seeds, seedsOf } from '../parse/key-hash.ts';
import type { Horizon } from '../parse/native.ts';
import { type LineBlock, LineReader, type OpenBlock } from '../parse/ndjson.ts';
import { type Encoding, encodings } from './decompress.ts';
import { Format } from './formats.ts';
import type { Hold } from './in-flight.ts';
import { readAgain, readChunks, unpacked } from './read-body.ts';
import { readAvro, readText } from './read-events.ts';
import { lineLimits, takeLines } from './take-lines.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The room that its body has. */
    hold: Hold;
  }
}

export type EventsRoute = {
  Querystring: { results?: string; backfill?: string; receipt?: string };
  Body: Buffer | undefined;
};
export type EventsRequest = FastifyRequest<EventsRoute>;

/** Whether its events are sent as of the past. */
export const isBackfill = ({ query }: Pick<EventsRequest, 'query'>): boolean => query.backfill === 'true';

export type ReadOptions = {
  readonly clock: Clock;
  /** Under which idempotency keys are hashed. */
  readonly claimSecret: string;
  readonly bodyBytesMax: number;
  readonly eventsMax: number;
  readonly pastMsMax: number;
  readonly futureMsMax: number;
};

export type ReadRequest = {
  /** A body that is read as a whole, which all are but lines. */
  readonly readWhole: (request: EventsRequest, format: Format) => Promise<LineBlock>;
  /** Takes lines as they come. Returns what ended them early. */
  readonly readLines: (
    request: EventsRequest,
    each: (block: LineBlock) => Promise<void>,
  ) => Promise<FailureError | undefined>;
};

const tenantsMax = 10_000;

/** The seeds of the organizations that were seen last. */
const createSeeds = (secret: string): ((tenant: string) => Seeds) => {
  const known = new LRUCache<string, Seeds>({ max: tenantsMax });
  return (tenant) => {
    const seen = known.get(tenant);
    if (seen) return seen;
    const seeds = seedsOf(secret, tenant);
    known.set(tenant, seeds);
    return seeds;
  };
};

const nothing = Buffer.alloc(0);

const encodingOf = (headers: FastifyRequest['headers']): Encoding | undefined => {
  const encoding = headers['content-encoding']?.toLowerCase();
  return encodings.find((one) => one === encoding);
};

/**
 * A backfill reaches back to the year 2000, and no further ahead than any other. In a sandbox customers live by test
 * clocks, which show any hour: no event of them is too old, or too far ahead.
 */
const horizonOf = (request: EventsRequest, nowMs: number, { pastMsMax, futureMsMax }: ReadOptions): Horizon => {
  const isSandbox = request.caller.world === 'test';
  return {
    nowMs,
    pastMsMax: isSandbox || isBackfill(request) ? nowMs - earliestEventMs : pastMsMax,
    futureMsMax: isSandbox ? sandboxFutureMs : futureMsMax,
    ...(isBackfill(request) && { isBackfill: true }),
  };
};

export const createReadRequest = (options: ReadOptions): ReadRequest => {
  const { clock, bodyBytesMax, eventsMax } = options;
  const seedsFor = createSeeds(options.claimSecret);

  const openBlock = (request: EventsRequest, bytes: number): OpenBlock => {
    const receivedAtMs = clock.nowMs();
    const tenant = request.caller.organizationId;
    const writer = new BlockWriter({ tenant, seeds: seedsFor(tenant), receivedAtMs }, bytes);
    return { writer, horizon: horizonOf(request, receivedAtMs, options), receivedAtMs };
  };

  return {
    readWhole: async (request, format) => {
      const raw = request.body ?? nothing;
      const encoding = encodingOf(request.headers);
      const body = encoding === undefined ? raw : await unpacked(raw, encoding, bodyBytesMax, request.hold);
      // Rows are a little shorter than the JSON that they come from.
      const open = openBlock(request, body.length);
      if (format === Format.avro) await readAvro(body, open, { eventsMax, bodyBytesMax }, request.hold);
      else readText(format, body, request.headers, open, { eventsMax, bodyBytesMax });
      return { block: open.writer.done(), receivedAtMs: open.receivedAtMs };
    },
    readLines: async (request, each) => {
      const bytes = Math.min(
        Number(request.headers['content-length'] ?? Number.POSITIVE_INFINITY),
        lineLimits.blockBytesMax / 4,
      );
      const reader = new LineReader(() => openBlock(request, bytes), { ...lineLimits, eventsMax });
      const encoding = encodingOf(request.headers);
      const { chunks, drain } = request.rawBody
        ? readAgain(request.rawBody, encoding, bodyBytesMax)
        : readChunks(request.raw, encoding, bodyBytesMax);
      const refused = await takeLines(chunks, reader, eventsMax, each);
      if (refused) drain();
      return refused;
    },
  };
};
