/**
 * What bodies and parameters look like in the OpenAPI documents, where it takes several resources to tell
 * (`example-parts.ts`). By the names of schemas; see `DocumentInfo`. An event says no timestamp, so that it occurs when
 * it is sent.
 */
import { planExample } from '#schemas/http/catalog.ts';
import { customerExample, newCustomerExample } from '#schemas/http/customers.ts';
import { exampleCreatedAt, exampleHead, exampleId, exampleMonth, examplePage } from '#schemas/http/example-parts.ts';
import { explainExamples } from '#schemas/http/explain-examples.ts';
import { noDrafts } from '#schemas/http/invoice-drafts.ts';
import {
  billingPeriod,
  exportExamples,
  hash,
  invoiceHead,
  invoicePreview,
  lines,
} from '#schemas/http/invoice-examples.ts';
import { definitionExample, meterExample, meterVersionExample, newMeterExample } from '#schemas/http/meters.ts';
import { meteredChargeExample } from '#schemas/http/plan.ts';
import { resultsCsvExample } from '#schemas/http/simulations.ts';
import { subscriptionExample } from '#schemas/http/subscriptions.ts';

/** As it is rated: with the one price. */
const { currency_options: _options, ...ratedChargeExample } = meteredChargeExample;

const newBillingRun = { period: '2026-10' };
const billingRun = {
  id: exampleId('run', 7),
  period: exampleMonth,
  asked_by: 'caller',
  due_until: null,
  arrears_until: null,
  customer_id: null,
  subscription_id: null,
  state: 'completed',
  watermark: '42',
  invoices_issued: 1,
  ...noDrafts,
  unmeasured_events: 0,
  rating_ms: 12,
  issuing_ms: 8,
  failures: 0,
  progress: {
    started_at: exampleCreatedAt,
    shards_total: 1,
    shards_done: 1,
    billing_periods_total: 1,
    billing_periods_done: 1,
    billing_periods_per_second: 1,
    remaining_seconds: 0,
  },
  failure: null,
  created_at: exampleCreatedAt,
  updated_at: '2026-11-01T08:00:01.000Z',
};

const apiKey = {
  id: exampleId('key', 10),
  name: 'Backend',
  kind: 'secret',
  hint: 'mr_live_4f1c',
  world: 'live',
  scopes: ['write:events', 'read:usage'],
  state: 'active',
  signed_requests: false,
  last_used_at: null,
  expires_at: null,
  revoked_at: null,
  rotated_to: null,
  ...exampleHead,
};
const secretKey = { ...apiKey, key: 'mr_live_4f1c0b1d_x3mUZ4cV2oQ', signing_secret: null };

const occurredAt = '2026-10-31T12:00:00.000Z';
const eventHead = { event: newMeterExample.event, customer_id: newCustomerExample.external_id, timestamp: occurredAt };
const storedProperties = { tokens: '250000', model: 'small' };
const eventAsStored = {
  idempotency_key: 'req-1',
  ...eventHead,
  properties: storedProperties,
  received_at: '2026-10-31T12:00:00.250Z',
  sequence: billingRun.watermark,
  amendment_id: null,
};
const storedEvent = {
  ...eventAsStored,
  state: 'counted',
  void_reason: null,
  voided_by: null,
};
const amendment = {
  id: exampleId('amd', 11),
  idempotency_key: storedEvent.idempotency_key,
  number: 1,
  action: 'void',
  reason: 'Sent by a load test',
  state: 'applied',
  sequence: '57',
  before: [eventHead],
  after: null,
  created_at: exampleCreatedAt,
  applied_at: exampleCreatedAt,
};
const eventFate = {
  idempotency_key: storedEvent.idempotency_key,
  state: 'counted',
  watermark: billingRun.watermark,
  received_at: storedEvent.received_at,
  sequence: storedEvent.sequence,
  stored_at: '2026-10-31T12:00:00.900Z',
  is_backfill: false,
  versions: [
    {
      amendment_id: null,
      ...eventHead,
      properties: storedProperties,
      from_sequence: storedEvent.sequence,
      until_sequence: null,
      meters: [{ meter: meterExample.code, meter_version: 1, value: '250000' }],
      billing: [
        {
          state: 'billed',
          reason: null,
          subscription_id: subscriptionExample.id,
          charge: meteredChargeExample.code,
          meter: meterExample.code,
          meter_version: 1,
          value: '250000',
          invoice_id: invoiceHead.id,
          credit_note_id: null,
          line_position: 2,
          late_usage: null,
          taken_back_by: null,
        },
      ],
    },
  ],
  twins: [],
  amendments: [],
};

const usage = { meter: meterExample.code, meter_version: 1, quantity: '250000', unmeasured_events: 0 };
const usageRow = {
  window_start: exampleMonth.start,
  window_end: exampleMonth.end,
  group: {},
  quantity: '250000',
  events: '1',
  unmeasured_events: '0',
};
const meterUsage = {
  meter_id: meterExample.id,
  meter: meterExample.code,
  meter_version: 1,
  customer_id: null,
  period: exampleMonth,
  window: 'month',
  time_zone: 'UTC',
  watermark: billingRun.watermark,
  items: [usageRow],
  pagination: { page_size: 1, has_more: false, next_cursor: null },
};

