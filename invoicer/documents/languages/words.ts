/** The words of a document, which each language has. */
import type { CreditReason, CreditSettlement } from '#schemas/credit-note.ts';
import type { StepKind } from '#schemas/rated-line.ts';

/** What a credit note says in other words than an invoice. */
type CreditWords = Readonly<Record<CreditSettlement, string>> & {
  readonly title: string;
  readonly number: string;
  readonly issueDate: string;
  /** The invoice that it corrects. */
  readonly invoice: string;
  readonly reason: string;
  readonly reasons: Readonly<Record<CreditReason, string>>;
  readonly total: string;
  readonly notDue: string;
  readonly seal: string;
  readonly headline: (amount: string) => string;
};

export type DocumentWords = {
  /** What dates, numbers and countries are written by (BCP 47). */
  readonly locale: string;
  readonly invoice: string;
  readonly invoiceNumber: string;
  readonly issueDate: string;
  readonly dueDate: string;
  readonly dueOnReceipt: string;
  readonly purchaseOrder: string;
  readonly from: string;
  readonly billTo: string;
  readonly erasedCustomer: string;
  readonly taxId: string;
  readonly description: string;
  readonly quantity: string;
  readonly unitPrice: string;
  readonly tax: string;
  readonly amount: string;
  readonly subtotal: string;
  readonly discount: string;
  readonly total: string;
  readonly amountDue: string;
  /** Of an invoice below zero, as is the headline of it. */
  readonly amountInFavor: string;
  readonly payOnline: string;
  readonly scanToPay: string;
  readonly memo: string;
  readonly details: string;
  readonly seal: string;
  readonly reverseCharge: string;
  readonly reverseChargeNote: string;
  readonly exempt: string;
  readonly amountDueBy: (amount: string, date: string) => string;
  readonly amountDueOnReceipt: (amount: string) => string;
  readonly inFavor: (amount: string) => string;
  readonly inclusiveTax: (tax: string) => string;
  readonly taxOn: (tax: string, taxable: string) => string;
  readonly units: (from: string, to: string) => string;
  readonly unitsAbove: (from: string) => string;
  readonly pageOf: (page: string, pages: string) => string;
  readonly credit: CreditWords;
  readonly steps: Readonly<Record<Exclude<StepKind, 'units'>, string>>;
};
