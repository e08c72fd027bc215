/**
 * Changes rows as the owner of the database may who means ill: past triggers, keys and checks. All of it is taken back.
 */
import type { Postgres, Queryable } from '#platform/stores/postgres.ts';
import { type AuditedObject, auditedObjects, type ChildRows } from '#schemas/audited-objects.ts';
import { verifyChains } from '../../api/verify/verify-chains.postgres.ts';
import { verifyChanges, verifyStrays } from '../../api/verify/verify-changes.postgres.ts';
import { verifyCredits } from '../../api/verify/verify-credits.postgres.ts';

export type Column = { readonly name: string; readonly type: string };

/** Every table of the schema with its columns, but those that follow from others. */
export const readTables = async (db: Queryable): Promise<ReadonlyMap<string, readonly Column[]>> => {
  const { rows } = await db.query<{ table: string; columns: Column[] }>(
    `SELECT c.table_name AS "table", json_agg(json_build_object('name', c.column_name, 'type', c.data_type)
       ORDER BY c.ordinal_position) AS columns
     FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema, table_name)
     WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE' AND c.is_generated = 'NEVER'
       AND c.table_name NOT LIKE 'kept\\_%'
     GROUP BY 1 ORDER BY 1`,
  );
  return new Map(rows.map(({ table, columns }) => [table, columns]));
};

/** Another value of the same type, as little away as it can be. */
const otherValue: Readonly<Record<string, (column: string) => string>> = {
  text: (column) => `coalesce(${column}, '') || 'x'`,
  boolean: (column) => `NOT coalesce(${column}, false)`,
  integer: (column) => `coalesce(${column}, 0) + 1`,
  bigint: (column) => `coalesce(${column}, 0) + 1`,
  numeric: (column) => `coalesce(${column}, 0) + 1`,
  'timestamp with time zone': (column) => `coalesce(${column}, now()) + interval '1 microsecond'`,
  bytea: (column) => `coalesce(${column}, '') || '\\x01'`,
  ARRAY: (column) => `array_append(coalesce(${column}, '{}'), 'x')`,
  jsonb: (column) => `coalesce(${column}, '{}') || '{"tampered": "x"}'`,
  json: (column) => `to_json(coalesce(${column}::text, 'x'))`,
};

export const changedTo = ({ name, type }: Column): string => {
  const other = otherValue[type];
  if (!other) throw new Error(`no other value is known for the type ${type}`);
  return other(name);
};

const dropConstraints = async (client: Queryable, table: string): Promise<void> => {
  const { rows } = await client.query<{ drop: string }>(
    `SELECT format('ALTER TABLE %I DROP CONSTRAINT IF EXISTS %I CASCADE', $1::text, conname) AS drop FROM pg_constraint
     WHERE conrelid = $1::regclass AND contype IN ('p', 'u', 'c', 'f')
     UNION ALL SELECT format('DROP INDEX %s', i.indexrelid::regclass) FROM pg_index i WHERE i.indrelid = $1::regclass
       AND i.indisunique
       AND NOT EXISTS (SELECT 1 FROM pg_constraint c WHERE c.conindid = i.indexrelid)`,
    [table],
  );
  for (const { drop } of rows) await client.query(drop);
};

/** Every fault that a verification finds, as the command words it. */
export const verifyAll = async (db: Queryable): Promise<string[]> => {
  const { rows } = await db.query<{ id: string }>(
    'SELECT id FROM organizations UNION SELECT organization_id FROM audit_heads ORDER BY 1',
  );
  const faults: string[] = [];
  for (const { id: organizationId } of rows) {
    for (const { chain, lane, fault } of await verifyChains(db, organizationId, []))
      if (fault) faults.push(`${chain === 'audit' ? `audit ${lane}` : chain} (${fault.id}): ${fault.reason}`);
    for await (const found of verifyChanges(db, organizationId))
      faults.push(...found.rows.map(({ kind, id, reason }) => `${kind} (${id}): ${reason}`));
    const credits = await verifyCredits(db, organizationId);
    faults.push(...credits.rows.map(({ kind, id, reason }) => `${kind} (${id}): ${reason}`));
  }
  for (const found of await verifyStrays(db))
    faults.push(...found.rows.map(({ kind, id, reason }) => `${kind} (${id}): ${reason}`));
  return faults;
};

