/** Issuing entities, as rows of PostgreSQL. */
import { newId } from '#platform/process/ids.ts';
import {
  type IssuingEntity as EntityTerms,
  type IssuingEntityRow as EntityTermsRow,
  issuingEntityColumns,
  issuingEntityFromRow,
} from '#schemas/issuing-entity.ts';
import type { Instant } from '#schemas/period.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { defineList, type ListPage } from '../route/lists.ts';
import { headFromRow, type ResourceHead, type ResourceRow } from '../route/resource-fields.ts';

export type IssuingEntity = ResourceHead & EntityTerms & { readonly archivedAt: Instant | null };
export type EntityContent = Omit<EntityTerms, 'id'> & Pick<IssuingEntity, 'archivedAt' | 'metadata'>;

type EntityRow = ResourceRow & EntityTermsRow & { archived_at: Date | null };

const columns = `${issuingEntityColumns}, archived_at, metadata, version, created_at, updated_at`;

const fromRow = (row: EntityRow): IssuingEntity => ({
  ...issuingEntityFromRow(row),
  archivedAt: row.archived_at?.getTime() ?? null,
  ...headFromRow(row),
});

const archivedIs = { exclude: 'archived_at IS NULL', include: 'true', only: 'archived_at IS NOT NULL' } as const;

const entityList = defineList({
  name: 'issuing-entities',
  columns,
  from: 'issuing_entities',
  id: 'id',
  organization: 'organization_id',
  sorts: { created_at: { column: 'created_at', type: 'timestamptz' } },
  filters: {
    archived: {
      column: 'archived_at',
      choices: ['exclude', 'include', 'only'],
      default: 'exclude',
      description: 'Whether to list those that are archived.',
      test: (value, text) => `(${value}::text = 'include' OR ${archivedIs[text as keyof typeof archivedIs]})`,
    },
  },
  times: { created_at: 'created_at' },
});

const valuesOf = ({ numberFormat, ...entity }: EntityContent, now: Date): unknown[] => [
  entity.legalName,
  entity.address,
  JSON.stringify(entity.taxIds),
  entity.timeZone,
  numberFormat.prefix,
  numberFormat.includesYear,
  numberFormat.padding,
  numberFormat.reset,
  entity.creditNotePrefix,
  entity.archivedAt === null ? null : new Date(entity.archivedAt),
  entity.metadata,
  now,
];

/** What document numbers of invoices and of credit notes begin with. */
export type EntityPrefixes = { readonly invoices: string; readonly creditNotes: string };

/** With a year behind it a prefix may come to the text of another one: all of these are held to be the same. */
const alikes = (prefix: string): readonly string[] => {
  const bare = prefix.replace(/[0-9]{4}-$/, '');
  return [bare, prefix, ...Array.from({ length: 200 }, (_, year) => `${bare}${2000 + year}-`)];
};

const prefixOf = {
  invoices: 'number_prefix',
  creditNotes: `coalesce(credit_note_prefix,
    CASE number_prefix WHEN 'INV-' THEN 'CN-' ELSE 'CN-' || number_prefix END)`,
} as const;
const seriesOf = { invoices: 'numbering_series', creditNotes: 'credit_note_numbering' } as const;

/** `prefix` is that of a kind of documents, `alike` those of the other kind that it must not meet; $2 is the entity. */
const takenOf = (kind: keyof EntityPrefixes, prefix: string, alike: string): string => {
  const other = kind === 'invoices' ? 'creditNotes' : 'invoices';
  return `
  SELECT '${kind}' AS kind FROM issuing_entities
  WHERE organization_id = $1 AND ${prefixOf[kind]} = ${prefix} AND id <> coalesce($2, '')
  UNION ALL
  SELECT '${kind}' FROM ${seriesOf[kind]}
  WHERE organization_id = $1 AND prefix = ${prefix} AND issuing_entity_id <> coalesce($2, '')
  UNION ALL
  SELECT '${kind}' FROM issuing_entities
  WHERE organization_id = $1 AND ${prefixOf[other]} = ANY (${alike}::text[]) AND id <> coalesce($2, '')
  UNION ALL
  SELECT '${kind}' FROM ${seriesOf[other]} WHERE organization_id = $1 AND prefix = ANY (${alike}::text[])`;
};
const takenStatement = `SELECT DISTINCT kind FROM (${takenOf('invoices', '$3', '$4')}
  UNION ALL ${takenOf('creditNotes', '$5', '$6')}) AS taken`;

