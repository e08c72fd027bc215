/**
 * Version 2 of what is hashed of an invoice: any number of billing periods, each with the very time that was measured
 * and its watermark; each line names the one that it charges for.
 */

import { hashedInstant, hashedLine, hashedPeriod, hashedTotals } from '#schemas/invoice/hashed-parts.ts';
import type { InvoiceContent, InvoicePeriod } from '#schemas/invoice.ts';

export const periodToJson = ({ billingPeriodId, subscriptionId, planVersionId, span, watermark }: InvoicePeriod) => ({
  billing_period_id: billingPeriodId,
  subscription_id: subscriptionId,
  plan_version_id: planVersionId,
  ...hashedPeriod(span),
  watermark: watermark.toString(),
});

export const contentToJson2 = (invoice: InvoiceContent) => ({
  id: invoice.id,
  tenant: invoice.tenant,
  number: invoice.number,
  issued_at: hashedInstant(invoice.issuedAt),
  kind: invoice.kind,
  customer_id: invoice.customerId,
  currency: invoice.currency,
  periods: invoice.periods.map(periodToJson),
  lines: invoice.lines.map((line) => ({
    billing_period_id: line.billingPeriodId,
    ...hashedLine(line, invoice.currency),
  })),
  ...hashedTotals(invoice),
});
