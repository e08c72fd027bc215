/** A database of a test's own in PostgreSQL, and the name of one in ClickHouse, which a migration makes. */
import { randomBytes } from 'node:crypto';
import pg from 'pg';

export type FreshStores = { readonly name: string; readonly databaseUrl: string; readonly clickhouseUrl: string };

export const freshStores = async (urls: {
  readonly postgres: string;
  readonly clickhouse: string;
}): Promise<FreshStores> => {
  const name = `test_${randomBytes(6).toString('hex')}`;
  const maker = new pg.Client({ connectionString: urls.postgres });
  await maker.connect();
  await maker.query(`CREATE DATABASE ${name}`);
  await maker.end();
  const withName = (url: string) => Object.assign(new URL(url), { pathname: `/${name}` }).href;
  return { name, databaseUrl: withName(urls.postgres), clickhouseUrl: withName(urls.clickhouse) };
};
