/** The ingest host as its OpenAPI document shows it. */
import { apiVersion } from '#platform/http.ts';
import type { DocumentInfo, Operation } from '#platform/openapi.ts';
import { EventsAnswer, EventsProblem, EventsQuery, newEvents } from '#schemas/http/events.ts';
import { Problem } from '#schemas/http/problem.ts';

const tag = 'Events';

export const ingestInfo: DocumentInfo = {
  title: 'Millrace ingest',
  version: apiVersion,
  description: `Takes usage events. The billing API is another host (by default port 8080), with a document of its own at its \`/openapi.json\`.

Every event carries its own idempotency key, so a whole request may be sent again at any time, unchanged.`,
  tags: { [tag]: 'What customers did, as it happens.' },
};

export const eventsOperation = (eventsMax: number): Operation => ({
  method: 'POST',
  url: '/v1/events',
  operation: 'createEvents',
  tag,
  summary: 'Take usage events: one, an array, or {"events": [...]}',
  description: `200 only if every event has a final outcome and at least one is taken. 503 with Retry-After: send all of it again, unchanged. 422 or 409: nothing was taken, and sending it again does not help. Up to ${eventsMax} events.`,
  scope: 'write:events',
  rateClass: 'events',
  idempotencyHeader: false,
  query: EventsQuery,
  documentedBody: newEvents(eventsMax),
  answers: { 200: EventsAnswer },
  failures: ['TOO_MANY_EVENTS', 'IDEMPOTENCY_CONFLICT', 'EVENTS_REJECTED', 'EVENTS_NOT_FINAL'],
  problems: {
    IDEMPOTENCY_CONFLICT: [EventsProblem],
    EVENTS_REJECTED: [EventsProblem],
    EVENTS_NOT_FINAL: [EventsProblem],
    // Before the events were looked at, it knows nothing of them.
    DEPENDENCY_UNAVAILABLE: [Problem, EventsProblem],
  },
});
