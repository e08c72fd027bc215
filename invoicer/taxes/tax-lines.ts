/**
 * The taxes of an invoice: lines with the taxes that they have -> amounts per line, and a summary. Pure.
 *
 * Each tax is of the net amount of its line, whatever other taxes the line has: there is no tax on a tax. An inclusive
 * one is A x rate / (1 + the sum of the inclusive rates), exactly, and is rounded once. The net is what they leave of
 * the amount, in whole minor units as it is printed; an exclusive tax is net x rate, and is rounded once too.
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

const inclusiveShares = (line: TaxableLine): Share[] => {
  const within = line.taxes.filter(({ inclusive }) => inclusive);
  const of = within.reduce((sum, { percentage }) => sum + percentage, percentageUnit);
  return within.map((tax) => ({ line, tax, exact: line.amount * tax.percentage, of }));
};

const exclusiveShares = (line: TaxableLine, net: Amount): Share[] =>
  line.taxes
    .filter(({ inclusive }) => !inclusive)
    .map((tax) => ({ line, tax, exact: net * tax.percentage, of: percentageUnit }));

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

type RoundedTax = { readonly line: TaxableLine; readonly tax: AppliedTax; readonly amount: Amount };

/** Of all lines, each tax by itself. */
const roundByTax = (shares: readonly Share[], currency: Currency, policy: TaxPolicy): RoundedTax[] =>
  [...Map.groupBy(shares, ({ tax }) => keyOf(tax)).values()].flatMap((same) => {
    const amounts = roundShares(same, currency, policy);
    return same.map(({ line, tax }, index) => ({ line, tax, amount: amounts[index] as Amount }));
  });

/** In whatever order the lines and their taxes come, what comes out is the same: taxes stand in the order of codes. */
export const taxLines = (lines: readonly TaxableLine[], currency: Currency, policy: TaxPolicy): TaxedInvoice => {
  const inOrder = lines.toSorted((a, b) => a.position - b.position);
  assert.equal(new Set(lines.map(({ position }) => position)).size, lines.length, 'a line appears twice');
  const within = roundByTax(inOrder.flatMap(inclusiveShares), currency, policy);
  const withinOf = Map.groupBy(within, ({ line }) => line);
  const nets = new Map(
    inOrder.map((line) => {
      const inclusive = sumAmounts((withinOf.get(line) ?? []).map(({ amount }) => amount));
      return [line, subtractAmounts(line.amount, inclusive)];
    }),
  );
  const netOf = (line: TaxableLine): Amount => nets.get(line) as Amount;
  const added = inOrder.flatMap((line) => exclusiveShares(line, netOf(line)));
  const taxesOf = Map.groupBy([...within, ...roundByTax(added, currency, policy)], ({ line }) => line);
  const taxed = inOrder.map((line): [number, TaxEntry[]] => {
    const byKey = (taxesOf.get(line) ?? []).map((one): [string, RoundedTax] => [keyOf(one.tax), one]).toSorted(byText);
    assert.equal(new Set(byKey.map(([key]) => key)).size, byKey.length, 'a line has a tax twice');
    return [line.position, byKey.map(([, { tax, amount }]) => ({ ...tax, taxableAmount: netOf(line), amount }))];
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
