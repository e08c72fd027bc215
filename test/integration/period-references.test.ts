/**
 * What billing periods and invoices name, which statements check in place of foreign keys (migration 0060), attacked by
 * SQL as each login: nothing that isn't there is named by either, in one row of many, however the row comes.
 */
import { Client } from 'pg';
import { afterAll, beforeAll, beforeEach, describe, expect, inject, it } from 'vitest';
import { migrateAll } from '#platform/stores/migrate.ts';
import { logins, loginUrl } from '#platform/stores/postgres.ts';
import { freshStores } from '../support/fresh-stores.ts';
import { databasePassword } from '../support/pipeline.ts';

let owner: Client;
let worker: Client;
const byLogin = new Map<string, Client>();

/** Two organizations with the same objects: a subscription and its customer, another customer, a run, an invoice. */
const objectsOf = (organization: string, from: string): string => `
  INSERT INTO organizations (id, name, created_at, tier) VALUES ('${organization}', 'x', now(), 'scale');
  INSERT INTO customers (id, organization_id, external_id, name, metadata, version, created_at, updated_at)
    SELECT 'cus_${from}_' || n, '${organization}', 'c' || n, 'x', '{}', 1, now(), now() FROM generate_series(1, 2) AS n;
  INSERT INTO plans (id, organization_id, code, name, metadata, version, created_at, updated_at)
    VALUES ('pln_${from}', '${organization}', 'p', 'P', '{}', 1, now(), now());
  INSERT INTO plan_versions (id, organization_id, plan_id, version_number, state, currency, billing_interval, charges,
    version, created_at, updated_at, activated_at)
    VALUES ('plv_${from}', '${organization}', 'pln_${from}', 1, 'active', 'USD', 'month', '[]', 1, now(), now(), now());
  INSERT INTO subscriptions (id, organization_id, customer_id, plan_version_id, currency, state, started_at, metadata,
    version, created_at, updated_at)
    VALUES ('sub_${from}', '${organization}', 'cus_${from}_1', 'plv_${from}', 'USD', 'active', '2026-01-01', '{}', 1,
      now(), now());
  INSERT INTO billing_runs (id, organization_id, period_start, period_end, state, is_cut, watermark, created_at,
    updated_at)
    VALUES ('run_${from}', '${organization}', '2026-01-01', '2026-02-01', 'completed', true, 1, now(), now());
  INSERT INTO invoices (id, organization_id, series_number, kind, customer_id, run_id, currency, subtotal,
    discount_total, tax_total, total, issued_at, previous_hash, hash, content_version, document_number)
    VALUES ('inv_${from}', '${organization}', 1, 'period', 'cus_${from}_1', 'run_${from}', 'USD', 0, 0, 0, 0, now(),
      repeat('0', 64), repeat('0', 64), 4, 'I-1');`;

type Period = {
  organization_id: string;
  subscription_id: string;
  customer_id: string;
  plan_version_id: string;
  payer_id: string;
  invoice_id: string | null;
};
const sound: Period = {
  organization_id: 'org_a',
  subscription_id: 'sub_a',
  customer_id: 'cus_a_1',
  plan_version_id: 'plv_a',
  payer_id: 'cus_a_2',
  invoice_id: 'inv_a',
};

const text = (value: unknown): string => (value === null ? 'NULL' : `'${value}'`);
let made = 0;
const columns = `id, organization_id, subscription_id, customer_id, plan_version_id, payer_id, invoice_id,
  billing_start, billing_end, segment, span_start, span_end, item, timing, billing_month, due_at, consolidated, state,
  watermark, created_at`;
