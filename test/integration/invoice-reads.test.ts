/** Issued invoices as they are read: by filters, line by line, verified, and as files for bookkeeping. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { ApiAnswer, Pipeline } from '../support/pipeline.ts';
import { sharedPipeline } from '../support/shared-pipeline.ts';
import { addTenant, makeObjects, type Objects, type Tenant, unique } from '../support/tenants.ts';

let pipeline: Pipeline;
let tenant: Tenant;
let objects: Objects;
type Invoice = ApiAnswer['body'];
/** In the order of their numbers. */
const all: Invoice[] = [];

const made = async (path: string, body: object): Promise<ApiAnswer['body']> => {
  const answer = await tenant.api('POST', path, body);
  expect(answer.status, JSON.stringify(answer.body)).toBeLessThan(300);
  return answer.body;
};
const read = async (id: string): Promise<Invoice> =>
  (await tenant.api('GET', `/v1/invoices/${id}?wait_seconds=25`)).body;
const issue = async (customer_id: string, amount: string, more: object = {}): Promise<Invoice> => {
  const lines = [{ description: '=SUM(A1)', amount }];
  const { id } = await made('/v1/invoices', { customer_id, currency: 'USD', lines, finalize: true, ...more });
  const invoice = await read(id);
  expect(invoice.state).toBe('issued');
  all.push(invoice);
  return invoice;
};

beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
  tenant = await addTenant(pipeline);
  objects = await makeObjects(tenant.api, 'reader');
  all.push(await read(objects.invoice));
  await made('/v1/tax-rates', { code: 'own', name: '=cmd', percentage: '10' });
  const tax = { treatment: 'taxable', rates: ['own'] };
  await made('/v1/customers', { external_id: '+now', name: 'N', payment_terms: { days: 0 }, tax });
  await made('/v1/customers', { external_id: 'later', name: 'L', payment_terms: { days: 30 } });
  await issue('+now', '10.00', { purchase_order: '@PO' });
  await issue('+now', '20.00');
  await issue('later', '-0.00');
  await issue('later', '40.00');
  await issue('later', '1000', { currency: 'JPY' });
  const [, one, other] = all as [Invoice, Invoice, Invoice];
  await tenant.api('PATCH', `/v1/invoices/${one.id}`, { amount_paid: '1.00' });
  await tenant.api('PATCH', `/v1/invoices/${other.id}`, { state: 'uncollectible' });
});
afterAll(() => pipeline?.stop());

/** Their numbers, in order. */
const listed = async (query: string, of = '/v1/invoices'): Promise<(number | null)[]> => {
  const answer = await tenant.api('GET', `${of}?sort=number&${query}`);
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return answer.body.items.map(({ number }: Invoice) => number);
};

describe('a list of invoices', () => {
  it('has those in a state, what is open, and what is overdue', async () => {
    expect(await listed('state=issued')).toEqual([1, 4, 5, 6]);
    expect(await listed('state=partly_paid')).toEqual([2]);
    expect(await listed('state=uncollectible')).toEqual([3]);
    expect(await listed('state=voided')).toEqual([]);
    expect(await listed('state=draft')).toEqual([null]);
    // What is given up is not open, and neither is what is nothing.
    expect(await listed('open=true')).toEqual([1, 2, 5, 6]);
    expect(await listed('overdue=true')).toEqual([2]);
    expect(await listed('open=true&state=issued', '/v1/customers/later/invoices')).toEqual([5, 6]);
    expect(await listed('overdue=true', '/v1/customers/later/invoices')).toEqual([]);
  });

  it('has those of a customer, a number, a time of issue, a due time and a total', async () => {
    const [, one, , , last] = all as [Invoice, Invoice, Invoice, Invoice, Invoice];
    expect(one.due_at).toBe(one.issued_at);
    expect(await listed('customer_id=%2Bnow')).toEqual([2, 3]);
    expect(await listed(`document_number=${one.document_number}`)).toEqual([2]);
    expect(await listed('document_number=INV')).toEqual([]);
    expect(await listed(`issued_at_after=${one.issued_at}&issued_at_before=${last.issued_at}`)).toEqual([3, 4]);
    expect(await listed(`due_at_after=${one.due_at}&due_at_before=${last.due_at}`)).toEqual([3, 4]);
    expect(await listed('currency=JPY')).toEqual([6]);
    expect(await listed('currency=USD&total_min=0.01&total_max=22')).toEqual([1, 2, 3]);
    expect(await listed('currency=USD&total_min=22&total_max=22')).toEqual([3]);
    expect(await listed('currency=USD&total_max=-1')).toEqual([]);
  });

  it('refuses totals of no currency, and what is no decimal', async () => {
    const errors = async (query: string) => (await tenant.api('GET', `/v1/invoices?${query}`)).body.errors;
    expect(await errors('total_min=1')).toMatchObject([{ field: 'currency', code: 'missing' }]);
    expect(await errors('currency=USD&total_max=1e3')).toMatchObject([{ field: 'total_max', code: 'not_a_decimal' }]);
    expect(await errors('state=open&overdue=false')).toMatchObject([
      { field: 'state', code: 'not_allowed' },
      { field: 'overdue', code: 'not_allowed' },
    ]);
  });
});

