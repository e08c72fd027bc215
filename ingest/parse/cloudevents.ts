/**
 * CloudEvents 1.0 in JSON (cloudevents/formats/json-format.md; binary mode by bindings/http-protocol-binding.md): `id`,
 * `type`, `subject`, `time` and `data` are our idempotency_key, event, customer_id, timestamp and properties. `source`
 * must be there and is not kept, and neither are extensions: they differ between two sends of one event (a trace, the
 * pod that sent it), which would make a conflict of a retry. So an `id` names an event of the organization, whatever
 * its source. Pure: bytes -> rows or faults, which name the attributes as the caller does.
 */
import { isUtf8 } from 'node:buffer';
import { withoutMark } from '#platform/json/json-text.ts';
import { isRecord } from '#schemas/event-fields.ts';
import type { Fault } from '#schemas/failures.ts';
import type { BlockWriter, ParsedEvent, RejectedEvent } from './event-block.ts';
import {
  addItems,
  addPlainAt,
  closes,
  type Horizon,
  type JsonForm,
  type ParsedBody,
  parseNativeEvent,
} from './native.ts';
import { cloudEventForm, PlainEvent, skipSpace } from './plain-event.ts';
import { isTwin, noTwins, type ReadJson, readJson, twinFaults, twinsOfItems } from './read-json.ts';

const attributes: Readonly<Record<string, string>> = {
  idempotency_key: 'id',
  event: 'type',
  customer_id: 'subject',
  timestamp: 'time',
  properties: 'data',
};

