/** What an invoice sums, as callers see it. Pure. */
import type { Currency } from '#schemas/currency.ts';
import { discountToJson, taxToJson } from '#schemas/invoice/content-parts.ts';
import type { InvoiceTotals } from '#schemas/invoice.ts';
import { type Amount, formatMinorUnits } from '#schemas/money.ts';

/** But for the subtotal, which may be of more or less than is shown beside it. */
export const totalsToJson = (
  { discounts, discountTotal, taxes, taxTotal, total }: Omit<InvoiceTotals, 'subtotal'>,
  currency: Currency,
) => ({
  discounts: discounts.map((discount) => discountToJson(discount, currency)),
  discount_total: formatMinorUnits(discountTotal, currency),
  taxes: taxes.map((tax) => taxToJson(tax, currency)),
  tax_total: formatMinorUnits(taxTotal, currency),
  total: formatMinorUnits(total, currency),
});

/** Whether an invoice ahead would be issued. */
export const carryToJson = (
  { minimum, isCarriedOver }: { readonly minimum: Amount | undefined; readonly isCarriedOver: boolean },
  currency: Currency,
) => ({
  minimum_amount: minimum === undefined ? null : formatMinorUnits(minimum, currency),
  carried_over: isCarriedOver,
});
