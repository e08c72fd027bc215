/**
 * What a delta gives back by credit notes: which parts of which lines, on the invoices that billed them. Pure.
 *
 * What a charge comes to less is taken from what was billed of it last, as on an invoice (`take-back.ts`), with the
 * taxes of the line that it is taken from and the discounts that the delta changes. Where another charge of the period
 * comes to more, as a minimum commitment does, that is taken off first: what is left is credited of the charges that
 * come to less, in their order. No tax says then which charge it is of, so the whole period must have been billed with
 * the same taxes, and without discounts.
 *
 * What can't be given back so, as there is not as much left of an invoice, is undefined: it is for the next invoice.
 */
import type { Currency } from '#schemas/currency.ts';
import type { InvoiceLine, InvoiceTax } from '#schemas/invoice.ts';
import { type Amount, addAmounts, negateAmount, subtractAmounts, sumAmounts, zeroAmount } from '#schemas/money.ts';
import type { BilledLine } from './billed-before.ts';
import { type CreditedLines, type CreditedParts, grossAmount, leftOfLine } from './credit-lines.ts';
import { netOf, type Pile, pileOf, type Take, takeFrom, taxKey } from './take-back.ts';

/** An issued invoice, and what was credited of it so far. */
export type CorrectedInvoice = {
  readonly lines: readonly InvoiceLine[];
  readonly credited: CreditedLines;
  /** Of its total, what no credit note gave back. */
  readonly left: Amount;
};

export type CorrectedDelta = {
  readonly currency: Currency;
  /** What it comes to, with what it changes of discounts. */
  readonly lines: readonly Pick<InvoiceLine, 'amount' | 'chargeCode' | 'discounts'>[];
  /** What was billed of its period so far. */
  readonly billed: readonly BilledLine[];
  /** Those that billed it, by id. */
  readonly invoices: ReadonlyMap<string, CorrectedInvoice>;
};

/** By the id of the invoice. */
export type CreditsOfDelta = ReadonlyMap<string, CreditedLines>;

type Line = CorrectedDelta['lines'][number];
/** What is given back of a line of an invoice. */
type Portion = { readonly invoiceId: string; readonly position: number; readonly parts: CreditedParts };

const lineAt = ({ invoices }: CorrectedDelta, { invoiceId, position }: NonNullable<BilledLine['printed']>) => {
  const invoice = invoices.get(invoiceId);
  const line = invoice?.lines.find((one) => one.position === position);
  return invoice && line && { invoice, line };
};

const codeOf = ({ chargeCode }: Line): string => chargeCode ?? '';

const pilesOf = ({ billed, currency }: CorrectedDelta): Map<string, Pile> =>
  new Map([...Map.groupBy(billed, ({ chargeCode }) => chargeCode)].map(([code, own]) => [code, pileOf(own, currency)]));

/** What is taken, in the places of the taxes of the line. */
const taxesAt = (line: InvoiceLine, taken: readonly InvoiceTax[]): CreditedParts['taxes'] => {
  const byKey = new Map(taken.map((tax) => [taxKey(tax), tax]));
  return line.taxes.map((tax) => {
    const { amount = zeroAmount, taxableAmount = zeroAmount } = byKey.get(taxKey(tax)) ?? {};
    return { amount, taxableAmount };
  });
};

/** What a take is of its line, where that has no discounts. */
const plainPortion = (delta: CorrectedDelta, { printed, net, taxes }: Take): Portion | undefined => {
  const found = printed && lineAt(delta, printed);
  if (!found || found.line.discounts.length > 0) return undefined;
  return { ...printed, parts: { amount: net, discounts: [], taxes: taxesAt(found.line, taxes) } };
};

/** All that is left of the line of a take. */
const wholePortion = (delta: CorrectedDelta, { printed, net, taxes }: Take): Portion | undefined => {
  const found = printed && lineAt(delta, printed);
  if (!found) return undefined;
  const { invoice, line } = found;
  const left = leftOfLine(line, invoice.credited.get(line.position), delta.currency);
  if (subtractAmounts(left.amount, sumAmounts(left.discounts)) !== net) return undefined;
  return { ...printed, parts: { ...left, taxes: taxesAt(line, taxes) } };
};

