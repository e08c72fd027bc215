/** What subscriptions are entitled to by the plan versions that they have. */
import assert from 'node:assert/strict';
import { type Entitlement, readEntitlements } from '#schemas/entitlement.ts';
import type { Fault } from '#schemas/fault.ts';
import { type MeterVersion, meterOf } from '#schemas/stored-meter.ts';
import type { SubscriptionTime } from '#schemas/subscription.ts';
import type { Db } from '../route/define-route.ts';

/** With the feature that the entitlement names, and the version of the meter that a metered one is measured by. */
export type Entitled = {
  readonly name: string;
  readonly entitlement: Entitlement;
  readonly meter: MeterVersion | null;
};

export type EntitledSubscription = SubscriptionTime & {
  readonly id: string;
  readonly customerId: string;
  readonly planVersionId: string;
  /** By the codes of their features. */
  readonly items: readonly Entitled[];
};

type FeatureRow = {
  code: string;
  name: string;
  meter: { code: string; version_number: number; id: string; definition: unknown } | null;
};

type Row = {
  id: string;
  customer_id: string;
  plan_version_id: string;
  started_at: Date;
  ended_at: Date | null;
  entitlements: unknown;
  features: FeatureRow[] | null;
};

const meterFromRow = ({ meter }: FeatureRow): MeterVersion | null =>
  meter &&
  meterOf({
    code: meter.code,
    versionNumber: meter.version_number,
    versionId: meter.id,
    definition: meter.definition,
  });

/** Features were bound when the version became active; what does not read now is damage. */
const itemsOf = ({ plan_version_id: versionId, entitlements, features }: Row): Entitled[] => {
  const faults: Fault[] = [];
  const read = readEntitlements(entitlements === null ? {} : { entitlements }, faults);
  assert(read && faults.length === 0, `entitlements of plan version ${versionId} can't be read`);
  const byCode = new Map((features ?? []).map((feature) => [feature.code, feature]));
  return read
    .map((entitlement) => {
      const feature = byCode.get(entitlement.feature);
      assert(feature, `plan version ${versionId} is bound to the feature ${entitlement.feature}`);
      return { name: feature.name, entitlement, meter: meterFromRow(feature) };
    })
    .toSorted((a, b) => (a.entitlement.feature < b.entitlement.feature ? -1 : 1));
};

const fromRow = (row: Row): EntitledSubscription => ({
  id: row.id,
  customerId: row.customer_id,
  planVersionId: row.plan_version_id,
  startedAt: row.started_at.getTime(),
  endedAt: row.ended_at?.getTime() ?? null,
  items: itemsOf(row),
});

const select = `SELECT s.id, s.customer_id, s.plan_version_id, s.started_at, s.ended_at,
    v.terms -> 'entitlements' AS entitlements,
    (SELECT json_agg(json_build_object('code', f.code, 'name', f.name, 'meter', CASE WHEN m.id IS NOT NULL THEN
         json_build_object('code', m.code, 'version_number', mv.version_number, 'id', mv.id, 'definition', mv.definition)
       END))
     FROM plan_version_features p JOIN features f ON f.id = p.feature_id
       LEFT JOIN meter_versions mv ON mv.id = p.meter_version_id LEFT JOIN meters m ON m.id = mv.meter_id
     WHERE p.plan_version_id = v.id) AS features
  FROM subscriptions s JOIN plan_versions v ON v.id = s.plan_version_id`;

export const entitledStore = {
  entitledSubscription: async (db: Db, id: string): Promise<EntitledSubscription | undefined> => {
    const { rows } = await db.query<Row>(`${select} WHERE s.organization_id = $1 AND s.id = $2`, [
      db.organizationId,
      id,
    ]);
    return rows[0] && fromRow(rows[0]);
  },
  /** Those of the customer that go on, oldest first. */
  runningSubscriptions: async (db: Db, customerId: string, nowMs: number): Promise<EntitledSubscription[]> => {
    const { rows } = await db.query<Row>(
      `${select} WHERE s.organization_id = $1 AND s.customer_id = $2 AND (s.ended_at IS NULL OR s.ended_at > $3)
       ORDER BY s.started_at, s.id`,
      [db.organizationId, customerId, new Date(nowMs)],
    );
    return rows.map(fromRow);
  },
};

export type EntitledStore = typeof entitledStore;