/** Each is of another minute, so that nothing but what it names is at fault. */
const values = (period: Period): string => {
  made += 1;
  const named = [
    period.organization_id,
    period.subscription_id,
    period.customer_id,
    period.plan_version_id,
    period.payer_id,
    period.invoice_id,
  ].map(text);
  const state = period.invoice_id === null ? `'open', NULL::bigint` : `'billed', 1`;
  const minute = (at: number) => `timestamptz '2026-01-01' + ${at} * interval '1 minute'`;
  return `('bpd_${made}', ${named.join(', ')}, timestamptz '2026-01-01', timestamptz '2026-02-01', ${made},
    ${minute(made)}, ${minute(made + 1)}, 'plan', 'arrears', '2026-01', timestamptz '2026-02-01',
    ${period.payer_id !== period.customer_id}, ${state}, now())`;
};
const insertPeriods = (...periods: Period[]): string =>
  `INSERT INTO billing_periods (${columns}) VALUES ${periods.map(values).join(', ')}`;
const insertInvoices = (...rows: { customer?: string; run?: string | null; organization?: string }[]): string =>
  `INSERT INTO invoices (id, organization_id, series_number, kind, customer_id, run_id, currency, subtotal,
     discount_total, tax_total, total, issued_at, previous_hash, hash, content_version, document_number)
   VALUES ${rows
     .map(({ customer = 'cus_a_1', run = 'run_a', organization = 'org_a' }) => {
       made += 1;
       return `('inv_${made}', '${organization}', ${made}, 'period', '${customer}', ${text(run)}, 'USD', 0, 0, 0, 0,
         now(), repeat('0', 64), repeat('0', 64), 4, 'I-${made}')`;
     })
     .join(', ')}`;

const noReference = '23503';
const noPrivilege = '42501';
const noChange = '23001';
/** The code of what was refused; nothing of it stays. */
const attack = async (client: Client, ...statements: string[]): Promise<string> => {
  await client.query('BEGIN');
  try {
    for (const sql of statements) await client.query(sql);
    return 'done';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  } finally {
    await client.query('ROLLBACK');
  }
};

beforeAll(async () => {
  const stores = await freshStores(inject('serverUrls'));
  await migrateAll({ ...stores, databasePassword });
  owner = new Client(stores.databaseUrl);
  await owner.connect();
  for (const login of logins) {
    const client = new Client(loginUrl(stores.databaseUrl, login, databasePassword));
    await client.connect();
    await client.query("SELECT set_config('millrace.organization_id', 'org_a', false)");
    byLogin.set(login, client);
  }
  worker = byLogin.get('millrace_worker') as Client;
  await owner.query(objectsOf('org_a', 'a'));
  await owner.query(objectsOf('org_b', 'b'));
});
afterAll(async () => {
  for (const client of [owner, ...byLogin.values()]) await client?.end();
});

/** Each as it is at fault: not there, and another's. */
const danglingPeriods: [string, Partial<Period>][] = [
  ['no subscription', { subscription_id: 'sub_none' }],
  ["another organization's subscription", { subscription_id: 'sub_b' }],
  ['no customer', { customer_id: 'cus_none' }],
  ['a customer whose subscription it is not', { customer_id: 'cus_a_2' }],
  ["another organization's customer", { customer_id: 'cus_b_1' }],
  ['no plan version', { plan_version_id: 'plv_none' }],
  ["another organization's plan version", { plan_version_id: 'plv_b' }],
  ['no payer', { payer_id: 'cus_none' }],
  ["another organization's payer", { payer_id: 'cus_b_1' }],
  ['no invoice', { invoice_id: 'inv_none' }],
  ["another organization's invoice", { invoice_id: 'inv_b' }],
  ['an organization that none of it is of', { organization_id: 'org_b' }],
];

