/** Nothing of one organization is shown to another or changed by it: over the API, and below it in the database. */
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { newId } from '#platform/process/ids.ts';
import { connectPostgres, logins, loginUrl, type Postgres, type Queryable } from '#platform/stores/postgres.ts';
import { hashApiKey } from '#schemas/api-key.ts';
import { type DefinedRoute, definedRoutes, examples, worldOf } from '../../support/api-routes.ts';
import { kinds, lists, makeWhatIsListed, rowsOfPeriods } from '../../support/listed.ts';
import { llmProPlan, llmRequest } from '../../support/llm-pro.ts';
import { databasePassword, lastMonth, type Pipeline, startPipeline, until } from '../../support/pipeline.ts';
import {
  addTenant,
  type Call,
  firstTenant,
  makeKey,
  makeObjects,
  type Objects,
  type Tenant,
  unique,
} from '../../support/tenants.ts';

let pipeline: Pipeline;
let own: Tenant;
let other: Tenant;
let ownObjects: Objects;
let otherObjects: Objects;
let asGateway: Postgres;
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'));
  own = await firstTenant(pipeline);
  other = await addTenant(pipeline);
  ownObjects = await makeObjects(own.api, 'customer-of-own', own.ingest);
  otherObjects = await makeObjects(other.api, 'customer-of-other', other.ingest);
  // The details that they had before are kept.
  await own.api('PATCH', '/v1/customers/customer-of-own', { email: 'own@customer.example' });
  await other.api('PATCH', '/v1/customers/customer-of-other', { email: 'other@customer.example' });
  for (const { api } of [own, other])
    await api(
      'POST',
      '/v1/customers',
      { external_id: `kept-${unique()}`, name: 'K' },
      { 'idempotency-key': 'the same for both' },
    );
  for (const [tenant, objects] of [[own, ownObjects] as const, [other, otherObjects] as const]) {
    await makeWhatIsListed(tenant, objects);
    // Of what no request can bring about, a row each.
    await pipeline.asOwner.query(
      `INSERT INTO rating_failures (id, organization_id, run_id, shard_number, billing_period_id, subscription_id,
         customer_id, code, message, failed_at)
       VALUES ($1, $2, $3, 0, $4, $5, $6, 'rating_error', 'x', now())`,
      [newId('rfl'), tenant.organizationId, objects.run, newId('bpd'), objects.subscription, objects.customer],
    );
    await pipeline.asOwner.query(
      `INSERT INTO plan_migration_outcomes SELECT organization_id, $1, id, customer_id, 'skipped', 'over', NULL,
         plan_version_id, NULL, NULL, now() FROM subscriptions WHERE id = $2`,
      [objects.planMigration, objects.subscription],
    );
    await pipeline.asOwner.query(rowsOfPeriods, [objects.invoice, objects.run]);
    await pipeline.asOwner.query(
      `INSERT INTO test_clocks (id, organization_id, now_at, state, metadata, version, created_at, updated_at)
       VALUES ($1, $2, now(), 'ready', '{}', 1, now(), now())`,
      [newId('clk'), tenant.organizationId],
    );
    // A simulation that has ended has no shards any more.
    await pipeline.asOwner.query(
      `INSERT INTO simulation_shards (organization_id, simulation_id, shard_number, first_customer, customer_ids, state)
       VALUES ($1, $2, 0, 0, '{}', 'done')`,
      [tenant.organizationId, objects.simulation],
    );
  }
  await pipeline.asOwner.query(
    'INSERT INTO late_usage_looks SELECT id, 1, now() FROM organizations ON CONFLICT DO NOTHING',
  );
  await Promise.all([ingestCounted(own, 2), ingestCounted(other, 3)]);
  const url = loginUrl(pipeline.databaseUrl, 'millrace_gateway', databasePassword);
  asGateway = connectPostgres(url, { poolMax: 1, log: pino({ level: 'silent' }) });
});
afterAll(async () => {
  await asGateway?.close();
  await pipeline?.stop();
});

/**
 * Sends events, beside the one of the objects, and waits until the gateway has written down what it answered and the
 * sink has stored them.
 */
