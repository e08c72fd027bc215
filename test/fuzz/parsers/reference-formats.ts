/** The plain readers of the formats around an event: lines, and CloudEvents. */
import type { Horizon } from '../../../ingest/parse/native.ts';
import { binaryParts } from './other-bodies.ts';
import type { Outcome } from './outcome.ts';
import { eventsMax, lineBytesMax } from './outcome.ts';
import { type Judged, judgeEvent, malformed, outcomeOf, textOf, wholeOf } from './reference-event.ts';
import { hasTwinsWithin, isArray, isObject, type JsonValue } from './reference-json.ts';

const invalid: Judged = { idempotencyKey: undefined, status: 'invalid' };

/** The value of a text; undefined where it is no JSON. */
const valueIn = (text: string): JsonValue | undefined => {
  const value = wholeOf(text);
  return typeof value === 'object' && value !== null && value.kind === 'malformed' ? undefined : value;
};

const judgeLine = ({ line, bytes }: { line: Buffer; bytes: number }, horizon: Horizon): Judged => {
  const text = bytes > lineBytesMax ? undefined : textOf(line, false);
  const value = text === undefined ? undefined : valueIn(text);
  return value === undefined ? invalid : judgeEvent(value, horizon);
};

/** One event a line. A blank line is none, and one that is broken is the fault of that line. */
export const judgeLines = (body: Buffer, horizon: Horizon): Outcome => {
  const mark = '\u00ef\u00bb\u00bf';
  // The mark is none of the text, and counts with the bytes of its line.
  const lines = body
    .toString('latin1')
    .split('\n')
    .map((text, place) => ({
      text: place === 0 && text.startsWith(mark) ? text.slice(mark.length) : text,
      bytes: text.length,
    }));
  const events = lines
    .filter(({ text, bytes }) => bytes > lineBytesMax || /[^ \t\r]/.test(text))
    .map(({ text, bytes }) => ({ line: Buffer.from(text, 'latin1'), bytes }));
  // Reading stops at the first event too many.
  if (events.length > eventsMax) return { kind: 'too_many', events: eventsMax + 1 };
  return outcomeOf(events.map((line) => judgeLine(line, horizon)));
};

const ownNames = [
  'specversion',
  'id',
  'source',
  'type',
  'subject',
  'time',
  'datacontenttype',
  'dataschema',
  'data',
  'data_base64',
];

/** What CloudEvents ask of an event beside what we do. */
const isEnvelope = (fields: ReadonlyMap<string, JsonValue>): boolean => {
  const source = fields.get('source');
  const contentType = fields.get('datacontenttype') ?? null;
  const schema = fields.get('dataschema') ?? null;
  return (
    fields.get('specversion') === '1.0' &&
    typeof source === 'string' &&
    source !== '' &&
    (contentType === null ||
      (typeof contentType === 'string' && /^\s*[\w.+-]+\/([\w.+-]+\+)?json\s*(;|$)/i.test(contentType))) &&
    (schema === null || typeof schema === 'string') &&
    (fields.get('data_base64') ?? null) === null &&
    [...fields.keys()].every((name) => ownNames.includes(name) || /^[a-z0-9]+$/.test(name))
  );
};

const ourNames = [
  ['id', 'idempotency_key'],
  ['type', 'event'],
  ['subject', 'customer_id'],
  ['time', 'timestamp'],
  ['data', 'properties'],
] as const;

const judgeCloudEvent = (value: JsonValue, horizon: Horizon): Judged => {
  if (!isObject(value)) return invalid;
  const fields = new Map<string, JsonValue>();
  for (const [theirs, ours] of ourNames) {
    const field = value.fields.get(theirs);
    if (field !== undefined) fields.set(ours, field);
  }
  const twice = value.twice?.has('id') ? new Set(['idempotency_key']) : undefined;
  const judged = judgeEvent({ kind: 'object', fields, ...(twice ? { twice } : {}) }, horizon);
  return isEnvelope(value.fields) && !hasTwinsWithin(value)
    ? judged
    : { idempotencyKey: judged.idempotencyKey, status: 'invalid' };
};

/** The text of a header, byte by byte; undefined where it holds none. */
const headerText = (value: Buffer): string | undefined => {
  let bytes = [...value];
  const isBlank = (byte: number | undefined): boolean => byte === 0x20 || byte === 0x09;
  while (isBlank(bytes[0])) bytes.shift();
  while (isBlank(bytes.at(-1))) bytes.pop();
  // A quote at both ends, and none between that is not escaped.
  const inner: number[] = [];
  let isQuoted = bytes.length > 1 && bytes[0] === 0x22;
  let at = 1;
  for (; isQuoted && at < bytes.length && bytes[at] !== 0x22; at += 1) {
    if (bytes[at] === 0x5c) at += 1;
    if (bytes[at] === undefined) isQuoted = false;
    else inner.push(bytes[at] as number);
  }
  if (isQuoted && at === bytes.length - 1) bytes = inner;
  const plain: number[] = [];
  let hasPercent = false;
  for (let place = 0; place < bytes.length; place += 1) {
    if (bytes[place] !== 0x25) {
      plain.push(bytes[place] as number);
      continue;
    }
    hasPercent = true;
    const digits = String.fromCharCode(...bytes.slice(place + 1, place + 3));
    if (!/^[0-9a-f]{2}$/i.test(digits)) return undefined;
    plain.push(Number(`0x${digits}`));
    place += 2;
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(plain));
  } catch {
    return hasPercent ? undefined : String.fromCharCode(...plain);
  }
};

/** Lines of `name:value` up to an empty one, and behind it the data. */
export const judgeBinary = (body: Buffer, horizon: Horizon): Outcome => {
  const { headers, data } = binaryParts(body);
  const fields = new Map<string, JsonValue>();
  for (const [name, value] of headers) {
    if (['data', 'data_base64', 'datacontenttype'].includes(name)) continue;
    const text = headerText(Buffer.from(value, 'latin1'));
    if (text === undefined) return malformed();
    fields.set(name, text);
  }
  if (data.length === 0) return outcomeOf([judgeCloudEvent({ kind: 'object', fields }, horizon)]);
  return judgeWhole(data, (value) =>
    outcomeOf([judgeCloudEvent({ kind: 'object', fields: fields.set('data', value) }, horizon)]),
  );
};

const judgeWhole = (body: Buffer, judge: (value: JsonValue) => Outcome): Outcome => {
  const text = textOf(body);
  if (text === undefined) return malformed();
  const value = wholeOf(text);
  return typeof value === 'object' && value !== null && value.kind === 'malformed' ? value : judge(value);
};

export const judgeStructured = (body: Buffer, horizon: Horizon): Outcome =>
  judgeWhole(body, (value) => (isObject(value) ? outcomeOf([judgeCloudEvent(value, horizon)]) : malformed()));

export const judgeBatch = (body: Buffer, horizon: Horizon): Outcome =>
  judgeWhole(body, (value) =>
    isArray(value) ? outcomeOf(value.items.map((item) => judgeCloudEvent(item, horizon))) : malformed(),
  );
