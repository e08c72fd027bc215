/**
 * Rotation of the keys that encrypt at rest, as the owner of the schema. The order of effects:
 *
 * 1. data keys that the previous master key wraps are wrapped by the current one; from then on the previous one is not
 * needed
 * 2. on demand, each organization gets a new data key, which the processes see within a minute
 * 3. values in clear, from before there was encryption, are sealed
 * 4. values under an older data key are sealed under the newest one, the own keys of customers among them; what is of a
 * customer and still under a key that was derived is sealed under a new key of its own, which is written with it
 * 5. data keys that were replaced and seal nothing any more are deleted
 *
 * Every statement is complete in itself and changes a row only if it still holds what was read. So a rotation may be
 * killed anywhere, run again, run twice at once, and run beside processes that write: what they write meanwhile stays,
 * and the next run finds it.
 */
import { randomBytes } from 'node:crypto';
import { type AuditedType, auditedObjects } from '#schemas/audited-objects.ts';
import type { SealedColumn } from '#schemas/sealed-columns.ts';
import { recordChange } from '../audit/record-change.ts';
import { lockAccounted } from '../audit/stored-digest.ts';
import type { Clock } from '../process/clock.ts';
import type { Postgres, Queryable } from '../stores/postgres.ts';
import { ivBytes, unwrapDataKey, wrapDataKey } from './encryption.ts';
import { insertOwnKeys } from './own-keys.ts';
import { createVault, type MasterKeys, masterKeyOf, type Place, type Vault } from './vault.ts';

type RotatedColumn = {
  readonly name: string;
  readonly sealedFromClear: number;
  readonly resealed: number;
  /** Written by processes meanwhile, under the key that they knew. */
  readonly left: number;
};

export type RotationReport = {
  readonly masterKeyId: string;
  readonly dataKeys: number;
  readonly rewrapped: number;
  readonly renewed: number;
  readonly columns: readonly RotatedColumn[];
  readonly deleted: number;
  /** Replaced, and sealing something still or replaced a short while ago. */
  readonly kept: number;
};

export type RotationOptions = {
  readonly masterKeys: MasterKeys;
  readonly columns: readonly SealedColumn[];
  /** Whether each organization gets a new data key; without it a run finishes what earlier ones began. */
  readonly renewDataKeys: boolean;
  readonly clock: Clock;
  readonly signal?: AbortSignal;
};

type RotationDb = Pick<Postgres, 'query' | 'transaction'>;

type Rotation = {
  readonly clock: Clock;
  readonly db: RotationDb;
  readonly vault: Vault;
  readonly signal: AbortSignal | undefined;
};

const batchRowsMax = 500;
/** A process seals under a replaced key for up to a minute, and its transaction may take a while to commit. */
const replacedMsMin = 3_600_000;

const rewrapAll = async (db: Queryable, masterKeys: MasterKeys): Promise<{ dataKeys: number; rewrapped: number }> => {
  const { rows } = await db.query<{ organization_id: string; version: number; master_key_id: string; wrapped: Buffer }>(
    'SELECT organization_id, version, master_key_id, wrapped FROM data_keys ORDER BY organization_id, version',
  );
  // All of them before anything is changed: a key of which the master key is not given must stop this, and not be found
  // halfway.
  const wrappedBy = rows.map((row) => ({ ...row, master: masterKeyOf(masterKeys, row.master_key_id) }));
  let rewrapped = 0;
  for (const { organization_id: organizationId, version, wrapped, master } of wrappedBy) {
    if (master === masterKeys.current) continue;
    const dataKey = unwrapDataKey(master, wrapped, organizationId, version);
    const next = wrapDataKey(masterKeys.current, dataKey, organizationId, version, randomBytes(ivBytes));
    const { rowCount } = await db.query(
      `UPDATE data_keys SET master_key_id = $1, wrapped = $2
       WHERE organization_id = $3 AND version = $4 AND wrapped = $5`,
      [masterKeys.current.id, next, organizationId, version, wrapped],
    );
    rewrapped += rowCount ?? 0;
  }
  return { dataKeys: rows.length, rewrapped };
};

type SealedRow = { readonly row: string; readonly customer: string | null };

const placeOf = (
  { table, column, kind }: SealedColumn,
  organizationId: string,
  { row, customer }: SealedRow,
  own?: Buffer,
): Place =>
  ({
    organizationId,
    table,
    column,
    row,
    key: kind === 'customer' ? { kind, customerId: customer, own } : { kind },
  }) as Place;

/** New keys of the customers of the rows, where customers' keys seal the column. */
const newOwnKeys = async (
  { db, vault }: Rotation,
  { kind }: SealedColumn,
  rows: readonly (SealedRow & { readonly organization_id: string })[],
): Promise<Buffer[]> => {
  const keys: Buffer[] = [];
  if (kind !== 'customer') return keys;
  for (const { organization_id: organizationId, customer } of rows)
    keys.push(await vault.newOwnKey(db, organizationId, customer as string));
  return keys;
};

const customerColumn = ({ customer }: SealedColumn): string => (customer ? `t.${customer}` : 'NULL');

