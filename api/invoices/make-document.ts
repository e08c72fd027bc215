/**
 * The use cases of documents of invoices. A PDF is made once and kept as it was made: in the background after the
 * issue, or when it is asked for before that. Both make the same bytes, so it does no harm when both do, or when a
 * process dies on the way.
 */

import { type Caller, hasScope } from '#platform/access/authenticate.ts';
import { FailureError } from '#schemas/failures.ts';
import type { IssuedInvoice } from '#schemas/invoice.ts';
import type { Instant } from '#schemas/period.ts';
import type { BuyerDetails } from '../../invoicer/documents/buyer-details.ts';
import { buyerDetails } from '../../invoicer/documents/buyer-details.ts';
import { documentOfInvoice } from '../../invoicer/documents/document-of-invoice.ts';
import type { InvoiceDocument } from '../../invoicer/documents/invoice-document.ts';
import type { CustomerDetailsStore } from '../customers/customer-details.postgres.ts';
import type { Customer, CustomerStore } from '../customers/customers.postgres.ts';
import type { Db } from '../route/define-route.ts';
import type { DocumentJob, InvoiceDocuments } from './invoice-documents.postgres.ts';
import type { InvoiceReader } from './invoices.postgres.ts';

export type DocumentPorts = {
  readonly customers: Pick<CustomerStore, 'customer'>;
  readonly customerDetails: Pick<CustomerDetailsStore, 'detailsByDigest'>;
  readonly invoices: Pick<InvoiceReader, 'invoice'>;
  readonly invoiceDocuments: InvoiceDocuments;
  readonly makePdf: (document: InvoiceDocument) => Promise<Buffer>;
};

/** A document says who it is for. */
export const refuseWithheld = (caller: Caller): void => {
  if (!hasScope(caller, 'read:customers'))
    throw new FailureError('MISSING_SCOPE', 'A document needs read:customers too.');
};

/** As they stood where the invoice names them; as they stand where it is from before it did. */
export const buyerOf = async (
  { customerDetails }: Pick<DocumentPorts, 'customerDetails'>,
  db: Db,
  customer: Customer,
  { buyerDigest }: Pick<IssuedInvoice, 'buyerDigest'>,
): Promise<BuyerDetails | null> => {
  if (customer.erasedAt !== undefined) return null;
  if (buyerDigest === null) return buyerDetails(customer.personal);
  return (await customerDetails.detailsByDigest(db, customer, buyerDigest)) ?? null;
};

export const customerOf = async (
  { customers }: Pick<DocumentPorts, 'customers'>,
  db: Db,
  { customerId }: Pick<IssuedInvoice, 'customerId'>,
): Promise<Customer> => {
  const customer = await customers.customer(db, customerId);
  if (!customer) throw new Error(`there is no customer ${customerId}, to which invoices were issued`);
  return customer;
};

/** What a document of the invoice is made of, now as at its issue. */
export const readDocument = async (ports: DocumentPorts, db: Db, invoice: IssuedInvoice): Promise<InvoiceDocument> => {
  const customer = await customerOf(ports, db, invoice);
  const noted = (await ports.invoiceDocuments.stored(db, invoice.id)) ?? customer;
  return documentOfInvoice(invoice, await buyerOf(ports, db, customer, invoice), noted);
};

/** The PDF that is kept, or one that is made and kept now. */
export const invoicePdf = async (
  ports: DocumentPorts,
  db: Db,
  invoice: IssuedInvoice,
  nowMs: Instant,
): Promise<Buffer> => {
  const customer = await customerOf(ports, db, invoice);
  const stored = await ports.invoiceDocuments.stored(db, invoice.id);
  const kept = stored && (await ports.invoiceDocuments.opened(db, invoice.id, customer, stored));
  if (kept) return kept;
  const { language, timeZone } = stored ?? customer;
  const buyer = await buyerOf(ports, db, customer, invoice);
  const pdf = await ports.makePdf(documentOfInvoice(invoice, buyer, { language, timeZone }));
  await ports.invoiceDocuments.save(db, invoice.id, customer, { language, timeZone }, pdf, new Date(nowMs));
  return pdf;
};

/** Works off a job. Of a customer without a key nobody can keep it: such a document is made when it is asked for. */
export const makeDocument = async (ports: DocumentPorts, db: Db, job: DocumentJob, nowMs: Instant): Promise<void> => {
  const invoice = await ports.invoices.invoice(db, job.invoiceId);
  if (!invoice) throw new Error(`there is no invoice ${job.invoiceId}`);
  const { ownKey } = await customerOf(ports, db, invoice);
  if (ownKey !== undefined) await invoicePdf(ports, db, invoice, nowMs);
  await ports.invoiceDocuments.forget(db, job.invoiceId);
};
