/** Why a rated line is what it is, in answers of the API. */
import { Type } from 'typebox';
import {
  Code,
  CurrencyCode,
  closed,
  Decimal,
  ExternalId,
  formed,
  Instant,
  idOf,
  nullable,
  Period,
  RoundingModeName,
  Sequence,
} from '#schemas/http/fields.ts';
import { InvoiceDiscount, LineCorrection, PriceStep, Proration } from '#schemas/http/invoices.ts';
import { MeterDefinition, MeterVersionNumber } from '#schemas/http/meters.ts';
import { tierCount } from '#schemas/http/price-overrides.ts';
import { PriceSources } from '#schemas/http/price-sources.ts';
import {
  EventSearchQuery,
  EventSearchQueryDocument,
  eventsPageMax,
  storedEventFields,
} from '#schemas/http/usage-events.ts';
import { periodBoundNames } from '#schemas/period-bound.ts';
import { priceModels } from '#schemas/price/price.ts';

export const linePosition = (document: string) =>
  formed('^[0-9]{1,9}$', 'the position of a line: a whole number', {
    description: `The \`position\` of the line on its ${document}.`,
  });

export const InvoiceLineParams = Type.Object(
  {
    id: Type.Unsafe<string>({ ...ExternalId, description: 'Id of the invoice.' }),
    line: linePosition('invoice'),
  },
  closed,
);

const LineModel = Type.Enum([...priceModels.map(({ name }) => name), ...periodBoundNames], {
  title: 'LineModel',
  description: 'That of a price, or what holds over all charges of a billing period.',
});
const Digest = Type.String({ pattern: '^[0-9a-f]{64}$' });
const CustomerNames = Type.Array(ExternalId, {
  minItems: 1,
  description: 'The names under which the events of the customer came: its id and its external id.',
});

/** Its bytes are hashed: a release that has a member more does not add it to what is stored. */
const StoredPrice = Type.Object(
  { model: LineModel },
  {
    title: 'StoredPrice',
    description: 'A price as it is stored; what has a default may be missing.',
  },
);
const StoredCharge = Type.Object(
  {
    code: Code,
    name: Type.String(),
    meter: nullable(Code),
    seats: Type.Optional(Type.Literal(true)),
    credit_unit: Type.Optional(Type.String()),
    tax_category: Type.Optional(Type.String()),
    price: StoredPrice,
  },
  { title: 'StoredCharge', description: 'A charge as its plan version stores it.' },
);

const MeasuredPart = Type.Object(
  { part: Type.String(), quantity: Decimal, events: Sequence },
  {
    ...closed,
    title: 'MeasuredPart',
    description:
      'Of a matrix a cell, by its place from 1 in the order in which cells are tried, or 0 for none; of events with a price of their own, what decided it; or `amounts`, the sum of what events say that they cost.',
  },
);
const Measured = Type.Object(
  {
    meter: Code,
    meter_version_id: idOf('mtv'),
    span: Type.Optional(Period),
    customers: CustomerNames,
    quantity: Decimal,
    parts: Type.Optional(
      Type.Array(MeasuredPart, { description: 'For a price that asks for more than one quantity.' }),
    ),
    unmeasured_events: Sequence,
  },
  { ...closed, title: 'MeasuredInput' },
);
const spanFields = { span: Period, tiers: tierCount };
const InputSpan = Type.Object(
  { ...spanFields, sources: PriceSources, price: StoredPrice },
  { ...closed, title: 'InputPriceSpan', description: 'A price, and the time in which it stood.' },
);
const RatedSpan = Type.Object(
  {
    ...spanFields,
    sources: PriceSources,
    quantity: Decimal,
    parts: Type.Optional(Type.Array(MeasuredPart)),
    unmeasured_events: Sequence,
  },
  { ...closed, title: 'RatedPriceSpan', description: 'What was used while a price stood.' },
);
const priceSpansAbout = 'Absent where the price of the charge stood for all of the time. They tile the span.';

