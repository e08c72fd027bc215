/** What became of a body, in a form that production and reference share, and what tells two of them apart. */
import { isDeepStrictEqual } from 'node:util';
import { fromRow } from '#schemas/usage-event.ts';
import { type EventBlock, keyOfRow, startOfRow } from '../../../ingest/parse/event-block.ts';
import type { Horizon } from '../../../ingest/parse/native.ts';

export type AcceptedEvent = {
  readonly place: number;
  readonly idempotencyKey: string;
  readonly event: string;
  readonly customer: string;
  /** Undefined where the time is ours. */
  readonly occurredAtMs: number | undefined;
  readonly properties: readonly (readonly [path: string, text: string])[];
};

export type RefusedEvent = {
  readonly place: number;
  readonly idempotencyKey: string | undefined;
  readonly status: string;
};

export type Outcome =
  /** Without a reason, any will do. */
  | { readonly kind: 'malformed'; readonly reason: string | undefined }
  | { readonly kind: 'too_many'; readonly events: number }
  | {
      readonly kind: 'events';
      readonly total: number;
      readonly accepted: readonly AcceptedEvent[];
      readonly refused: readonly RefusedEvent[];
    };

/** What a decoder of production gave: its block, too, where it made one. */
export type Decoded = { readonly outcome: Outcome; readonly block?: EventBlock };

export const nowMs = Date.UTC(2026, 10, 20, 12);
export const eventsMax = 8;
export const lineBytesMax = 20_000;
export const origin = { tenant: 'org_fuzz', seeds: [1, 2, 3, 4], receivedAtMs: nowMs + 123 } as const;

/**
 * The narrow one finds what is too old; under the wide one every instant is taken, so that its milliseconds are
 * compared.
 */
export const horizons = {
  narrow: { nowMs, pastMsMax: 35 * 86_400_000, futureMsMax: 5 * 60_000 },
  wide: { nowMs, pastMsMax: 1e15, futureMsMax: 1e15 },
} as const satisfies Record<string, Horizon>;
export type HorizonName = keyof typeof horizons;

/** Reads a block back, row by row. Throws where the block is at odds with itself. */
export const decodedBlock = (block: EventBlock): Decoded => {
  const untimed = new Set(block.untimed);
  const accepted = block.ends.map((end, position): AcceptedEvent => {
    const event = fromRow(block.rows.subarray(startOfRow(block, position), end));
    if (event.tenant !== origin.tenant) throw new Error(`a row of ${event.tenant}`);
    if (event.receivedAtMs !== origin.receivedAtMs) throw new Error(`a row that was received at ${event.receivedAtMs}`);
    if (keyOfRow(block, position) !== event.idempotencyKey) throw new Error('keyOfRow and fromRow read two keys');
    if (untimed.has(position) && event.occurredAtMs !== origin.receivedAtMs)
      throw new Error('an untimed row that has a time');
    const { idempotencyKey, customer, properties } = event;
    const occurredAtMs = untimed.has(position) ? undefined : event.occurredAtMs;
    return {
      place: block.places[position] as number,
      idempotencyKey,
      event: event.event,
      customer,
      occurredAtMs,
      properties,
    };
  });
  const refused = block.rejected.map(({ place, idempotencyKey, status }) => ({ place, idempotencyKey, status }));
  return { outcome: { kind: 'events', total: block.total, accepted, refused }, block };
};

const told = (value: unknown): string => {
  const text = JSON.stringify(value) ?? 'undefined';
  return text.length > 300 ? `${text.slice(0, 300)}...` : text;
};

const firstUnequal = (
  what: string,
  production: readonly unknown[],
  reference: readonly unknown[],
): string | undefined => {
  for (let at = 0; at < Math.max(production.length, reference.length); at += 1) {
    if (!isDeepStrictEqual(production[at], reference[at]))
      return `${what} ${at}: production ${told(production[at])}, reference ${told(reference[at])}`;
  }
  return undefined;
};

/** What tells the two apart, undefined where nothing does. */
export const differenceOf = (production: Outcome, reference: Outcome): string | undefined => {
  if (production.kind === 'events' && reference.kind === 'events') {
    if (production.total !== reference.total)
      return `production has ${production.total} events, reference ${reference.total}`;
    return (
      firstUnequal('accepted event', production.accepted, reference.accepted) ??
      firstUnequal('refused event', production.refused, reference.refused)
    );
  }
  const isSame =
    production.kind === 'malformed' && reference.kind === 'malformed'
      ? reference.reason === undefined || production.reason === reference.reason
      : isDeepStrictEqual(production, reference);
  return isSame ? undefined : `production ${told(production)}, reference ${told(reference)}`;
};

/**
 * What tells two blocks of the same body apart: bytes, claims and faults must not depend on the way by which they were
 * read.
 */
export const blockDifferenceOf = (one: EventBlock | undefined, other: EventBlock | undefined): string | undefined => {
  if (!one || !other) return one === other ? undefined : 'only one way through the parser takes the body';
  for (const name of ['total', 'ends', 'places', 'untimed', 'rejected', 'rows', 'claims'] as const) {
    if (!isDeepStrictEqual(one[name], other[name]))
      return `two ways through the parser differ in ${name}: ${told(one[name])} and ${told(other[name])}`;
  }
  return undefined;
};
