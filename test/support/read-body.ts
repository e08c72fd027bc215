/** A body of events as the gateway reads it, with the events read back from the rows that it became. */
import { fromRow } from '#schemas/usage-event.ts';
import type { ParsedEvent, RejectedEvent } from '../../ingest/parse/event-block.ts';
import { BlockWriter, type EventBlock, startOfRow } from '../../ingest/parse/event-block.ts';
import { seedsOf } from '../../ingest/parse/key-hash.ts';
import { type Horizon, parseNativeBody } from '../../ingest/parse/native.ts';

export const readAtMs = Date.UTC(2026, 10, 20, 12);
export const readHorizon: Horizon = { nowMs: readAtMs, pastMsMax: 35 * 86_400_000, futureMsMax: 5 * 60_000 };

export type ReadEvent = ParsedEvent | RejectedEvent;

export type ReadBody =
  | { readonly kind: 'events'; readonly events: readonly ReadEvent[]; readonly block: EventBlock }
  | { readonly kind: 'malformed'; readonly reason: string }
  | { readonly kind: 'too_many'; readonly events: number };

export const newWriter = (bytes = 0, tenant = 'org_1'): BlockWriter =>
  new BlockWriter({ tenant, seeds: seedsOf('a secret of tests', tenant), receivedAtMs: readAtMs }, bytes);

/** The events of a block, each in its place. */
export const eventsOf = (block: EventBlock): ReadEvent[] => {
  const events: ReadEvent[] = [];
  for (const [row, place] of block.places.entries()) {
    const {
      tenant: _tenant,
      receivedAtMs: _received,
      occurredAtMs,
      ...rest
    } = fromRow(block.rows.subarray(startOfRow(block, row), block.ends[row]));
    events[place] = { ...rest, occurredAtMs: block.untimed.includes(row) ? undefined : occurredAtMs };
  }
  for (const { place, ...rejected } of block.rejected) events[place] = rejected;
  return events;
};

export const readBody = (body: string | Buffer, eventsMax = 100_000): ReadBody => {
  const bytes = Buffer.from(body as string);
  const writer = newWriter(bytes.length);
  const parsed = parseNativeBody(bytes, writer, readHorizon, eventsMax);
  if (parsed.kind !== 'events') return parsed;
  const block = writer.done();
  return { kind: 'events', events: eventsOf(block), block };
};

/** The one event of a body. */
export const readEvent = (text: string): ReadEvent => {
  const body = readBody(`[${text}]`);
  if (body.kind !== 'events') throw new Error(body.kind === 'malformed' ? body.reason : 'too many events');
  return body.events[0] as ReadEvent;
};

/** An event that is plain but for its properties, which are this JSON. */
export const eventWith = (properties: string): string =>
  `{"idempotency_key":"req-1","event":"llm.request","customer_id":"cus_1","timestamp":"2026-11-20T11:59:59.250Z","properties":${properties}}`;
