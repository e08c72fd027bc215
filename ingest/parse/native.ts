/**
 * The product's own JSON form: bytes -> events or faults. Pure; `nowMs` and the horizon are arguments.
 * Every fault of an event is listed, and no number is changed on its way: one that a double does not carry is refused with the advice to
 * send it as a string.
 */

import { isUtf8 } from 'node:buffer';
import type { Fault } from '#schemas/failures.ts';
import { instantFromText } from '#schemas/instant.ts';
import { inexactSourceOf, wrapInexactNumbers } from './exact-numbers.ts';
import { controlCharacters, faultsPerEventMax, flattenProperties } from './properties.ts';

export type ParsedEvent = {
  readonly idempotencyKey: string;
  readonly event: string;
  readonly customer: string;
  /** Undefined where the caller left it to us: then it is the time of receipt. */
  readonly occurredAtMs: number | undefined;
  readonly properties: string;
};

export type RejectedEvent = {
  readonly status: 'invalid' | 'too_old' | 'in_future';
  readonly idempotencyKey: string | undefined;
  readonly faults: readonly Fault[];
};

export type Horizon = { readonly nowMs: number; readonly pastMsMax: number; readonly futureMsMax: number };

export type ParsedBody =
  | { readonly kind: 'events'; readonly events: readonly unknown[] }
  | { readonly kind: 'malformed'; readonly reason: string };

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && inexactSourceOf(value) === undefined;

const parseJson = (body: Buffer): unknown => {
  const text = body.toString('utf8');
  const wrapped = wrapInexactNumbers(body, text);
  try {
    return JSON.parse(wrapped);
  } catch (error) {
    // The message quotes the text and counts its characters: both must be the caller's.
    if (wrapped !== text) JSON.parse(text);
    throw error;
  }
};

/** One event, an array of them, or `{"events": [...]}`. */
export const parseNativeBody = (body: Buffer): ParsedBody => {
  if (!isUtf8(body)) return { kind: 'malformed', reason: 'the body is not valid UTF-8' };
  let value: unknown;
  try {
    value = parseJson(body);
  } catch (error) {
    return { kind: 'malformed', reason: (error as Error).message };
  }
  if (Array.isArray(value)) return { kind: 'events', events: value };
  if (!isRecord(value)) return { kind: 'malformed', reason: 'expected an event, an array of events, or {"events": [...]}' };
  if (!('events' in value)) return { kind: 'events', events: [value] };
  if (!Array.isArray(value.events)) return { kind: 'malformed', reason: '"events" must be an array' };
  const extra = Object.keys(value).find((name) => name !== 'events');
  if (extra !== undefined) return { kind: 'malformed', reason: `unexpected field ${JSON.stringify(extra.slice(0, 64))} beside "events"` };
  return { kind: 'events', events: value.events };
};

export const idCharactersMax = 255;

/** Characters as JSON schemas count them, by code point, so that an id that the API takes is one that an event can name. */
const charactersOf = (text: string): number =>
  text.length <= idCharactersMax || text.length > 2 * idCharactersMax ? text.length : [...text].length;

const fieldNames = new Set(['idempotency_key', 'event', 'customer_id', 'timestamp', 'properties']);

const readId = (raw: Record<string, unknown>, field: string, faults: Fault[]): string => {
  const value = raw[field];
  if (value === undefined) faults.push({ field, code: 'missing', message: `${field} is required` });
  else if (typeof value !== 'string') faults.push({ field, code: 'wrong_type', message: `${field} must be a string` });
  else if (value.length === 0 || charactersOf(value) > idCharactersMax)
    faults.push({ field, code: 'wrong_length', message: `${field} must have 1 to ${idCharactersMax} characters` });
  else if (controlCharacters.test(value) || !value.isWellFormed())
    faults.push({ field, code: 'wrong_format', message: `${field} must not have control characters or broken surrogates` });
  else return value;
  return '';
};

const timestampMessage = 'timestamp must be an RFC 3339 date-time with a zone, such as 2026-11-20T12:00:00Z';

/** One event of a parsed body: the event, or all of its faults. */
export const parseNativeEvent = (raw: unknown, horizon: Horizon): ParsedEvent | RejectedEvent => {
  if (!isRecord(raw)) {
    return {
      status: 'invalid',
      idempotencyKey: undefined,
      faults: [{ field: '', code: 'wrong_type', message: 'an event must be a JSON object' }],
    };
  }
  const faults: Fault[] = [];
  const idempotencyKey = readId(raw, 'idempotency_key', faults);
  const event = readId(raw, 'event', faults);
  const customer = readId(raw, 'customer_id', faults);
  let occurredAtMs: number | undefined;
  const { timestamp } = raw;
  if (typeof timestamp === 'string') {
    occurredAtMs = instantFromText(timestamp);
    if (occurredAtMs === undefined) faults.push({ field: 'timestamp', code: 'not_rfc3339', message: timestampMessage });
  } else if (timestamp !== undefined && timestamp !== null)
    faults.push({ field: 'timestamp', code: 'wrong_type', message: timestampMessage });
  const properties = flattenProperties(raw.properties, faults);
  for (const name in raw) {
    if (faults.length >= faultsPerEventMax) {
      faults.push({ field: '', code: 'too_many_faults', message: `only the first ${faultsPerEventMax} faults are listed` });
      break;
    }
    // A misspelt field would otherwise be usage that silently vanishes.
    if (!fieldNames.has(name))
      faults.push({
        field: name.slice(0, 64),
        code: 'unknown_field',
        message: 'is not a field of an event; put your own data under properties',
      });
  }
  if (faults.length > 0) return { status: 'invalid', idempotencyKey: idempotencyKey || undefined, faults };
  if (occurredAtMs !== undefined && occurredAtMs < horizon.nowMs - horizon.pastMsMax) {
    const days = horizon.pastMsMax / 86_400_000;
    return {
      status: 'too_old',
      idempotencyKey,
      faults: [{ field: 'timestamp', code: 'too_old', message: `timestamp is more than ${days} days ago` }],
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
