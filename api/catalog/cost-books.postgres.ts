/** Cost books and their versions, which are only ever added. */
import assert from 'node:assert/strict';
import { newId } from '#platform/process/ids.ts';
import { type CostEntryJson, type Costs, entryToJson } from '#schemas/cost-book.ts';
import { formatAmount } from '#schemas/money.ts';
import { lookUpColumn } from '#schemas/names.ts';
import type { Instant } from '#schemas/period.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { defineList, type ListPage } from '../route/lists.ts';
import { headFromRow, type ResourceHead, type ResourceRow } from '../route/resource-fields.ts';

type VersionName = { readonly id: string; readonly versionNumber: number; readonly effectiveFrom: Instant };

export type CostBook = ResourceHead & {
  readonly id: string;
  readonly code: string;
  readonly name: string;
  readonly dimensions: readonly string[];
  readonly currency: string;
};

/** The version that is in force, and the one that comes then, by the id of their book. */
export type VersionsAround = {
  readonly inForce: VersionName | undefined;
  readonly next: VersionName | undefined;
};

export type CostBookVersionHead = VersionName & {
  readonly costBookId: string;
  readonly entryCount: number;
  readonly defaultCost: string;
  readonly createdAt: Instant;
};
export type CostBookVersion = CostBookVersionHead & { readonly entries: readonly CostEntryJson[] };

type BookRow = ResourceRow & { id: string; code: string; name: string; dimensions: string[]; currency: string };
type AroundRow = {
  book_id: string;
  id: string | null;
  version_number: number;
  effective_from: Date;
  next_id: string | null;
  next_number: number;
  next_from: Date;
};
type HeadRow = {
  id: string;
  cost_book_id: string;
  version_number: number;
  effective_from: Date;
  entry_count: number;
  default_cost: string;
  created_at: Date;
};
type VersionRow = HeadRow & { entries: CostEntryJson[] };

const fromRow = ({ id, code, name, dimensions, currency, ...row }: BookRow): CostBook => ({
  id,
  code,
  name,
  dimensions,
  currency,
  ...headFromRow(row),
});

const fromHeadRow = (row: HeadRow): CostBookVersionHead => ({
  id: row.id,
  costBookId: row.cost_book_id,
  versionNumber: row.version_number,
  effectiveFrom: row.effective_from.getTime(),
  entryCount: row.entry_count,
  defaultCost: row.default_cost,
  createdAt: row.created_at.getTime(),
});

export type NewCostBook = Pick<CostBook, 'code' | 'name' | 'dimensions' | 'currency' | 'metadata'>;

const columns = 'id, code, name, dimensions, currency, metadata, version, created_at, updated_at';
const headColumns = `id, cost_book_id, version_number, effective_from, json_array_length(entries) AS entry_count,
  trim_scale(default_cost)::text AS default_cost, created_at`;

const costBookList = defineList({
  name: 'cost_books',
  columns,
  from: 'cost_books',
  id: 'id',
  organization: 'organization_id',
  sorts: { created_at: { column: 'created_at', type: 'timestamptz' }, code: { column: 'code', type: 'text' } },
  filters: { code: { column: 'code' }, currency: { column: 'currency' } },
  times: { created_at: 'created_at' },
});

const costBookVersionList = defineList({
  name: 'cost_book_versions',
  columns: headColumns,
  from: 'cost_book_versions',
  id: 'id',
  organization: 'organization_id',
  sorts: { version_number: { column: 'version_number', type: 'bigint' } },
  defaultSort: '-version_number',
});

const bookBy = async (db: Db, column: 'id' | 'code', value: string, lock = ''): Promise<CostBook | undefined> => {
  const { rows } = await db.query<BookRow>(
    `SELECT ${columns} FROM cost_books WHERE organization_id = $1 AND ${column} = $2 ${lock}`,
    [db.organizationId, value],
  );
  return rows[0] && fromRow(rows[0]);
};

