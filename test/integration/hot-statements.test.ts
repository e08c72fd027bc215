/**
 * The plan of every statement that our processes run, as they run it, on tables that are filled: PostgreSQL itself says
 * what it did (auto_explain), in functions too. Nothing reads a large table from end to end but what is named here.
 */
import { readFileSync, statSync } from 'node:fs';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { logPath } from '#platform/local/home.ts';
import { logins } from '#platform/stores/postgres.ts';
import { billedBeforeStatement } from '../../invoicer/corrections/billed-before.ts';
import { chargedStatement } from '../../invoicer/corrections/charged-lines.ts';
import { lockCharged } from '../../invoicer/corrections/credited-charges.postgres.ts';
import { creditedStatement } from '../../invoicer/corrections/credited-rows.ts';
import { handCreditsStatement } from '../../invoicer/corrections/hand-credits.ts';
import { lockCorrected } from '../../invoicer/issuing/deltas.postgres.ts';
import { type DefinedRoute, definedRoutes, examples, worldOf } from '../support/api-routes.ts';
import { fillTables, rowsMin, smallTables } from '../support/filled-tables.ts';
import { llmProPlan, llmRequest } from '../support/llm-pro.ts';
import {
  lastMonth,
  type Pipeline,
  startPipeline,
  startTestServers,
  type TestServers,
  until,
} from '../support/pipeline.ts';
import {
  addTenant,
  firstTenant,
  makeKey,
  makeObjects,
  newCoupon,
  type Objects,
  type Tenant,
  unique,
} from '../support/tenants.ts';

/** What may be read whole, by a part of the condition that it is read under, and why. */
const allowedScans: readonly { readonly table: string; readonly filter: string; readonly because: string }[] = [];

/** A part of each statement that the test must have met, or it would prove less than it says. */
const expected = [
  'find_api_key',
  'touch_api_keys',
  'data_keys',
  'FROM idempotency_keys WHERE',
  'purge_idempotency_keys',
  'DELETE FROM outbox',
  'audit_heads',
  'FROM customers',
  'customer_keys',
  'customer_counts',
  'FROM customer_aliases',
  'FROM subscriptions',
  'FROM plan_versions',
  'FROM billing_runs',
  'UPDATE billing_runs j SET leased_until',
  'INSERT INTO billing_runs',
  'FROM organizations o WHERE o.id IN (SELECT c.id FROM organizations c WHERE c.closing_automatic UNION',
  'FROM unnest($1::text[]) WITH ORDINALITY AS n (id, place) JOIN invoice_drafts d ON d.id = n.id',
  'FROM organizations o WHERE o.id =',
  'AS late_seconds',
  'INSERT INTO rating_run_lines',
  'INSERT INTO rating_run_periods',
  'DELETE FROM rating_run_lines',
  'FROM rating_failures',
  'FROM carried_periods',
  'UPDATE billing_run_shards j SET leased_until',
  'UPDATE simulations j SET leased_until',
  'FROM plan_migrations_waiting()',
  'UPDATE plan_migrations SET leased_until',
  'WITH page AS (SELECT i.id FROM',
  'UPDATE plan_migrations SET state = $4',
  'UPDATE simulation_shards j SET leased_until',
  'INSERT INTO simulation_shards',
  'INSERT INTO simulation_results',
  'INSERT INTO invoice_series',
  'UPDATE invoice_series i SET leased_until',
  'billing_runs WHERE state IN',
  'INSERT INTO rated_lines',
  'FROM rated_lines l JOIN billing_periods p ON p.id = l.billing_period_id JOIN customers',
  'FROM invoices i JOIN invoice_lines',
  'FROM rated_lines WHERE organization_id',
  'INSERT INTO invoices',
  'INSERT INTO credit_notes',
  'FROM credit_note_lines',
  'FROM credit_note_series',
  'FROM invoice_states s JOIN customers',
  'UPDATE invoice_series',
  'SELECT i.credit_ids, i.charge_ids',
  'FROM discounts d JOIN coupons c ON c.id = d.coupon_id JOIN organizations',
  'INSERT INTO discount_uses',
  'FROM discounts WHERE coupon_id',
  'FROM invoice_lines',
  'FROM billing_periods',
  'organizations_with_pending_amendments',
  'FROM amendments a WHERE',
  'UPDATE amendments a SET stream_sequence',
  'amended_events',
  'ingest_counts',
  'identity_checks',
];

type Plan = {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly Filter?: string;
  readonly Plans?: readonly Plan[];
};
type Explained = { readonly 'Query Text': string; readonly Plan: Plan };

let own: TestServers;
let pipeline: Pipeline;
let tenant: Tenant;
let objects: Objects;
let large: ReadonlySet<string>;
let logStart = 0;
let superuser: pg.Client;
const month = lastMonth();

