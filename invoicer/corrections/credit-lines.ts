/**
 * What is credited of the lines of an invoice, with its parts of their discounts and taxes. Pure.
 *
 * After each credit note, what was credited so far of a discount or tax of a line is its share of the line, rounded
 * once, and not a sum of rounded shares. So credits in parts, of any sizes and in any order, come to the charged
 * discounts and taxes to the last minor unit, and each tax is on the way never more than that from its exact share.
 * A credit by an amount of the line shares by the amount; one by an amount of the total shares by what the line adds to
 * the total. Nothing is credited twice, and nothing below zero: shares are moved by a minor unit where they would be.
 */
import assert from 'node:assert/strict';
import { type Currency, minorUnitsOf } from '#schemas/currency.ts';
import type { InvoiceLine } from '#schemas/invoice.ts';
import {
  type Amount,
  addAmounts,
  amountScale,
  divide,
  roundSharesTogether,
  sumAmounts,
  zeroAmount,
} from '#schemas/money.ts';

/** What of a line has a part in a credit. */
export type CreditableLine = Pick<InvoiceLine, 'amount' | 'discounts' | 'position' | 'taxes'>;

/** What was credited of a line, or is; of each discount and tax of the line, in their order. */
export type CreditedParts = {
  readonly amount: Amount;
  readonly discounts: readonly Amount[];
  readonly taxes: readonly { readonly amount: Amount; readonly taxableAmount: Amount }[];
};

/** Before anything of a line is credited. */
export const nothingCreditedOf = ({ discounts, taxes }: CreditableLine): CreditedParts => ({
  amount: zeroAmount,
  discounts: discounts.map(() => zeroAmount),
  taxes: taxes.map(() => ({ amount: zeroAmount, taxableAmount: zeroAmount })),
});

/** Both together, of one line. */
export const joinCredited = (a: CreditedParts | undefined, b: CreditedParts): CreditedParts => ({
  amount: addAmounts(a?.amount ?? zeroAmount, b.amount),
  discounts: b.discounts.map((amount, index) => addAmounts(a?.discounts[index] ?? zeroAmount, amount)),
  taxes: b.taxes.map(({ amount, taxableAmount }, index) => ({
    amount: addAmounts(a?.taxes[index]?.amount ?? zeroAmount, amount),
    taxableAmount: addAmounts(a?.taxes[index]?.taxableAmount ?? zeroAmount, taxableAmount),
  })),
});

/** By the position of the line on its invoice; a line of which nothing was credited may be missing. */
export type CreditedLines = ReadonlyMap<number, CreditedParts>;

/** In whole minor units. */
type Parts = {
  readonly amount: bigint;
  /** Discounts, below zero, and taxes that are added: with the amount they sum to what the line adds to the total. */
  readonly beside: readonly bigint[];
  /** Taxes that are in the amount, and taxable amounts: they are in no sum. */
  readonly within: readonly bigint[];
};

/** A minor unit, by its number of decimal places: powers are computed once and not for each part of each line. */
const units = [0, 1, 2, 3, 4].map((places) => 10n ** BigInt(amountScale - places));
const unitOf = (currency: Currency): bigint => units[minorUnitsOf(currency)] as bigint;
const plus = (a: bigint, b: bigint): bigint => a + b;
const sum = (values: readonly bigint[]): bigint => values.reduce(plus, 0n);
const grossOf = ({ amount, beside }: Parts): bigint => amount + sum(beside);

const mapParts = (parts: Parts, change: (value: bigint) => bigint): Parts => ({
  amount: change(parts.amount),
  beside: parts.beside.map(change),
  within: parts.within.map(change),
});

const joinParts = (a: Parts, b: Parts, join: (a: bigint, b: bigint) => bigint): Parts => ({
  amount: join(a.amount, b.amount),
  beside: a.beside.map((value, index) => join(value, b.beside[index] ?? 0n)),
  within: a.within.map((value, index) => join(value, b.within[index] ?? 0n)),
});

const toParts = (line: CreditableLine, parts: CreditedParts | undefined, currency: Currency): Parts => {
  const unit = unitOf(currency);
  const inUnits = (amount: Amount | undefined): bigint => {
    assert((amount ?? 0n) % unit === 0n, 'what is credited is a whole number of minor units');
    return (amount ?? 0n) / unit;
  };
  return {
    amount: inUnits(parts?.amount),
    beside: [
      ...line.discounts.map((_, index) => -inUnits(parts?.discounts[index])),
      ...line.taxes.map(({ isInclusive }, index) => (isInclusive ? 0n : inUnits(parts?.taxes[index]?.amount))),
    ],
    within: [
      ...line.taxes.map(({ isInclusive }, index) => (isInclusive ? inUnits(parts?.taxes[index]?.amount) : 0n)),
      ...line.taxes.map((_, index) => inUnits(parts?.taxes[index]?.taxableAmount)),
    ],
  };
};

