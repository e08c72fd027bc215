/** Migrations on the real stores. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { createClient } from '@clickhouse/client';
import pg from 'pg';
import { expect, inject, it } from 'vitest';
import { migrateAll, readMigrations } from '#platform/migrate.ts';

const run = promisify(execFile);

const freshStores = async (): Promise<{ databaseUrl: string; clickhouseUrl: string }> => {
  const urls = inject('serverUrls');
  const name = `test_${randomBytes(6).toString('hex')}`;
  const maker = new pg.Client({ connectionString: urls.postgres });
  await maker.connect();
  await maker.query(`CREATE DATABASE ${name}`);
  await maker.end();
  const withName = (url: string) => Object.assign(new URL(url), { pathname: `/${name}` }).href;
  return { databaseUrl: withName(urls.postgres), clickhouseUrl: withName(urls.clickhouse) };
};

const tablesOf = async ({ databaseUrl, clickhouseUrl }: { databaseUrl: string; clickhouseUrl: string }) => {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  const { rows } = await client.query(
    "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 2",
  );
  const applied = await client.query('SELECT name, checksum, applied_at FROM schema_migrations ORDER BY name');
  await client.end();
  const clickhouse = createClient({ url: clickhouseUrl });
  const tables = await (
    await clickhouse.query({
      query: 'SELECT name, create_table_query, uuid FROM system.tables WHERE database = currentDatabase() ORDER BY name',
      format: 'JSONEachRow',
    })
  ).json();
  await clickhouse.close();
  return { rows, applied: applied.rows, tables };
};

it('running them twice changes nothing', async () => {
  const stores = await freshStores();
  const files = [
    ...(await readMigrations('postgres')).map(({ name }) => `postgres/${name}`),
    ...(await readMigrations('clickhouse')).map(({ name }) => `clickhouse/${name}`),
  ];
  expect((await migrateAll(stores)).applied).toEqual(files);
  const before = await tablesOf(stores);
  expect((await migrateAll(stores)).applied).toEqual([]);
  expect(await tablesOf(stores)).toEqual(before);
});

it('two processes at once apply each file once', async () => {
  const stores = await freshStores();
  const script = `
    const { migrateAll } = await import('./platform/migrate.ts');
    console.log(JSON.stringify((await migrateAll(${JSON.stringify(stores)})).applied));`;
  const outcomes = await Promise.all(Array.from({ length: 3 }, () => run(process.execPath, ['--input-type=module', '--eval', script])));
  const applied = outcomes.flatMap(({ stdout }) => JSON.parse(stdout) as string[]);
  expect(applied.toSorted()).toEqual([...new Set(applied)].toSorted());
  expect(applied).toContain('postgres/0001_billing.sql');
  expect(applied).toContain('clickhouse/0001_usage_events.sql');
  const { applied: recorded } = await tablesOf(stores);
  expect(recorded.map(({ name }) => name)).toEqual((await readMigrations('postgres')).map(({ name }) => name));
});