const LineTiming = Type.Optional(
  Type.Enum(['advance', 'credit', 'once'], {
    description:
      'Absent of what is charged in arrears. `credit` takes back what was charged in advance for time that was not had; `once` is of no billing period.',
  }),
);
const ChargedLevel = Type.Object(
  { quantity: Type.Integer({ minimum: 1 }), proration: Type.Optional(Proration) },
  { ...closed, title: 'ChargedLevel' },
);

const RatingInput = Type.Object(
  {
    billing_period_id: idOf('bpd'),
    subscription_id: idOf('sub'),
    customer_id: idOf('cus'),
    plan_version_id: idOf('plv'),
    position: Type.Integer({ minimum: 1 }),
    charge: StoredCharge,
    charged: Type.Optional(
      Type.Unsafe<string>({
        ...Decimal,
        description: 'The sum of the charges, where the line holds over all of them.',
      }),
    ),
    currency: CurrencyCode,
    price_spans: Type.Optional(Type.Array(InputSpan, { description: priceSpansAbout })),
    rounding_policy: Type.Object({ rounding: RoundingModeName }, { ...closed, title: 'RoundingPolicy' }),
    timing: LineTiming,
    levels: Type.Optional(
      Type.Array(ChargedLevel, {
        description: 'Of what is priced by a number of seats or add-ons: the numbers over the time.',
      }),
    ),
    proration: Type.Optional(Proration),
    span: Period,
    watermark: Sequence,
    measured: Type.Array(Measured, { description: 'What was measured; nothing for a flat charge.' }),
  },
  { ...closed, title: 'RatingInput', description: 'What went in, as it is hashed.' },
);
export const RatingOutput = Type.Object(
  {
    billing_period_id: idOf('bpd'),
    span: Period,
    subscription_id: idOf('sub'),
    customer_id: idOf('cus'),
    plan_version_id: idOf('plv'),
    position: Type.Integer({ minimum: 1 }),
    charge_code: Code,
    charge_name: Type.String(),
    model: LineModel,
    meter: nullable(Code),
    timing: LineTiming,
    currency: CurrencyCode,
    rounding: RoundingModeName,
    quantity: Decimal,
    billable_quantity: Decimal,
    precise_amount: Type.Unsafe<string>({ ...Decimal, description: 'Before it is rounded; the sum of the steps.' }),
    amount: Type.Unsafe<string>({ ...Decimal, description: 'Rounded once, to minor units: what is printed.' }),
    steps: Type.Array(PriceStep),
    price_spans: Type.Optional(Type.Array(RatedSpan, { description: priceSpansAbout })),
  },
  { ...closed, title: 'RatingOutput', description: 'What came out, as it is hashed.' },
);

const Hashes = Type.Object(
  {
    version: Type.Integer({ minimum: 1, description: 'Which members are hashed; a member of both texts.' }),
    input: Digest,
    output: Digest,
    is_as_rated: Type.Boolean({ description: 'Whether `input` and `output` of this answer have these hashes.' }),
  },
  { ...closed, title: 'RatingHashes', description: 'SHA-256 of the canonical forms (RFC 8785): docs/explain.md.' },
);

const TierUse = Type.Object(
  {
    from: Decimal,
    to: nullable(Decimal),
    unit_amount: Decimal,
    flat_amount: Decimal,
    units: Decimal,
    amount: Decimal,
    cell: PriceStep.properties.cell,
    span: PriceStep.properties.span,
  },
  { ...closed, title: 'TierUse', description: 'A tier of the price, with the units in it and what they cost.' },
);

const Query = Type.Object(
  {
    meter: Code,
    meter_version: MeterVersionNumber,
    meter_version_id: idOf('mtv'),
    definition: MeterDefinition,
    customers: CustomerNames,
    span: Period,
    reads_before: Type.Boolean({
      description: 'Whether events of before the span count too: levels are carried from the first event on.',
    }),
    watermark: Sequence,
  },
  { ...closed, title: 'QuantityQuery', description: 'All that it takes to measure the quantity again.' },
);

const LineEvents = Type.Object(
  {
    count: Type.Unsafe<string>({ ...Sequence, description: 'How many events the quantity is made of.' }),
    content_hash: Type.Unsafe<string>({
      ...Digest,
      description: 'The sum, modulo 2^256, of the SHA-256 of each event: docs/explain.md.',
    }),
    url: Type.String({ description: 'Where they are listed.' }),
  },
  { ...closed, title: 'LineEvents' },
);

