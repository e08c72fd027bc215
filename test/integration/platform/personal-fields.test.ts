/** What is about a person or a firm, from the API to the rows. */

import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { parts } from '../../support/parts.ts';
import { type Pipeline, startPipeline } from '../../support/pipeline.ts';
import { clearTextsIn, dumpOf } from '../../support/sealed-database.ts';
import { makeKey } from '../../support/tenants.ts';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'), {}, { services: parts.billedUsage });
});
afterAll(() => pipeline?.stop());

it('[I26] a dump of the database holds no name, address, tax id or payment reference in clear, kept answers and audit log included', async () => {
  const texts = [
    'Ada Lovelace Ltd',
    'ada@lovelace.example',
    '12 St James Square',
    'GB110305878',
    'pay_ref_7f3a91',
    'Ada King',
  ];
  const [name, email, line1, taxId, reference, later] = texts as [string, string, string, string, string, string];
  const personal = {
    name,
    email,
    address: { line1, city: 'London', country: 'GB' },
    tax_ids: [{ type: 'gb_vat', value: taxId }],
    payment_reference: reference,
  };
  const made = await pipeline.api(
    'POST',
    '/v1/customers',
    { external_id: 'ada', ...personal },
    { 'idempotency-key': 'make-ada' },
  );
  expect(made).toMatchObject({ status: 201, body: personal });
  expect((await pipeline.api('PATCH', '/v1/customers/ada', { name: later })).status).toBe(200);
  // It is all there for who may read it ...
  expect((await pipeline.api('GET', '/v1/customers')).body.items).toMatchObject([{ ...personal, name: later }]);
  expect((await pipeline.api('GET', '/v1/audit-log')).body.items[0]).toMatchObject({ action: 'customer.updated' });
  // ... and nowhere in the rows, as text, in base64 or in hex.
  const dump = await dumpOf(pipeline.asOwner);
  expect(dump).toContain('make-ada');
  expect(clearTextsIn(dump, texts)).toEqual([]);
});

it('a key that may write customers and not read them is told nothing personal, in no answer and no repeated one', async () => {
  const texts = [
    'Grace Hopper',
    'grace@hopper.example',
    '1 Navy Yard',
    'US987654321',
    'pay_ref_1952',
    'Amazing Grace',
    'Nobody Else',
  ];
  const [name, email, line1, value, reference, later, wrong] = texts as [
    string,
    string,
    string,
    string,
    string,
    string,
    string,
  ];
  const address = { line1, city: 'Arlington', country: 'US' };
  const personal = { name, email, address, tax_ids: [{ type: 'us_ein', value }], payment_reference: reference };
  const writer = await makeKey(pipeline, pipeline.api, { scopes: ['write:customers'] });
  const both = await makeKey(pipeline, pipeline.api, { scopes: ['write:customers', 'read:customers'] });
  const once = { 'idempotency-key': 'make-grace' };
  const body = { external_id: 'grace', ...personal };
  const answers = [
    await writer.api('POST', '/v1/customers', body, once),
    await writer.api('POST', '/v1/customers', body, once),
    await writer.api('PATCH', '/v1/customers/grace', { name: later }),
    await writer.api('PATCH', '/v1/customers/grace', { metadata: { seen: 'no' } }, { 'if-match': '*' }),
    await writer.api('POST', '/v1/customers', body),
    await writer.api('PATCH', '/v1/customers/grace', { name: later }, { 'if-match': '"1"' }),
    await writer.api('PATCH', '/v1/customers/grace', { name: later, email: wrong }),
    await writer.api('PATCH', '/v1/customers/grace', { name: later, address: { line1 } }),
    await writer.api('GET', '/v1/customers/grace'),
    // The answer of another key is not repeated to one that may not see it, nor the other way round.
    await both.api('POST', '/v1/customers', body, once),
  ];
  expect(answers.map(({ status }) => status)).toEqual([201, 201, 200, 200, 409, 412, 422, 422, 403, 422]);
  expect(answers.map((answer) => clearTextsIn(JSON.stringify(answer.body), texts))).toEqual(answers.map(() => []));
  const [made, repeated, patched] = answers;
  expect(made?.headers.get('location')).toBe(`/v1/customers/${made?.body.id}`);
  expect([repeated?.body, repeated?.headers.get('idempotency-replayed')]).toEqual([made?.body, 'true']);
  expect(patched).toMatchObject({ body: { id: made?.body.id, external_id: 'grace', metadata: {}, version: 2 } });
  // Absent, as null would say that there is none.
  expect(Object.keys(patched?.body).toSorted()).toEqual([
    'aliases',
    'archived_at',
    'created_at',
    'currency',
    'erased_at',
    'external_id',
    'id',
    'invoice_defaults',
    'invoicing',
    'issuing_entity_id',
    'language',
    'metadata',
    'minimum_invoice_amounts',
    'parent_id',
    'payment_terms',
    'tax',
    'time_zone',
    'updated_at',
    'version',
  ]);
  // All of it was taken, and who may read it is told.
  const whole = { ...personal, name: later };
  expect((await both.api('PATCH', '/v1/customers/grace', { metadata: {} })).body).toMatchObject(whole);
  expect((await both.api('POST', '/v1/customers', { ...body, external_id: 'grace-2' })).body).toMatchObject(personal);
});
