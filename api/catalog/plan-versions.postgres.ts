/** Versions of plans: what a plan charges, from the draft to the archive. */
import assert from 'node:assert/strict';
import { newId } from '#platform/process/ids.ts';
import type { Instant } from '#schemas/period.ts';
import { type ChargesJson, type PlanTermsJson, type PlanVersionState, planVersionStates } from '#schemas/plan.ts';
import { type GeneralTermsJson, noGeneralTerms } from '#schemas/plan-terms.ts';
import { type MeterVersion, meterOf } from '#schemas/stored-meter.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { defineList, type ListPage } from '../route/lists.ts';
import { type BoundTerms, featureStore } from './features.postgres.ts';
import { meterStore } from './meters.postgres.ts';

/** What a version charges, as it is stored: what holds over all charges is one JSON, absent in old versions. */
export type TermsRow = ChargesJson & { readonly terms: Partial<GeneralTermsJson> | null };
export const termsFromRow = ({ currency, charges, terms }: TermsRow): PlanTermsJson => ({
  currency,
  charges,
  ...noGeneralTerms,
  ...terms,
});
/** The values of `currency`, `charges` and `terms`. */
const termsToRow = ({ currency, charges, ...terms }: PlanTermsJson) => [
  currency,
  JSON.stringify(charges),
  JSON.stringify(terms),
];

export type PlanName = { readonly planId: string; readonly planCode: string };

export type PlanVersion = {
  readonly id: string;
  readonly planId: string;
  readonly versionNumber: number;
  readonly state: PlanVersionState;
  readonly terms: PlanTermsJson;
  readonly activatedAt: Instant | null;
  readonly archivedAt: Instant | null;
  /** Counts the changes of the version, as that of a plan counts those of the plan with its versions. */
  readonly version: number;
  readonly createdAt: Instant;
  readonly updatedAt: Instant;
};

type PlanVersionRow = TermsRow & {
  id: string;
  plan_id: string;
  version_number: number;
  state: PlanVersionState;
  activated_at: Date | null;
  archived_at: Date | null;
  version: number;
  created_at: Date;
  updated_at: Date;
};

const fromRow = (row: PlanVersionRow): PlanVersion => ({
  id: row.id,
  planId: row.plan_id,
  versionNumber: row.version_number,
  state: row.state,
  terms: termsFromRow(row),
  activatedAt: row.activated_at?.getTime() ?? null,
  archivedAt: row.archived_at?.getTime() ?? null,
  version: row.version,
  createdAt: row.created_at.getTime(),
  updatedAt: row.updated_at.getTime(),
});

const columns = `id, plan_id, version_number, state, currency, charges, terms, activated_at,
  archived_at, version, created_at, updated_at`;

const planVersionList = defineList({
  name: 'plan_versions',
  columns,
  from: 'plan_versions',
  id: 'id',
  organization: 'organization_id',
  sorts: { version_number: { column: 'version_number', type: 'bigint' } },
  defaultSort: '-version_number',
  filters: { state: { column: 'state', choices: planVersionStates } },
});

const planVersion = async (db: Db, planId: string, number: number): Promise<PlanVersion | undefined> => {
  const { rows } = await db.query<PlanVersionRow>(
    `SELECT ${columns} FROM plan_versions WHERE organization_id = $1 AND plan_id = $2 AND version_number = $3`,
    [db.organizationId, planId, number],
  );
  return rows[0] && fromRow(rows[0]);
};

/** A statement that changes one version, and gives it back. */
const change = async (
  db: Db,
  { id, planId }: PlanVersion,
  set: string,
  values: readonly unknown[],
): Promise<PlanVersion> => {
  const { rows } = await db.query<PlanVersionRow>(
    `UPDATE plan_versions SET ${set} WHERE organization_id = $1 AND plan_id = $2 AND id = $3 RETURNING ${columns}`,
    [db.organizationId, planId, id, ...values],
  );
  assert(rows[0], `plan version ${id} is not there`);
  return fromRow(rows[0]);
};

const addDraft = async (db: Db, planId: string, terms: PlanTermsJson, now: Date): Promise<PlanVersion> => {
  const { rows } = await db.query<PlanVersionRow>(
    `INSERT INTO plan_versions (id, organization_id, plan_id, version_number, state, currency, billing_interval,
       charges, terms, version, created_at, updated_at)
     SELECT $1, $2, $3, coalesce(max(version_number), 0) + 1, 'draft', $5, 'month', $6, $7, 1, $4, $4
     FROM plan_versions WHERE organization_id = $2 AND plan_id = $3 RETURNING ${columns}`,
    [newId('plv'), db.organizationId, planId, now, ...termsToRow(terms)],
  );
  assert(rows[0]);
  return fromRow(rows[0]);
};

