/** `/v1/events` of the API: search, what became of one, and which keys are known. */
import { keyDigest } from '#schemas/amendment.ts';
import { FailureError, type Fault } from '#schemas/failures.ts';
import { IdParam } from '#schemas/http/fields.ts';
import {
  EventCheck,
  EventCheckAnswer,
  EventFate,
  EventSearch,
  EventSearchQuery,
  EventSearchQueryDocument,
} from '#schemas/http/usage-events.ts';
import { formatInstant } from '#schemas/instant.ts';
import { meterOf } from '#schemas/stored-meter.ts';
import type { CatalogStore } from '../catalog/catalog.postgres.ts';
import type { CustomerStore } from '../customers/customers.postgres.ts';
import type { Cursors } from '../route/cursors.ts';
import type { Db, Routes } from '../route/define-route.ts';
import { found, readInstant } from '../route/resource-fields.ts';
import type { ReadWatermark } from '../usage/watermark.postgres.ts';
import { amendmentJson } from './amendment-routes.ts';
import type { AmendmentStore } from './amendments.postgres.ts';
import type { BillingFactsOf } from './event-billing.postgres.ts';
import type { Billing, EventVersion, Twin } from './event-fate.ts';
import type { StoredEvents } from './events.clickhouse.ts';
import { type Fate, readFate } from './read-fate.ts';
import { foundEventJson, searchEvents } from './search-events.ts';

export type EventPorts = {
  readonly amendments: AmendmentStore;
  readonly storedEvents: StoredEvents;
  readonly readWatermark: ReadWatermark;
  readonly cursors: Cursors;
  readonly customers: CustomerStore;
  readonly catalog: CatalogStore;
  readonly billingFactsOf: BillingFactsOf;
};

const lineJson = ({ invoiceId, linePosition, creditNoteId }: NonNullable<Billing['takenBack']>) => ({
  invoice_id: invoiceId,
  credit_note_id: creditNoteId ?? null,
  line_position: linePosition ?? null,
});

const billingJson = ({ reason, subscriptionId, charge, meter, value, invoiceId, linePosition, ...more }: Billing) => ({
  state: reason === undefined ? 'billed' : 'unbilled',
  reason: reason ?? null,
  subscription_id: subscriptionId ?? null,
  charge: charge ?? null,
  meter: meter?.code ?? null,
  meter_version: meter?.version ?? null,
  value: value ?? null,
  invoice_id: invoiceId ?? null,
  credit_note_id: more.creditNoteId ?? null,
  line_position: linePosition ?? null,
  late_usage: more.lateUsage ?? null,
  taken_back_by: more.takenBack ? lineJson(more.takenBack) : null,
});

const headJson = ({ event, customer, occurredAtMs }: EventVersion | Twin) => ({
  event,
  customer_id: customer,
  timestamp: formatInstant(occurredAtMs),
});

const versionJson = (version: Fate['versions'][number]) => ({
  amendment_id: version.amendmentId ?? null,
  ...headJson(version),
  properties: Object.fromEntries(version.properties),
  from_sequence: version.from.toString(),
  until_sequence: version.until?.toString() ?? null,
  meters: version.measurements.map(({ meter, value }) => ({ meter: meter.code, meter_version: meter.version, value })),
  billing: version.billing.map(billingJson),
});

const fateJson = (key: string, { state, watermark, first, message, versions, twins, amendments }: Fate) => ({
  idempotency_key: key,
  state,
  watermark: watermark.toString(),
  received_at: formatInstant(first.receivedAtMs),
  sequence: first.sequence.toString(),
  stored_at: message ? formatInstant(message.storedAtMs) : null,
  is_backfill: message?.isBackfill ?? false,
  versions: versions.map(versionJson),
  twins: twins.map((twin) => ({
    ...headJson(twin),
    received_at: formatInstant(twin.receivedAtMs),
    sequence: twin.sequence.toString(),
    reason: twin.reason,
  })),
  amendments: amendments.map(amendmentJson),
});

const searchRoute = (
  { get }: Routes,
  { amendments, storedEvents, readWatermark, cursors, customers }: EventPorts,
): void => {
  const namesOf = async (db: Db, customer: string): Promise<readonly string[]> => {
    const names = await customers.customerNames(db, customer);
    return names?.names ?? [customer];
  };
  get(
    {
      url: '/v1/events',
      operation: 'searchEvents',
      tag: 'Events',
      summary: 'Search stored events, newest first',
      scope: 'read:usage',
      query: EventSearchQuery,
      documentedQuery: EventSearchQueryDocument,
      answers: { 200: EventSearch },
      failures: [],
    },
    async ({ db, query, nowMs }) => {
      const faults: Fault[] = [];
      const after = readInstant(query.occurred_at_after, 'occurred_at_after', faults);
      const before = readInstant(query.occurred_at_before, 'occurred_at_before', faults);
      if (faults.length > 0) throw new FailureError('BAD_REQUEST', undefined, faults);
      const asked = {
        customer: query.customer_id,
        event: query.event,
        idempotencyKey: query.idempotency_key,
        after,
        before,
        limit: Number(query.limit ?? 100),
        cursor: query.cursor,
      };
      const page = await searchEvents(db, asked, nowMs, { amendments, storedEvents, readWatermark, cursors, namesOf });
      return {
        watermark: page.watermark.toString(),
        span: {
          occurred_at_after: page.span.after === undefined ? null : formatInstant(page.span.after),
          occurred_at_before: page.span.before === undefined ? null : formatInstant(page.span.before),
        },
        items: page.events.map(foundEventJson),
        pagination: {
          page_size: page.events.length,
          has_more: page.nextCursor !== undefined,
          next_cursor: page.nextCursor ?? null,
        },
      };
    },
  );
};

export const eventRoutes = (routes: Routes, ports: EventPorts): void => {
  const { get, ask } = routes;
  const { amendments, storedEvents, readWatermark, billingFactsOf, catalog } = ports;
  const tag = 'Events';
  searchRoute(routes, ports);

  get(
    {
      url: '/v1/events/:id',
      operation: 'getEvent',
      tag,
      summary: 'What became of an event, by its idempotency key',
      scope: 'read:usage',
      params: IdParam,
      answers: { 200: EventFate },
      failures: ['EVENT_NOT_FOUND'],
    },
    async ({ db, params }) => {
      const metersOf = async (of: Db) => (await catalog.allMeters(of)).map(meterOf);
      const fate = await readFate(db, params.id, { amendments, storedEvents, readWatermark, billingFactsOf, metersOf });
      return fateJson(params.id, found(fate, 'EVENT_NOT_FOUND'));
    },
  );

  ask(
    {
      url: '/v1/events/check',
      operation: 'checkEvents',
      tag,
      summary: 'Which idempotency keys are stored, up to 10,000 at once',
      scope: 'read:usage',
      body: EventCheck,
      answers: { 200: EventCheckAnswer },
      failures: [],
    },
    async ({ db, body }) => {
      const digests = body.idempotency_keys.map((key) => keyDigest(db.organizationId, key).toString('hex'));
      const stored = await storedEvents.known(db.organizationId, [...new Set(digests)]);
      const byDigest = new Map(stored.map((one) => [one.digest, one]));
      const items = body.idempotency_keys.map((key, index) => {
        const known = byDigest.get(digests[index] as string);
        return {
          idempotency_key: key,
          status: known ? 'known' : 'unknown',
          sequence: known?.sequence.toString() ?? null,
          received_at: known ? formatInstant(known.receivedAtMs) : null,
        };
      });
      const known = items.filter(({ status }) => status === 'known').length;
      return { known, unknown: items.length - known, items };
    },
  );
};
