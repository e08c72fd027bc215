/** Plans, and the catalog as a whole: meters are in `meters.postgres.ts`. */
import { newId } from '#platform/process/ids.ts';
import { lookUpColumn } from '#schemas/names.ts';
import type { PlanVersionJson } from '#schemas/plan.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { defineList, type ListPage } from '../route/lists.ts';
import { headFromRow, type ResourceHead, type ResourceRow } from '../route/resource-fields.ts';
import { meterStore, type NamePatch } from './meters.postgres.ts';

/** A plan as its newest version stands for it. */
export type Plan = ResourceHead & {
  readonly id: string;
  readonly code: string;
  readonly name: string;
  readonly planVersionId: string;
  readonly versionNumber: number;
  readonly currency: string;
  readonly billingInterval: string;
  readonly charges: PlanVersionJson['charges'];
};

type PlanRow = ResourceRow & {
  id: string;
  code: string;
  name: string;
  plan_version_id: string;
  version_number: number;
  currency: string;
  billing_interval: string;
  charges: PlanVersionJson['charges'];
};

const fromRow = (row: PlanRow): Plan => ({
  id: row.id,
  code: row.code,
  name: row.name,
  planVersionId: row.plan_version_id,
  versionNumber: row.version_number,
  currency: row.currency,
  billingInterval: row.billing_interval,
  charges: row.charges,
  ...headFromRow(row),
});

export type NewPlan = PlanVersionJson & { readonly metadata: Record<string, string> };

const planColumns = `p.id, p.code, p.name, p.metadata, p.version, p.created_at, p.updated_at,
  v.id AS plan_version_id, v.version_number, v.currency, v.billing_interval, v.charges`;
// The newest version stands for the plan.
const planFrom = `plans p
  JOIN LATERAL (SELECT * FROM plan_versions WHERE plan_id = p.id ORDER BY version_number DESC LIMIT 1) v ON true`;

const planList = defineList({
  name: 'plans',
  columns: planColumns,
  from: planFrom,
  countFrom: 'plans p',
  id: 'p.id',
  organization: 'p.organization_id',
  sorts: { created_at: { column: 'p.created_at', type: 'timestamptz' }, code: { column: 'p.code', type: 'text' } },
  filters: { code: { column: 'p.code' } },
  times: { created_at: 'p.created_at' },
});

const planBy = async (db: Db, column: 'id' | 'code', value: string): Promise<Plan | undefined> => {
  const { rows } = await db.query<PlanRow>(
    `SELECT ${planColumns} FROM ${planFrom} WHERE p.organization_id = $1 AND p.${column} = $2`,
    [db.organizationId, value],
  );
  return rows[0] && fromRow(rows[0]);
};

const planById = (db: Db, id: string): Promise<Plan | undefined> => planBy(db, 'id', id);

export const catalogStore = {
  ...meterStore,
  planList,
  /** The plan with its first version, which is bound to those versions of meters. Undefined where the code is taken. */
  addPlan: async (
    db: Db,
    plan: NewPlan,
    meterVersions: ReadonlyMap<string, string>,
    now: Date,
  ): Promise<Plan | undefined> => {
    const planId = newId('pln');
    const added = await db.query(
      `INSERT INTO plans (id, organization_id, code, name, metadata, version, created_at, updated_at)
       VALUES ($1, $2, $3, $4, $5, 1, $6, $6) ON CONFLICT (organization_id, code) DO NOTHING`,
      [planId, db.organizationId, plan.code, plan.name, plan.metadata, now],
    );
    if (!added.rowCount) return undefined;
    const planVersionId = newId('plv');
    await db.query(
      `INSERT INTO plan_versions
         (id, organization_id, plan_id, version_number, currency, billing_interval, charges, created_at)
       VALUES ($1, $2, $3, 1, $4, 'month', $5, $6)`,
      [planVersionId, db.organizationId, planId, plan.currency, JSON.stringify(plan.charges), now],
    );
    await meterStore.pinMeters(db, planVersionId, meterVersions);
    return planById(db, planId);
  },
  /** By id or code. */
  plan: (db: Db, idOrCode: string): Promise<Plan | undefined> =>
    planBy(db, lookUpColumn('pln', idOrCode, 'code'), idOrCode),
  /** The plan as it is when its row is locked: what is read is the row that was locked, by its id. */
  lockPlan: async (db: Db, idOrCode: string): Promise<Plan | undefined> => {
    const column = lookUpColumn('pln', idOrCode, 'code');
    const { rows } = await db.query<{ id: string }>(
      `SELECT id FROM plans WHERE organization_id = $1 AND ${column} = $2 FOR NO KEY UPDATE`,
      [db.organizationId, idOrCode],
    );
    return rows[0] && planById(db, rows[0].id);
  },
  changePlan: async (db: Db, id: string, { name, metadata }: NamePatch, now: Date): Promise<Plan | undefined> => {
    await db.query(
      `UPDATE plans SET name = $3, metadata = $4, version = version + 1, updated_at = $5
       WHERE organization_id = $1 AND id = $2`,
      [db.organizationId, id, name, metadata, now],
    );
    return planById(db, id);
  },
  /** What a plan version charges, in the canonical JSON that it was made with. */
  chargesOf: async (db: Db, planVersionId: string): Promise<PlanVersionJson['charges']> => {
    const { rows } = await db.query<Pick<PlanRow, 'charges'>>(
      'SELECT charges FROM plan_versions WHERE organization_id = $1 AND id = $2',
      [db.organizationId, planVersionId],
    );
    return rows[0]?.charges ?? [];
  },
  plans: async (db: Db, page: ListPage) => {
    const { rows, ...rest } = await listRows<PlanRow>(db, planList, db.organizationId, page);
    return { ...rest, rows: rows.map(fromRow) };
  },
};

export type CatalogStore = typeof catalogStore;