const fromParts = ({ discounts, taxes }: CreditableLine, parts: Parts, currency: Currency): CreditedParts => {
  const unit = unitOf(currency);
  const amount = (count: bigint | undefined): Amount => ((count ?? 0n) * unit) as Amount;
  return {
    amount: amount(parts.amount),
    discounts: discounts.map((_, index) => amount(-(parts.beside[index] ?? 0n))),
    taxes: taxes.map(({ isInclusive }, index) => ({
      amount: amount(isInclusive ? parts.within[index] : parts.beside[discounts.length + index]),
      taxableAmount: amount(parts.within[taxes.length + index]),
    })),
  };
};

const wholeOf = ({ amount, discounts, taxes }: CreditableLine): CreditedParts => ({
  amount,
  discounts: discounts.map((discount) => discount.amount),
  taxes,
});

/** Between nothing and what is left of it, which may be below zero. */
const within = (value: bigint, left: bigint): bigint => {
  const [least, most] = left < 0n ? [left, 0n] : [0n, left];
  return value < least ? least : value > most ? most : value;
};

/**
 * Whole parts as near as can be to `exact / of` each, with a sum from `least` to `most`: a part is moved that is
 * furthest from its exact share on that side, the earlier of equal ones.
 */
const nearest = (
  exact: readonly bigint[],
  of: bigint,
  left: readonly bigint[],
  { least, most }: { readonly least: bigint; readonly most: bigint },
): bigint[] => {
  const parts = exact.map((share, index) => within(divide(share, of, 'half_up'), left[index] ?? 0n));
  const move = (by: bigint): void => {
    const movable = parts.flatMap((part, index) => (within(part + by, left[index] ?? 0n) === part + by ? [index] : []));
    const distance = (index: number): bigint => ((exact[index] ?? 0n) - (parts[index] ?? 0n) * of) * by;
    const [first, ...others] = movable;
    assert(first !== undefined, 'what is credited fits into what is left');
    const chosen = others.reduce((best, index) => (distance(index) > distance(best) ? index : best), first);
    parts[chosen] = (parts[chosen] ?? 0n) + by;
  };
  while (sum(parts) < least) move(1n);
  while (sum(parts) > most) move(-1n);
  return parts;
};

/** By the amount of the line: what stands beside it has its share, and the whole is neither below zero nor too much. */
const partsByAmount = (whole: Parts, before: Parts, amount: bigint): Parts => {
  const left = joinParts(whole, before, (a, b) => a - b);
  const exact = joinParts(whole, before, (a, b) => a * (before.amount + amount) - b * whole.amount);
  const beside = nearest(exact.beside, whole.amount, left.beside, { least: -amount, most: grossOf(left) - amount });
  return { amount, beside, within: sharesWithin(whole, before, amount) };
};

/** What is in the amount goes by the amount. */
const sharesWithin = (whole: Parts, before: Parts, amount: bigint): bigint[] =>
  whole.within.map((value, index) => {
    const was = before.within[index] ?? 0n;
    if (whole.amount === 0n) return 0n;
    return within(divide(value * (before.amount + amount), whole.amount, 'half_up') - was, value - was);
  });

/** By what the line adds to the total. */
const partsByGross = (whole: Parts, before: Parts, gross: bigint): Parts => {
  const left = joinParts(whole, before, (a, b) => a - b);
  const [of, after] = [grossOf(whole), grossOf(before) + gross];
  const share = (a: bigint, b: bigint): bigint => a * after - b * of;
  const exact = joinParts(whole, before, share);
  const [amount = 0n, ...beside] = nearest([exact.amount, ...exact.beside], of, [left.amount, ...left.beside], {
    least: gross,
    most: gross,
  });
  return { amount, beside, within: sharesWithin(whole, before, amount) };
};

const negated = (parts: Parts): Parts => mapParts(parts, (value) => -value);

/** A line below zero is credited like its twin above zero. */
const mirrored = (whole: Parts, before: Parts, value: bigint, parts: typeof partsByGross): Parts =>
  grossOf(whole) < 0n || whole.amount < 0n
    ? negated(parts(negated(whole), negated(before), -value))
    : parts(whole, before, value);

