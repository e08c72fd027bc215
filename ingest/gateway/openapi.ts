/** The ingest host as its OpenAPI document shows it. */
import { apiVersion } from '#platform/http/http.ts';
import type { DocumentInfo, Operation } from '#platform/http/openapi.ts';
import {
  EventsAnswer,
  EventsProblem,
  EventsQueryDocument,
  EventsValidation,
  eventBodies,
  ReceiptKey,
  ValidationQueryDocument,
} from '#schemas/http/events.ts';
import { ingestExamples } from '#schemas/http/examples.ts';
import { Problem } from '#schemas/http/problem.ts';

const tag = 'Events';

export const ingestInfo: DocumentInfo = {
  title: 'Millrace ingest',
  version: apiVersion,
  description: `Takes usage events. The billing API is another host (by default port 8080), with a document of its own at its \`/openapi.json\`.

Every event carries its own idempotency key, so a whole request may be sent again at any time, unchanged.`,
  tags: { [tag]: 'What customers did, as it happens.' },
  examples: ingestExamples,
};

export const eventsOperation = (eventsMax: number): Operation => ({
  method: 'POST',
  url: '/v1/events',
  operation: 'createEvents',
  tag,
  summary: 'Take usage events: one, an array, or {"events": [...]}',
  description: `Events come as JSON, as lines of JSON, as CloudEvents or in an Avro container; any of these may be compressed (Content-Encoding: gzip or zstd). 200 only if every event has a final outcome and at least one is taken. 503 with Retry-After: send all of it again, unchanged. 422 or 409: nothing was taken, and sending it again does not help. Up to ${eventsMax} events.

Lines are taken while they arrive. Where they come with \`Accept: application/x-ndjson\` the answer is lines, too: the status is then 200 as soon as the first events are taken, and the last line says in \`final\` and \`status\` what it came to.

Events that are older than the accepted horizon come as a backfill: with \`backfill=true\` and the scope \`write:backfill\` beside \`write:events\`.`,
  scope: 'write:events',
  rateClass: 'events',
  idempotencyHeader: false,
  query: EventsQueryDocument,
  documentedBodies: eventBodies(eventsMax),
  answers: { 200: EventsAnswer },
  mediaTypes: ['application/json', 'application/x-ndjson'],
  failures: ['TOO_MANY_EVENTS', 'UNUSABLE_AVRO_SCHEMA', 'IDEMPOTENCY_CONFLICT', 'EVENTS_REJECTED', 'EVENTS_NOT_FINAL'],
  problems: {
    IDEMPOTENCY_CONFLICT: [EventsProblem],
    EVENTS_REJECTED: [EventsProblem],
    EVENTS_NOT_FINAL: [EventsProblem],
    // Of lines, which were taken up to there.
    MALFORMED_BODY: [Problem, EventsProblem],
    BODY_TOO_LARGE: [Problem, EventsProblem],
    TOO_MANY_EVENTS: [Problem, EventsProblem],
    OVERLOADED: [Problem, EventsProblem],
    BAD_REQUEST: [Problem, EventsProblem],
    // Before the events were looked at, it knows nothing of them.
    DEPENDENCY_UNAVAILABLE: [Problem, EventsProblem],
  },
});

export const validateOperation = (eventsMax: number): Operation => ({
  method: 'POST',
  url: '/v1/events/validate',
  operation: 'validateEvents',
  tag,
  summary: 'Try usage events without sending them',
  description: `Reads a body as POST /v1/events does, in every form, and says of each event what is wrong with it. Nothing is looked up, claimed or stored: whether an idempotency_key was used before is not known here. 200 for every body that can be read.`,
  scope: 'write:events',
  rateClass: 'events',
  idempotencyHeader: false,
  query: ValidationQueryDocument,
  documentedBodies: eventBodies(eventsMax),
  answers: { 200: EventsValidation },
  failures: ['TOO_MANY_EVENTS', 'UNUSABLE_AVRO_SCHEMA'],
});

export const receiptKeyOperation: Operation = {
  method: 'GET',
  url: '/v1/receipts/key',
  operation: 'getReceiptKey',
  tag,
  summary: 'The public key that verifies receipts',
  description:
    'The same on all gateways of an installation. Keep it beside the receipts: who verifies one needs nothing else of us.',
  scope: 'write:events',
  rateClass: 'events',
  answers: { 200: ReceiptKey },
  failures: [],
};
