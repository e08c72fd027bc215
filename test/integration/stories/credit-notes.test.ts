/** Stories of credit notes with exact cents: in parts, in several currencies, of what was paid, voided, reissued. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type Body, credit, customerWith, issue, linesOf, post, read, standing } from '../../support/credit-parts.ts';
import { openPdf } from '../../support/pdf-tools.ts';
import type { Pipeline } from '../../support/pipeline.ts';
import { sharedPipeline } from '../../support/shared-pipeline.ts';
import { flat, newPlan } from '../../support/story-parts.ts';
import { unique } from '../../support/tenants.ts';
import { lifeFrom, type Sandbox, sandboxOf } from '../../support/test-clock.ts';
import { verify } from '../../support/verify-command.ts';

let pipeline: Pipeline;
let api: Pipeline['api'];
let sandbox: Sandbox;
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
  api = pipeline.api;
  sandbox = await sandboxOf(pipeline);
  const rate = (code: string, percentage: string, more: object = {}) =>
    post(api, '/v1/tax-rates', { code, name: code.toUpperCase(), percentage, ...more });
  await rate('de', '19');
  await rate('city', '5.5');
  await rate('in', '7', { inclusive: true });
  await rate('jp', '10');
  await rate('five', '5');
  await rate('hu', '27');
});
afterAll(() => pipeline?.stop());

const refused = async (path: string, body: object): Promise<Body> => {
  const answer = await api('POST', path, body);
  expect(answer.status, JSON.stringify(answer.body)).toBeGreaterThan(399);
  return answer.body;
};
const faultsOf = ({ errors }: Body): string[] =>
  errors.map(({ field, code }: { field: string; code: string }) => `${field} ${code}`);

describe('an invoice is credited', () => {
  it('in parts, up to the last cent of two taxes beside its prices and one in them', async () => {
    const customer = await customerWith(api, ['de', 'city', 'in']);
    const invoice = await issue(api, customer, 'EUR', ['100.00', '33.33']);
    // 100.00 have 6.54 in them; of 93.46 the others are 17.76 and 5.14. 33.33 have 2.18; of 31.15, 5.92 and 1.71.
    expect(invoice.total).toBe('163.86');
    const half = await credit(api, invoice.id, { lines: [{ invoice_line: 1, amount: '50.00' }] });
    expect(linesOf(half)).toEqual(['1: 50.00, city 2.57, de 8.88, in 3.27']);
    expect([half.subtotal, half.tax_total, half.total]).toEqual(['50.00', '11.45', '61.45']);
    expect(half.lines[0].taxes.map((tax: Body) => tax.taxable_amount)).toEqual(['46.73', '46.73', '46.73']);
    expect(await standing(api, invoice.id)).toBe('issued 61.45 102.41');
    // Of 102.41 that are left, 61.45 are of the first line: 6.0004 of the 10.00, and 3.9996 of the second.
    const ten = await credit(api, invoice.id, { amount: '10.00' });
    expect(linesOf(ten)).toEqual(['1: 4.88, city 0.25, de 0.87, in 0.32', '2: 3.25, city 0.17, de 0.58, in 0.21']);
    expect(ten.total).toBe('10.00');
    const rest = await credit(api, invoice.id);
    expect(linesOf(rest)).toEqual(['1: 45.12, city 2.32, de 8.01, in 2.95', '2: 30.08, city 1.54, de 5.34, in 1.97']);
    expect(rest.total).toBe('92.41');
    expect(await standing(api, invoice.id)).toBe('voided 163.86 0.00');

    // Of what each of the three gives back there are 100.00, 5.14, 17.76 and 6.54 in all.
    const parts = ({ amount, taxes, total }: Body) => [amount, ...taxes.map((tax: Body) => tax.amount), total].join();
    const explained = async ({ id }: Body) => {
      const of = await read(api, `/v1/credit-notes/${id}/line-items/1/explain`);
      return [of.invoice_line, of.credited_before, of.credited, of.left].map(parts);
    };
    const whole = '100.00,5.14,17.76,6.54,122.90';
    const none = '0.00,0.00,0.00,0.00,0.00';
    const [first, second] = ['50.00,2.57,8.88,3.27,61.45', '4.88,0.25,0.87,0.32,6.00'];
    const third = '45.12,2.32,8.01,2.95,55.45';
    expect(await explained(half)).toEqual([whole, none, first, first]);
    expect(await explained(ten)).toEqual([whole, first, second, third]);
    expect(await explained(rest)).toEqual([whole, '54.88,2.82,9.75,3.59,67.45', third, none]);
    expect(await read(api, `/v1/credit-notes/${ten.id}/line-items/2/explain`)).toMatchObject({
      invoice_line: { position: 2, kind: 'item', rated_line: null, amount: '33.33' },
      reason: ten.reason,
      delta: null,
    });
    for (const [path, code] of [
      [`${ten.id}/line-items/3`, 'CREDIT_NOTE_LINE_NOT_FOUND'],
      [`${ten.id}/line-items/0`, 'CREDIT_NOTE_LINE_NOT_FOUND'],
      ['crn_00000000000000000000000000000000/line-items/1', 'CREDIT_NOTE_NOT_FOUND'],
    ])
      expect(await api('GET', `/v1/credit-notes/${path}/explain`)).toMatchObject({
        status: 404,
        body: { error_code: code },
      });
    expect(await refused('/v1/credit-notes', { invoice_id: invoice.id, reason: 'other' })).toMatchObject({
      error_code: 'INVOICE_FULLY_CREDITED',
    });
    const listed = await read(api, `/v1/invoices/${invoice.id}/credit-notes?sort=number`);
    expect(listed.items.map(({ id }: Body) => id)).toEqual([half.id, ten.id, rest.id]);
    expect(listed.items.map(({ previous_hash }: Body) => previous_hash).slice(1)).toEqual([half.hash, ten.hash]);
  });

  it('in yen, dinars and forints, each in its own minor units', async () => {
    const yen = await issue(api, await customerWith(api, ['jp']), 'JPY', ['1005']);
    expect(yen.total).toBe('1106');
    // 101 x 500 / 1005 is 50.2.
    expect(linesOf(await credit(api, yen.id, { lines: [{ invoice_line: 1, amount: '500' }] }))).toEqual([
      '1: 500, jp 50',
    ]);
    expect(await refused('/v1/credit-notes', { invoice_id: yen.id, reason: 'other', amount: '0.5' })).toMatchObject({
      errors: [{ field: 'amount', code: 'too_precise' }],
    });
    expect(linesOf(await credit(api, yen.id))).toEqual(['1: 505, jp 51']);

    const dinars = await issue(api, await customerWith(api, ['five']), 'KWD', ['10.005']);
    // 0.500 x 3.335 / 10.005 is 0.1667.
    expect(linesOf(await credit(api, dinars.id, { lines: [{ invoice_line: 1, amount: '3.335' }] }))).toEqual([
      '1: 3.335, five 0.167',
    ]);
    expect(linesOf(await credit(api, dinars.id))).toEqual(['1: 6.670, five 0.333']);

    const forints = await issue(api, await customerWith(api, ['hu']), 'HUF', ['999.99']);
    expect(forints.total).toBe('1269.99');
    expect(linesOf(await credit(api, forints.id, { amount: '423.33' }))).toEqual(['1: 333.33, hu 90.00']);
    expect(linesOf(await credit(api, forints.id))).toEqual(['1: 666.66, hu 180.00']);
    expect(await standing(api, forints.id)).toBe('voided 1269.99 0.00');
  });

  it('only for what was asked before anything is written: a preview says the same, and writes nothing', async () => {
    const invoice = await issue(api, await customerWith(api, ['de']), 'EUR', ['20.00']);
    const asked = { invoice_id: invoice.id, reason: 'order_change', memo: 'Less of it', amount: '11.90' };
    const preview = await post(api, '/v1/credit-notes/preview', asked);
    expect(await standing(api, invoice.id)).toBe('issued 0.00 23.80');
    expect(await post(api, '/v1/credit-notes', asked)).toMatchObject(preview);
    expect(preview).toMatchObject({ total: '11.90', subtotal: '10.00', tax_total: '1.90', memo: 'Less of it' });
  });

  it('and all that is wrong with a request is said at once, at its place', async () => {
    const invoice = await issue(api, await customerWith(api), 'USD', ['10.00', '5.00', '-2.00']);
    const of = (more: object) => ({ invoice_id: invoice.id, reason: 'other', ...more });
    const lines = [
      { invoice_line: 1, amount: '10.01' },
      { invoice_line: 1 },
      { invoice_line: 3, amount: '1.00' },
      { invoice_line: 4 },
      { invoice_line: 2, amount: '0.001' },
    ];
    expect(faultsOf(await refused('/v1/credit-notes', of({ lines, amount: '99.00' })))).toEqual([
      'amount not_allowed',
      'amount out_of_range',
      'lines[0].amount out_of_range',
      'lines[1].invoice_line duplicate',
      'lines[2].invoice_line not_allowed',
      'lines[3].invoice_line not_found',
      'lines[4].amount too_precise',
    ]);
    // 15.00 of a total of 13.00.
    expect(
      faultsOf(await refused('/v1/credit-notes', of({ lines: [{ invoice_line: 1 }, { invoice_line: 2 }] }))),
    ).toEqual(['lines out_of_range']);
    for (const [amount, code] of [
      ['0.00', 'not_positive'],
      ['-1.00', 'not_positive'],
      ['1e2', 'not_a_decimal'],
      ['13.01', 'out_of_range'],
    ])
      expect(faultsOf(await refused('/v1/credit-notes/preview', of({ amount })))).toEqual([`amount ${code}`]);
    expect(linesOf(await credit(api, invoice.id))).toEqual(['1: 10.00', '2: 5.00', '3: -2.00']);
  });
});

describe('what was paid', () => {
  const pay = async (id: string, amount_paid: string) =>
    expect((await api('PATCH', `/v1/invoices/${id}`, { amount_paid })).status).toBe(200);

  it('is settled as the credit note says, once nothing is due any more', async () => {
    const invoice = await issue(api, await customerWith(api), 'USD', ['100.00']);
    await pay(invoice.id, '70.00');
    const first = await credit(api, invoice.id, { amount: '20.00', settlement: 'refund' });
    // 30.00 were due still.
    expect([first.pre_payment_amount, first.post_payment_amount, first.settlement]).toEqual(['20.00', '0.00', null]);
    expect(await standing(api, invoice.id)).toBe('partly_paid 20.00 10.00');
    const more = { invoice_id: invoice.id, reason: 'other', amount: '25.00' };
    expect(faultsOf(await refused('/v1/credit-notes', more))).toEqual(['settlement missing']);
    const second = await post(api, '/v1/credit-notes', { ...more, settlement: 'balance' });
    expect([second.pre_payment_amount, second.post_payment_amount]).toEqual(['10.00', '15.00']);
    expect(second.settlement).toBe('balance');
    expect(await standing(api, invoice.id)).toBe('paid 45.00 0.00');
    expect(await post(api, '/v1/credit-notes', { ...more, amount: '55.00', settlement: 'refund' })).toMatchObject({
      pre_payment_amount: '0.00',
      post_payment_amount: '55.00',
    });
    expect(await standing(api, invoice.id)).toBe('paid 100.00 0.00');
  });

  it('keeps an invoice from being voided, and the answer says what to do', async () => {
    const invoice = await issue(api, await customerWith(api), 'USD', ['100.00']);
    await pay(invoice.id, '70.00');
    const answer = await api('POST', `/v1/invoices/${invoice.id}/void`, {});
    expect([answer.status, answer.body.error_code]).toEqual([409, 'INVOICE_NOT_VOIDABLE']);
    expect(answer.body.detail).toContain('POST /v1/credit-notes');
    expect(await standing(api, invoice.id)).toBe('partly_paid 0.00 30.00');
  });
});

describe('an invoice is voided', () => {
  it('by a credit note of all that is left, once', async () => {
    const invoice = await issue(api, await customerWith(api, ['de']), 'EUR', ['100.00']);
    await credit(api, invoice.id, { amount: '19.00' });
    const voided = await post(api, `/v1/invoices/${invoice.id}/void`, { reason: 'duplicate', memo: 'Sent twice' });
    expect(voided).toMatchObject({ id: invoice.id, state: 'voided', amount_due: '0.00', reissued_invoice_id: null });
    expect(await read(api, `/v1/credit-notes/${voided.credit_note_id}`)).toMatchObject({
      invoice_id: invoice.id,
      invoice_document_number: invoice.document_number,
      reason: 'duplicate',
      memo: 'Sent twice',
      total: '100.00',
      settlement: null,
    });
    for (const [action, code] of [
      ['void', 'INVOICE_NOT_VOIDABLE'],
      ['finalize', 'INVOICE_NOT_DRAFT'],
    ]) {
      const body = action === 'void' ? {} : undefined;
      const again = await api('POST', `/v1/invoices/${invoice.id}/${action}`, body);
      expect([again.status, again.body.error_code]).toEqual([409, code]);
    }
    expect((await read(api, `/v1/invoices/${invoice.id}`)).lines).toEqual(invoice.lines);
  });

  it('and issued again: a draft with the same lines is corrected, and names the one that it takes the place of', async () => {
    const customer = await customerWith(api, ['de', 'in']);
    const invoice = await issue(api, customer, 'EUR', ['100.00', '-10.00']);
    const voided = await post(api, `/v1/invoices/${invoice.id}/void`, { reissue: true });
    const path = `/v1/invoices/${voided.reissued_invoice_id}`;
    const draft = await read(api, path);
    const said = ({ lines }: Body) =>
      lines.map(({ description, quantity, amount, service_period: of }: Body) => [description, quantity, amount, of]);
    expect(said(draft)).toEqual(said(invoice));
    expect(draft).toMatchObject({ state: 'draft', reissue_of: invoice.id, total: invoice.total, kind: 'one_off' });
    expect((await api('PATCH', path, { purchase_order: 'PO-4711' })).status).toBe(200);
    await post(api, `${path}/finalize`, undefined);
    const issued = await read(api, `${path}?wait_seconds=25`);
    expect(issued).toMatchObject({ state: 'issued', reissue_of: invoice.id, purchase_order: 'PO-4711' });
    expect([issued.total, issued.amount_due]).toEqual([invoice.total, invoice.total]);
  });

  it('and issued again under other rates: each line has the tax that its category has by then', async () => {
    const life = await lifeFrom(sandbox, '2027-07-01T00:00:00Z', { address: { line1: 'x', city: 'x', country: 'AT' } });
    const [before, after] = [{ valid_until: '2027-07-10T00:00:00Z' }, { valid_from: '2027-07-10T00:00:00Z' }];
    for (const [code, percentage, more] of [
      ['at', '20', {}],
      ['at-books', '10', { tax_category: 'books', ...before }],
      ['at-books-new', '5', { tax_category: 'books', ...after }],
      ['at-maps', '13', { tax_category: 'maps', ...after }],
    ] as const)
      await sandbox.made('/v1/tax-rates', { code, name: code, percentage, country: 'AT', ...more });
    const [books, maps] = [{ tax_category: 'books' }, { tax_category: 'maps' }];
    const advance = { timing: 'advance' };
    const charges = [flat('base', '50.00', advance), flat('book', '10.00', { ...advance, ...books })];
    const plan = await newPlan(sandbox, 'EUR', charges);
    const { id } = await sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan });
    await sandbox.made(`/v1/subscriptions/${id}/charges`, { name: 'Atlas', amount: '20.00', invoice: 'now', ...maps });
    await life.until('2027-07-02T00:00:00Z');
    const { id: byHand } = await sandbox.made('/v1/invoices', {
      customer_id: life.customer,
      currency: 'EUR',
      lines: [
        { description: 'Visit', amount: '100.00' },
        { description: 'Volume', amount: '30.00', ...books },
      ],
      finalize: true,
    });
    const finished = (invoice: string) => read(sandbox.api, `/v1/invoices/${invoice}?wait_seconds=25`);
    const written = await finished(byHand);
    expect(written.content_version).toBe(5);
    expect(written.lines.map(({ tax_category }: Body) => tax_category)).toEqual([undefined, 'books']);
    const taxed = (invoices: readonly Body[]) =>
      invoices
        .flatMap(({ lines }) => lines)
        .map(({ description, amount, taxes: [tax] }: Body) => `${description} ${amount}, ${tax.code} ${tax.amount}`)
        .toSorted();
    const { items } = await read(sandbox.api, `/v1/invoices?customer_id=${life.customer}`);
    const first: Body[] = await Promise.all(items.map((one: Body) => finished(one.id)));
    expect(taxed(first)).toEqual([
      'Atlas 20.00, at 4.00',
      'Visit 100.00, at 20.00',
      'Volume 30.00, at-books 3.00',
      'base 50.00, at 10.00',
      'book 10.00, at-books 1.00',
    ]);
    await life.until('2027-07-11T00:00:00Z');
    const again: Body[] = [];
    for (const invoice of first) {
      const { reissued_invoice_id } = await post(sandbox.api, `/v1/invoices/${invoice.id}/void`, { reissue: true });
      await post(sandbox.api, `/v1/invoices/${reissued_invoice_id}/finalize`, undefined);
      again.push(await finished(reissued_invoice_id));
    }
    expect(taxed(again)).toEqual([
      'Atlas 20.00, at-maps 2.60',
      'Visit 100.00, at 20.00',
      'Volume 30.00, at-books-new 1.50',
      'base 50.00, at 10.00',
      'book 10.00, at-books-new 0.50',
    ]);
    // Of a line that was reissued, the category stays.
    const volume = again.flatMap(({ lines }) => lines).find(({ description }: Body) => description === 'Volume');
    expect(volume.tax_category).toBe('books');
  });

  it('but a draft is not: it is changed or deleted', async () => {
    const customer_id = await customerWith(api);
    const lines = [{ description: 'x', amount: '1.00' }];
    const draft = await post(api, '/v1/invoices', { customer_id, currency: 'USD', lines });
    const codes = [
      await refused(`/v1/invoices/${draft.id}/void`, {}),
      await refused('/v1/credit-notes', { invoice_id: draft.id, reason: 'other' }),
    ].map(({ error_code }) => error_code);
    expect(codes).toEqual(['INVOICE_NOT_ISSUED', 'INVOICE_NOT_ISSUED']);
  });

  it('also where it comes to nothing; one below zero is not', async () => {
    const customer = await customerWith(api);
    const even = await issue(api, customer, 'USD', ['5.00', '-5.00']);
    expect(await refused('/v1/credit-notes', { invoice_id: even.id, reason: 'other' })).toMatchObject({
      error_code: 'INVOICE_NOT_CREDITABLE',
    });
    const { credit_note_id: id } = await post(api, `/v1/invoices/${even.id}/void`, {});
    expect(linesOf(await read(api, `/v1/credit-notes/${id}`))).toEqual(['1: 5.00', '2: -5.00']);
    expect(await standing(api, even.id)).toBe('voided 0.00 0.00');
  });
});

describe('a credit note', () => {
  it('is numbered in a series of its issuer, and says what the invoice said of both sides', async () => {
    const entity = await post(api, '/v1/issuing-entities', {
      legal_name: 'Weir GmbH',
      number_format: { prefix: 'WG-', padding: 3 },
    });
    expect(entity.credit_note_prefix).toBe('CN-WG-');
    const customer = await customerWith(api, [], { issuing_entity_id: entity.id });
    const invoice = await issue(api, customer, 'USD', ['10.00']);
    const year = new Date(invoice.issued_at).getUTCFullYear();
    await api('PATCH', `/v1/customers/${customer}`, { name: 'Another name' });
    const note = await credit(api, invoice.id, { amount: '1.00' });
    expect(note).toMatchObject({
      document_number: `CN-WG-${year}-001`,
      seller: invoice.seller,
      buyer_digest: invoice.buyer_digest,
      invoice_hash: invoice.hash,
    });
    const patch = (body: object) => api('PATCH', `/v1/issuing-entities/${entity.id}`, body);
    expect((await patch({ credit_note_prefix: 'WGC-' })).body.credit_note_prefix).toBe('WGC-');
    expect((await credit(api, invoice.id, { amount: '1.00' })).document_number).toBe(`WGC-${year}-001`);
    // No number of an invoice can be that of a credit note, whoever issues it.
    const other = (body: object) => api('POST', '/v1/issuing-entities', { legal_name: 'X', ...body });
    for (const body of [
      { number_format: { prefix: 'WGC-' } },
      { number_format: { prefix: `WGC-${year}-`, include_year: false, reset: 'never' } },
      { number_format: { prefix: 'NEW-' }, credit_note_prefix: 'WG-' },
      { number_format: { prefix: 'NEW-' }, credit_note_prefix: 'WGC-' },
      { number_format: { prefix: 'CN-WG-' } },
    ])
      expect([(await other(body)).status, body]).toEqual([409, body]);
    expect(await patch({ credit_note_prefix: 'WG-' })).toMatchObject({
      status: 422,
      body: { errors: [{ field: 'credit_note_prefix', code: 'not_allowed' }] },
    });
  });

  it('is a page and a PDF in the language of its customer, names the invoice, and outlives an erasure', async () => {
    const customer = await customerWith(api, ['de'], { language: 'de' });
    const invoice = await issue(api, customer, 'EUR', ['100.00']);
    const note = await credit(api, invoice.id, { amount: '59.50', reason: 'order_change', memo: 'Weniger bestellt' });
    const get = (path: string, accept = '*/*') =>
      fetch(`${pipeline.stack.apiUrl.replace(/\/$/, '')}${path}`, {
        headers: { authorization: `Bearer ${pipeline.key}`, accept },
      });
    const html = async () => (await get(`/v1/credit-notes/${note.id}`, 'text/html')).text();
    const pdfOf = async () => Buffer.from(await (await get(`/v1/credit-notes/${note.id}.pdf`)).arrayBuffer());
    const pdf = openPdf(await pdfOf());
    try {
      await pdf.check();
      const text = await pdf.text('-layout');
      for (const shown of [await html(), text]) {
        for (const word of [
          'Rechnungskorrektur',
          invoice.document_number,
          note.document_number,
          'Geänderte Bestellung',
        ])
          expect(shown).toContain(word);
        for (const word of ['59,50', 'Weniger bestellt', note.hash, 'A customer']) expect(shown).toContain(word);
        expect(shown).not.toContain('Menge');
      }
    } finally {
      pdf.close();
    }
    expect((await pdfOf()).equals(await pdfOf())).toBe(true);
    await post(api, `/v1/customers/${customer}/archive`, undefined);
    await post(api, `/v1/customers/${customer}/erase`, undefined);
    expect(await html()).not.toContain('A customer');
    expect(await html()).toContain('Gelöschter Kunde');
    // What was issued can be corrected still.
    expect((await credit(api, invoice.id)).total).toBe('59.50');
    expect((await read(api, `/v1/credit-notes/${note.id}/verify`)).is_valid).toBe(true);
  });

  it('of a sandbox is there alone, and is issued by the clock of its customer', async () => {
    const life = await lifeFrom(sandbox, '2030-05-01T00:00:00Z');
    const invoice = await issue(sandbox.api, life.customer, 'USD', ['10.00']);
    await life.until('2031-02-03T04:05:06Z');
    const note = await credit(sandbox.api, invoice.id);
    expect(note).toMatchObject({ document_number: 'CN-2031-000001', issued_at: '2031-02-03T04:05:06Z' });
    // Behind the credit notes of the sandbox alone.
    const { items } = await read(sandbox.api, '/v1/credit-notes?sort=number');
    expect(items.map(({ number }: Body) => number)).toEqual(
      Array.from({ length: note.number }, (_, index) => index + 1),
    );
    expect([note.number, note.previous_hash]).toEqual([items.length, items.at(-2)?.hash ?? '0'.repeat(64)]);
    for (const path of [`/v1/credit-notes/${note.id}`, `/v1/invoices/${invoice.id}/credit-notes`])
      expect((await api('GET', path)).status).toBe(404);
    expect(await refused('/v1/credit-notes', { invoice_id: invoice.id, reason: 'other' })).toMatchObject({
      error_code: 'INVOICE_NOT_FOUND',
    });
  });

  it('is found by its customer, invoice and reason', async () => {
    const customer = await customerWith(api);
    const invoice = await issue(api, customer, 'USD', ['10.00']);
    const one = await credit(api, invoice.id, { amount: '1.00', reason: 'fraudulent', metadata: { ticket: '42' } });
    await credit(api, invoice.id, { amount: '1.00' });
    const ids = async (query: string) =>
      (await read(api, `/v1/credit-notes?${query}`)).items.map(({ id }: Body) => id) as string[];
    expect(await ids(`customer_id=${customer}`)).toHaveLength(2);
    expect(await ids(`invoice_id=${invoice.id}&reason=fraudulent`)).toEqual([one.id]);
    expect((await read(api, `/v1/credit-notes/${one.id}`)).metadata).toEqual({ ticket: '42' });
  });
});

