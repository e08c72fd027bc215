/**
 * The taxes of what a delta takes back of a charge: those with which it was charged, the latest first. Pure.
 *
 * What was billed of a charge is a pile: the line of the first invoice, and above it what each delta added. What is
 * taken back is taken from the top, and has its share of the taxes there as in a credit note (`credit-lines.ts`): what
 * was taken back so far of a tax is its share of the line, rounded once. So what is taken back whole gives back its
 * taxes to the last minor unit, in however many deltas. A charge below zero, as of a spend cap, is a pile as well.
 * What a credit note of a delta gave back is taken from the pile like what an invoice took back.
 */
import type { Currency } from '#schemas/currency.ts';
import type { InvoiceTax } from '#schemas/invoice.ts';
import { type Amount, addAmounts, subtractAmounts, sumAmounts, zeroAmount } from '#schemas/money.ts';
import type { BilledLine } from './billed-before.ts';
import { type CreditableLine, type CreditedParts, creditLine, joinCredited } from './credit-lines.ts';

/** What is left of a line, less its discounts, and what was taken of it. */
type Layer = {
  readonly line: CreditableLine;
  readonly left: Amount;
  readonly taken: CreditedParts | undefined;
  /** The line that it is all of; undefined where that took something back as well. */
  readonly printed: BilledLine['printed'];
};

/** What was billed of a charge, the latest on top. */
export type Pile = Layer[];

/** What was taken of a layer, less discounts, with its taxes. */
export type Take = {
  readonly printed: BilledLine['printed'];
  readonly net: Amount;
  readonly taxes: readonly InvoiceTax[];
};

export type TakenBack = {
  /** Of what is taken back; below zero where that was charged above zero. */
  readonly taxes: readonly InvoiceTax[];
  /** What is more than what was charged, and is taxed as of now. */
  readonly rest: Amount;
};

export const netOf = ({ amount, discounts }: Pick<BilledLine, 'amount' | 'discounts'>): Amount =>
  subtractAmounts(amount, sumAmounts(discounts.map((discount) => discount.amount)));

/** What makes a tax the same one on two lines. */
export const taxKey = ({ taxRateId, code, name, percentage, isInclusive, treatment }: InvoiceTax): string =>
  JSON.stringify([code, treatment, taxRateId, name, percentage, isInclusive]);

const sumOf = (same: readonly InvoiceTax[]): InvoiceTax => ({
  ...(same[0] as InvoiceTax),
  amount: sumAmounts(same.map(({ amount }) => amount)),
  taxableAmount: sumAmounts(same.map(({ taxableAmount }) => taxableAmount)),
});

/** One entry a tax, in the order in which they come first; those of nothing are left out. */
export const joinTaxes = (taxes: readonly InvoiceTax[]): readonly InvoiceTax[] =>
  [...Map.groupBy(taxes, taxKey).values()]
    .map(sumOf)
    .filter(({ amount, taxableAmount }) => amount !== zeroAmount || taxableAmount !== zeroAmount);

const lessTaxes = (taxes: readonly InvoiceTax[]): InvoiceTax[] =>
  taxes.map((tax) => ({
    ...tax,
    amount: subtractAmounts(zeroAmount, tax.amount),
    taxableAmount: subtractAmounts(zeroAmount, tax.taxableAmount),
  }));

const sizeOf = (amount: bigint): bigint => (amount < 0n ? -amount : amount);

/** Takes from the pile whatever `net` takes back of it, and leaves the rest in it. */
export const takeFrom = (
  pile: Pile,
  net: Amount,
  currency: Currency,
): { readonly takes: readonly Take[]; readonly rest: Amount } => {
  let rest = net;
  const takes: Take[] = [];
  for (let top = pile.at(-1); top && rest !== zeroAmount && top.left < 0n !== rest < 0n; top = pile.at(-1)) {
    const { line, left, taken, printed } = top;
    const isWhole = sizeOf(rest) >= sizeOf(left);
    const amount = isWhole ? left : subtractAmounts(zeroAmount, rest);
    const parts = creditLine(line, taken, isWhole ? { kind: 'rest' } : { kind: 'amount', amount }, currency);
    takes.push({
      printed,
      net: amount,
      taxes: line.taxes.map((tax, index) => ({ ...tax, ...(parts.taxes[index] ?? {}) })),
    });
    pile.pop();
    if (!isWhole) pile.push({ line, left: subtractAmounts(left, amount), taken: joinCredited(taken, parts), printed });
    rest = addAmounts(rest, amount);
  }
  return { takes, rest };
};

/** Those of what is taken, which are below zero where they were charged above. */
const taxesOf = (takes: readonly Take[]): readonly InvoiceTax[] =>
  joinTaxes(takes.flatMap(({ taxes }) => lessTaxes(taxes)));

/** `billed` are the lines of one charge, in their order. */
export const pileOf = (billed: readonly BilledLine[], currency: Currency): Pile => {
  const pile: Pile = [];
  for (const line of billed) {
    const net = netOf(line);
    const { takes, rest } = takeFrom(pile, net, currency);
    if (rest === zeroAmount) continue;
    const own = joinTaxes([...line.taxes, ...lessTaxes(taxesOf(takes))]);
    const printed = rest === net ? line.printed : undefined;
    pile.push({
      line: { amount: rest, discounts: [], position: 1, taxes: own },
      left: rest,
      taken: undefined,
      printed,
    });
  }
  return pile;
};

/** `billed` are the lines of the charge, in their order; `net` is what the delta comes to, less its discounts. */
export const takeBack = (billed: readonly BilledLine[], net: Amount, currency: Currency): TakenBack => {
  const { takes, rest } = takeFrom(pileOf(billed, currency), net, currency);
  return { taxes: taxesOf(takes), rest };
};
