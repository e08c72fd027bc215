/** `/v1/events/amendments`: events that are made void or replaced, by their idempotency keys. */

import { parseJsonText, withoutMark } from '#platform/json/json-text.ts';
import { type AmendmentRequest, amendmentsFromJson, type EventPlace } from '#schemas/amendment.ts';
import { sandboxFutureMs } from '#schemas/event-fields.ts';
import { wrapInexactNumbers } from '#schemas/exact-numbers.ts';
import { FailureError } from '#schemas/failures.ts';
import { IdParam } from '#schemas/http/fields.ts';
import { Amendment as AmendmentSchema, AmendmentsAnswer, NewAmendments } from '#schemas/http/usage-events.ts';
import { formatInstant } from '#schemas/instant.ts';
import type { Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { found } from '../route/resource-fields.ts';
import type { ReadWatermark } from '../usage/watermark.postgres.ts';
import { amendEvents, type FindPorts, findOriginals } from './amend-events.ts';
import type { Amendment, AmendmentStore } from './amendments.postgres.ts';
import type { StoredEvents } from './events.clickhouse.ts';

export type AmendmentPorts = {
  readonly amendments: AmendmentStore;
  readonly storedEvents: StoredEvents;
  readonly readWatermark: ReadWatermark;
  readonly lastSequence: FindPorts['lastSequence'];
  /** How far ahead of now an event may occur, but for those of a sandbox. */
  readonly futureMsMax: number;
};

const headJson = ({ event, customer, occurredAtMs }: EventPlace) => ({
  event,
  customer_id: customer,
  timestamp: formatInstant(occurredAtMs),
});

export const amendmentJson = (amendment: Amendment) => ({
  id: amendment.id,
  idempotency_key: amendment.idempotencyKey,
  number: amendment.number,
  action: amendment.action,
  reason: amendment.reason,
  state: amendment.streamSequence === null ? 'pending' : 'applied',
  sequence: amendment.streamSequence?.toString() ?? null,
  before: amendment.removed.map(headJson),
  after: amendment.added && {
    ...headJson(amendment.added),
    properties: Object.fromEntries(amendment.added.properties),
  },
  created_at: formatInstant(amendment.createdAt),
  applied_at: amendment.appliedAt === null ? null : formatInstant(amendment.appliedAt),
});

/** What an amendment says of itself for good, without how far it has come. */
const lasting = ({ state: _state, sequence: _sequence, applied_at: _at, ...shown }: ReturnType<typeof amendmentJson>) =>
  shown;

/**
 * Read from the bytes: parsed as JSON, a number may have lost digits that the gateway would have refused. The body is
 * known to be JSON without twins.
 */
const readAmendments = (rawBody: Buffer, nowMs: number, futureMsMax: number): readonly AmendmentRequest[] => {
  // Without a type of content the body was read by nobody.
  if (rawBody.length === 0) throw new FailureError('MALFORMED_BODY', 'the body is empty');
  const body = withoutMark(rawBody);
  const json = parseJsonText(wrapInexactNumbers(body, body.toString('utf8')));
  const parsed = amendmentsFromJson(json, { nowMs, futureMsMax });
  if (!parsed.ok) throw new FailureError('VALIDATION_FAILED', undefined, parsed.faults);
  return parsed.value;
};

export const amendmentRoutes = ({ get, list, changeAfter }: Routes, ports: AmendmentPorts): void => {
  const { amendments, storedEvents, readWatermark, lastSequence, futureMsMax } = ports;
  const tag = 'Events';

  changeAfter(
    {
      method: 'POST',
      url: '/v1/events/amendments',
      operation: 'amendEvents',
      tag,
      summary: 'Void or replace events',
      scope: 'write:usage',
      rateClass: 'write',
      documentedBody: NewAmendments,
      answers: { 201: AmendmentsAnswer },
      failures: ['EVENT_NOT_FOUND', 'EVENT_ALREADY_VOID'],
    },
    async ({ db, caller, rawBody, nowMs, isCallerThere }) => {
      const aheadMsMax = caller.world === 'test' ? sandboxFutureMs : futureMsMax;
      const requests = readAmendments(rawBody, nowMs, aheadMsMax);
      const finding = { storedEvents, readWatermark, lastSequence };
      return { requests, originals: await findOriginals(db, requests, finding, isCallerThere) };
    },
    async ({ db, nowMs }, { requests, originals }) => {
      const amended = await amendEvents(db, requests, originals, { amendments }, nowMs);
      const items = amended.map(amendmentJson);
      return {
        status: 201,
        body: { items },
        changes: items.map((item) => ({
          action: 'amendment.created',
          objectType: 'amendment',
          objectId: item.id,
          after: lasting(item),
        })),
      };
    },
  );

  list(
    {
      url: '/v1/events/amendments',
      operation: 'listAmendments',
      tag,
      summary: 'List amendments',
      scope: 'read:usage',
      list: amendments.amendmentList,
      answers: { 200: listSchema(AmendmentSchema) },
      failures: [],
    },
    async ({ db, query }) => listJson(query, await amendments.amendments(db, query), amendmentJson),
  );

  get(
    {
      url: '/v1/events/amendments/:id',
      operation: 'getAmendment',
      tag,
      summary: 'Read an amendment',
      scope: 'read:usage',
      params: IdParam,
      answers: { 200: AmendmentSchema },
      failures: ['AMENDMENT_NOT_FOUND'],
    },
    async ({ db, params }) => amendmentJson(found(await amendments.amendment(db, params.id), 'AMENDMENT_NOT_FOUND')),
  );
};