const ingestCounted = async ({ api, ingest }: Tenant, count: number): Promise<void> => {
  await ingest(
    'POST',
    '/v1/events',
    Array.from({ length: count }, (_, index) =>
      llmRequest(`event-${index}`, 'someone', Date.now(), { input: 1, output: 1 }),
    ),
  );
  await until(
    () => api('GET', '/v1/reconciliation'),
    ({ body }) => body.total.distinct === count + 1 && body.total.received === count + 1,
  );
};

const withId = definedRoutes().flatMap((route) =>
  route.url.includes(':') ? [[`${route.method} ${route.url}`, route] as const] : [],
);
type Listed = { readonly id?: string; readonly subscription_id: string };

/** Every row of an organization and its sandbox, but when its keys were used. */
const rowsOf = async ({ organizationId, sandboxId }: Tenant): Promise<string> => {
  const tables = (await tablesOfOrganizations()).map(({ name }) => name);
  const rows = await Promise.all(
    tables.map(async (name) => {
      const found = await pipeline.asOwner.query<{ row: string }>(
        `SELECT (to_jsonb(t) - 'last_used_at')::text AS row FROM ${name} t WHERE organization_id = ANY ($1) ORDER BY 1`,
        [[organizationId, sandboxId]],
      );
      return found.rows.map(({ row }) => `${name} ${row}`);
    }),
  );
  return rows.flat().join('\n');
};

const tablesOfOrganizations = async () => {
  const { rows } = await pipeline.asOwner.query<{ name: string; secured: boolean; policies: string[] }>(
    `SELECT c.relname AS name, c.relrowsecurity AS secured,
       array(SELECT r.rolname::text FROM pg_policy p, unnest(p.polroles) AS roles (id)
         JOIN pg_roles r ON r.oid = roles.id WHERE p.polrelid = c.oid ORDER BY 1) AS policies
     FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'organization_id'
     WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace ORDER BY 1`,
  );
  return rows;
};

const codeOf = (work: Promise<unknown>): Promise<string | undefined> =>
  work.then(
    () => undefined,
    (error: { code?: string }) => error.code,
  );
/** insufficient_privilege: what PostgreSQL says of a table that is not granted and of a row that a policy refuses. */
const denied = '42501';

