/** Meters and plans. */
import { newId } from '#platform/ids.ts';
import type { Postgres } from '#platform/postgres.ts';
import type { Aggregation } from '#schemas/meter.ts';
import type { PlanVersionJson } from '#schemas/plan.ts';
import { listRows } from './list-rows.postgres.ts';
import type { Page } from './lists.ts';

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

export const createCatalogStore = (postgres: Postgres) => ({
  /** Undefined where the code is taken. */
  addMeter: async (organizationId: string, meter: NewMeter, now: Date): Promise<MeterRow | undefined> => {
    const { rows } = await postgres.query<MeterRow>(
      `INSERT INTO meters (id, organization_id, code, name, event, aggregation, property, metadata, version, created_at, updated_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9, $9) ON CONFLICT (organization_id, code) DO NOTHING RETURNING ${meterColumns}`,
      [newId('mtr'), organizationId, meter.code, meter.name, meter.event, meter.aggregation, meter.property, meter.metadata, now],
    );
    return rows[0];
  },
  /** By id or code. */
  meter: async (organizationId: string, idOrCode: string): Promise<MeterRow | undefined> => {
    const { rows } = await postgres.query<MeterRow>(
      `SELECT ${meterColumns} FROM meters WHERE organization_id = $1 AND (id = $2 OR code = $2)`,
      [organizationId, idOrCode],
    );
    return rows[0];
  },
  meters: (organizationId: string, page: Page) =>
    listRows<MeterRow>(
      postgres,
      { columns: meterColumns, from: 'meters', id: 'id', organization: 'organization_id' },
      organizationId,
      {},
      page,
    ),
  allMeters: async (organizationId: string): Promise<MeterRow[]> => {
    const { rows } = await postgres.query<MeterRow>(`SELECT ${meterColumns} FROM meters WHERE organization_id = $1 ORDER BY code`, [
      organizationId,
    ]);
    return rows;
  },
  /** Those of the codes that no meter has. */
  missingMeters: async (organizationId: string, codes: readonly string[]): Promise<Set<string>> => {
    const { rows } = await postgres.query<{ code: string }>('SELECT code FROM meters WHERE organization_id = $1 AND code = ANY ($2)', [
      organizationId,
      codes,
    ]);
    const known = new Set(rows.map(({ code }) => code));
    return new Set(codes.filter((code) => !known.has(code)));
  },
  /** The plan with its first version, in one transaction. Undefined where the code is taken. */
  addPlan: (organizationId: string, plan: NewPlan, now: Date): Promise<PlanRow | undefined> =>
    postgres.transaction(async (client) => {
      const planId = newId('pln');
      const added = await client.query(
        `INSERT INTO plans (id, organization_id, code, name, metadata, version, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, 1, $6, $6) ON CONFLICT (organization_id, code) DO NOTHING`,
        [planId, organizationId, plan.code, plan.name, plan.metadata, now],
      );
      if (!added.rowCount) return undefined;
      await client.query(
        `INSERT INTO plan_versions (id, organization_id, plan_id, version_number, currency, billing_interval, charges, created_at)
         VALUES ($1, $2, $3, 1, $4, 'month', $5, $6)`,
        [newId('plv'), organizationId, planId, plan.currency, JSON.stringify(plan.charges), now],
      );
      const { rows } = await client.query<PlanRow>(`SELECT ${planColumns} FROM ${planFrom} WHERE p.id = $1`, [planId]);
      return rows[0];
    }),
  /** By id or code. */
  plan: async (organizationId: string, idOrCode: string): Promise<PlanRow | undefined> => {
    const { rows } = await postgres.query<PlanRow>(
      `SELECT ${planColumns} FROM ${planFrom} WHERE p.organization_id = $1 AND (p.id = $2 OR p.code = $2)`,
      [organizationId, idOrCode],
    );
    return rows[0];
  },
  plans: (organizationId: string, page: Page) =>
    listRows<PlanRow>(
      postgres,
      { columns: planColumns, from: planFrom, id: 'p.id', organization: 'p.organization_id' },
      organizationId,
      {},
      page,
    ),
});

export type CatalogStore = ReturnType<typeof createCatalogStore>;
