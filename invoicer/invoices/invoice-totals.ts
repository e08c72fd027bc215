/** Lines with their discounts and taxes -> what the invoice sums. Nothing is rounded here. */
import type { DraftInvoice, InvoiceDiscount, InvoiceLine, InvoiceTax, InvoiceTotals } from '#schemas/invoice.ts';
import { type Amount, addAmounts, subtractAmounts, sumAmounts } from '#schemas/money.ts';

type SummedLine = Pick<InvoiceLine, 'amount' | 'discounts' | 'taxes'>;

/** One entry a key, in the order in which keys come first. */
const summed = <T>(items: readonly T[], keyOf: (item: T) => string, add: (sum: T, item: T) => T): T[] =>
  [...Map.groupBy(items, keyOf).values()].map((same) => same.reduce(add));

const discountsOf = (lines: readonly SummedLine[]): InvoiceDiscount[] =>
  summed(
    lines.flatMap(({ discounts }) => discounts),
    ({ discountId, couponId, name }) => JSON.stringify([discountId, couponId, name]),
    (sum, { amount }) => ({ ...sum, amount: addAmounts(sum.amount, amount) }),
  );

const taxesOf = (lines: readonly SummedLine[]): InvoiceTax[] =>
  summed(
    lines.flatMap(({ taxes }) => taxes),
    ({ taxRateId, code, name, percentage, isInclusive, treatment }) =>
      JSON.stringify([taxRateId, code, name, percentage, isInclusive, treatment]),
    (sum, { amount, taxableAmount }) => ({
      ...sum,
      taxableAmount: addAmounts(sum.taxableAmount, taxableAmount),
      amount: addAmounts(sum.amount, amount),
    }),
  );

/** Those that are not in the lines already. */
export const addedTaxes = (taxes: readonly InvoiceTax[]): Amount =>
  sumAmounts(taxes.flatMap(({ isInclusive, amount }) => (isInclusive ? [] : [amount])));

/** The total is the sum of the printed lines, less discounts, and with the taxes that are not in the lines already. */
export const totalsOf = (lines: readonly SummedLine[]): InvoiceTotals => {
  const [discounts, taxes] = [discountsOf(lines), taxesOf(lines)];
  const subtotal = sumAmounts(lines.map(({ amount }) => amount));
  const discountTotal = sumAmounts(discounts.map(({ amount }) => amount));
  const taxTotal = addedTaxes(taxes);
  const total = addAmounts(subtractAmounts(subtotal, discountTotal), taxTotal);
  return { discounts, taxes, subtotal, discountTotal, taxTotal, total };
};

/** The draft with other lines, and sums that are theirs. */
export const withLines = (draft: DraftInvoice, lines: readonly InvoiceLine[]): DraftInvoice => ({
  ...draft,
  lines,
  ...totalsOf(lines),
});
