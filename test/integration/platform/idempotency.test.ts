/**
 * [I22] A change that is asked for again: under an Idempotency-Key, after a crash, and under a version that is gone.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { masterKeysFrom } from '#platform/secrets/vault.ts';
import type { Queryable } from '#platform/stores/postgres.ts';
import { FailureError } from '#schemas/failures.ts';
import { createAnswerStore } from '../../../api/route/answers.postgres.ts';
import { untilOneWaits } from '../../support/lock-waiters.ts';
import { parts } from '../../support/parts.ts';
import { type ApiAnswer, type Pipeline, startPipeline, until } from '../../support/pipeline.ts';
import { addCustomers, clearTextsIn, vaultWith } from '../../support/sealed-database.ts';
import { firstTenant, makeKey, makeObjects, type Objects, type Tenant, unique } from '../../support/tenants.ts';

let pipeline: Pipeline;
let tenant: Tenant;
let objects: Objects;
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'), {}, { services: parts.billedUsage });
  tenant = await firstTenant(pipeline);
  objects = await makeObjects(pipeline.api, 'customer-1');
});
afterAll(() => pipeline?.stop());

const customers = '/v1/customers';
const keys = '/v1/api-keys';
const newCustomer = () => ({ external_id: `once-${unique()}`, name: 'Somebody Secret' });
const newKey = { name: 'A key', scopes: ['read:meters'] };
const post = (path: string, body: unknown, key: string, header = 'idempotency-key'): Promise<ApiAnswer> =>
  pipeline.api('POST', path, body, { [header]: key });
const isReplay = ({ headers }: ApiAnswer): boolean => headers.get('idempotency-replayed') === 'true';
const entriesOf = async (objectId: string): Promise<number> =>
  (await pipeline.api('GET', `/v1/audit-log?object_id=${objectId}`)).body.pagination.total;
const countOf = async (externalId: string): Promise<number> =>
  (await pipeline.asOwner.query('SELECT 1 FROM customers WHERE external_id = $1', [externalId])).rowCount ?? 0;

describe('[I22] the same key', () => {
  it.each([
    ['409', customers, () => ({ external_id: objects.externalId, name: 'Taken' }), 409, 'CUSTOMER_ALREADY_EXISTS'],
    ['404', '/v1/subscriptions', () => ({ customer_id: 'nobody', plan: 'llm-pro' }), 404, 'CUSTOMER_NOT_FOUND'],
    [
      '422',
      '/v1/meters',
      () => ({ code: `m-${unique()}`, name: 'M', event: 'e', aggregation: 'sum' }),
      422,
      'VALIDATION_FAILED',
    ],
    ['201', keys, () => ({ ...newKey, world: 'live', scopes: ['admin'] }), 201, undefined],
  ] as const)(
    'repeats what the work answered, such as %s, request id and all',
    async (_, path, bodyOf, status, code) => {
      const [key, body] = [unique(), bodyOf()];
      const [first, second] = [await post(path, body, key), await post(path, body, key)];
      expect(first).toMatchObject({ status, body: code ? { error_code: code } : {} });
      expect([isReplay(first), isReplay(second)]).toEqual([false, true]);
      expect([second.status, second.body, second.headers.get('content-type')]).toEqual([
        first.status,
        first.body,
        first.headers.get('content-type'),
      ]);
      expect(second.headers.get('x-request-id')).not.toBe(first.headers.get('x-request-id'));
    },
  );

  it('repeats a refusal also where its reason is gone, and another key works', async () => {
    const [key, body] = [unique(), { customer_id: `late-${unique()}`, plan: 'llm-pro' }];
    expect((await post('/v1/subscriptions', body, key)).status).toBe(404);
    await pipeline.api('POST', customers, { external_id: body.customer_id, name: 'Late' });
    expect((await post('/v1/subscriptions', body, key)).status).toBe(404);
    expect((await post('/v1/subscriptions', body, unique())).status).toBe(201);
  });

  it('with the fields of the body in another order is the same request', async () => {
    const [key, body] = [unique(), newCustomer()];
    const first = await post(customers, body, key);
    const second = await post(customers, ` {"name": "${body.name}",\n"external_id": "${body.external_id}"}`, key);
    expect([second.status, isReplay(second), second.body]).toEqual([201, true, first.body]);
  });

  it('with another body, path or query is refused, and nothing happens', async () => {
    const [key, body] = [unique(), newCustomer()];
    await post(customers, body, key);
    const reused = { status: 422, body: { error_code: 'IDEMPOTENCY_KEY_REUSED' } };
    const other = newCustomer();
    expect(await post(customers, other, key)).toMatchObject(reused);
    expect(await post(customers, { ...body, metadata: {} }, key)).toMatchObject(reused);
    expect(await post(keys, newKey, key)).toMatchObject(reused);
    expect(await countOf(other.external_id)).toBe(0);
    expect((await post(customers, body, key)).status).toBe(201);
    const [one, two] = [await pipeline.api('POST', keys, newKey), await pipeline.api('POST', keys, newKey)];
    const again = unique();
    expect((await post(`${keys}/${one.body.id}/rotate`, {}, again)).status).toBe(201);
    expect(await post(`${keys}/${two.body.id}/rotate`, {}, again)).toMatchObject(reused);
  });

  it('keeps a refusal and undoes what the work had written before it', async () => {
    const masterKey = readFileSync(join(pipeline.stack.home, 'master-key'), 'utf8').trim();
    const answers = createAnswerStore(
      pipeline.asApplication,
      vaultWith(masterKeysFrom({ masterKey, previousMasterKey: '' })),
    );
    const db = pipeline.asApplication.forOrganization(tenant.organizationId);
    const [once, external] = [
      { key: unique(), fingerprint: Buffer.from('x'), nowMs: Date.now() },
      `undone-${unique()}`,
    ];
    const refused = { status: 409, headers: {}, body: Buffer.from('{"refused":true}') };
    const work = async (client: Queryable): Promise<never> => {
      await addCustomers(client, tenant.organizationId, [{ id: external, personal: Buffer.from('x') }]);
      throw new FailureError('CUSTOMER_ALREADY_EXISTS');
    };
    expect(await answers.once(db, once, work, () => refused)).toEqual({ answer: refused, replayed: false });
    expect(await answers.once(db, once, work, () => refused)).toEqual({ answer: refused, replayed: true });
    expect(await countOf(external)).toBe(0);
    // A fault of ours is no answer, and is not kept.
    const bug = async (): Promise<never> => Promise.reject(new Error('a bug'));
    const another = { ...once, key: unique() };
    await expect(answers.once(db, another, bug, () => refused)).rejects.toThrow('a bug');
    expect(
      (
        await answers.once(
          db,
          another,
          async () => ({ ...refused, status: 201 }),
          () => refused,
        )
      ).answer.status,
    ).toBe(201);
  });

  it('is repeated to a key that was rotated, and to none that may do less: the answer may hold a secret', async () => {
    const keeper = await makeKey(pipeline, pipeline.api, { scopes: ['admin:keys', 'write:customers'] });
    const other = await makeKey(pipeline, pipeline.api, { scopes: ['admin:keys'] });
    const [key, body] = [unique(), { name: 'A key', scopes: ['write:customers'] }];
    const ask = (authorization: string) =>
      pipeline.api('POST', keys, body, { 'idempotency-key': key, authorization: `Bearer ${authorization}` });
    const first = await ask(keeper.key);
    expect(first.status).toBe(201);
    expect(await ask(other.key)).toMatchObject({ status: 422, body: { error_code: 'IDEMPOTENCY_KEY_REUSED' } });
    const rotated = await pipeline.api('POST', `${keys}/${keeper.id}/rotate`, {});
    expect(await ask(rotated.body.key)).toMatchObject({ status: 201, body: first.body });
  });

  it('may be given as X-Idempotency-Key, and as both where they agree', async () => {
    const [key, body] = [unique(), newCustomer()];
    const first = await post(customers, body, key, 'x-idempotency-key');
    expect(await post(customers, body, key)).toMatchObject({ status: 201, body: first.body });
    const both = await pipeline.api('POST', customers, body, { 'idempotency-key': key, 'x-idempotency-key': key });
    expect([both.status, isReplay(both)]).toEqual([201, true]);
  });

  it.each([
    ['two that differ', { 'idempotency-key': 'a', 'x-idempotency-key': 'b' }],
    ['none at all', { 'idempotency-key': '' }],
    ['one with a space', { 'idempotency-key': 'a b' }],
    ['one that is not ASCII', { 'idempotency-key': 'é' }],
    ['256 characters', { 'idempotency-key': 'x'.repeat(256) }],
    ['256 characters under the alias', { 'x-idempotency-key': 'x'.repeat(256) }],
  ] as const)('that is %s is 400', async (_, headers) => {
    const body = newCustomer();
    expect(await pipeline.api('POST', customers, body, headers)).toMatchObject({
      status: 400,
      body: { errors: [{ field: 'Idempotency-Key', code: 'wrong_format' }] },
    });
    expect(await countOf(body.external_id)).toBe(0);
  });

  it('of 255 characters is good', async () => {
    expect((await post(customers, newCustomer(), '~'.repeat(255))).status).toBe(201);
  });

  it('is not kept for a request that was never worked on: malformed, unknown fields, no right to it', async () => {
    const [key, body] = [unique(), newCustomer()];
    expect((await post(customers, '{', key)).status).toBe(400);
    expect((await post(customers, { ...body, colour: 'red' }, key)).status).toBe(422);
    expect((await post(`${customers}?colour=red`, body, key)).status).toBe(400);
    const other = await pipeline.api('POST', keys, newKey);
    expect(
      (
        await pipeline.api('POST', customers, body, {
          'idempotency-key': key,
          authorization: `Bearer ${other.body.key}`,
        })
      ).status,
    ).toBe(403);
    expect(await post(customers, body, key)).toMatchObject({ status: 201 });
  });

  it('twenty times at once works once: the others repeat the answer, or are told to come back', async () => {
    for (let round = 0; round < 5; round += 1) {
      const [key, body] = [unique(), newCustomer()];
      const answers = await Promise.all(Array.from({ length: 20 }, () => post(customers, body, key)));
      const [busy, done] = [
        answers.filter(({ status }) => status === 409),
        answers.filter(({ status }) => status === 201),
      ];
      expect(busy.length + done.length).toBe(20);
      for (const answer of busy) {
        expect(answer.body.error_code).toBe('IDEMPOTENCY_KEY_IN_USE');
        expect(answer.headers.get('retry-after')).toBe('1');
      }
      expect(done.filter((answer) => !isReplay(answer))).toHaveLength(1);
      expect(new Set(done.map((answer) => answer.body.id)).size).toBe(1);
      expect([await countOf(body.external_id), await entriesOf(done[0]?.body.id)]).toEqual([1, 1]);
      expect(isReplay(await post(customers, body, key))).toBe(true);
    }
  });

  it('works anew once its time is over, which is 24 hours', async () => {
    const key = unique();
    const first = await post(keys, newKey, key);
    const { rows } = await pipeline.asOwner.query<{ hours: string }>(
      'SELECT extract(epoch FROM expires_at - created_at) / 3600 AS hours FROM idempotency_keys WHERE key = $1',
      [key],
    );
    expect(Number(rows[0]?.hours)).toBe(24);
    await pipeline.asOwner.query('UPDATE idempotency_keys SET expires_at = now() WHERE key = $1', [key]);
    const second = await post(keys, { ...newKey, name: 'Another' }, key);
    expect([second.status, isReplay(second)]).toEqual([201, false]);
    expect(second.body.id).not.toBe(first.body.id);
    expect((await post(keys, { ...newKey, name: 'Another' }, key)).body).toEqual(second.body);
  });

  it('is forgotten by a purge once its time is over, and not before', async () => {
    const [old, fresh] = [unique(), unique()];
    for (const key of [old, fresh]) await post(customers, newCustomer(), key);
    await pipeline.asOwner.query(
      "UPDATE idempotency_keys SET expires_at = now() - interval '1 second' WHERE key = $1",
      [old],
    );
    const { rows } = await pipeline.asApplication.query<{ gone: bigint }>(
      'SELECT purge_idempotency_keys(now()) AS gone',
    );
    expect(rows[0]?.gone).toBeGreaterThanOrEqual(1n);
    const left = await pipeline.asOwner.query<{ key: string }>(
      'SELECT key FROM idempotency_keys WHERE key = ANY ($1)',
      [[old, fresh]],
    );
    expect(left.rows).toEqual([{ key: fresh }]);
  });

  it('[I26] keeps its answer sealed', async () => {
    const key = unique();
    const answer = await post(keys, { ...newKey, name: 'Somebody Secret', signed_requests: true }, key);
    const { rows } = await pipeline.asOwner.query('SELECT * FROM idempotency_keys WHERE key = $1', [key]);
    const stored = JSON.stringify({
      ...rows[0],
      body: rows[0].body.toString('latin1'),
      fingerprint: rows[0].fingerprint.toString('latin1'),
    });
    expect(stored).toContain(answer.body.id);
    expect(clearTextsIn(stored, ['Somebody Secret', answer.body.key, answer.body.signing_secret])).toEqual([]);
  });
});

describe('[I22] the API that is killed', () => {
  const pidOf = () => pipeline.stack.processes.find(({ name }) => name === 'api')?.pid ?? 0;
  const killed = async (pid: number): Promise<void> => {
    process.kill(pid, 'SIGKILL');
    await until(
      async () => pidOf(),
      (now) => now > 0 && now !== pid,
    );
  };
  /** Asks until there is an answer that is one. */
  const retried = (body: unknown, key: string) =>
    until(
      () => post(customers, body, key).catch(() => undefined),
      (answer) => answer !== undefined && answer.status !== 409 && answer.status < 500,
    ) as Promise<ApiAnswer>;
  const waiting = (like: string) =>
    untilOneWaits(pipeline.asOwner, "usename = 'millrace_app' AND query LIKE $1", [like]);

  it('before the commit leaves nothing, and a retry makes the one object', async () => {
    const [key, body] = [unique(), newCustomer()];
    await pipeline.asOwner.transaction(async (client) => {
      // The last lock that a change takes: all of its work is done by then.
      await client.query('SELECT 1 FROM audit_heads WHERE organization_id = $1 FOR UPDATE', [tenant.organizationId]);
      const unanswered = post(customers, body, key).catch((error: Error) => error);
      await waiting('SELECT lane, last_sequence, head_hash FROM audit_heads%');
      await killed(pidOf());
      expect(await unanswered).toBeInstanceOf(Error);
    });
    const answer = await retried(body, key);
    expect([answer.status, isReplay(answer)]).toEqual([201, false]);
    expect([await countOf(body.external_id), await entriesOf(answer.body.id)]).toEqual([1, 1]);
    expect((await post(customers, body, key)).body).toEqual(answer.body);
  });

  it('after the commit and before its answer has done it: a retry gets the answer', async () => {
    // Holds a commit up within PostgreSQL, so that the API can be stopped while it waits for it.
    await pipeline.asOwner.query(
      `CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN NULL; END $$`,
    );
    await pipeline.asOwner.query(
      `CREATE CONSTRAINT TRIGGER hold AFTER INSERT ON idempotency_keys DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
       EXECUTE FUNCTION hold()`,
    );
    const [key, body] = [unique(), newCustomer()];
    const pid = pidOf();
    let unanswered: Promise<ApiAnswer | Error> = Promise.resolve(new Error());
    await pipeline.asOwner.transaction(async (client) => {
      await client.query('SELECT pg_advisory_xact_lock(4711)');
      unanswered = post(customers, body, key).catch((error: Error) => error);
      await waiting('COMMIT');
      process.kill(pid, 'SIGSTOP');
    });
    await until(
      () => countOf(body.external_id),
      (count) => count === 1,
    );
    await killed(pid);
    expect(await unanswered).toBeInstanceOf(Error);
    await pipeline.asOwner.query('DROP TRIGGER hold ON idempotency_keys');
    const answer = await retried(body, key);
    expect([answer.status, isReplay(answer)]).toEqual([201, true]);
    expect(answer.body.external_id).toBe(body.external_id);
    expect([await countOf(body.external_id), await entriesOf(answer.body.id)]).toEqual([1, 1]);
  });
});

