/** Test keys see a world of their own. */

import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { newApiKey } from '#schemas/api-key.ts';
import { llmRequest } from '../../support/llm-pro.ts';
import { parts } from '../../support/parts.ts';
import { type Pipeline, startPipeline, until } from '../../support/pipeline.ts';
import {
  addTenant,
  firstTenant,
  type Hosts,
  hostsOf,
  makeKey,
  makeObjects,
  type Objects,
  type Tenant,
  unique,
} from '../../support/tenants.ts';

let pipeline: Pipeline;
let live: Tenant;
let test: Hosts & { shown: { id: string; world: string } };
let liveObjects: Objects;
let testObjects: Objects;
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'), {}, { services: parts.billedUsage });
  live = await firstTenant(pipeline);
  test = await makeKey(pipeline, live.api, { scopes: ['admin'], world: 'test' });
  liveObjects = await makeObjects(live.api, 'customer-1');
  testObjects = await makeObjects(test.api, 'customer-1');
});
afterAll(() => pipeline?.stop());

const organizationOf = async (table: string, id: string): Promise<string> =>
  (
    await pipeline.asOwner.query<{ organization_id: string }>(`SELECT organization_id FROM ${table} WHERE id = $1`, [
      id,
    ])
  ).rows[0]?.organization_id ?? '';

describe('a test key', () => {
  it('is made by a live key, and says what it is', async () => {
    expect(test.shown).toMatchObject({ world: 'test' });
    expect(test.key).toMatch(/^mr_test_/);
    expect(await organizationOf('api_keys', test.shown.id)).toBe(live.sandboxId);
    expect(await organizationOf('customers', testObjects.customer)).toBe(live.sandboxId);
    expect((await live.api('GET', `/v1/api-keys/${test.shown.id}`)).body).toMatchObject({ world: 'test' });
  });

  it('and a live key see nothing of each other, with the same external ids and codes in both', async () => {
    for (const [hosts, own, other] of [
      [live, liveObjects, testObjects],
      [test, testObjects, liveObjects],
    ] as const) {
      for (const [path, kind] of [
        ['/v1/customers', 'customer'],
        ['/v1/meters', 'meter'],
        ['/v1/plans', 'plan'],
        ['/v1/subscriptions', 'subscription'],
        ['/v1/invoices', 'invoice'],
      ] as const) {
        expect((await hosts.api('GET', `${path}/${own[kind]}`)).status, path).toBe(200);
        const missing = await hosts.api('GET', `${path}/${other[kind]}`);
        expect(missing.status, path).toBe(404);
        expect(missing.body.detail.includes('Looked for in the sandbox'), path).toBe(hosts === test);
        // What is there in the other world is missing like what is nowhere.
        const nowhere = await hosts.api('GET', `${path}/${other[kind].slice(0, 4)}${'0'.repeat(32)}`);
        expect({ ...nowhere.body, request_id: '' }).toEqual({ ...missing.body, request_id: '' });
        const ids = (await hosts.api('GET', path)).body.items.map(({ id }: { id: string }) => id);
        expect([ids.includes(own[kind]), ids.includes(other[kind])], path).toEqual([true, false]);
      }
    }
  });

  it('hears of the sandbox also in a refusal that is kept and repeated, and in the faults of a body', async () => {
    const sent = [{ customer_id: 'nobody', plan: 'llm-pro' }, { 'idempotency-key': unique() }] as const;
    const answers = [
      await test.api('POST', '/v1/subscriptions', ...sent),
      await test.api('POST', '/v1/subscriptions', ...sent),
    ];
    for (const { status, body } of answers)
      expect([status, body.detail]).toEqual([404, expect.stringContaining('in the sandbox')]);
    const plan = {
      code: `p-${unique()}`,
      name: 'P',
      currency: 'USD',
      charges: [{ code: 'c', name: 'C', meter: 'nothing', price: { model: 'per_unit', unit_amount: '1' } }],
    };
    for (const hosts of [test, live]) {
      const { status, body } = await hosts.api('POST', '/v1/plans', plan);
      expect(status).toBe(422);
      expect(body.errors[0].message.endsWith('in the sandbox')).toBe(hosts === test);
    }
  });

  it('has invoices that start at number 1, and a chain of their own', async () => {
    for (const [{ api }, { invoice }] of [
      [live, liveObjects],
      [test, testObjects],
    ] as const)
      expect((await api('GET', `/v1/invoices/${invoice}`)).body).toMatchObject({
        number: 1,
        previous_hash: '0'.repeat(64),
      });
  });

  it('sends events that do not show in live usage', async () => {
    const events = [1, 2, 3].map(() => llmRequest(unique(), 'customer-1', Date.now() - 1_000, { input: 7, output: 1 }));
    // The same keys in both worlds: they are other events there.
    expect((await test.ingest('POST', '/v1/events', events)).body).toMatchObject({ accepted: 3 });
    expect((await live.ingest('POST', '/v1/events', events.slice(0, 1))).body).toMatchObject({
      accepted: 1,
      duplicates: 0,
    });
    const usageOf = async (hosts: Hosts) =>
      Object.fromEntries(
        (await hosts.api('GET', '/v1/customers/customer-1/usage')).body.items.map(
          ({ meter, quantity }: { meter: string; quantity: string }) => [meter, quantity],
        ),
      );
    await until(
      () => usageOf(test),
      ({ requests }) => requests === '3',
    );
    await until(
      () => usageOf(live),
      ({ requests }) => requests === '1',
    );
    expect(await usageOf(test)).toEqual({ requests: '3', input_tokens: '21', output_tokens: '3' });
    expect(await usageOf(live)).toEqual({ requests: '1', input_tokens: '7', output_tokens: '1' });
  });

  it('makes no live key, keeps none, and its own are of its world', async () => {
    const body = { name: 'A key', scopes: ['read:meters'] };
    expect(await test.api('POST', '/v1/api-keys', { ...body, world: 'live' })).toMatchObject({
      status: 403,
      body: { error_code: 'SCOPE_NOT_GRANTABLE' },
    });
    for (const world of [undefined, 'test'])
      expect(await test.api('POST', '/v1/api-keys', { ...body, ...(world ? { world } : {}) })).toMatchObject({
        status: 201,
        body: { world: 'test', key: expect.stringMatching(/^mr_test_/) },
      });
    const liveKey = await makeKey(pipeline, live.api, { scopes: ['read:meters'] });
    for (const [method, path] of [
      ['GET', ''],
      ['DELETE', ''],
      ['POST', '/rotate'],
    ] as const)
      expect(
        (await test.api(method, `/v1/api-keys/${liveKey.id}${path}`, method === 'POST' ? {} : undefined)).status,
      ).toBe(404);
    const worlds = async (hosts: Hosts) =>
      new Set((await hosts.api('GET', '/v1/api-keys')).body.items.map(({ world }: { world: string }) => world));
    expect([await worlds(test), await worlds(live)]).toEqual([new Set(['test']), new Set(['live', 'test'])]);
  });

  it('is rotated and revoked by a live key, and stays a test key', async () => {
    const key = await makeKey(pipeline, live.api, { scopes: ['read:meters'], world: 'test', signed_requests: true });
    const rotated = await live.api('POST', `/v1/api-keys/${key.id}/rotate`, {});
    expect(rotated).toMatchObject({ status: 201, body: { world: 'test', key: expect.stringMatching(/^mr_test_/) } });
    expect((await live.api('DELETE', `/v1/api-keys/${rotated.body.id}`)).body).toMatchObject({
      world: 'test',
      state: 'revoked',
    });
  });

  it('has limits of its own: a live world that has used up its own leaves them as they are, and the other way round', async () => {
    const tenant = await addTenant(pipeline);
    const { organizationId, sandboxId, api } = tenant;
    const testKey = await makeKey(pipeline, api, { scopes: ['admin'], world: 'test' });
    await pipeline.asOwner.query("UPDATE organizations SET tier = 'starter' WHERE id = ANY ($1)", [
      [organizationId, sandboxId],
    ]);
    const create = (hosts: Hosts) => hosts.api('POST', '/v1/api-keys', { name: 'A key', scopes: ['read:meters'] });
    await until(
      () => create(tenant),
      ({ status }) => status === 429,
    );
    expect((await create(testKey)).status).toBe(201);
    await until(
      () => create(testKey),
      ({ status }) => status === 429,
    );
    expect(await create(tenant).then(({ headers }) => headers.get('x-ratelimit-limit'))).toBe('10');
  });
});

