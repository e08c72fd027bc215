/** [I17] What happens to an issued invoice stands beside it, and nothing else of it ever changes. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { Queryable } from '#platform/stores/postgres.ts';
import { InvoiceState } from '#schemas/invoice.ts';
import { changeInvoiceState } from '../../invoicer/invoices/invoice-state.ts';
import { parts } from '../support/parts.ts';
import { type ApiAnswer, type Pipeline, startPipeline } from '../support/pipeline.ts';
import { firstTenant, type Tenant, unique } from '../support/tenants.ts';
import { verify } from '../support/verify-command.ts';

let pipeline: Pipeline;
let tenant: Tenant;
let customer: string;
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'), {}, { services: parts.billedUsage });
  tenant = await firstTenant(pipeline);
  customer = `c-${unique()}`;
  await pipeline.api('POST', '/v1/customers', { external_id: customer, name: 'A customer' });
});
afterAll(() => pipeline?.stop());

const api: Pipeline['api'] = (...of) => pipeline.api(...of);
const draft = async (more: object = {}): Promise<ApiAnswer['body']> => {
  const lines = [{ description: 'Work', amount: '100.00' }];
  const made = await api('POST', '/v1/invoices', { customer_id: customer, currency: 'USD', lines, ...more });
  expect(made.status, JSON.stringify(made.body)).toBe(201);
  return made.body;
};
const read = async (id: string) => (await api('GET', `/v1/invoices/${id}?wait_seconds=25`)).body;
const issued = async (more: object = {}) => {
  const invoice = await read((await draft({ ...more, finalize: true })).id);
  expect(invoice).toMatchObject({ state: 'issued' });
  return invoice;
};
const patch = (id: string, body: object, headers?: Record<string, string>) =>
  api('PATCH', `/v1/invoices/${id}`, body, headers);
const refused = async (id: string, body: object): Promise<unknown[]> => {
  const answer = await patch(id, body);
  return [answer.status, answer.body.error_code ?? answer.body];
};
const entriesOf = async (id: string): Promise<string[]> =>
  (await api('GET', `/v1/audit-log?object_id=${id}&sort=created_at`)).body.items.map(
    ({ action }: { action: string }) => action,
  );

describe('the state of an invoice', () => {
  it('begins as issued, with the metadata of its draft and a version of its own', async () => {
    const made = await draft({ metadata: { order: '7' } });
    expect(made).toMatchObject({
      state: 'draft',
      amount_credited: null,
      amount_paid: null,
      amount_due: null,
      version: 1,
    });
    await patch(made.id, { metadata: { order: '8' } });
    expect((await api('POST', `/v1/invoices/${made.id}/finalize`)).status).toBe(202);
    const invoice = await read(made.id);
    expect(invoice).toMatchObject({
      state: 'issued',
      amount_credited: '0.00',
      amount_paid: '0.00',
      amount_due: '100.00',
      metadata: { order: '8' },
    });
    // No ETag comes twice: what was known of the draft is stale.
    expect(invoice.version).toBeGreaterThan(2);
    expect(await patch(made.id, { state: 'paid' }, { 'if-match': '"2"' })).toMatchObject({ status: 412 });
  });

  it('goes from issued over partly_paid to paid, with an entry and a version for each', async () => {
    const { id, version } = await issued();
    const first = await patch(id, { state: 'partly_paid', amount_paid: '40.00' }, { 'if-match': `"${version}"` });
    expect(first).toMatchObject({
      status: 200,
      body: { state: 'partly_paid', amount_paid: '40.00', amount_due: '60.00', version: version + 1 },
    });
    expect(first.headers.get('etag')).toBe(`"${version + 1}"`);
    expect((await patch(id, { amount_paid: '70.5' })).body).toMatchObject({
      state: 'partly_paid',
      amount_due: '29.50',
    });
    expect((await patch(id, { metadata: { a: 'b' } })).body).toMatchObject({
      state: 'partly_paid',
      metadata: { a: 'b' },
    });
    const paid = (await patch(id, { state: 'paid' })).body;
    expect(paid).toMatchObject({ state: 'paid', amount_paid: '100.00', amount_due: '0.00', version: version + 4 });
    expect(await read(id)).toMatchObject({ ...paid, total: '100.00' });
    expect((await api('GET', `/v1/invoices?customer_id=${customer}`)).body.items).toContainEqual(paid);
    expect((await entriesOf(id)).slice(-4)).toEqual([
      'invoice_state.partly_paid',
      'invoice_state.updated',
      'invoice_state.updated',
      'invoice_state.paid',
    ]);
  });

  it('is paid by its amount alone, or given up and paid after all', async () => {
    const [one, other] = [await issued(), await issued()];
    expect((await patch(one.id, { amount_paid: '100' })).body).toMatchObject({ state: 'paid', amount_due: '0.00' });
    await patch(other.id, { amount_paid: '1.00' });
    expect((await patch(other.id, { state: 'uncollectible' })).body).toMatchObject({
      state: 'uncollectible',
      amount_paid: '1.00',
      amount_due: '99.00',
    });
    expect((await patch(other.id, { state: 'paid' })).body).toMatchObject({ state: 'paid', amount_paid: '100.00' });
  });

  it('of an invoice of nothing, or of less, can be paid', async () => {
    const nothing = await issued({ lines: [{ description: 'Nothing', amount: '0.00' }] });
    expect(nothing).toMatchObject({ total: '0.00', amount_due: '0.00' });
    expect((await patch(nothing.id, { state: 'paid' })).body).toMatchObject({ state: 'paid', amount_paid: '0.00' });
  });

  it('refuses with the ways that there are, and voids by a credit note alone', async () => {
    const { id } = await issued();
    const conflict = async (body: object) => (await patch(id, body)).body;
    expect(await conflict({ state: 'issued' })).toMatchObject({
      status: 409,
      error_code: 'INVOICE_STATE_CONFLICT',
      detail: "The invoice is issued and can't become issued; it can become partly_paid, paid, uncollectible, voided.",
    });
    expect(await conflict({ state: 'voided' })).toMatchObject({
      error_code: 'INVOICE_STATE_CONFLICT',
      detail: expect.stringContaining('POST /v1/credit-notes'),
    });
    await patch(id, { state: 'paid' });
    for (const state of Object.values(InvoiceState))
      expect(await refused(id, { state })).toEqual([409, 'INVOICE_STATE_CONFLICT']);
    expect(await refused(id, { amount_paid: '50.00' })).toEqual([409, 'INVOICE_STATE_CONFLICT']);
    const open = await draft();
    expect(await conflict({ state: 'paid' })).toMatchObject({ error_code: 'INVOICE_STATE_CONFLICT' });
    expect(await refused(open.id, { state: 'issued' })).toEqual([409, 'INVOICE_STATE_CONFLICT']);
  });

  it.each([
    [{ state: 'partly_paid' }, 'missing'],
    [{ state: 'partly_paid', amount_paid: '100.00' }, 'out_of_range'],
    [{ state: 'partly_paid', amount_paid: '0' }, 'not_positive'],
    [{ state: 'paid', amount_paid: '99.99' }, 'out_of_range'],
    [{ amount_paid: '100.01' }, 'out_of_range'],
    [{ amount_paid: '-1.00' }, 'not_positive'],
    [{ amount_paid: '1.001' }, 'too_precise'],
    [{ amount_paid: '1e2' }, 'not_a_decimal'],
    [{ state: 'uncollectible', amount_paid: '1.00' }, 'out_of_range'],
  ])('refuses %j at amount_paid', async (body, code) => {
    const { id } = await issued();
    expect(await patch(id, body)).toMatchObject({ status: 422, body: { errors: [{ field: 'amount_paid', code }] } });
    expect(await read(id)).toMatchObject({ state: 'issued', amount_paid: '0.00' });
  });

  it('takes one of two changes of one moment', async () => {
    const { id, version } = await issued();
    const both = [patch(id, { state: 'paid' }), patch(id, { state: 'uncollectible' }), patch(id, { state: 'paid' })];
    const statuses = (await Promise.all(both)).map(({ status }) => status).sort();
    // What is given up may be paid after it.
    expect([
      [200, 409, 409],
      [200, 200, 409],
    ]).toContainEqual(statuses);
    expect(await read(id)).toMatchObject({
      state: 'paid',
      version: version + statuses.filter((status) => status === 200).length,
    });
  });

  it('is that of archived and erased customers too', async () => {
    const external_id = `gone-${unique()}`;
    const { id: customer_id } = (await api('POST', '/v1/customers', { external_id, name: 'Gone' })).body;
    const [one, other] = [await issued({ customer_id }), await issued({ customer_id })];
    expect((await api('POST', `/v1/customers/${customer_id}/archive`)).status).toBe(200);
    expect((await patch(one.id, { state: 'uncollectible' })).status).toBe(200);
    expect((await api('POST', `/v1/customers/${customer_id}/erase`)).status).toBe(200);
    expect((await patch(other.id, { state: 'paid' })).body).toMatchObject({ state: 'paid' });
  });

  it('accounts for each change in the audit log', async () => {
    expect(await verify(pipeline.databaseUrl)).toMatchObject({ code: 0, faults: [], stderr: '' });
  });
});

describe('[I17] what an issued invoice says', () => {
  it.each([
    { memo: 'Another' },
    { purchase_order: null },
    { custom_fields: [] },
    { finalize_at: null },
    { lines: [{ description: 'Another', unit_amount: '1.00' }] },
    { due_at: '2030-01-01T00:00:00Z' },
    { total: '1.00', subtotal: '1.00', state: 'paid' },
    { amount_due: '0.00' },
    { amount_credited: '100.00' },
    { customer_id: 'cus_1', metadata: {} },
    { hash: '0', number: 1, issued_at: null, document_number: 'X', currency: 'EUR' },
  ])('is not changed by %j: the answer names the credit note', async (body) => {
    const before = await issued();
    const answer = await patch(before.id, body);
    const names = Object.keys(body).filter((name) => !['state', 'metadata'].includes(name));
    expect(answer).toMatchObject({
      status: 409,
      body: {
        error_code: 'INVOICE_IMMUTABLE',
        detail: expect.stringContaining('POST /v1/credit-notes'),
        errors: names.map((field) => ({ field, code: 'not_allowed' })),
      },
    });
    expect(await read(before.id)).toEqual(before);
  });

  it('of a draft is computed, and a name that nobody knows is a fault with those that there are', async () => {
    const { id } = await draft();
    const errors = async (body: object) => (await patch(id, body)).body.errors;
    expect(await errors({ total: '1.00', subtotal: '1.00', amount_paid: '1.00' })).toMatchObject([
      { field: 'total', code: 'not_allowed' },
      { field: 'subtotal', code: 'not_allowed' },
      { field: 'amount_paid', code: 'not_allowed' },
    ]);
    expect(await errors({ nothing: 1 })).toMatchObject([
      { field: 'nothing', code: 'unknown_field', message: expect.not.stringContaining('previous_hash') },
    ]);
  });

  it('is not deleted', async () => {
    const { id } = await issued();
    expect(await api('DELETE', `/v1/invoices/${id}`)).toMatchObject({
      status: 409,
      body: { error_code: 'INVOICE_IMMUTABLE' },
    });
  });
});

/** The code of PostgreSQL that it is refused with; undefined where it is not. */
const codeOf = async (work: Promise<unknown>): Promise<string | undefined> => {
  try {
    await work;
    return undefined;
  } catch (error) {
    const { code, cause } = error as { code?: string; cause?: { code?: string } };
    return code ?? cause?.code ?? 'unknown';
  }
};
const denied = '42501';
const restricted = '23001';
class TakenBack extends Error {}

