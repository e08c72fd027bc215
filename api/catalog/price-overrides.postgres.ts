/** Price overrides: rows of PostgreSQL, and what of billing bounds them. */

import { newId } from '#platform/process/ids.ts';
import { partTimings } from '#schemas/due-parts.ts';
import type { Instant } from '#schemas/period.ts';
import type { ChargeJson } from '#schemas/plan.ts';
import type { PriceJson } from '#schemas/price/price.ts';
import type { TierCount } from '#schemas/price-span.ts';
import { overrideColumns, type OverrideRow as StoredOverrideRow } from '../../rater/run/override-rows.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { customerFilter, defineList, type ListPage, nameFilter } from '../route/lists.ts';
import { headFromRow, type ResourceHead, type ResourceRow } from '../route/resource-fields.ts';

export type PriceOverride = ResourceHead & {
  readonly id: string;
  readonly planId: string;
  readonly chargeCode: string;
  /** Null where it is the price of everyone who has the plan. */
  readonly customerId: string | null;
  readonly currency: string;
  readonly price: PriceJson;
  readonly tiers: TierCount;
  readonly effectiveFrom: Instant;
  readonly effectiveUntil: Instant | null;
};

export type NewPriceOverride = Omit<PriceOverride, 'id' | 'version' | 'createdAt' | 'updatedAt'>;

type OverrideRow = ResourceRow & StoredOverrideRow;

const columns = `${overrideColumns}, metadata, version, created_at, updated_at`;

const fromRow = (row: OverrideRow): PriceOverride => ({
  id: row.id,
  planId: row.plan_id,
  chargeCode: row.charge_code,
  customerId: row.customer_id,
  currency: row.currency,
  price: row.price,
  tiers: row.tiers,
  effectiveFrom: row.effective_from.getTime(),
  effectiveUntil: row.effective_until?.getTime() ?? null,
  ...headFromRow(row),
});

const overrideList = defineList({
  name: 'price_overrides',
  columns,
  from: 'price_overrides',
  id: 'id',
  organization: 'organization_id',
  sorts: {
    created_at: { column: 'created_at', type: 'timestamptz' },
    effective_from: { column: 'effective_from', type: 'timestamptz' },
  },
  filters: {
    plan: nameFilter('plan_id', 'pln', 'code', 'plans'),
    customer_id: customerFilter('customer_id'),
    charge: { column: 'charge_code' },
  },
  times: { created_at: 'created_at', effective_from: 'effective_from' },
});

/** What a version of a plan charges that new or running subscriptions have. */
export type ChargingVersion = {
  readonly planVersionId: string;
  readonly versionNumber: number;
  readonly currency: string;
  readonly charges: readonly ChargeJson[];
};

type VersionRow = { id: string; version_number: number; currency: string; charges: ChargeJson[] };

// Billing periods are found by how they are charged for and their ends; a delta ends with what it corrects. What was
// charged in advance for time that lies ahead of its subscription's hour is not in the way.
// What a run is about to bill has its prices, or may read them at any moment.
const billedUntilStatement = `
WITH billing AS MATERIALIZED (
  SELECT u.id FROM billing_run_shards s JOIN billing_runs r ON r.id = s.run_id
    CROSS JOIN unnest(s.billing_period_ids) u (id)
  WHERE s.state IN ('queued', 'rated') AND r.organization_id = $1 AND r.kind = 'billing'
    AND (s.state = 'rated' OR r.state IN ('queued', 'running'))
), taken AS (
  SELECT p.* FROM billing_periods p
  WHERE p.organization_id = $1 AND p.state = 'billed' AND p.timing = ANY ('{${partTimings}}') AND p.span_end > $2
  UNION ALL
  SELECT p.* FROM billing b JOIN billing_periods p ON p.id = b.id WHERE p.state = 'open' AND p.span_end > $2
)
SELECT max(p.span_end) AS billed_until FROM taken p JOIN plan_versions v ON v.id = p.plan_version_id
WHERE v.plan_id = $3 AND ($4::text IS NULL OR p.customer_id = $4)
  AND ($2 < $5::timestamptz OR EXISTS (SELECT 1 FROM subscriptions s JOIN test_clocks k ON k.id = s.test_clock_id
    WHERE s.id = p.subscription_id AND $2 < k.now_at))`;

