/** Credit notes: what corrects an issued invoice. What is hashed of one, as JSON, is in `credit-note/`. */
import type { Currency } from '#schemas/currency.ts';
import type { InvoiceLine, InvoiceTotals, Seller } from '#schemas/invoice.ts';
import type { Amount } from '#schemas/money.ts';
import type { Instant } from '#schemas/period.ts';

export const CreditReason = {
  duplicate: 'duplicate',
  fraudulent: 'fraudulent',
  productUnsatisfactory: 'product_unsatisfactory',
  orderChange: 'order_change',
  /** Usage that came late, or was amended, after it was billed. */
  lateUsage: 'late_usage',
  other: 'other',
} as const;
export type CreditReason = (typeof CreditReason)[keyof typeof CreditReason];

/** What becomes of what was paid already: it is paid back, or kept for the customer. */
export const CreditSettlement = { refund: 'refund', balance: 'balance' } as const;
export type CreditSettlement = (typeof CreditSettlement)[keyof typeof CreditSettlement];

/** A part of a line of the invoice, with its parts of each discount and tax that the line has, in their order. */
export type CreditNoteLine = Pick<
  InvoiceLine,
  'amount' | 'billingPeriodId' | 'chargeCode' | 'description' | 'discounts' | 'servicePeriod' | 'taxes'
> & {
  /** From 1, without gaps. */
  readonly position: number;
  /** The position of the line on the invoice. */
  readonly invoiceLine: number;
};

/** The invoice that a credit note corrects, as it was issued. */
export type CreditedInvoice = {
  readonly id: string;
  readonly number: number;
  /** Null before content version 4 of invoices. */
  readonly documentNumber: string | null;
  readonly hash: string;
};

/** Which set of fields the hash covers. Another set is another version: a credit note keeps its own. */
export const creditNoteVersions = [1] as const;
export type CreditNoteVersion = (typeof creditNoteVersions)[number];
export const newestCreditNoteVersion: CreditNoteVersion = 1;

/** Never changes once it exists. Amounts are above zero where the invoice's are: they are what is taken off. */
export type CreditNote = InvoiceTotals & {
  readonly contentVersion: CreditNoteVersion;
  readonly id: string;
  readonly tenant: string;
  /** From 1, gap-free within the tenant. */
  readonly number: number;
  readonly documentNumber: string;
  readonly issuedAt: Instant;
  readonly invoice: CreditedInvoice;
  readonly customerId: string;
  readonly currency: Currency;
  readonly reason: CreditReason;
  readonly memo: string | null;
  /** Of `postPaymentAmount`; null where that is zero. */
  readonly settlement: CreditSettlement | null;
  /** What of the total was not paid yet: nobody has to pay it any more. */
  readonly prePaymentAmount: Amount;
  /** What of the total was paid already. */
  readonly postPaymentAmount: Amount;
  /** These three as the invoice has them. */
  readonly issuingEntityId: string | null;
  readonly seller: Seller | null;
  readonly buyerDigest: string | null;
  readonly lines: readonly CreditNoteLine[];
  /** Hash of the credit note numbered one less, or the genesis hash. */
  readonly previousHash: string;
  readonly hash: string;
};

/** What is hashed of: everything but both hashes. */
export type CreditNoteContent = Omit<CreditNote, 'hash' | 'previousHash'>;
