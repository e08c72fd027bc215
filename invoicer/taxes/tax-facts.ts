/** What taxes of invoices go by, as it is when they are issued. Pure. */
import type { AppliedTax, TaxCalculation, TaxRate } from '#schemas/tax-rate.ts';
import type { BilledBefore } from '../corrections/billed-before.ts';
import type { TaxedCustomer } from './resolve-taxes.ts';
import type { TaxPolicy } from './tax-lines.ts';

/** The taxes that charges of a billing period had when they were issued, by code; a charge without taxes is missing. */
export type ChargedTaxes = ReadonlyMap<string, readonly AppliedTax[]>;

export type TaxFacts = {
  readonly calculation: TaxCalculation;
  /** Of the organization, without those that are archived. */
  readonly rates: readonly TaxRate[];
  readonly policy: TaxPolicy;
  /** Who is billed, by id. */
  readonly customers: ReadonlyMap<string, TaxedCustomer>;
  /** Tax categories of charges that have one, by `chargeKey`. */
  readonly categories: ReadonlyMap<string, string>;
  /** What credits take back, where it is on an issued invoice, by their billing period. */
  readonly takenBack: ReadonlyMap<string, ChargedTaxes>;
  /** By the billing period of the delta. */
  readonly billedBefore: ReadonlyMap<string, BilledBefore>;
};

/** Whose invoices they are, and whose charges are on them. */
export type TaxedInvoices = {
  readonly organizationId: string;
  readonly customerIds: readonly string[];
  readonly planVersionIds: readonly string[];
  readonly billingPeriodIds: readonly string[];
  /** Those of them that take back what was charged: in advance, or by what a delta corrects. */
  readonly creditIds: readonly string[];
  /** What is charged once in billing periods that are not written down. */
  readonly oneTimeCharges?: readonly { readonly planVersionId: string; readonly id: string }[];
};

export const chargeKey = (planVersionId: string, chargeCode: string): string => `${planVersionId} ${chargeCode}`;