describe('[I25] a foreign id', () => {
  const worldsOf = async (route: DefinedRoute): Promise<readonly [Call, Call]> => {
    if (worldOf(route) === 'live') return [own.api, other.api];
    const sandboxed = (of: Tenant) => makeKey(pipeline, of.api, { scopes: ['admin'], world: 'test' });
    return [(await sandboxed(own)).api, (await sandboxed(other)).api];
  };

  it.each(withId)('%s answers as if it were not there, and changes nothing', async (_, route) => {
    const { method, url, operation } = route;
    const [mine, theirs] = await worldsOf(route);
    const kind = kinds[url];
    const { body } = (await examples[operation]?.(mine, ownObjects)) ?? {};
    const foreignPath = kind ? '' : ((await examples[operation]?.(theirs, otherObjects))?.path ?? '');
    const foreignId = kind ? otherObjects[kind] : (foreignPath.split('/')[3] ?? '');
    const before = await rowsOf(other);
    const missing = newId(foreignId.slice(0, 3) as 'cus');
    const ask = (id: string) => {
      const path = url.replace(':id', id).replace(':version_number', '1').replace(':line', '2');
      return mine(method, path, body, { 'if-match': '*' });
    };
    const [foreign, absent] = [await ask(foreignId), await ask(missing)];
    expect(absent.status).toBe(404);
    expect({ ...foreign.body, request_id: '' }).toEqual({ ...absent.body, request_id: '' });
    expect([...foreign.headers.keys()]).toEqual([...absent.headers.keys()]);
    expect(await rowsOf(other)).toBe(before);
    const paths: Readonly<Record<string, string>> = {
      run: `/v1/invoices/runs/${otherObjects.run}`,
      ratedLine: `/v1/rated-lines/${otherObjects.ratedLine}/explain`,
    };
    const path = paths[kind ?? ''] ?? `${url.split('/:')[0]}/${foreignId}`;
    expect((await theirs('GET', path)).status).toBe(200);
  });

  it.each([
    '/v1/customers/customer-of-other',
    '/v1/customers/customer-of-other/usage',
    '/v1/customers/customer-of-other/invoices',
  ])("of the caller's own kind is foreign too: %s", async (path) => {
    expect(await own.api('GET', path)).toMatchObject({ status: 404, body: { error_code: 'CUSTOMER_NOT_FOUND' } });
    expect((await other.api('GET', path)).status).toBe(200);
  });

  it('in a body is as one that is not there', async () => {
    const before = await rowsOf(other);
    const ask = (path: string, body: unknown) => own.api('POST', path, body);
    const subscription = { customer_id: ownObjects.customer, plan: ownObjects.plan };
    for (const id of [otherObjects.customer, otherObjects.externalId])
      expect(await ask('/v1/subscriptions', { ...subscription, customer_id: id })).toMatchObject({
        status: 404,
        body: { error_code: 'CUSTOMER_NOT_FOUND' },
      });
    expect(await ask('/v1/subscriptions', { ...subscription, plan: otherObjects.plan })).toMatchObject({
      status: 404,
      body: { error_code: 'PLAN_NOT_FOUND' },
    });
    const period = lastMonth().name;
    expect(await ask('/v1/invoices/run', { period, customer_id: otherObjects.customer })).toMatchObject({
      status: 404,
      body: { error_code: 'CUSTOMER_NOT_FOUND' },
    });
    expect(await ask('/v1/invoices/run', { period, subscription_id: otherObjects.subscription })).toMatchObject({
      status: 404,
      body: { error_code: 'SUBSCRIPTION_NOT_FOUND' },
    });
    // A meter that only the other one has.
    await other.api('POST', '/v1/meters', { code: 'only-other', name: 'O', event: 'e', aggregation: 'count' });
    const plan = {
      ...llmProPlan,
      code: `p-${unique()}`,
      charges: [{ code: 'a', name: 'A', meter: 'only-other', price: { model: 'per_unit', unit_amount: '1' } }],
    };
    expect((await ask('/v1/plans', plan)).status).toBe(422);
    expect((await rowsOf(other)).length).toBeGreaterThan(before.length);
  });

  it('does not take a code or an external id away', async () => {
    const body = { external_id: otherObjects.externalId, name: 'The own one' };
    expect((await own.api('POST', '/v1/customers', body)).status).toBe(201);
    expect((await own.api('GET', `/v1/customers/${otherObjects.externalId}`)).body.name).toBe('The own one');
    expect((await other.api('GET', `/v1/customers/${otherObjects.externalId}`)).body.name).toBe('A customer');
  });
});

describe('[I25] a list', () => {
  it.each(lists)('%s shows nothing of another, and takes none of its cursors', async (url) => {
    const idsOf = async ({ api }: Tenant): Promise<string[]> =>
      (await api('GET', `${url}?limit=1000`)).body.items.map((item: Listed) => item.id ?? item.subscription_id);
    const [ownIds, otherIds] = [await idsOf(own), await idsOf(other)];
    expect([ownIds.length > 0, otherIds.length > 0]).toEqual([true, true]);
    expect(ownIds.filter((id) => otherIds.includes(id))).toEqual([]);
    const { next_cursor: cursor } = (await other.api('GET', `${url}?limit=1`)).body.pagination;
    if (cursor === null) return expect(otherIds).toHaveLength(1);
    expect((await other.api('GET', `${url}?limit=1&cursor=${cursor}`)).status).toBe(200);
    expect(await own.api('GET', `${url}?limit=1&cursor=${cursor}`)).toMatchObject({
      status: 400,
      body: { errors: [{ field: 'cursor' }] },
    });
  });

  it.each([
    ['/v1/subscriptions', (objects: Objects) => `customer_id=${objects.customer}`],
    ['/v1/invoices', (objects: Objects) => `customer_id=${objects.customer}`],
    ['/v1/invoices', (objects: Objects) => `subscription_id=${objects.subscription}`],
    ['/v1/audit-log', (objects: Objects) => `object_id=${objects.customer}`],
  ])("%s filtered by what is another's is empty", async (url, filterOf) => {
    expect((await other.api('GET', `${url}?${filterOf(otherObjects)}`)).body.pagination.total).toBeGreaterThan(0);
    expect((await own.api('GET', `${url}?${filterOf(otherObjects)}`)).body).toMatchObject({
      items: [],
      pagination: { total: 0 },
    });
  });

  it('[I22] an idempotency key of another is invisible', async () => {
    const body = { external_id: `once-${unique()}`, name: 'O' };
    const key = { 'idempotency-key': unique() };
    const [first, second] = [
      await other.api('POST', '/v1/customers', body, key),
      await own.api('POST', '/v1/customers', body, key),
    ];
    expect([first.status, second.status, second.headers.get('idempotency-replayed')]).toEqual([201, 201, null]);
    expect(second.body.id).not.toBe(first.body.id);
    expect((await own.api('POST', '/v1/customers', body, key)).body).toEqual(second.body);
    expect((await other.api('POST', '/v1/customers', { ...body, name: 'Q' }, key)).status).toBe(422);
  });
});

