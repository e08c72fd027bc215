/** What subscriptions are entitled to by the plan versions that they have now, and the add-ons beside them. */
import assert from 'node:assert/strict';
import { type TermsRow, termsColumns, termsFromRow } from '#platform/stores/subscription-terms.postgres.ts';
import { readEntitlements } from '#schemas/entitlement.ts';
import type { Fault } from '#schemas/fault.ts';
import type { Instant } from '#schemas/period.ts';
import { type MeterVersion, meterOf } from '#schemas/stored-meter.ts';
import type { SubscriptionTime } from '#schemas/subscription.ts';
import { subscriptionStateAt, termsNow } from '#schemas/subscription-state.ts';
import type { Db } from '../route/define-route.ts';
import { type Entitled, entitledBeside } from './with-add-ons.ts';

export type EntitledSubscription = SubscriptionTime & {
  readonly id: string;
  readonly customerId: string;
  /** Of the plan that holds now. */
  readonly planVersionId: string;
  /** The hour by which it lives. */
  readonly now: Instant;
  /** Neither to come nor over, nor in a pause in which usage is refused. */
  readonly isEntitled: boolean;
  /** Of the plan and of the add-ons beside it, by the codes of their features. */
  readonly items: readonly Entitled[];
};

type FeatureRow = {
  code: string;
  name: string;
  meter: { code: string; version_number: number; id: string; definition: unknown } | null;
};

type VersionRow = { id: string; entitlements: unknown; features: FeatureRow[] | null };

type Row = TermsRow & { id: string; customer_id: string; canceled_at: Date | null; clock_now: Date | null };

const meterFromRow = ({ meter }: FeatureRow): MeterVersion | null =>
  meter &&
  meterOf({
    code: meter.code,
    versionNumber: meter.version_number,
    versionId: meter.id,
    definition: meter.definition,
  });

/** Features were bound when the version became active; what does not read now is damage. */
const itemsOf = ({ id: versionId, entitlements, features }: VersionRow): Entitled[] => {
  const faults: Fault[] = [];
  const read = readEntitlements(entitlements === null ? {} : { entitlements }, faults);
  assert(read && faults.length === 0, `entitlements of plan version ${versionId} can't be read`);
  const byCode = new Map((features ?? []).map((feature) => [feature.code, feature]));
  return read.map((entitlement) => {
    const feature = byCode.get(entitlement.feature);
    assert(feature, `plan version ${versionId} is bound to the feature ${entitlement.feature}`);
    return { name: feature.name, entitlement, meter: meterFromRow(feature) };
  });
};

const selectTerms = `SELECT s.id, s.customer_id, s.canceled_at, ${termsColumns},
    (SELECT k.now_at FROM test_clocks k WHERE k.id = s.test_clock_id) AS clock_now
  FROM subscriptions s`;

const selectVersions = `SELECT v.id, v.terms -> 'entitlements' AS entitlements,
    (SELECT json_agg(json_build_object('code', f.code, 'name', f.name, 'meter', CASE WHEN m.id IS NOT NULL THEN
         json_build_object('code', m.code, 'version_number', mv.version_number, 'id', mv.id, 'definition', mv.definition)
       END))
     FROM plan_version_features p JOIN features f ON f.id = p.feature_id
       LEFT JOIN meter_versions mv ON mv.id = p.meter_version_id LEFT JOIN meters m ON m.id = mv.meter_id
     WHERE p.plan_version_id = v.id) AS features
  FROM plan_versions v WHERE v.organization_id = $1 AND v.id = ANY ($2)`;

/** What each is entitled to at an instant, or by the hour of its test clock. */
const entitledAt = async (db: Db, rows: readonly Row[], nowMs: Instant): Promise<EntitledSubscription[]> => {
  const held = rows.map((row) => {
    const terms = termsFromRow(row);
    const hour = row.clock_now?.getTime() ?? nowMs;
    const state = subscriptionStateAt({ ...terms, canceledAt: row.canceled_at?.getTime() ?? null }, hour);
    return { row, terms, state, hour, now: termsNow(terms, hour) };
  });
  const ids = new Set(
    held.flatMap(({ now }) => [now.planVersionId, ...[...now.addOns.values()].map((one) => one.planVersionId)]),
  );
  const { rows: versions } = await db.query<VersionRow>(selectVersions, [db.organizationId, [...ids]]);
  const items = new Map(versions.map((version) => [version.id, itemsOf(version)]));
  return held.map(({ row, terms, state, hour, now }) => ({
    now: hour,
    id: row.id,
    customerId: row.customer_id,
    planVersionId: now.planVersionId,
    startedAt: terms.startedAt,
    endedAt: terms.endedAt,
    isEntitled: ['trialing', 'active'].includes(state) || (state === 'paused' && now.paused?.usage !== 'refused'),
    items: entitledBeside(
      items.get(now.planVersionId) ?? [],
      [...now.addOns.values()].map(({ planVersionId, quantity }) => ({
        items: items.get(planVersionId) ?? [],
        quantity,
      })),
    ),
  }));
};

export const entitledStore = {
  entitledSubscription: async (db: Db, id: string, nowMs: Instant): Promise<EntitledSubscription | undefined> => {
    const { rows } = await db.query<Row>(`${selectTerms} WHERE s.organization_id = $1 AND s.id = $2`, [
      db.organizationId,
      id,
    ]);
    const [found] = rows.length > 0 ? await entitledAt(db, rows, nowMs) : [];
    return found;
  },
  /** Those of the customer that are entitled to something, oldest first. */
  runningSubscriptions: async (db: Db, customerId: string, nowMs: Instant): Promise<EntitledSubscription[]> => {
    const { rows } = await db.query<Row>(
      `${selectTerms} WHERE s.organization_id = $1 AND s.customer_id = $2 AND (s.ended_at IS NULL OR s.ended_at > $3)
       ORDER BY s.started_at, s.id`,
      [db.organizationId, customerId, new Date(nowMs)],
    );
    return (await entitledAt(db, rows, nowMs)).filter(({ isEntitled }) => isEntitled);
  },
};

export type EntitledStore = typeof entitledStore;