const stages = {
  received: 2,
  accepted: 1,
  duplicates: 1,
  conflicts: 0,
  rejected: 0,
  not_final: 0,
  repeated: 0,
  published: 1,
  backfilled: 0,
  distinct: 1,
  twins_removed: 0,
  twins: 0,
  stored_conflicts: 0,
  voided: 0,
  replaced: 0,
  billed: 1,
  unbilled: {
    unchecked: 0,
    voided: 0,
    replaced: 0,
    no_customer: 0,
    no_subscription: 0,
    trial: 0,
    paused: 0,
    no_charge: 0,
    unmeasured: 0,
    no_amount: 0,
    waived: 0,
    period_open: 0,
    late: 0,
  },
  unanswered: 0,
  on_the_way: 0,
  missing: 0,
  differences: [],
  is_balanced: true,
};
const hour = { start: '2026-10-31T12:00:00.000Z', end: '2026-10-31T13:00:00.000Z' };

const explained = explainExamples({
  id: exampleId('rln', 17),
  invoice: invoiceHead,
  line: lines[1] as (typeof lines)[number],
  charge: ratedChargeExample,
  customers: [customerExample.id, customerExample.external_id],
  meter: { ...meterVersionExample, definition: definitionExample },
  period: exampleMonth,
  event: eventAsStored,
});

const ratingRun = {
  id: exampleId('run', 21),
  period: exampleMonth,
  customer_id: customerExample.id,
  subscription_id: null,
  dry_run: true,
  state: 'completed',
  watermark: billingRun.watermark,
  lines: 2,
  totals: [{ currency: planExample.currency, lines: 2, amount: invoiceHead.total }],
  unmeasured_events: 0,
  rating_ms: billingRun.rating_ms,
  failures: 0,
  progress: billingRun.progress,
  failure: null,
  created_at: billingRun.created_at,
  updated_at: billingRun.updated_at,
};
const ratingFailure = {
  id: exampleId('rfl', 22),
  billing_period_id: billingPeriod.billing_period_id,
  subscription_id: subscriptionExample.id,
  customer_id: customerExample.id,
  code: 'usage_unreadable',
  message: 'the usage can not be read: a group has more values than a percentile may have',
  failed_at: billingRun.updated_at,
};

