/** Credit notes as files for bookkeeping. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { Pipeline } from '../support/pipeline.ts';
import { sharedPipeline } from '../support/shared-pipeline.ts';
import { addTenant, type Tenant } from '../support/tenants.ts';

// biome-ignore lint/suspicious/noExplicitAny: a test reads any answer
type Body = any;
let pipeline: Pipeline;
let tenant: Tenant;
const notes: Body[] = [];
const made = async (path: string, body: object): Promise<Body> => {
  const answer = await tenant.api('POST', path, body);
  expect(answer.status, JSON.stringify(answer.body)).toBeLessThan(300);
  return answer.body;
};
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
  tenant = await addTenant(pipeline);
  await made('/v1/tax-rates', { code: 'own', name: '=cmd', percentage: '10' });
  const tax = { treatment: 'taxable', rates: ['own'] };
  await made('/v1/customers', { external_id: '+now', name: 'N', tax });
  const lines = [
    { description: '=SUM(A1)', amount: '20.00' },
    { description: 'Other', amount: '5.00' },
  ];
  const { id } = await made('/v1/invoices', { customer_id: '+now', currency: 'USD', lines, finalize: true });
  const issued = (await tenant.api('GET', `/v1/invoices/${id}?wait_seconds=25`)).body;
  expect(issued.state, JSON.stringify(issued)).toBe('issued');
  const first = { invoice_id: id, reason: 'duplicate', lines: [{ invoice_line: 1, amount: '10.00' }] };
  notes.push(await made('/v1/credit-notes', first));
  notes.push(await made('/v1/credit-notes', { invoice_id: id, reason: 'other' }));
});
afterAll(() => pipeline?.stop());

const exported = async (name: string, query: string): Promise<string> => {
  const answer = await tenant.api('GET', `/v1/exports/${name}${query}`);
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return answer.body;
};
const objectsOf = async (name: string, query = ''): Promise<Body[]> =>
  (await exported(name, `?format=ndjson${query}`))
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));

describe('an export of credit notes', () => {
  it('has each once, in the order of the chain, whose hashes link up', async () => {
    const rows = await objectsOf('credit-notes');
    expect(rows.map(({ number, total }) => [number, total])).toEqual([
      [1, '11.00'],
      [2, '16.50'],
    ]);
    expect(rows[1].previous_hash).toBe(rows[0].hash);
    for (const [index, row] of rows.entries()) {
      const { id, document_number, hash, invoice_id, tax_total } = notes[index];
      expect(row).toMatchObject({ credit_note_id: id, document_number, hash, invoice_id, tax_total });
    }
  });

  it('has lines and taxes, which sum to them', async () => {
    expect(
      (await objectsOf('credit-note-lines')).map(({ number, position, invoice_line, amount, tax_amount }) => [
        ...[number, position, invoice_line],
        ...[amount, tax_amount],
      ]),
    ).toEqual([
      [1, 1, 1, '10.00', '1.00'],
      [2, 1, 1, '10.00', '1.00'],
      [2, 2, 2, '5.00', '0.50'],
    ]);
    expect((await objectsOf('credit-note-taxes')).map(({ number, code, amount }) => [number, code, amount])).toEqual([
      [1, 'own', '1.00'],
      [2, 'own', '1.50'],
    ]);
  });

  it('goes on behind a number, and as CSV has no text that a spreadsheet takes for a formula', async () => {
    expect((await objectsOf('credit-notes', '&number_after=1')).map(({ number }) => number)).toEqual([2]);
    expect(await exported('credit-note-lines', '')).toContain(`,'=SUM(A1),USD,10.00,0.00,1.00,`);
    expect(await exported('credit-notes', '?number_after=2')).toMatch(
      /^number,document_number,credit_note_id,[^\n]*\r\n$/,
    );
  });
});
