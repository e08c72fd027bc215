/** Tax rates as rows of PostgreSQL. */
import { newId } from '#platform/process/ids.ts';
import { lookUpColumn } from '#schemas/names.ts';
import type { Instant } from '#schemas/period.ts';
import { formatPercentage, type TaxRate as RatedTax } from '#schemas/tax-rate.ts';
import { type RateRow, rateFromRow } from '../../invoicer/taxes/tax-rows.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { defineList, type ListPage } from '../route/lists.ts';
import { headFromRow, type ResourceHead, type ResourceRow } from '../route/resource-fields.ts';

export type TaxRate = ResourceHead & RatedTax & { readonly archivedAt: Instant | undefined };

export type NewTaxRate = Omit<RatedTax, 'id'> & Pick<ResourceHead, 'metadata'>;

/** What of a rate changes. */
export type TaxRateState = Pick<TaxRate, 'name' | 'validUntil' | 'metadata' | 'archivedAt'>;

type TaxRateRow = ResourceRow & RateRow & { archived_at: Date | null };

const columns = `id, code, name, trim_scale(percentage)::text AS percentage, inclusive, country, state, tax_category,
  valid_from, valid_until, archived_at, metadata, version, created_at, updated_at`;

const fromRow = (row: TaxRateRow): TaxRate => ({
  ...rateFromRow(row),
  archivedAt: row.archived_at?.getTime(),
  ...headFromRow(row),
});

const toDate = (instant: Instant | null | undefined): Date | null =>
  instant === null || instant === undefined ? null : new Date(instant);

type Archived = 'exclude' | 'include' | 'only';
const archivedIs = { exclude: 'archived_at IS NULL', include: 'true', only: 'archived_at IS NOT NULL' } as const;

const taxRateList = defineList({
  name: 'tax_rates',
  columns,
  from: 'tax_rates',
  id: 'id',
  organization: 'organization_id',
  sorts: { created_at: { column: 'created_at', type: 'timestamptz' }, code: { column: 'code', type: 'text' } },
  filters: {
    code: { column: 'code' },
    country: { column: 'country' },
    tax_category: { column: 'tax_category' },
    archived: {
      column: 'archived_at',
      choices: ['exclude', 'include', 'only'],
      default: 'exclude',
      description: 'Whether to list those that are archived.',
      test: (value, text) => `(${value}::text = 'include' OR ${archivedIs[text as Archived]})`,
    },
  },
  times: { created_at: 'created_at' },
});

const rateBy = async (db: Db, idOrCode: string, lock = ''): Promise<TaxRate | undefined> => {
  const { rows } = await db.query<TaxRateRow>(
    `SELECT ${columns} FROM tax_rates
     WHERE organization_id = $1 AND ${lookUpColumn('txr', idOrCode, 'code')} = $2 ${lock}`,
    [db.organizationId, idOrCode],
  );
  return rows[0] && fromRow(rows[0]);
};

export const taxRateStore = {
  taxRateList,
  /** Undefined where the code is taken. */
  addTaxRate: async (db: Db, rate: NewTaxRate, now: Date): Promise<TaxRate | undefined> => {
    const { rows } = await db.query<TaxRateRow>(
      `INSERT INTO tax_rates (id, organization_id, code, name, percentage, inclusive, country, state, tax_category,
         valid_from, valid_until, metadata, version, created_at, updated_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1, $13, $13)
       ON CONFLICT (organization_id, code) DO NOTHING RETURNING ${columns}`,
      [
        ...[newId('txr'), db.organizationId, rate.code, rate.name, formatPercentage(rate.percentage), rate.inclusive],
        ...[rate.country, rate.state, rate.taxCategory, toDate(rate.validFrom), toDate(rate.validUntil)],
        ...[rate.metadata, now],
      ],
    );
    return rows[0] && fromRow(rows[0]);
  },
  /** By id or code. */
  taxRate: (db: Db, idOrCode: string): Promise<TaxRate | undefined> => rateBy(db, idOrCode),
  /** The same, which no customer is given meanwhile. */
  lockTaxRate: (db: Db, idOrCode: string): Promise<TaxRate | undefined> => rateBy(db, idOrCode, 'FOR NO KEY UPDATE'),
  taxRates: async (db: Db, page: ListPage) => {
    const { rows, ...rest } = await listRows<TaxRateRow>(db, taxRateList, db.organizationId, page);
    return { ...rest, rows: rows.map(fromRow) };
  },
  /** The row must be locked. */
  changeTaxRate: async (
    db: Db,
    id: string,
    { name, validUntil, metadata, archivedAt }: TaxRateState,
    now: Date,
  ): Promise<TaxRate> => {
    const { rows } = await db.query<TaxRateRow>(
      `UPDATE tax_rates SET name = $3, valid_until = $4, metadata = $5, archived_at = $6, version = version + 1,
         updated_at = $7
       WHERE organization_id = $1 AND id = $2 RETURNING ${columns}`,
      [db.organizationId, id, name, toDate(validUntil), metadata, toDate(archivedAt), now],
    );
    return fromRow(rows[0] as TaxRateRow);
  },
  /** Whether a customer names it. */
  isTaxRateNamed: async (db: Db, id: string): Promise<boolean> => {
    const { rowCount } = await db.query(
      `SELECT 1 FROM customers WHERE organization_id = $1 AND tax_rate_ids <> '{}' AND tax_rate_ids @> ARRAY[$2::text]
       AND erased_at IS NULL LIMIT 1`,
      [db.organizationId, id],
    );
    return Boolean(rowCount);
  },
  /** By the ids or codes that they are named by, each locked against its archival; what is archived is missing. */
  holdTaxRates: async (db: Db, names: readonly string[]): Promise<ReadonlyMap<string, string>> => {
    if (names.length === 0) return new Map();
    const columnOf = (name: string) => lookUpColumn('txr', name, 'code');
    const { rows } = await db.query<{ id: string; code: string }>(
      `SELECT id, code FROM tax_rates WHERE organization_id = $1 AND archived_at IS NULL
         AND id IN (SELECT id FROM tax_rates WHERE organization_id = $1 AND id = ANY ($2)
           UNION ALL SELECT id FROM tax_rates WHERE organization_id = $1 AND code = ANY ($3))
       ORDER BY id FOR SHARE`,
      [
        db.organizationId,
        names.filter((name) => columnOf(name) === 'id'),
        names.filter((name) => columnOf(name) === 'code'),
      ],
    );
    return new Map(rows.flatMap(({ id, code }) => [[id, id] as const, [code, id] as const]));
  },
};

export type TaxRateStore = typeof taxRateStore;