describe('the lines of an invoice', () => {
  it('come in pages, as the invoice has them', async () => {
    const lines = Array.from({ length: 25 }, (_, n) => ({ description: `Item ${n}`, amount: `${n}.50` }));
    const long = await issue('later', '0', { lines });
    const pages: Invoice[] = [];
    for (let cursor = ''; ; ) {
      const { body } = await tenant.api('GET', `/v1/invoices/${long.id}/line-items?limit=10${cursor}`);
      pages.push(body);
      if (!body.pagination.has_more) break;
      cursor = `&cursor=${body.pagination.next_cursor}`;
    }
    expect(pages.map(({ pagination }) => [pagination.total, pagination.page_size])).toEqual([
      [25, 10],
      [25, 10],
      [25, 5],
    ]);
    expect(pages.flatMap(({ items }) => items)).toEqual(long.lines);
    for (const invoice of all)
      expect((await tenant.api('GET', `/v1/invoices/${invoice.id}/line-items`)).body.items).toEqual(invoice.lines);
  });

  it('are of what is issued: a draft is told apart from what is not there', async () => {
    for (const part of ['line-items', 'verify']) {
      const refused = async (id: string) => (await tenant.api('GET', `/v1/invoices/${id}/${part}`)).body.error_code;
      expect(await refused(objects.draft)).toBe('INVOICE_NOT_ISSUED');
      expect(await refused('inv_00000000000000000000000000000000')).toBe('INVOICE_NOT_FOUND');
    }
  });
});

describe('a verification of an invoice', () => {
  const verified = async (id: string) => {
    const { status, body } = await tenant.api('GET', `/v1/invoices/${id}/verify`);
    expect(status).toBe(200);
    return body;
  };
  const resultsOf = async (id: string) => {
    const { is_valid, checks } = await verified(id);
    const failed = checks.flatMap(({ check, result }: Record<string, string>) => (result === 'failed' ? [check] : []));
    expect(is_valid).toBe(failed.length === 0);
    return failed;
  };
  const superuser = (sql: string) =>
    pipeline.asOwner.transaction(async ({ query }) => {
      await query("SET LOCAL session_replication_role = 'replica'");
      await query(sql);
    });

  it('passes each check, and says what it was held against', async () => {
    for (const invoice of all)
      expect(await verified(invoice.id)).toMatchObject({
        invoice_id: invoice.id,
        number: invoice.number,
        hash: invoice.hash,
        is_valid: true,
        checks: [
          { check: 'hash', result: 'passed' },
          { check: 'previous', result: 'passed' },
          { check: 'next', result: invoice === all.at(-1) ? 'skipped' : 'passed' },
          { check: 'sums', result: 'passed' },
          { check: 'rated_lines', result: invoice.kind === 'period' ? 'passed' : 'skipped' },
        ],
      });
  });

  it.each([
    ["UPDATE invoices SET memo = 'x'", 'UPDATE invoices SET memo = NULL', ['hash']],
    [
      'UPDATE invoices SET total = total + 1, subtotal = subtotal + 1',
      'UPDATE invoices SET total = total - 1, subtotal = subtotal - 1',
      ['hash', 'sums'],
    ],
    ["UPDATE invoices SET hash = repeat('0', 64)", undefined, ['hash', 'next']],
    ["UPDATE invoices SET previous_hash = repeat('1', 64)", undefined, ['hash', 'previous']],
  ])('names what fails after %s', async (change, undo, failed) => {
    const { id, hash, previous_hash } = all[2] as Invoice;
    const restored = `UPDATE invoices SET hash = '${hash}', previous_hash = '${previous_hash}'`;
    await superuser(`${change} WHERE id = '${id}'`);
    expect(await resultsOf(id)).toEqual(failed);
    await superuser(`${undo ?? restored} WHERE id = '${id}'`);
    expect(await resultsOf(id)).toEqual([]);
  });

  it('names a line that is not as it was rated, though its sums and hash were made right again', async () => {
    const { id } = all[0] as Invoice;
    const other = (to: string) => `UPDATE rated_lines SET line = jsonb_set(line::jsonb, '{quantity}', '"${to}"')::json
      WHERE billing_period_id IN (SELECT id FROM billing_periods WHERE invoice_id = '${id}') AND charge_code = 'base'`;
    await superuser(other('2'));
    expect(await resultsOf(id)).toEqual(['rated_lines']);
    await superuser(other('1'));
    expect(await resultsOf(id)).toEqual([]);
  });
});

