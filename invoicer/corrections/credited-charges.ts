/**
 * What was given back of lines that were charged in advance: by credits, which are lines of later invoices, and by
 * credit notes. Both together give back each line once. Pure.
 */
import type { Currency } from '#schemas/currency.ts';
import type { InvoiceDiscount, InvoiceLine, InvoiceTax } from '#schemas/invoice.ts';
import { type Amount, negateAmount, subtractAmounts, sumAmounts, zeroAmount } from '#schemas/money.ts';

import { type CreditableLine, type CreditedParts, joinCredited, leftOfLine } from './credit-lines.ts';
import { taxKey } from './take-back.ts';

/** A line of an invoice, or what a credit note took of one, with what tells its discounts and taxes apart. */
export type NamedParts = {
  readonly amount: Amount;
  readonly discounts: readonly InvoiceDiscount[];
  readonly taxes: readonly InvoiceTax[];
};

/** A line of a credit on an issued invoice, which is below zero, and what credit notes of that took of it again. */
export type IssuedCreditLine = NamedParts & { readonly undone: readonly NamedParts[] };

/** A line that was charged in advance. */
export type CreditedCharge = {
  /** The same of all credits of the line. */
  readonly key: string;
  readonly line: CreditableLine;
  /** What credit notes and credits of it gave back. */
  readonly before: CreditedParts;
};

/**
 * By the billing period of the credit, and the code of the charge: issued lines that have discounts or taxes, or of
 * which credit notes gave back some.
 */
export type CreditedCharges = ReadonlyMap<string, ReadonlyMap<string, CreditedCharge>>;

/** Whose credits they are; of what is no credit among them nothing is found. */
export type AskedCredits = { readonly organizationId: string; readonly creditIds: readonly string[] };

export const nothingCredited: CreditedCharges = new Map();

/** What lines of credits give back of discounts and taxes, by `creditedLineKey`; of others their own rules say it. */
export type GivenBack = ReadonlyMap<string, Pick<NamedParts, 'discounts' | 'taxes'>>;

export const nothingGivenBack: GivenBack = new Map();

export const creditedLineKey = ({
  billingPeriodId,
  chargeCode,
}: Pick<InvoiceLine, 'billingPeriodId' | 'chargeCode'>): string => `${billingPeriodId} ${chargeCode}`;

const sumOf = <T>(all: readonly T[], amountOf: (one: T) => Amount): Amount => sumAmounts(all.map(amountOf));

/** In the places of the discounts and taxes of the line that all of them are of. */
const sumParts = (line: CreditableLine, parts: readonly NamedParts[]): CreditedParts => ({
  amount: sumOf(parts, ({ amount }) => amount),
  discounts: line.discounts.map(({ discountId }) =>
    sumOf(
      parts.flatMap(({ discounts }) => discounts.filter((one) => one.discountId === discountId)),
      ({ amount }) => amount,
    ),
  ),
  taxes: line.taxes.map((tax) => {
    const same = parts.flatMap(({ taxes }) => taxes.filter((one) => taxKey(one) === taxKey(tax)));
    return {
      amount: sumOf(same, ({ amount }) => amount),
      taxableAmount: sumOf(same, ({ taxableAmount }) => taxableAmount),
    };
  }),
});

const mapParts = (
  parts: CreditedParts,
  whole: CreditedParts,
  change: (part: Amount, of: Amount) => Amount,
): CreditedParts => ({
  amount: change(parts.amount, whole.amount),
  discounts: parts.discounts.map((part, index) => change(part, whole.discounts[index] ?? zeroAmount)),
  taxes: parts.taxes.map(({ amount, taxableAmount }, index) => ({
    amount: change(amount, whole.taxes[index]?.amount ?? zeroAmount),
    taxableAmount: change(taxableAmount, whole.taxes[index]?.taxableAmount ?? zeroAmount),
  })),
});

const within = (part: Amount, most: Amount): Amount => (part < zeroAmount ? zeroAmount : part > most ? most : part);

/**
 * What credits gave back of a line, of which credit notes gave back `credited`: no more than these leave of it. One of
 * a line that was not issued yet rounded its taxes for itself, and may have a minor unit more of one.
 */
export const givenBackOf = (
  line: CreditableLine,
  credits: readonly IssuedCreditLine[],
  credited: CreditedParts | undefined,
  currency: Currency,
): CreditedParts => {
  const printed = sumParts(line, credits);
  const undone = sumParts(
    line,
    credits.flatMap((credit) => credit.undone),
  );
  const given = mapParts(undone, printed, (back, taken) => subtractAmounts(back, taken));
  return mapParts(given, leftOfLine(line, credited, currency), within);
};

/** A charge, of which credit notes and credits gave back some or nothing. */
export const creditedCharge = (
  key: string,
  line: CreditableLine,
  notes: readonly NamedParts[],
  credits: readonly IssuedCreditLine[],
  currency: Currency,
): CreditedCharge => {
  const credited = sumParts(line, notes);
  return { key, line, before: joinCredited(credited, givenBackOf(line, credits, credited, currency)) };
};

const isSome = ({ amount, taxableAmount }: Pick<InvoiceTax, 'amount' | 'taxableAmount'>): boolean =>
  amount !== zeroAmount || taxableAmount !== zeroAmount;

/** What the line of a credit has of discounts and taxes: below zero where they were charged above. */
export const takenBackOf = ({ discounts, taxes }: CreditableLine, parts: CreditedParts) => ({
  discounts: discounts
    .map((discount, index) => ({ ...discount, amount: negateAmount(parts.discounts[index] ?? zeroAmount) }))
    .filter(({ amount }) => amount !== zeroAmount),
  taxes: taxes
    .map((tax, index) => ({
      ...tax,
      amount: negateAmount(parts.taxes[index]?.amount ?? zeroAmount),
      taxableAmount: negateAmount(parts.taxes[index]?.taxableAmount ?? zeroAmount),
    }))
    .filter(isSome),
});
