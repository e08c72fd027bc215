/**
 * Holds the objects against the audit log: a row that came, changed or went without an entry was touched by nobody who
 * may. Each object as it stands has the stored digest of its last entry, over every column
 * (schemas/audited-objects.ts); an object's version counts its changes, so it has as many entries; its entries are
 * numbered, whichever lanes they stand in; and each entry's object is there. Rows from before there was an audit log
 * have no entries and are left out; entries from before there were stored digests are counted alone.
 */

import { entriesOf, ratedLinesDigestAsStored, storedDigests } from '#platform/audit/stored-digest.ts';
import type { Queryable } from '#platform/stores/postgres.ts';
import { type ComesWith, idOfAudited } from '#schemas/audited-object.ts';
import { type AuditedObject, type AuditedType, auditedObjects, type ChildRows } from '#schemas/audited-objects.ts';
import type { FaultyRow } from './verify-chains.postgres.ts';

/** Of one kind; `more` are not in the list. */
export type ChangeFaults = { readonly rows: readonly FaultyRow[]; readonly more: number };

/** So many objects are read and digested in one statement. */
const batchMax = 2_000;
/** So many faulty rows are named for each kind. */
const namedMax = 100;

/** Of a row that comes with another object: whether it is as it may be without an entry, and its first version. */
const followsColumns = ({ firstVersion, always, atFirst }: ComesWith): string =>
  `${always} AND (t.version > ${firstVersion} OR ${atFirst}) IS TRUE AS follows, ${firstVersion} AS first_version,
          `;

/** $1 is the organization, $2 from which time on a row has to have an entry, $3 behind which id the batch begins. */
const statementOf = (objectType: AuditedType, object: AuditedObject): string => {
  const { table, organization, createdAt, isVersioned, comesWith } = object;
  const id = idOfAudited(object);
  const isInvoice = objectType === 'invoice';
  const counted = isVersioned ? '(t.created_at >= $2 OR e.created) AND e.changes <> t.version' : 'false';
  const isUnaccounted = comesWith
    ? // The time says nothing of them, and stands here for its type.
      'NOT t.follows OR coalesce(e.changes, 0) <> t.version - t.first_version OR $2::timestamptz IS NULL'
    : `t.created_at >= $2 AND e.created IS NOT TRUE OR ${counted}`;
  return `SELECT count(*)::integer AS count, (array_agg(j.id ORDER BY j.place DESC))[1] AS last,
      coalesce(json_agg(json_build_object('id', j.id, 'reason', j.reason) ORDER BY j.place)
        FILTER (WHERE j.reason IS NOT NULL), '[]') AS faults
    FROM (
      SELECT t.id, t.place, CASE
        WHEN ${isUnaccounted} THEN 'change_without_entry'
        ${isInvoice ? "WHEN e.after IS DISTINCT FROM t.hash THEN 'change_without_entry'" : ''}
        WHEN e.digests <> '{}' AND NOT t.digests && e.digests THEN 'differs_from_last_entry'
      END AS reason
      FROM (
        SELECT t.${id} AS id${organization === 'id' ? '' : `, t.${organization}`},
          t.${createdAt} AS created_at${isVersioned ? ', t.version' : ''}${isInvoice ? ', t.hash' : ''},
          ${comesWith ? followsColumns(comesWith) : ''}${storedDigests(object)} AS digests,
          row_number() OVER (ORDER BY t.${id}) AS place
        FROM (SELECT * FROM ${table} WHERE ${organization} = $1 AND ${id} > $3 ORDER BY ${id} LIMIT ${batchMax}) t
      ) t
      LEFT JOIN LATERAL (
        ${entriesOf(objectType)}
      ) e ON true
    ) j`;
};

/** Objects of entries that are not there; none is ever deleted. */
const goneStatement = (objectType: AuditedType, { table, organization, idColumn = 'id' }: AuditedObject): string =>
  `SELECT DISTINCT a.object_id AS id FROM audit_log a WHERE a.organization_id = $1 AND a.object_type = '${objectType}'
     AND NOT EXISTS (
       SELECT 1 FROM ${table} t WHERE t.${idColumn} = a.object_id AND t.${organization} IN (
         SELECT o.id FROM organizations o WHERE o.id = $1 OR o.sandbox_of = $1)
     ) ORDER BY 1`;

/** Objects that have no row of what comes with each of them. */
const missingStatement = ({ table, idColumn = 'id' }: AuditedObject, { of }: ComesWith): string =>
  `SELECT o.id FROM ${of.table} o WHERE o.${of.organization} = $1
     AND NOT EXISTS (SELECT 1 FROM ${table} t WHERE t.${idColumn} = o.id) ORDER BY 1`;

/**
 * Objects whose entries are not numbered without a gap. Forms 1 and 2 do not hash the number, which is the order in
 * their one lane.
 */
const numbersStatement = `SELECT DISTINCT a.object_type AS type, a.object_id AS id FROM (
    SELECT a.object_type, a.object_id, a.object_sequence,
      row_number() OVER (PARTITION BY a.object_id ORDER BY a.object_sequence, a.id) AS place,
      row_number() OVER (PARTITION BY a.object_id ORDER BY a.canonical_version > 2, a.sequence) AS place_by_sequence,
      a.canonical_version
    FROM audit_log a WHERE a.organization_id = $1
  ) a WHERE a.object_sequence <> a.place OR (a.canonical_version < 3 AND a.object_sequence <> a.place_by_sequence)
  ORDER BY 1, 2`;