describe('an export', () => {
  const exported = async (name: string, query = '') => {
    const answer = await tenant.api('GET', `/v1/exports/${name}${query}`);
    expect(answer.status, JSON.stringify(answer.body)).toBe(200);
    return answer;
  };
  const objectsOf = async (name: string, query = ''): Promise<Invoice[]> =>
    (await exported(name, `?format=ndjson${query}`)).body
      .split('\n')
      .filter((line: string) => line !== '')
      .map((line: string) => JSON.parse(line));

  it('of invoices has each once, in the order of the chain, whose hashes link up', async () => {
    const rows = await objectsOf('invoices');
    expect(rows.map(({ number }) => number)).toEqual(all.map(({ number }) => number));
    for (const [index, row] of rows.entries()) {
      const invoice = await read(all[index].id);
      for (const name of Object.keys(row).filter((key) => !['invoice_id', 'customer_external_id'].includes(key)))
        expect([name, row[name]]).toEqual([name, invoice[name]]);
      if (index > 0) expect(row.previous_hash).toBe(rows[index - 1].hash);
    }
  });

  it('of lines and of taxes sums to the invoices', async () => {
    const lines = await objectsOf('invoice-lines');
    expect(lines).toHaveLength(all.flatMap((invoice) => invoice.lines).length);
    for (const invoice of all)
      expect(lines.filter(({ invoice_id }) => invoice_id === invoice.id)).toMatchObject(
        invoice.lines.map(({ position, description, amount, quantity, customer_id }: Invoice) => {
          return { number: invoice.number, position, description, amount, quantity, customer_id };
        }),
      );
    expect(await objectsOf('invoice-taxes')).toMatchObject(
      all.flatMap(({ number, taxes }) => taxes.map((tax: object) => ({ number, ...tax }))),
    );
    expect((await objectsOf('invoice-taxes')).map(({ amount }) => amount)).toEqual(['1.00', '2.00']);
  });

  it('is of a time of issue, or of what is behind a number', async () => {
    const [, one, , , last] = all as [Invoice, Invoice, Invoice, Invoice, Invoice];
    const between = `&issued_at_after=${one.issued_at}&issued_at_before=${last.issued_at}`;
    const numbersOf = async (name: string, query: string) => [
      ...new Set((await objectsOf(name, query)).map(({ number }) => number)),
    ];
    for (const name of ['invoices', 'invoice-lines']) {
      expect(await numbersOf(name, between)).toEqual([3, 4]);
      expect(await numbersOf(name, '&number_after=5')).toEqual([6, 7]);
      expect(await numbersOf(name, '&number_after=7')).toEqual([]);
      expect(await numbersOf(name, '&issued_at_before=2020-01-01T00:00:00Z')).toEqual([]);
    }
    const refused = await tenant.api('GET', '/v1/exports/invoices?issued_at_after=x&issued_at_before=y&format=xls');
    expect(refused.status).toBe(400);
  });

  it('as CSV has a header, and no text that a spreadsheet takes for a formula', async () => {
    const { headers, body } = await exported('invoices');
    expect(headers.get('content-type')).toBe('text/csv; charset=utf-8');
    const [header, , second] = body.split('\r\n');
    expect(header.split(',').slice(0, 4)).toEqual(['number', 'document_number', 'invoice_id', 'issued_at']);
    expect(second).toContain(`,'+now,'@PO,USD,10.00,`);
    const lines = (await exported('invoice-lines')).body;
    expect(lines).toContain(`,'=SUM(A1),`);
    expect((await exported('invoice-taxes')).body).toContain(`,own,'=cmd,10,false,taxed,10.00,1.00`);
    for (const line of `${body}${lines}`.split('\r\n')) expect(line).not.toMatch(/(?:^|,)"?[=+@]/);
  });

  it('is whole over more rows than a page has, and as of its begin', async () => {
    const customer_id = `many-${unique()}`;
    await made('/v1/customers', { external_id: customer_id, name: 'M' });
    const lines = Array.from({ length: 2_500 }, (_, n) => ({ description: `Item ${n}`, amount: '0.01' }));
    const many = await issue(customer_id, '0', { lines });
    const behind = await issue(customer_id, '5.00');
    const rows = await objectsOf('invoice-lines', `&number_after=${many.number - 1}`);
    expect(rows.map(({ number, position }) => [number, position])).toEqual([
      ...lines.map((_, index) => [many.number, index + 1]),
      [behind.number, 1],
    ]);
  });
});
