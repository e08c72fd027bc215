/** A database of a test's own in PostgreSQL, and one in ClickHouse. */
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { migrateAll } from '#platform/stores/migrate.ts';

export type FreshStores = { readonly name: string; readonly databaseUrl: string; readonly clickhouseUrl: string };

/** Of two databases that are migrated already, to be copied: that takes a third of the CPU of their migrations. */
export type StoresTemplate = {
  /** Of both. */
  readonly name: string;
  /** What makes the one in ClickHouse, which copies no database. A group needs what the groups before it made. */
  readonly statements: readonly (readonly string[])[];
};

type StoreUrls = { readonly postgres: string; readonly clickhouse: string; readonly template?: StoresTemplate };

const inPostgres = async (url: string, ...statements: readonly string[]): Promise<void> => {
  const maker = new pg.Client({ connectionString: url });
  await maker.connect();
  for (const statement of statements) await maker.query(statement);
  await maker.end();
};

/** The answer, as text. */
const inClickHouse = async (url: string, statement: string, msMax = 60_000): Promise<string> => {
  const address = Object.assign(new URL(url), { pathname: '/' });
  const answer = await fetch(address, { method: 'POST', body: statement, signal: AbortSignal.timeout(msMax) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`ClickHouse refuses ${statement}: ${text}`);
  return text;
};

const copyInClickHouse = async (url: string, template: StoresTemplate, name: string): Promise<void> => {
  for (const group of template.statements)
    await Promise.all(group.map((statement) => inClickHouse(url, statement.replaceAll(template.name, name))));
};

/** As one migrates to, where there is a template. Else blank, and that in ClickHouse is made by the migration. */
export const freshStores = async ({ postgres, clickhouse, template }: StoreUrls): Promise<FreshStores> => {
  const name = `test_${randomBytes(6).toString('hex')}`;
  await Promise.all([
    inPostgres(postgres, `CREATE DATABASE ${name}${template ? ` TEMPLATE ${template.name}` : ''}`),
    template && copyInClickHouse(clickhouse, template, name),
  ]);
  const withName = (url: string) => Object.assign(new URL(url), { pathname: `/${name}` }).href;
  return { name, databaseUrl: withName(postgres), clickhouseUrl: withName(clickhouse) };
};

/** With nothing in them, for what an older release wrote. */
export const blankStores = ({ postgres, clickhouse }: StoreUrls): Promise<FreshStores> =>
  freshStores({ postgres, clickhouse });

/**
 * ClickHouse looks again and again for what there is to merge in each table that it has, one that nobody uses any more
 * included. In PostgreSQL a database costs nothing while it rests, and its end a checkpoint. A server that is gone
 * already, or hangs, has taken its tables along.
 */
export const dropStores = async ({ name, clickhouseUrl }: FreshStores): Promise<void> => {
  await inClickHouse(clickhouseUrl, `DROP DATABASE IF EXISTS ${name}`, 5_000).catch(() => {});
};

type Table = { readonly engine: string; readonly create_table_query: string };

const isView = ({ engine }: Table): boolean => engine === 'MaterializedView';

const statementsOf = async (url: string, name: string): Promise<StoresTemplate['statements']> => {
  const tables = await inClickHouse(
    url,
    `SELECT engine, create_table_query FROM system.tables WHERE database = '${name}' FORMAT JSONEachRow`,
  );
  const rows: Table[] = tables
    .trim()
    .split('\n')
    .map((row) => JSON.parse(row));
  const applied = await inClickHouse(url, `SELECT * FROM ${name}.schema_migrations FORMAT Values`);
  const textOf = ({ create_table_query }: Table): string => create_table_query;
  return [
    [`CREATE DATABASE ${name} ENGINE = Atomic`],
    rows.filter((row) => !isView(row)).map(textOf),
    [...rows.filter(isView).map(textOf), `INSERT INTO ${name}.schema_migrations VALUES ${applied}`],
  ];
};

/** A template for `freshStores`. Nobody may connect to its database. The logins are opened by this password. */
export const makeTemplate = async (urls: StoreUrls, databasePassword: string): Promise<StoresTemplate> => {
  const stores = await blankStores(urls);
  const { name, databaseUrl, clickhouseUrl } = stores;
  await migrateAll({ databaseUrl, databasePassword, clickhouseUrl });
  await inPostgres(urls.postgres, `ALTER DATABASE ${name} ALLOW_CONNECTIONS false`);
  const statements = await statementsOf(clickhouseUrl, name);
  await dropStores(stores);
  return { name, statements };
};