/** The field's name stands at the beginning of a fault's field, and of most messages. */
const renamed = (text: string): string =>
  text.replace(
    /^(?:idempotency_key|event|customer_id|timestamp|properties)(?=[ .[]|$)/,
    (name) => attributes[name] ?? name,
  );

const toAttributes = ({ field, code, message }: Fault): Fault => ({
  field: renamed(field),
  code,
  message: renamed(message),
});

/** `application/json`, and what is JSON by its suffix. */
const jsonType = /^\s*[\w.+-]+\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i;
const attributeName = /^[a-z0-9]+$/;
const ownNames = new Set([
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
]);

/** What our own form knows nothing of. */
const envelopeFaults = (raw: Record<string, unknown>): Fault[] => {
  const faults: Fault[] = [];
  const { specversion, source, datacontenttype } = raw;
  if (specversion === undefined)
    faults.push({ field: 'specversion', code: 'missing', message: 'specversion is required' });
  else if (specversion !== '1.0')
    faults.push({ field: 'specversion', code: 'not_allowed', message: 'specversion must be "1.0"' });
  if (source === undefined) faults.push({ field: 'source', code: 'missing', message: 'source is required' });
  else if (typeof source !== 'string')
    faults.push({ field: 'source', code: 'wrong_type', message: 'source must be a string' });
  else if (source === '') faults.push({ field: 'source', code: 'wrong_length', message: 'source must not be empty' });
  if (
    (datacontenttype ?? undefined) !== undefined &&
    !(typeof datacontenttype === 'string' && jsonType.test(datacontenttype))
  )
    faults.push({
      field: 'datacontenttype',
      code: 'not_allowed',
      message: 'datacontenttype must be application/json, where it is given',
    });
  if ((raw.dataschema ?? undefined) !== undefined && typeof raw.dataschema !== 'string')
    faults.push({ field: 'dataschema', code: 'wrong_type', message: 'dataschema must be a string, where it is given' });
  if ((raw.data_base64 ?? undefined) !== undefined)
    faults.push({
      field: 'data_base64',
      code: 'not_allowed',
      message: 'data_base64 is not read: send a JSON object as data',
    });
  // An extension may have any name of that form. One of another form is an attribute that was misspelt, such as
  // `Subject`.
  const odd = Object.keys(raw).find((name) => !ownNames.has(name) && !attributeName.test(name));
  if (odd !== undefined)
    faults.push({
      field: odd.slice(0, 64),
      code: 'unknown_field',
      message: 'is no name of an attribute: lower-case letters and digits',
    });
  return faults;
};

/** One CloudEvent as it was parsed: the event, or all of its faults. */
export const parseCloudEvent = (raw: unknown, horizon: Horizon, twins = noTwins): ParsedEvent | RejectedEvent => {
  if (!isRecord(raw)) {
    const faults = [{ field: '', code: 'wrong_type', message: 'a CloudEvent must be a JSON object' }];
    return { status: 'invalid', idempotencyKey: undefined, faults };
  }
  const { id, type, subject, time, data } = raw;
  const parsed = parseNativeEvent(
    { idempotency_key: id, event: type, customer_id: subject, timestamp: time, properties: data },
    horizon,
  );
  const idempotencyKey = isTwin(twins, 'id') ? undefined : parsed.idempotencyKey;
  if (raw.specversion === undefined && raw.idempotency_key !== undefined) {
    const message = 'is no CloudEvent but an event in our own form: send it as application/json';
    return { status: 'invalid', idempotencyKey, faults: [{ field: '', code: 'not_allowed', message }] };
  }
  const own = [...twinFaults(twins), ...envelopeFaults(raw)];
  if (!('status' in parsed) && own.length === 0) return parsed;
  const faults = 'status' in parsed ? [...own, ...parsed.faults.map(toAttributes)] : own;
  const status = 'status' in parsed && own.length === 0 ? parsed.status : 'invalid';
  return { status, idempotencyKey, faults };
};

const malformed = (reason: string): ParsedBody => ({ kind: 'malformed', reason });

const read = (body: Buffer): ReadJson | { readonly reason: string } => {
  if (!isUtf8(body)) return { reason: 'the body is not valid UTF-8' };
  try {
    return readJson(withoutMark(body));
  } catch (error) {
    return { reason: (error as Error).message };
  }
};

const cloudEvent: JsonForm = { plain: new PlainEvent(cloudEventForm), parse: parseCloudEvent };

/** Structured mode: the body is one event. */
export const parseStructuredBody = (bytes: Buffer, writer: BlockWriter, horizon: Horizon): ParsedBody => {
  const body = withoutMark(bytes);
  const from = skipSpace(body, 0);
  const end = isUtf8(body) && body[from] === 0x7b ? addPlainAt(body, from, writer, horizon, cloudEvent) : -1;
  if (end >= 0 && closes(body, end, '')) return { kind: 'events' };
  writer.clear();
  const json = read(bytes);
  if ('reason' in json) return malformed(json.reason);
  if (!isRecord(json.value))
    return malformed('expected a CloudEvent; several go as application/cloudevents-batch+json');
  writer.add(parseCloudEvent(json.value, horizon, json.twins));
  return { kind: 'events' };
};

/** Batched mode: an array of events. */
export const parseBatchBody = (bytes: Buffer, writer: BlockWriter, horizon: Horizon, eventsMax: number): ParsedBody => {
  const body = withoutMark(bytes);
  const from = skipSpace(body, 0);
  if (isUtf8(body) && body[from] === 0x5b) {
    const opening = { at: skipSpace(body, from + 1), closing: ']' };
    if (addItems(body, opening, writer, horizon, eventsMax, cloudEvent)) return { kind: 'events' };
    writer.clear();
  }
  const json = read(bytes);
  if ('reason' in json) return malformed(json.reason);
  if (!Array.isArray(json.value)) return malformed('expected an array of CloudEvents');
  if (json.value.length > eventsMax) return { kind: 'too_many', events: json.value.length };
  const twins = twinsOfItems(json.twins, 1);
  for (const [place, event] of json.value.entries()) writer.add(parseCloudEvent(event, horizon, twins.get(place)));
  return { kind: 'events' };
};

type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

/** By the header that every one has, or by two of the others, so that one who left it out is told so. */
export const isBinaryMode = (headers: Headers): boolean =>
  headers['ce-specversion'] !== undefined ||
  ['ce-id', 'ce-type', 'ce-source'].filter((name) => headers[name] !== undefined).length > 1;

/**
 * The text that a header holds (section 3.1.3.2, backwards): without the quotes and escapes of a quoted string, then
 * with its percent-encoding undone, then UTF-8. Node gives each byte as a character, so what was sent as UTF-8 without
 * an encoding is read as it was meant. Undefined where that is broken. Bytes that are no UTF-8 are those of ISO-8859-1,
 * which headers were once made of, and as which Node's own client, and with it the official one for JavaScript, may
 * send them.
 */
const fromHeader = (value: string): string | undefined => {
  const trimmed = value.replace(/^[ \t]+|[ \t]+$/g, '');
  const quoted = /^"((?:[^"\\]|\\.)*)"$/.exec(trimmed);
  const text = quoted ? (quoted[1] as string).replace(/\\(.)/g, '$1') : trimmed;
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) return undefined;
  const bytes = Buffer.from(
    text.replace(/%(..)/g, (_encoded, digits) => String.fromCharCode(Number.parseInt(digits, 16))),
    'latin1',
  );
  if (isUtf8(bytes)) return bytes.toString('utf8');
  return text.includes('%') ? undefined : text;
};

/** Binary mode: the attributes are headers, and the body is the data. */
export const parseBinaryBody = (headers: Headers, body: Buffer, writer: BlockWriter, horizon: Horizon): ParsedBody => {
  const raw: Record<string, unknown> = Object.create(null);
  for (const [header, value] of Object.entries(headers)) {
    const name = header.slice(3);
    // What the data is and of which type, the body and Content-Type say.
    if (!header.startsWith('ce-') || name === 'data' || name === 'data_base64' || name === 'datacontenttype') continue;
    raw[name] = fromHeader(String(value)) ?? null;
    if (raw[name] === null)
      return malformed(`the header ${header.slice(0, 64)} is not UTF-8, percent-encoded or as it is`);
  }
  let twins = noTwins;
  if (body.length > 0) {
    const json = read(body);
    if ('reason' in json) return malformed(json.reason);
    raw.data = json.value;
    twins = json.twins.map(({ path, at }) => ({ path: ['data', ...path], at }));
  }
  writer.add(parseCloudEvent(raw, horizon, twins));
  return { kind: 'events' };
};
