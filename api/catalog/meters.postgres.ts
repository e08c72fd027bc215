/** Meters and their versions, and which versions a plan version is bound to. */
import { newId } from '#platform/process/ids.ts';
import { type MeterDefinition, type MeterDefinitionJson, meterDefinitionToJson } from '#schemas/meter.ts';
import { lookUpColumn } from '#schemas/names.ts';
import type { Instant } from '#schemas/period.ts';
import { meterOf, type MeterVersion as PinnedMeter } from '#schemas/stored-meter.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { defineList, type ListPage } from '../route/lists.ts';
import { headFromRow, type ResourceHead, type ResourceRow } from '../route/resource-fields.ts';

/** A meter as its newest version stands for it; the definition in the canonical JSON that it was made with. */
export type Meter = ResourceHead & {
  readonly id: string;
  readonly code: string;
  readonly name: string;
  readonly versionId: string;
  readonly versionNumber: number;
  readonly definition: MeterDefinitionJson;
};

export type MeterVersion = {
  readonly id: string;
  readonly meterId: string;
  readonly versionNumber: number;
  readonly definition: MeterDefinitionJson;
  readonly createdAt: Instant;
};

type MeterRow = ResourceRow & {
  id: string;
  code: string;
  name: string;
  meter_version_id: string;
  version_number: number;
  definition: MeterDefinitionJson;
};

type MeterVersionRow = {
  id: string;
  meter_id: string;
  version_number: number;
  definition: MeterDefinitionJson;
  created_at: Date;
};

type PinnedRow = Pick<MeterRow, 'code' | 'version_number' | 'meter_version_id' | 'definition'>;

const fromRow = (row: MeterRow): Meter => ({
  id: row.id,
  code: row.code,
  name: row.name,
  versionId: row.meter_version_id,
  versionNumber: row.version_number,
  definition: row.definition,
  ...headFromRow(row),
});

const fromVersionRow = (row: MeterVersionRow): MeterVersion => ({
  id: row.id,
  meterId: row.meter_id,
  versionNumber: row.version_number,
  definition: row.definition,
  createdAt: row.created_at.getTime(),
});

const fromPinnedRow = ({ code, version_number, meter_version_id, definition }: PinnedRow): PinnedMeter =>
  meterOf({ code, versionNumber: version_number, versionId: meter_version_id, definition });

export type NewMeter = {
  readonly code: string;
  readonly name: string;
  readonly definition: MeterDefinition;
  readonly metadata: Record<string, string>;
};

/** What may change of a meter or a plan without a new version. */
export type NamePatch = { readonly name: string; readonly metadata: Record<string, string> };

export type MeterChange = NamePatch & {
  /** Null where it stays. */
  readonly definition: MeterDefinition | null;
};

const columns = `m.id, m.code, m.name, m.metadata, m.version, m.created_at, m.updated_at,
  v.id AS meter_version_id, v.version_number, v.definition`;
const versionColumns = 'id, meter_id, version_number, definition, created_at';
// The newest version stands for the meter. One that ended is there for what names it, and for nobody else.
const from = `(SELECT * FROM meters WHERE deleted_at IS NULL) m
  JOIN LATERAL (SELECT * FROM meter_versions WHERE meter_id = m.id ORDER BY version_number DESC LIMIT 1) v ON true`;

const meterList = defineList({
  name: 'meters',
  columns,
  from,
  id: 'm.id',
  organization: 'm.organization_id',
  sorts: { created_at: { column: 'm.created_at', type: 'timestamptz' }, code: { column: 'm.code', type: 'text' } },
  filters: { code: { column: 'm.code' }, event: { column: 'v.event' } },
  times: { created_at: 'm.created_at' },
});

const meterVersionList = defineList({
  name: 'meter_versions',
  columns: versionColumns,
  from: 'meter_versions',
  id: 'id',
  organization: 'organization_id',
  sorts: { version_number: { column: 'version_number', type: 'bigint' } },
  defaultSort: '-version_number',
});

