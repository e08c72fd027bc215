/** What discounts of issued invoices go by, and what these used up of them, as PostgreSQL has it. */
import type { Queryable } from '#platform/stores/postgres.ts';
import { formatAmount } from '#schemas/money.ts';
import { type BilledRow, billedBeforeFromRows, billedBeforeStatement } from '../corrections/billed-before.ts';
import { type ChargedRow, chargedFromRows, chargedStatement } from './charged-discounts.ts';
import type { DiscountedInvoices, DiscountFacts, InvoiceUse } from './discount-facts.ts';
import {
  endedSince,
  factsFromRows,
  freeCharges,
  type HeldRow,
  hasNoDiscounts,
  heldStatement,
  type OverrideRow,
  overridesStatement,
  type PeriodRow,
  periodsStatement,
  standingFromRows,
  type VersionRow,
  versionsStatement,
} from './discount-rows.ts';

/**
 * Undefined where nothing has discounts, which one look tells, and nothing was discounted that is taken back, which
 * others do where there are credits or deltas. Where the organization is locked, nobody uses anything up meanwhile.
 */
export const discountFacts = async (
  client: Queryable,
  { organizationId, customerIds, creditIds, billingPeriodIds, planVersionIds, priceOverrideIds }: DiscountedInvoices,
): Promise<DiscountFacts | undefined> => {
  const asked = [organizationId, creditIds];
  const charged = creditIds.length > 0 ? (await client.query<ChargedRow>(chargedStatement, asked)).rows : [];
  const billed = creditIds.length > 0 ? (await client.query<BilledRow>(billedBeforeStatement, asked)).rows : [];
  const [takenBack, billedBefore] = [chargedFromRows(charged), billedBeforeFromRows(billed)];
  const found = await client.query<HeldRow>(heldStatement, [organizationId, customerIds, endedSince(billedBefore)]);
  const standing = { ...standingFromRows(found.rows), takenBack, billedBefore };
  if (hasNoDiscounts(standing)) return undefined;
  const charges = freeCharges(standing.held);
  const periods = await client.query<PeriodRow>(periodsStatement, [organizationId, billingPeriodIds]);
  const versions = await client.query<VersionRow>(versionsStatement, [organizationId, planVersionIds, charges]);
  const overrides =
    charges.length > 0 && priceOverrideIds.length > 0
      ? (await client.query<OverrideRow>(overridesStatement, [organizationId, priceOverrideIds])).rows
      : [];
  return factsFromRows(standing, { periods: periods.rows, versions: versions.rows, overrides });
};

/** A discount that is used up already ends the transaction. */
export const writeDiscountUses = async (
  client: Queryable,
  organizationId: string,
  uses: readonly InvoiceUse[],
): Promise<void> => {
  if (uses.length === 0) return;
  await client.query(
    `INSERT INTO discount_uses (organization_id, discount_id, invoice_id, is_once, subscription_id, period_start,
       amount)
     SELECT $1, * FROM unnest($2::text[], $3::text[], $4::boolean[], $5::text[], $6::timestamptz[], $7::numeric[])`,
    [
      organizationId,
      uses.map(({ discountId }) => discountId),
      uses.map(({ invoiceId }) => invoiceId),
      uses.map(({ isOnce }) => isOnce),
      uses.map(({ period }) => period?.subscriptionId ?? null),
      uses.map(({ period }) => (period ? new Date(period.start) : null)),
      uses.map(({ amount }) => formatAmount(amount)),
    ],
  );
};