export const apiExamples: Readonly<Record<string, unknown>> = {
  MeterVersionPage: examplePage(meterVersionExample),
  NewBillingRun: newBillingRun,
  BillingRun: billingRun,
  BillingRunPage: examplePage(billingRun),
  Due: {
    closing: { automatic: true, grace_minutes: 60 },
    subscriptions: { due: 0, next_due_at: '2026-12-01T00:00:00.000Z' },
    billing_periods: { open: 0, oldest_due_at: null },
    is_running: false,
    next_run_at: '2026-12-01T00:00:00.000Z',
    late_seconds: 0,
  },
  '/v1/billing-runs/:id': billingRun.id,
  '/v1/invoices/runs/:id': billingRun.id,
  wait_seconds: 25,
  NewRatingRun: { period: '2026-10', customer_id: customerExample.external_id },
  RatingRun: ratingRun,
  RatingRunPage: examplePage(ratingRun),
  RatingRunLinePage: examplePage({
    ...explained.Explanation.output,
    unmeasured_events: '0',
    hashes: { version: 1, input: hash('4'), output: hash('5') },
  }),
  RatingFailurePage: examplePage(ratingFailure),
  CarriedPeriodPage: examplePage({
    billing_period_id: billingPeriod.billing_period_id,
    customer_id: customerExample.id,
    subscription_id: subscriptionExample.id,
    start: exampleMonth.start,
    end: exampleMonth.end,
    state: 'carried_over',
    carried_over_from: exampleMonth.end,
    carried_at: billingRun.updated_at,
    currency: 'USD',
    invoice_total: '2.50',
    minimum_amount: '10.00',
    invoice_id: null,
  }),
  '/v1/rating-runs/:id': ratingRun.id,
  InvoiceHeadPage: examplePage(invoiceHead),
  InvoiceLinePage: examplePage(lines[0]),
  ...exportExamples,
  Invoice: { ...invoiceHead, lines },
  InvoiceHead: invoiceHead,
  InvoicePreview: invoicePreview,
  '/v1/invoices/:id': invoiceHead.id,
  CustomerExport: {
    exported_at: exampleCreatedAt,
    withheld: ['audit_log'],
    customer: customerExample,
    children: [],
    subscriptions: [subscriptionExample],
    rated_lines: [{ subscription_id: subscriptionExample.id, charge_code: 'base', lines: '1' }],
    price_overrides: [],
    invoices: [{ ...invoiceHead, lines }],
    billed_to: [],
    usage: [{ month: '2026-10', event: newMeterExample.event, events: '250' }],
  },
  ...explained,
  NewApiKeyRequest: { name: apiKey.name, scopes: apiKey.scopes },
  ApiKey: apiKey,
  ApiKeyWithSecret: secretKey,
  ApiKeyPage: examplePage(apiKey),
  KeyRotation: { overlap_seconds: 3_600 },
  '/v1/api-keys/:id': apiKey.id,
  EventSearch: {
    watermark: billingRun.watermark,
    span: { occurred_at_after: hour.start, occurred_at_before: hour.end },
    items: [storedEvent],
    pagination: { page_size: 1, has_more: false, next_cursor: null },
  },
  EventFate: eventFate,
  '/v1/events/:id': storedEvent.idempotency_key,
  EventCheck: { idempotency_keys: [storedEvent.idempotency_key, 'req-2'] },
  EventCheckAnswer: {
    known: 1,
    unknown: 1,
    items: [
      {
        idempotency_key: 'req-1',
        status: 'known',
        sequence: storedEvent.sequence,
        received_at: storedEvent.received_at,
      },
      { idempotency_key: 'req-2', status: 'unknown', sequence: null, received_at: null },
    ],
  },
  NewAmendments: {
    amendments: [{ idempotency_key: amendment.idempotency_key, action: 'void', reason: amendment.reason }],
  },
  AmendmentsAnswer: { items: [amendment] },
  Amendment: amendment,
  AmendmentPage: examplePage(amendment),
  '/v1/events/amendments/:id': amendment.id,
  from: '2026-10-01T00:00:00Z',
  to: '2026-11-01T00:00:00Z',
  time_zone: 'Europe/Berlin',
  filter: '{"property":"model","operator":"eq","value":"small"}',
  MeterUsage: meterUsage,
  'getMeterUsage answer text/csv':
    'window_start,window_end,quantity,events,unmeasured_events\r\n2026-10-01T00:00:00.000Z,2026-11-01T00:00:00.000Z,250000,1,0\r\n',
  'exportSimulationResults answer text/csv': resultsCsvExample,
  CustomerUsage: {
    customer_id: customerExample.id,
    external_id: customerExample.external_id,
    period: exampleMonth,
    watermark: billingRun.watermark,
    items: [usage],
  },
  SubscriptionUsage: {
    subscription_id: subscriptionExample.id,
    customer_id: customerExample.id,
    plan_version_id: planExample.plan_version_id,
    period: exampleMonth,
    watermark: billingRun.watermark,
    items: [
      {
        charge: meteredChargeExample.code,
        name: meteredChargeExample.name,
        ...usage,
        free_units: '1000',
        free_units_left: '0',
        tiers: [],
      },
    ],
  },
  Reconciliation: {
    period: hour,
    is_settled: true,
    is_balanced: true,
    watermark: billingRun.watermark,
    total: stages,
    hours: [{ hour: hour.start, ...stages }],
    unreported_gateways: [],
    losses: [],
    dead_letters: 0,
  },
  AuditEntryPage: examplePage({
    id: exampleId('aud', 12),
    canonical_version: 3,
    lane: 0,
    sequence: 1,
    occurred_at: exampleCreatedAt,
    actor: apiKey.id,
    action: 'meter.created',
    object_type: 'meter',
    object_id: meterExample.id,
    object_sequence: 1,
    before_digest: null,
    after_digest: hash('a'),
    stored_digest: `1:${hash('c')}`,
    request_id: exampleId('req', 13),
    result: '201',
    previous_hash: hash('0'),
    hash: hash('b'),
  }),
};

const event = {
  idempotency_key: 'req-1',
  event: newMeterExample.event,
  customer_id: 'acme',
  properties: { tokens: 250_000, model: 'small' },
};
const secondEvent = { ...event, idempotency_key: 'req-2', properties: { tokens: 1_200, model: 'large', cached: true } };
const cloudEvent = {
  specversion: '1.0',
  id: 'req-3',
  source: 'https://api.acme.example',
  type: newMeterExample.event,
  subject: 'acme',
  data: { tokens: 800 },
};
const key = 'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k';

export const ingestExamples: Readonly<Record<string, unknown>> = {
  Event: event,
  NewEvents: { events: [event, secondEvent] },
  EventLines: `${JSON.stringify(event)}\n${JSON.stringify(secondEvent)}\n`,
  CloudEvent: cloudEvent,
  CloudEventList: [cloudEvent],
  EventsAnswer: { accepted: 2, duplicates: 0, conflicts: 0, rejected: 0, results: [] },
  'createEvents answer application/x-ndjson':
    '{"index":0,"idempotency_key":"req-1","status":"invalid","errors":[{"field":"event","code":"missing","message":"must be there"}]}\n{"final":true,"status":200,"accepted":1,"duplicates":0,"conflicts":0,"rejected":1}\n',
  EventsValidation: { valid: 2, rejected: 0, warnings: [], results: [] },
  ReceiptKey: {
    kty: 'OKP',
    crv: 'Ed25519',
    x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo',
    kid: key,
    alg: 'EdDSA',
    use: 'sig',
  },
};