describe('a billing period', () => {
  it('that names what is there is taken, of whoever may write one', async () => {
    expect(await attack(worker, insertPeriods(sound, { ...sound, invoice_id: null }))).toBe('done');
    expect(await attack(owner, insertPeriods(sound, { ...sound, payer_id: 'cus_a_1' }))).toBe('done');
  });

  it.each(danglingPeriods)(
    'of %s is refused, alone and in one row of many, however it is written',
    async (_name, over) => {
      const dangling = { ...sound, ...over };
      for (const client of [worker, owner]) {
        expect(await attack(client, insertPeriods(dangling))).toBe(noReference);
        expect(await attack(client, insertPeriods(sound, dangling, sound))).toBe(noReference);
        expect(await attack(client, `${insertPeriods(sound, dangling)} ON CONFLICT DO NOTHING`)).toBe(noReference);
        expect(await attack(client, `WITH w AS (${insertPeriods(dangling)} RETURNING id) SELECT * FROM w`)).toBe(
          noReference,
        );
        const merge = `MERGE INTO billing_periods p USING (VALUES ${values(dangling)}) AS n (${columns}) ON p.id = n.id
        WHEN NOT MATCHED THEN INSERT (${columns}) VALUES (${columns.replaceAll(/(\w+)/g, 'n.$1')})`;
        expect(await attack(client, merge)).toBe(noReference);
      }
    },
  );

  it('is written by no other login', async () => {
    for (const login of ['millrace_app', 'millrace_gateway'])
      expect([login, await attack(byLogin.get(login) as Client, insertPeriods(sound))]).toEqual([login, noPrivilege]);
  });

  it('comes by an update to no invoice that is not there, and to nothing else at all', async () => {
    const open = { ...sound, invoice_id: null };
    const two = insertPeriods(open, open);
    const [one, other] = [`bpd_${made - 1}`, `bpd_${made}`];
    const bill = (
      invoice: string,
    ) => `UPDATE billing_periods SET state = 'billed', watermark = 1, invoice_id = ${invoice}
      WHERE id IN ('${one}', '${other}')`;
    for (const client of [worker, owner]) {
      expect(await attack(client, two, bill("'inv_a'"))).toBe('done');
      for (const invoice of ["'inv_none'", "'inv_b'", `CASE WHEN id = '${one}' THEN 'inv_a' ELSE 'inv_none' END`])
        expect([invoice, await attack(client, two, bill(invoice))]).toEqual([invoice, noReference]);
      for (const column of ['organization_id', 'subscription_id', 'customer_id', 'plan_version_id', 'payer_id'])
        expect([
          column,
          await attack(client, two, `UPDATE billing_periods SET ${column} = 'x' WHERE id = '${one}'`),
        ]).toEqual([column, noChange]);
      const upsert = `INSERT INTO billing_periods (${columns}) VALUES ${values(open).replace(`bpd_${made}`, one)}
        ON CONFLICT (id) DO UPDATE SET state = 'billed', watermark = 1, invoice_id = 'inv_none'`;
      expect(await attack(client, two, upsert)).toBe(noReference);
    }
  });
});

describe('an invoice', () => {
  it('is of a customer and a run that are there, in each row, whoever writes it', async () => {
    for (const client of [worker, owner]) {
      expect(await attack(client, insertInvoices({}, { run: null }))).toBe('done');
      for (const fault of [
        { customer: 'cus_none' },
        { customer: 'cus_b_1' },
        { run: 'run_none' },
        { run: 'run_b' },
        { organization: 'org_b' },
      ]) {
        expect([fault, await attack(client, insertInvoices(fault))]).toEqual([fault, noReference]);
        expect([fault, await attack(client, insertInvoices({}, fault, {}))]).toEqual([fault, noReference]);
      }
    }
    for (const login of ['millrace_app', 'millrace_gateway'])
      expect([login, await attack(byLogin.get(login) as Client, insertInvoices({}))]).toEqual([login, noPrivilege]);
  });
});

describe('who can write', () => {
  it('can not turn the checks off, nor have them look at tables of its own', async () => {
    const dangling = insertPeriods({ ...sound, subscription_id: 'sub_none' });
    expect(await attack(worker, "SET LOCAL session_replication_role = 'replica'", dangling)).toBe(noPrivilege);
    expect(await attack(worker, 'ALTER TABLE billing_periods DISABLE TRIGGER of_its_subscription')).toBe(noPrivilege);
    expect(await attack(worker, 'SELECT refuse_period_of_nothing()')).toBe(noPrivilege);
    const own = `CREATE TEMPORARY TABLE subscriptions (id text, customer_id text);
      INSERT INTO pg_temp.subscriptions VALUES ('sub_none', 'cus_a_1')`;
    expect(await attack(worker, own, dangling.replace('INTO billing_periods', 'INTO public.billing_periods'))).toBe(
      noReference,
    );
  });

  it.each(['customers', 'subscriptions', 'plan_versions', 'invoices', 'billing_runs', 'billing_periods'])(
    'deletes nothing that is named: no row of %s',
    async (table) => {
      for (const [login, client] of byLogin)
        for (const sql of [`DELETE FROM ${table}`, `DELETE FROM ${table} WHERE false`, `TRUNCATE ${table} CASCADE`])
          expect([login, sql, await attack(client, sql)]).toEqual([login, sql, noPrivilege]);
    },
  );
});

