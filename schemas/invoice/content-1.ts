/**
 * Version 1 of what is hashed of an invoice: one subscription and its whole calendar month, whatever of it the
 * subscription covered.
 */
import assert from 'node:assert/strict';
import { hashedInstant, hashedLine, hashedPeriod, hashedTotals } from '#schemas/invoice/hashed-parts.ts';
import type { InvoiceContent } from '#schemas/invoice.ts';

export const contentToJson1 = (invoice: InvoiceContent) => {
  const [period] = invoice.periods;
  assert(period && invoice.periods.length === 1, 'an invoice of content version 1 has one billing period');
  return {
    id: invoice.id,
    tenant: invoice.tenant,
    number: invoice.number,
    watermark: period.watermark.toString(),
    issued_at: hashedInstant(invoice.issuedAt),
    kind: invoice.kind,
    subscription_id: period.subscriptionId,
    customer_id: invoice.customerId,
    plan_version_id: period.planVersionId,
    currency: invoice.currency,
    period: hashedPeriod(period.span),
    lines: invoice.lines.map((line) => hashedLine(line, invoice.currency)),
    ...hashedTotals(invoice),
  };
};