// The names in these statements are those of `sealedColumns`.
const selectClear = (column: SealedColumn): string =>
  `SELECT t.organization_id, t.${column.row} AS row, ${customerColumn(column)} AS customer, t.${column.clear} AS clear
   FROM ${column.table} t
   WHERE t.${column.column} IS NULL AND t.${column.clear} IS NOT NULL ORDER BY t.organization_id, t.${column.row}
   LIMIT ${batchRowsMax}`;
/**
 * The update of a batch, with the new keys of its rows: a row that was not changed after all, as someone else wrote it
 * meanwhile, gets none.
 */
const withOwnKeys = ({ kind, row, customer }: SealedColumn, update: string, rows: string, keys: string): string =>
  kind !== 'customer'
    ? `${update} RETURNING t.${row} AS row, t.organization_id`
    : `WITH changed AS (${update} RETURNING t.${row} AS row, t.${customer} AS customer, t.organization_id), keyed AS (
       ${insertOwnKeys(
         'c.organization_id',
         'c.customer',
         'k.wrapped',
         `changed c JOIN unnest(${rows}, ${keys}) AS k (row, wrapped) ON k.row = c.row`,
       )}
     )
     SELECT row, organization_id FROM changed`;
const updateClear = (column: SealedColumn): string =>
  withOwnKeys(
    column,
    `UPDATE ${column.table} t SET ${column.column} = n.sealed, ${column.clear} = NULL
     FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[]) AS n (organization_id, row, clear, sealed)
     WHERE t.organization_id = n.organization_id AND t.${column.row} = n.row AND t.${column.clear} = n.clear
       AND t.${column.column} IS NULL`,
    '$2::text[]',
    '$5::bytea[]',
  );

/** Of a value that a key of the organization seals. */
const isOrganizations = (column: string): string => `substring(t.${column} FROM 1 FOR 1) = '\\x01'`;
/**
 * The version stands in bytes 2 to 5 (encryption.ts). An answer that is still to come is empty. What a derived key of a
 * customer seals is older whatever its version: a key of its own is to seal it.
 */
const isOlder = ({ column, kind }: SealedColumn, organization: string, version: string): string =>
  `t.organization_id = ${organization} AND octet_length(t.${column}) > 5 AND ${isOrganizations(column)}
     AND (${kind === 'customer'} OR substring(t.${column} FROM 2 FOR 4) <> int4send(${version}))`;
const selectOlder = (column: SealedColumn): string =>
  `SELECT t.organization_id, t.${column.row} AS row, ${customerColumn(column)} AS customer, t.${column.column} AS sealed
   FROM ${column.table} t
   WHERE ${isOlder(column, '$1', '$2::integer')} AND t.${column.row} > $3 ORDER BY t.${column.row}
   LIMIT ${batchRowsMax}`;
// The range keeps it, too, from reading the whole organization for each batch.
const updateOlder = (column: SealedColumn): string =>
  withOwnKeys(
    column,
    `UPDATE ${column.table} t SET ${column.column} = n.next
     FROM unnest($2::text[], $3::bytea[], $4::bytea[]) AS n (row, sealed, next)
     WHERE t.organization_id = $1 AND t.${column.row} > $5 AND t.${column.row} <= $6 AND t.${column.row} = n.row
       AND t.${column.column} = n.sealed`,
    '$2::text[]',
    '$7::bytea[]',
  );
const newestVersions =
  'SELECT organization_id, max(version) AS version FROM data_keys GROUP BY organization_id ORDER BY organization_id';
const countOlder = (column: SealedColumn): string =>
  `SELECT count(*)::integer AS count FROM (${newestVersions}) k
   JOIN ${column.table} t ON ${isOlder(column, 'k.organization_id', 'k.version')}`;

const replacedKeys = (condition: string): string =>
  `data_keys d WHERE EXISTS (SELECT 1 FROM data_keys n
     WHERE n.organization_id = d.organization_id AND n.version > d.version${condition})`;
const sealsNothing = ({ table, column }: SealedColumn): string =>
  `NOT EXISTS (SELECT 1 FROM ${table} t
     WHERE t.organization_id = d.organization_id AND ${isOrganizations(column)}
       AND substring(t.${column} FROM 2 FOR 4) = int4send(d.version))`;
const deleteUnused = (columns: readonly SealedColumn[]): string =>
  [
    'DELETE FROM',
    replacedKeys(' AND n.created_at < $1'),
    ...columns.map((column) => `AND ${sealsNothing(column)}`),
  ].join(' ');

const auditedTypeOf = ({ table }: SealedColumn): AuditedType | undefined =>
  (Object.keys(auditedObjects) as AuditedType[]).find((type) => auditedObjects[type].table === table);

/**
 * Runs the update of a batch with the audit entries of the rows that it changed. A row that its last entry does not
 * account for gets none: a rotation must not cover up what was done to it before. Resolves with how many rows changed.
 */
