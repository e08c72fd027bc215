/**
 * Version 3 of what is hashed of an invoice: its billing periods may be of several customers, and each period and each
 * line names its own.
 */

import { periodToJson } from '#schemas/invoice/content-2.ts';
import { hashedInstant, hashedLine, hashedTotals } from '#schemas/invoice/hashed-parts.ts';
import type { InvoiceContent } from '#schemas/invoice.ts';

export const periodsToJson = (invoice: Pick<InvoiceContent, 'periods'>) =>
  invoice.periods.map((period) => ({
    ...periodToJson(period),
    customer_id: period.customerId,
    // Of a delta, which content version 4 has first.
    ...(period.correctsId !== undefined && { corrects_billing_period_id: period.correctsId }),
    // The same of what was carried over.
    ...(period.carriedFrom !== undefined && { carried_over_from: hashedInstant(period.carriedFrom) }),
  }));

/** Each line with the billing period that it charges for and whose that is: of the payer, where it charges for none. */
export const linesToJson = <L extends object>(
  { customerId: payer, lines, periods }: Pick<InvoiceContent, 'customerId' | 'lines' | 'periods'>,
  contents: readonly L[],
) => {
  const customers = new Map(periods.map(({ billingPeriodId, customerId }) => [billingPeriodId, customerId]));
  return lines.map(({ billingPeriodId }, index) => ({
    billing_period_id: billingPeriodId,
    customer_id: customers.get(billingPeriodId ?? '') ?? payer,
    ...(contents[index] as L),
  }));
};

export const contentToJson3 = (invoice: InvoiceContent) => ({
  id: invoice.id,
  tenant: invoice.tenant,
  number: invoice.number,
  issued_at: hashedInstant(invoice.issuedAt),
  kind: invoice.kind,
  customer_id: invoice.customerId,
  currency: invoice.currency,
  periods: periodsToJson(invoice),
  lines: linesToJson(
    invoice,
    invoice.lines.map((line) => hashedLine(line, invoice.currency)),
  ),
  ...hashedTotals(invoice),
});