describe('a bootstrap key that begins with mr_test_', () => {
  it('sees the sandbox of the first organization, whichever of both came first', async () => {
    const key = newApiKey(randomBytes, 'test');
    const { status, stderr } = spawnSync(
      process.execPath,
      [new URL('../../../api/access/bootstrap.main.ts', import.meta.url).pathname],
      {
        env: {
          PATH: process.env.PATH ?? '',
          DATABASE_URL: pipeline.databaseUrl,
          MILLRACE_KEY_PEPPER: readFileSync(join(pipeline.stack.home, 'key-pepper'), 'utf8').trim(),
          MILLRACE_BOOTSTRAP_KEY: key,
        },
        encoding: 'utf8',
      },
    );
    expect(status, stderr).toBe(0);
    const hosts = hostsOf(pipeline, key);
    expect((await hosts.api('GET', `/v1/customers/${testObjects.customer}`)).status).toBe(200);
    expect((await hosts.api('GET', `/v1/customers/${liveObjects.customer}`)).status).toBe(404);
    expect(
      (await hosts.api('POST', '/v1/api-keys', { name: 'L', scopes: ['read:meters'], world: 'live' })).status,
    ).toBe(403);
    expect(
      (
        await pipeline.asOwner.query('SELECT 1 FROM organizations WHERE id = ANY ($1)', [
          [live.organizationId, live.sandboxId],
        ])
      ).rowCount,
    ).toBe(2);
  });
});
