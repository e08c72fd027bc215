/** Features, and which of them plan versions entitle to. */
import { newId } from '#platform/process/ids.ts';
import { type FeatureType, featureTypes } from '#schemas/entitlement.ts';
import { lookUpColumn } from '#schemas/names.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { defineList, type ListPage } from '../route/lists.ts';
import { headFromRow, type ResourceHead, type ResourceRow } from '../route/resource-fields.ts';
import type { NamePatch } from './meters.postgres.ts';

export type Feature = ResourceHead & {
  readonly id: string;
  readonly code: string;
  readonly name: string;
  readonly type: FeatureType;
  /** The code of the meter of a metered feature; null of another. */
  readonly meter: string | null;
};

type FeatureRow = ResourceRow & { id: string; code: string; name: string; type: FeatureType; meter: string | null };

const fromRow = (row: FeatureRow): Feature => ({
  id: row.id,
  code: row.code,
  name: row.name,
  type: row.type,
  meter: row.meter,
  ...headFromRow(row),
});

export type NewFeature = {
  readonly code: string;
  readonly name: string;
  readonly type: FeatureType;
  readonly meterId: string | null;
  readonly metadata: Record<string, string>;
};

/** What a plan version is bound to when it becomes active. */
export type BoundTerms = {
  /** Versions of meters that are charged by, by code. */
  readonly meters: ReadonlyMap<string, string>;
  /** Each with the version of the meter that measures it, where it is metered. */
  readonly features: readonly { readonly featureId: string; readonly meterVersionId: string | null }[];
};

const columns = 'f.id, f.code, f.name, f.type, m.code AS meter, f.metadata, f.version, f.created_at, f.updated_at';
// One that ended is there for what names it, and for nobody else.
const from = '(SELECT * FROM features WHERE deleted_at IS NULL) f LEFT JOIN meters m ON m.id = f.meter_id';

const featureList = defineList({
  name: 'features',
  columns,
  from,
  id: 'f.id',
  organization: 'f.organization_id',
  sorts: { created_at: { column: 'f.created_at', type: 'timestamptz' }, code: { column: 'f.code', type: 'text' } },
  filters: { code: { column: 'f.code' }, type: { column: 'f.type', choices: featureTypes } },
  times: { created_at: 'f.created_at' },
});

const featureBy = async (db: Db, column: 'id' | 'code', value: string): Promise<Feature | undefined> => {
  const { rows } = await db.query<FeatureRow>(
    `SELECT ${columns} FROM ${from} WHERE f.organization_id = $1 AND f.${column} = $2`,
    [db.organizationId, value],
  );
  return rows[0] && fromRow(rows[0]);
};

const featureById = (db: Db, id: string): Promise<Feature | undefined> => featureBy(db, 'id', id);

export const featureStore = {
  featureList,
  /** Undefined where the code is taken. */
  addFeature: async (db: Db, feature: NewFeature, now: Date): Promise<Feature | undefined> => {
    const id = newId('fea');
    const added = await db.query(
      `INSERT INTO features (id, organization_id, code, name, type, meter_id, metadata, version, created_at, updated_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $8)
       ON CONFLICT (organization_id, code) WHERE deleted_at IS NULL DO NOTHING`,
      [id, db.organizationId, feature.code, feature.name, feature.type, feature.meterId, feature.metadata, now],
    );
    return added.rowCount ? featureById(db, id) : undefined;
  },
  /** By id or code. */
  feature: (db: Db, idOrCode: string): Promise<Feature | undefined> =>
    featureBy(db, lookUpColumn('fea', idOrCode, 'code'), idOrCode),
  /** As it is when its row is locked: a plan version that is being bound to it waits, and so does this. */
  lockFeature: async (db: Db, idOrCode: string): Promise<Feature | undefined> => {
    const column = lookUpColumn('fea', idOrCode, 'code');
    const { rows } = await db.query<{ id: string }>(
      `SELECT id FROM features WHERE organization_id = $1 AND deleted_at IS NULL AND ${column} = $2 FOR NO KEY UPDATE`,
      [db.organizationId, idOrCode],
    );
    return rows[0] && featureById(db, rows[0].id);
  },
  /** The row must be locked. */
  changeFeature: async (db: Db, id: string, { name, metadata }: NamePatch, now: Date): Promise<Feature | undefined> => {
    await db.query(
      `UPDATE features SET name = $3, metadata = $4, version = version + 1, updated_at = $5
       WHERE organization_id = $1 AND id = $2`,
      [db.organizationId, id, name, metadata, now],
    );
    return featureById(db, id);
  },
  /** False where a plan version entitles to it. The row must be locked. */
  endFeature: async (db: Db, id: string, now: Date): Promise<boolean> => {
    const { rowCount } = await db.query(
      `UPDATE features SET deleted_at = $3, version = version + 1, updated_at = $3
       WHERE organization_id = $1 AND id = $2
       AND NOT EXISTS (SELECT 1 FROM plan_version_features WHERE feature_id = $2)`,
      [db.organizationId, id, now],
    );
    return rowCount === 1;
  },
  features: async (db: Db, page: ListPage) => {
    const { rows, ...rest } = await listRows<FeatureRow>(db, featureList, db.organizationId, page);
    return { ...rest, rows: rows.map(fromRow) };
  },
  /** By code, each locked against its end until the transaction ends; codes that no feature has are missing. */
  featuresByCode: async (db: Db, codes: readonly string[]): Promise<ReadonlyMap<string, Feature>> => {
    if (codes.length === 0) return new Map();
    await db.query(
      `SELECT 1 FROM features WHERE organization_id = $1 AND deleted_at IS NULL AND code = ANY ($2)
       ORDER BY id FOR SHARE`,
      [db.organizationId, codes],
    );
    const { rows } = await db.query<FeatureRow>(
      `SELECT ${columns} FROM ${from} WHERE f.organization_id = $1 AND f.code = ANY ($2)`,
      [db.organizationId, codes],
    );
    return new Map(rows.map((row) => [row.code, fromRow(row)]));
  },
  /** By code. */
  featureNames: async (db: Db, codes: readonly string[]): Promise<ReadonlyMap<string, string>> => {
    if (codes.length === 0) return new Map();
    const { rows } = await db.query<{ code: string; name: string }>(
      'SELECT code, name FROM features WHERE organization_id = $1 AND deleted_at IS NULL AND code = ANY ($2)',
      [db.organizationId, codes],
    );
    return new Map(rows.map(({ code, name }) => [code, name]));
  },
  /** Binds a plan version to what it entitles to, for good. */
  pinFeatures: async (db: Db, planVersionId: string, features: BoundTerms['features']): Promise<void> => {
    if (features.length === 0) return;
    await db.query(
      `INSERT INTO plan_version_features (organization_id, plan_version_id, feature_id, meter_version_id)
       SELECT $1, $2, feature, meter FROM unnest($3::text[], $4::text[]) AS pinned (feature, meter)`,
      [
        db.organizationId,
        planVersionId,
        features.map(({ featureId }) => featureId),
        features.map(({ meterVersionId }) => meterVersionId),
      ],
    );
  },
};
