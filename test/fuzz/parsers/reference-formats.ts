/** The plain readers of the formats around an event: lines, and CloudEvents. */
import type { Horizon } from '../../../ingest/parse/native.ts';
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

const judgeLine = (line: Buffer, horizon: Horizon): Judged => {
  const text = line.length > lineBytesMax ? undefined : textOf(line, false);
  const value = text === undefined ? undefined : valueIn(text);
  return value === undefined ? invalid : judgeEvent(value, horizon);
};

/** One event a line. A blank line is none, and one that is broken is the fault of that line. */
export const judgeLines = (body: Buffer, horizon: Horizon): Outcome => {
  const mark = '\u00ef\u00bb\u00bf';
  const whole = body.toString('latin1');
  const lines = (whole.startsWith(mark) ? whole.slice(mark.length) : whole).split('\n');
  const events = lines.filter((line) => line.length > lineBytesMax || /[^ \t\r]/.test(line)).map((line) => Buffer.from(line, 'latin1'));
  // Reading stops at the first event too many.
  if (events.length > eventsMax) return { kind: 'too_many', events: eventsMax + 1 };
  return outcomeOf(events.map((line) => judgeLine(line, horizon)));
};

const ownNames = ['specversion', 'id', 'source', 'type', 'subject', 'time', 'datacontenttype', 'dataschema', 'data', 'data_base64'];

/** What CloudEvents ask of an event beside what we do. */
const isEnvelope = (fields: ReadonlyMap<string, JsonValue>): boolean => {
  const source = fields.get('source');
  const contentType = fields.get('datacontenttype') ?? null;
  const schema = fields.get('dataschema') ?? null;
  return (
    fields.get('specversion') === '1.0' &&
    typeof source === 'string' &&
    source !== '' &&
    (contentType === null || (typeof contentType === 'string' && /^\s*[\w.+-]+\/([\w.+-]+\+)?json\s*(;|$)/i.test(contentType))) &&
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
  return isEnvelope(value.fields) && !hasTwinsWithin(value) ? judged : { idempotencyKey: judged.idempotencyKey, status: 'invalid' };
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
  judgeWhole(body, (value) => (isArray(value) ? outcomeOf(value.items.map((item) => judgeCloudEvent(item, horizon))) : malformed()));
