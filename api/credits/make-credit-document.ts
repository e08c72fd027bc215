/** The use case of the document of a credit note: it is made whenever it is asked for, always of the same. */
import { documentOfCreditNote } from '../../invoicer/documents/document-of-credit-note.ts';
import type { InvoiceDocument } from '../../invoicer/documents/invoice-document.ts';
import { buyerOf, customerOf, type DocumentPorts } from '../invoices/make-document.ts';
import type { Db } from '../route/define-route.ts';
import type { StoredCreditNote } from './credit-notes.postgres.ts';

export type CreditDocumentPorts = Pick<DocumentPorts, 'customerDetails' | 'customers' | 'makePdf'>;

export const creditNoteDocument = async (
  ports: CreditDocumentPorts,
  db: Db,
  { note, language, timeZone }: StoredCreditNote,
): Promise<InvoiceDocument> => {
  const buyer = await buyerOf(ports, db, await customerOf(ports, db, note), note);
  return documentOfCreditNote(note, buyer, { language, timeZone });
};
