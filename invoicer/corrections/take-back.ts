/**
 * The taxes of what a delta takes back of a charge: those with which it was charged, the latest first. Pure.
 *
 * What was billed of a charge is a pile: the line of the first invoice, and above it what each delta added. What is
 * taken back is taken from the top, and has its share of the taxes there as in a credit note (`credit-lines.ts`): what
 * was taken back so far of a tax is its share of the line, rounded once. So what is taken back whole gives back its
 * taxes to the last minor unit, in however many deltas. A charge below zero, as of a spend cap, is a pile as well.
 */
import type { Currency } from '#schemas/currency.ts';
import type { InvoiceTax } from '#schemas/invoice.ts';
import { type Amount, addAmounts, subtractAmounts, sumAmounts, zeroAmount } from '#schemas/money.ts';
import type { BilledLine } from './billed-before.ts';
import { type CreditableLine, type CreditedParts, creditLine } from './credit-lines.ts';

/** What is left of a line, less its discounts, and what was taken of it. */
type Layer = { readonly line: CreditableLine; readonly left: Amount; readonly taken: CreditedParts | undefined };

export type TakenBack = {
  /** Of what is taken back; below zero where that was charged above zero. */
  readonly taxes: readonly InvoiceTax[];
  /** What is more than what was charged, and is taxed as of now. */
  readonly rest: Amount;
};

const netOf = ({ amount, discounts }: BilledLine): Amount =>
  subtractAmounts(amount, sumAmounts(discounts.map((discount) => discount.amount)));

const keyOf = ({ taxRateId, code, name, percentage, isInclusive, treatment }: InvoiceTax): string =>
  JSON.stringify([code, treatment, taxRateId, name, percentage, isInclusive]);

const sumOf = (same: readonly InvoiceTax[]): InvoiceTax => ({
  ...(same[0] as InvoiceTax),
  amount: sumAmounts(same.map(({ amount }) => amount)),
  taxableAmount: sumAmounts(same.map(({ taxableAmount }) => taxableAmount)),
});

/** One entry a tax, in the order in which they come first; those of nothing are left out. */
export const joinTaxes = (taxes: readonly InvoiceTax[]): readonly InvoiceTax[] =>
  [...Map.groupBy(taxes, keyOf).values()]
    .map(sumOf)
    .filter(({ amount, taxableAmount }) => amount !== zeroAmount || taxableAmount !== zeroAmount);

const lessTaxes = (taxes: readonly InvoiceTax[]): InvoiceTax[] =>
  taxes.map((tax) => ({
    ...tax,
    amount: subtractAmounts(zeroAmount, tax.amount),
    taxableAmount: subtractAmounts(zeroAmount, tax.taxableAmount),
  }));

const joinParts = (a: CreditedParts | undefined, b: CreditedParts): CreditedParts => ({
  amount: addAmounts(a?.amount ?? zeroAmount, b.amount),
  discounts: [],
  taxes: b.taxes.map(({ amount, taxableAmount }, index) => ({
    amount: addAmounts(a?.taxes[index]?.amount ?? zeroAmount, amount),
    taxableAmount: addAmounts(a?.taxes[index]?.taxableAmount ?? zeroAmount, taxableAmount),
  })),
});

const sizeOf = (amount: bigint): bigint => (amount < 0n ? -amount : amount);

/** Takes from the pile whatever `net` takes back of it. */
const takeFrom = (pile: Layer[], net: Amount, currency: Currency): TakenBack => {
  let rest = net;
  const taxes: InvoiceTax[] = [];
  for (let top = pile.at(-1); top && rest !== zeroAmount && top.left < 0n !== rest < 0n; top = pile.at(-1)) {
    const { line, left, taken } = top;
    const isWhole = sizeOf(rest) >= sizeOf(left);
    const amount = isWhole ? left : subtractAmounts(zeroAmount, rest);
    const parts = creditLine(line, taken, isWhole ? { kind: 'rest' } : { kind: 'amount', amount }, currency);
    const ofParts = line.taxes.map((tax, index) => ({ ...tax, ...(parts.taxes[index] ?? {}) }));
    taxes.push(...lessTaxes(ofParts));
    pile.pop();
    if (!isWhole) pile.push({ line, left: subtractAmounts(left, amount), taken: joinParts(taken, parts) });
    rest = addAmounts(rest, amount);
  }
  return { taxes: joinTaxes(taxes), rest };
};

/** `billed` are the lines of the charge, in their order; `net` is what the delta comes to, less its discounts. */
export const takeBack = (billed: readonly BilledLine[], net: Amount, currency: Currency): TakenBack => {
  const pile: Layer[] = [];
  for (const line of billed) {
    const { taxes, rest } = takeFrom(pile, netOf(line), currency);
    if (rest === zeroAmount) continue;
    const own = joinTaxes([...line.taxes, ...lessTaxes(taxes)]);
    pile.push({ line: { amount: rest, discounts: [], position: 1, taxes: own }, left: rest, taken: undefined });
  }
  return takeFrom(pile, net, currency);
};
