/**
 * `npm run bench:lists`: what a page of a long list takes, over HTTP and one after the other, on real servers. One
 * organization has `--rows` (1,000,000) customers with a subscription and an invoice each, which are written directly.
 */
import assert from 'node:assert/strict';
import { parseArgs } from 'node:util';
import pg from 'pg';
import type { Stack } from '#platform/local/stack.ts';
import { call } from './api/call.ts';
import { percentile } from './api/load.ts';
import { makePlan, subscribe } from './rating/stored-customers.ts';
import { withTemporaryStack } from './temporary-stack.ts';

const { values: given } = parseArgs({
  options: { rows: { type: 'string', default: '1000000' }, turns: { type: 'string', default: '60' } },
});
const [rows, turns] = [Number(given.rows), Number(given.turns)];
/** The usual page, and a long one. */
const limits = [20, 100];

/** Columns that a row is copied with; PostgreSQL computes the others. */
const columnsOf = async (owner: pg.Client, table: string): Promise<readonly string[]> => {
  const { rows: columns } = await owner.query<{ name: string }>(
    `SELECT quote_ident(column_name) AS name FROM information_schema.columns
     WHERE table_schema = 'public' AND table_name = $1 AND is_generated = 'NEVER'`,
    [table],
  );
  return columns.map(({ name }) => name);
};

/** For each customer a copy of the row of `invoiceId`; `changed` is SQL over the customer `c` and its number `n`. */
const copyRows = async (
  owner: pg.Client,
  table: string,
  key: string,
  invoiceId: string,
  changed: Readonly<Record<string, string>>,
): Promise<void> => {
  const columns = await columnsOf(owner, table);
  const changes = Object.entries(changed).map(([name, value]) => `'${name}', ${value}`);
  const { rowCount } = await owner.query(
    `INSERT INTO ${table} (${columns.join(', ')})
     SELECT ${columns.map((column) => `r.${column}`).join(', ')}
     FROM ${table} t CROSS JOIN (SELECT id, row_number() OVER () AS n FROM customers) c
       CROSS JOIN LATERAL jsonb_populate_record(t, jsonb_build_object(${changes.join(', ')})) r
     WHERE t.${key} = '${invoiceId}'`,
  );
  assert.equal(rowCount, rows, `${table} has no copy for each customer`);
};

const invoiceIdOf = "'inv_' || lpad(to_hex(n), 32, '0')";
const issuedAt = "now() - n * interval '2 seconds'";
const total = 'trim_scale((n % 100000)::numeric / 100)';

/** Of one that was issued, so that each reads as a real one. A tenth is open. */
const storeInvoices = async (stack: Stack, owner: pg.Client): Promise<void> => {
  const { id } = await call(stack, 'POST', '/v1/invoices', {
    customer_id: 'customer-0',
    currency: 'USD',
    lines: [{ description: 'Support', amount: '20.00' }],
    finalize: true,
  });
  await call(stack, 'GET', `/v1/invoices/${id}?wait_seconds=25`);
  // Neither the chain nor who refers to whom is read by a list.
  await owner.query("SET session_replication_role = 'replica'");
  await copyRows(owner, 'invoices', 'id', id, {
    id: invoiceIdOf,
    customer_id: 'c.id',
    series_number: '1000 + n',
    document_number: "'BENCH-' || n",
    issued_at: issuedAt,
    hash: "encode(sha256(n::text::bytea), 'hex')",
  });
  await copyRows(owner, 'invoice_lines', 'invoice_id', id, { invoice_id: invoiceIdOf });
  await copyRows(owner, 'invoice_states', 'invoice_id', id, {
    invoice_id: invoiceIdOf,
    customer_id: 'c.id',
    series_number: '1000 + n',
    issued_at: issuedAt,
    due_at: `${issuedAt} + interval '1 hour'`,
    total,
    state: "CASE WHEN n % 10 = 0 THEN 'issued' ELSE 'paid' END",
    amount_paid: `CASE WHEN n % 10 = 0 THEN 0 ELSE ${total} END`,
  });
  await owner.query("SET session_replication_role = 'origin'");
  await owner.query('VACUUM ANALYZE');
};