/** A charge that comes to nothing less, of which amount and discounts change alike: of the line that billed it last. */
const unpaidTake = ({ billed }: CorrectedDelta, line: Line): Take | undefined => {
  const last = billed.findLast((one) => one.chargeCode === codeOf(line) && one.printed !== undefined);
  return last && { printed: last.printed, net: zeroAmount, taxes: [] };
};

/** By discount: what the line takes off less, but for what `whole` has of that. */
const discountsLeft = (delta: CorrectedDelta, { discounts }: Line, whole: readonly Portion[]): Map<string, Amount> => {
  const left = new Map(discounts.map(({ discountId, amount }) => [discountId, negateAmount(amount)]));
  for (const portion of whole)
    for (const [index, { discountId }] of (lineAt(delta, portion)?.line.discounts ?? []).entries()) {
      const amount = portion.parts.discounts[index] ?? zeroAmount;
      left.set(discountId, subtractAmounts(left.get(discountId) ?? zeroAmount, amount));
    }
  return left;
};

/** What the line takes off, spread over what is taken for it: of the last take what the others leave. */
const portionsOf = (delta: CorrectedDelta, line: Line, taken: readonly Take[]): readonly Portion[] | undefined => {
  const plain = line.discounts.length > 0 ? [] : taken.flatMap((take) => plainPortion(delta, take) ?? []);
  if (taken.length > 0 && plain.length === taken.length) return plain;
  const takes = taken.length > 0 ? taken : [unpaidTake(delta, line)].filter((take) => take !== undefined);
  const whole = takes.slice(0, -1).flatMap((take) => wholePortion(delta, take) ?? []);
  const { printed, taxes = [] } = takes.at(-1) ?? {};
  const found = printed && lineAt(delta, printed);
  if (!found || whole.length < takes.length - 1) return undefined;
  const discounts = discountsLeft(delta, line, whole);
  const places = new Set(found.line.discounts.map(({ discountId }) => discountId));
  if ([...discounts].some(([id, amount]) => amount !== zeroAmount && !places.has(id))) return undefined;
  const parts: CreditedParts = {
    amount: subtractAmounts(negateAmount(line.amount), sumAmounts(whole.map((one) => one.parts.amount))),
    discounts: found.line.discounts.map(({ discountId }) => discounts.get(discountId) ?? zeroAmount),
    taxes: taxesAt(found.line, taxes),
  };
  return [...whole, { ...printed, parts }];
};

/** Each charge for itself; undefined where one comes to more than what was billed of it takes back. */
const ofEachCharge = (delta: CorrectedDelta): readonly Portion[] | undefined => {
  const piles = pilesOf(delta);
  const portions: Portion[] = [];
  for (const line of delta.lines) {
    if (line.amount === zeroAmount && line.discounts.length === 0) continue;
    const { takes, rest } = takeFrom(piles.get(codeOf(line)) ?? [], netOf(line), delta.currency);
    const own = rest === zeroAmount ? portionsOf(delta, line, takes) : undefined;
    if (!own) return undefined;
    portions.push(...own);
  }
  return portions;
};

/** Whether all of the period was billed with the same taxes, and nothing of it has a discount. */
const isAlike = ({ billed, lines }: CorrectedDelta): boolean => {
  const taxes = billed.filter((line) => line.amount !== zeroAmount).map((line) => line.taxes.map(taxKey).join());
  return new Set(taxes).size <= 1 && [...billed, ...lines].every(({ discounts }) => discounts.length === 0);
};

