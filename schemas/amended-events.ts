/** Events of amendments as PostgreSQL keeps them: the columns that read them, and what they say. Pure. */
import type { EventPayload, EventPlace } from '#schemas/amendment.ts';
import type { Property } from '#schemas/usage-event.ts';

export type AmendedJson = {
  readonly event: string;
  readonly customer: string;
  readonly occurred_at: string;
  /** In hex. */
  readonly row_digest: string;
  readonly properties: readonly Property[] | null;
};

// A time as text to the millisecond, and a digest as hex digits, since JSON has neither.
const amended = `json_build_object('event', e.event, 'customer', e.customer,
    'occurred_at', to_char(e.occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
    'row_digest', encode(e.row_digest, 'hex'), 'properties', e.properties)`;

/** The columns `removed` and `added` of an amendment `a`. */
export const amendedEventsSql = `(SELECT coalesce(json_agg(${amended} ORDER BY e.position), '[]')
    FROM amended_events e WHERE e.amendment_id = a.id AND e.effect = 'removed') AS removed,
  (SELECT ${amended} FROM amended_events e WHERE e.amendment_id = a.id AND e.effect = 'added') AS added`;

export const placeOf = (json: AmendedJson): EventPlace => ({
  event: json.event,
  customer: json.customer,
  occurredAtMs: Date.parse(json.occurred_at),
  digest: Buffer.from(json.row_digest, 'hex'),
});

export const payloadOf = (json: AmendedJson): EventPayload => ({
  event: json.event,
  customer: json.customer,
  occurredAtMs: Date.parse(json.occurred_at),
  properties: json.properties ?? [],
});
