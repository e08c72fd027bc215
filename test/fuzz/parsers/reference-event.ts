/**
 * The rules of an event, written a second time and in the most obvious way: as the documents say them, with no thought
 * of speed.
 */
import type { Horizon } from '../../../ingest/parse/native.ts';
import type { AcceptedEvent, Outcome, RefusedEvent } from './outcome.ts';
import { eventsMax } from './outcome.ts';
import {
  hasTwinsWithin,
  isArray,
  isObject,
  type JsonObject,
  type JsonValue,
  nestingOf,
  plainDigits,
  readJson,
} from './reference-json.ts';

export type Judged = Omit<AcceptedEvent, 'place'> | Omit<RefusedEvent, 'place'>;

/** Thrown inside, by the first rule that is broken; how many others are broken makes no difference here. */
class Refusal extends Error {}
const refuse = (why: string): never => {
  throw new Refusal(why);
};

const isControl = (character: string): boolean => /\p{Cc}/u.test(character);

/** 1 to 255 characters, none of them a control character or half a pair. */
const idOf = (value: JsonValue | undefined): string | undefined => {
  if (typeof value !== 'string' || !value.isWellFormed()) return undefined;
  const characters = [...value];
  return characters.length >= 1 && characters.length <= 255 && !characters.some(isControl) ? value : undefined;
};

const dateTime = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:([0-5]\d|60)(\.\d{1,24})?([Zz]|[+-]\d\d:\d\d)$/;

/**
 * An RFC 3339 date-time; a leap second is the second before where that ends a month of UTC, and what is behind the
 * milliseconds is cut off.
 */
export const instantOf = (text: string): number | undefined => {
  if (!dateTime.test(text)) return undefined;
  try {
    // Temporal takes nine digits behind the point.
    const instant = Temporal.Instant.from(text.toUpperCase().replace(/(\.\d{9})\d+/, '$1'));
    // It reads second 60 as 59, anywhere.
    const utc = instant.toZonedDateTimeISO('UTC');
    const endsMonth = utc.hour === 23 && utc.minute === 59 && utc.second === 59 && utc.day === utc.daysInMonth;
    return text.slice(17, 19) === '60' && !endsMonth ? undefined : instant.epochMilliseconds;
  } catch {
    return undefined;
  }
};

const scalarText = (value: JsonValue): string => {
  if (typeof value === 'string') return value.isWellFormed() ? value : refuse('half a pair');
  if (typeof value === 'boolean') return String(value);
  if (value !== null && value.kind === 'number')
    return plainDigits(value.source) ?? refuse('a number that needs a text');
  return refuse('no scalar');
};

const depthMax = 16;

/** An array, or what is in one, as JSON text: names in order, numbers as plain digits. */
const jsonTextOf = (value: JsonValue, depth: number): string => {
  if (value === null) return 'null';
  if ((isArray(value) || isObject(value)) && depth > depthMax) return refuse('too deep');
  if (isArray(value)) return `[${value.items.map((item) => jsonTextOf(item, depth + 1)).join()}]`;
  if (isObject(value)) {
    const names = [...value.fields.keys()].sort();
    const fieldText = (name: string) =>
      `${JSON.stringify(name)}:${jsonTextOf(value.fields.get(name) as JsonValue, depth + 1)}`;
    return `{${names.map(fieldText).join()}}`;
  }
  const text = scalarText(value);
  return typeof value === 'string' ? JSON.stringify(text) : text;
};

const isPath = (path: string): boolean =>
  path.length <= 255 &&
  path.isWellFormed() &&
  path.split('.').every((part) => part !== '' && ![...part].some(isControl));

const collect = (object: JsonObject, parents: readonly string[], leaves: Map<string, string>): void => {
  if (parents.length >= depthMax) refuse('too deep');
  for (const [name, value] of object.fields) {
    const names = [...parents, name];
    const path = names.join('.');
    if (!isPath(path)) refuse('no path');
    if (value === null) continue;
    if (isObject(value)) {
      collect(value, names, leaves);
      continue;
    }
    if (leaves.has(path)) refuse('given twice');
    leaves.set(path, isArray(value) ? jsonTextOf(value, names.length + 1) : scalarText(value));
  }
};

