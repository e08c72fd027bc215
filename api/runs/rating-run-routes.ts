/** `/v1/rating-runs`: rates without issuing. */
import { runAction } from '#schemas/billing-run.ts';
import { IdParam } from '#schemas/http/fields.ts';
import { NewRatingRun, RatingFailure, RatingRun, RatingRunLine, RunWait, RunWaitDocument } from '#schemas/http/runs.ts';
import { formatInstant } from '#schemas/instant.ts';
import { formatPeriod } from '#schemas/period.ts';
import type { CustomerStore } from '../customers/customers.postgres.ts';
import type { Db, Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { created, found } from '../route/resource-fields.ts';
import type { SubscriptionStore } from '../subscriptions/subscriptions.postgres.ts';
import { askForRatingRun, type LastSequence, watermarkAsked } from './ask-for-rating-run.ts';
import type { ListedFailure, RatingFailures } from './rating-failures.postgres.ts';
import type { RatingRuns, RatingRun as Run, RunLine } from './rating-runs.postgres.ts';
import { progressToJson } from './run-progress.ts';
import { waitForRun } from './wait-for-run.ts';

export type RatingRunPorts = {
  readonly customers: CustomerStore;
  readonly subscriptions: SubscriptionStore;
  readonly ratingRuns: RatingRuns;
  readonly ratingFailures: RatingFailures;
  readonly lastSequence: LastSequence;
  /** False once the process drains: whoever waits is answered. */
  readonly isServing: () => boolean;
};

const runJson = (run: Run) => ({
  id: run.id,
  period: formatPeriod(run.period),
  customer_id: run.customerId,
  subscription_id: run.subscriptionId,
  dry_run: run.isDry,
  state: run.state,
  watermark: run.watermark?.toString() ?? null,
  lines: run.totals.reduce((sum, { lines }) => sum + lines, 0),
  totals: run.totals,
  unmeasured_events: Number(run.unmeasuredEvents),
  rating_ms: run.ratedMs,
  failures: run.failures,
  progress: progressToJson(run.progress),
  failure: run.failure,
  created_at: formatInstant(run.createdAt),
  updated_at: formatInstant(run.updatedAt),
});

export const failureJson = (failure: ListedFailure) => ({
  id: failure.id,
  billing_period_id: failure.billingPeriodId,
  subscription_id: failure.subscriptionId,
  customer_id: failure.customerId,
  code: failure.code,
  message: failure.message,
  failed_at: formatInstant(failure.failedAt),
});

const lineJson = ({ line, unmeasuredEvents, hashes }: RunLine) => ({
  ...line,
  unmeasured_events: unmeasuredEvents.toString(),
  hashes,
});

export const ratingRunRoutes = ({ get, list, changeAfter }: Routes, ports: RatingRunPorts): void => {
  const { ratingRuns, ratingFailures, lastSequence, isServing } = ports;
  const tag = 'Rating runs';
  const runOf = async (db: Db, id: string): Promise<Run> => found(await ratingRuns.run(db, id), 'RATING_RUN_NOT_FOUND');

  changeAfter(
    {
      method: 'POST',
      url: '/v1/rating-runs',
      operation: 'createRatingRun',
      tag,
      summary: 'Rate a month, or a part of it, without issuing',
      scope: 'write:invoices',
      rateClass: 'write',
      body: NewRatingRun,
      answers: { 202: RatingRun },
      failures: ['PERIOD_NOT_ENDED', 'CUSTOMER_NOT_FOUND', 'SUBSCRIPTION_NOT_FOUND'],
    },
    ({ body }) => watermarkAsked(body.watermark, lastSequence),
    async ({ db, body, caller, requestId, nowMs }, watermark) => {
      const { watermark: _asked, ...rest } = body;
      const asked = { ...rest, requestId, apiKeyId: caller.keyId };
      const run = await askForRatingRun(ports, db, asked, watermark, nowMs);
      const done = created('billing_run', '/v1/rating-runs', runJson(run), { status: 202 });
      // In the audit log all runs are objects of one type; what happened is a thing of rating.
      return {
        ...done,
        changes: done.changes.map((change) => ({ ...change, action: runAction(run.kind, 'created') })),
      };
    },
  );

  list(
    {
      url: '/v1/rating-runs',
      operation: 'listRatingRuns',
      tag,
      summary: 'List rating runs',
      scope: 'read:invoices',
      list: ratingRuns.runList,
      answers: { 200: listSchema(RatingRun) },
      failures: [],
    },
    async ({ db, query }) => listJson(query, await ratingRuns.runs(db, query), runJson),
  );

  get(
    {
      url: '/v1/rating-runs/:id',
      operation: 'getRatingRun',
      tag,
      summary: 'Read a rating run, or wait for its end',
      scope: 'read:invoices',
      params: IdParam,
      query: RunWait,
      documentedQuery: RunWaitDocument,
      answers: { 200: RatingRun },
      failures: ['RATING_RUN_NOT_FOUND'],
    },
    async ({ db, params, query, isCallerThere }) => {
      const state = () => ratingRuns.state(db, params.id);
      await waitForRun({ state, isServing, isCallerThere }, query.wait_seconds);
      return runJson(await runOf(db, params.id));
    },
  );

  list(
    {
      url: '/v1/rating-runs/:id/lines',
      operation: 'listRatingRunLines',
      tag,
      summary: 'List the rated lines of a rating run',
      scope: 'read:invoices',
      params: IdParam,
      list: ratingRuns.lineList,
      answers: { 200: listSchema(RatingRunLine) },
      failures: ['RATING_RUN_NOT_FOUND'],
    },
    async ({ db, params, query }) => {
      const { id } = await runOf(db, params.id);
      return listJson(query, await ratingRuns.lines(db, id, query), lineJson);
    },
  );

  list(
    {
      url: '/v1/rating-runs/:id/failures',
      operation: 'listRatingRunFailures',
      tag,
      summary: 'List what a rating run could not rate',
      scope: 'read:invoices',
      params: IdParam,
      list: ratingFailures.failureList,
      answers: { 200: listSchema(RatingFailure) },
      failures: ['RATING_RUN_NOT_FOUND'],
    },
    async ({ db, params, query }) => {
      const { id } = await runOf(db, params.id);
      return listJson(query, await ratingFailures.ofRun(db, id, query), failureJson);
    },
  );
};
