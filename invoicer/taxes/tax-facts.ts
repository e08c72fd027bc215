/** What taxes of invoices go by, as it is when they are issued. Pure. */
import type { TaxRate } from '#schemas/tax-rate.ts';
import type { TaxedCustomer } from './resolve-taxes.ts';
import type { TaxPolicy } from './tax-lines.ts';

export type TaxFacts = {
  /** Of the organization, without those that are archived; one at least. */
  readonly rates: readonly TaxRate[];
  readonly policy: TaxPolicy;
  /** Who is billed, by id. */
  readonly customers: ReadonlyMap<string, TaxedCustomer>;
  /** Tax categories of charges that have one, by `chargeKey`. */
  readonly categories: ReadonlyMap<string, string>;
};

/** Whose invoices they are, and whose charges are on them. */
export type TaxedInvoices = {
  readonly organizationId: string;
  readonly customerIds: readonly string[];
  readonly planVersionIds: readonly string[];
  readonly billingPeriodIds: readonly string[];
  /** What is charged once in billing periods that are not written down. */
  readonly oneTimeCharges?: readonly { readonly planVersionId: string; readonly id: string }[];
};

export const chargeKey = (planVersionId: string, chargeCode: string): string => `${planVersionId} ${chargeCode}`;
