/**
 * The product's own JSON form: bytes -> rows or faults. Pure; `nowMs` and the horizon are arguments. An event that is
 * plain is copied from the body as it stands (plain-event.ts); any other is parsed. Every fault of an event is listed,
 * and no number is changed on its way: one that a double does not carry is refused with the advice to send it as a
 * string.
 */

import { isUtf8 } from 'node:buffer';
import { withoutMark } from '#platform/json/json-text.ts';
import { isRecord, readEventId, readTimestamp } from '#schemas/event-fields.ts';
import { faultsPerEventMax, flattenProperties } from '#schemas/event-properties.ts';
import { unknownFieldMessage } from '#schemas/fault.ts';
import type { BlockWriter, ParsedEvent, RejectedEvent } from './event-block.ts';
import { endOfNested, nativeForm, PlainEvent, skipSpace } from './plain-event.ts';
import {
  envelopeTwin,
  isTwin,
  nestingMax,
  noTwins,
  type ReadJson,
  readJson,
  TooDeep,
  type Twin,
  twinFaults,
  twinsOfItems,
} from './read-json.ts';

export type Horizon = {
  readonly nowMs: number;
  readonly pastMsMax: number;
  readonly futureMsMax: number;
  /** Events of the past are sent on purpose: `pastMsMax` reaches back to the year 2000. */
  readonly isBackfill?: boolean;
};

type ParsedJson =
  | {
      readonly kind: 'events';
      readonly events: readonly unknown[];
      readonly twins: ReadonlyMap<number, readonly Twin[]>;
    }
  | { readonly kind: 'malformed'; readonly reason: string };

const malformed = (reason: string) => ({ kind: 'malformed' as const, reason });

/** What became of a body: its events are in the writer, or it is refused as a whole. */
export type ParsedBody =
  | { readonly kind: 'events' }
  | { readonly kind: 'malformed'; readonly reason: string }
  | { readonly kind: 'too_many'; readonly events: number };

/** One event, an array of them, or `{"events": [...]}`. */
const parseWhole = (body: Buffer): ParsedJson => {
  let json: ReadJson;
  try {
    json = readJson(body);
  } catch (error) {
    return malformed((error as Error).message);
  }
  const { value, twins } = json;
  if (Array.isArray(value)) return { kind: 'events', events: value, twins: twinsOfItems(twins, 1) };
  if (!isRecord(value)) return malformed('expected an event, an array of events, or {"events": [...]}');
  if (!('events' in value)) return { kind: 'events', events: [value], twins: new Map([[0, twins]]) };
  const twin = envelopeTwin(json);
  if (twin !== undefined) return malformed(twin);
  if (!Array.isArray(value.events)) return malformed('"events" must be an array');
  const extra = Object.keys(value).find((name) => name !== 'events');
  if (extra !== undefined) return malformed(`unexpected field ${JSON.stringify(extra.slice(0, 64))} beside "events"`);
  return { kind: 'events', events: value.events, twins: twinsOfItems(twins, 2) };
};

const fieldNames = new Set(['idempotency_key', 'event', 'customer_id', 'timestamp', 'properties']);

const tooOldMessage = ({ isBackfill, pastMsMax }: Horizon): string =>
  isBackfill
    ? 'timestamp is before the year 2000'
    : `timestamp is more than ${pastMsMax / 86_400_000} days ago; events of the past are sent with ?backfill=true, which needs the scope write:backfill`;