/** What all charges come to less, of those that come to less, and then of whatever was billed. */
const ofAllCharges = (delta: CorrectedDelta): readonly Portion[] | undefined => {
  if (!isAlike(delta)) return undefined;
  const piles = pilesOf(delta);
  const portions: Portion[] = [];
  let rest = sumAmounts(delta.lines.map(netOf));
  const take = (code: string, most: Amount): boolean => {
    const asked = most < rest ? rest : most;
    if (asked >= zeroAmount) return true;
    const taken = takeFrom(piles.get(code) ?? [], asked, delta.currency);
    rest = addAmounts(subtractAmounts(rest, asked), taken.rest);
    const own = taken.takes.flatMap((one) => plainPortion(delta, one) ?? []);
    portions.push(...own);
    return own.length === taken.takes.length;
  };
  const areTaken =
    delta.lines.every((line) => take(codeOf(line), netOf(line))) && [...piles.keys()].every((code) => take(code, rest));
  return areTaken && rest === zeroAmount ? portions : undefined;
};

/** Both together. */
export const joinCreditedParts = (a: CreditedParts | undefined, b: CreditedParts): CreditedParts => ({
  amount: addAmounts(a?.amount ?? zeroAmount, b.amount),
  discounts: b.discounts.map((amount, index) => addAmounts(a?.discounts[index] ?? zeroAmount, amount)),
  taxes: b.taxes.map(({ amount, taxableAmount }, index) => ({
    amount: addAmounts(a?.taxes[index]?.amount ?? zeroAmount, amount),
    taxableAmount: addAmounts(a?.taxes[index]?.taxableAmount ?? zeroAmount, taxableAmount),
  })),
});

/** Both together, line by line. */
export const joinCredits = (a: CreditedLines, b: CreditedLines): CreditedLines => {
  const joined = new Map(a);
  for (const [position, parts] of b) joined.set(position, joinCreditedParts(joined.get(position), parts));
  return joined;
};

const linesOf = (portions: readonly Portion[]): CreditedLines =>
  portions.reduce<CreditedLines>(
    (lines, { position, parts }) => joinCredits(lines, new Map([[position, parts]])),
    new Map(),
  );

const isWithin = (amount: Amount, left: Amount): boolean =>
  left < zeroAmount ? amount >= left && amount <= zeroAmount : amount >= zeroAmount && amount <= left;

/** Of a line, and of each of its discounts and taxes. */
const isLineWithin = (line: InvoiceLine, parts: CreditedParts, left: CreditedParts): boolean =>
  isWithin(parts.amount, left.amount) &&
  isWithin(grossAmount(line, parts), grossAmount(line, left)) &&
  parts.discounts.every((amount, index) => isWithin(amount, left.discounts[index] ?? zeroAmount)) &&
  parts.taxes.every(({ amount }, index) => isWithin(amount, left.taxes[index]?.amount ?? zeroAmount));

/** Whether the invoice has as much left, of each line and of its total. */
const fits = ({ lines, credited, left }: CorrectedInvoice, credits: CreditedLines, currency: Currency): boolean => {
  const of = lines.flatMap((line) => {
    const parts = credits.get(line.position);
    return parts ? [{ line, parts, whole: leftOfLine(line, credited.get(line.position), currency) }] : [];
  });
  const total = sumAmounts(of.map(({ line, parts }) => grossAmount(line, parts)));
  return total > zeroAmount && total <= left && of.every(({ line, parts, whole }) => isLineWithin(line, parts, whole));
};

/** Undefined where it comes to nothing less, or can't be given back so. */
export const creditsOfDelta = (delta: CorrectedDelta): CreditsOfDelta | undefined => {
  if (sumAmounts(delta.lines.map(netOf)) >= zeroAmount) return undefined;
  for (const portionsBy of [ofEachCharge, ofAllCharges]) {
    const portions = portionsBy(delta);
    if (!portions) continue;
    const credits = new Map(
      [...Map.groupBy(portions, ({ invoiceId }) => invoiceId)].map(([id, own]) => [id, linesOf(own)]),
    );
    const areFitting = [...credits].every(([id, lines]) => {
      const invoice = delta.invoices.get(id);
      return invoice !== undefined && fits(invoice, lines, delta.currency);
    });
    return areFitting ? credits : undefined;
  }
  return undefined;
};
