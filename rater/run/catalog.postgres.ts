/**
 * What the rater reads of the catalog: subscriptions with their plan versions, and the versions of meters that these
 * are bound to.
 */
import assert from 'node:assert/strict';
import type { Queryable } from '#platform/stores/postgres.ts';
import { isCurrency } from '#schemas/currency.ts';
import { chargeFromJson } from '#schemas/plan.ts';
import { meterOf, type StoredMeter } from '#schemas/stored-meter.ts';
import type { RatePorts } from './rate-period.ts';

type SubscriptionRow = {
  id: string;
  customer_id: string;
  external_id: string;
  plan_version_id: string;
  currency: string;
  charges: unknown[];
  started_at: Date;
  ended_at: Date | null;
};

type PinnedRow = StoredMeter & { readonly plan_version_id: string };

/** Charges were checked when the plan was made; what does not read now is damage. */
const storedCharges = (row: SubscriptionRow) =>
  row.charges.map((json) => {
    const parsed = chargeFromJson(json);
    assert(
      parsed.ok,
      `a charge of plan version ${row.plan_version_id} can't be read: ${parsed.ok ? '' : JSON.stringify(parsed.faults)}`,
    );
    return parsed.value;
  });

const storedCurrency = (currency: string) => {
  assert(isCurrency(currency), `${currency} is not a currency`);
  return currency;
};

export const createCatalog = (postgres: Queryable): RatePorts['catalog'] => ({
  subscriptions: async (organizationId, ids) => {
    const { rows } = await postgres.query<SubscriptionRow>(
      `SELECT s.id, s.customer_id, c.external_id, s.plan_version_id, v.currency, v.charges, s.started_at, s.ended_at
       FROM subscriptions s JOIN customers c ON c.id = s.customer_id JOIN plan_versions v ON v.id = s.plan_version_id
       WHERE s.organization_id = $1 AND s.id = ANY ($2) ORDER BY s.customer_id, s.id`,
      [organizationId, ids],
    );
    return rows.map((row) => ({
      subscriptionId: row.id,
      customerId: row.customer_id,
      customerExternalId: row.external_id,
      planVersionId: row.plan_version_id,
      currency: storedCurrency(row.currency),
      charges: storedCharges(row),
      startedAt: row.started_at.getTime(),
      endedAt: row.ended_at?.getTime() ?? null,
    }));
  },
  meters: async (organizationId, planVersionIds) => {
    const { rows } = await postgres.query<PinnedRow>(
      `SELECT p.plan_version_id, p.meter_code AS code, v.version_number, v.id AS meter_version_id, v.definition
       FROM plan_version_meters p JOIN meter_versions v ON v.id = p.meter_version_id
       WHERE p.organization_id = $1 AND p.plan_version_id = ANY ($2) ORDER BY p.meter_code, v.version_number`,
      [organizationId, planVersionIds],
    );
    return rows.map((row) => ({ planVersionId: row.plan_version_id, meter: meterOf(row) }));
  },
});