const propertiesOf = (value: JsonValue | undefined): readonly (readonly [string, string])[] => {
  if (value === undefined || value === null) return [];
  if (!isObject(value)) return refuse('no object');
  const leaves = new Map<string, string>();
  collect(value, [], leaves);
  if (leaves.size > 256) refuse('too many');
  if (Buffer.byteLength([...leaves].flat().join('')) > 65_536) refuse('too large');
  return [...leaves.keys()].sort().map((path) => [path, leaves.get(path) as string] as const);
};

const fieldNames = ['idempotency_key', 'event', 'customer_id', 'timestamp', 'properties'];

const timeOf = (value: JsonValue | undefined): number | undefined => {
  if (value === undefined || value === null) return undefined;
  return (typeof value === 'string' ? instantOf(value) : undefined) ?? refuse('no time');
};

export const judgeEvent = (value: JsonValue, { nowMs, pastMsMax, futureMsMax }: Horizon): Judged => {
  if (!isObject(value)) return { idempotencyKey: undefined, status: 'invalid' };
  const { fields } = value;
  const idempotencyKey = value.twice?.has('idempotency_key') ? undefined : idOf(fields.get('idempotency_key'));
  const [event, customer] = [idOf(fields.get('event')), idOf(fields.get('customer_id'))];
  try {
    if (hasTwinsWithin(value)) refuse('a name twice');
    if (idempotencyKey === undefined || event === undefined || customer === undefined) return refuse('an id');
    if ([...fields.keys()].some((name) => !fieldNames.includes(name))) refuse('an unknown field');
    const occurredAtMs = timeOf(fields.get('timestamp'));
    const properties = propertiesOf(fields.get('properties'));
    if (occurredAtMs !== undefined && nowMs - occurredAtMs > pastMsMax) return { idempotencyKey, status: 'too_old' };
    if (occurredAtMs !== undefined && occurredAtMs - nowMs > futureMsMax)
      return { idempotencyKey, status: 'in_future' };
    return { idempotencyKey, event, customer, occurredAtMs, properties };
  } catch (error) {
    if (error instanceof Refusal) return { idempotencyKey, status: 'invalid' };
    throw error;
  }
};

/** What became of events that were told apart and judged. */
export const outcomeOf = (judged: readonly Judged[]): Outcome => {
  if (judged.length > eventsMax) return { kind: 'too_many', events: judged.length };
  const accepted: AcceptedEvent[] = [];
  const refused: RefusedEvent[] = [];
  for (const [place, one] of judged.entries()) {
    if ('status' in one) refused.push({ place, ...one });
    else accepted.push({ place, ...one });
  }
  return { kind: 'events', total: judged.length, accepted, refused };
};

const judgeEvents = (values: readonly JsonValue[], horizon: Horizon): Outcome =>
  outcomeOf(values.map((value) => judgeEvent(value, horizon)));

export const malformed = (reason?: string): Outcome & { readonly kind: 'malformed' } => ({ kind: 'malformed', reason });

/**
 * The text of a body without the byte order mark that may begin it; undefined where it is no UTF-8. Any other mark
 * stays, and is no JSON.
 */
export const textOf = (body: Buffer, skipsMark = true): string | undefined => {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: !skipsMark }).decode(body);
  } catch {
    return undefined;
  }
};

const nestingMax = 128;

/** The value of a body, or why it has none: what nests too deep has none, whatever else it is. */
export const wholeOf = (text: string): JsonValue | (Outcome & { readonly kind: 'malformed' }) => {
  if (nestingOf(text) > nestingMax) return malformed();
  try {
    return readJson(text);
  } catch (error) {
    if (error instanceof SyntaxError) return malformed(error.message);
    throw error;
  }
};

/** One event, an array of them, or `{"events": [...]}`. */
export const judgeNativeBody = (body: Buffer, horizon: Horizon): Outcome => {
  const text = textOf(body);
  if (text === undefined) return malformed();
  const value = wholeOf(text);
  if (typeof value === 'object' && value !== null && value.kind === 'malformed') return value;
  if (isArray(value)) return judgeEvents(value.items, horizon);
  if (!isObject(value)) return malformed();
  const events = value.fields.get('events');
  if (events === undefined) return judgeEvents([value], horizon);
  return isArray(events) && value.fields.size === 1 && !value.twice ? judgeEvents(events.items, horizon) : malformed();
};
