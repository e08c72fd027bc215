/** What discounts of invoices go by, as it is when they are issued. Pure. */
import type { DiscountUse, HeldDiscount } from '#schemas/coupon.ts';
import type { PartTiming } from '#schemas/due-parts.ts';
import type { InvoiceDiscount } from '#schemas/invoice.ts';
import type { Amount, RoundingMode } from '#schemas/money.ts';
import type { Instant } from '#schemas/period.ts';
import type { Price } from '#schemas/price/price.ts';
import type { RatedLine } from '#schemas/rated-line.ts';
import type { BilledBefore } from '../corrections/billed-before.ts';
import type { UnwrittenCredit } from '../corrections/unwritten-credits.ts';
import type { PriceOfLine } from './free-units.ts';

/** A billing period of an invoice, as discounts look at it. */
export type DiscountedPeriod = {
  readonly timing: PartTiming | 'delta';
  /** When the period of the billing cycle begins that it is of, whatever part of it. */
  readonly start: Instant;
  readonly dueAt: Instant;
};

/** A line that a credit takes back some of, as it was charged. */
export type ChargedLine = { readonly amount: Amount; readonly discounts: readonly InvoiceDiscount[] };

/** By the code of the charge; a line without discounts is missing. */
export type ChargedLines = ReadonlyMap<string, ChargedLine>;

export type TakenBack = {
  /** The billing period of the charge. */
  readonly chargeId: string;
  /** Undefined where that is on no invoice yet. */
  readonly lines: ChargedLines | undefined;
};

export type DiscountFacts = {
  readonly rounding: RoundingMode;
  /**
   * Of those who are billed, and of whose time is billed; with those that were ended since something was issued that a
   * delta corrects.
   */
  readonly held: readonly HeldDiscount[];
  /** What invoices used of them, summed up by billing period. */
  readonly uses: readonly DiscountUse[];
  readonly periods: ReadonlyMap<string, DiscountedPeriod>;
  /** By plan version. */
  readonly planIds: ReadonlyMap<string, string>;
  readonly priceOf: PriceOfLine;
  /** By the billing period of the credit. */
  readonly takenBack: ReadonlyMap<string, TakenBack>;
  /** By the billing period of the delta. */
  readonly billedBefore: ReadonlyMap<string, BilledBefore>;
};

/** Whose invoices they are, and what is on them. */
export type DiscountedInvoices = {
  readonly organizationId: string;
  /** Who is billed, and whose time is. */
  readonly customerIds: readonly string[];
  readonly planVersionIds: readonly string[];
  readonly billingPeriodIds: readonly string[];
  /** Those of them that take back what was charged: in advance, or by what a delta corrects. */
  readonly creditIds: readonly string[];
  /** The price overrides that their lines were rated by. */
  readonly priceOverrideIds: readonly string[];
};

/** Billing periods that are not written down, by id, and those of them that are credits. */
export type UnwrittenPeriods = {
  readonly periods: ReadonlyMap<string, DiscountedPeriod>;
  readonly credits: readonly UnwrittenCredit[];
  readonly supposed?: SupposedDiscounts | undefined;
};

/** Discounts that would be there if a quote was accepted, and prices that would stand. */
export type SupposedDiscounts = {
  readonly rounding: RoundingMode;
  readonly held: readonly HeldDiscount[];
  /** Undefined where the price is as it stands. */
  readonly priceOf: (line: RatedLine) => Price | undefined;
};

/** Of an issued invoice. */
export type InvoiceUse = DiscountUse & {
  readonly invoiceId: string;
  /** Of a delta that a credit note gives back: its billing period. The invoice is the one that billed that first. */
  readonly deltaId?: string;
};

/** Those that lines were rated by. */
export const priceOverridesOf = (lines: readonly RatedLine[]): readonly string[] => [
  ...new Set(
    lines.flatMap(({ priceSpans = [] }) => priceSpans.flatMap(({ sources }) => sources.priceOverrideId ?? [])),
  ),
];
