/** A database of its own in which organizations, customers and their sealed values are put by hand, without the API. */
import { randomBytes } from 'node:crypto';
import { pino } from 'pino';
import { type Clock, systemClock } from '#platform/process/clock.ts';
import { newId } from '#platform/process/ids.ts';
import { deriveKey, ivBytes, sealValue, unwrapDataKey } from '#platform/secrets/encryption.ts';
import { createVault, type MasterKeys, masterKeysFrom, type Place } from '#platform/secrets/vault.ts';
import { migrateAll } from '#platform/stores/migrate.ts';
import {
  connectPostgres,
  type OrganizationPostgres,
  type Postgres,
  type Queryable,
} from '#platform/stores/postgres.ts';
import { freshStores } from './fresh-stores.ts';
import type { ServerUrls } from './pipeline.ts';

export const oldMaster = randomBytes(32).toString('base64');
export const newMaster = randomBytes(32).toString('base64url');
export const masterKeys = masterKeysFrom({ masterKey: oldMaster, previousMasterKey: '' });
export const vaultWith = (keys: MasterKeys = masterKeys, clock: Clock = systemClock) =>
  createVault({ masterKeys: keys, clock });

/** `own` is the key of the customer, where it has one. */
export const personalOf = (organizationId: string, customerId: string, own?: Buffer): Place => ({
  organizationId,
  table: 'customers',
  column: 'personal',
  row: customerId,
  key: { kind: 'customer', customerId, own },
});
export const secretOf = (organizationId: string, keyId: string): Place => ({
  organizationId,
  table: 'api_keys',
  column: 'signing_secret',
  row: keyId,
  key: { kind: 'secret' },
});
export const answerOf = (organizationId: string, key: string): Place => ({
  organizationId,
  table: 'idempotency_keys',
  column: 'body',
  row: key,
  key: { kind: 'answer' },
});

/** `own`: the key of a customer that has one. */
export const addCustomers = async (
  db: Queryable,
  organizationId: string,
  rows: readonly { id: string; personal: Buffer | null; name?: string; own?: Buffer }[],
): Promise<void> => {
  await db.query(
    `INSERT INTO customers (id, organization_id, external_id, name, personal, metadata, version, created_at, updated_at)
     SELECT n.id, $1, 'of ' || n.id, n.name, n.personal, '{}', 1, now(), now()
     FROM unnest($2::text[], $3::bytea[], $4::text[]) AS n (id, personal, name)`,
    [
      organizationId,
      rows.map(({ id }) => id),
      rows.map(({ personal }) => personal),
      rows.map(({ name }) => name ?? null),
    ],
  );
  const keyed = rows.filter(({ own }) => own !== undefined);
  await db.query(
    `INSERT INTO customer_keys (organization_id, customer_id, wrapped)
     SELECT $1, n.id, n.wrapped FROM unnest($2::text[], $3::bytea[]) AS n (id, wrapped)`,
    [organizationId, keyed.map(({ id }) => id), keyed.map(({ own }) => own)],
  );
};

/** Seals personal fields as they were sealed before customers had keys of their own. */
export const sealingDerived = async (
  db: OrganizationPostgres,
): Promise<(customerId: string, text: string) => Buffer> => {
  const { organizationId } = db;
  await vaultWith().prepare(db, organizationId);
  const { rows } = await db.query<{ version: number; wrapped: Buffer }>(
    'SELECT version, wrapped FROM data_keys WHERE organization_id = $1 ORDER BY version DESC LIMIT 1',
    [organizationId],
  );
  const { version, wrapped } = rows[0] as { version: number; wrapped: Buffer };
  const dataKey = unwrapDataKey(masterKeys.current, wrapped, organizationId, version);
  return (customerId, text) => {
    const key = deriveKey(dataKey, { kind: 'customer', customerId });
    return sealValue(key, version, personalOf(organizationId, customerId), Buffer.from(text), randomBytes(ivBytes));
  };
};

/** The same customers as `addSealedCustomers` makes, from before they had keys of their own. */
export const addDerivedCustomers = async (
  db: OrganizationPostgres,
  count: number,
  textOf = (id: string): string => id,
): Promise<string[]> => {
  const ids = Array.from({ length: count }, () => newId('cus')).toSorted();
  const seal = await sealingDerived(db);
  await addCustomers(
    db,
    db.organizationId,
    ids.map((id) => ({ id, personal: seal(id, textOf(id)) })),
  );
  return ids;
};

/** As many customers as asked for, in the order of their ids, each sealed with its id as the plaintext. */
export const addSealedCustomers = async (
  db: OrganizationPostgres,
  count: number,
  vault = vaultWith(),
): Promise<string[]> => {
  const ids = Array.from({ length: count }, () => newId('cus')).toSorted();
  const keys: Buffer[] = [];
  for (const id of ids) keys.push(await vault.newOwnKey(db, db.organizationId, id));
  const sealed = await vault.sealMany(
    db,
    ids.map((id, index) => ({ place: personalOf(db.organizationId, id, keys[index]), plaintext: Buffer.from(id) })),
  );
  await addCustomers(
    db,
    db.organizationId,
    ids.map((id, index) => ({ id, personal: sealed[index] as Buffer, own: keys[index] as Buffer })),
  );
  return ids;
};