/** What is asked for beside the number of rows. */
const lists = (customerId: string): readonly (readonly [name: string, route: string, query?: object])[] => {
  const hoursAgo = (hours: number) => Temporal.Now.instant().subtract({ hours }).toString();
  const issued = { issued_at_after: hoursAgo(2), issued_at_before: hoursAgo(1) };
  return [
    ['customers: the newest', 'customers'],
    ['customers: by external id', 'customers', { sort: 'external_id' }],
    ['customers: an external id', 'customers', { external_id: 'customer-99' }],
    ['subscriptions: the newest', 'subscriptions'],
    ['subscriptions: of a state', 'subscriptions', { state: 'active' }],
    ['subscriptions: of a plan', 'subscriptions', { plan: 'bench' }],
    ['subscriptions: of a customer', 'subscriptions', { customer_id: customerId }],
    ['invoices: the newest', 'invoices'],
    ['invoices: of a customer', 'invoices', { customer_id: customerId }],
    ['invoices: paid', 'invoices', { state: 'paid' }],
    ['invoices: open', 'invoices', { open: true }],
    ['invoices: overdue', 'invoices', { overdue: true }],
    ['invoices: issued within an hour', 'invoices', issued],
    ['invoices: within 10.00', 'invoices', { currency: 'USD', total_min: '10', total_max: '20' }],
    ['invoices: by number', 'invoices', { sort: 'number' }],
    ['invoices: a document number', 'invoices', { document_number: 'BENCH-99' }],
  ];
};

/** "least  p50  p95" of a page, in ms; throws where a page is empty. */
const measure = async (stack: Stack, path: string): Promise<string> => {
  const took: number[] = [];
  for (let turn = 0; turn < turns + 3; turn += 1) {
    const begin = performance.now();
    const page = await call<{ readonly items: readonly object[] }>(stack, 'GET', path);
    // The first ones plan their statements.
    if (turn >= 3) took.push(performance.now() - begin);
    if (page.items.length === 0) throw new Error(`${path} has nothing`);
  }
  const sorted = took.toSorted((a, b) => a - b);
  const columns = [sorted[0] ?? 0, percentile(sorted, 0.5), percentile(sorted, 0.95)];
  return columns.map((ms) => ms.toFixed(1).padStart(7)).join('');
};

const rowOf = (name: string, columns: readonly string[]): string =>
  `${name.padEnd(34)}${columns.map((text) => text.padStart(24)).join('')}\n`;

await withTemporaryStack({}, async (stack) => {
  const owner = new pg.Client({ connectionString: stack.urls.postgres });
  await owner.connect();
  try {
    const charges = [{ code: 'base', name: 'Base', price: { model: 'flat', amount: '20.00' } }];
    const plan = { code: 'bench', name: 'Bench', currency: 'USD', charges };
    const { organizationId, planVersionId } = await makePlan(stack, owner, plan);
    await subscribe(owner, organizationId, planVersionId, rows, Temporal.Now.instant());
    await storeInvoices(stack, owner);
    const { rows: some } = await owner.query<{ id: string }>(
      "SELECT id FROM customers WHERE external_id = 'customer-99'",
    );
    const heads = limits.map((limit) => `of ${limit}: least p50 p95`);
    process.stdout.write(rowOf('', heads));
    for (const [name, route, query] of lists(some[0]?.id ?? '')) {
      const columns: string[] = [];
      for (const limit of limits)
        columns.push(await measure(stack, `/v1/${route}?${new URLSearchParams({ ...query, limit: String(limit) })}`));
      process.stdout.write(rowOf(name, columns));
    }
  } finally {
    await owner.end();
  }
});
