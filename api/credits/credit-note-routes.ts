/** `/v1/credit-notes`: crediting issued invoices, and voiding them. */
import { Type } from 'typebox';
import { hasScope } from '#platform/access/authenticate.ts';
import { FailureError } from '#schemas/failures.ts';
import {
  CreditNote,
  CreditNoteHead,
  CreditNoteId,
  CreditNotePreview,
  CreditNoteVerification,
  InvoiceVoiding,
  NewCreditNote,
  VoidedInvoice,
} from '#schemas/http/credit-notes.ts';
import { IdParam } from '#schemas/http/fields.ts';
import { invoiceHtml } from '../../invoicer/documents/invoice-html.ts';
import type { InvoiceReader } from '../invoices/invoices.postgres.ts';
import { refuseWithheld } from '../invoices/make-document.ts';
import type { Routes } from '../route/define-route.ts';
import { listJson, listSchema } from '../route/lists.ts';
import { found } from '../route/resource-fields.ts';
import { type CreditPorts, drawUpRequest, invoiceToCredit, issueDrawn } from './credit-invoice.ts';
import { creditNoteHeadJson, creditNoteJson, drawnCreditNoteJson } from './credit-note-json.ts';
import type { CreditNoteReader } from './credit-notes.postgres.ts';
import { type CreditDocumentPorts, creditNoteDocument } from './make-credit-document.ts';
import { verifyCreditNote } from './verify-credit-note.ts';
import { type VoidPorts, voidInvoice } from './void-invoice.ts';

export type CreditNotePorts = CreditPorts &
  VoidPorts &
  CreditDocumentPorts & {
    readonly creditNotes: CreditNoteReader;
    readonly invoices: Pick<InvoiceReader, 'head' | 'invoice' | 'isIssued'>;
  };

const tag = 'Credit notes';
const url = '/v1/credit-notes';
const read = { tag, scope: 'read:credit_notes' } as const;
const write = { tag, scope: 'write:credit_notes', rateClass: 'write' } as const;

/** Of what is credited, or would be. */
const failures = [
  'INVOICE_NOT_FOUND',
  'INVOICE_NOT_ISSUED',
  'INVOICE_NOT_CREDITABLE',
  'INVOICE_FULLY_CREDITED',
  'INVOICE_CORRECTED',
] as const;

const changeRoutes = ({ change, ask }: Routes, ports: CreditNotePorts): void => {
  change(
    {
      ...write,
      method: 'POST',
      url,
      operation: 'createCreditNote',
      summary: 'Credit an issued invoice: whole, some of its lines, or a part of its total',
      body: NewCreditNote,
      answers: { 201: CreditNote },
      failures,
    },
    async ({ db, body, nowMs }) => {
      const locked = await invoiceToCredit(ports, db, body.invoice_id);
      const drawn = drawUpRequest(locked, body);
      const { body: shown, changes } = await issueDrawn(ports, db, locked, drawn, body.metadata ?? {}, nowMs);
      return { status: 201, body: shown, location: `${url}/${shown.id}`, changes };
    },
  );

  ask(
    {
      ...read,
      url: `${url}/preview`,
      operation: 'previewCreditNote',
      summary: 'Say what a credit note would come to, without issuing it',
      body: NewCreditNote,
      answers: { 200: CreditNotePreview },
      failures,
    },
    async ({ db, body }) =>
      drawnCreditNoteJson(drawUpRequest(await invoiceToCredit(ports, db, body.invoice_id, 'look'), body)),
  );

  change(
    {
      ...write,
      method: 'POST',
      url: '/v1/invoices/:id/void',
      operation: 'voidInvoice',
      summary: 'Void an invoice of which nothing was paid: credit all that is left of it',
      params: IdParam,
      body: InvoiceVoiding,
      answers: { 200: VoidedInvoice },
      failures: ['INVOICE_NOT_FOUND', 'INVOICE_NOT_ISSUED', 'INVOICE_NOT_VOIDABLE', 'CUSTOMER_ARCHIVED'],
    },
    async ({ db, params, body, caller, nowMs }) => {
      if (body.reissue === true && !hasScope(caller, 'write:invoices'))
        throw new FailureError('MISSING_SCOPE', 'A draft in its place needs write:invoices too.');
      const { body: shown, changes } = await voidInvoice(ports, db, params.id, body, nowMs);
      return { body: shown, location: `/v1/invoices/${shown.id}`, changes };
    },
  );
};

