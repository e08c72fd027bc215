/**
 * Amendments of events: what is asked for, and the message that carries one through the stream. A message has a row for
 * each event that stops standing, under the organization's name with a zero byte behind it, and for a replacement the
 * event that stands from then on. The store needs to know nothing of it: a materialized view makes voids of the first,
 * and the second is an event like any other. Pure.
 */
import { hash } from 'node:crypto';
import {
  controlsOfStored,
  earliestEventMs,
  isEventId,
  isRecord,
  readEventId,
  readTimestamp,
} from '#schemas/event-fields.ts';
import { flattenProperties } from '#schemas/event-properties.ts';
import { type Fault, type Parsed, unknownFieldMessage } from '#schemas/fault.ts';
import { type Property, toMessage, type UsageEvent } from '#schemas/usage-event.ts';

export const amendmentsMax = 1_000;
export const reasonCharactersMax = 500;
/** Faults of one answer; it must not become many times as large as its request. */
const faultsMax = 1_000;

/** Where PostgreSQL tells the relay that amendments were committed. */
export const amendmentsChannel = 'amendments';

export const amendmentActions = ['void', 'replace'] as const;
export type AmendmentAction = (typeof amendmentActions)[number];

/** What an event says, without its key. */
export type EventPayload = {
  readonly event: string;
  readonly customer: string;
  readonly occurredAtMs: number;
  readonly properties: readonly Property[];
};

export type AmendmentRequest = {
  readonly idempotencyKey: string;
  readonly action: AmendmentAction;
  readonly reason: string;
  /** Undefined for `void`. */
  readonly replacement: EventPayload | undefined;
};

/** Where a row is found: by its digest, within the span of events that it belongs to. */
export type EventPlace = Omit<EventPayload, 'properties'> & { readonly digest: Buffer };

/** An amendment as it goes into the stream. */
export type OutgoingAmendment = {
  readonly id: string;
  readonly organizationId: string;
  readonly idempotencyKey: string;
  readonly createdAtMs: number;
  readonly removed: readonly EventPlace[];
  readonly added: EventPayload | undefined;
};

/** The identity of a row, as the sink's statement makes it of tenant and key. */
export const keyDigest = (tenant: string, key: string): Buffer =>
  hash('sha256', `${tenant}\0${key}`, 'buffer').subarray(0, 16);

/** Under which key the replacement of an event is stored. No event of a caller has a zero byte in its key. */
export const replacementKey = (idempotencyKey: string, amendmentId: string): string =>
  `${idempotencyKey}\0${amendmentId}`;

/** The caller's part of a stored key. */
export const shownKey = (storedKey: string): string => storedKey.split('\0')[0] as string;

/** The same amendment always gives the same bytes, so a message that is sent twice is one. */
export const amendmentMessage = (amendment: OutgoingAmendment): Buffer => {
  const { id, organizationId, idempotencyKey, createdAtMs, removed, added } = amendment;
  const reason = added ? 'replaced' : 'voided';
  const rows = removed.map(
    ({ digest, event, customer, occurredAtMs }): UsageEvent => ({
      tenant: `${organizationId}\0`,
      idempotencyKey: `\0${id}`,
      event: reason,
      customer,
      occurredAtMs,
      receivedAtMs: createdAtMs,
      properties: [
        ['event', event],
        ['key', idempotencyKey],
        ['row_digest', digest.toString('hex')],
      ],
    }),
  );
  if (!added) return toMessage(rows);
  const replacement = {
    ...added,
    tenant: organizationId,
    idempotencyKey: replacementKey(idempotencyKey, id),
    receivedAtMs: createdAtMs,
  };
  return toMessage([...rows, replacement]);
};

const unknownFields = (object: Record<string, unknown>, known: readonly string[], faults: Fault[]): void => {
  for (const name of Object.keys(object))
    if (!known.includes(name))
      faults.push({ field: name.slice(0, 64), code: 'unknown_field', message: unknownFieldMessage(known) });
};

/**
 * The times that a replacement may have: no later than the gateway takes events, and back to the earliest event of all.
 */
export type ReplacementHorizon = { readonly nowMs: number; readonly futureMsMax: number };