const updateAudited = (
  { db, clock }: Rotation,
  column: SealedColumn,
  ids: readonly string[],
  sql: string,
  values: readonly unknown[],
) =>
  db.transaction(async (client) => {
    const type = auditedTypeOf(column);
    const accounted = type === undefined ? new Set() : await lockAccounted(client, type, ids);
    const { rows } = await client.query<{ row: string; organization_id: string }>(sql, values);
    const changed = Map.groupBy(
      rows.filter(({ row }) => accounted.has(row)),
      (row) => row.organization_id,
    );
    for (const [organizationId, some] of [...changed].sort()) {
      const entries = some.map(({ row }) => ({
        action: `${type}.resealed`,
        objectType: type as string,
        objectId: row,
      }));
      await recordChange(
        { query: client.query, organizationId },
        { actor: 'rotate-keys', requestId: undefined, result: 'done' },
        entries,
        clock.nowMs(),
      );
    }
    return rows.length;
  });

/** Batch by batch: what is sealed is not found again. A row that someone changed in between is. */
const sealClear = async (rotation: Rotation, column: SealedColumn): Promise<number> => {
  const { db, vault, signal } = rotation;
  const { clear: name } = column;
  if (name === undefined) return 0;
  for (let count = 0; ; ) {
    signal?.throwIfAborted();
    const { rows } = await db.query<SealedRow & { organization_id: string; clear: string }>(selectClear(column));
    if (rows.length === 0) return count;
    const keys = await newOwnKeys(rotation, column, rows);
    const sealed = await vault.sealMany(
      db,
      rows.map((row, index) => ({
        place: placeOf(column, row.organization_id, row, keys[index]),
        plaintext: Buffer.from(JSON.stringify({ [name]: row.clear })),
      })),
    );
    const ofRows = (field: 'organization_id' | 'row' | 'clear') => rows.map((row) => row[field]);
    const values = [
      ofRows('organization_id'),
      ofRows('row'),
      ofRows('clear'),
      sealed,
      ...(keys.length > 0 ? [keys] : []),
    ];
    count += await updateAudited(rotation, column, ofRows('row'), updateClear(column), values);
  }
};

const reseal = async (
  rotation: Rotation,
  column: SealedColumn,
  organizationId: string,
  version: number,
): Promise<number> => {
  const { db, vault, signal } = rotation;
  let count = 0;
  for (let after = ''; ; ) {
    signal?.throwIfAborted();
    const { rows } = await db.query<SealedRow & { organization_id: string; sealed: Buffer }>(selectOlder(column), [
      organizationId,
      version,
      after,
    ]);
    const last = rows.at(-1);
    if (!last) return count;
    const values = rows.map((row) => ({ place: placeOf(column, organizationId, row), sealed: row.sealed }));
    const opened = await vault.openMany(db, values);
    const keys = await newOwnKeys(rotation, column, rows);
    const next = await vault.sealMany(
      db,
      rows.map((row, index) => ({
        place: placeOf(column, organizationId, row, keys[index]),
        plaintext: opened[index] as Buffer,
      })),
    );
    const ids = rows.map(({ row }) => row);
    const given = values.map(({ sealed }) => sealed);
    count += await updateAudited(rotation, column, ids, updateOlder(column), [
      organizationId,
      ids,
      given,
      next,
      after,
      last.row,
      ...(keys.length > 0 ? [keys] : []),
    ]);
    after = last.row;
  }
};

const rotateColumn = async (rotation: Rotation, column: SealedColumn): Promise<RotatedColumn> => {
  const { db } = rotation;
  // Without statistics each batch reads a large organization as a whole.
  await db.query(`ANALYZE ${column.table}`);
  const sealedFromClear = await sealClear(rotation, column);
  const newest = await db.query<{ organization_id: string; version: number }>(newestVersions);
  let resealed = 0;
  for (const { organization_id: organizationId, version } of newest.rows) {
    resealed += await reseal(rotation, column, organizationId, version);
  }
  const left = await db.query<{ count: number }>(countOlder(column));
  return { name: `${column.table}.${column.column}`, sealedFromClear, resealed, left: left.rows[0]?.count ?? 0 };
};

export const rotateKeys = async (db: RotationDb, options: RotationOptions): Promise<RotationReport> => {
  const { masterKeys, clock, signal } = options;
  const { dataKeys, rewrapped } = await rewrapAll(db, masterKeys);
  const vault = createVault({ masterKeys, clock });
  const renewed = options.renewDataKeys ? (await db.query<{ organization_id: string }>(newestVersions)).rows : [];
  for (const { organization_id: organizationId } of renewed) await vault.renew(db, organizationId);
  const columns: RotatedColumn[] = [];
  for (const column of options.columns) columns.push(await rotateColumn({ db, clock, vault, signal }, column));
  const { rowCount: deleted } = await db.query(deleteUnused(options.columns), [
    new Date(clock.nowMs() - replacedMsMin),
  ]);
  const kept = await db.query<{ count: number }>(`SELECT count(*)::integer AS count FROM ${replacedKeys('')}`);
  return {
    masterKeyId: masterKeys.current.id,
    dataKeys,
    rewrapped,
    renewed: renewed.length,
    columns,
    deleted: deleted ?? 0,
    kept: kept.rows[0]?.count ?? 0,
  };
};