/**
 * The order of effects: meters and features are bound while the version is a draft, as nothing is bound to an active
 * one; the version that was active becomes archived, as a plan has at most one.
 */
const activate = async (
  db: Db,
  draft: PlanVersion,
  bound: BoundTerms,
  now: Date,
  version: number,
): Promise<PlanVersion> => {
  await meterStore.pinMeters(db, draft.id, bound.meters);
  await featureStore.pinFeatures(db, draft.id, bound.features);
  await db.query(
    `UPDATE plan_versions SET state = 'archived', archived_at = $3, version = version + 1, updated_at = $3
     WHERE organization_id = $1 AND plan_id = $2 AND state = 'active'`,
    [db.organizationId, draft.planId, now],
  );
  return change(db, draft, "state = 'active', activated_at = $4, updated_at = $4, version = $5", [now, version]);
};

/** Whatever changes is under the lock of the plan's row, and its caller counts the change of the plan. */
export const planVersionStore = {
  planVersionList,
  /** Whose versions they are, by their ids. */
  planNames: async (db: Db, ids: readonly string[]): Promise<ReadonlyMap<string, PlanName>> => {
    const { rows } = await db.query<PlanName & { id: string }>(
      `SELECT v.id, p.id AS "planId", p.code AS "planCode" FROM plan_versions v JOIN plans p ON p.id = v.plan_id
       WHERE v.organization_id = $1 AND v.id = ANY ($2)`,
      [db.organizationId, ids],
    );
    return new Map(rows.map(({ id, ...name }) => [id, name]));
  },
  /** What versions charge, by their ids. */
  versionTerms: async (db: Db, ids: readonly string[]): Promise<ReadonlyMap<string, PlanTermsJson>> => {
    if (ids.length === 0) return new Map();
    const { rows } = await db.query<TermsRow & { id: string }>(
      'SELECT id, currency, charges, terms FROM plan_versions WHERE organization_id = $1 AND id = ANY ($2)',
      [db.organizationId, ids],
    );
    return new Map(rows.map((row) => [row.id, termsFromRow(row)]));
  },
  planVersion,
  /** All of a plan, drafts too, the first one first. */
  versionsOfPlan: async (db: Db, planId: string): Promise<PlanVersion[]> => {
    const { rows } = await db.query<PlanVersionRow>(
      `SELECT ${columns} FROM plan_versions WHERE organization_id = $1 AND plan_id = $2 ORDER BY version_number`,
      [db.organizationId, planId],
    );
    return rows.map(fromRow);
  },
  /** Versions of meters, by their ids. */
  meterVersionsOf: async (db: Db, versionIds: readonly string[]): Promise<ReadonlyMap<string, MeterVersion>> => {
    const { rows } = await db.query<{ id: string; code: string; version_number: number; definition: unknown }>(
      `SELECT v.id, m.code, v.version_number, v.definition FROM meter_versions v JOIN meters m ON m.id = v.meter_id
       WHERE v.organization_id = $1 AND v.id = ANY ($2)`,
      [db.organizationId, versionIds],
    );
    return new Map(
      rows.map(({ id, code, version_number: versionNumber, definition }) => [
        id,
        meterOf({ code, versionNumber, versionId: id, definition }),
      ]),
    );
  },
  addDraft,
  /** A version that was never a draft to its callers. */
  addActiveVersion: async (
    db: Db,
    planId: string,
    terms: PlanTermsJson,
    bound: BoundTerms,
    now: Date,
  ): Promise<PlanVersion> => activate(db, await addDraft(db, planId, terms, now), bound, now, 1),
  changeDraft: (db: Db, draft: PlanVersion, terms: PlanTermsJson, now: Date): Promise<PlanVersion> =>
    change(db, draft, 'updated_at = $4, currency = $5, charges = $6, terms = $7, version = version + 1', [
      now,
      ...termsToRow(terms),
    ]),
  activateDraft: (db: Db, draft: PlanVersion, bound: BoundTerms, now: Date): Promise<PlanVersion> =>
    activate(db, draft, bound, now, draft.version + 1),
  archiveVersion: (db: Db, version: PlanVersion, now: Date): Promise<PlanVersion> =>
    change(db, version, "state = 'archived', archived_at = $4, version = version + 1, updated_at = $4", [now]),
  planVersions: async (db: Db, planId: string, page: ListPage) => {
    const { rows, ...rest } = await listRows<PlanVersionRow>(db, planVersionList, db.organizationId, page, {
      plan_id: planId,
    });
    return { ...rest, rows: rows.map(fromRow) };
  },
};
