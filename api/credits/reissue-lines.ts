/** The lines of a voided invoice as those of a one-off invoice that takes its place. Pure. */
import type { OneOffItem } from '#schemas/invoice/one-off.ts';
import type { InvoiceLine } from '#schemas/invoice.ts';
import { subtractAmounts, sumAmounts, toPrecise } from '#schemas/money.ts';

/** A discount is in the amount of its item: coupons are not redeemed again. */
export const itemOfLine = (line: InvoiceLine, taxCategory: string | null): OneOffItem => {
  const { description, quantity, rounding, servicePeriod } = line;
  const discount = sumAmounts(line.discounts.map(({ amount }) => amount));
  if (discount === 0n)
    return {
      description,
      quantity,
      unitAmount: line.unitAmount,
      precise: line.precise,
      rounding,
      amount: line.amount,
      servicePeriod,
      taxCategory,
    };
  const amount = subtractAmounts(line.amount, discount);
  const precise = toPrecise(amount);
  return { description, quantity, unitAmount: null, precise, rounding, amount, servicePeriod, taxCategory };
};
