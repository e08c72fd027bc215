/** Single events and their amendments, in requests to the API and its answers. */
import { Type } from 'typebox';
import { amendmentActions, amendmentsMax, reasonCharactersMax } from '#schemas/amendment.ts';
import { Event } from '#schemas/http/events.ts';
import {
  Sequence as AnySequence,
  Code,
  closed,
  ExternalId,
  formed,
  GivenInstant,
  Instant,
  idOf,
  nullable,
} from '#schemas/http/fields.ts';
import { LateUsagePolicy } from '#schemas/http/plan-terms.ts';
import { fateReasons } from '#schemas/unbilled-reasons.ts';

const Sequence = Type.Unsafe<string>({
  ...AnySequence,
  description: 'A sequence of the stream: usage at a watermark counts what is at or under it.',
});
const Watermark = Type.Unsafe<string>({
  ...AnySequence,
  description: 'The answer is as of this sequence of the stream.',
});
const Properties = Type.Record(Type.String(), Type.String(), {
  title: 'StoredProperties',
  description:
    'Dotted path to text, each exactly as it is stored: a number in its own decimal digits, an array as its JSON.',
});

const payload = { event: Type.String(), customer_id: Type.String(), timestamp: Instant };
const Payload = Type.Object(payload, { ...closed, title: 'EventHead' });
const FullPayload = Type.Object({ ...payload, properties: Properties }, { ...closed, title: 'EventPayload' });

const amendedFields = {
  idempotency_key: ExternalId,
  reason: formed('^[^\\u0000]*[^\\s\\u0000][^\\u0000]*$', 'a text that is more than blanks, without zero characters', {
    minLength: 1,
    maxLength: reasonCharactersMax,
    description: 'Why; kept for good.',
  }),
};
const Replacement = Type.Object(
  {
    event: Event.properties.event,
    customer_id: Event.properties.customer_id,
    timestamp: GivenInstant,
    properties: Event.properties.properties,
  },
  { ...closed, title: 'Replacement', description: 'The whole event that takes the place.' },
);
/** Judged by `amendmentsFromJson`, number by number; here is what a JSON schema can say of it. */
export const NewAmendments = Type.Object(
  {
    amendments: Type.Array(
      Type.Union(
        [
          Type.Object({ ...amendedFields, action: Type.Literal('void') }, { ...closed, title: 'NewVoid' }),
          Type.Object(
            { ...amendedFields, action: Type.Literal('replace'), replacement: Replacement },
            { ...closed, title: 'NewReplacement' },
          ),
        ],
        { title: 'NewAmendment', discriminator: { propertyName: 'action' } },
      ),
      { minItems: 1, maxItems: amendmentsMax, description: 'Of each key one.' },
    ),
  },
  { ...closed, title: 'NewAmendments' },
);

export const Amendment = Type.Object(
  {
    id: idOf('amd'),
    idempotency_key: Type.String(),
    number: Type.Integer({ minimum: 1, description: 'Amendments of one key follow each other.' }),
    action: Type.Enum([...amendmentActions], { title: 'AmendmentAction' }),
    reason: Type.String(),
    state: Type.Enum(['pending', 'applied'], { description: 'Whether it holds for usage that is read now.' }),
    sequence: nullable(Sequence),
    before: Type.Array(Payload, {
      description: 'What stood until then: nothing, one event, or several where a key had come again after months.',
    }),
    after: nullable(FullPayload),
    created_at: Instant,
    applied_at: nullable(Instant),
  },
  { ...closed, title: 'Amendment' },
);

export const AmendmentsAnswer = Type.Object(
  { items: Type.Array(Amendment, { maxItems: amendmentsMax, description: 'In the order of the request.' }) },
  { ...closed, title: 'AmendmentsAnswer' },
);

const voidReasons = ['twin', 'conflict', 'voided', 'replaced'] as const;

export const storedEventFields = {
  idempotency_key: Type.String(),
  ...payload,
  properties: Properties,
  received_at: Instant,
  sequence: Sequence,
  amendment_id: nullable(Type.String({ description: 'Of the amendment that put it in the place of another.' })),
};

const StoredEvent = Type.Object(
  {
    ...storedEventFields,
    state: Type.Enum(['counted', 'void']),
    void_reason: nullable(
      Type.Enum([...voidReasons], {
        title: 'VoidReason',
        description:
          'A later twin of another event of its key, a twin with another payload, or what an amendment took away.',
      }),
    ),
    voided_by: nullable(Type.String({ description: 'The amendment.' })),
  },
  { ...closed, title: 'StoredEvent' },
);

export const eventsPageMax = 1_000;

export const EventSearchQuery = Type.Object(
  {
    customer_id: Type.Optional(
      Type.Unsafe<string>({ ...ExternalId, description: 'Id or external id; a customer need not exist.' }),
    ),
    event: Type.Optional(ExternalId),
    idempotency_key: Type.Optional(
      Type.Unsafe<string>({ ...ExternalId, description: 'The span is not bounded then.' }),
    ),
    occurred_at_after: Type.Optional(
      Type.Unsafe<string>({
        ...GivenInstant,
        description: 'Only what occurred strictly after; by default 24 hours before the other end.',
      }),
    ),
    occurred_at_before: Type.Optional(
      Type.Unsafe<string>({
        ...GivenInstant,
        description:
          'Only what occurred strictly before; by default an hour from now, as clocks differ. The answer says the `span`.',
      }),
    ),
    limit: Type.Optional(formed('^([1-9][0-9]{0,2}|1000)$', 'a whole number from 1 to 1000')),
    cursor: Type.Optional(
      formed('^[A-Za-z0-9_-]{1,2400}$', 'the `next_cursor` of the page before', {
        description: 'The `next_cursor` of the page before, with the same filters.',
      }),
    ),
  },
  closed,
);

