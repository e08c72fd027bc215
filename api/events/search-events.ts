/**
 * The use case of searching events: which span, a page of it as of one watermark, and why each that does not count does
 * not.
 */

import { type EventPlace, keyDigest, shownKey } from '#schemas/amendment.ts';
import { FailureError, type Fault } from '#schemas/failures.ts';
import { formatInstant } from '#schemas/instant.ts';
import type { Cursors } from '../route/cursors.ts';
import type { Db } from '../route/define-route.ts';
import type { AmendmentStore } from './amendments.postgres.ts';
import type { EventSearch, EventVoid, StoredEvent, StoredEvents } from './events.clickhouse.ts';

export type SearchPorts = {
  readonly amendments: Pick<AmendmentStore, 'amendmentsOf'>;
  readonly storedEvents: Pick<StoredEvents, 'search' | 'rowsAt' | 'keyRows' | 'voids'>;
  readonly readWatermark: (db: Db) => Promise<bigint>;
  readonly cursors: Cursors;
  /** The names of a customer: its id and external id, or the text itself where there is none. */
  readonly namesOf: (db: Db, customer: string) => Promise<readonly string[]>;
};

export type SearchAsked = {
  readonly customer: string | undefined;
  readonly event: string | undefined;
  readonly idempotencyKey: string | undefined;
  /** Exclusive, both. */
  readonly after: number | undefined;
  readonly before: number | undefined;
  readonly limit: number;
  readonly cursor: string | undefined;
};

export type FoundEvent = StoredEvent & { readonly void: EventVoid | undefined };
export type FoundPage = {
  readonly watermark: bigint;
  /** What was searched; both exclusive, undefined where there is no bound. */
  readonly span: { readonly after: number | undefined; readonly before: number | undefined };
  readonly events: readonly FoundEvent[];
  readonly nextCursor: string | undefined;
};

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
const spanMsDefault = dayMs;
const spanMsMax = 31 * dayMs;
/** Before and after all events. */
const [earliest, latest] = [Date.UTC(1990), Date.UTC(2200)];

/** Half-open. Throws `BAD_REQUEST`. */
const spanOf = ({ after, before, idempotencyKey }: SearchAsked, nowMs: number): { start: number; end: number } => {
  if (idempotencyKey !== undefined) return { start: after === undefined ? earliest : after + 1, end: before ?? latest };
  const end =
    before ?? (after === undefined ? nowMs + hourMs : Math.min(after + spanMsMax, Math.max(nowMs, after) + hourMs));
  const start = after === undefined ? end - spanMsDefault : after + 1;
  const faults: Fault[] = [];
  if (start >= end)
    faults.push({ field: 'occurred_at_after', code: 'not_increasing', message: 'must be before occurred_at_before' });
  if (end - start > spanMsMax)
    faults.push({
      field: 'occurred_at_before',
      code: 'out_of_range',
      message: 'must be at most 31 days after occurred_at_after',
    });
  if (faults.length > 0) throw new FailureError('BAD_REQUEST', undefined, faults);
  return { start, end };
};

export const digestOf = ({ event }: StoredEvent): string =>
  keyDigest(event.tenant, event.idempotencyKey).toString('hex');

/** Newest first, as the store sorts. */
export const newestFirst = (a: StoredEvent, b: StoredEvent): number => {
  const byTime = b.event.occurredAtMs - a.event.occurredAtMs;
  if (byTime !== 0) return byTime;
  const [one, other] = [digestOf(a), digestOf(b)];
  if (one !== other) return one < other ? 1 : -1;
  return a.sequence < b.sequence ? 1 : -1;
};

/** Events of one key lie at the few places that are known of it. */
const ofKey = async (db: Db, key: string, search: EventSearch, ports: SearchPorts): Promise<StoredEvent[]> => {
  const digest = keyDigest(db.organizationId, key);
  const rows = await ports.storedEvents.keyRows(db.organizationId, [digest.toString('hex')]);
  const amendments = await ports.amendments.amendmentsOf(db, key);
  const places: EventPlace[] = [
    ...rows.map((row) => ({ ...row, digest })),
    ...amendments.flatMap(({ added }) => (added ? [added] : [])),
  ];
  const { before, start, end, event, customers, watermark } = search;
  return (await ports.storedEvents.rowsAt(db.organizationId, places))
    .filter(
      (one) =>
        one.sequence <= watermark &&
        one.event.occurredAtMs >= start &&
        one.event.occurredAtMs < end &&
        (event === undefined || one.event.event === event) &&
        (customers === undefined || customers.includes(one.event.customer)) &&
        (before === undefined || isBehind(one, before)),
    )
    .sort(newestFirst)
    .slice(0, search.limit);
};