const addVersion = (db: Db, meterId: string, number: number, definition: MeterDefinition, now: Date) =>
  db.query(
    `INSERT INTO meter_versions
       (id, organization_id, meter_id, version_number, event, aggregation, definition, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
    [
      ...[newId('mtv'), db.organizationId, meterId, number, definition.event, definition.aggregation],
      ...[JSON.stringify(meterDefinitionToJson(definition)), now],
    ],
  );

const meterBy = async (db: Db, column: 'id' | 'code', value: string): Promise<Meter | undefined> => {
  const { rows } = await db.query<MeterRow>(
    `SELECT ${columns} FROM ${from} WHERE m.organization_id = $1 AND m.${column} = $2`,
    [db.organizationId, value],
  );
  return rows[0] && fromRow(rows[0]);
};

const meterById = (db: Db, id: string): Promise<Meter | undefined> => meterBy(db, 'id', id);

export const meterStore = {
  meterList,
  meterVersionList,
  /** With its first version. Undefined where the code is taken. */
  addMeter: async (db: Db, meter: NewMeter, now: Date): Promise<Meter | undefined> => {
    const id = newId('mtr');
    const added = await db.query(
      `INSERT INTO meters (id, organization_id, code, name, metadata, version, created_at, updated_at)
       VALUES ($1, $2, $3, $4, $5, 1, $6, $6) ON CONFLICT (organization_id, code) WHERE deleted_at IS NULL DO NOTHING`,
      [id, db.organizationId, meter.code, meter.name, meter.metadata, now],
    );
    if (!added.rowCount) return undefined;
    await addVersion(db, id, 1, meter.definition, now);
    return meterById(db, id);
  },
  /** By id or code. */
  meter: (db: Db, idOrCode: string): Promise<Meter | undefined> =>
    meterBy(db, lookUpColumn('mtr', idOrCode, 'code'), idOrCode),
  /**
   * The meter as it is when its row is locked: what is read is the row that was locked, by its id. A plan that is made
   * meanwhile waits, and so does this for one that is being made.
   */
  lockMeter: async (db: Db, idOrCode: string): Promise<Meter | undefined> => {
    const column = lookUpColumn('mtr', idOrCode, 'code');
    const { rows } = await db.query<{ id: string }>(
      `SELECT id FROM meters WHERE organization_id = $1 AND deleted_at IS NULL AND ${column} = $2 FOR NO KEY UPDATE`,
      [db.organizationId, idOrCode],
    );
    return rows[0] && meterById(db, rows[0].id);
  },
  /** The row must be locked. */
  changeMeter: async (
    db: Db,
    { id, versionNumber }: Meter,
    { name, metadata, definition }: MeterChange,
    now: Date,
  ): Promise<Meter | undefined> => {
    await db.query(
      `UPDATE meters SET name = $3, metadata = $4, version = version + 1, updated_at = $5
       WHERE organization_id = $1 AND id = $2`,
      [db.organizationId, id, name, metadata, now],
    );
    if (definition) await addVersion(db, id, versionNumber + 1, definition, now);
    return meterById(db, id);
  },
  /** False where a plan version charges by it, or a feature is measured by it. The row must be locked. */
  endMeter: async (db: Db, id: string, now: Date): Promise<boolean> => {
    const { rowCount } = await db.query(
      `UPDATE meters SET deleted_at = $3, version = version + 1, updated_at = $3 WHERE organization_id = $1 AND id = $2
       AND NOT EXISTS (SELECT 1 FROM plan_version_meters p JOIN meter_versions v ON v.id = p.meter_version_id
         WHERE v.meter_id = $2)
       AND NOT EXISTS (SELECT 1 FROM features WHERE meter_id = $2 AND deleted_at IS NULL)`,
      [db.organizationId, id, now],
    );
    return rowCount === 1;
  },
  meters: async (db: Db, page: ListPage) => {
    const { rows, ...rest } = await listRows<MeterRow>(db, meterList, db.organizationId, page);
    return { ...rest, rows: rows.map(fromRow) };
  },
  meterVersions: async (db: Db, meterId: string, page: ListPage) => {
    const fixed = { meter_id: meterId };
    const { rows, ...rest } = await listRows<MeterVersionRow>(db, meterVersionList, db.organizationId, page, fixed);
    return { ...rest, rows: rows.map(fromVersionRow) };
  },
  allMeters: async (db: Db): Promise<Meter[]> => {
    const { rows } = await db.query<MeterRow>(
      `SELECT ${columns} FROM ${from} WHERE m.organization_id = $1 ORDER BY m.code`,
      [db.organizationId],
    );
    return rows.map(fromRow);
  },
  /** The meter of that id as one of its versions had it. */
  meterVersion: async (db: Db, meterId: string, number: number): Promise<MeterVersion | undefined> => {
    const { rows } = await db.query<MeterVersionRow>(
      `SELECT ${versionColumns} FROM meter_versions
       WHERE organization_id = $1 AND meter_id = $2 AND version_number = $3`,
      [db.organizationId, meterId, number],
    );
    return rows[0] && fromVersionRow(rows[0]);
  },
  /**
   * The meters by code, each locked against a change until the transaction ends; codes that no meter has are missing.
   */
  newestVersions: async (db: Db, codes: readonly string[]): Promise<ReadonlyMap<string, string>> => {
    await db.query(
      `SELECT 1 FROM meters WHERE organization_id = $1 AND deleted_at IS NULL AND code = ANY ($2)
       ORDER BY id FOR SHARE`,
      [db.organizationId, codes],
    );
    const { rows } = await db.query<{ code: string; meter_version_id: string }>(
      `SELECT m.code, v.id AS meter_version_id FROM ${from} WHERE m.organization_id = $1 AND m.code = ANY ($2)`,
      [db.organizationId, codes],
    );
    return new Map(rows.map(({ code, meter_version_id: id }) => [code, id]));
  },
  /** Binds a plan version to versions of meters, by code, for good. */
  pinMeters: async (db: Db, planVersionId: string, versions: ReadonlyMap<string, string>): Promise<void> => {
    if (versions.size === 0) return;
    await db.query(
      `INSERT INTO plan_version_meters (organization_id, plan_version_id, meter_code, meter_version_id)
       SELECT $1, $2, code, id FROM unnest($3::text[], $4::text[]) AS pinned (code, id)`,
      [db.organizationId, planVersionId, [...versions.keys()], [...versions.values()]],
    );
  },
  /** The meters that a plan version charges by, in the versions that it was made with. */
  pinnedMeters: async (db: Db, planVersionId: string): Promise<PinnedMeter[]> => {
    const { rows } = await db.query<PinnedRow>(
      `SELECT p.meter_code AS code, v.version_number, v.id AS meter_version_id, v.definition
       FROM plan_version_meters p JOIN meter_versions v ON v.id = p.meter_version_id
       WHERE p.organization_id = $1 AND p.plan_version_id = $2 ORDER BY p.meter_code`,
      [db.organizationId, planVersionId],
    );
    return rows.map(fromPinnedRow);
  },
};