describe('what is named', () => {
  it.each([
    ['millrace_app', 'a customer', "UPDATE customers SET organization_id = 'org_b' WHERE id = 'cus_a_2'"],
    [
      'millrace_app',
      'a subscription',
      `UPDATE subscriptions SET organization_id = 'org_b', customer_id = 'cus_b_1', plan_version_id = 'plv_b'
       WHERE id = 'sub_a'`,
    ],
    ['millrace_app', 'a plan version', "UPDATE plan_versions SET organization_id = 'org_b' WHERE id = 'plv_a'"],
    ['millrace_worker', 'a subscription', "UPDATE subscriptions SET customer_id = 'cus_a_2' WHERE id = 'sub_a'"],
    ['millrace_worker', 'a customer', "UPDATE customers SET id = 'cus_x' WHERE id = 'cus_a_2'"],
    ['millrace_worker', 'an invoice', "UPDATE invoices SET id = 'inv_x' WHERE id = 'inv_a'"],
  ])('does not go elsewhere by %s: %s', async (login, _name, sql) => {
    expect(await attack(byLogin.get(login) as Client, sql)).toBe(noPrivilege);
  });
});

describe('what is named keeps its name', () => {
  it.each([
    ['millrace_app', "UPDATE subscriptions SET id = 'sub_x' WHERE id = 'sub_a'"],
    ['millrace_app', "UPDATE subscriptions SET customer_id = 'cus_a_2' WHERE id = 'sub_a'"],
    ['millrace_app', "UPDATE customers SET id = 'cus_x' WHERE id = 'cus_a_2'"],
    ['millrace_worker', "UPDATE billing_runs SET id = 'run_x' WHERE id = (SELECT min(id) FROM billing_runs)"],
    ['millrace_worker', "UPDATE billing_runs SET organization_id = 'org_b' WHERE organization_id = 'org_a'"],
  ])('by %s: %s', async (login, sql) => {
    expect(await attack(byLogin.get(login) as Client, sql)).toBe('23001');
  });
});

describe('two transactions', () => {
  let late: Client;
  beforeEach(() => {
    late = byLogin.get('millrace_app') as Client;
  });
  const subscribe = (id: string): string =>
    `INSERT INTO subscriptions (id, organization_id, customer_id, plan_version_id, currency, state, started_at,
       metadata, version, created_at, updated_at)
     VALUES ('${id}', 'org_a', 'cus_a_1', 'plv_a', 'USD', 'active', '2026-01-01', '{}', 1, now(), now())`;

  it('a period names nothing that another one has not committed yet, and what is committed from then on', async () => {
    const named = insertPeriods({ ...sound, subscription_id: 'sub_late' });
    await late.query('BEGIN');
    await late.query(subscribe('sub_late'));
    expect(await attack(worker, named)).toBe(noReference);
    await late.query('COMMIT');
    expect(await attack(worker, named)).toBe('done');
    await late.query('BEGIN');
    await late.query(subscribe('sub_undone'));
    await late.query('ROLLBACK');
    expect(await attack(worker, insertPeriods({ ...sound, subscription_id: 'sub_undone' }))).toBe(noReference);
  });

  it('an invoice that is rolled back takes its billing periods with it: both are of one transaction', async () => {
    const invoice = insertInvoices({});
    const id = `inv_${made}`;
    expect(await attack(worker, invoice, insertPeriods({ ...sound, invoice_id: id }))).toBe('done');
    expect(await attack(worker, insertPeriods({ ...sound, invoice_id: id }))).toBe(noReference);
  });
});
