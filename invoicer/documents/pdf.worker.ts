/** Entry of the thread that makes PDFs. */
import type { InvoiceDocument } from './invoice-document.ts';
import { createPdfMaker } from './invoice-pdf.typst.ts';

const maker = createPdfMaker();

export default (document: InvoiceDocument): Uint8Array => maker.make(document);