export const LineDelta = Type.Object(
  {
    corrects: LineCorrection,
    rated_line_before: Type.Union([idOf('rln'), Type.Null()], {
      description: 'What the charge was rated as before; null where there was no such line.',
    }),
    changes: Type.Union(
      [
        Type.Object(
          {
            added: Type.Unsafe<string>({ ...Sequence, description: 'Events that count now and did not before.' }),
            removed: Type.Unsafe<string>({ ...Sequence, description: 'Events that counted before and do not now.' }),
            url: Type.String({ description: 'Where they are listed.' }),
          },
          { ...closed, title: 'LineChanges' },
        ),
        Type.Null(),
      ],
      { description: 'Null for a charge without a meter.' },
    ),
  },
  { ...closed, title: 'LineDelta' },
);

export const Explanation = Type.Object(
  {
    id: idOf('rln'),
    rated_at: Instant,
    invoice_id: nullable(idOf('inv')),
    line_position: nullable(Type.Integer({ minimum: 1, description: 'On the invoice.' })),
    discounts: Type.Array(InvoiceDiscount, {
      description: 'What the invoice took off it, in the order in which it was taken off.',
    }),
    credited_before: Type.Union([Decimal, Type.Null()], {
      description:
        'What the invoice gives back less than `output`, as credit notes gave it back before; null where there is nothing.',
    }),
    input: RatingInput,
    output: RatingOutput,
    hashes: Type.Union([Hashes, Type.Null()], { description: 'Null for a line from before lines were hashed.' }),
    tiers: Type.Array(TierUse, { description: 'All tiers of a tiered price, those without units too.' }),
    query: Type.Union([Query, Type.Null()], { description: 'Null for a flat charge.' }),
    events: Type.Union([LineEvents, Type.Null()], { description: 'Null for a flat charge.' }),
    delta: Type.Union([LineDelta, Type.Null()], {
      description: 'Of a line of a delta, whose `output` is the whole that the charge comes to now.',
    }),
  },
  { ...closed, title: 'Explanation' },
);

const changedSince = Type.Optional(
  formed('^[0-9]{1,19}$', 'a sequence of the stream', {
    description:
      'A sequence of the stream. Then those events are listed that count at the watermark of the line and did not at this one (`added`), and those that did at this one and do not any more (`removed`).',
  }),
);

export const LineEventsQuery = Type.Object(
  {
    limit: EventSearchQuery.properties.limit,
    cursor: EventSearchQuery.properties.cursor,
    changed_since: changedSince,
  },
  closed,
);
export const LineEventsQueryDocument = Type.Object(
  {
    limit: EventSearchQueryDocument.properties.limit,
    cursor: EventSearchQueryDocument.properties.cursor,
    changed_since: changedSince,
  },
  closed,
);

const LineEvent = Type.Object(
  {
    ...storedEventFields,
    digest: Type.String({
      pattern: '^[0-9a-f]{32}$',
      description: 'The first 16 bytes of the SHA-256 of organization and key: docs/explain.md.',
    }),
    value: nullable(
      Type.String({ description: 'What the meter reads from it; 1 for a count, null where it can not.' }),
    ),
    change: Type.Optional(
      Type.Enum(['added', 'removed'], { description: 'Where `changed_since` is asked for: which of both.' }),
    ),
  },
  { ...closed, title: 'LineEvent' },
);

export const LineEventPage = Type.Object(
  {
    rated_line_id: idOf('rln'),
    watermark: Sequence,
    items: Type.Array(LineEvent, { maxItems: eventsPageMax, description: 'Newest first.' }),
    pagination: Type.Object(
      {
        page_size: Type.Integer({ minimum: 0, maximum: eventsPageMax }),
        has_more: Type.Boolean(),
        next_cursor: nullable(Type.String()),
      },
      { ...closed, title: 'LineEventPagination' },
    ),
  },
  { ...closed, title: 'LineEventPage' },
);
