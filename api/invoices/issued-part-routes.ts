/** `/v1/invoices/{id}/line-items` and `/verify`: of issued invoices alone. */
import { FailureError } from '#schemas/failures.ts';
import { IdParam } from '#schemas/http/fields.ts';
import { InvoiceVerification } from '#schemas/http/invoice-verification.ts';
import { InvoiceLine } from '#schemas/http/invoices.ts';
import { lineToJson } from '#schemas/invoice/content-5.ts';
import type { IssuedInvoice } from '#schemas/invoice.ts';
import { verifyInvoice } from '../../invoicer/invoices/verify-invoice.ts';
import type { Db, Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import type { InvoiceDraft } from './drafts.postgres.ts';
import type { IssuedParts, ListedLine } from './issued-parts.postgres.ts';

export type IssuedPartPorts = {
  readonly issuedParts: IssuedParts;
  readonly invoices: {
    readonly invoice: (db: Db, id: string) => Promise<IssuedInvoice | undefined>;
    readonly isIssued: (db: Db, id: string) => Promise<boolean>;
  };
  readonly invoiceDrafts: { readonly draft: (db: Db, id: string) => Promise<InvoiceDraft | undefined> };
};

const lineJson = ({ line, customerId, currency }: ListedLine) => ({
  billing_period_id: line.billingPeriodId,
  customer_id: customerId,
  ...lineToJson(line, { currency }),
});

export const issuedPartRoutes = ({ get, list }: Routes, ports: IssuedPartPorts): void => {
  const { issuedParts, invoices, invoiceDrafts } = ports;
  const shared = { tag: 'Invoices', scope: 'read:invoices', params: IdParam } as const;
  /** Thrown of what is not issued: a draft is told apart from what is not there. */
  const notIssued = async (db: Db, id: string): Promise<FailureError> =>
    new FailureError(
      (await invoiceDrafts.draft(db, id))?.state === 'draft' ? 'INVOICE_NOT_ISSUED' : 'INVOICE_NOT_FOUND',
    );

  list(
    {
      ...shared,
      url: '/v1/invoices/:id/line-items',
      operation: 'listInvoiceLines',
      summary: 'List the lines of an issued invoice, in their order',
      list: issuedParts.lineList,
      answers: { 200: listSchema(InvoiceLine) },
      failures: ['INVOICE_NOT_FOUND', 'INVOICE_NOT_ISSUED'],
    },
    async ({ db, params, query }) => {
      if (!(await invoices.isIssued(db, params.id))) throw await notIssued(db, params.id);
      return listJson(query, await issuedParts.lines(db, params.id, query), lineJson);
    },
  );

  get(
    {
      ...shared,
      url: '/v1/invoices/:id/verify',
      operation: 'verifyInvoice',
      summary: 'Verify that an invoice is as it was issued, check by check',
      answers: { 200: InvoiceVerification },
      failures: ['INVOICE_NOT_FOUND', 'INVOICE_NOT_ISSUED'],
      changesByItself: true,
    },
    async ({ db, params }) => {
      const invoice = await invoices.invoice(db, params.id);
      if (!invoice) throw await notIssued(db, params.id);
      const neighbours = await issuedParts.neighbours(db, invoice.number);
      const checks = verifyInvoice(invoice, neighbours, await issuedParts.ratedLines(db, invoice));
      return {
        invoice_id: invoice.id,
        number: invoice.number,
        content_version: invoice.contentVersion,
        hash: invoice.hash,
        is_valid: checks.every(({ result }) => result !== 'failed'),
        checks,
      };
    },
  );
};
