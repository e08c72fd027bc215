/** Version 5 of what is hashed of an invoice: also the tax category of a line that was written by hand with one. */
import { linesToJson } from '#schemas/invoice/content-3.ts';
import { contentToJson4, laterLineToJson } from '#schemas/invoice/content-4.ts';
import { hashedLine } from '#schemas/invoice/hashed-parts.ts';
import type { InvoiceContent, InvoiceLine } from '#schemas/invoice.ts';

/** A line as answers have it, of whichever version. */
export const lineToJson = (line: InvoiceLine, content: Pick<InvoiceContent, 'currency'>) => ({
  ...hashedLine(line, content.currency),
  ...laterLineToJson(line, content),
  ...(line.taxCategory !== undefined && { tax_category: line.taxCategory }),
});

export const contentToJson5 = (invoice: InvoiceContent) => ({
  ...contentToJson4(invoice),
  lines: linesToJson(
    invoice,
    invoice.lines.map((line) => lineToJson(line, invoice)),
  ),
});