describe('versions', () => {
  const patch = (path: string, body: unknown, ifMatch?: string): Promise<ApiAnswer> =>
    pipeline.api('PATCH', path, body, ifMatch === undefined ? {} : { 'if-match': ifMatch });
  const added = async (body: Record<string, unknown> = {}): Promise<string> =>
    `${customers}/${(await pipeline.api('POST', customers, { ...newCustomer(), ...body })).body.id}`;

  it('of ten changes at once of the same version one wins, and the others are 412', async () => {
    for (const path of [
      await added(),
      `/v1/meters/${objects.meter}`,
      `/v1/plans/${objects.plan}`,
      `/v1/subscriptions/${objects.subscription}`,
    ]) {
      const etag = (await pipeline.api('GET', path)).headers.get('etag') ?? '';
      const answers = await Promise.all(
        Array.from({ length: 10 }, (_, index) => patch(path, { metadata: { by: String(index) } }, etag)),
      );
      expect(answers.map(({ status }) => status).toSorted(), path).toEqual([200, ...Array(9).fill(412)]);
      const winner = answers.find(({ status }) => status === 200);
      // A meter says how far its totals have come only to who reads it.
      const { totals: _, ...read } = (await pipeline.api('GET', path)).body;
      expect(read, path).toEqual(winner?.body);
      expect(await entriesOf(winner?.body.id)).toBe(winner?.body.version);
    }
  });

  it('count the changes, also of those who name none', async () => {
    const path = await added();
    const answers = await Promise.all(Array.from({ length: 10 }, (_, index) => patch(path, { name: `Name ${index}` })));
    expect(answers.map(({ body }) => body.version).toSorted((a, b) => a - b)).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    for (const { headers, body } of answers) expect(headers.get('etag')).toBe(`"${body.version}"`);
  });

  it.each([
    ['"1"', 200],
    ['*', 200],
    ['"7", "1"', 200],
    ['"7","1" , "9"', 200],
    // RFC 9110, section 13.1.1: If-Match compares strongly, and a weak tag never matches.
    ['W/"1"', 412],
    ['"7", W/"1"', 412],
    ['"2"', 412],
    ['1', 412],
    ['""', 412],
    ['"1" "2"', 412],
  ])('If-Match %s at version 1 is %i', async (ifMatch, status) => {
    const path = await added();
    const answer = await patch(path, { name: 'Another' }, ifMatch);
    expect(answer.status).toBe(status);
    const now = (await pipeline.api('GET', path)).body;
    expect([now.name, now.version]).toEqual(status === 200 ? ['Another', 2] : ['Somebody Secret', 1]);
    expect(await entriesOf(now.id)).toBe(now.version);
  });

  it('a field that is left out stays, null clears it, and nothing at all is no change', async () => {
    const path = await added({
      email: 'a@example.com',
      tax_ids: [{ type: 'eu_vat', value: 'DE811907980' }],
      metadata: { a: '1' },
    });
    const before = (await pipeline.api('GET', path)).body;
    const { body } = await patch(path, { name: 'Another' });
    expect({ ...body, updated_at: '' }).toEqual({ ...before, name: 'Another', version: 2, updated_at: '' });
    const cleared = await patch(path, { email: null, tax_ids: null });
    expect({ ...cleared.body, updated_at: '' }).toEqual({
      ...body,
      email: null,
      tax_ids: [],
      version: 3,
      updated_at: '',
    });
    expect((await pipeline.api('GET', path)).body).toEqual(cleared.body);
    for (const wrong of [{}, { name: null }, { external_id: null }, { metadata: null }])
      expect((await patch(path, wrong)).status, JSON.stringify(wrong)).toBe(422);
    expect((await pipeline.api('GET', path)).body).toEqual(cleared.body);
  });

  it('a key that is revoked by version is not revoked by another one', async () => {
    const { body } = await pipeline.api('POST', keys, newKey);
    const revoke = (ifMatch: string) =>
      pipeline.api('DELETE', `${keys}/${body.id}`, undefined, { 'if-match': ifMatch });
    expect([(await revoke('"2"')).status, (await revoke('W/"1"')).status, (await revoke('"1"')).status]).toEqual([
      412, 412, 200,
    ]);
    expect(await entriesOf(body.id)).toBe(2);
  });
});
