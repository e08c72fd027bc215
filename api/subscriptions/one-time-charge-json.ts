/** One-time charges as callers see them. Pure. */
import type { Currency } from '#schemas/currency.ts';
import { formatInstant } from '#schemas/instant.ts';
import { formatMinorUnits } from '#schemas/money.ts';
import { headToJson } from '../route/resource-fields.ts';
import type { OneTimeCharge } from './one-time-charges.postgres.ts';

/** What changes with its version: that it is billed comes by itself, and a digest must not be of that. */
export const lastingChargeJson = (charge: OneTimeCharge) => ({
  id: charge.id,
  subscription_id: charge.subscriptionId,
  name: charge.name,
  amount: formatMinorUnits(charge.amount, charge.currency as Currency),
  unit_amount: charge.unitAmount === null ? null : formatMinorUnits(charge.unitAmount, charge.currency as Currency),
  quantity: charge.quantity,
  currency: charge.currency,
  tax_category: charge.taxCategory,
  effective_at: formatInstant(charge.effectiveAt),
  invoice: charge.bills,
  removed_at: charge.removedAt === null ? null : formatInstant(charge.removedAt),
  ...headToJson(charge),
});

export const oneTimeChargeJson = (charge: OneTimeCharge) => ({
  ...lastingChargeJson(charge),
  state: charge.state,
  billing_period_id: charge.billingPeriodId,
  invoice_id: charge.invoiceId,
});
