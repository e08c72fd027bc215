/** What discounts of issued invoices go by, and what these used up of them, as PostgreSQL has it. */
import type { Queryable } from '#platform/stores/postgres.ts';
import { formatAmount } from '#schemas/money.ts';
import type { DiscountedInvoices, DiscountFacts, InvoiceUse } from './discount-facts.ts';
import { readDiscountFacts } from './read-discount-facts.ts';

/** Where the organization is locked, nobody uses anything up meanwhile. */
export const discountFacts = (client: Queryable, invoices: DiscountedInvoices): Promise<DiscountFacts | undefined> =>
  readDiscountFacts(async <Row>(statement: string, values: unknown[]) => {
    const { rows } = await client.query(statement, values);
    return rows as Row[];
  }, invoices);

/** A discount that is used up already ends the transaction. */
export const writeDiscountUses = async (
  client: Queryable,
  organizationId: string,
  uses: readonly InvoiceUse[],
): Promise<void> => {
  if (uses.length === 0) return;
  await client.query(
    `INSERT INTO discount_uses (organization_id, discount_id, invoice_id, is_once, subscription_id, period_start, amount)
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