const isBehind = (
  one: StoredEvent,
  { occurredAtMs, digest, sequence }: NonNullable<EventSearch['before']>,
): boolean => {
  if (one.event.occurredAtMs !== occurredAtMs) return one.event.occurredAtMs < occurredAtMs;
  const own = digestOf(one);
  return own === digest ? one.sequence < sequence : own < digest;
};

/**
 * The end of a span goes first, and more of it only where that has too few: the newest page of a month is then as cheap
 * as that of a day. Spans are cut at whole days, since the store reads whole days anyway.
 */
export const newestInSpans = async <S extends Pick<EventSearch, 'start' | 'end' | 'before' | 'limit'>>(
  search: S,
  read: (part: S) => Promise<readonly StoredEvent[]>,
): Promise<StoredEvent[]> => {
  const found: StoredEvent[] = [];
  const top = Math.min(search.end, search.before ? search.before.occurredAtMs + 1 : search.end);
  let end = top;
  for (let days = 1; end > search.start && found.length < search.limit; days *= 4) {
    const start = Math.max(search.start, Math.floor((end - 1) / dayMs) * dayMs - (days - 1) * dayMs);
    const part = await read({ ...search, start, end, limit: search.limit - found.length });
    found.push(...part.toSorted(newestFirst));
    end = start;
  }
  return found;
};

const voidOf = (one: StoredEvent, voids: readonly EventVoid[]): EventVoid | undefined => {
  const digest = digestOf(one);
  return voids.find((of) => of.digest === digest && (of.rowSequence === 0n || of.rowSequence === one.sequence));
};

/** Watermark and last row of the page before, from a cursor for this very search. */
const readCursor = (scope: string, cursor: string, cursors: Cursors) => {
  const position = cursors.read(scope, cursor);
  if (!position) {
    const faults = [
      { field: 'cursor', code: 'wrong_format', message: 'must be a next_cursor of this search, with the same filters' },
    ];
    throw new FailureError('BAD_REQUEST', undefined, faults);
  }
  const [watermark = '0', start = '0', end = '0'] = position.value.split(' ');
  const [time = '0', digest = '', sequence = '0'] = position.id.split(' ');
  return {
    watermark: BigInt(watermark),
    span: { start: Number(start), end: Number(end) },
    before: { occurredAtMs: Number(time), digest, sequence: BigInt(sequence) },
  };
};

export const searchEvents = async (
  db: Db,
  asked: SearchAsked,
  nowMs: number,
  ports: SearchPorts,
): Promise<FoundPage> => {
  const { customer, event, idempotencyKey, after, before: until, limit, cursor } = asked;
  const scope = JSON.stringify(['events', db.organizationId, customer, event, idempotencyKey, after, until]);
  const from = cursor === undefined ? undefined : readCursor(scope, cursor, ports.cursors);
  const { start, end } = from?.span ?? spanOf(asked, nowMs);
  const watermark = from?.watermark ?? (await ports.readWatermark(db));
  const customers = customer === undefined ? undefined : await ports.namesOf(db, customer);
  const search = {
    tenant: db.organizationId,
    watermark,
    start,
    end,
    event,
    customers,
    before: from?.before,
    limit: limit + 1,
  };
  const found =
    idempotencyKey === undefined
      ? await newestInSpans(search, ports.storedEvents.search)
      : await ofKey(db, idempotencyKey, search, ports);
  const shown = found.slice(0, limit);
  const times = shown.map((one) => one.event.occurredAtMs);
  const voids = await ports.storedEvents.voids(
    db.organizationId,
    [...new Set(shown.map(digestOf))],
    { start: Math.min(...times), end: Math.max(...times) },
    watermark,
  );
  const last = shown.at(-1);
  const nextCursor =
    found.length > limit && last
      ? ports.cursors.sign(scope, {
          value: `${watermark} ${start} ${end}`,
          id: `${last.event.occurredAtMs} ${digestOf(last)} ${last.sequence}`,
        })
      : undefined;
  const span = { after: start === earliest ? undefined : start - 1, before: end === latest ? undefined : end };
  return { watermark, span, events: shown.map((one) => ({ ...one, void: voidOf(one, voids) })), nextCursor };
};

export const storedEventJson = ({ event, sequence }: StoredEvent) => ({
  idempotency_key: shownKey(event.idempotencyKey),
  event: event.event,
  customer_id: event.customer,
  timestamp: formatInstant(event.occurredAtMs),
  properties: Object.fromEntries(event.properties),
  received_at: formatInstant(event.receivedAtMs),
  sequence: sequence.toString(),
  amendment_id: event.idempotencyKey.split('\0')[1] ?? null,
});

export const foundEventJson = ({ void: of, ...found }: FoundEvent) => ({
  ...storedEventJson(found),
  state: of ? 'void' : 'counted',
  void_reason: of?.reason ?? null,
  voided_by: of?.amendmentId ? of.amendmentId : null,
});
