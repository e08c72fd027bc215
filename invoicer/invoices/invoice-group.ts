/** What is one invoice: billing periods, or items, of one payer, and what decides whether it is issued. */
import type { OneOffItem } from '#schemas/invoice/one-off.ts';
import type { Amount } from '#schemas/money.ts';
import type { NumberFormat } from '#schemas/number-format.ts';
import type { Instant } from '#schemas/period.ts';
import type { InvoiceParties } from './draft-invoice.ts';
import type { GroupedPeriod } from './grouped-periods.ts';

/** What decides whether billing periods may be carried over that fall due together. */
export type CarryTerms = {
  /** The name of what is billed together: what it waits for is of the same name, payer and currency. */
  readonly billedWith: string;
  readonly minimum: Amount;
  readonly dueAt: Instant;
  /** Whether something falls due later that a run will make an invoice of. */
  readonly goesOn: boolean;
  /** The place of its billing periods in the order of those of any invoice of the payer. */
  readonly ranks: ReadonlyMap<string, number>;
};

/** Billing periods of one payer that fall due together, in the order in which they are printed. */
export type InvoiceGroup = {
  readonly parties: InvoiceParties;
  readonly periods: readonly GroupedPeriod[];
  /** Those of them that take back what was charged: in advance, or by what was corrected. */
  readonly creditIds: readonly string[];
  /** Of the payer: the calendar that days are counted in until the invoice is due. */
  readonly timeZone: string;
  /** Of the details of the payer as they stand; null where they have no version yet, and where they were erased. */
  readonly buyerDigest: string | null;
  /** How its number is written, and by the year of which time zone. */
  readonly numbers: { readonly format: NumberFormat; readonly timeZone: string };
  /** Where its payer has a minimum amount of invoices, and it may wait for the next one. */
  readonly carry?: CarryTerms;
  /** Whether there will be a later invoice that what is in it could be on. */
  readonly mayWait?: boolean;
  /** The draft that it is, where there is one; a one-off invoice has items in place of billing periods. */
  readonly draft?: {
    readonly id: string;
    readonly items: readonly OneOffItem[];
    /** Of a one-off invoice: the discounts that it was asked to have. */
    readonly discountIds: readonly string[];
  };
};
