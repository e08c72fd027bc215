/**
 * `npm run bench:lists`: what a page of a long list takes, over HTTP and one after the other, on real servers. One
 * organization has `--rows` (1,000,000) customers with a subscription and an invoice each, which are written directly.
 */
import assert from 'node:assert/strict';
import { parseArgs } from 'node:util';
import pg from 'pg';
import type { Stack } from '#platform/local/stack.ts';
import { percentile } from './api/load.ts';
import { call, subscribe } from './rating/stored-customers.ts';
import { withTemporaryStack } from './temporary-stack.ts';

const { values: given } = parseArgs({
  options: { rows: { type: 'string', default: '1000000' }, turns: { type: 'string', default: '60' } },
});
const [rows, turns] = [Number(given.rows), Number(given.turns)];
/** The usual page, and a long one. */
const limits = [20, 100];

/** Columns that a row is copied with; PostgreSQL computes the others. */
const columnsOf = async (owner: pg.Client, table: string): Promise<string> => {
  const { rows: found } = await owner.query<{ columns: string }>(
    `SELECT string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position) AS columns
     FROM information_schema.columns
     WHERE table_schema = 'public' AND table_name = $1 AND is_generated = 'NEVER'`,
    [table],
  );
  return found[0]?.columns ?? '';
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
  const changes = Object.entries(changed)
    .map(([name, value]) => `'${name}', ${value}`)
    .join(', ');
  const { rowCount } = await owner.query(
    `INSERT INTO ${table} (${columns})
     SELECT ${columns
       .split(', ')
       .map((column) => `r.${column}`)
       .join(', ')}
     FROM ${table} t CROSS JOIN (SELECT id, row_number() OVER () AS n FROM customers) c
       CROSS JOIN LATERAL jsonb_populate_record(t, jsonb_build_object(${changes})) r
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

const lists = (customerId: string): readonly (readonly [name: string, path: string])[] => {
  const hoursAgo = (hours: number) => Temporal.Now.instant().subtract({ hours }).toString();
  return [
    ['customers: the newest', '/v1/customers?'],
    ['customers: by external id', '/v1/customers?sort=external_id'],
    ['customers: an external id', '/v1/customers?external_id=customer-99'],
    ['subscriptions: the newest', '/v1/subscriptions?'],
    ['subscriptions: of a state', '/v1/subscriptions?state=active'],
    ['subscriptions: of a plan', '/v1/subscriptions?plan=bench'],
    ['subscriptions: of a customer', `/v1/subscriptions?customer_id=${customerId}`],
    ['invoices: the newest', '/v1/invoices?'],
    ['invoices: of a customer', `/v1/invoices?customer_id=${customerId}`],
    ['invoices: paid', '/v1/invoices?state=paid'],
    ['invoices: open', '/v1/invoices?open=true'],
    ['invoices: overdue', '/v1/invoices?overdue=true'],
    ['invoices: issued within an hour', `/v1/invoices?issued_at_after=${hoursAgo(2)}&issued_at_before=${hoursAgo(1)}`],
    ['invoices: within 10.00', '/v1/invoices?currency=USD&total_min=10&total_max=20'],
    ['invoices: by number', '/v1/invoices?sort=number'],
    ['invoices: a document number', '/v1/invoices?document_number=BENCH-99'],
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

await withTemporaryStack({}, async (stack) => {
  const charges = [{ code: 'base', name: 'Base', price: { model: 'flat', amount: '20.00' } }];
  await call(stack, 'POST', '/v1/plans', { code: 'bench', name: 'Bench', currency: 'USD', charges });
  const owner = new pg.Client({ connectionString: stack.urls.postgres });
  await owner.connect();
  try {
    const { rows: versions } = await owner.query<{ organization: string; version: string }>(
      'SELECT organization_id AS organization, id AS version FROM plan_versions',
    );
    const { organization = '', version = '' } = versions[0] ?? {};
    await subscribe(owner, organization, version, rows, Temporal.Now.instant());
    await storeInvoices(stack, owner);
    const { rows: some } = await owner.query<{ id: string }>(
      "SELECT id FROM customers WHERE external_id = 'customer-99'",
    );
    process.stdout.write(
      `${' '.repeat(34)}${limits.map((limit) => `of ${limit}: least p50 p95`.padStart(24)).join('')}\n`,
    );
    for (const [name, path] of lists(some[0]?.id ?? '')) {
      const texts: string[] = [];
      for (const limit of limits)
        texts.push(await measure(stack, `${path}${path.endsWith('?') ? '' : '&'}limit=${limit}`));
      process.stdout.write(`${name.padEnd(34)}${texts.map((text) => text.padStart(24)).join('')}\n`);
    }
  } finally {
    await owner.end();
  }
});
