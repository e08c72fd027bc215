/** Price overrides as rating reads them: those that may stand in some billing periods, or those that a line names. */
import assert from 'node:assert/strict';
import type { Queryable } from '#platform/stores/postgres.ts';
import { type PriceJson, priceFromJson } from '#schemas/price/price.ts';
import type { PriceOverride, TierCount } from '#schemas/price-span.ts';

type OverrideRow = {
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

const overrideColumns =
  'id, plan_id, charge_code, customer_id, currency, price, tiers, effective_from, effective_until';

/** A price was read when it was taken in; what does not read now is damage. */
const overrideFromRow = (row: OverrideRow): PriceOverride => {
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

// Everyone's and the customers' own apart: each has its place in the index. $6 is by when they were made.
const standingStatement = `
SELECT ${overrideColumns} FROM price_overrides
WHERE organization_id = $1 AND plan_id = ANY ($2) AND customer_id IS NULL AND effective_from < $5
  AND (effective_until IS NULL OR effective_until > $4) AND created_at <= $6
UNION ALL
SELECT ${overrideColumns} FROM price_overrides
WHERE organization_id = $1 AND plan_id = ANY ($2) AND customer_id = ANY ($3) AND effective_from < $5
  AND (effective_until IS NULL OR effective_until > $4) AND created_at <= $6`;

export type OverridesAsked = {
  readonly planIds: readonly string[];
  readonly customerIds: readonly string[];
  /** The time that matters. */
  readonly start: Date;
  readonly end: Date;
  /** One that was made later does not count. */
  readonly madeUntil: string;
};

export const standingOverrides = async (
  postgres: Queryable,
  organizationId: string,
  { planIds, customerIds, start, end, madeUntil }: OverridesAsked,
): Promise<PriceOverride[]> => {
  const { rows } = await postgres.query<OverrideRow>(standingStatement, [
    organizationId,
    planIds,
    customerIds,
    start,
    end,
    madeUntil,
  ]);
  return rows.map(overrideFromRow);
};

/** By id. */
export const overridesNamed = async (
  postgres: Queryable,
  organizationId: string,
  ids: readonly string[],
): Promise<ReadonlyMap<string, PriceOverride>> => {
  if (ids.length === 0) return new Map();
  const { rows } = await postgres.query<OverrideRow>(
    `SELECT ${overrideColumns} FROM price_overrides WHERE organization_id = $1 AND id = ANY ($2)`,
    [organizationId, [...new Set(ids)]],
  );
  return new Map(rows.map((row) => [row.id, overrideFromRow(row)]));
};