describe('[I11] [I25] the reconciliation', () => {
  it('shows what was answered to the own events, and what is stored of them', async () => {
    for (const [{ api }, count] of [
      [own, 2],
      [other, 3],
    ] as const)
      expect((await api('GET', '/v1/reconciliation')).body.total).toMatchObject({
        received: count + 1,
        published: count + 1,
        distinct: count + 1,
      });
  });
});

describe('row-level security', () => {
  it('is on for every table that says whose a row is, with a policy for each login that may read it', async () => {
    const tables = await tablesOfOrganizations();
    expect(tables.length).toBeGreaterThanOrEqual(14);
    for (const { name, secured, policies } of tables) {
      expect(secured, name).toBe(true);
      expect(policies, name).toContain('millrace_app');
    }
    const { rows } = await pipeline.asOwner.query<{ name: string; secured: boolean }>(
      `SELECT relname AS name, relrowsecurity AS secured FROM pg_class WHERE relkind IN ('r', 'p')
         AND relnamespace = 'public'::regnamespace`,
    );
    // What belongs to no organization.
    expect(rows.filter(({ secured }) => !secured).map(({ name }) => name)).toEqual(['schema_migrations']);
  });

  it('shows the application its own rows alone, and none at all where it says nothing', async () => {
    const seen = async (db: Queryable, name: string, column = 'organization_id'): Promise<string[] | string> => {
      try {
        return (await db.query<{ of: string }>(`SELECT DISTINCT ${column} AS of FROM ${name} ORDER BY 1`)).rows.map(
          ({ of }) => of,
        );
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    const hidden: string[] = [];
    for (const { name } of await tablesOfOrganizations()) {
      expect(await seen(pipeline.asOwner, name), name).toEqual(
        expect.arrayContaining([own.organizationId, other.organizationId]),
      );
      const shown = await seen(pipeline.asApplication.forOrganization(own.organizationId), name);
      if (shown === denied) hidden.push(name);
      // It keeps the keys of its sandbox.
      else if (name === 'api_keys' || name === 'data_keys')
        expect(shown).toEqual([own.organizationId, own.sandboxId].toSorted());
      else expect(shown, name).toEqual([own.organizationId]);
      expect([denied, []], name).toContainEqual(await seen(pipeline.asApplication, name));
    }
    expect(hidden).toEqual(['invoice_series']);
    for (const [name, column] of [
      ['invoice_lines', 'invoice_id'],
      ['billing_run_shards', 'run_id'],
    ] as const) {
      const all = await seen(pipeline.asOwner, name, column);
      const shown = await seen(pipeline.asApplication.forOrganization(own.organizationId), name, column);
      expect([shown.length > 0, shown.length < all.length], name).toEqual([true, true]);
      expect(await seen(pipeline.asApplication, name, column)).toEqual([]);
    }
  });

  it('lets the application change and add nothing of another', async () => {
    const db = pipeline.asApplication.forOrganization(own.organizationId);
    const before = await rowsOf(other);
    for (const { name } of await tablesOfOrganizations()) {
      for (const statement of [
        `UPDATE ${name} SET organization_id = organization_id WHERE organization_id = $1`,
        `DELETE FROM ${name} WHERE organization_id = $1`,
      ]) {
        const changed = await db
          .query(statement, [other.organizationId])
          .catch((error: { code: string }) => error.code);
        expect([denied, 0], `${statement} ${JSON.stringify(changed)}`).toContainEqual(
          typeof changed === 'string' ? changed : changed.rowCount,
        );
      }
      // A row that would be the other's, and one of its own that becomes the other's.
      const [copy] = (
        await pipeline.asOwner.query<{ row: string; columns: string }>(
          `SELECT to_jsonb(t)::text AS row, (
             SELECT string_agg(attname, ', ') FROM pg_attribute
             WHERE attrelid = '${name}'::regclass AND attnum > 0 AND attgenerated = '' AND NOT attisdropped
           ) AS columns
           FROM ${name} t WHERE organization_id = $1 LIMIT 1`,
          [other.organizationId],
        )
      ).rows;
      const { row, columns } = copy as { row: string; columns: string };
      const insert = `INSERT INTO ${name} (${columns}) SELECT ${columns} FROM jsonb_populate_record(NULL::${name}, $1)`;
      expect(await codeOf(db.query(insert, [row])), name).toBe(denied);
      expect(await codeOf(db.query(`UPDATE ${name} SET organization_id = $1`, [other.organizationId])), name).toBe(
        denied,
      );
    }
    expect(await rowsOf(other)).toBe(before);
  });
});

describe('the keys between tables', () => {
  it('let no row name a row of another organization, whoever writes it', async () => {
    const { organizationId } = own;
    const now = new Date();
    const started = "'active', $4, '{}', 1, $4, $4";
    const foreignKey = '23503';
    const add = (db: Pick<typeof pipeline.asOwner, 'query'>, customer: string, version: string) =>
      codeOf(
        db.query(
          `INSERT INTO subscriptions (id, organization_id, customer_id, plan_version_id, currency, state, started_at,
             metadata, version, created_at, updated_at)
           VALUES ('${newId('sub')}', $1, $2, $3, 'USD', ${started})`,
          [organizationId, customer, version, now],
        ),
      );
    const versionOf = async (plan: string): Promise<string> =>
      (await pipeline.asOwner.query('SELECT id FROM plan_versions WHERE plan_id = $1', [plan])).rows[0].id;
    const [ownVersion, otherVersion] = [await versionOf(ownObjects.plan), await versionOf(otherObjects.plan)];
    for (const db of [pipeline.asApplication.forOrganization(organizationId), pipeline.asOwner]) {
      expect(await add(db, otherObjects.customer, ownVersion)).toBe(foreignKey);
      expect(await add(db, ownObjects.customer, otherVersion)).toBe(foreignKey);
      const version = `INSERT INTO plan_versions (id, organization_id, plan_id, version_number, currency,
          billing_interval, charges, state, version, created_at, updated_at)
        VALUES ($1, $2, $3, 9, 'USD', 'month', '[]', 'draft', 1, $4, $4)`;
      expect(await codeOf(db.query(version, [newId('plv'), organizationId, otherObjects.plan, now]))).toBe(foreignKey);
      const run = `INSERT INTO billing_runs (id, organization_id, period_start, period_end, customer_id,
          subscription_id, state, created_at, updated_at) VALUES ($1, $2, '2020-01-01', '2020-02-01', $3, $4, 'failed',
          $5, $5)`;
      expect(await codeOf(db.query(run, [newId('run'), organizationId, otherObjects.customer, null, now]))).toBe(
        foreignKey,
      );
      expect(await codeOf(db.query(run, [newId('run'), organizationId, null, otherObjects.subscription, now]))).toBe(
        foreignKey,
      );
    }
  });
});

describe('the logins', () => {
  const tablesAll = async () =>
    (
      await pipeline.asOwner.query<{ name: string }>(
        "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public' ORDER BY 1",
      )
    ).rows.map(({ name }) => name);

  it('millrace_gateway finds keys by their hash, and reads no table', async () => {
    for (const name of await tablesAll()) {
      expect(await codeOf(asGateway.query(`SELECT 1 FROM ${name}`)), name).toBe(denied);
      expect(await codeOf(asGateway.query(`DELETE FROM ${name}`)), name).toBe(denied);
    }
    expect(
      (await asGateway.query('SELECT * FROM find_api_key($1)', [hashApiKey('x'.repeat(32), 'nobody')])).rows,
    ).toEqual([]);
    expect((await asGateway.query('SELECT * FROM find_data_key($1, 1)', [own.organizationId])).rows).toHaveLength(1);
    await asGateway.query('SELECT touch_api_keys($1, now())', [[]]);
    // What it answered, and nothing else: its totals only rise.
    const count = { organization_id: own.organizationId, hour: '2020-01-01T00:00:00Z', received: 5, accepted: 5 };
    const none = { repeated: 0, duplicates: 0, conflicts: 0, rejected: 0, not_final: 0 };
    for (const accepted of [5, 4])
      await asGateway.query("SELECT report_ingest('gtw_of_this_test', $1, '[]', true)", [
        JSON.stringify([{ ...count, accepted, ...none }]),
      ]);
    const { rows } = await pipeline.asOwner.query(
      "DELETE FROM ingest_counts WHERE gateway_id = 'gtw_of_this_test' RETURNING accepted",
    );
    expect(rows).toEqual([{ accepted: 5n }]);
    for (const statement of [
      'UPDATE billing_run_shards SET attempts = 0',
      'UPDATE invoice_series SET leased_until = NULL',
      'SELECT purge_idempotency_keys(now())',
    ])
      expect(await codeOf(asGateway.query(statement)), statement).toBe(denied);
  });

  it.each(['asApplication', 'asWorker', 'asGateway'] as const)('%s stays who it is', async (name) => {
    const db = name === 'asGateway' ? asGateway : pipeline[name];
    const before = (await db.query<{ name: string }>('SELECT session_user::text AS name')).rows[0]?.name;
    expect(logins).toContain(before);
    const owner = (await pipeline.asOwner.query<{ name: string }>('SELECT current_user AS name')).rows[0]?.name ?? '';
    await db.transaction(async (client) => {
      const who = async () =>
        (await client.query<{ who: string[] }>('SELECT ARRAY[session_user, current_user]::text[] AS who')).rows[0]?.who;
      await client.query('RESET ROLE');
      await client.query('RESET SESSION AUTHORIZATION');
      expect(await who()).toEqual([before, before]);
    });
    for (const statement of [
      `SET ROLE "${owner}"`,
      `SET SESSION AUTHORIZATION "${owner}"`,
      "SET session_replication_role = 'replica'",
      'ALTER TABLE invoices DISABLE TRIGGER ALL',
      'ALTER TABLE customers DISABLE ROW LEVEL SECURITY',
      'DROP TABLE audit_log',
    ])
      expect(await codeOf(db.query(statement)), statement).toBe(denied);
    for (const other of logins.filter((login) => login !== before))
      expect(await codeOf(db.query(`SET ROLE ${other}`)), other).toBe(denied);
  });

  it.each(['asApplication', 'asWorker'] as const)('[I17] %s changes nothing that is issued or logged', async (name) => {
    const db = pipeline[name].forOrganization(own.organizationId);
    for (const table of ['invoices', 'invoice_lines', 'audit_log']) {
      const column = table === 'invoice_lines' ? 'position = 1' : "organization_id = ''";
      for (const statement of [`UPDATE ${table} SET ${column}`, `DELETE FROM ${table}`, `TRUNCATE ${table} CASCADE`])
        expect(await codeOf(db.query(statement)), statement).toBe(denied);
    }
  });

  it('[I17] the application issues no invoice', async () => {
    const db = pipeline.asApplication.forOrganization(own.organizationId);
    expect(await codeOf(db.query('INSERT INTO invoices SELECT * FROM invoices'))).toBe(denied);
    expect(await codeOf(db.query('INSERT INTO invoice_lines SELECT * FROM invoice_lines'))).toBe(denied);
    expect(await codeOf(db.query('UPDATE invoice_series SET last_number = 0'))).toBe(denied);
  });
});
