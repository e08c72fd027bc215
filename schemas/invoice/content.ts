/** What is hashed of an invoice, in the version that it was issued in. A new version is a file and a line here. */

import { contentToJson1 } from '#schemas/invoice/content-1.ts';
import { contentToJson2 } from '#schemas/invoice/content-2.ts';
import { contentToJson3 } from '#schemas/invoice/content-3.ts';
import { contentToJson4 } from '#schemas/invoice/content-4.ts';
import { contentToJson5 } from '#schemas/invoice/content-5.ts';
import type { ContentVersion, InvoiceContent, IssuedInvoice } from '#schemas/invoice.ts';

export const contentToJson = {
  1: contentToJson1,
  2: contentToJson2,
  3: contentToJson3,
  4: contentToJson4,
  5: contentToJson5,
} as const satisfies Record<ContentVersion, (invoice: InvoiceContent) => object>;

/** What new invoices are issued in. */
export const newestContentVersion: ContentVersion = 5;

/**
 * With both hashes: what is published, so that whoever has it can check it without this program. Hashed is what is
 * left without `content_version`, `previous_hash` and `hash`.
 */
export const issuedInvoiceToJson = (invoice: IssuedInvoice) => ({
  content_version: invoice.contentVersion,
  ...contentToJson[invoice.contentVersion](invoice),
  previous_hash: invoice.previousHash,
  hash: invoice.hash,
});