/** A query is text when it is read; to a caller `limit` is a number. */
export const EventSearchQueryDocument = Type.Object(
  {
    ...EventSearchQuery.properties,
    limit: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: eventsPageMax,
        default: 100,
        description: 'How many items a page has at most.',
      }),
    ),
  },
  closed,
);

export const EventSearch = Type.Object(
  {
    watermark: Watermark,
    span: Type.Object(
      {
        occurred_at_after: nullable(Instant),
        occurred_at_before: nullable(Instant),
      },
      {
        ...closed,
        title: 'SearchedSpan',
        description:
          'The span of time that was searched, both ends exclusive: as it was asked for, or the default. Null where it has no bound. All pages of a search have one.',
      },
    ),
    items: Type.Array(StoredEvent, { maxItems: eventsPageMax, description: 'Newest first.' }),
    pagination: Type.Object(
      {
        page_size: Type.Integer({ minimum: 0, maximum: eventsPageMax }),
        has_more: Type.Boolean(),
        next_cursor: nullable(Type.String({ description: 'All pages are as of the watermark of the first.' })),
      },
      { ...closed, title: 'EventPagination' },
    ),
  },
  { ...closed, title: 'EventSearch' },
);

const Billing = Type.Object(
  {
    state: Type.Enum(['billed', 'unbilled']),
    reason: nullable(
      Type.Enum([...fateReasons], {
        title: 'UnbilledReason',
        description:
          'Void, or replaced, before an invoice could count it; no customer of that name; no subscription at that time; no charge by a meter that counts it; a meter that finds no value in it; a price that finds no amount in it; no invoice over its time yet; or late: behind the watermark of the invoice over its time.',
      }),
    ),
    subscription_id: nullable(Type.String()),
    charge: nullable(Code),
    meter: nullable(Code),
    meter_version: nullable(Type.Integer({ minimum: 1 })),
    value: nullable(Type.String({ description: 'What the meter reads from it; 1 for a count.' })),
    invoice_id: nullable(Type.String()),
    credit_note_id: Type.Union([idOf('crn'), Type.Null()], {
      description:
        'Of what came late with a delta that came to less: the credit note of the invoice that gives it back.',
    }),
    line_position: nullable(
      Type.Integer({ minimum: 0, description: 'On the invoice, or on the credit note where there is one.' }),
    ),
    late_usage: Type.Union([LateUsagePolicy, Type.Null()], {
      description: 'Of what is late: what becomes of it by its plan version.',
    }),
    taken_back_by: nullable(
      Type.Object(
        {
          invoice_id: idOf('inv'),
          credit_note_id: Type.Union([idOf('crn'), Type.Null()], {
            description: 'The credit note of the invoice, where the delta came to less and is given back so.',
          }),
          line_position: nullable(
            Type.Integer({ minimum: 0, description: 'On the invoice, or on the credit note where there is one.' }),
          ),
        },
        {
          ...closed,
          title: 'TakenBackBy',
          description: 'Of what was amended after it was billed: the line of the delta that takes it back.',
        },
      ),
    ),
  },
  { ...closed, title: 'EventBilling' },
);

const Measurement = Type.Object(
  {
    meter: Code,
    meter_version: Type.Integer({ minimum: 1 }),
    value: nullable(Type.String({ description: 'Null where it has no usable value.' })),
  },
  { ...closed, title: 'EventMeasurement' },
);

const Version = Type.Object(
  {
    amendment_id: nullable(Type.String()),
    ...payload,
    properties: Properties,
    from_sequence: Sequence,
    until_sequence: nullable(Sequence),
    meters: Type.Array(Measurement, { description: 'The meters, in their newest versions, that count it.' }),
    billing: Type.Array(Billing),
  },
  { ...closed, title: 'EventVersion' },
);

const Twin = Type.Object(
  { ...payload, received_at: Instant, sequence: Sequence, reason: Type.Enum(['twin', 'conflict', 'unchecked']) },
  { ...closed, title: 'EventTwin' },
);

export const EventFate = Type.Object(
  {
    idempotency_key: Type.String(),
    state: Type.Enum(['counted', 'void', 'unchecked'], {
      description: 'Unchecked is what was stored a moment ago: it counts once it is held against all before it.',
    }),
    watermark: Watermark,
    received_at: Instant,
    sequence: Sequence,
    stored_at: nullable(Instant),
    is_backfill: Type.Boolean(),
    versions: Type.Array(Version, {
      description: 'What stood under the key, in order; where the last has no end, it stands now.',
    }),
    twins: Type.Array(Twin, { description: 'The same key again: none of them counts.' }),
    amendments: Type.Array(Amendment),
  },
  { ...closed, title: 'EventFate' },
);

const checkedKeysMax = 10_000;

export const EventCheck = Type.Object(
  { idempotency_keys: Type.Array(ExternalId, { minItems: 1, maxItems: checkedKeysMax }) },
  { ...closed, title: 'EventCheck' },
);

export const EventCheckAnswer = Type.Object(
  {
    known: Type.Integer({ minimum: 0 }),
    unknown: Type.Integer({ minimum: 0 }),
    items: Type.Array(
      Type.Object(
        {
          idempotency_key: Type.String(),
          status: Type.Enum(['known', 'unknown']),
          sequence: nullable(Sequence),
          received_at: nullable(Instant),
        },
        { ...closed, title: 'CheckedKey' },
      ),
      { maxItems: checkedKeysMax, description: 'In the order of the request.' },
    ),
  },
  { ...closed, title: 'EventCheckAnswer' },
);
