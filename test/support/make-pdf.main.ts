/** Writes the PDF of an invoice with so many lines to its standard output. */
import { createPdfMaker } from '../../invoicer/documents/invoice-pdf.typst.ts';
import { sampleDocument, sampleLine } from './sample-document.ts';

const lines = Array.from({ length: Number(process.argv[2]) }, () => sampleLine(1));
process.stdout.write(createPdfMaker().make(sampleDocument({ lines })));
