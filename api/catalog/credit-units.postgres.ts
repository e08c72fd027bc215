/** Credit units and what they are worth; rates are only ever added. */
import assert from 'node:assert/strict';
import { newId } from '#platform/process/ids.ts';
import type { Link } from '#schemas/credit-unit.ts';
import { lookUpColumn } from '#schemas/names.ts';
import type { Instant } from '#schemas/period.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { defineList, type ListPage } from '../route/lists.ts';
import { headFromRow, type ResourceHead, type ResourceRow } from '../route/resource-fields.ts';

export type CreditUnit = ResourceHead & { readonly id: string; readonly code: string; readonly name: string };

export type CreditRate = {
  readonly id: string;
  readonly creditUnitId: string;
  readonly rateNumber: number;
  readonly unit: string;
  readonly amount: string;
  readonly effectiveFrom: Instant;
  readonly createdAt: Instant;
};

type UnitRow = ResourceRow & { id: string; code: string; name: string };
type RateRow = {
  id: string;
  credit_unit_id: string;
  rate_number: number;
  unit: string;
  amount: string;
  effective_from: Date;
  created_at: Date;
};

const fromRow = ({ id, code, name, ...row }: UnitRow): CreditUnit => ({ id, code, name, ...headFromRow(row) });

const fromRateRow = (row: RateRow): CreditRate => ({
  id: row.id,
  creditUnitId: row.credit_unit_id,
  rateNumber: row.rate_number,
  unit: row.unit,
  amount: row.amount,
  effectiveFrom: row.effective_from.getTime(),
  createdAt: row.created_at.getTime(),
});

const columns = 'id, code, name, metadata, version, created_at, updated_at';
const rateColumns = `id, credit_unit_id, rate_number, unit, trim_scale(amount)::text AS amount, effective_from,
  created_at`;

const creditUnitList = defineList({
  name: 'credit_units',
  columns,
  from: 'credit_units',
  id: 'id',
  organization: 'organization_id',
  sorts: { created_at: { column: 'created_at', type: 'timestamptz' }, code: { column: 'code', type: 'text' } },
  filters: { code: { column: 'code' } },
  times: { created_at: 'created_at' },
});

const creditRateList = defineList({
  name: 'credit_unit_rates',
  columns: rateColumns,
  from: 'credit_unit_rates',
  id: 'id',
  organization: 'organization_id',
  sorts: { rate_number: { column: 'rate_number', type: 'bigint' } },
  defaultSort: '-rate_number',
  filters: { unit: { column: 'unit' } },
});

export const creditUnitStore = {
  creditUnitList,
  creditRateList,
  /** Undefined where the code is taken. */
  addCreditUnit: async (
    db: Db,
    { code, name, metadata }: Pick<CreditUnit, 'code' | 'name' | 'metadata'>,
    now: Date,
  ): Promise<CreditUnit | undefined> => {
    const { rows } = await db.query<UnitRow>(
      `INSERT INTO credit_units (id, organization_id, code, name, metadata, version, created_at, updated_at)
       VALUES ($1, $2, $3, $4, $5, 1, $6, $6) ON CONFLICT (organization_id, code) DO NOTHING RETURNING ${columns}`,
      [newId('cru'), db.organizationId, code, name, metadata, now],
    );
    return rows[0] && fromRow(rows[0]);
  },
  /** By id or code. */
  creditUnit: async (db: Db, idOrCode: string): Promise<CreditUnit | undefined> => {
    const column = lookUpColumn('cru', idOrCode, 'code');
    const { rows } = await db.query<UnitRow>(
      `SELECT ${columns} FROM credit_units WHERE organization_id = $1 AND ${column} = $2`,
      [db.organizationId, idOrCode],
    );
    return rows[0] && fromRow(rows[0]);
  },
  creditUnits: async (db: Db, page: ListPage) => {
    const { rows, ...rest } = await listRows<UnitRow>(db, creditUnitList, db.organizationId, page);
    return { ...rest, rows: rows.map(fromRow) };
  },
  /**
   * Of every unit the longest rate into each other and each currency. All units are locked, in one order, until the
   * transaction ends: of two rates at once the second sees the first, so that they can't close a circle between them.
   */
  lockLinks: async (db: Db): Promise<ReadonlyMap<string, readonly Link[]>> => {
    await db.query('SELECT 1 FROM credit_units WHERE organization_id = $1 ORDER BY id FOR NO KEY UPDATE', [
      db.organizationId,
    ]);
    type LinkRow = { code: string; unit: string | null; integer_digits: number; decimals: number };
    const { rows } = await db.query<LinkRow>(
      `SELECT u.code, r.unit, r.integer_digits, r.decimals FROM credit_units u LEFT JOIN LATERAL (
         SELECT unit, max(scale(trim_scale(amount))) AS decimals,
           max(CASE WHEN amount < 1 THEN 0 ELSE length(trunc(amount)::text) END) AS integer_digits
         FROM credit_unit_rates WHERE credit_unit_id = u.id GROUP BY unit
       ) r ON true WHERE u.organization_id = $1 ORDER BY u.code, r.unit`,
      [db.organizationId],
    );
    const byCode = Map.groupBy(rows, ({ code }) => code);
    return new Map(
      [...byCode].map(([code, links]) => [
        code,
        links.flatMap(({ unit, integer_digits: integerDigits, decimals }) =>
          unit === null ? [] : [{ unit, integerDigits, decimals }],
        ),
      ]),
    );
  },
  /** The units must be locked. */
  addCreditRate: async (
    db: Db,
    creditUnitId: string,
    { unit, amount, effectiveFrom }: { unit: string; amount: string; effectiveFrom: Date },
    now: Date,
  ): Promise<CreditRate> => {
    const { rows } = await db.query<RateRow>(
      `INSERT INTO credit_unit_rates (id, organization_id, credit_unit_id, rate_number, effective_from, unit, amount,
         created_at)
       SELECT $1, $2, $3, coalesce(max(rate_number), 0) + 1, $4, $5, $6, $7 FROM credit_unit_rates
       WHERE organization_id = $2 AND credit_unit_id = $3 RETURNING ${rateColumns}`,
      [newId('crr'), db.organizationId, creditUnitId, effectiveFrom, unit, amount, now],
    );
    assert(rows[0]);
    return fromRateRow(rows[0]);
  },
  creditRates: async (db: Db, creditUnitId: string, page: ListPage) => {
    const fixed = { credit_unit_id: creditUnitId };
    const { rows, ...rest } = await listRows<RateRow>(db, creditRateList, db.organizationId, page, fixed);
    return { ...rest, rows: rows.map(fromRateRow) };
  },
};

export type CreditUnitStore = typeof creditUnitStore;
