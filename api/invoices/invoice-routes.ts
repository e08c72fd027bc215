/** `/v1/invoices`. */

import { Type } from 'typebox';
import { type Caller, hasScope } from '#platform/access/authenticate.ts';
import { FailureError } from '#schemas/failures.ts';
import { CustomerId } from '#schemas/http/customers.ts';
import { IdParam } from '#schemas/http/fields.ts';
import { Invoice, InvoiceHead } from '#schemas/http/invoices.ts';
import { issuedInvoiceToJson } from '#schemas/invoice/content.ts';
import { linesToJson, periodsToJson } from '#schemas/invoice/content-3.ts';
import { laterLineToJson, laterMembersToJson } from '#schemas/invoice/content-4.ts';
import { hashedLine } from '#schemas/invoice/hashed-parts.ts';
import type { IssuedInvoice } from '#schemas/invoice.ts';
import { invoiceHtml } from '../../invoicer/documents/invoice-html.ts';
import type { Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { found } from '../route/resource-fields.ts';
import { type BillingRunPorts, billingRunRoutes } from './billing-run-routes.ts';
import { type DocumentPorts, invoicePdf, readDocument } from './make-document.ts';

export type InvoicePorts = BillingRunPorts & DocumentPorts;

/** A document says who it is for. */
const refuseWithheld = (caller: Caller): void => {
  if (!hasScope(caller, 'read:customers'))
    throw new FailureError('MISSING_SCOPE', 'A document needs read:customers too.');
};

/**
 * An issued invoice is what was hashed, and beside it its state and what other content versions have: its billing
 * periods as a list with whose they are, and of the only one what callers know from version 1.
 */
export const invoiceJson = (invoice: IssuedInvoice) => {
  const content = issuedInvoiceToJson(invoice);
  const periods = periodsToJson(invoice);
  const [only] = periods.length === 1 ? periods : [];
  return {
    subscription_id: only?.subscription_id ?? null,
    plan_version_id: only?.plan_version_id ?? null,
    period: only ? { start: only.start, end: only.end } : null,
    watermark: only?.watermark ?? null,
    ...laterMembersToJson(invoice),
    ...content,
    periods,
    lines: linesToJson(
      invoice,
      invoice.lines.map((line) => ({ ...hashedLine(line, invoice.currency), ...laterLineToJson(line, invoice) })),
    ),
    state: 'issued',
  };
};

/** Without its lines, for lists. */
const invoiceHeadJson = (invoice: IssuedInvoice) => {
  const { lines: _lines, ...head } = invoiceJson(invoice);
  return head;
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
  billingRunRoutes(routes, ports);
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
      mediaTypes: ['application/json', 'application/pdf', 'text/html'],
      failures: ['INVOICE_NOT_FOUND'],
    },
    async ({ db, params, nowMs, likedType, setType, caller }) => {
      const type = likedType();
      if (type !== 'application/json') refuseWithheld(caller);
      const invoice = found(await invoices.invoice(db, params.id), 'INVOICE_NOT_FOUND');
      if (type === 'application/json') return invoiceJson(invoice);
      setType(type === 'text/html' ? 'text/html; charset=utf-8' : type);
      if (type === 'text/html') return invoiceHtml(await readDocument(ports, db, invoice));
      return await invoicePdf(ports, db, invoice, nowMs);
    },
  );
  get(
    {
      url: '/v1/invoices/:id.pdf',
      operation: 'getInvoicePdf',
      tag,
      summary: 'Read an invoice as PDF, as it was made at its issue',
      scope: 'read:invoices',
      params: IdParam,
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