describe('[I17] each layer by itself', () => {
  const states = Object.values(InvoiceState).filter((state) => state !== 'draft');
  /** As the owner, past the checks of amounts, which are not what this is about; taken back. */
  const moves = async (id: string, from: string, to: string): Promise<boolean> => {
    let code: string | undefined;
    const tried = pipeline.asOwner.transaction(async (client) => {
      await client.query('ALTER TABLE invoice_states DROP CONSTRAINT invoice_states_amounts');
      await client.query("SET LOCAL session_replication_role = 'replica'");
      await client.query('UPDATE invoice_states SET state = $2 WHERE invoice_id = $1', [id, from]);
      await client.query("SET LOCAL session_replication_role = 'origin'");
      code = await codeOf(client.query('UPDATE invoice_states SET state = $2 WHERE invoice_id = $1', [id, to]));
      throw new TakenBack();
    });
    await tried.catch((error: unknown) => {
      if (!(error instanceof TakenBack)) throw error;
    });
    expect([undefined, restricted]).toContain(code);
    return code === undefined;
  };

  it('the trigger of states allows what the table of states says, and to stay', async () => {
    const { id } = await issued();
    for (const from of states)
      for (const to of states)
        expect(await moves(id, from, to), `${from} ${to}`).toBe(from === to || changeInvoiceState(from, to).ok);
  });

  const guarded = [
    "organization_id = 'org_x'",
    "invoice_id = 'inv_x'",
    "customer_id = 'cus_x'",
    "currency = 'EUR'",
    'total = total + 1',
    'series_number = series_number + 1000',
    "issued_at = issued_at + interval '1 second'",
    'due_at = now()',
  ];
  const asLogins = (): readonly (readonly [string, Queryable])[] => [
    ['application', pipeline.asApplication.forOrganization(tenant.organizationId)],
    ['worker', pipeline.asWorker],
  ];

  it('the logins of our processes may not: neither rows of invoices, nor what is fixed of states', async () => {
    const { id } = await issued();
    for (const [name, db] of asLogins())
      for (const statement of [
        ...['invoices', 'invoice_lines', 'invoice_states'].flatMap((table) => [
          `DELETE FROM ${table}`,
          `TRUNCATE ${table} CASCADE`,
          `ALTER TABLE ${table} DISABLE TRIGGER ALL`,
        ]),
        'UPDATE invoices SET total = 0',
        "UPDATE invoices SET memo = 'x'",
        'UPDATE invoice_lines SET amount = 0',
        ...guarded.map((change) => `UPDATE invoice_states SET ${change} WHERE invoice_id = '${id}'`),
        ...(name === 'worker'
          ? // What it credits, it changes with its state: usage that came late.
            ['UPDATE invoice_states SET amount_paid = 1', "UPDATE invoice_states SET metadata = '{}'"]
          : [
              'INSERT INTO invoices SELECT * FROM invoices',
              'INSERT INTO invoice_lines SELECT * FROM invoice_lines',
              `INSERT INTO invoice_states (invoice_id) VALUES ('inv_x')`,
            ]),
      ])
        expect(await codeOf(db.query(statement)), `${name}: ${statement}`).toBe(denied);
  });

  it('the triggers refuse whoever owns the tables', async () => {
    const { id } = await issued();
    const owner = pipeline.asOwner;
    for (const statement of [
      ...['invoices', 'invoice_lines', 'invoice_states'].flatMap((table) => [
        `DELETE FROM ${table}`,
        `TRUNCATE ${table} CASCADE`,
      ]),
      `UPDATE invoices SET total = 0 WHERE id = '${id}'`,
      `UPDATE invoice_lines SET amount = 0 WHERE invoice_id = '${id}'`,
      `INSERT INTO invoice_lines (invoice_id, position, charge_code, description, quantity, rounding, precise_amount,
         amount, steps, period_start, period_end)
       VALUES ('${id}', 99, 'c', 'x', 1, 'half_up', 1, 1, '[]', now(), now())`,
      ...guarded.map((change) => `UPDATE invoice_states SET ${change} WHERE invoice_id = '${id}'`),
    ])
      expect(await codeOf(owner.query(statement)), statement).toBe(restricted);
    const foreign = `INSERT INTO invoice_states (organization_id, invoice_id, series_number, customer_id, currency,
        state, total, issued_at, metadata, version, updated_at)
      SELECT organization_id, 'inv_x', 1000, customer_id, currency, 'issued', total, issued_at, '{}', 1, issued_at
      FROM invoices WHERE id = '${id}'`;
    expect(await codeOf(owner.query(foreign))).toBe('23503');
    const check = '23514';
    for (const [change, code] of [
      ['amount_credited = 1', undefined],
      ['amount_credited = 0', restricted],
      ['amount_credited = 100.01', check],
      ['amount_paid = -1', check],
      ['amount_paid = 1', check],
      ["state = 'paid'", check],
      ["state = 'voided'", check],
      ["state = 'voided', amount_credited = 100", undefined],
      ["state = 'issued'", restricted],
      ['amount_due = 0', '428C9'],
    ] as const)
      expect(
        await codeOf(owner.query(`UPDATE invoice_states SET ${change}, version = version WHERE invoice_id = $1`, [id])),
        change,
      ).toBe(code);
  });

  it('a superuser who switches triggers off breaks the chain of hashes, or what the audit log accounts for', async () => {
    const superuser = async (sql: string): Promise<void> => {
      await pipeline.asOwner.transaction(async ({ query }) => {
        await query("SET LOCAL session_replication_role = 'replica'");
        await query(sql);
      });
    };
    const faultsOf = async () => (await verify(pipeline.databaseUrl)).faults;
    // What the test before did to one as its owner is no change of ours.
    const before = await faultsOf();
    const { id, number } = await issued();
    const of = `WHERE id = '${id}'`;
    const state = `WHERE invoice_id = '${id}'`;
    for (const [change, undo, fault] of [
      [
        `UPDATE invoices SET memo = 'x' ${of}`,
        `UPDATE invoices SET memo = NULL ${of}`,
        `invoices: FAULT at ${number} `,
      ],
      [
        `UPDATE invoice_lines SET description = 'x' ${state}`,
        `UPDATE invoice_lines SET description = 'Work' ${state}`,
        `invoices: FAULT at ${number} `,
      ],
      [
        `UPDATE invoice_states SET state = 'paid', amount_paid = total ${state}`,
        `UPDATE invoice_states SET state = 'issued', amount_paid = 0 ${state}`,
        `changes: FAULT invoice_state (${id}): change_without_entry`,
      ],
      [
        `UPDATE invoice_states SET total = 1 ${state}`,
        `UPDATE invoice_states SET total = 100 ${state}`,
        `changes: FAULT invoice_state (${id}): change_without_entry`,
      ],
    ] as const) {
      await superuser(change);
      const found = (await faultsOf()).filter((one) => !before.includes(one));
      expect(
        found.map((one) => one.includes(fault)),
        change,
      ).toContain(true);
      await superuser(undo);
      expect(await faultsOf(), undo).toEqual(before);
    }
    await patch(id, { state: 'paid' });
    await superuser(`UPDATE invoice_states SET state = 'uncollectible', amount_paid = 0 ${state}`);
    expect(await faultsOf()).toContainEqual(
      expect.stringContaining(`changes: FAULT invoice_state (${id}): differs_from_last_entry`),
    );
    await superuser(`DELETE FROM invoice_states ${state}`);
    expect(await faultsOf()).toContainEqual(
      expect.stringContaining(`changes: FAULT invoice_state (${id}): row_is_gone`),
    );
  });
});