const deadlock = '40P01';

class TakenBack extends Error {}

/** One row of a table, changed by a statement. */
export type Tampering = { readonly table: string; readonly sql: string; readonly values?: readonly unknown[] };

/** What a verification finds after all of them. Nothing of it stays. */
export const faultsAfter = async (owner: Postgres, ...tamperings: readonly Tampering[]): Promise<string[]> => {
  let faults: string[] = [];
  const tampering = owner.transaction(async (client) => {
    await client.query("SET LOCAL session_replication_role = 'replica'");
    for (const { table } of tamperings) await dropConstraints(client, table);
    for (const { sql, values = [] } of tamperings) {
      const { rowCount } = await client.query(sql, values);
      if (rowCount !== 1) throw new Error(`${rowCount} rows were changed by ${sql}`);
    }
    faults = await verifyAll(client);
    throw new TakenBack();
  });
  try {
    await tampering;
  } catch (error) {
    // The services go on meanwhile; where their locks and these wait for each other, PostgreSQL takes back one, and
    // this one is begun anew.
    const { code, cause } = error as { code?: string; cause?: { code?: string } };
    if (code === deadlock || cause?.code === deadlock) return faultsAfter(owner, ...tamperings);
    if (!(error instanceof TakenBack)) throw error;
  }
  return faults;
};

/** A change, how the fault that it must lead to begins, and what it is called where it leads to none. */
export type NamedTampering = Tampering & { readonly named: string; readonly name: string };

/** By its rows everything else is found. */
const alone = 'organizations';
/** A change of one of these may lead to faults of the others as well. */
const entwined = new Set([
  'billing_periods',
  'billing_runs',
  'billing_run_shards',
  'invoices',
  'invoice_lines',
  'rated_lines',
]);
const areApart = (one: NamedTampering, other: NamedTampering): boolean =>
  one.named !== other.named &&
  one.table !== other.table &&
  one.table !== alone &&
  other.table !== alone &&
  !(entwined.has(one.table) && entwined.has(other.table));

/**
 * The names of those that led to no fault of their object. Many are made at once, each of another object, so that each
 * fault has one cause.
 */
export const missedOf = async (owner: Postgres, all: readonly NamedTampering[]): Promise<string[]> => {
  const batches: NamedTampering[][] = [];
  for (const one of all) {
    const batch = batches.find((others) => others.every((other) => areApart(one, other)));
    if (batch) batch.push(one);
    else batches.push([one]);
  }
  const missed: string[] = [];
  for (const batch of batches) {
    const faults = await faultsAfter(owner, ...batch);
    for (const { named, name } of batch) if (!faults.some((fault) => fault.startsWith(named))) missed.push(name);
  }
  return missed;
};

/** How a fault in a row of this table names its object: the kind, and the id as an expression over the row `r`. */
export type Naming = { readonly kind: string; readonly id: string };

const childNamings = (
  kind: string,
  children: readonly ChildRows[],
  idOf: (parent: string) => string,
): [string, Naming][] =>
  children.flatMap(({ table, parent, children: below = [] }) => [
    [table, { kind, id: idOf(`r.${parent}`) }] as [string, Naming],
    ...childNamings(kind, below, (child) => idOf(`(SELECT p.${parent} FROM ${table} p WHERE p.id = ${child})`)),
  ]);

/** By table; of every one that a verification covers. */
export const namings: ReadonlyMap<string, Naming> = new Map<string, Naming>([
  ...(Object.entries(auditedObjects) as [string, AuditedObject][]).flatMap(
    ([kind, { table, children, idColumn = 'id' }]): [string, Naming][] => [
      [table, { kind, id: `r.${idColumn}` }],
      ...childNamings(kind, children, (parent) => parent),
    ],
  ),
  ['invoice_lines', { kind: 'invoices', id: 'r.invoice_id' }],
  [
    'rated_lines',
    {
      kind: 'rated_lines',
      id: `(SELECT s.run_id || '/' || s.shard_number FROM billing_run_shards s
          WHERE r.billing_period_id = ANY (s.billing_period_ids) LIMIT 1)`,
    },
  ],
]);
