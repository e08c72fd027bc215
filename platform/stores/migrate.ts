import { hash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import pg from 'pg';
import { connectClickHouse } from './clickhouse.ts';
import { linesOfNamesLikeIds, type NameLikeId, namesLikeIdsStatement } from './names-like-ids.ts';
import { logins, loginUrl } from './postgres.ts';
import { grantQueue, installQueue } from './queue.graphile.ts';

export type MigrationFile = { readonly name: string; readonly sql: string; readonly checksum: string };

const folderOf = (store: 'postgres' | 'clickhouse') => new URL(`../../schemas/${store}/`, import.meta.url);

/** The numbered files of a store in order. Throws where two share a number or one is missing. */
export const readMigrations = async (store: 'postgres' | 'clickhouse'): Promise<MigrationFile[]> => {
  const names = (await readdir(folderOf(store))).filter((name) => name.endsWith('.sql')).sort();
  names.forEach((name, index) => {
    if (Number(name.slice(0, 4)) !== index + 1)
      throw new Error(`schemas/${store}/${name}: the numbers of migrations must run on without a gap`);
  });
  return Promise.all(
    names.map(async (name) => {
      const sql = await readFile(new URL(name, folderOf(store)), 'utf8');
      return { name, sql, checksum: hash('sha256', sql, 'hex') };
    }),
  );
};

/** The files that are still due. A file that changed after it was applied is refused: a migration is history. */
export const dueMigrations = (
  files: readonly MigrationFile[],
  applied: ReadonlyMap<string, string>,
  store: string,
): MigrationFile[] =>
  files.filter((file) => {
    const checksum = applied.get(file.name);
    if (checksum !== undefined && checksum !== file.checksum)
      throw new Error(`${store} migration ${file.name} was changed after it was applied`);
    return checksum === undefined;
  });

const migratePostgres = async (client: pg.Client): Promise<string[]> => {
  await client.query(
    `CREATE TABLE IF NOT EXISTS schema_migrations
       (name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`,
  );
  const { rows } = await client.query<{ name: string; checksum: string }>(
    'SELECT name, checksum FROM schema_migrations',
  );
  const due = dueMigrations(
    await readMigrations('postgres'),
    new Map(rows.map((row) => [row.name, row.checksum])),
    'PostgreSQL',
  );
  for (const file of due) {
    await client.query('BEGIN');
    try {
      await client.query(file.sql);
      await client.query('INSERT INTO schema_migrations (name, checksum) VALUES ($1, $2)', [file.name, file.checksum]);
      await client.query('COMMIT');
    } catch (error) {
      await client.query('ROLLBACK');
      throw new Error(`PostgreSQL migration ${file.name} failed: ${(error as Error).message}`, { cause: error });
    }
  }
  return due.map((file) => `postgres/${file.name}`);
};

/**
 * ClickHouse has no transactions over schema changes: each file must be safe to run again, and is recorded after it
 * ran.
 */
const migrateClickHouse = async (url: string): Promise<string[]> => {
  const address = new URL(url);
  const database = address.pathname.slice(1) || 'default';
  address.pathname = '';
  const server = connectClickHouse(address.href, { requestTimeoutMs: 60_000, connectionsMax: 1 });
  await server.command({
    query: 'CREATE DATABASE IF NOT EXISTS {database:Identifier} ENGINE = Atomic',
    query_params: { database },
  });
  await server.close();
  const clickhouse = connectClickHouse(url, { requestTimeoutMs: 60_000, connectionsMax: 1 });
  try {
    await clickhouse.command({
      query: `CREATE TABLE IF NOT EXISTS schema_migrations
        (name String, checksum String, applied_at DateTime DEFAULT now()) ENGINE = MergeTree ORDER BY name`,
    });
    const result = await clickhouse.query({
      query: 'SELECT name, checksum FROM schema_migrations',
      format: 'JSONEachRow',
    });
    const rows = await result.json<{ name: string; checksum: string }>();
    const due = dueMigrations(
      await readMigrations('clickhouse'),
      new Map(rows.map((row) => [row.name, row.checksum])),
      'ClickHouse',
    );
    for (const file of due) {
      await clickhouse.command({ query: file.sql });
      await clickhouse.insert({
        table: 'schema_migrations',
        values: [{ name: file.name, checksum: file.checksum }],
        format: 'JSONEachRow',
      });
    }
    return due.map((file) => `clickhouse/${file.name}`);
  } finally {
    await clickhouse.close();
  }
};

const canLogIn = async (url: string): Promise<boolean> => {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 10_000 });
  try {
    await client.connect();
    return true;
  } catch {
    return false;
  } finally {
    await client.end().catch(() => {});
  }
};

/**
 * PostgreSQL's "tuple concurrently updated": roles belong to the whole server, and another database's migration gave
 * this one its password just now.
 */
const isTwinUpdate = (error: unknown): boolean => (error as { code?: string }).code === 'XX000';

/** Its code is that of any internal error; one that stays is none of a twin's. */
const twinUpdatesMax = 20;

/** The services log in by this password; a login that works already is left as it is. */
const openLogins = async (client: pg.Client, databaseUrl: string, password: string): Promise<void> => {
  for (const login of logins) {
    for (let twins = 0; !(await canLogIn(loginUrl(databaseUrl, login, password))); twins += 1) {
      try {
        await client.query(`ALTER ROLE ${login} LOGIN NOINHERIT PASSWORD ${client.escapeLiteral(password)}`);
        if (await canLogIn(loginUrl(databaseUrl, login, password))) break;
        throw new Error(`PostgreSQL does not let ${login} log in, although it was given its password`);
      } catch (error) {
        if (!isTwinUpdate(error) || twins === twinUpdatesMax) throw error;
      }
    }
  }
};

/**
 * An arbitrary constant: whoever migrates anything of Millrace holds this advisory lock of PostgreSQL, ClickHouse's
 * migrations included.
 */
const migrationLock = 7_246_012_026;

/**
 * Brings both stores up to date. Safe to call twice and from several processes at once: one works, the others wait and
 * find nothing due. Returns the names of the files that this call applied, and a warning for each row that would not be
 * taken any more.
 */
export const migrateAll = async (options: {
  /** Of the owner of the schema. */
  databaseUrl: string;
  /** For the logins of the services; without one they are left as they are. */
  databasePassword?: string;
  clickhouseUrl: string;
}): Promise<{ applied: string[]; warnings: string[] }> => {
  const client = new pg.Client({
    connectionString: options.databaseUrl,
    application_name: 'millrace migrate',
    connectionTimeoutMillis: 10_000,
  });
  await client.connect();
  try {
    await client.query('SELECT pg_advisory_lock($1)', [migrationLock]);
    // Functions of ours add jobs to the queue, and its rights are of logins that our files make.
    await installQueue(options.databaseUrl);
    const applied = [...(await migratePostgres(client)), ...(await migrateClickHouse(options.clickhouseUrl))];
    await grantQueue(client);
    if (options.databasePassword) await openLogins(client, options.databaseUrl, options.databasePassword);
    const { rows } = await client.query<NameLikeId>(namesLikeIdsStatement);
    return { applied, warnings: linesOfNamesLikeIds(rows) };
  } finally {
    // The lock belongs to the session and goes with it, also when this process is killed.
    await client.end();
  }
};