/** One event of a parsed body: the event, or all of its faults. `twins` are the names that it was sent with twice. */
export const parseNativeEvent = (raw: unknown, horizon: Horizon, twins = noTwins): ParsedEvent | RejectedEvent => {
  if (!isRecord(raw)) {
    return {
      status: 'invalid',
      idempotencyKey: undefined,
      faults: [{ field: '', code: 'wrong_type', message: 'an event must be a JSON object' }],
    };
  }
  if (
    typeof raw.specversion === 'string' &&
    raw.idempotency_key === undefined &&
    (raw.type ?? raw.source ?? raw.id) !== undefined
  ) {
    const message =
      'is a CloudEvent: send it as application/cloudevents+json, several in an array as application/cloudevents-batch+json';
    return { status: 'invalid', idempotencyKey: undefined, faults: [{ field: '', code: 'not_allowed', message }] };
  }
  const faults = twinFaults(twins);
  const idempotencyKey = readEventId(raw, 'idempotency_key', faults);
  const event = readEventId(raw, 'event', faults);
  const customer = readEventId(raw, 'customer_id', faults);
  const occurredAtMs = readTimestamp(raw, faults);
  const properties = flattenProperties(raw.properties, faults);
  for (const name in raw) {
    if (faults.length >= faultsPerEventMax) {
      faults.push({
        field: '',
        code: 'too_many_faults',
        message: `only the first ${faultsPerEventMax} faults are listed`,
      });
      break;
    }
    // A misspelt field would otherwise be usage that silently vanishes.
    if (!fieldNames.has(name))
      faults.push({
        field: name.slice(0, 64),
        code: 'unknown_field',
        message: `${unknownFieldMessage([...fieldNames])}; put your own data under properties`,
      });
  }
  if (faults.length > 0) {
    const isKnown = idempotencyKey !== '' && !isTwin(twins, 'idempotency_key');
    return { status: 'invalid', idempotencyKey: isKnown ? idempotencyKey : undefined, faults };
  }
  if (occurredAtMs !== undefined && occurredAtMs < horizon.nowMs - horizon.pastMsMax) {
    return {
      status: 'too_old',
      idempotencyKey,
      faults: [{ field: 'timestamp', code: 'too_old', message: tooOldMessage(horizon) }],
    };
  }
  if (occurredAtMs !== undefined && occurredAtMs > horizon.nowMs + horizon.futureMsMax) {
    const minutes = horizon.futureMsMax / 60_000;
    return {
      status: 'in_future',
      idempotencyKey,
      faults: [{ field: 'timestamp', code: 'in_future', message: `timestamp is more than ${minutes} minutes ahead` }],
    };
  }
  return { idempotencyKey, event, customer, occurredAtMs, properties };
};

/** A form of events in JSON: the reader of what is plain, and the general one. */
export type JsonForm = {
  readonly plain: PlainEvent;
  readonly parse: (raw: unknown, horizon: Horizon, twins?: readonly Twin[]) => ParsedEvent | RejectedEvent;
};

const native: JsonForm = { plain: new PlainEvent(nativeForm), parse: parseNativeEvent };

const eventsName = Buffer.from('"events"');

export type Opening = { readonly at: number; readonly closing: string };

/**
 * Where the first event stands, and the bytes that close the body behind the last one. Undefined where the body begins
 * in another way.
 */
const openingOf = (body: Buffer): Opening | undefined => {
  const at = skipSpace(body, 0);
  if (body[at] === 0x5b) return { at: skipSpace(body, at + 1), closing: ']' };
  if (body[at] !== 0x7b) return undefined;
  const name = skipSpace(body, at + 1);
  if (!body.subarray(name, name + eventsName.length).equals(eventsName)) return { at, closing: '' };
  const colon = skipSpace(body, name + eventsName.length);
  const array = body[colon] === 0x3a ? skipSpace(body, colon + 1) : -1;
  return array >= 0 && body[array] === 0x5b ? { at: skipSpace(body, array + 1), closing: ']}' } : undefined;
};

/** Whether `closing`, and nothing but white space besides, stands at the end. */
export const closes = (body: Buffer, from: number, closing: string): boolean => {
  let at = from;
  for (const byte of Buffer.from(closing)) {
    at = skipSpace(body, at);
    if (body[at] !== byte) return false;
    at += 1;
  }
  return skipSpace(body, at) === body.length;
};

export const isInHorizon = (time: number, horizon: Horizon): boolean =>
  !(time < horizon.nowMs - horizon.pastMsMax || time > horizon.nowMs + horizon.futureMsMax);

/**
 * Adds the event at `from` if it is plain; returns what lies behind it, or -1 where it is left to the general reader.
 */
export const addPlainAt = (
  body: Buffer,
  from: number,
  writer: BlockWriter,
  horizon: Horizon,
  { plain } = native,
): number => {
  const end = plain.read(body, from);
  if (end < 0 || !isInHorizon(plain.occurredAtMs, horizon)) return -1;
  writer.addPlain(body, plain);
  return end;
};