describe('all that was credited here', () => {
  it('[I17][I19][I32] verifies, with the stores and without', async () => {
    expect(await verify(pipeline.databaseUrl)).toMatchObject({ code: 0, faults: [], stderr: '' });
    const all = async (path: string, host = api): Promise<Body[]> => {
      const { items } = await read(host, `${path}?limit=1000&sort=number`);
      return Promise.all(items.map(({ id }: Body) => read(host, `${path}/${id}`)));
    };
    const [invoices, notes] = [await all('/v1/invoices'), await all('/v1/credit-notes')];
    const tried = [await all('/v1/credit-notes', sandbox.api), await all('/v1/invoices', sandbox.api)].flat();
    for (const { id } of notes) expect((await read(api, `/v1/credit-notes/${id}/verify`)).is_valid, id).toBe(true);
    const folder = await mkdtemp(join(tmpdir(), `credit-${unique()}`));
    const check = async (documents: readonly Body[]) => {
      const file = join(folder, 'documents.ndjson');
      await writeFile(file, documents.map((one) => JSON.stringify(one)).join('\n'));
      return verify('', [file], 'api/verify/offline.main.ts');
    };
    const issued = invoices.filter(({ state }) => state !== 'draft');
    try {
      expect(await check([...notes, ...issued, ...tried])).toMatchObject({ code: 0 });
      const [first, ...others] = notes;
      const more = { ...first, total: `1${first.total}`, hash: first.hash };
      const { code, stdout } = await check([more, ...others, ...issued]);
      expect(code).toBe(1);
      for (const reason of ['hash_differs', 'total_is_no_sum', 'credited_beyond_total'])
        expect(stdout).toContain(reason);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
