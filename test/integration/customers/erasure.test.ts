/** The erasure of what is personal of a customer: what is gone with its key, what stays, and what comes in between. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { masterKeysFrom } from '#platform/secrets/vault.ts';
import { parts } from '../../support/parts.ts';
import { type Pipeline, startPipeline, until } from '../../support/pipeline.ts';
import { answerOf, personalOf, vaultWith } from '../../support/sealed-database.ts';
import { addTenant, firstTenant, makeKey, unique } from '../../support/tenants.ts';
import { verify } from '../../support/verify-command.ts';

const masterKey = Buffer.alloc(32, 7).toString('base64');
const vault = () => vaultWith(masterKeysFrom({ masterKey, previousMasterKey: '' }));

let pipeline: Pipeline;
let organizationId: string;
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'), { MILLRACE_MASTER_KEY: masterKey }, { services: parts.catalog });
  ({ organizationId } = await firstTenant(pipeline));
});
afterAll(() => pipeline?.stop());

const api: Pipeline['api'] = (...args) => pipeline.api(...args);
const owner: Pipeline['asOwner']['query'] = (...args) => pipeline.asOwner.query(...args);
const personal = {
  name: 'Ada Lovelace',
  email: 'ada@lovelace.example',
  address: { line1: '12 St James Square', city: 'London', country: 'GB' },
  tax_ids: [{ type: 'us_ein', value: '12-3456789' }],
  payment_reference: 'pm_ada',
};
const madeWith = async (headers: Record<string, string> = {}, more: object = {}) => {
  const body = { external_id: `c-${unique()}`, ...personal, metadata: { seen: 'yes' }, ...more };
  const answer = await api('POST', '/v1/customers', body, headers);
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  return { id: answer.body.id as string, body, answer };
};
const erase = (id: string, headers: Record<string, string> = {}) =>
  api('POST', `/v1/customers/${id}/erase`, undefined, headers);
const nothingPersonal = { name: 'Erased customer', email: null, address: null, tax_ids: [], payment_reference: null };
const keysOf = async (id: string): Promise<Buffer[]> =>
  (await owner('SELECT wrapped FROM customer_keys WHERE customer_id = $1', [id])).rows.map(({ wrapped }) => wrapped);
const codeOf = ({ status, body }: { status: number; body: { error_code?: string } }) => [status, body.error_code];

describe('an erased customer', () => {
  it('is read and listed without anything personal, under its ids, and its row keeps nothing of it', async () => {
    const { id, body } = await madeWith();
    expect(await keysOf(id)).toHaveLength(1);
    const erased = await erase(body.external_id);
    expect(erased).toMatchObject({
      status: 200,
      body: { id, external_id: body.external_id, ...nothingPersonal, metadata: {}, version: 2 },
    });
    expect(erased.body.erased_at).toBe(erased.body.archived_at);
    expect((await api('GET', `/v1/customers/${id}`)).body).toEqual(erased.body);
    expect(await keysOf(id)).toEqual([]);
    const { rows } = await owner('SELECT name, personal, metadata FROM customers WHERE id = $1', [id]);
    expect(rows).toEqual([{ name: null, personal: null, metadata: {} }]);
    expect((await api('GET', `/v1/audit-log?object_id=${id}`)).body.items[0]).toMatchObject({
      action: 'customer.erased',
    });
  });

  it('is changed no more: not named again, archived, taken back or erased a second time', async () => {
    const { id } = await madeWith();
    await erase(id);
    const refused = [
      await api('PATCH', `/v1/customers/${id}`, { name: 'Ada' }),
      await api('PATCH', `/v1/customers/${id}`, { metadata: { name: 'Ada' } }),
      await api('POST', `/v1/customers/${id}/archive`),
      await api('POST', `/v1/customers/${id}/unarchive`),
      await erase(id),
    ];
    expect(refused.map(codeOf)).toEqual(refused.map(() => [409, 'CUSTOMER_ERASED']));
    expect((await api('GET', `/v1/customers/${id}`)).body).toMatchObject({ ...nothingPersonal, version: 2 });
  });

  it('leaves no answer that could be repeated with it: neither of its making nor of a later deed', async () => {
    const [made, archived] = [{ 'idempotency-key': unique() }, { 'idempotency-key': unique() }];
    const { id, body, answer } = await madeWith(made);
    const path = `/v1/customers/${id}`;
    expect(await api('POST', `${path}/archive`, undefined, archived)).toMatchObject({ status: 200, body: personal });
    // Before it, they are repeated as ever.
    expect((await api('POST', '/v1/customers', body, made)).body).toEqual(answer.body);
    expect(await api('POST', `${path}/archive`, undefined, archived)).toMatchObject({ status: 200, body: personal });
    const { rows: kept } = await owner('SELECT key, body FROM idempotency_keys WHERE customer_id = $1', [id]);
    const [own] = await keysOf(id);
    expect(kept).toHaveLength(2);

    const erasing = { 'idempotency-key': unique() };
    const erased = await erase(id, erasing);
    expect(codeOf(await api('POST', '/v1/customers', body, made))).toEqual([409, 'CUSTOMER_ERASED']);
    expect(codeOf(await api('POST', `${path}/archive`, undefined, archived))).toEqual([409, 'CUSTOMER_ERASED']);
    expect((await erase(id, erasing)).body).toEqual(erased.body);
    // Whoever has a copy of the kept answers, and every key that is left, opens none of them.
    const db = pipeline.asOwner;
    for (const { key, body: sealed } of kept) {
      const answers = answerOf(organizationId, key);
      await expect(vault().open(db, answers, sealed)).rejects.toThrow('the key of the customer is gone');
      const withKey = (wrapped?: Buffer) => ({ ...answers, key: personalOf(organizationId, id, wrapped).key });
      await expect(vault().open(db, withKey(), sealed)).rejects.toThrow('the key of the customer is gone');
      // With its key they would.
      expect(JSON.parse(String(await vault().open(db, withKey(own), sealed)))).toMatchObject(personal);
    }
  });

  it('leaves no answer of the release before either, which was kept under the key of the organization', async () => {
    const once = { 'idempotency-key': unique() };
    const { id, body, answer } = await madeWith(once);
    const place = answerOf(organizationId, once['idempotency-key']);
    const sealed = await vault().seal(pipeline.asOwner, place, Buffer.from(JSON.stringify(answer.body)));
    await owner('UPDATE idempotency_keys SET body = $2 WHERE customer_id = $1', [id, sealed]);
    expect((await api('POST', '/v1/customers', body, once)).body).toEqual(answer.body);
    await erase(id);
    expect(codeOf(await api('POST', '/v1/customers', body, once))).toEqual([409, 'CUSTOMER_ERASED']);
    const { rows } = await owner('SELECT body FROM idempotency_keys WHERE customer_id = $1', [id]);
    expect(rows).toEqual([{ body: Buffer.alloc(0) }]);
  });

  it('is accounted for by the audit log as every object is', async () => {
    const { id } = await madeWith();
    await erase(id);
    const { code, faults } = await verify(pipeline.databaseUrl);
    expect({ code, faults }).toEqual({ code: 0, faults: [] });
  });
});

describe('an erasure', () => {
  it('is refused while a subscription is pending or active, and what was billed stays after it', async () => {
    const { id } = await madeWith();
    const plan = `p-${unique()}`;
    const charges = [{ code: 'base', name: 'Base fee', price: { model: 'flat', amount: '100.00' } }];
    await api('POST', '/v1/plans', { code: plan, name: 'A plan', currency: 'USD', charges });
    const startedAt = new Date(Date.now() - 40 * 86_400_000).toISOString();
    const { body: subscription } = await api('POST', '/v1/subscriptions', {
      customer_id: id,
      plan,
      started_at: startedAt,
    });
    expect(codeOf(await erase(id))).toEqual([409, 'CUSTOMER_IN_USE']);
    expect(codeOf(await api('POST', `/v1/customers/${id}/archive`))).toEqual([409, 'CUSTOMER_IN_USE']);
    expect((await api('POST', `/v1/subscriptions/${subscription.id}/cancel`, { at: 'now' })).status).toBe(200);
    expect((await erase(id)).status).toBe(200);
    expect((await api('GET', `/v1/subscriptions/${subscription.id}`)).body.customer_id).toBe(id);
    expect(codeOf(await api('POST', '/v1/subscriptions', { customer_id: id, plan }))).toEqual([
      409,
      'CUSTOMER_ARCHIVED',
    ]);
  });

  it('of another organization, or with a key that may only read, is refused and changes nothing', async () => {
    const { id } = await madeWith();
    const other = await addTenant(pipeline);
    const reader = await makeKey(pipeline, api, { scopes: ['read:customers'] });
    expect((await other.api('POST', `/v1/customers/${id}/erase`)).status).toBe(404);
    expect((await reader.api('POST', `/v1/customers/${id}/erase`)).status).toBe(403);
    expect((await api('GET', `/v1/customers/${id}`)).body).toMatchObject(personal);
  });

  it('asked for many times at once is done once, and beside changes leaves nothing that they wrote', async () => {
    const { id } = await madeWith();
    const path = `/v1/customers/${id}`;
    const [erased, changed] = await Promise.all([
      Promise.all(Array.from({ length: 4 }, () => erase(id))),
      Promise.all(Array.from({ length: 8 }, (_, number) => api('PATCH', path, { name: `Ada ${number}` }))),
    ]);
    expect(erased.map(({ status }) => status).toSorted()).toEqual([200, 409, 409, 409]);
    for (const answer of changed) expect([200, 409]).toContain(answer.status);
    expect((await api('GET', path)).body).toMatchObject(nothingPersonal);
    expect(await keysOf(id)).toEqual([]);
    const { rows } = await owner('SELECT name, personal FROM customers WHERE id = $1', [id]);
    expect(rows).toEqual([{ name: null, personal: null }]);
  });
});

describe('the key of a customer', () => {
  it('is one where a customer is asked for twice at once, and none is left of the one who came late', async () => {
    const body = { external_id: `c-${unique()}`, ...personal };
    const answers = await Promise.all(Array.from({ length: 6 }, () => api('POST', '/v1/customers', body)));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, 409, 409, 409, 409, 409]);
    const { rows } = await owner(
      `SELECT count(*)::integer AS keys FROM customer_keys k LEFT JOIN customers c ON c.id = k.customer_id
       WHERE c.id IS NULL`,
    );
    expect(rows).toEqual([{ keys: 0 }]);
    expect((await api('GET', `/v1/customers/${body.external_id}`)).body).toMatchObject(personal);
  });

  it('comes to one from before there were such keys with its next change, once, however many come at once', async () => {
    const { id } = await madeWith();
    const [own] = await keysOf(id);
    const place = personalOf(organizationId, id, own);
    const { rows } = await owner('SELECT personal FROM customers WHERE id = $1', [id]);
    const clear = JSON.parse(String(await vault().open(pipeline.asOwner, place, rows[0].personal)));
    // As they were before there was encryption at all.
    await owner('DELETE FROM customer_keys WHERE customer_id = $1', [id]);
    await owner('UPDATE customers SET personal = NULL, name = $2 WHERE id = $1', [id, clear.name]);
    expect((await api('GET', `/v1/customers/${id}`)).body).toMatchObject({ name: personal.name, email: null });
    const answers = await Promise.all(
      Array.from({ length: 6 }, (_, number) => api('PATCH', `/v1/customers/${id}`, { metadata: { n: `${number}` } })),
    );
    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(await keysOf(id)).toHaveLength(1);
    expect((await api('GET', `/v1/customers/${id}`)).body).toMatchObject({ name: personal.name, version: 7 });
  });

  it('that comes with a change which is rolled back is not taken for one that there is', async () => {
    const { id } = await madeWith();
    await owner('DELETE FROM customer_keys WHERE customer_id = $1', [id]);
    await owner("UPDATE customers SET personal = NULL, name = 'Ada' WHERE id = $1", [id]);
    // The audit log refuses, as the last step of the change.
    await owner(`ALTER TABLE outbox ADD CONSTRAINT stopped CHECK (object_id <> '${id}') NOT VALID`);
    expect((await api('PATCH', `/v1/customers/${id}`, { email: 'ada@lovelace.example' })).status).toBe(500);
    await owner('ALTER TABLE outbox DROP CONSTRAINT stopped');
    expect(await keysOf(id)).toEqual([]);
    await until(
      () => api('PATCH', `/v1/customers/${id}`, { email: 'ada@lovelace.example' }),
      ({ status }) => status === 200,
    );
    expect((await api('GET', `/v1/customers/${id}`)).body).toMatchObject({
      name: 'Ada',
      email: 'ada@lovelace.example',
    });
    expect(await keysOf(id)).toHaveLength(1);
  });
});
