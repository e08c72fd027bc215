/** What issued invoices used up of discounts, in the transaction that issues them. */
import type { Queryable } from '#platform/stores/postgres.ts';
import { formatAmount } from '#schemas/money.ts';
import type { InvoiceUse } from './discount-facts.ts';

/** A discount that is used up already ends the transaction. */
export const writeDiscountUses = async (
  client: Queryable,
  organizationId: string,
  uses: readonly InvoiceUse[],
): Promise<void> => {
  if (uses.length === 0) return;
  await client.query(
    `INSERT INTO discount_uses (organization_id, discount_id, invoice_id, is_once, subscription_id, period_start,
       amount, delta_id)
     SELECT $1, * FROM unnest($2::text[], $3::text[], $4::boolean[], $5::text[], $6::timestamptz[], $7::numeric[],
       $8::text[])`,
    [
      organizationId,
      uses.map(({ discountId }) => discountId),
      uses.map(({ invoiceId }) => invoiceId),
      uses.map(({ isOnce }) => isOnce),
      uses.map(({ period }) => period?.subscriptionId ?? null),
      uses.map(({ period }) => (period ? new Date(period.start) : null)),
      uses.map(({ amount }) => formatAmount(amount)),
      uses.map(({ deltaId }) => deltaId ?? null),
    ],
  );
};
