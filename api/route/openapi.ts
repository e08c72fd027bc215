/** What the OpenAPI document of the API says beside its routes. */
import { apiVersion } from '#platform/http/http.ts';
import type { DocumentInfo } from '#platform/http/openapi.ts';
import { apiExamples } from '#schemas/http/examples.ts';
import { resourceTags } from '#schemas/resources.ts';

export const apiInfo: DocumentInfo = {
  title: 'Millrace API',
  version: apiVersion,
  description: `Usage metering, rating and invoicing.

Usage events are taken by the ingest host (by default port 8081), which has a document of its own at its \`/openapi.json\`: \`POST /v1/events\`.

Amounts and quantities are exact decimals, as strings. Times in answers are RFC 3339 in UTC with milliseconds, and sequences of the stream are strings. Where the id of a customer, a meter or a plan is taken, the caller's own name of it
(\`external_id\`, \`code\`) works too; no such name has the form of an id. Every POST takes an \`Idempotency-Key\`; PATCH and DELETE take \`If-Match\`. Lists are read page by page with \`cursor\`.
HEAD is answered wherever GET is, as GET without the body, and OPTIONS says the methods of a path; neither is listed here.
What is no success is \`application/problem+json\` with a stable \`error_code\`.`,
  tags: {
    ...resourceTags,
    Usage: 'Quantities at a watermark: the same watermark gives the same answer for ever.',
    'Billing runs': 'Closing a month: everything that is due is rated and invoiced.',
    'Rating runs': 'Rating a month without issuing: what it would come to, line by line.',
    Explanations: 'Why a line is what it is, down to its events.',
    Events: 'Single events: what became of each, and amendments that void or replace them.',
    Reconciliation: 'What was answered to events, held against what is stored.',
    'Audit log': 'Who changed what, chained by hash.',
  },
  examples: apiExamples,
};