const lockings = { lock: 'FOR NO KEY UPDATE', keep: 'FOR SHARE' } as const;

export const issuingEntityStore = {
  entityList,
  /** Undefined where another one has the prefix. */
  addEntity: async (db: Db, entity: EntityContent, now: Date): Promise<IssuingEntity | undefined> => {
    const { rows } = await db.query<EntityRow>(
      `INSERT INTO issuing_entities (id, organization_id, legal_name, address, tax_ids, time_zone, number_prefix,
         number_year, number_padding, number_reset, credit_note_prefix, archived_at, metadata, version, created_at,
         updated_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 1, $14, $14)
       ON CONFLICT DO NOTHING RETURNING ${columns}`,
      [newId('ent'), db.organizationId, ...valuesOf(entity, now)],
    );
    return rows[0] && fromRow(rows[0]);
  },
  /** `lock` holds the row until the transaction ends, `keep` only keeps others from changing it. */
  entity: async (db: Db, id: string, locking?: keyof typeof lockings): Promise<IssuingEntity | undefined> => {
    const { rows } = await db.query<EntityRow>(
      `SELECT ${columns} FROM issuing_entities WHERE organization_id = $1 AND id = $2
       ${locking ? lockings[locking] : ''}`,
      [db.organizationId, id],
    );
    return rows[0] && fromRow(rows[0]);
  },
  /**
   * Which of the prefixes another one has, or had and issued under it; or the other kind of documents has, of whichever
   * issuer.
   */
  takenPrefixes: async (
    db: Db,
    prefixes: EntityPrefixes,
    id: string | null,
  ): Promise<readonly (keyof EntityPrefixes)[]> => {
    const { rows } = await db.query<{ kind: keyof EntityPrefixes }>(takenStatement, [
      db.organizationId,
      id,
      prefixes.invoices,
      alikes(prefixes.invoices),
      prefixes.creditNotes,
      alikes(prefixes.creditNotes),
    ]);
    return rows.map(({ kind }) => kind);
  },
  /** The row must be locked. */
  changeEntity: async (db: Db, id: string, entity: EntityContent, now: Date): Promise<IssuingEntity> => {
    const { rows } = await db.query<EntityRow>(
      `UPDATE issuing_entities SET legal_name = $3, address = $4, tax_ids = $5, time_zone = $6, number_prefix = $7,
         number_year = $8, number_padding = $9, number_reset = $10, credit_note_prefix = $11, archived_at = $12,
         metadata = $13, version = version + 1, updated_at = $14
       WHERE organization_id = $1 AND id = $2 RETURNING ${columns}`,
      [db.organizationId, id, ...valuesOf(entity, now)],
    );
    return fromRow(rows[0] as EntityRow);
  },
  /** Whether new invoices are issued by it: it is the organization's, or that of a customer. */
  isIssuing: async (db: Db, id: string): Promise<boolean> => {
    const { rows } = await db.query<{ is_issuing: boolean }>(
      `SELECT EXISTS (SELECT 1 FROM organizations WHERE id = $1 AND issuing_entity_id = $2)
         OR EXISTS (SELECT 1 FROM customers WHERE organization_id = $1 AND issuing_entity_id = $2) AS is_issuing`,
      [db.organizationId, id],
    );
    return rows[0]?.is_issuing === true;
  },
  entities: async (db: Db, page: ListPage) => {
    const { rows, ...rest } = await listRows<EntityRow>(db, entityList, db.organizationId, page);
    return { ...rest, rows: rows.map(fromRow) };
  },
};

export type IssuingEntityStore = typeof issuingEntityStore;