export const costBookStore = {
  costBookList,
  costBookVersionList,
  /** Undefined where the code is taken. */
  addCostBook: async (db: Db, book: NewCostBook, now: Date): Promise<CostBook | undefined> => {
    const { rows } = await db.query<BookRow>(
      `INSERT INTO cost_books (id, organization_id, code, name, dimensions, currency, metadata, version, created_at,
         updated_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $8) ON CONFLICT (organization_id, code) DO NOTHING
       RETURNING ${columns}`,
      [
        ...[newId('cbk'), db.organizationId, book.code, book.name, book.dimensions, book.currency],
        ...[book.metadata, now],
      ],
    );
    return rows[0] && fromRow(rows[0]);
  },
  /** By id or code. */
  costBook: (db: Db, idOrCode: string): Promise<CostBook | undefined> =>
    bookBy(db, lookUpColumn('cbk', idOrCode, 'code'), idOrCode),
  /** The same, so that no other version of it comes meanwhile. */
  lockCostBook: (db: Db, idOrCode: string): Promise<CostBook | undefined> =>
    bookBy(db, lookUpColumn('cbk', idOrCode, 'code'), idOrCode, 'FOR NO KEY UPDATE'),
  costBooks: async (db: Db, page: ListPage) => {
    const { rows, ...rest } = await listRows<BookRow>(db, costBookList, db.organizationId, page);
    return { ...rest, rows: rows.map(fromRow) };
  },
  versionsAround: async (db: Db, ids: readonly string[], at: Date): Promise<ReadonlyMap<string, VersionsAround>> => {
    const one = 'SELECT id, version_number, effective_from FROM cost_book_versions WHERE cost_book_id = b.id';
    const { rows } = await db.query<AroundRow>(
      `SELECT b.id AS book_id, v.*, n.id AS next_id, n.version_number AS next_number, n.effective_from AS next_from
       FROM cost_books b
         LEFT JOIN LATERAL (${one} AND effective_from <= $3 ORDER BY effective_from DESC, version_number DESC LIMIT 1
         ) v ON true
         LEFT JOIN LATERAL (${one} AND effective_from > $3 ORDER BY effective_from, version_number DESC LIMIT 1
         ) n ON true
       WHERE b.organization_id = $1 AND b.id = ANY ($2)`,
      [db.organizationId, ids, at],
    );
    const name = (id: string | null, versionNumber: number, from: Date): VersionName | undefined =>
      id === null ? undefined : { id, versionNumber, effectiveFrom: from.getTime() };
    return new Map(
      rows.map((row) => [
        row.book_id,
        {
          inForce: name(row.id, row.version_number, row.effective_from),
          next: name(row.next_id, row.next_number, row.next_from),
        },
      ]),
    );
  },
  /** How many entries its versions have that begin within so many days of an instant. */
  entriesNear: async (db: Db, bookId: string, instant: Date, days: number): Promise<number> => {
    const { rows } = await db.query<{ entries: number }>(
      `SELECT coalesce(sum(json_array_length(entries)), 0)::integer AS entries FROM cost_book_versions
       WHERE organization_id = $1 AND cost_book_id = $2
         AND effective_from BETWEEN $3::timestamptz - make_interval(days => $4)
           AND $3::timestamptz + make_interval(days => $4)`,
      [db.organizationId, bookId, instant, days],
    );
    return rows[0]?.entries ?? 0;
  },
  /** The book must be locked. */
  addCostBookVersion: async (
    db: Db,
    bookId: string,
    { entries, defaultCost }: Costs,
    effectiveFrom: Date,
    now: Date,
  ): Promise<CostBookVersion> => {
    const { rows } = await db.query<VersionRow>(
      `INSERT INTO cost_book_versions (id, organization_id, cost_book_id, version_number, effective_from, entries,
         default_cost, created_at)
       SELECT $1, $2, $3, coalesce(max(version_number), 0) + 1, $4, $5, $6, $7 FROM cost_book_versions
       WHERE organization_id = $2 AND cost_book_id = $3 RETURNING ${headColumns}, entries`,
      [
        ...[newId('cbv'), db.organizationId, bookId, effectiveFrom, JSON.stringify(entries.map(entryToJson))],
        ...[formatAmount(defaultCost), now],
      ],
    );
    assert(rows[0]);
    return { ...fromHeadRow(rows[0]), entries: rows[0].entries };
  },
  costBookVersions: async (db: Db, bookId: string, page: ListPage) => {
    const fixed = { cost_book_id: bookId };
    const { rows, ...rest } = await listRows<HeadRow>(db, costBookVersionList, db.organizationId, page, fixed);
    return { ...rest, rows: rows.map(fromHeadRow) };
  },
  costBookVersion: async (db: Db, bookId: string, number: number): Promise<CostBookVersion | undefined> => {
    const { rows } = await db.query<VersionRow>(
      `SELECT ${headColumns}, entries FROM cost_book_versions
       WHERE organization_id = $1 AND cost_book_id = $2 AND version_number = $3`,
      [db.organizationId, bookId, number],
    );
    return rows[0] && { ...fromHeadRow(rows[0]), entries: rows[0].entries };
  },
};

export type CostBookStore = typeof costBookStore;
