/** Billing runs: how they are asked for, what became of them, and what is due. */
import { IdParam } from '#schemas/http/fields.ts';
import {
  BillingRun,
  CarriedPeriod,
  Due,
  NewBillingRun,
  RatingFailure,
  RunWait,
  RunWaitDocument,
} from '#schemas/http/runs.ts';
import { formatInstant } from '#schemas/instant.ts';
import { formatMinorUnits } from '#schemas/money.ts';
import { formatPeriod, type Instant } from '#schemas/period.ts';
import { lateMsAt, nextCloseAt } from '../../invoicer/periods/next-close.ts';
import type { CustomerStore } from '../customers/customers.postgres.ts';
import type { Db, Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { created, found } from '../route/resource-fields.ts';
import type { CarriedPeriod as Carried, CarriedPeriods } from '../runs/carried-periods.postgres.ts';
import type { RatingFailures } from '../runs/rating-failures.postgres.ts';
import { failureJson } from '../runs/rating-run-routes.ts';
import { progressToJson } from '../runs/run-progress.ts';
import { waitForRun } from '../runs/wait-for-run.ts';
import type { SubscriptionStore } from '../subscriptions/subscriptions.postgres.ts';
import { askForRun } from './ask-for-run.ts';
import type { ClosingReader, DueNow } from './closings.postgres.ts';
import type { InvoiceReader, BillingRun as Run } from './invoices.postgres.ts';

export type BillingRunPorts = {
  readonly customers: CustomerStore;
  readonly subscriptions: SubscriptionStore;
  readonly invoices: InvoiceReader;
  readonly closings: ClosingReader;
  readonly ratingFailures: RatingFailures;
  readonly carriedPeriods: CarriedPeriods;
  /** False once the process drains: whoever waits is answered. */
  readonly isServing: () => boolean;
};

const dueJson = ({ standing, subscriptions, billingPeriods }: DueNow, now: Instant) => {
  const { closing, nextDueAt, openDueAt, hasOpenRun } = standing;
  const at = nextCloseAt(standing);
  const format = (instant: Instant | undefined) => (instant === undefined ? null : formatInstant(instant));
  return {
    closing: { automatic: closing.isAutomatic, grace_minutes: closing.graceMs / 60_000 },
    subscriptions: { due: subscriptions, next_due_at: format(nextDueAt) },
    billing_periods: { open: billingPeriods, oldest_due_at: format(openDueAt) },
    is_running: hasOpenRun,
    next_run_at: at === undefined ? null : formatInstant(Math.max(at, now)),
    late_seconds: Math.floor(lateMsAt(standing, now) / 1000),
  };
};

const runJson = (run: Run) => ({
  id: run.id,
  period: run.period && formatPeriod(run.period),
  asked_by: run.askedBy,
  due_until: run.due && formatInstant(run.due.until),
  arrears_until: run.due && formatInstant(run.due.arrearsUntil),
  customer_id: run.customerId,
  subscription_id: run.subscriptionId,
  state: run.state,
  watermark: run.watermark?.toString() ?? null,
  invoice_id: run.draftId,
  invoices_issued: run.issued,
  invoices_already_issued: run.alreadyIssued,
  invoices_carried_over: run.carriedOver,
  drafts_made: run.drafted,
  unmeasured_events: Number(run.unmeasuredEvents),
  rating_ms: run.ratedMs,
  issuing_ms: run.issuedMs,
  failures: run.failures,
  progress: progressToJson(run.progress),
  failure: run.failure,
  created_at: formatInstant(run.createdAt),
  updated_at: formatInstant(run.updatedAt),
});

const carriedPeriodJson = (carried: Carried) => ({
  billing_period_id: carried.billingPeriodId,
  customer_id: carried.customerId,
  subscription_id: carried.subscriptionId,
  start: formatInstant(carried.span.start),
  end: formatInstant(carried.span.end),
  state: carried.state,
  carried_over_from: formatInstant(carried.carriedFrom),
  carried_at: formatInstant(carried.carriedAt),
  currency: carried.currency,
  invoice_total: formatMinorUnits(carried.invoiceTotal, carried.currency),
  minimum_amount: formatMinorUnits(carried.minimumAmount, carried.currency),
  invoice_id: carried.invoiceId,
});

export const billingRunRoutes = ({ get, list, change }: Routes, ports: BillingRunPorts): void => {
  const { customers, subscriptions, invoices, closings, ratingFailures, carriedPeriods, isServing } = ports;
  const tag = 'Billing runs';
  const runOf = async (db: Db, id: string): Promise<Run> => found(await invoices.run(db, id), 'BILLING_RUN_NOT_FOUND');

  change(
    {
      method: 'POST',
      url: '/v1/invoices/run',
      operation: 'createBillingRun',
      tag,
      summary: 'Close a month, or all that is due now, and issue what is not issued yet',
      scope: 'write:invoices',
      rateClass: 'write',
      body: NewBillingRun,
      answers: { 202: BillingRun },
      failures: ['PERIOD_NOT_ENDED', 'CUSTOMER_NOT_FOUND', 'SUBSCRIPTION_NOT_FOUND'],
    },
    async ({ db, body, caller, requestId, nowMs }) => {
      const row = await askForRun(
        { customers, subscriptions, invoices },
        db,
        { ...body, requestId, apiKeyId: caller.keyId },
        nowMs,
      );
      return created('billing_run', '/v1/invoices/runs', runJson(row), { status: 202 });
    },
  );

  get(
    {
      url: '/v1/invoices/runs/:id',
      operation: 'getBillingRun',
      tag,
      summary: 'Read a billing run, or wait for its end',
      scope: 'read:invoices',
      params: IdParam,
      query: RunWait,
      documentedQuery: RunWaitDocument,
      answers: { 200: BillingRun },
      failures: ['BILLING_RUN_NOT_FOUND'],
    },
    async ({ db, params, query, isCallerThere }) => {
      const state = () => invoices.runState(db, params.id);
      await waitForRun({ state, isServing, isCallerThere }, query.wait_seconds);
      return runJson(await runOf(db, params.id));
    },
  );

  list(
    {
      url: '/v1/invoices/runs/:id/failures',
      operation: 'listBillingRunFailures',
      tag,
      summary: 'List what a billing run could not rate',
      scope: 'read:invoices',
      params: IdParam,
      list: ratingFailures.failureList,
      answers: { 200: listSchema(RatingFailure) },
      failures: ['BILLING_RUN_NOT_FOUND'],
    },
    async ({ db, params, query }) => {
      const { id } = await runOf(db, params.id);
      return listJson(query, await ratingFailures.ofRun(db, id, query), failureJson);
    },
  );

  list(
    {
      url: '/v1/invoices/runs/:id/carried-over',
      operation: 'listBillingRunCarriedOver',
      tag,
      summary: 'List what a billing run carried over, as it would have come to less than the minimum',
      scope: 'read:invoices',
      params: IdParam,
      list: carriedPeriods.carriedList,
      answers: { 200: listSchema(CarriedPeriod) },
      failures: ['BILLING_RUN_NOT_FOUND'],
    },
    async ({ db, params, query }) => {
      const { id } = await runOf(db, params.id);
      return listJson(query, await carriedPeriods.ofRun(db, id, query), carriedPeriodJson);
    },
  );

  list(
    {
      url: '/v1/billing-runs',
      operation: 'listBillingRuns',
      tag,
      summary: 'List billing runs, of the scheduler and of callers',
      scope: 'read:invoices',
      list: invoices.runList,
      answers: { 200: listSchema(BillingRun) },
      failures: [],
    },
    async ({ db, query }) => listJson(query, await invoices.runs(db, query), runJson),
  );

  get(
    {
      url: '/v1/billing-runs/due',
      operation: 'getDue',
      tag,
      summary: 'Read what is due and not billed, and when the scheduler bills it',
      scope: 'read:invoices',
      answers: { 200: Due },
      failures: [],
      changesByItself: true,
    },
    async ({ db, nowMs }) => dueJson(await closings.due(db, nowMs), nowMs),
  );

  get(
    {
      url: '/v1/billing-runs/:id',
      operation: 'getBillingRunById',
      tag,
      summary: 'Read a billing run',
      scope: 'read:invoices',
      params: IdParam,
      answers: { 200: BillingRun },
      failures: ['BILLING_RUN_NOT_FOUND'],
    },
    async ({ db, params }) => runJson(await runOf(db, params.id)),
  );
};
