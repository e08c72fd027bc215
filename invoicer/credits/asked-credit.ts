/** What is asked to be credited of an invoice, as texts -> what is credited, or all faults at their places. Pure. */
import { type Currency, minorUnitsOf } from '#schemas/currency.ts';
import type { Fault } from '#schemas/fault.ts';
import { type Amount, formatMinorUnits, isWholeMinorUnits, parseStoredAmount, sumAmounts } from '#schemas/money.ts';
import {
  type AskedCredit,
  type CreditableLine,
  type CreditedLines,
  creditLines,
  grossAmount,
  leftOfLine,
} from '../corrections/credit-lines.ts';

/** All that is left, where neither is said. */
export type CreditRequest = {
  /** Of the total, as text. */
  readonly amount?: string | undefined;
  readonly lines?: readonly { readonly invoiceLine: number; readonly amount?: string | undefined }[] | undefined;
};

/** The invoice, and what was credited of it so far. */
export type Creditable = {
  readonly currency: Currency;
  readonly total: Amount;
  readonly lines: readonly CreditableLine[];
  readonly credited: CreditedLines;
};

type Refuse = (code: string, message: string) => undefined;

export const creditedTotal = ({ lines, credited }: Creditable): Amount =>
  sumAmounts(
    lines.flatMap((line) => {
      const parts = credited.get(line.position);
      return parts === undefined ? [] : [grossAmount(line, parts)];
    }),
  );

/** What of the total can still be credited. */
export const creditableTotal = (invoice: Creditable): Amount =>
  sumAmounts(
    invoice.lines.map((line) =>
      grossAmount(line, leftOfLine(line, invoice.credited.get(line.position), invoice.currency)),
    ),
  );

const readAmount = (text: string, left: Amount, currency: Currency, refuse: Refuse): Amount | undefined => {
  const amount = parseStoredAmount(text);
  if (amount === undefined) return refuse('not_a_decimal', 'must be a decimal such as "25.00"');
  if (!isWholeMinorUnits(amount, currency))
    return refuse(
      'too_precise',
      `must have at most ${minorUnitsOf(currency)} digits after the point, as ${currency} has`,
    );
  if (amount <= 0n) return refuse('not_positive', 'must be above zero');
  if (amount > left)
    return refuse('out_of_range', `must be at most ${formatMinorUnits(left, currency)}, which is left to credit`);
  return amount;
};

type AskedLine = NonNullable<CreditRequest['lines']>[number];
type RefuseAt = (name: 'amount' | 'invoice_line', code: string, message: string) => undefined;

/** How much of the line; null is all that is left of it. */
const readLine = (
  text: string | undefined,
  line: CreditableLine,
  { currency, credited }: Creditable,
  refuse: RefuseAt,
): Amount | null | undefined => {
  const { amount: left } = leftOfLine(line, credited.get(line.position), currency);
  if (line.amount <= 0n)
    return refuse(
      'invoice_line',
      'not_allowed',
      'must be a line above zero; one that takes off is taken back with all of the invoice, or a part of its total',
    );
  if (left === 0n) return refuse('invoice_line', 'out_of_range', 'must not be a line that is credited whole already');
  return text === undefined ? null : readAmount(text, left, currency, (...fault) => refuse('amount', ...fault));
};

const readLines = (asked: readonly AskedLine[], invoice: Creditable, faults: Fault[]): AskedCredit => {
  const byPosition = new Map(invoice.lines.map((line) => [line.position, line]));
  const lines = new Map<number, Amount | null>();
  const named = new Set<number>();
  for (const [index, { invoiceLine, amount: text }] of asked.entries()) {
    const refuse: RefuseAt = (name, code, message) => {
      faults.push({ field: `lines[${index}].${name}`, code, message });
      return undefined;
    };
    const line = byPosition.get(invoiceLine);
    if (!line) refuse('invoice_line', 'not_found', 'must be the position of a line of the invoice');
    else if (named.has(invoiceLine)) refuse('invoice_line', 'duplicate', 'must not name a line twice');
    else {
      const amount = readLine(text, line, invoice, refuse);
      if (amount !== undefined) lines.set(invoiceLine, amount);
    }
    named.add(invoiceLine);
  }
  return { kind: 'lines', lines };
};

/** Of lines that are credited for themselves: they come to something, and to no more than is left of all. */
const sumFault = (asked: AskedCredit, invoice: Creditable): Fault | undefined => {
  const credited = creditLines(invoice.lines, invoice.credited, asked, invoice.currency);
  const total = creditedTotal({ ...invoice, credited });
  const left = creditableTotal(invoice);
  if (total <= 0n) return { field: 'lines', code: 'out_of_range', message: 'must come to more than zero' };
  if (total <= left) return undefined;
  const [comes, most] = [formatMinorUnits(total, invoice.currency), formatMinorUnits(left, invoice.currency)];
  return {
    field: 'lines',
    code: 'out_of_range',
    message: `must come to at most ${most}, which is left to credit, and come to ${comes} with their taxes`,
  };
};

/** Of an invoice of which something can be credited. Undefined where there are faults. */
export const readAskedCredit = (
  { amount: text, lines }: CreditRequest,
  invoice: Creditable,
  faults: Fault[],
): AskedCredit | undefined => {
  const before = faults.length;
  if (text !== undefined && lines !== undefined)
    faults.push({ field: 'amount', code: 'not_allowed', message: 'must not stand beside lines' });
  const refuse: Refuse = (code, message) => {
    faults.push({ field: 'amount', code, message });
    return undefined;
  };
  const amount = text === undefined ? undefined : readAmount(text, creditableTotal(invoice), invoice.currency, refuse);
  const ofLines = lines && readLines(lines, invoice, faults);
  if (faults.length > before) return undefined;
  if (amount !== undefined) return { kind: 'amount', amount };
  if (!ofLines) return { kind: 'rest' };
  const fault = sumFault(ofLines, invoice);
  if (fault) faults.push(fault);
  return fault ? undefined : ofLines;
};
