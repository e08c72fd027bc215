/** Meters and plans. */
import { newId } from '#platform/ids.ts';
import type { Aggregation } from '#schemas/meter.ts';
import type { PlanVersionJson } from '#schemas/plan.ts';
import type { Db } from './define-route.ts';
import { listRows } from './list-rows.postgres.ts';
import { defineList, type ListPage } from './lists.ts';

export type MeterRow = {
  id: string;
  code: string;
  name: string;
  event: string;
  aggregation: Aggregation;
  property: string | null;
  metadata: Record<string, string>;
  version: number;
  created_at: Date;
  updated_at: Date;
};

export type NewMeter = Pick<MeterRow, 'code' | 'name' | 'event' | 'aggregation' | 'property' | 'metadata'>;

export type PlanRow = {
  id: string;
  code: string;
  name: string;
  metadata: Record<string, string>;
  version: number;
  created_at: Date;
  updated_at: Date;
  plan_version_id: string;
  version_number: number;
  currency: string;
  billing_interval: string;
  charges: PlanVersionJson['charges'];
};

export type NewPlan = PlanVersionJson & { readonly metadata: Record<string, string> };

const meterColumns = 'id, code, name, event, aggregation, property, metadata, version, created_at, updated_at';
const planColumns =
  'p.id, p.code, p.name, p.metadata, p.version, p.created_at, p.updated_at, v.id AS plan_version_id, v.version_number, v.currency, v.billing_interval, v.charges';
// The newest version stands for the plan.
const planFrom = `plans p JOIN LATERAL (SELECT * FROM plan_versions WHERE plan_id = p.id ORDER BY version_number DESC LIMIT 1) v ON true`;

const meterList = defineList({
  name: 'meters',
  columns: meterColumns,
  from: 'meters',
  id: 'id',
  organization: 'organization_id',
  sorts: { created_at: { column: 'created_at', type: 'timestamptz' }, code: { column: 'code', type: 'text' } },
  filters: { code: { column: 'code' }, event: { column: 'event' } },
  times: { created_at: 'created_at' },
});

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

export type NamePatch = { readonly name: string; readonly metadata: Record<string, string> };

const planById = async (db: Db, id: string): Promise<PlanRow | undefined> => {
  const { rows } = await db.query<PlanRow>(
    `SELECT ${planColumns} FROM ${planFrom} WHERE p.organization_id = $1 AND (p.id = $2 OR p.code = $2)`,
    [db.organizationId, id],
  );
  return rows[0];
};

export const catalogStore = {
  meterList,
  planList,
  /** Undefined where the code is taken. */
  addMeter: async (db: Db, meter: NewMeter, now: Date): Promise<MeterRow | undefined> => {
    const { rows } = await db.query<MeterRow>(
      `INSERT INTO meters (id, organization_id, code, name, event, aggregation, property, metadata, version, created_at, updated_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9, $9) ON CONFLICT (organization_id, code) DO NOTHING RETURNING ${meterColumns}`,
      [newId('mtr'), db.organizationId, meter.code, meter.name, meter.event, meter.aggregation, meter.property, meter.metadata, now],
    );
    return rows[0];
  },
  /** By id or code; `lock` holds the row until the transaction ends. */
  meter: async (db: Db, idOrCode: string, lock?: 'lock'): Promise<MeterRow | undefined> => {
    const { rows } = await db.query<MeterRow>(
      `SELECT ${meterColumns} FROM meters WHERE organization_id = $1 AND (id = $2 OR code = $2)${lock ? ' FOR NO KEY UPDATE' : ''}`,
      [db.organizationId, idOrCode],
    );
    return rows[0];
  },
  changeMeter: async (db: Db, id: string, { name, metadata }: NamePatch, now: Date): Promise<MeterRow | undefined> => {
    const { rows } = await db.query<MeterRow>(
      `UPDATE meters SET name = $3, metadata = $4, version = version + 1, updated_at = $5 WHERE organization_id = $1 AND id = $2 RETURNING ${meterColumns}`,
      [db.organizationId, id, name, metadata, now],
    );
    return rows[0];
  },
  meters: (db: Db, page: ListPage) => listRows<MeterRow>(db, meterList, db.organizationId, page),
  allMeters: async (db: Db): Promise<MeterRow[]> => {
    const { rows } = await db.query<MeterRow>(`SELECT ${meterColumns} FROM meters WHERE organization_id = $1 ORDER BY code`, [
      db.organizationId,
    ]);
    return rows;
  },
  /** Those of the codes that no meter has. */
  missingMeters: async (db: Db, codes: readonly string[]): Promise<Set<string>> => {
    const { rows } = await db.query<{ code: string }>('SELECT code FROM meters WHERE organization_id = $1 AND code = ANY ($2)', [
      db.organizationId,
      codes,
    ]);
    const known = new Set(rows.map(({ code }) => code));
    return new Set(codes.filter((code) => !known.has(code)));
  },
  /** The plan with its first version. Undefined where the code is taken. */
  addPlan: async (db: Db, plan: NewPlan, now: Date): Promise<PlanRow | undefined> => {
    const planId = newId('pln');
    const added = await db.query(
      `INSERT INTO plans (id, organization_id, code, name, metadata, version, created_at, updated_at)
       VALUES ($1, $2, $3, $4, $5, 1, $6, $6) ON CONFLICT (organization_id, code) DO NOTHING`,
      [planId, db.organizationId, plan.code, plan.name, plan.metadata, now],
    );
    if (!added.rowCount) return undefined;
    await db.query(
      `INSERT INTO plan_versions (id, organization_id, plan_id, version_number, currency, billing_interval, charges, created_at)
       VALUES ($1, $2, $3, 1, $4, 'month', $5, $6)`,
      [newId('plv'), db.organizationId, planId, plan.currency, JSON.stringify(plan.charges), now],
    );
    return planById(db, planId);
  },
  /** By id or code. */
  plan: planById,
  /** The plan as it is when its row is locked. */
  lockPlan: async (db: Db, idOrCode: string): Promise<PlanRow | undefined> => {
    await db.query('SELECT 1 FROM plans WHERE organization_id = $1 AND (id = $2 OR code = $2) FOR NO KEY UPDATE', [
      db.organizationId,
      idOrCode,
    ]);
    return planById(db, idOrCode);
  },
  changePlan: async (db: Db, id: string, { name, metadata }: NamePatch, now: Date): Promise<PlanRow | undefined> => {
    await db.query(
      'UPDATE plans SET name = $3, metadata = $4, version = version + 1, updated_at = $5 WHERE organization_id = $1 AND id = $2',
      [db.organizationId, id, name, metadata, now],
    );
    return planById(db, id);
  },
  plans: (db: Db, page: ListPage) => listRows<PlanRow>(db, planList, db.organizationId, page),
};

export type CatalogStore = typeof catalogStore;
