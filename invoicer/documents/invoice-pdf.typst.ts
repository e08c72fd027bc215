/**
 * An invoice as PDF, set by Typst: it shapes every script, orders what is written from the right, embeds of each font
 * what is used, and has no clock and no randomness, so equal documents give equal bytes.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { NodeCompiler } from '@myriaddreamin/typst-ts-node-compiler';
import { type DocumentContent, documentContent } from './document-content.ts';
import { fitColumns } from './fit-columns.ts';
import { fontFiles, fontOrder } from './fonts.ts';
import type { InvoiceDocument } from './invoice-document.ts';
import { paymentCode } from './payment-code.ts';

/** Tags tell a screen reader what a cell is; of 10,000 lines they would be seven eighths of the bytes. */
const taggedLinesMax = 1000;

export type PdfMaker = { readonly make: (document: InvoiceDocument) => Buffer };

const issuedParts = (instant: number): readonly number[] => {
  const at = new Date(instant);
  return [
    at.getUTCFullYear(),
    at.getUTCMonth() + 1,
    at.getUTCDate(),
    at.getUTCHours(),
    at.getUTCMinutes(),
    at.getUTCSeconds(),
  ];
};

const figures = ['quantity', 'unitPrice', 'tax', 'amount'] as const;
const measuredMax = 8;

/** Of each column the texts with the most characters, of which one is the widest. */
const longestFigures = ({ lines }: DocumentContent): Record<string, readonly string[]> =>
  Object.fromEntries(
    figures.map((name) => {
      const texts = lines.flatMap((line) => [
        line[name],
        ...(name === 'tax' ? [] : line.details.map((detail) => detail[name])),
      ]);
      const byLength = [...new Set(texts)].sort((a, b) => b.length - a.length || (a < b ? -1 : 1));
      return [name, byLength.slice(0, measuredMax)];
    }),
  );

/** Reads 70 MB of fonts; a thread has one. */
export const createPdfMaker = (): PdfMaker => {
  const { resolve } = createRequire(import.meta.url);
  const template = readFileSync(new URL('./invoice.typ', import.meta.url), 'utf8');
  const workspace = fileURLToPath(new URL('.', import.meta.url));
  const compiler = NodeCompiler.create({
    workspace,
    fontArgs: [{ fontBlobs: fontFiles.map((file) => readFileSync(resolve(file))) }],
  });

  const tryMake = (document: InvoiceDocument): Buffer | undefined => {
    const { logo } = document;
    const content = fitColumns(documentContent(document));
    const logoName = logo && `logo.${logo.format}`;
    if (logo && logoName) compiler.mapShadow(join(workspace, logoName), Buffer.from(logo.bytes));
    const inputs = {
      content: JSON.stringify({
        ...content,
        longest: longestFigures(content),
        fonts: fontOrder(document),
        issued: issuedParts(document.issuedAt),
        logo: logoName,
        paymentCode: content.payment && paymentCode(content.payment.url),
      }),
    };
    try {
      const compiled = compiler.compile({ mainFileContent: template, inputs });
      if (compiled.result) return compiler.pdf(compiled.result, { pdfTags: document.lines.length <= taggedLinesMax });
      if (logo) return undefined;
      const fault = compiled.takeDiagnostics();
      throw new Error(`the document was not set: ${JSON.stringify(fault && compiler.fetchDiagnostics(fault))}`);
    } finally {
      if (logoName) compiler.unmapShadow(join(workspace, logoName));
      // What it remembers of one document would be kept for the next, for good.
      compiler.evictCache(0);
    }
  };

  return {
    make: (document) => {
      // A picture may break off behind a good head; an invoice without it is better than none.
      const pdf = tryMake(document) ?? tryMake({ ...document, logo: null });
      if (!pdf) throw new Error('a document without a logo can be made');
      return pdf;
    },
  };
};