/** Shards whose rated lines are not those that were rated. */
const ratedStatement = `SELECT s.run_id || '/' || s.shard_number AS id FROM billing_run_shards s
  JOIN billing_runs r ON r.id = s.run_id
  WHERE r.organization_id = $1 AND s.lines_digest IS NOT NULL
    AND s.lines_digest IS DISTINCT FROM ${ratedLinesDigestAsStored}
  ORDER BY 1`;

/** Lines that no shard rated. */
const strayLinesStatement = `SELECT DISTINCT l.subscription_id AS id FROM rated_lines l WHERE l.organization_id = $1
  AND NOT EXISTS (
    SELECT 1 FROM billing_runs r JOIN billing_run_shards s ON s.run_id = r.id,
      unnest(s.billing_period_ids) AS rated (id)
    WHERE r.organization_id = $1 AND rated.id = l.billing_period_id AND r.watermark = l.watermark
  ) AND NOT EXISTS (
    SELECT 1 FROM billing_runs r JOIN billing_run_shards s ON s.run_id = r.id, unnest(s.subscription_ids) AS rated (id)
    WHERE r.organization_id = $1 AND rated.id = l.subscription_id AND r.period_start = l.period_start
      AND r.watermark = l.watermark
  ) ORDER BY 1`;

/**
 * From then on no row came without an entry. Not since the first entry of the organization: what stands beside it is as
 * old as that, or made to look so.
 */
const selectSince = "SELECT applied_at AS since FROM schema_migrations WHERE name = '0002_platform.sql'";

const objects = Object.entries(auditedObjects) as [AuditedType, AuditedObject][];

type Found = { readonly id: string; readonly reason: string };

const collect = (kind: string) => {
  const rows: FaultyRow[] = [];
  let more = 0;
  return {
    add: ({ id, reason }: Found): void => {
      if (rows.length < namedMax) rows.push({ number: undefined, kind, id, reason });
      else more += 1;
    },
    faults: (): ChangeFaults => ({ rows, more }),
  };
};

const verifyKind = async (
  db: Queryable,
  organizationId: string,
  type: AuditedType,
  object: AuditedObject,
  since: Date,
): Promise<ChangeFaults> => {
  const { add, faults } = collect(type);
  const statement = statementOf(type, object);
  for (let after = ''; ; ) {
    const { rows } = await db.query<{ count: number; last: string | null; faults: Found[] }>(statement, [
      organizationId,
      since,
      after,
    ]);
    const [batch] = rows;
    for (const fault of batch?.faults ?? []) add(fault);
    if (!batch || batch.last === null || batch.count < batchMax) break;
    after = batch.last;
  }
  const gone = await db.query<{ id: string }>(goneStatement(type, object), [organizationId]);
  for (const { id } of gone.rows) add({ id, reason: 'row_is_gone' });
  if (object.comesWith) {
    const missing = await db.query<{ id: string }>(missingStatement(object, object.comesWith), [organizationId]);
    for (const { id } of missing.rows) add({ id, reason: 'row_is_gone' });
  }
  return faults();
};

/** The rows of an organization that its audit log does not account for, kind by kind. */
export async function* verifyChanges(db: Queryable, organizationId: string): AsyncGenerator<ChangeFaults> {
  const { rows } = await db.query<{ since: Date }>(selectSince);
  const since = rows[0]?.since as Date;
  for (const [type, object] of objects) yield await verifyKind(db, organizationId, type, object, since);
  const unnumbered = await db.query<{ type: string; id: string }>(numbersStatement, [organizationId]);
  for (const [type, some] of Map.groupBy(unnumbered.rows, (row) => row.type)) {
    const entries = collect(type);
    for (const { id } of some) entries.add({ id, reason: 'entry_is_missing' });
    yield entries.faults();
  }
  const { add, faults } = collect('rated_lines');
  for (const { id } of (await db.query<{ id: string }>(ratedStatement, [organizationId])).rows)
    add({ id, reason: 'differs_from_last_entry' });
  for (const { id } of (await db.query<{ id: string }>(strayLinesStatement, [organizationId])).rows)
    add({ id, reason: 'change_without_entry' });
  yield faults();
}

const childTables = (parentTable: string, children: readonly ChildRows[]): [string, ChildRows][] =>
  children.flatMap((child) => [
    [parentTable, child] as [string, ChildRows],
    ...childTables(child.table, child.children ?? []),
  ]);

/** Rows that belong to an object that is not there, of all organizations. */
export const verifyStrays = async (db: Queryable): Promise<ChangeFaults[]> => {
  const all: ChangeFaults[] = [];
  const children = objects.flatMap(([, object]) => childTables(object.table, object.children));
  for (const [parentTable, { table, parent }] of [
    ...children,
    ['invoices', { table: 'invoice_lines', parent: 'invoice_id' }] as const,
    ['credit_notes', { table: 'credit_note_lines', parent: 'credit_note_id' }] as const,
  ]) {
    const { add, faults } = collect(table);
    const { rows } = await db.query<{ id: string }>(
      `SELECT DISTINCT c.${parent} AS id FROM ${table} c WHERE c.${parent} IS NOT NULL
         AND NOT EXISTS (SELECT 1 FROM ${parentTable} p WHERE p.id = c.${parent}) ORDER BY 1`,
    );
    for (const { id } of rows) add({ id, reason: 'change_without_entry' });
    all.push(faults());
  }
  return all;
};
