/** A credit note as it is drawn up of an invoice, what was credited of it so far and what is asked. Pure. */
import assert from 'node:assert/strict';
import type { CreditNote, CreditNoteLine, CreditReason, CreditSettlement } from '#schemas/credit-note.ts';
import type { InvoiceLine, InvoiceState, InvoiceTax, IssuedInvoice } from '#schemas/invoice.ts';
import { type Amount, addAmounts, subtractAmounts, zeroAmount } from '#schemas/money.ts';
import { type AskedCredit, type CreditedLines, type CreditedParts, creditLines } from '../corrections/credit-lines.ts';
import { changeInvoiceState } from '../invoices/invoice-state.ts';
import { totalsOf } from '../invoices/invoice-totals.ts';

/** What stands beside an issued invoice. */
export type CreditedState = {
  readonly state: Exclude<InvoiceState, 'draft'>;
  readonly amountCredited: Amount;
  readonly amountPaid: Amount;
};

export type CreditableInvoice = Pick<
  IssuedInvoice,
  | 'buyerDigest'
  | 'currency'
  | 'customerId'
  | 'documentNumber'
  | 'hash'
  | 'id'
  | 'issuingEntityId'
  | 'lines'
  | 'number'
  | 'seller'
  | 'tenant'
  | 'total'
>;

export type CreditTerms = {
  readonly reason: CreditReason;
  readonly memo: string | null;
  /** Of what was paid already. */
  readonly settlement: CreditSettlement | null;
};

/** A credit note that has no number yet. */
export type DrawnCreditNote = Omit<
  CreditNote,
  'contentVersion' | 'documentNumber' | 'hash' | 'id' | 'issuedAt' | 'number' | 'previousHash'
>;

const lesser = (a: Amount, b: Amount): Amount => (a < b ? a : b);
const atLeastZero = (amount: Amount): Amount => (amount < 0n ? zeroAmount : amount);

/** Of the total, what is neither credited nor paid. */
export const amountDue = (total: Amount, { amountCredited, amountPaid }: CreditedState): Amount =>
  atLeastZero(subtractAmounts(subtractAmounts(total, amountCredited), amountPaid));

const creditedTax = (tax: InvoiceTax, parts: CreditedParts['taxes'][number] | undefined): InvoiceTax => ({
  ...tax,
  amount: parts?.amount ?? zeroAmount,
  taxableAmount: parts?.taxableAmount ?? zeroAmount,
});

const lineOf = (line: InvoiceLine, parts: CreditedParts, position: number): CreditNoteLine => ({
  position,
  invoiceLine: line.position,
  billingPeriodId: line.billingPeriodId,
  chargeCode: line.chargeCode,
  description: line.description,
  servicePeriod: line.servicePeriod,
  amount: parts.amount,
  discounts: line.discounts.map((discount, index) => ({ ...discount, amount: parts.discounts[index] ?? zeroAmount })),
  taxes: line.taxes.map((tax, index) => creditedTax(tax, parts.taxes[index])),
});

const linesOf = (invoice: CreditableInvoice, parts: CreditedLines): CreditNoteLine[] =>
  invoice.lines
    .flatMap((line) => {
      const ofLine = parts.get(line.position);
      return ofLine === undefined ? [] : [{ line, ofLine }];
    })
    .map(({ line, ofLine }, index) => lineOf(line, ofLine, index + 1));

/** Of what is asked; `credited` is what was credited so far. */
export const drawUpCredit = (
  invoice: CreditableInvoice,
  credited: CreditedLines,
  state: CreditedState,
  asked: AskedCredit,
  terms: CreditTerms,
): DrawnCreditNote => drawUpParts(invoice, creditLines(invoice.lines, credited, asked, invoice.currency), state, terms);

/** Of parts of its lines. What was not paid yet is credited first: nobody has to pay it any more. */
export const drawUpParts = (
  invoice: CreditableInvoice,
  parts: CreditedLines,
  state: CreditedState,
  { reason, memo, settlement }: CreditTerms,
): DrawnCreditNote => {
  const lines = linesOf(invoice, parts);
  const totals = totalsOf(lines);
  const prePaymentAmount = lesser(totals.total, amountDue(invoice.total, state));
  const postPaymentAmount = subtractAmounts(totals.total, prePaymentAmount);
  return {
    tenant: invoice.tenant,
    invoice: {
      id: invoice.id,
      number: invoice.number,
      documentNumber: invoice.documentNumber,
      hash: invoice.hash,
    },
    customerId: invoice.customerId,
    currency: invoice.currency,
    reason,
    memo,
    settlement: postPaymentAmount > 0n ? settlement : null,
    prePaymentAmount,
    postPaymentAmount,
    issuingEntityId: invoice.issuingEntityId,
    seller: invoice.seller,
    buyerDigest: invoice.buyerDigest,
    lines,
    ...totals,
  };
};

/** An invoice of which nothing is left and nothing was paid is voided; one of which the rest was paid is paid. */
const nextState = (total: Amount, { state, ...amounts }: CreditedState): CreditedState['state'] => {
  if (state === 'paid' || amountDue(total, { state, ...amounts }) > 0n) return state;
  const next = amounts.amountPaid > 0n ? 'paid' : 'voided';
  const change = changeInvoiceState(state, next, amounts.amountPaid > 0n);
  assert(change.ok, change.ok ? '' : change.message);
  return next;
};

/** What stands beside the invoice once the credit note is issued. */
export const stateAfterCredit = (total: Amount, before: CreditedState, credited: Amount): CreditedState => {
  const after = { ...before, amountCredited: addAmounts(before.amountCredited, credited) };
  return { ...after, state: nextState(total, after) };
};
