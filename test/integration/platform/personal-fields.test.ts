/** What is about a person or a firm, from the API to the rows. */
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { type Pipeline, startPipeline } from '../../support/pipeline.ts';
import { clearTextsIn, dumpOf } from '../../support/sealed-database.ts';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'));
});
afterAll(() => pipeline?.stop());

it('[I26] a dump of the database holds no name, address, tax id or payment reference in clear, kept answers and audit log included', async () => {
  const texts = ['Ada Lovelace Ltd', 'ada@lovelace.example', '12 St James Square', 'GB123456789', 'pay_ref_7f3a91', 'Ada King'];
  const [name, email, line1, taxId, reference, later] = texts as [string, string, string, string, string, string];
  const personal = {
    name,
    email,
    address: { line1, city: 'London', country: 'GB' },
    tax_ids: [{ type: 'gb_vat', value: taxId }],
    payment_reference: reference,
  };
  const made = await pipeline.api('POST', '/v1/customers', { external_id: 'ada', ...personal }, { 'idempotency-key': 'make-ada' });
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