beforeAll(async () => {
  own = await startTestServers();
  superuser = new pg.Client({ connectionString: own.urls.postgres });
  await superuser.connect();
  const set = (name: string, value: string) => superuser.query(`ALTER SYSTEM SET ${name} = '${value}'`);
  await set('session_preload_libraries', 'auto_explain');
  await set('log_line_prefix', '%u|');
  await superuser.query('SELECT pg_reload_conf()');
  pipeline = await startPipeline(own.urls);
  tenant = await firstTenant(pipeline);
  objects = await makeObjects(tenant.api, 'filled', tenant.ingest);
  large = await fillTables(pipeline.asOwner, tenant.organizationId);
  // Sessions that are there already follow, as they have the library. The settings are known once it is loaded.
  await superuser.query("LOAD 'auto_explain'");
  await set('auto_explain.log_nested_statements', 'on');
  await set('auto_explain.log_format', 'json');
  await set('auto_explain.log_parameter_max_length', '0');
  await set('auto_explain.log_min_duration', '0');
  logStart = statSync(logPath(own.home, 'postgres')).size;
  await superuser.query('SELECT pg_reload_conf()');
}, 900_000);
afterAll(async () => {
  await pipeline?.stop();
  await superuser?.end();
  await own?.stop();
});

/** What our logins ran since the tables were filled. An entry of the log begins where a line has no tab. */
const explained = (): Explained[] => {
  const log = readFileSync(logPath(own.home, 'postgres')).subarray(logStart).toString('utf8');
  return log.split(/\n(?=[^\t\n]*\|)/).flatMap((entry): Explained[] => {
    const [, user, json] = /^(\w+)\|LOG: {2}duration: [0-9.]+ ms {2}plan:\n(\t\{[\s\S]*\n\t\})/.exec(entry) ?? [];
    return (logins as readonly (string | undefined)[]).includes(user) && json ? [JSON.parse(json) as Explained] : [];
  });
};

const nodesOf = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)];

/** Each (table, statement) that was read whole. */
type Scan = { readonly table: string; readonly filter: string; readonly statement: string };
const scansOf = (statements: readonly Explained[]): Scan[] => {
  const scans = statements.flatMap(({ Plan: plan, 'Query Text': statement }) =>
    nodesOf(plan).flatMap(({ 'Node Type': type, 'Relation Name': table, Filter: filter = '' }) =>
      type === 'Seq Scan' && table !== undefined && large.has(table) ? [{ table, filter, statement }] : [],
    ),
  );
  return [...new Map(scans.map((scan) => [`${scan.table} ${scan.filter} ${scan.statement}`, scan])).values()];
};

/** Values that a list can be asked for, by the name of the filter. */
const filterValue = (name: string): string =>
  ({
    customer_id: objects.customer,
    subscription_id: objects.subscription,
    external_id: objects.externalId,
    idempotency_key: objects.event,
    object_id: objects.customer,
    object_type: 'customer',
    currency: 'USD',
    open: 'true',
    overdue: 'true',
    total_min: '1.00',
    total_max: '1.00',
    document_number: 'INV-2026-000001',
  })[name] ?? 'nobody';

/** Every page that a list has: by each sort, behind a cursor, by each filter and by each time. */
const askList = async ({ list, operation }: DefinedRoute): Promise<void> => {
  const example = await examples[operation]?.(tenant.api, objects);
  const { sorts = {}, filters = {}, times = {} } = list?.definition ?? {};
  const ask = async (query: Record<string, string>) => {
    const answer = await tenant.api('GET', `${example?.path}?${new URLSearchParams({ limit: '2', ...query })}`);
    expect([operation, answer.status, answer.body.errors]).toEqual([operation, 200, undefined]);
    return answer.body;
  };
  for (const sort of Object.keys(sorts).flatMap((name) => [name, `-${name}`])) {
    const { pagination } = await ask({ sort });
    if (pagination.next_cursor) await ask({ sort, cursor: pagination.next_cursor });
  }
  for (const [name, { choices, needs }] of Object.entries(filters))
    for (const value of choices ?? [filterValue(name)])
      await ask({ [name]: value, ...(needs ? { [needs]: filterValue(needs) } : {}) });
  for (const name of Object.keys(times)) await ask({ [`${name}_after`]: new Date(month.start).toISOString() });
};

