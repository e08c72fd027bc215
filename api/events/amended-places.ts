/** Events of amendments as PostgreSQL gives them -> places and payloads. Pure. */
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
