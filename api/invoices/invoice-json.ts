/** Invoices as callers see them. Pure. */
import { formatInstant } from '#schemas/instant.ts';
import { issuedInvoiceToJson } from '#schemas/invoice/content.ts';
import { linesToJson, periodsToJson } from '#schemas/invoice/content-3.ts';
import { laterLineToJson, laterMembersToJson } from '#schemas/invoice/content-4.ts';
import { hashedLine } from '#schemas/invoice/hashed-parts.ts';
import type { IssuedInvoice } from '#schemas/invoice.ts';

/**
 * An issued invoice is what was hashed, and beside it its state and what other content versions have: its billing
 * periods as a list with whose they are, and of the only one what callers know from version 1.
 */
export const invoiceJson = (invoice: IssuedInvoice, metadata: Readonly<Record<string, string>> = {}) => {
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
    finalize_at: null,
    finalizing_run_id: null,
    failure: null,
    as_of: null,
    metadata,
    // It never changes.
    version: 1,
    created_at: formatInstant(invoice.issuedAt),
    updated_at: formatInstant(invoice.issuedAt),
  };
};

/** Without its lines, for lists. */
export const invoiceHeadJson = (invoice: IssuedInvoice, metadata: Readonly<Record<string, string>>) => {
  const { lines: _lines, ...head } = invoiceJson(invoice, metadata);
  return head;
};
