/** `/v1/invoices`, and the billing runs that issue them. */

import { CustomerId } from '#schemas/http/customers.ts';
import { IdParam } from '#schemas/http/fields.ts';
import { Invoice, InvoiceHead } from '#schemas/http/invoices.ts';
import { BillingRun, NewBillingRun, RatingFailure, RunWait, RunWaitDocument } from '#schemas/http/runs.ts';
import { formatInstant } from '#schemas/instant.ts';
import { issuedInvoiceToJson } from '#schemas/invoice/content.ts';
import { periodsToJson } from '#schemas/invoice/content-2.ts';
import type { IssuedInvoice } from '#schemas/invoice.ts';
import { formatPeriod } from '#schemas/period.ts';
import type { CustomerStore } from '../customers/customers.postgres.ts';
import type { Db, Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { created, found } from '../route/resource-fields.ts';
import type { RatingFailures } from '../runs/rating-failures.postgres.ts';
import { failureJson } from '../runs/rating-run-routes.ts';
import { progressToJson } from '../runs/run-progress.ts';
import { waitForRun } from '../runs/wait-for-run.ts';
import type { SubscriptionStore } from '../subscriptions/subscriptions.postgres.ts';
import { askForRun } from './ask-for-run.ts';
import type { InvoiceReader, BillingRun as Run } from './invoices.postgres.ts';

export type InvoicePorts = {
  readonly customers: CustomerStore;
  readonly subscriptions: SubscriptionStore;
  readonly invoices: InvoiceReader;
  readonly ratingFailures: RatingFailures;
  /** False once the process drains: whoever waits is answered. */
  readonly isServing: () => boolean;
};

/**
 * An issued invoice is what was hashed, and beside it its state and what the other content version has: its billing
 * periods as a list, and of the only one what callers know from version 1.
 */
const invoiceJson = (invoice: IssuedInvoice) => {
  const content = issuedInvoiceToJson(invoice);
  const periods = periodsToJson(invoice.periods);
  const [only] = periods.length === 1 ? periods : [];
  return {
    subscription_id: only?.subscription_id ?? null,
    plan_version_id: only?.plan_version_id ?? null,
    period: only ? { start: only.start, end: only.end } : null,
    watermark: only?.watermark ?? null,
    periods,
    ...content,
    lines: content.lines.map((line, index) => ({
      billing_period_id: invoice.lines[index]?.billingPeriodId ?? null,
      ...line,
    })),
    state: 'issued',
  };
};

/** Without its lines, for lists. */
const invoiceHeadJson = (invoice: IssuedInvoice) => {
  const { lines: _lines, ...head } = invoiceJson(invoice);
  return head;
};

const runJson = (run: Run) => ({
  id: run.id,
  period: formatPeriod(run.period),
  customer_id: run.customerId,
  subscription_id: run.subscriptionId,
  state: run.state,
  watermark: run.watermark?.toString() ?? null,
  invoices_issued: run.issued,
  invoices_already_issued: run.alreadyIssued,
  unmeasured_events: Number(run.unmeasuredEvents),
  rating_ms: run.ratedMs,
  issuing_ms: run.issuedMs,
  failures: run.failures,
  progress: progressToJson(run.progress),
  failure: run.failure,
  created_at: formatInstant(run.createdAt),
  updated_at: formatInstant(run.updatedAt),
});

const runRoutes = ({ get, list, change }: Routes, ports: InvoicePorts): void => {
  const { customers, subscriptions, invoices, ratingFailures, isServing } = ports;
  const tag = 'Billing runs';
  const runOf = async (db: Db, id: string): Promise<Run> => found(await invoices.run(db, id), 'BILLING_RUN_NOT_FOUND');

  change(
    {
      method: 'POST',
      url: '/v1/invoices/run',
      operation: 'createBillingRun',
      tag,
      summary: 'Close a month and issue what is not issued yet',
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
};

const customerInvoiceRoute = ({ list }: Routes, { customers, invoices }: InvoicePorts): void =>
  list(
    {
      url: '/v1/customers/:id/invoices',
      operation: 'listCustomerInvoices',
      tag: 'Customers',
      summary: 'List the invoices of a customer',
      scope: 'read:invoices',
      params: CustomerId,
      list: invoices.customerInvoiceList,
      answers: { 200: listSchema(InvoiceHead) },
      failures: ['CUSTOMER_NOT_FOUND'],
    },
    async ({ db, params, query }) => {
      const { id } = found(await customers.customer(db, params.id), 'CUSTOMER_NOT_FOUND');
      return listJson(query, await invoices.customerInvoices(db, id, query), invoiceHeadJson);
    },
  );

export const invoiceRoutes = (routes: Routes, ports: InvoicePorts): void => {
  const { get, list } = routes;
  const { invoices } = ports;
  const tag = 'Invoices';
  runRoutes(routes, ports);
  customerInvoiceRoute(routes, ports);

  list(
    {
      url: '/v1/invoices',
      operation: 'listInvoices',
      tag,
      summary: 'List invoices, without their lines',
      scope: 'read:invoices',
      list: invoices.invoiceList,
      answers: { 200: listSchema(InvoiceHead) },
      failures: [],
    },
    async ({ db, query }) => listJson(query, await invoices.invoices(db, query), invoiceHeadJson),
  );

  get(
    {
      url: '/v1/invoices/:id',
      operation: 'getInvoice',
      tag,
      summary: 'Read an invoice with its lines',
      scope: 'read:invoices',
      params: IdParam,
      answers: { 200: Invoice },
      failures: ['INVOICE_NOT_FOUND'],
    },
    async ({ db, params }) => {
      return invoiceJson(found(await invoices.invoice(db, params.id), 'INVOICE_NOT_FOUND'));
    },
  );
};
