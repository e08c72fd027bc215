/** Migrations on the real stores. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { createClient } from '@clickhouse/client';
import pg from 'pg';
import { expect, inject, it } from 'vitest';
import { recordChange } from '#platform/audit/record-change.ts';
import { createLog } from '#platform/process/log.ts';
import { migrateAll, readMigrations } from '#platform/stores/migrate.ts';
import { connectPostgres, type Login, loginUrl } from '#platform/stores/postgres.ts';
import { verifyChains } from '../../api/verify/verify-chains.postgres.ts';
import { auditExamples } from '../support/audit-examples.ts';
import { freshStores as copyStores, blankStores as makeStores } from '../support/fresh-stores.ts';
import { databasePassword } from '../support/pipeline.ts';

const run = promisify(execFile);

const freshStores = () => makeStores(inject('serverUrls'));
/** For what holds behind the last migration. */
const migratedStores = () => copyStores(inject('serverUrls'));

const tablesOf = async ({ databaseUrl, clickhouseUrl }: { databaseUrl: string; clickhouseUrl: string }) => {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  const { rows } = await client.query(
    `SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public'
     ORDER BY 1, 2`,
  );
  const applied = await client.query('SELECT name, checksum, applied_at FROM schema_migrations ORDER BY name');
  await client.end();
  const clickhouse = createClient({ url: clickhouseUrl });
  const tables = await (
    await clickhouse.query({
      query:
        'SELECT name, create_table_query, uuid FROM system.tables WHERE database = currentDatabase() ORDER BY name',
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

it('a copy for a test is what migrations make', async () => {
  const [stores, copy] = [await freshStores(), await migratedStores()];
  await migrateAll(stores);
  expect((await migrateAll(copy)).applied).toEqual([]);
  const [migrated, copied] = await Promise.all([tablesOf(stores), tablesOf(copy)]);
  const made = ({ tables }: typeof migrated, name: string) =>
    (tables as { create_table_query: string }[]).map((table) => table.create_table_query.replaceAll(name, 'x'));
  expect(made(copied, copy.name)).toEqual(made(migrated, stores.name));
  expect(copied.rows).toEqual(migrated.rows);
});

it('two processes at once apply each file once', async () => {
  const stores = await freshStores();
  const script = `
    const { migrateAll } = await import('./platform/stores/migrate.ts');
    console.log(JSON.stringify((await migrateAll(${JSON.stringify(stores)})).applied));`;
  const outcomes = await Promise.all(
    Array.from({ length: 3 }, () => run(process.execPath, ['--input-type=module', '--eval', script])),
  );
  const applied = outcomes.flatMap(({ stdout }) => JSON.parse(stdout) as string[]);
  expect(applied.toSorted()).toEqual([...new Set(applied)].toSorted());
  expect(applied).toContain('postgres/0001_billing.sql');
  expect(applied).toContain('clickhouse/0001_usage_events.sql');
  const { applied: recorded } = await tablesOf(stores);
  expect(recorded.map(({ name }) => name)).toEqual((await readMigrations('postgres')).map(({ name }) => name));
});

const connect = async (url: string): Promise<pg.Client> => {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return client;
};

it('every function that works as its owner, and every trigger, looks at names of the session last', async () => {
  const stores = await migratedStores();
  const owner = await connect(stores.databaseUrl);
  const { rows } = await owner.query<{ name: string; config: string[] | null }>(
    `SELECT proname AS name, proconfig AS config FROM pg_proc
     WHERE pronamespace = 'public'::regnamespace AND (prosecdef OR prorettype = 'trigger'::regtype) ORDER BY 1`,
  );
  await owner.end();
  expect(rows.map(({ name }) => name)).toContain('find_api_key');
  expect(rows.filter(({ config }) => !config?.includes('search_path=public, pg_temp'))).toEqual([]);
});

it('no function of ours may be called by a login that it was not given to', async () => {
  const stores = await migratedStores();
  const owner = await connect(stores.databaseUrl);
  await owner.query("CREATE FUNCTION given_to_all() RETURNS integer LANGUAGE sql AS 'SELECT 1'");
  const { rows } = await owner.query<{ name: string }>(
    `SELECT proname AS name FROM pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner))) AS grants
     WHERE pronamespace = 'public'::regnamespace AND grants.grantee = 0`,
  );
  await owner.end();
  expect(rows).toEqual([{ name: 'given_to_all' }]);
});

it('the API forgets no answer and writes down no use ahead of the time of the database', async () => {
  const stores = await migratedStores();
  const owner = await connect(stores.databaseUrl);
  await owner.query(`
    INSERT INTO organizations (id, name, created_at, tier) VALUES ('org', 'x', now(), 'scale');
    INSERT INTO idempotency_keys VALUES ('org', 'key', '\\x01', 201, '{}', '\\x01', now(), now() + interval '1 hour');
    INSERT INTO api_keys (id, organization_id, name, key_hash, scopes, created_at, updated_at)
    VALUES ('key', 'org', 'x', '\\x01', '{}', now(), now());`);
  const api = await connect(loginUrl(stores.databaseUrl, 'millrace_app', databasePassword));
  expect((await api.query("SELECT purge_idempotency_keys('infinity') AS gone")).rows).toEqual([{ gone: 0n }]);
  await api.query("SELECT touch_api_keys('{key}', now() + interval '1 year')");
  await api.end();
  const { rows } = await owner.query('SELECT last_used_at <= now() AS passed FROM api_keys');
  await owner.end();
  expect(rows).toEqual([{ passed: true }]);
});

it('a login that puts a view of its own before a table of ours runs nothing as the owner', async () => {
  const stores = await migratedStores();
  for (const login of ['millrace_app', 'millrace_gateway'] satisfies Login[]) {
    const client = await connect(loginUrl(stores.databaseUrl, login, databasePassword));
    await client.query(`CREATE FUNCTION pg_temp.smuggled() RETURNS text LANGUAGE sql AS 'SELECT current_user::text'`);
    await client.query(
      `CREATE TEMP VIEW api_keys AS SELECT pg_temp.smuggled() AS id, '\\x01'::bytea AS key_hash,
         'org'::text AS organization_id, '{}'::text[] AS scopes,
         now() AS expires_at, now() AS revoked_at, NULL::bytea AS signing_secret`,
    );
    await client.query("CREATE TEMP VIEW organizations AS SELECT 'org'::text AS id, 'scale'::text AS tier");
    await client.query('GRANT SELECT ON api_keys, organizations TO PUBLIC');
    // The attack works where our function sees these names.
    expect((await client.query('SELECT id FROM api_keys')).rows).toEqual([{ id: login }]);
    expect((await client.query("SELECT id FROM find_api_key('\\x01')")).rows).toEqual([]);
    await client.end();
  }
});

it('[I17] a table of its own before ours does not let the worker add a line to an issued invoice', async () => {
  const stores = await migratedStores();
  const owner = await connect(stores.databaseUrl);
  await owner.query(`
    INSERT INTO organizations (id, name, created_at, tier) VALUES ('org', 'x', now(), 'scale');
    INSERT INTO customers (id, organization_id, external_id, name, metadata, version, created_at, updated_at)
    VALUES ('cus', 'org', 'x', 'x', '{}', 1, now(), now());
    INSERT INTO plans VALUES ('pln', 'org', 'x', 'x', '{}', 1, now(), now());
    INSERT INTO plan_versions
      VALUES ('plv', 'org', 'pln', 1, 'EUR', 'month', '[]', now(), 'active', now(), NULL, 1, now());
    INSERT INTO subscriptions VALUES ('sub', 'org', 'cus', 'plv', 'active', now(), NULL, '{}', 1, now(), now(), 'EUR');
    INSERT INTO billing_runs (id, organization_id, period_start, period_end, state, is_cut, created_at, updated_at)
      VALUES ('run', 'org', '2026-10-01', '2026-11-01', 'completed', true, now(), now());
    INSERT INTO invoices (id, organization_id, series_number, kind, content_version, customer_id, run_id, currency,
      subtotal, total, issued_at, previous_hash, hash)
      VALUES ('inv', 'org', 1, 'period', 2, 'cus', 'run', 'EUR', 1, 1, now(), 'x', 'y');`);
  await owner.end();
  const worker = await connect(loginUrl(stores.databaseUrl, 'millrace_worker', databasePassword));
  await worker.query('CREATE TEMP TABLE invoices (id text)');
  const late = worker.query(
    `INSERT INTO public.invoice_lines VALUES ('inv', 1, 'x', 'x', NULL, 1, 'half_even', 1, 1, '[]', '2026-10-01',
       '2026-11-01')`,
  );
  await expect(late).rejects.toThrow('immutable');
  await worker.end();
});

/** Brings a database to where the release before `name` left it. */
const migrateBefore = async (owner: pg.Client, name: string): Promise<void> => {
  await owner.query(
    `CREATE TABLE schema_migrations (name text PRIMARY KEY, checksum text NOT NULL,
       applied_at timestamptz NOT NULL DEFAULT now())`,
  );
  for (const { name: file, sql, checksum } of (await readMigrations('postgres')).filter((one) => one.name < name)) {
    await owner.query(sql);
    await owner.query('INSERT INTO schema_migrations (name, checksum) VALUES ($1, $2)', [file, checksum]);
  }
};

it('[I35] versions of plans from before they had a life: the newest is active, and the others are archived', async () => {
  const stores = await freshStores();
  const client = await connect(stores.databaseUrl);
  await migrateBefore(client, '0021');
  await client.query(`
    INSERT INTO organizations (id, name, created_at, tier) VALUES ('org', 'x', now(), 'scale');
    INSERT INTO customers (id, organization_id, external_id, name, metadata, version, created_at, updated_at)
      VALUES ('cus', 'org', 'x', 'x', '{}', 1, now(), now());
    INSERT INTO plans VALUES ('pln', 'org', 'x', 'x', '{}', 1, now(), now()),
      ('one', 'org', 'y', 'y', '{}', 1, now(), now());
    INSERT INTO plan_versions VALUES ('plv_1', 'org', 'pln', 1, 'EUR', 'month', '[]', '2026-01-01'),
      ('plv_2', 'org', 'pln', 2, 'EUR', 'month', '[]', '2026-02-01'),
      ('plv_3', 'org', 'pln', 3, 'USD', 'month', '[]', '2026-03-01'),
      ('plv_4', 'org', 'one', 1, 'USD', 'month', '[]', '2026-04-01');
    INSERT INTO subscriptions VALUES ('sub', 'org', 'cus', 'plv_2', 'active', now(), NULL, '{}', 1, now(), now());`);
  await migrateAll(stores);
  const { rows } = await client.query(
    `SELECT id, state, activated_at = created_at AS since, to_char(archived_at, 'MM') AS until, version
     FROM plan_versions ORDER BY id`,
  );
  expect(rows.map(({ id, state, since, until, version }) => [id, state, since, until, version])).toEqual([
    ['plv_1', 'archived', true, '02', 2],
    ['plv_2', 'archived', true, '03', 2],
    ['plv_3', 'active', true, null, 1],
    ['plv_4', 'active', true, null, 1],
  ]);
  expect((await client.query('SELECT currency FROM subscriptions')).rows).toEqual([{ currency: 'EUR' }]);
  await client.end();
});

it('[I28] an audit log from before there were lanes is lane 0, verifies as it was written, and goes on', async () => {
  const stores = await freshStores();
  const client = await connect(stores.databaseUrl);
  await migrateBefore(client, '0017');
  const [first] = auditExamples;
  const organizationId = first?.organizationId ?? '';
  await client.query("INSERT INTO organizations (id, name, created_at, tier) VALUES ($1, 'O', now(), 'scale')", [
    organizationId,
  ]);
  for (const entry of auditExamples)
    await client.query(
      `INSERT INTO audit_log (organization_id, sequence, id, occurred_at, actor, action, object_type, object_id,
         before_digest, after_digest, request_id, result,
         previous_hash, hash, stored_digest) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
      [
        ...[organizationId, entry.sequence, entry.id, new Date(entry.occurredAtMs), entry.actor, entry.action],
        ...[entry.objectType, entry.objectId, entry.beforeDigest, entry.afterDigest, entry.requestId, entry.result],
        ...[entry.previousHash, entry.hash, entry.storedDigest],
      ],
    );
  const last = auditExamples.at(-1);
  await client.query('INSERT INTO audit_heads VALUES ($1, $2, $3)', [organizationId, last?.sequence, last?.hash]);
  expect((await migrateAll(stores)).applied).toContain('postgres/0017_audit_lanes.sql');
  const { rows } = await client.query(
    'SELECT lane, sequence, canonical_version, object_sequence FROM audit_log ORDER BY sequence',
  );
  expect(rows).toEqual(
    auditExamples.map(({ sequence, canonicalVersion, objectSequence }) => ({
      lane: 0,
      sequence: BigInt(sequence),
      canonical_version: canonicalVersion,
      object_sequence: BigInt(objectSequence),
    })),
  );
  await expect(client.query("UPDATE audit_log SET actor = 'x'")).rejects.toThrow('immutable');
  await client.end();
  const owner = connectPostgres(stores.databaseUrl, { poolMax: 1, log: createLog('test', 'error') });
  const change = { action: 'customer.updated', objectType: 'customer', objectId: last?.objectId ?? '' };
  await owner.transaction(({ query }) =>
    recordChange(
      { query, organizationId },
      { actor: 'test', requestId: undefined, result: '200' },
      [change],
      Date.now(),
    ),
  );
  const { rows: written } = await owner.query(
    'SELECT lane, sequence, canonical_version, object_sequence, previous_hash FROM audit_log WHERE sequence > 4',
  );
  expect(written).toEqual([
    { lane: 0, sequence: 5n, canonical_version: 3, object_sequence: 4n, previous_hash: last?.hash },
  ]);
  const [lane] = await verifyChains(owner, organizationId, []);
  expect(lane).toMatchObject({ chain: 'audit', lane: 0, head: { number: 5 }, fault: undefined });
  await owner.close();
});

it('[I34] rows whose names have the form of an id stop no migration and keep their names; each is told, with its cure', async () => {
  const stores = await freshStores();
  const owner = await connect(stores.databaseUrl);
  await migrateBefore(owner, '0012');
  const [one, two] = ['a'.repeat(32), 'b'.repeat(32)];
  await owner.query(`
    INSERT INTO organizations (id, name, created_at, tier) VALUES ('org', 'x', now(), 'scale');
    INSERT INTO customers (id, organization_id, external_id, name, metadata, version, created_at, updated_at) VALUES
      ('cus_${one}', 'org', 'cus_${two}', 'x', '{}', 1, now(), now()), ('cus_${two}', 'org', 'USR_${one}', 'x', '{}', 1, now(), now()), ('cus_3', 'org', 'acme', 'x', '{}', 1, now(), now());
    INSERT INTO plans VALUES ('pln_${one}', 'org', 'pln_${two}', 'x', '{}', 1, now(), now());
    INSERT INTO meters (id, organization_id, code, name, metadata, version, created_at, updated_at, deleted_at) VALUES
      ('mtr_${one}', 'org', 'mtr_${two}', 'x', '{}', 1, now(), now(), NULL), ('mtr_${two}', 'org', 'mtr_${one}', 'x', '{}', 1, now(), now(), now());`);
  for (const applied of [expect.arrayContaining(['postgres/0012_names_are_no_ids.sql']), []]) {
    const migrated = await migrateAll(stores);
    expect(migrated.applied).toEqual(applied);
    expect(migrated.warnings).toEqual([
      expect.stringMatching(
        `org customer cus_${one}: its external_id cus_${two} .* does not name it.*send its events with its id as customer_id`,
      ),
      expect.stringMatching(`org customer cus_${two}: its external_id USR_${one} .* still names it`),
      expect.stringMatching(`org meter mtr_${one}: its code mtr_${two} .* does not name it.*end it`),
      expect.stringMatching(`org plan pln_${one}: its code pln_${two} .* does not name it.*make the plan anew`),
    ]);
  }
  // What is there goes on being changed and ended.
  await owner.query(
    `UPDATE customers SET metadata = '{}', version = 2; UPDATE meters SET deleted_at = now(); UPDATE plans
       SET name = 'y'`,
  );
  expect((await owner.query('SELECT external_id FROM customers ORDER BY id')).rows).toEqual([
    { external_id: 'acme' },
    { external_id: `cus_${two}` },
    { external_id: `USR_${one}` },
  ]);
  await owner.end();
});
