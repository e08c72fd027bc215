/** `/v1/invoices`. */

import { Type } from 'typebox';
import { CustomerId } from '#schemas/http/customers.ts';
import { exampleId } from '#schemas/http/example-parts.ts';
import { IdParam, idParam } from '#schemas/http/fields.ts';
import { Invoice, InvoiceHead } from '#schemas/http/invoices.ts';
import { RunWait, RunWaitDocument } from '#schemas/http/runs.ts';
import { withOverrides } from '#schemas/invoice/draft-overrides.ts';
import type { InvoiceTerms, IssuedInvoice } from '#schemas/invoice.ts';
import { hourOf } from '#schemas/subscription-state.ts';
import { invoiceHtml } from '../../invoicer/documents/invoice-html.ts';
import type { Db, Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { found } from '../route/resource-fields.ts';
import { waitForRun } from '../runs/wait-for-run.ts';
import { type BillingRunPorts, billingRunRoutes } from './billing-run-routes.ts';
import { type ComputeDraftPorts, computeDraft } from './compute-draft.ts';
import { draftHeadJson, draftJson } from './draft-json.ts';
import { type InvoiceDraftPorts, invoiceDraftRoutes } from './draft-routes.ts';
import { invoiceHeadJson, invoiceJson, type StatedInvoice } from './invoice-json.ts';
import type { InvoiceStates, IssuedState } from './invoice-states.postgres.ts';
import type { ListedInvoice } from './invoices.postgres.ts';
import { type IssuedPartPorts, issuedPartRoutes } from './issued-part-routes.ts';
import { type DocumentPorts, invoicePdf, readDocument, refuseWithheld } from './make-document.ts';
import { type InvoicePreviewPorts, invoicePreviewRoutes } from './preview-routes.ts';

export type InvoicePorts = BillingRunPorts &
  InvoiceDraftPorts &
  ComputeDraftPorts &
  InvoicePreviewPorts &
  DocumentPorts &
  IssuedPartPorts & { readonly invoiceStates: InvoiceStates };

/** The path has more than the id. */
const InvoiceIdParam = idParam(exampleId('inv', 8));

const listedJson = (tenant: string) => (listed: ListedInvoice) =>
  'issued' in listed
    ? invoiceHeadJson(listed.issued)
    : draftHeadJson(listed.draft, tenant, listed.periods, listed.terms);

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
    async ({ db, params, query, nowMs }) => {
      const { id } = found(await customers.customer(db, params.id), 'CUSTOMER_NOT_FOUND');
      return listJson(query, await invoices.customerInvoices(db, id, query, nowMs), listedJson(db.organizationId));
    },
  );

export const invoiceRoutes = (routes: Routes, ports: InvoicePorts): void => {
  const { get, list } = routes;
  const { invoices, invoiceDrafts, isServing } = ports;
  const stated = async (db: Db, invoice: IssuedInvoice): Promise<StatedInvoice> => ({
    invoice,
    state: (await ports.invoiceStates.statesOf(db, [invoice.id])).get(invoice.id) as IssuedState,
  });
  const tag = 'Invoices';
  billingRunRoutes(routes, ports);
  invoicePreviewRoutes(routes, ports);
  invoiceDraftRoutes(routes, ports);
  customerInvoiceRoute(routes, ports);
  issuedPartRoutes(routes, ports);

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
    async ({ db, query, nowMs }) =>
      listJson(query, await invoices.invoices(db, query, nowMs), listedJson(db.organizationId)),
  );

  get(
    {
      url: '/v1/invoices/:id',
      operation: 'getInvoice',
      tag,
      summary: 'Read an invoice with its lines, a draft as of now; or wait until it is issued',
      scope: 'read:invoices',
      params: IdParam,
      query: RunWait,
      documentedQuery: RunWaitDocument,
      changesByItself: true,
      answers: { 200: Invoice },
      mediaTypes: ['application/json', 'application/pdf', 'text/html'],
      documentedTypes: ['application/json'],
      failures: ['INVOICE_NOT_FOUND'],
    },
    async ({ db, params, query, nowMs, isCallerThere, likedType, setType, caller }) => {
      const type = likedType();
      if (type !== 'application/json') refuseWithheld(caller);
      const state = async () => ((await invoiceDrafts.draft(db, params.id))?.finalizingRunId ? 'running' : undefined);
      if (query.wait_seconds !== undefined) await waitForRun({ state, isServing, isCallerThere }, query.wait_seconds);
      const issued = await invoices.invoice(db, params.id);
      if (type !== 'application/json') {
        // A draft has no document.
        const invoice = found(issued, 'INVOICE_NOT_FOUND');
        setType(type === 'text/html' ? 'text/html; charset=utf-8' : type);
        return type === 'text/html'
          ? invoiceHtml(await readDocument(ports, db, invoice))
          : await invoicePdf(ports, db, invoice, nowMs);
      }
      if (issued) return invoiceJson(await stated(db, issued));
      const draft = await invoiceDrafts.draft(db, params.id);
      const open = found(draft?.state === 'draft' ? draft : undefined, 'INVOICE_NOT_FOUND');
      const periods = (await invoiceDrafts.draftPeriods(db, [open.id])).get(open.id) ?? [];
      const payer = (await ports.payerTerms(db, [open.customerId])).get(open.customerId) as InvoiceTerms;
      const terms = withOverrides(payer, open.overrides);
      const { content, asOf } = await computeDraft(ports, db, open, periods, terms, hourOf(open, nowMs));
      return draftJson(open, db.organizationId, content, asOf);
    },
  );
  get(
    {
      url: '/v1/invoices/:id.pdf',
      operation: 'getInvoicePdf',
      tag,
      summary: 'Read an invoice as PDF, as it was made at its issue',
      scope: 'read:invoices',
      params: InvoiceIdParam,
      answers: { 200: Type.String({ description: 'The bytes of the document.' }) },
      mediaTypes: ['application/pdf'],
      failures: ['INVOICE_NOT_FOUND'],
    },
    async ({ db, params, nowMs, setType, caller }) => {
      refuseWithheld(caller);
      const invoice = found(await invoices.invoice(db, params.id), 'INVOICE_NOT_FOUND');
      setType('application/pdf');
      return await invoicePdf(ports, db, invoice, nowMs);
    },
  );
};
