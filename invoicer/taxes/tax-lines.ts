/**
 * The taxes of an invoice: lines with the taxes that they have -> amounts per line, and a summary. Pure.
 *
 * Each tax is of the net amount of its line, whatever other taxes the line has: there is no tax on a tax. The net is
 * the amount without the inclusive taxes, A / (1 + the sum of the inclusive rates), and stays exact: a tax is
 * A x rate / (1 + that sum), inclusive or not, and is rounded once.
 */
import assert from 'node:assert/strict';
import type { Currency } from '#schemas/currency.ts';
import {
  type Amount,
  type RoundingMode,
  roundSharesTogether,
  subtractAmounts,
  sumAmounts,
  zeroAmount,
} from '#schemas/money.ts';
import { type AppliedTax, percentageUnit, type TaxEntry, type TaxRounding } from '#schemas/tax-rate.ts';

export type TaxPolicy = { readonly rounding: RoundingMode; readonly taxRounding: TaxRounding };

export type TaxableLine = {
  /** Its place on the invoice, by which one of two equal remainders gets the minor unit. */
  readonly position: number;
  /** As printed, less its discounts. */
  readonly amount: Amount;
  readonly taxes: readonly AppliedTax[];
};

export type TaxedInvoice = {
  /** By the position of their line. */
  readonly lines: ReadonlyMap<number, readonly TaxEntry[]>;
  /** An entry for each tax. */
  readonly summary: readonly TaxEntry[];
  /** What is added to the amounts of the lines. */
  readonly taxTotal: Amount;
};

/** A tax of a line; `exact` of `of` is its amount. */
type Share = { readonly line: TaxableLine; readonly tax: AppliedTax; readonly exact: bigint; readonly of: bigint };

const keyOf = ({ code, treatment, taxRateId, name, percentage, inclusive }: AppliedTax): string =>
  JSON.stringify([code, treatment, taxRateId, name, percentage.toString(), inclusive]);

const sharesOf = (line: TaxableLine): Share[] => {
  const inclusive = line.taxes.reduce((sum, tax) => (tax.inclusive ? sum + tax.percentage : sum), 0n);
  return line.taxes.map((tax) => ({
    line,
    tax,
    exact: line.amount * tax.percentage,
    of: percentageUnit + inclusive,
  }));
};

const greatestDivisor = (a: bigint, b: bigint): bigint => (b === 0n ? a : greatestDivisor(b, a % b));
const leastMultiple = (a: bigint, b: bigint): bigint => (a / greatestDivisor(a, b)) * b;

/** Shares of one tax, in whole minor units, in their order. */
const roundShares = (shares: readonly Share[], currency: Currency, policy: TaxPolicy): Amount[] => {
  const denominator = shares.reduce((multiple, { of }) => leastMultiple(multiple, of), 1n);
  const numerators = shares.map(({ exact, of }) => exact * (denominator / of));
  return policy.taxRounding === 'invoice'
    ? roundSharesTogether(numerators, denominator, currency, policy.rounding)
    : numerators.flatMap((one) => roundSharesTogether([one], denominator, currency, policy.rounding));
};

const byText = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1);

/** In whatever order the lines and their taxes come, what comes out is the same: taxes stand in the order of codes. */
export const taxLines = (lines: readonly TaxableLine[], currency: Currency, policy: TaxPolicy): TaxedInvoice => {
  const inOrder = lines.toSorted((a, b) => a.position - b.position);
  assert.equal(new Set(lines.map(({ position }) => position)).size, lines.length, 'a line appears twice');
  const byTax = [...Map.groupBy(inOrder.flatMap(sharesOf), ({ tax }) => keyOf(tax))].toSorted(byText);
  const rounded = byTax.flatMap(([, shares]) => {
    const amounts = roundShares(shares, currency, policy);
    return shares.map(({ line, tax }, index) => ({ line, tax, amount: amounts[index] as Amount }));
  });
  const entriesOf = Map.groupBy(rounded, ({ line }) => line);
  const taxed = inOrder.map((line): [number, TaxEntry[]] => {
    const entries = entriesOf.get(line) ?? [];
    assert.equal(new Set(entries.map(({ tax }) => keyOf(tax))).size, entries.length, 'a line has a tax twice');
    const inclusive = sumAmounts(entries.map(({ tax, amount }) => (tax.inclusive ? amount : zeroAmount)));
    const taxableAmount = subtractAmounts(line.amount, inclusive);
    return [line.position, entries.map(({ tax, amount }) => ({ ...tax, taxableAmount, amount }))];
  });
  const entries = taxed.flatMap(([, ofLine]) => ofLine);
  return { lines: new Map(taxed), summary: summarize(entries), taxTotal: addedBy(entries) };
};

const summarize = (entries: readonly TaxEntry[]): TaxEntry[] =>
  [...Map.groupBy(entries, keyOf)].toSorted(byText).map(([, same]) => ({
    ...(same[0] as TaxEntry),
    taxableAmount: sumAmounts(same.map(({ taxableAmount }) => taxableAmount)),
    amount: sumAmounts(same.map(({ amount }) => amount)),
  }));

const addedBy = (entries: readonly TaxEntry[]): Amount =>
  sumAmounts(entries.map(({ inclusive, amount }) => (inclusive ? zeroAmount : amount)));
