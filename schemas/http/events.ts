/**
 * Events in requests to the ingest host, and what became of them. Events are judged by ingest/parse, number by number;
 * here is what a JSON schema can say of it.
 */
import { type TSchema, Type } from 'typebox';
import { closed, GivenId, GivenInstant, Instant, nullable } from '#schemas/http/fields.ts';
import { Fault, Problem } from '#schemas/http/problem.ts';

const Properties = Type.Unsafe<Record<string, unknown>>({
  type: 'object',
  title: 'EventProperties',
  additionalProperties: true,
  maxProperties: 256,
  propertyNames: {
    pattern: '^[^\\u0000-\\u001f\\u007f-\\u009f.]+(\\.[^\\u0000-\\u001f\\u007f-\\u009f.]+)*$',
    maxLength: 255,
  },
  description:
    'Your own data, up to 16 levels deep, no name twice in one object. A number keeps its digits, up to 40 before the point and 52 behind it, with an exponent or without (`1.0` is `1`); one with more is refused.',
});

export const Event = Type.Object(
  {
    idempotency_key: Type.Unsafe<string>({
      ...GivenId,
      description: 'The name of the event, the same on every retry; billed once.',
    }),
    event: Type.Unsafe<string>({ ...GivenId, description: 'What happened; meters select by it.' }),
    customer_id: Type.Unsafe<string>({
      ...GivenId,
      description: 'The id of a customer or its external_id; it may be created later.',
    }),
    timestamp: Type.Optional(nullable(GivenInstant)),
    properties: Type.Optional(nullable(Properties)),
  },
  { ...closed, title: 'Event' },
);

/** One event of several is judged by itself: what is no event stands in `results`, and the others are taken. */
const listOf = (title: string, event: TSchema, eventsMax: number) =>
  Type.Array(event, {
    title,
    maxItems: eventsMax,
    description:
      'Each is judged by itself: what is no event stands in `results`. An empty list is 200 with all counts 0.',
  });

const newEvents = (eventsMax: number) => {
  const list = listOf('EventList', Event, eventsMax);
  return Type.Union([Event, list, Type.Object({ events: list }, { ...closed, title: 'EventBatch' })], {
    title: 'NewEvents',
  });
};

const ofCloudEvent = (description: string) => Type.Unsafe<string>({ ...GivenId, description });

const CloudEvent = Type.Object(
  {
    specversion: Type.Literal('1.0'),
    id: ofCloudEvent('The idempotency_key of the event, whatever its source.'),
    source: Type.String({ minLength: 1, description: 'Must be there, and is not kept.' }),
    type: ofCloudEvent('What happened; meters select by it.'),
    subject: ofCloudEvent('The id of a customer or its external_id.'),
    time: Type.Optional(nullable(GivenInstant)),
    datacontenttype: Type.Optional(nullable(Type.String({ description: 'A media type of JSON.' }))),
    dataschema: Type.Optional(nullable(Type.String())),
    data: Type.Optional(nullable(Properties)),
  },
  {
    additionalProperties: true,
    title: 'CloudEvent',
    description: 'CloudEvents 1.0 in JSON. Extension attributes may be there, and are not kept.',
  },
);

/** Every form of a body, by its media type. */
export const eventBodies = (eventsMax: number): Readonly<Record<string, TSchema>> => ({
  'application/json': newEvents(eventsMax),
  'application/x-ndjson': Type.String({
    title: 'EventLines',
    description: 'One Event a line; taken while it arrives.',
  }),
  'application/cloudevents+json': CloudEvent,
  'application/cloudevents-batch+json': listOf('CloudEventList', CloudEvent, eventsMax),
  'application/avro': Type.Unsafe<string>({
    type: 'string',
    title: 'EventContainer',
    format: 'binary',
    description:
      'An Avro object container with the codec null, deflate or zstandard; the fields of its records are those of an Event.',
  }),
});

const eventStatuses = [
  'accepted',
  'duplicate',
  'conflict',
  'invalid',
  'too_old',
  'in_future',
  'unavailable',
  'in_flight',
] as const;

const EventResult = Type.Object(
  {
    index: Type.Integer({ minimum: 0, description: 'Its place in the request.' }),
    idempotency_key: nullable(Type.String()),
    status: Type.Enum([...eventStatuses], { title: 'EventStatus' }),
    errors: Type.Array(Fault),
  },
  { ...closed, title: 'EventResult' },
);

