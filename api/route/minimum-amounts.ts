/** Minimum amounts of invoices as callers say them -> as they are kept. */
import { isCurrency, minorUnitsOf } from '#schemas/currency.ts';
import type { Fault } from '#schemas/fault.ts';
import type { MinimumInvoiceAmounts } from '#schemas/http/customers.ts';
import { formatMinorUnits, isWholeMinorUnits, parseAmount, zeroAmount } from '#schemas/money.ts';
import { refuseFaults } from './resource-fields.ts';

/** Each in whole minor units of its currency. Refuses all that is at fault. */
export const readMinimumAmounts = (given: MinimumInvoiceAmounts | null): MinimumInvoiceAmounts | null => {
  const faults: Fault[] = [];
  const amounts = Object.entries(given ?? {}).map(([currency, text]): [string, string] => {
    const field = `minimum_invoice_amounts.${currency}`;
    const amount = parseAmount(text) ?? zeroAmount;
    if (!isCurrency(currency))
      faults.push({ field, code: 'not_allowed', message: 'is not an active ISO 4217 currency with a minor unit' });
    else if (!isWholeMinorUnits(amount, currency))
      faults.push({
        field,
        code: 'too_precise',
        message: `must have at most ${minorUnitsOf(currency)} digits after the point, as ${currency} has`,
      });
    else return [currency, formatMinorUnits(amount, currency)];
    return [currency, text];
  });
  refuseFaults(faults);
  return amounts.length === 0 ? null : Object.fromEntries(amounts);
};
