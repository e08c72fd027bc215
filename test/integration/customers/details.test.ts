/** The versions of what invoices say of a customer. */
import { hash } from 'node:crypto';
import canonicalize from 'canonicalize';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { Pipeline } from '../../support/pipeline.ts';
import { sharedPipeline } from '../../support/shared-pipeline.ts';
import { unique } from '../../support/tenants.ts';
import { verify } from '../../support/verify-command.ts';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
});
afterAll(() => pipeline?.stop());

const api: Pipeline['api'] = (...args) => pipeline.api(...args);
const owner: Pipeline['asOwner']['query'] = (...args) => pipeline.asOwner.query(...args);
const address = { line1: '12 St James Square', city: 'London', country: 'GB' };
const made = async (more: object = {}): Promise<string> => {
  const answer = await api('POST', '/v1/customers', { external_id: `d-${unique()}`, name: 'Ada', ...more });
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  return answer.body.id;
};
const change = async (id: string, body: object) => {
  const answer = await api('PATCH', `/v1/customers/${id}`, body);
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
};
const versionsOf = async (id: string) => (await api('GET', `/v1/customers/${id}/export`)).body.details;
const stored = async (id: string) =>
  (await owner('SELECT details_version AS version, details_digest AS digest FROM customers WHERE id = $1', [id]))
    .rows[0];

describe('the details of a customer', () => {
  it('are at a new version with each change of them, and at the same with any other', async () => {
    const id = await made();
    expect(await stored(id)).toEqual({ version: 1, digest: expect.stringMatching(/^[0-9a-f]{64}$/) });
    await change(id, { metadata: { a: 'b' }, currency: 'USD', payment_reference: 'pm_1' });
    expect(await stored(id)).toMatchObject({ version: 1 });
    await change(id, { name: 'Ada' });
    expect(await stored(id)).toMatchObject({ version: 1 });
    await change(id, { email: 'ada@lovelace.example' });
    await change(id, { address, tax_ids: [{ type: 'us_ein', value: '12-3456789' }] });
    const versions = await versionsOf(id);
    expect(versions).toMatchObject([
      { version: 1, name: 'Ada', email: null, address: null, tax_ids: [], replaced_at: expect.any(String) },
      { version: 2, email: 'ada@lovelace.example', address: null, replaced_at: expect.any(String) },
      { version: 3, address, tax_ids: [{ value: '12-3456789' }], replaced_at: null },
    ]);
    expect(await stored(id)).toEqual({ version: 3, digest: versions[2].digest });
  });

  it('have a digest that whoever has the export works out again, and that no other customer has', async () => {
    const [one, other] = [await made(), await made()];
    await change(one, { email: 'ada@lovelace.example' });
    const versions = [...(await versionsOf(one)), ...(await versionsOf(other))];
    expect(versions).toHaveLength(3);
    for (const { salt, digest, name, address, tax_ids, email } of versions)
      expect(hash('sha256', `${salt}\n${canonicalize({ name, address, tax_ids, email })}`)).toBe(digest);
    expect(new Set(versions.map(({ digest }) => digest)).size).toBe(3);
    expect(new Set(versions.map(({ salt }) => salt)).size).toBe(3);
  });

  it('lie nowhere in clear, and are gone with the customer', async () => {
    const id = await made({ name: 'Augusta King' });
    await change(id, { name: 'Countess of Lovelace' });
    const { rows } = await owner('SELECT sealed FROM customer_details WHERE customer_id = $1', [id]);
    expect(rows).toHaveLength(1);
    expect(rows[0].sealed.includes('Augusta')).toBe(false);
    expect((await api('POST', `/v1/customers/${id}/erase`)).status).toBe(200);
    expect(await stored(id)).toEqual({ version: null, digest: null });
    expect((await owner('SELECT FROM customer_details WHERE customer_id = $1', [id])).rowCount).toBe(0);
    expect(await versionsOf(id)).toEqual([]);
  });

  it('change one after the other when they are changed at the same moment', async () => {
    const id = await made();
    await Promise.all([1, 2, 3, 4, 5].map((index) => change(id, { name: `Ada ${index}` })));
    const versions = await versionsOf(id);
    expect(versions.map(({ version }: { version: number }) => version)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(new Set(versions.map(({ name }: { name: string }) => name)).size).toBe(6);
  });

  it('of a customer from before there were versions begin with its next change', async () => {
    const id = await made();
    await owner('UPDATE customers SET details_version = NULL, details_digest = NULL WHERE id = $1', [id]);
    expect(await versionsOf(id)).toEqual([]);
    await change(id, { name: 'Ada King' });
    expect(await versionsOf(id)).toMatchObject([{ version: 1, name: 'Ada King' }]);
  });

  it('leave every chain and digest of the audit log as it was', async () => {
    expect((await verify(pipeline.databaseUrl)).faults).toEqual([]);
  });
});