export const priceOverrideStore = {
  overrideList,
  addOverride: async (db: Db, override: NewPriceOverride, now: Date): Promise<PriceOverride> => {
    const { rows } = await db.query<OverrideRow>(
      `INSERT INTO price_overrides (id, organization_id, plan_id, charge_code, customer_id, currency, price, tiers,
         effective_from, effective_until, metadata, version, created_at, updated_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1, $12, $12) RETURNING ${columns}`,
      [
        newId('pov'),
        db.organizationId,
        override.planId,
        override.chargeCode,
        override.customerId,
        override.currency,
        JSON.stringify(override.price),
        override.tiers,
        new Date(override.effectiveFrom),
        override.effectiveUntil === null ? null : new Date(override.effectiveUntil),
        override.metadata,
        now,
      ],
    );
    return fromRow(rows[0] as OverrideRow);
  },
  override: async (db: Db, id: string, lock?: 'lock'): Promise<PriceOverride | undefined> => {
    const { rows } = await db.query<OverrideRow>(
      `SELECT ${columns} FROM price_overrides
       WHERE organization_id = $1 AND id = $2${lock ? ' FOR NO KEY UPDATE' : ''}`,
      [db.organizationId, id],
    );
    return rows[0] && fromRow(rows[0]);
  },
  changeOverride: async (
    db: Db,
    id: string,
    { effectiveUntil, metadata }: Pick<PriceOverride, 'effectiveUntil' | 'metadata'>,
    now: Date,
  ): Promise<PriceOverride> => {
    const { rows } = await db.query<OverrideRow>(
      `UPDATE price_overrides SET effective_until = $3, metadata = $4, version = version + 1, updated_at = $5
       WHERE organization_id = $1 AND id = $2 RETURNING ${columns}`,
      [db.organizationId, id, effectiveUntil === null ? null : new Date(effectiveUntil), metadata, now],
    );
    return fromRow(rows[0] as OverrideRow);
  },
  overrides: async (db: Db, page: ListPage) => {
    const { rows, ...rest } = await listRows<OverrideRow>(db, overrideList, db.organizationId, page);
    return { ...rest, rows: rows.map(fromRow) };
  },
  /** Those of a plan but for what was taken back: that stood, stand, or are to. */
  overridesOf: async (db: Db, planId: string): Promise<PriceOverride[]> => {
    const { rows } = await db.query<OverrideRow>(
      `SELECT ${columns} FROM price_overrides WHERE organization_id = $1 AND plan_id = $2
         AND (effective_until IS NULL OR effective_until > effective_from) ORDER BY id`,
      [db.organizationId, planId],
    );
    return rows.map(fromRow);
  },
  chargingVersions: async (db: Db, planId: string): Promise<ChargingVersion[]> => {
    const { rows } = await db.query<VersionRow>(
      `SELECT v.id, v.version_number, v.currency, v.charges FROM plan_versions v
       WHERE v.organization_id = $1 AND v.plan_id = $2 AND (v.state = 'active' OR v.state = 'archived' AND EXISTS (
           SELECT 1 FROM subscriptions s WHERE s.plan_version_id = v.id AND s.state = 'active'
           UNION ALL SELECT 1 FROM subscription_changes g WHERE g.plan_version_id = v.id AND g.undone_at IS NULL))
       ORDER BY v.version_number DESC`,
      [db.organizationId, planId],
    );
    return rows.map(({ id: planVersionId, version_number: versionNumber, currency, charges }) => ({
      planVersionId,
      versionNumber,
      currency,
      charges,
    }));
  },
  /** Up to when usage behind an instant is billed of the plan, for a customer or for any; undefined where none is. */
  billedUntil: async (
    db: Db,
    { planId, customerId }: Pick<PriceOverride, 'planId' | 'customerId'>,
    instant: Instant,
    now: Date,
  ): Promise<Instant | undefined> => {
    const { rows } = await db.query<{ billed_until: Date | null }>(billedUntilStatement, [
      db.organizationId,
      new Date(instant),
      planId,
      customerId,
      now,
    ]);
    return rows[0]?.billed_until?.getTime();
  },
};

export type PriceOverrideStore = typeof priceOverrideStore;
