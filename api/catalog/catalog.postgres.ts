/** Plans, and the catalog as a whole: meters, features and versions of plans are in files of their own. */
import { newId } from '#platform/process/ids.ts';
import { type PlanKind, planKinds } from '#schemas/add-on.ts';
import type { Interval } from '#schemas/interval.ts';
import { lookUpColumn } from '#schemas/names.ts';
import type { ChargesJson, PlanTermsJson, PlanVersionState } from '#schemas/plan.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { defineList, type ListPage } from '../route/lists.ts';
import { headFromRow, type ResourceHead, type ResourceRow } from '../route/resource-fields.ts';
import { featureStore } from './features.postgres.ts';
import { meterStore, type NamePatch } from './meters.postgres.ts';
import { planVersionStore, type TermsRow, termsFromRow } from './plan-versions.postgres.ts';

/** A plan as one of its versions stands for it: the active one, and where none is, the newest. */
export type Plan = ResourceHead & {
  readonly id: string;
  readonly kind: PlanKind;
  readonly code: string;
  readonly name: string;
  readonly planVersionId: string;
  readonly versionNumber: number;
  /** Of that version. */
  readonly state: PlanVersionState;
  readonly terms: PlanTermsJson;
};

type PlanRow = ResourceRow &
  TermsRow & {
    id: string;
    kind: PlanKind;
    code: string;
    name: string;
    plan_version_id: string;
    version_number: number;
    state: PlanVersionState;
  };

const fromRow = (row: PlanRow): Plan => ({
  id: row.id,
  kind: row.kind,
  code: row.code,
  name: row.name,
  planVersionId: row.plan_version_id,
  versionNumber: row.version_number,
  state: row.state,
  terms: termsFromRow(row),
  ...headFromRow(row),
});

type NewPlan = {
  readonly kind: PlanKind;
  readonly code: string;
  readonly name: string;
  readonly metadata: Record<string, string>;
};

const planColumns = `p.id, p.kind, p.code, p.name, p.metadata, p.version, p.created_at, p.updated_at,
  v.id AS plan_version_id, v.version_number, v.state, v.currency, v.charges, v.terms`;
const planFrom = `plans p JOIN LATERAL (
    SELECT * FROM plan_versions WHERE plan_id = p.id ORDER BY state = 'active' DESC, version_number DESC LIMIT 1
  ) v ON true`;
/** Of the plan alone, so that a count needs no version. */
const activeState = "(SELECT a.state FROM plan_versions a WHERE a.plan_id = p.id AND a.state = 'active')";

const planList = defineList({
  name: 'plans',
  columns: planColumns,
  from: planFrom,
  countFrom: 'plans p',
  id: 'p.id',
  organization: 'p.organization_id',
  sorts: { created_at: { column: 'p.created_at', type: 'timestamptz' }, code: { column: 'p.code', type: 'text' } },
  filters: { code: { column: 'p.code' }, kind: { column: 'p.kind', choices: planKinds } },
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
  ...featureStore,
  ...planVersionStore,
  planList,
  /** A plan without a version yet, by its id. Undefined where the code is taken. */
  addPlan: async (db: Db, { kind, code, name, metadata }: NewPlan, now: Date): Promise<string | undefined> => {
    const planId = newId('pln');
    const added = await db.query(
      `INSERT INTO plans (id, organization_id, code, name, metadata, version, created_at, updated_at, kind)
       VALUES ($1, $2, $3, $4, $5, 1, $6, $6, $7) ON CONFLICT (organization_id, code) DO NOTHING`,
      [planId, db.organizationId, code, name, metadata, now, kind],
    );
    return added.rowCount ? planId : undefined;
  },
  planById,
  /** By id or code. */
  plan: (db: Db, idOrCode: string): Promise<Plan | undefined> =>
    planBy(db, lookUpColumn('pln', idOrCode, 'code'), idOrCode),
  /**
   * The plan as it is when its row is locked, against changes of its versions too: what is read is the row that was
   * locked, whose names stay meanwhile, by a statement that begins behind the lock and goes with it. `to` subscribe is
   * shared with others who do.
   */
  lockPlan: async (db: Db, idOrCode: string, to: 'change' | 'subscribe'): Promise<Plan | undefined> => {
    const column = lookUpColumn('pln', idOrCode, 'code');
    const locking = db.query(
      `SELECT 1 FROM plans WHERE organization_id = $1 AND ${column} = $2
       FOR ${to === 'change' ? 'NO KEY UPDATE' : 'SHARE'}`,
      [db.organizationId, idOrCode],
    );
    const [{ rowCount }, plan] = await Promise.all([locking, planBy(db, column, idOrCode)]);
    return rowCount ? plan : undefined;
  },
  /** How long a subscription to the version lasts at least. */
  minimumTerm: async (db: Db, planVersionId: string): Promise<Interval | null> => {
    const { rows } = await db.query<{ term: Interval | null }>(
      "SELECT terms -> 'minimum_term' AS term FROM plan_versions WHERE organization_id = $1 AND id = $2",
      [db.organizationId, planVersionId],
    );
    return rows[0]?.term ?? null;
  },
  /** Which of the codes are of plans that an add-on can go with. */
  plansByCode: async (db: Db, codes: readonly string[]): Promise<ReadonlySet<string>> => {
    if (codes.length === 0) return new Set();
    const { rows } = await db.query<{ code: string }>(
      "SELECT code FROM plans WHERE organization_id = $1 AND code = ANY ($2) AND kind = 'plan'",
      [db.organizationId, codes],
    );
    return new Set(rows.map(({ code }) => code));
  },
  /** Each change of a version is one of its plan, whose audit entries its version counts. */
  countPlanChange: (db: Db, planId: string, now: Date) =>
    db.query('UPDATE plans SET version = version + 1, updated_at = $3 WHERE organization_id = $1 AND id = $2', [
      db.organizationId,
      planId,
      now,
    ]),
  changePlan: async (db: Db, id: string, { name, metadata }: NamePatch, now: Date): Promise<Plan | undefined> => {
    await db.query(
      `UPDATE plans SET name = $3, metadata = $4, version = version + 1, updated_at = $5
       WHERE organization_id = $1 AND id = $2`,
      [db.organizationId, id, name, metadata, now],
    );
    return planById(db, id);
  },
  /** The charges of a plan version, in the canonical JSON that it was made with. */
  chargesOf: async (db: Db, planVersionId: string): Promise<ChargesJson | undefined> => {
    const { rows } = await db.query<ChargesJson>(
      'SELECT currency, charges FROM plan_versions WHERE organization_id = $1 AND id = $2',
      [db.organizationId, planVersionId],
    );
    return rows[0];
  },
  /** All, or those that have an active version. */
  plans: async (db: Db, page: ListPage, which: 'all' | 'active' = 'all') => {
    const fixed = which === 'active' ? { [activeState]: 'active' } : {};
    const { rows, ...rest } = await listRows<PlanRow>(db, planList, db.organizationId, page, fixed);
    return { ...rest, rows: rows.map(fromRow) };
  },
};

export type CatalogStore = typeof catalogStore;
