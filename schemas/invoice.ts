/** Invoices: their states and their content. What of it is hashed, as JSON, is in `invoice/`, a file a version. */
import type { Currency } from '#schemas/currency.ts';
import type { Amount, PreciseAmount, RoundingMode } from '#schemas/money.ts';
import type { Instant, Period } from '#schemas/period.ts';
import type { Quantity } from '#schemas/quantity.ts';
import type { PriceStep } from '#schemas/rated-line.ts';

export const InvoiceState = {
  draft: 'draft',
  issued: 'issued',
  paid: 'paid',
  uncollectible: 'uncollectible',
  voided: 'voided',
} as const;
export type InvoiceState = (typeof InvoiceState)[keyof typeof InvoiceState];

/** A billing period is on at most one invoice of the kind `period`. */
export const InvoiceKind = { period: 'period' } as const;
export type InvoiceKind = (typeof InvoiceKind)[keyof typeof InvoiceKind];

/** A billing period that an invoice bills. */
export type InvoicePeriod = {
  readonly billingPeriodId: string;
  /** Whose time it is: the one that the invoice bills, or one that it is billed for. */
  readonly customerId: string;
  readonly subscriptionId: string;
  readonly planVersionId: string;
  /** The very time that was measured. */
  readonly span: Period;
  /**
   * The highest stream sequence that was billed: with the span it says exactly which events the quantities are made of.
   */
  readonly watermark: bigint;
};

export type InvoiceLine = {
  /** The one of the invoice's billing periods that it charges for; null where it charges for none. */
  readonly billingPeriodId: string | null;
  /** From 1, without gaps, in the order of the plan's charges. */
  readonly position: number;
  readonly chargeCode: string;
  readonly description: string;
  readonly meter: string | null;
  readonly quantity: Quantity;
  readonly rounding: RoundingMode;
  /** Before rounding; the steps sum to it. */
  readonly precise: PreciseAmount;
  /** As printed: whole minor units. */
  readonly amount: Amount;
  readonly steps: readonly PriceStep[];
  /** When the charged usage happened; a delta for an earlier period names that period here. */
  readonly servicePeriod: Period;
};

export type DraftInvoice = {
  readonly kind: InvoiceKind;
  readonly customerId: string;
  readonly currency: Currency;
  /** None, one or several, in the order of their lines. */
  readonly periods: readonly InvoicePeriod[];
  readonly lines: readonly InvoiceLine[];
  /** Sum of the printed lines. */
  readonly subtotal: Amount;
  /** Subtotal + taxes - credits; this version has neither, so both are equal. */
  readonly total: Amount;
};

/**
 * Which set of fields the hash covers. Another set is another version: invoices keep the one that they were issued in.
 */
export const contentVersions = [1, 2, 3] as const;
export type ContentVersion = (typeof contentVersions)[number];

/**
 * Never changes once it exists. What happens to it later (paid, voided) is recorded beside it and is no part of its
 * hash.
 */
export type IssuedInvoice = DraftInvoice & {
  readonly contentVersion: ContentVersion;
  readonly id: string;
  readonly tenant: string;
  /** From 1, gap-free within the tenant. */
  readonly number: number;
  readonly issuedAt: Instant;
  /** Hash of the invoice numbered one less, or the genesis hash. */
  readonly previousHash: string;
  readonly hash: string;
};

/** What is hashed of: everything but both hashes. */
export type InvoiceContent = Omit<IssuedInvoice, 'hash' | 'previousHash'>;