const readReplacement = (
  raw: unknown,
  { nowMs, futureMsMax }: ReplacementHorizon,
  faults: Fault[],
): EventPayload | undefined => {
  if (!isRecord(raw)) {
    faults.push({
      field: '',
      code: raw === undefined ? 'missing' : 'wrong_type',
      message: 'must be the event that takes the place',
    });
    return undefined;
  }
  const event = readEventId(raw, 'event', faults);
  const customer = readEventId(raw, 'customer_id', faults);
  const occurredAtMs = readTimestamp(raw, faults);
  const add = (code: string, message: string) => faults.push({ field: 'timestamp', code, message });
  if (raw.timestamp === undefined || raw.timestamp === null)
    add('missing', 'timestamp is required: an event of the past did not happen now');
  if (occurredAtMs !== undefined && occurredAtMs < earliestEventMs) add('too_old', 'timestamp is before the year 2000');
  if (occurredAtMs !== undefined && occurredAtMs > nowMs + futureMsMax)
    add('in_future', `timestamp is more than ${futureMsMax / 60_000} minutes ahead`);
  const properties = flattenProperties(raw.properties, faults);
  unknownFields(raw, ['event', 'customer_id', 'timestamp', 'properties'], faults);
  return { event, customer, occurredAtMs: occurredAtMs ?? 0, properties };
};

const readReason = (value: unknown, faults: Fault[]): string => {
  if (typeof value === 'string' && value.trim() !== '' && [...value].length <= reasonCharactersMax && isStorable(value))
    return value;
  const code = value === undefined ? 'missing' : typeof value === 'string' ? 'wrong_format' : 'wrong_type';
  faults.push({ field: 'reason', code, message: `must say why, in 1 to ${reasonCharactersMax} characters` });
  return '';
};

const isStorable = (text: string): boolean => text.isWellFormed() && !text.includes('\0');

const readAmendment = (raw: unknown, horizon: ReplacementHorizon, faults: Fault[]): AmendmentRequest | undefined => {
  if (!isRecord(raw)) {
    faults.push({ field: '', code: 'wrong_type', message: 'an amendment must be a JSON object' });
    return undefined;
  }
  const idempotencyKey = readEventId(raw, 'idempotency_key', faults, controlsOfStored);
  const action = amendmentActions.find((one) => one === raw.action);
  if (!action) {
    const code = raw.action === undefined ? 'missing' : 'not_allowed';
    faults.push({ field: 'action', code, message: `must be one of ${amendmentActions.join(', ')}` });
  }
  const reason = readReason(raw.reason, faults);
  const inner: Fault[] = [];
  const replacement = action === 'replace' ? readReplacement(raw.replacement, horizon, inner) : undefined;
  faults.push(
    ...inner.map((fault) => ({ ...fault, field: fault.field === '' ? 'replacement' : `replacement.${fault.field}` })),
  );
  if (action === 'void' && raw.replacement !== undefined)
    faults.push({ field: 'replacement', code: 'not_allowed', message: 'belongs to the action replace' });
  unknownFields(raw, ['idempotency_key', 'action', 'reason', 'replacement'], faults);
  return { idempotencyKey, action: action ?? 'void', reason, replacement };
};

/**
 * A body `{"amendments": [...]}`, its inexact numbers wrapped (`exact-numbers.ts`): an event here is held to what the
 * gateway holds one to.
 */
export const amendmentsFromJson = (json: unknown, horizon: ReplacementHorizon): Parsed<readonly AmendmentRequest[]> => {
  const faults: Fault[] = [];
  if (!isRecord(json))
    return { ok: false, faults: [{ field: '', code: 'wrong_type', message: 'must be {"amendments": [...]}' }] };
  unknownFields(json, ['amendments'], faults);
  const { amendments } = json;
  if (!Array.isArray(amendments) || amendments.length === 0 || amendments.length > amendmentsMax) {
    const code = amendments === undefined ? 'missing' : Array.isArray(amendments) ? 'wrong_length' : 'wrong_type';
    faults.push({ field: 'amendments', code, message: `must be an array of 1 to ${amendmentsMax} amendments` });
    return { ok: false, faults };
  }
  const read: AmendmentRequest[] = [];
  const keys = new Set<string>();
  for (const [index, raw] of amendments.entries()) {
    const inner: Fault[] = [];
    const amendment = readAmendment(raw, horizon, inner);
    if (amendment && isEventId(amendment.idempotencyKey, controlsOfStored) && keys.has(amendment.idempotencyKey))
      inner.push({
        field: 'idempotency_key',
        code: 'duplicate',
        message: 'is amended twice by one request; of two the order would not be told',
      });
    if (amendment) {
      keys.add(amendment.idempotencyKey);
      read.push(amendment);
    }
    for (const fault of inner)
      if (faults.length < faultsMax)
        faults.push({ ...fault, field: `amendments[${index}]${fault.field === '' ? '' : `.${fault.field}`}` });
  }
  return faults.length === 0 ? { ok: true, value: read } : { ok: false, faults };
};
