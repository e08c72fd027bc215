/** Invoices: their states and their content. What of it is hashed, as JSON, is in `invoice/`, a file a version. */
import type { Currency } from '#schemas/currency.ts';
import type { PostalAddress, TaxId } from '#schemas/http/customers.ts';
import type { Amount, PreciseAmount, RoundingMode } from '#schemas/money.ts';
import type { Instant, Period } from '#schemas/period.ts';
import type { Quantity } from '#schemas/quantity.ts';
import type { PriceStep } from '#schemas/rated-line.ts';
import type { TaxTreatment } from '#schemas/tax-rate.ts';

export const InvoiceState = {
  draft: 'draft',
  issued: 'issued',
  partlyPaid: 'partly_paid',
  paid: 'paid',
  uncollectible: 'uncollectible',
  voided: 'voided',
} as const;
export type InvoiceState = (typeof InvoiceState)[keyof typeof InvoiceState];

/** A billing period is on at most one invoice of the kind `period`; one of the kind `one_off` bills none. */
export const InvoiceKind = { period: 'period', oneOff: 'one_off' } as const;
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
  /** The billing period that it corrects, where it is a delta. */
  readonly correctsId?: string;
  /** When it fell due first, where it was carried over from an invoice that would have come to too little. */
  readonly carriedFrom?: Instant;
};

/**
 * A `charge` is one of a plan, an add-on or a subscription; an `item` was written onto the invoice by hand; a `delta`
 * is what a charge of a period that was billed before comes to more or less, by what came late or was amended.
 */
export const LineKind = { charge: 'charge', item: 'item', delta: 'delta' } as const;
export type LineKind = (typeof LineKind)[keyof typeof LineKind];

/** What of a line, or of all lines together, a discount takes off; below zero of what is given back. */
export type InvoiceDiscount = {
  readonly discountId: string;
  readonly couponId: string;
  /** Of the coupon as it stood when the invoice was issued. */
  readonly name: string;
  readonly amount: Amount;
};

/** A tax on a line, or on all lines that have it. */
export type InvoiceTax = {
  /** Null where the rate is none of the organization's own. */
  readonly taxRateId: string | null;
  readonly code: string;
  readonly name: string;
  /** As it is printed, such as "19" or "8.875". */
  readonly percentage: string;
  /** Whether it is in the amount of the line already, and so is added to no total. */
  readonly isInclusive: boolean;
  readonly treatment: TaxTreatment;
  readonly taxableAmount: Amount;
  readonly amount: Amount;
};

/** What a line of a delta differs from: what was billed of its charge up to a watermark, and what is due now. */
export type LineCorrection = {
  /** The invoice that billed the period first. */
  readonly invoiceId: string;
  readonly billingPeriodId: string;
  readonly watermark: bigint;
  readonly quantityBefore: Quantity;
  readonly quantityNow: Quantity;
  readonly amountBefore: Amount;
  readonly amountNow: Amount;
};

export type InvoiceLine = {
  readonly kind: LineKind;
  /** The one of the invoice's billing periods that it charges for; null where it charges for none. */
  readonly billingPeriodId: string | null;
  /** From 1, without gaps, in the order of the plan's charges. */
  readonly position: number;
  /** Null of an item. */
  readonly chargeCode: string | null;
  readonly description: string;
  readonly meter: string | null;
  readonly quantity: Quantity;
  readonly rounding: RoundingMode;
  /** Before rounding; the steps sum to it. Of a delta it is a difference, and there are no steps. */
  readonly precise: PreciseAmount;
  /** Of an item that was priced by its quantity; null of all others. */
  readonly unitAmount: Amount | null;
  /** As printed: whole minor units, before discounts and taxes; an inclusive tax is in it. */
  readonly amount: Amount;
  readonly discounts: readonly InvoiceDiscount[];
  readonly taxes: readonly InvoiceTax[];
  readonly steps: readonly PriceStep[];
  /** When the charged usage happened; a delta for an earlier period names that period here. */
  readonly servicePeriod: Period;
  /** Of a delta. */
  readonly corrects?: LineCorrection;
  /** Of an item that was given one: by which rates it is taxed. A charge has that of its plan version. */
  readonly taxCategory?: string;
};

/** Who issues an invoice, as it stood then. */
export type Seller = {
  readonly legalName: string;
  readonly address: PostalAddress | null;
  readonly taxIds: readonly TaxId[];
};

export type CustomField = { readonly name: string; readonly value: string };

/** What an invoice says beside its lines. */
export type InvoiceTerms = {
  /** Null where the organization has none. */
  readonly issuingEntityId: string | null;
  readonly seller: Seller | null;
  /** From its issue until it is due; null where nothing was agreed. */
  readonly paymentDays: number | null;
  readonly purchaseOrder: string | null;
  readonly memo: string | null;
  readonly customFields: readonly CustomField[];
};

/** Sums of the lines. */
export type InvoiceTotals = {
  /** One a discount and name, in the order in which lines have them. */
  readonly discounts: readonly InvoiceDiscount[];
  /** One a rate and treatment, in the order in which lines have them. */
  readonly taxes: readonly InvoiceTax[];
  /** Sum of the printed lines. */
  readonly subtotal: Amount;
  readonly discountTotal: Amount;
  /** Of the taxes that are added to the lines; inclusive ones are in the subtotal. */
  readonly taxTotal: Amount;
  /** Subtotal - discounts + taxes. */
  readonly total: Amount;
};

export type DraftInvoice = InvoiceTerms &
  InvoiceTotals & {
    readonly kind: InvoiceKind;
    readonly customerId: string;
    readonly currency: Currency;
    /** None, one or several, in the order of their lines. */
    readonly periods: readonly InvoicePeriod[];
    readonly lines: readonly InvoiceLine[];
  };

/**
 * Which set of fields the hash covers. Another set is another version: invoices keep the one that they were issued in.
 */
export const contentVersions = [1, 2, 3, 4, 5] as const;
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
  /** From the series of whoever issues it; null in content versions 1 to 3. */
  readonly documentNumber: string | null;
  readonly issuedAt: Instant;
  /** Null where no terms were agreed. */
  readonly dueAt: Instant | null;
  /** Of the details of the buyer and a salt, hex; null where none are kept. */
  readonly buyerDigest: string | null;
  /** Hash of the invoice numbered one less, or the genesis hash. */
  readonly previousHash: string;
  readonly hash: string;
};

/** What is hashed of: everything but both hashes. */
export type InvoiceContent = Omit<IssuedInvoice, 'hash' | 'previousHash'>;