/**
 * Adds the event at `from`, which stands so deep in its body; returns what lies behind it, or -1 where its end can't be
 * told.
 */
export const addEventAt = (
  body: Buffer,
  from: number,
  writer: BlockWriter,
  horizon: Horizon,
  depth = 0,
  { plain, parse } = native,
): number => {
  const plainEnd = plain.read(body, from);
  if (plainEnd >= 0 && isInHorizon(plain.occurredAtMs, horizon)) {
    writer.addPlain(body, plain);
    return plainEnd;
  }
  const end = plainEnd >= 0 ? plainEnd : endOfNested(body, from);
  if (end < 0) return -1;
  try {
    const { value, twins } = readJson(body.subarray(from, end), nestingMax - depth);
    writer.add(parse(value, horizon, twins));
  } catch {
    return -1;
  }
  return end;
};

/** Adds the event that a text is, UTF-8 without space at its end; what is no JSON is an event with that fault. */
export const addEventText = (text: Buffer, writer: BlockWriter, horizon: Horizon): void => {
  const { plain } = native;
  const from = skipSpace(text, 0);
  if (text[from] === 0x7b && plain.read(text, from) === text.length && isInHorizon(plain.occurredAtMs, horizon)) {
    writer.addPlain(text, plain);
    return;
  }
  let json: ReadJson;
  try {
    json = readJson(text);
  } catch (error) {
    const faults = [
      { field: '', code: error instanceof TooDeep ? 'too_deep' : 'not_json', message: (error as Error).message },
    ];
    writer.add({ status: 'invalid', idempotencyKey: undefined, faults });
    return;
  }
  writer.add(parseNativeEvent(json.value, horizon, json.twins));
};

/**
 * Reads the events of an array that begins at `from` and ends with `closing`, one by one. False where it is not what it
 * should be: then nothing that was added holds.
 */
export const addItems = (
  body: Buffer,
  { at: from, closing }: Opening,
  writer: BlockWriter,
  horizon: Horizon,
  eventsMax: number,
  form = native,
): boolean => {
  let at = from;
  if (body[at] === 0x5d) return closes(body, at, closing);
  for (;;) {
    if (body[at] !== 0x7b || writer.total === eventsMax) return false;
    at = addEventAt(body, at, writer, horizon, closing.length, form);
    if (at < 0) return false;
    at = skipSpace(body, at);
    if (body[at] !== 0x2c) return closes(body, at, closing);
    at = skipSpace(body, at + 1);
  }
};

/** Reads the body event by event; as `addItems` does. */
const addOneByOne = (body: Buffer, writer: BlockWriter, horizon: Horizon, eventsMax: number): boolean => {
  const opening = openingOf(body);
  if (!opening) return false;
  if (opening.closing !== '') return addItems(body, opening, writer, horizon, eventsMax);
  // One that stands alone and is not plain may be a batch in other words: "events" behind another name, or with an
  // escape. The whole decides.
  const end = eventsMax > 0 ? addPlainAt(body, opening.at, writer, horizon) : -1;
  return end >= 0 && closes(body, end, '');
};

/** One event, an array of them, or `{"events": [...]}`, into the writer. */
export const parseNativeBody = (
  bytes: Buffer,
  writer: BlockWriter,
  horizon: Horizon,
  eventsMax: number,
): ParsedBody => {
  if (!isUtf8(bytes)) return malformed('the body is not valid UTF-8');
  const body = withoutMark(bytes);
  if (addOneByOne(body, writer, horizon, eventsMax)) return { kind: 'events' };
  // Something in it can't be told by its braces. The whole is parsed, which also finds the words for what is wrong.
  writer.clear();
  const parsed = parseWhole(body);
  if (parsed.kind === 'malformed') return parsed;
  if (parsed.events.length > eventsMax) return { kind: 'too_many', events: parsed.events.length };
  for (const [place, event] of parsed.events.entries())
    writer.add(parseNativeEvent(event, horizon, parsed.twins.get(place)));
  return { kind: 'events' };
};