const listRoutes = ({ list }: Routes, { creditNotes, invoices }: CreditNotePorts): void => {
  list(
    {
      ...read,
      url,
      operation: 'listCreditNotes',
      summary: 'List credit notes, without their lines',
      list: creditNotes.creditNoteList,
      answers: { 200: listSchema(CreditNoteHead) },
      failures: [],
    },
    async ({ db, query }) => listJson(query, await creditNotes.creditNotes(db, query), creditNoteHeadJson),
  );

  list(
    {
      ...read,
      url: '/v1/invoices/:id/credit-notes',
      operation: 'listInvoiceCreditNotes',
      summary: 'List the credit notes of an invoice',
      params: IdParam,
      list: creditNotes.invoiceCreditNoteList,
      answers: { 200: listSchema(CreditNoteHead) },
      failures: ['INVOICE_NOT_FOUND'],
    },
    async ({ db, params, query }) => {
      if (!(await invoices.isIssued(db, params.id))) throw new FailureError('INVOICE_NOT_FOUND');
      return listJson(query, await creditNotes.invoiceCreditNotes(db, params.id, query), creditNoteHeadJson);
    },
  );
};

export const creditNoteRoutes = (routes: Routes, ports: CreditNotePorts): void => {
  const { creditNotes, invoices, creditIssuing, makePdf } = ports;
  changeRoutes(routes, ports);
  listRoutes(routes, ports);

  routes.get(
    {
      ...read,
      url: `${url}/:id`,
      operation: 'getCreditNote',
      summary: 'Read a credit note with its lines',
      params: CreditNoteId,
      answers: { 200: CreditNote },
      mediaTypes: ['application/json', 'application/pdf', 'text/html'],
      documentedTypes: ['application/json'],
      failures: ['CREDIT_NOTE_NOT_FOUND'],
    },
    async ({ db, params, likedType, setType, caller }) => {
      const type = likedType();
      if (type !== 'application/json') refuseWithheld(caller);
      const stored = found(await creditNotes.creditNote(db, params.id), 'CREDIT_NOTE_NOT_FOUND');
      if (type === 'application/json') return creditNoteJson(stored);
      const document = await creditNoteDocument(ports, db, stored);
      setType(type === 'text/html' ? 'text/html; charset=utf-8' : type);
      return type === 'text/html' ? invoiceHtml(document) : await makePdf(document);
    },
  );

  routes.get(
    {
      ...read,
      url: `${url}/:id.pdf`,
      operation: 'getCreditNotePdf',
      summary: 'Read a credit note as PDF',
      params: CreditNoteId,
      answers: { 200: Type.String({ description: 'The bytes of the document.' }) },
      mediaTypes: ['application/pdf'],
      failures: ['CREDIT_NOTE_NOT_FOUND'],
    },
    async ({ db, params, setType, caller }) => {
      refuseWithheld(caller);
      const stored = found(await creditNotes.creditNote(db, params.id), 'CREDIT_NOTE_NOT_FOUND');
      setType('application/pdf');
      return await makePdf(await creditNoteDocument(ports, db, stored));
    },
  );

  routes.get(
    {
      ...read,
      url: `${url}/:id/verify`,
      operation: 'verifyCreditNote',
      summary: 'Verify that a credit note is as it was issued, and fits its invoice, check by check',
      params: CreditNoteId,
      changesByItself: true,
      answers: { 200: CreditNoteVerification },
      failures: ['CREDIT_NOTE_NOT_FOUND'],
    },
    async ({ db, params }) => {
      const { note } = found(await creditNotes.creditNote(db, params.id), 'CREDIT_NOTE_NOT_FOUND');
      const invoice = found(await invoices.invoice(db, note.invoice.id), 'CREDIT_NOTE_NOT_FOUND');
      const credited = found(await creditIssuing.lookAtInvoice(db, note.invoice.id), 'CREDIT_NOTE_NOT_FOUND');
      const checks = verifyCreditNote(note, await creditNotes.neighbours(db, note), invoice, credited);
      return {
        credit_note_id: note.id,
        number: note.number,
        content_version: note.contentVersion,
        hash: note.hash,
        is_valid: checks.every(({ result }) => result === 'passed'),
        checks,
      };
    },
  );
};