const counts = {
  accepted: Type.Integer({ minimum: 0 }),
  duplicates: Type.Integer({ minimum: 0, description: 'Were taken before; as good as accepted.' }),
  conflicts: Type.Integer({
    minimum: 0,
    description: 'Their idempotency_key was used for another event, which stands.',
  }),
  rejected: Type.Integer({ minimum: 0 }),
  results: Type.Array(EventResult, { description: 'What was not accepted; with `results=all` every event.' }),
};

const base64url = (bytes: number, description: string) =>
  Type.String({ pattern: `^[A-Za-z0-9_-]{${Math.ceil((bytes * 4) / 3)}}$`, description });

/** Signed as schemas/receipt.ts has it. */
const SignedReceipt = Type.Object(
  {
    organization: Type.String(),
    request_id: Type.String(),
    received_at: Instant,
    accepted: Type.Integer({ minimum: 0 }),
    duplicates: Type.Integer({ minimum: 0 }),
    events_digest: base64url(
      32,
      'SHA-256 over the idempotency keys of the events that were accepted or duplicates, in order, each behind its length.',
    ),
    key_id: base64url(32, 'The `kid` of GET /v1/receipts/key.'),
    signature: base64url(64, 'Ed25519.'),
  },
  {
    ...closed,
    title: 'Receipt',
    description: 'Proof of what was taken, with `receipt=true` and where the request succeeded.',
  },
);

export const EventsAnswer = Type.Object(
  { ...counts, receipt: Type.Optional(SignedReceipt) },
  { ...closed, title: 'EventsAnswer' },
);

export const ReceiptKey = Type.Object(
  {
    kty: Type.Literal('OKP'),
    crv: Type.Literal('Ed25519'),
    x: base64url(32, 'The public key.'),
    kid: base64url(32, 'Its thumbprint (RFC 7638).'),
    alg: Type.Literal('EdDSA'),
    use: Type.Literal('sig'),
  },
  { ...closed, title: 'ReceiptKey', description: 'A public key as JWK (RFC 8037).' },
);

/** A problem that says what became of each event. */
export const EventsProblem = Type.Object({ ...Problem.properties, ...counts }, { ...closed, title: 'EventsProblem' });

const ValidationResult = Type.Object(
  {
    index: Type.Integer({ minimum: 0, description: 'Its place in the request.' }),
    idempotency_key: nullable(Type.String()),
    status: Type.Enum(['valid', 'invalid', 'too_old', 'in_future'], { title: 'ValidationStatus' }),
    errors: Type.Array(Fault),
  },
  { ...closed, title: 'ValidationResult' },
);

const EventWarning = Type.Object(
  {
    index: Type.Integer({ minimum: 0, description: 'Its place in the request.' }),
    idempotency_key: Type.String(),
    field: Type.String(),
    code: Type.Enum(['never_measured'], { title: 'EventWarningCode' }),
    message: Type.String(),
  },
  { ...closed, title: 'EventWarning', description: 'Nothing is refused for it, and yet it is hardly what was meant.' },
);

export const EventsValidation = Type.Object(
  {
    valid: Type.Integer({ minimum: 0 }),
    rejected: Type.Integer({ minimum: 0 }),
    warnings: Type.Array(EventWarning, {
      maxItems: 100,
      description:
        'Of valid events, the first 100: texts that read as a number and that no meter can measure, such as "1e400".',
    }),
    results: Type.Array(ValidationResult, {
      description: 'What would be rejected, with all of its faults; with `results=all` every event.',
    }),
  },
  { ...closed, title: 'EventsValidation' },
);

const flag = Type.Optional(Type.Enum(['true', 'false']));
const reading = { results: Type.Optional(Type.Literal('all')), backfill: flag };
export const ValidationQuery = Type.Object(reading, closed);
export const EventsQuery = Type.Object({ ...reading, receipt: flag }, closed);

/** A query is text when it is read; to a caller a flag is true or false. */
const documentedReading = {
  results: Type.Optional(Type.Literal('all', { description: 'Lists accepted events, too.' })),
  backfill: Type.Optional(
    Type.Boolean({
      description: 'Takes events of the past, back to the year 2000. Needs the scope `write:backfill`, too.',
    }),
  ),
};
export const ValidationQueryDocument = Type.Object(documentedReading, closed);
export const EventsQueryDocument = Type.Object(
  { ...documentedReading, receipt: Type.Optional(Type.Boolean({ description: 'Adds a signed receipt to a 200.' })) },
  closed,
);