/** Taxable amounts that are the net of their line stay that: what is credited without discounts and inclusive taxes. */
const withNet = (line: CreditableLine, parts: CreditedParts): CreditedParts => {
  const netOf = ({ amount, discounts, taxes }: CreditedParts): Amount =>
    (amount -
      sumAmounts(discounts) -
      sumAmounts(taxes.flatMap((tax, index) => (line.taxes[index]?.isInclusive ? [tax.amount] : [])))) as Amount;
  const [whole, net] = [netOf(wholeOf(line)), netOf(parts)];
  const taxes = parts.taxes.map((tax, index) =>
    line.taxes[index]?.taxableAmount === whole ? { ...tax, taxableAmount: net } : tax,
  );
  return { ...parts, taxes };
};

/** What adds to the total: the amount less discounts, with the taxes that are added. */
export const grossAmount = (line: Pick<CreditableLine, 'taxes'>, { amount, discounts, taxes }: CreditedParts): Amount =>
  (amount -
    sumAmounts(discounts) +
    sumAmounts(taxes.flatMap((tax, index) => (line.taxes[index]?.isInclusive ? [] : [tax.amount])))) as Amount;

/** What is asked of a line: all that is left, an amount of it, or a part of what it adds to the total. */
export type LineShare =
  | { readonly kind: 'rest' }
  | { readonly kind: 'amount'; readonly amount: Amount }
  | { readonly kind: 'gross'; readonly amount: Amount };

/** `before` is what was credited of it so far. What is asked is not more than is left. */
export const creditLine = (
  line: CreditableLine,
  before: CreditedParts | undefined,
  share: LineShare,
  currency: Currency,
): CreditedParts => {
  const [whole, was] = [toParts(line, wholeOf(line), currency), toParts(line, before, currency)];
  const left = joinParts(whole, was, (a, b) => a - b);
  if (share.kind === 'rest') return fromParts(line, left, currency);
  const asked = share.amount / unitOf(currency);
  const of = share.kind === 'amount' ? left.amount : grossOf(left);
  assert(within(asked, of) === asked, 'not more is credited than is left');
  if (asked === 0n)
    return fromParts(
      line,
      mapParts(left, () => 0n),
      currency,
    );
  const parts = mirrored(whole, was, asked, share.kind === 'amount' ? partsByAmount : partsByGross);
  return withNet(line, fromParts(line, parts, currency));
};

export const leftOfLine = (
  line: CreditableLine,
  before: CreditedParts | undefined,
  currency: Currency,
): CreditedParts => creditLine(line, before, { kind: 'rest' }, currency);

const isNothing = ({ amount, discounts, taxes }: CreditedParts): boolean =>
  amount === 0n && discounts.every((one) => one === 0n) && taxes.every((tax) => tax.amount === 0n);

/** What is asked of an invoice. A line is named once. */
export type AskedCredit =
  | { readonly kind: 'rest' }
  /** Of the total. */
  | { readonly kind: 'amount'; readonly amount: Amount }
  /** By the position of the line; null is all that is left of it. */
  | { readonly kind: 'lines'; readonly lines: ReadonlyMap<number, Amount | null> };

/** What an amount of the total is of each line: in proportion to what is left of it, by the largest remainder. */
const sharesOf = (lefts: readonly Amount[], amount: Amount, currency: Currency): readonly LineShare[] => {
  const left = sumAmounts(lefts);
  if (amount === left) return lefts.map(() => ({ kind: 'rest' }));
  return roundSharesTogether(
    lefts.map((one) => one * amount),
    left,
    currency,
    'half_up',
  ).map((share) => ({ kind: 'gross', amount: share }));
};

/** Credited parts by the position of their line, in the order of the invoice; lines that have none are left out. */
export const creditLines = (
  lines: readonly CreditableLine[],
  before: CreditedLines,
  asked: AskedCredit,
  currency: Currency,
): CreditedLines => {
  const lefts = lines.map((line) => grossAmount(line, leftOfLine(line, before.get(line.position), currency)));
  const shares = asked.kind === 'amount' ? sharesOf(lefts, asked.amount, currency) : [];
  const shareOf = ({ position }: CreditableLine, index: number): LineShare | undefined => {
    if (asked.kind === 'rest') return { kind: 'rest' };
    if (asked.kind === 'amount') return shares[index];
    const amount = asked.lines.get(position);
    if (amount === undefined) return undefined;
    return amount === null ? { kind: 'rest' } : { kind: 'amount', amount };
  };
  const credited = lines.flatMap((line, index): [number, CreditedParts][] => {
    const share = shareOf(line, index);
    if (share === undefined) return [];
    const parts = creditLine(line, before.get(line.position), share, currency);
    return isNothing(parts) ? [] : [[line.position, parts]];
  });
  return new Map(credited);
};
