/**
 * What a document of an invoice is made of, whatever becomes of it: every amount and quantity is exact decimal text, as
 * it was issued. Equal values give equal bytes.
 */
import type { CreditReason, CreditSettlement } from '#schemas/credit-note.ts';
import type { Currency } from '#schemas/currency.ts';
import type { Instant, Period } from '#schemas/period.ts';
import type { StepKind } from '#schemas/rated-line.ts';

export const documentLanguages = ['en', 'de', 'fr', 'es'] as const;
export type DocumentLanguage = (typeof documentLanguages)[number];

export type DocumentAddress = {
  readonly line1: string;
  readonly line2?: string | undefined;
  readonly postalCode?: string | undefined;
  readonly city: string;
  readonly state?: string | undefined;
  /** ISO 3166-1 alpha-2. */
  readonly country: string;
};

/** Who sells, or who pays. */
export type DocumentParty = {
  readonly name: string;
  readonly address: DocumentAddress | null;
  readonly taxIds: readonly { readonly type: string; readonly value: string }[];
  readonly email: string | null;
};

export const TaxTreatment = { taxed: 'taxed', reverseCharge: 'reverse_charge', exempt: 'exempt' } as const;
export type TaxTreatment = (typeof TaxTreatment)[keyof typeof TaxTreatment];

/** A tax of a line, or the sum of it over all lines. */
export type DocumentTax = {
  readonly name: string;
  /** "19" for 19 %. */
  readonly percentage: string;
  /** It is contained in the amount, and adds nothing. */
  readonly isInclusive: boolean;
  readonly treatment: TaxTreatment;
  readonly taxableAmount: string;
  readonly amount: string;
};

export type DocumentStep = {
  readonly kind: StepKind;
  /** Bounds on the quantity, half-open. */
  readonly from: string;
  readonly to: string | null;
  /** How often `unitAmount` is charged. */
  readonly priced: string;
  readonly unitAmount: string;
  readonly flatAmount: string;
  /** Not rounded: up to 24 decimals. */
  readonly amount: string;
  readonly cell?: Readonly<Record<string, string>> | undefined;
};

export type DocumentDiscount = { readonly name: string; readonly amount: string };

export type DocumentLine = {
  readonly description: string;
  /** Null of a line of a credit note, which takes back an amount. */
  readonly quantity: string | null;
  /** Of an item; null where the steps say what a unit costs. */
  readonly unitAmount: string | null;
  /** Before discounts and exclusive taxes. */
  readonly amount: string;
  readonly period: Period | null;
  readonly steps: readonly DocumentStep[];
  readonly discounts: readonly DocumentDiscount[];
  readonly taxes: readonly DocumentTax[];
};

export type DocumentLogo = { readonly format: 'png' | 'jpg'; readonly bytes: Uint8Array };

/** What makes a credit note of it. */
export type DocumentCredit = {
  /** The number of the invoice that it corrects. */
  readonly invoiceNumber: string;
  readonly reason: CreditReason;
  /** What of the total was not paid yet. */
  readonly notDue: string;
  /** What was paid, and what becomes of it; null where nothing was. */
  readonly paid: { readonly amount: string; readonly settlement: CreditSettlement } | null;
};

/** Of an invoice, or of a credit note. */
export type InvoiceDocument = {
  readonly language: DocumentLanguage;
  /** Whose calendar the dates are of. */
  readonly timeZone: string;
  readonly currency: Currency;
  /** As it is printed: INV-2026-000042. */
  readonly documentNumber: string;
  readonly issuedAt: Instant;
  /** Null, or not after its issue: on receipt. */
  readonly dueAt: Instant | null;
  readonly purchaseOrder: string | null;
  readonly customFields: readonly { readonly name: string; readonly value: string }[];
  /** Null where the organization has not said who it is. */
  readonly seller: DocumentParty | null;
  /** Null where the customer was erased. */
  readonly buyer: DocumentParty | null;
  readonly lines: readonly DocumentLine[];
  readonly discounts: readonly DocumentDiscount[];
  readonly taxes: readonly DocumentTax[];
  readonly subtotal: string;
  readonly discountTotal: string;
  readonly taxTotal: string;
  readonly total: string;
  readonly memo: string | null;
  /** Where it can be paid: http or https. */
  readonly paymentUrl: string | null;
  /** SHA-256 of the issued invoice, and where that is checked. */
  readonly hash: string;
  readonly verifyUrl: string | null;
  readonly logo: DocumentLogo | null;
  /** Null of an invoice. */
  readonly credit: DocumentCredit | null;
};