/** A month of usage that is not billed yet, from the event to the invoice. */
const billMonth = async (): Promise<void> => {
  const customer = `c-${unique()}`;
  const { api, ingest } = tenant;
  await api('POST', '/v1/customers', { external_id: customer, name: 'C' });
  const started = new Date(month.start).toISOString();
  const subscribed = { customer_id: customer, plan: llmProPlan.code, started_at: started };
  expect((await api('POST', '/v1/subscriptions', subscribed)).status).toBe(201);
  const coupon = (await api('POST', '/v1/coupons', newCoupon())).body.code;
  expect((await api('POST', `/v1/customers/${customer}/discounts`, { coupon })).status).toBe(201);
  const event = llmRequest(`k-${unique()}`, customer, month.end - 1000, { input: 1000, output: 100 });
  expect((await ingest('POST', '/v1/events', [event])).status).toBe(200);
  const run = await pipeline.closePeriod({ period: month.name });
  expect(run.body).toMatchObject({ state: 'completed', invoices_issued: 1 });
  const invoices = (await api('GET', `/v1/customers/${customer}/invoices`)).body.items;
  expect(invoices).toHaveLength(1);
  expect((await api('GET', `/v1/invoices/${invoices[0].id}`)).status).toBe(200);
};

/** As the invoicer asks of what a shard gives back. */
const askTakenBack = async (): Promise<void> => {
  const { organizationId } = tenant;
  const { rows } = await pipeline.asOwner.query<{ id: string }>(
    'SELECT id FROM billing_periods WHERE organization_id = $1 LIMIT 500',
    [organizationId],
  );
  expect(rows.length).toBeGreaterThan(0);
  for (const statement of [chargedStatement, billedBeforeStatement, creditedStatement, handCreditsStatement])
    await pipeline.asWorker.query(statement, [organizationId, rows.map(({ id }) => id)]);
  const ids = rows.map(({ id }) => id);
  await lockCorrected(pipeline.asWorker, organizationId, ids);
  await lockCharged(pipeline.asWorker, { organizationId, creditIds: ids });
};

describe('the statements of our processes', () => {
  it('meet tables that are all filled, but for those that never grow large', async () => {
    const { rows } = await pipeline.asOwner.query<{ name: string; rows: number }>(
      `SELECT relname AS name, reltuples::float8 AS rows FROM pg_class WHERE relkind = 'r'
         AND relnamespace = current_schema()::regnamespace`,
    );
    const unfilled = rows.filter(({ rows: count }) => count < rowsMin).map(({ name }) => name);
    expect(unfilled.filter((name) => !smallTables.includes(name))).toEqual([]);
  });

  it('read no large table from end to end', async () => {
    const { api: sandbox } = await makeKey(pipeline, tenant.api, { scopes: ['admin'], world: 'test' });
    for (const route of definedRoutes()) {
      const { operation, method, list } = route;
      if (list) await askList(route);
      const api = worldOf(route) === 'test' ? sandbox : tenant.api;
      const example = await examples[operation]?.(api, objects);
      const headers = method === 'POST' ? { 'idempotency-key': unique() } : undefined;
      const answer = await api(method, example?.path ?? '', example?.body, headers);
      expect([operation, answer.status < 300]).toEqual([operation, true]);
    }
    await billMonth();
    await askTakenBack();
    // The scheduler is woken by the setting; it looks each minute, and when somebody says so.
    await tenant.api('PATCH', '/v1/organization', { closing: { automatic: true, grace_minutes: 0 } });
    await pipeline.asOwner.query(
      "UPDATE subscriptions SET next_due_at = started_at WHERE organization_id = $1 AND state = 'active'",
      [tenant.organizationId],
    );
    await pipeline.asOwner.query("SELECT graphile_worker.add_job('look_for_due')");
    // Of a key and an organization that no process knows yet.
    const other = await addTenant(pipeline);
    expect((await other.api('POST', '/v1/customers', { external_id: 'new', name: 'C' })).status).toBe(201);
    for (const { url } of pipeline.stack.processes) if (url) await fetch(new URL('/metrics', url));
    // Once a minute in the API: its statements stand in the function.
    await pipeline.asApplication.query('SELECT purge_idempotency_keys(now())');
    // Once an hour in the relay.
    await pipeline.asWorker.query('SELECT remove_old_outbox_rows(now())');
    await pipeline.asWorker.query('SELECT remove_old_rating_lines(now())');
    // A scan that is there, so that none that is missed goes unseen.
    const planted = "SELECT 1 FROM invoices WHERE hash = 'of nobody'";
    await pipeline.asWorker.query(planted);
    // What is done by the clock comes within seconds: counts of the gateway, amendments, keys that were used.
    const missing = async () => {
      const texts = new Set(explained().map((one) => one['Query Text'].replaceAll(/\s+/g, ' ')));
      return expected.filter((part) => ![...texts].some((text) => text.includes(part)));
    };
    await until(missing, (left) => left.length === 0);
    const scans = scansOf(explained());
    expect(scans).toContainEqual(expect.objectContaining({ table: 'invoices', statement: planted }));
    const isAllowed = ({ table, filter, statement }: Scan) =>
      statement === planted || allowedScans.some((one) => one.table === table && filter.includes(one.filter));
    expect(scans.filter((scan) => !isAllowed(scan))).toEqual([]);
  });
});
