/** The names in an event and how its JSON is read, for whoever takes events: the gateway, and the API in amendments. */
import { controlCharacters } from '#schemas/event-properties.ts';
import { inexactSourceOf } from '#schemas/exact-numbers.ts';
import type { Fault } from '#schemas/fault.ts';
import { instantFromText } from '#schemas/instant.ts';

export const idCharactersMax = 255;

/**
 * The earliest time of an event of the past: before it lies what was measured in seconds, or by a clock that was never
 * set.
 */
export const earliestEventMs = Date.UTC(2000, 0, 1);

/**
 * How far ahead of now an event of a sandbox may occur, as customers of it live by test clocks, which show any hour:
 * six years of 366 days, as a clock goes on for five at a time.
 */
export const sandboxFutureMs = 6 * 366 * 86_400_000;

/**
 * Characters as JSON schemas count them, by code point, so that an id that the API takes is one that an event can name.
 */
const charactersOf = (text: string): number =>
  text.length <= idCharactersMax || text.length > 2 * idCharactersMax ? text.length : [...text].length;

/** A JSON object; a number that was wrapped as inexact is none. */
export const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && inexactSourceOf(value) === undefined;

/** Names of stored events are from before C1 was refused, too: they must still be found. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the point
export const controlsOfStored = /[\u0000-\u001f\u007f]/;

/** Whether a text can be the name of an event, a customer or an idempotency key. */
export const isEventId = (text: string, controls: RegExp = controlCharacters): boolean =>
  text.length > 0 && charactersOf(text) <= idCharactersMax && !controls.test(text) && text.isWellFormed();

/** A mandatory name; empty where it is at fault. */
export const readEventId = (
  raw: Record<string, unknown>,
  field: string,
  faults: Fault[],
  controls?: RegExp,
): string => {
  const value = raw[field];
  if (value === undefined) faults.push({ field, code: 'missing', message: `${field} is required` });
  else if (typeof value !== 'string') faults.push({ field, code: 'wrong_type', message: `${field} must be a string` });
  else if (value.length === 0 || charactersOf(value) > idCharactersMax)
    faults.push({ field, code: 'wrong_length', message: `${field} must have 1 to ${idCharactersMax} characters` });
  else if (!isEventId(value, controls))
    faults.push({
      field,
      code: 'wrong_format',
      message: `${field} must not have control characters or broken surrogates`,
    });
  else return value;
  return '';
};

const timestampMessage = 'timestamp must be an RFC 3339 date-time with a zone, such as 2026-11-20T12:00:00Z';

/** The time of an event, undefined where none is given or it is at fault. */
export const readTimestamp = ({ timestamp }: Record<string, unknown>, faults: Fault[]): number | undefined => {
  if (timestamp === undefined || timestamp === null) return undefined;
  const instant = typeof timestamp === 'string' ? instantFromText(timestamp) : undefined;
  if (instant === undefined)
    faults.push({
      field: 'timestamp',
      code: typeof timestamp === 'string' ? 'not_rfc3339' : 'wrong_type',
      message: timestampMessage,
    });
  return instant;
};
