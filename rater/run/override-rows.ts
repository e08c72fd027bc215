/**
 * How price overrides are asked for, and their rows as overrides: by the rater, and by the API, which imports no
 * adapter of the rater. Pure.
 */
import assert from 'node:assert/strict';
import { type PriceJson, priceFromJson } from '#schemas/price/price.ts';
import type { PriceOverride, TierCount } from '#schemas/price-span.ts';

export type OverrideRow = {
  id: string;
  plan_id: string;
  charge_code: string;
  customer_id: string | null;
  currency: string;
  price: PriceJson;
  tiers: TierCount;
  effective_from: Date;
  effective_until: Date | null;
};

export const overrideColumns =
  'id, plan_id, charge_code, customer_id, currency, price, tiers, effective_from, effective_until';

/** A price was read when it was taken in; what does not read now is damage. */
export const overrideFromRow = (row: OverrideRow): PriceOverride => {
  const parsed = priceFromJson(row.price);
  assert(parsed.ok, `the price of ${row.id} can't be read: ${parsed.ok ? '' : JSON.stringify(parsed.faults)}`);
  return {
    id: row.id,
    planId: row.plan_id,
    chargeCode: row.charge_code,
    customerId: row.customer_id,
    currency: row.currency,
    price: parsed.value,
    storedPrice: row.price,
    tiers: row.tiers,
    effectiveFrom: row.effective_from.getTime(),
    effectiveUntil: row.effective_until?.getTime() ?? null,
  };
};

/**
 * Those of plans $2 and of customers $3 that stand between $4 and $5; $6 is by when they were made. Everyone's and the
 * customers' own apart: each has its place in the index.
 */
export const standingStatement = `
SELECT ${overrideColumns} FROM price_overrides
WHERE organization_id = $1 AND plan_id = ANY ($2) AND customer_id IS NULL AND effective_from < $5
  AND (effective_until IS NULL OR effective_until > $4) AND created_at <= $6
UNION ALL
SELECT ${overrideColumns} FROM price_overrides
WHERE organization_id = $1 AND plan_id = ANY ($2) AND customer_id = ANY ($3) AND effective_from < $5
  AND (effective_until IS NULL OR effective_until > $4) AND created_at <= $6`;