export const addSecret = (db: OrganizationPostgres, keyId: string, sealed: Buffer) =>
  db.query(
    `INSERT INTO api_keys (id, organization_id, name, key_hash, scopes, signing_secret, created_at, updated_at)
     VALUES ($1, $2, 'A key', $3, '{}', $4, now(), now())`,
    [keyId, db.organizationId, randomBytes(32), sealed],
  );

export const addAnswer = (db: OrganizationPostgres, key: string, sealed: Buffer) =>
  db.query(
    `INSERT INTO idempotency_keys (organization_id, key, fingerprint, status, headers, body, created_at, expires_at)
     VALUES ($1, $2, '', 201, '{}', $3, now(), now() + interval '1 day')`,
    [db.organizationId, key, sealed],
  );

export type SealedDatabase = {
  readonly databaseUrl: string;
  readonly owner: Postgres;
  readonly gateway: Postgres;
  /** A new organization, as the API sees it. */
  readonly newOrganization: () => Promise<OrganizationPostgres>;
  readonly dataKeysOf: (organizationId: string) => Promise<{ version: number; master_key_id: string }[]>;
  readonly personalRows: (organizationId: string) => Promise<{ id: string; personal: Buffer; own: Buffer | null }[]>;
  /** What a process that has just started reads of every customer, in the order of their ids. */
  readonly openAll: (db: OrganizationPostgres, keys?: MasterKeys) => Promise<Map<string, string>>;
  readonly close: () => Promise<void>;
};

export const createSealedDatabase = async (urls: ServerUrls): Promise<SealedDatabase> => {
  const { databaseUrl, clickhouseUrl } = await freshStores(urls);
  await migrateAll({ databaseUrl, clickhouseUrl });
  const log = pino({ level: 'silent' });
  const owner = connectPostgres(databaseUrl, { poolMax: 4, waitMsMax: 60_000, log });
  const as = (login: string) =>
    connectPostgres(`${databaseUrl}?options=-c%20role%3D${login}`, { poolMax: 8, waitMsMax: 60_000, log });
  const [application, gateway] = [as('millrace_app'), as('millrace_gateway')];
  const personalRows: SealedDatabase['personalRows'] = async (organizationId) =>
    (
      await owner.query(
        `SELECT c.id, c.personal, k.wrapped AS own FROM customers c LEFT JOIN customer_keys k ON k.customer_id = c.id
         WHERE c.organization_id = $1 ORDER BY c.id`,
        [organizationId],
      )
    ).rows;
  return {
    databaseUrl,
    owner,
    gateway,
    personalRows,
    newOrganization: async () => {
      const id = newId('org');
      await owner.query(
        "INSERT INTO organizations (id, name, created_at, tier) VALUES ($1, 'An organization', now(), 'scale')",
        [id],
      );
      return application.forOrganization(id);
    },
    dataKeysOf: async (organizationId) =>
      (
        await owner.query('SELECT version, master_key_id FROM data_keys WHERE organization_id = $1 ORDER BY version', [
          organizationId,
        ])
      ).rows,
    openAll: async (db, keys = masterKeys) => {
      const rows = await personalRows(db.organizationId);
      const opened = await vaultWith(keys).openMany(
        db,
        rows.map(({ id, personal, own }) => ({
          place: personalOf(db.organizationId, id, own ?? undefined),
          sealed: personal,
        })),
      );
      // The salt of details is random, and no test says it.
      const textOf = (bytes: Buffer | undefined) => String(bytes).replace(/,"details_salt":"[0-9a-f]{64}"/, '');
      return new Map(rows.map(({ id }, index) => [id, textOf(opened[index])]));
    },
    close: async () => {
      await Promise.all([owner.close(), application.close(), gateway.close()]);
    },
  };
};

/** Every row of every table as text, bytes also as they would look in clear: what a dump of the database shows. */
export const dumpOf = async (owner: Queryable): Promise<string> => {
  const { rows: tables } = await owner.query<{ name: string; bytes: string[] }>(
    `SELECT table_name AS name, array_remove(array_agg(CASE WHEN data_type = 'bytea' THEN column_name::text END),
       NULL) AS bytes
     FROM information_schema.columns WHERE table_schema = 'public' GROUP BY table_name`,
  );
  const parts: string[] = [];
  for (const { name, bytes } of tables) {
    const columns = ['t::text', ...bytes.map((column) => `encode(t.${column}, 'escape')`)];
    const { rows } = await owner.query<{ line: string }>(
      `SELECT concat_ws(E'\\t', ${columns.join(', ')}) AS line FROM ${name} t`,
    );
    parts.push(...rows.map(({ line }) => line));
  }
  return parts.join('\n');
};

/**
 * The texts that a dump gives away: as they are, in hex, or in base64 at any of the three offsets within what was
 * encoded.
 */
export const clearTextsIn = (dump: string, texts: readonly string[]): string[] => {
  const lower = dump.toLowerCase();
  const base64Of = (text: string, offset: number) =>
    Buffer.concat([Buffer.alloc(offset), Buffer.from(text)])
      .toString('base64')
      // The first and last characters also hold bits of what stands beside the text.
      .slice(offset === 0 ? 0 : 4, -4);
  return texts.filter(
    (text) =>
      dump.includes(text) ||
      lower.includes(Buffer.from(text).toString('hex')) ||
      [0, 1, 2].some(
        (offset) =>
          dump.includes(base64Of(text, offset)) ||
          dump.includes(base64Of(text, offset).replaceAll('+', '-').replaceAll('/', '_')),
      ),
  );
};
