/**
 * Keys that take signed requests only, at the API and at the gateway; and that nobody gets a key that is bound less
 * than the own one.
 */

import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { signRequest } from '#schemas/request-signature.ts';
import { llmRequest } from '../../support/llm-pro.ts';
import type { Pipeline } from '../../support/pipeline.ts';
import { sharedPipeline } from '../../support/shared-pipeline.ts';
import { type Hosts, makeKey, unique } from '../../support/tenants.ts';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
});
afterAll(() => pipeline?.stop());

const newKey = (body: Record<string, unknown> = { scopes: ['read:meters'] }) => makeKey(pipeline, pipeline.api, body);

describe('a key that demands signed requests', () => {
  const wrong = (detail: RegExp) => ({
    status: 401,
    body: { error_code: 'INVALID_SIGNATURE', detail: expect.stringMatching(detail) },
  });
  const body = () => JSON.stringify({ external_id: `signed-${unique()}`, name: 'Zoë' });
  const path = '/v1/customers';
  let key: Awaited<ReturnType<typeof newKey>>;
  beforeAll(async () => {
    key = await newKey({ scopes: ['write:customers', 'read:customers', 'write:events'], signed_requests: true });
  });
  const signatureOf = (
    method: string,
    signedPath: string,
    text: string,
    nowMs = Date.now(),
    secret: string = key.shown.signing_secret,
  ) => ({
    'x-signature': signRequest(secret, nowMs, { method, path: signedPath, body: Buffer.from(text) }),
  });

  it('takes what is signed: with a body, without one, with a query, and events at the gateway', async () => {
    const text = body();
    expect((await key.api('POST', path, text, signatureOf('POST', path, text))).status).toBe(201);
    const query = `${path}?limit=1&external_id=a%20b`;
    expect((await key.api('GET', query, undefined, signatureOf('GET', query, ''))).status).toBe(200);
    const event = JSON.stringify(llmRequest(unique(), 'someone', Date.now(), { input: 1, output: 1 }));
    expect((await key.ingest('POST', '/v1/events', event, signatureOf('POST', '/v1/events', event))).status).toBe(200);
  });

  it('refuses what is not signed, or signed as something else, and nothing happens', async () => {
    const text = body();
    const good = signatureOf('POST', path, text);
    const before = (await pipeline.api('GET', path)).body.pagination.total;
    const doesNotMatch = wrong(/does not match/);
    expect(await key.api('POST', path, text)).toMatchObject(wrong(/is missing/));
    expect(await key.api('POST', path, text.replace('Zoë', 'Zoe'), good)).toMatchObject(doesNotMatch);
    expect(await key.api('POST', path, text, signatureOf('PUT', path, text))).toMatchObject(doesNotMatch);
    expect(await key.api('POST', path, text, signatureOf('POST', '/v1/plans', text))).toMatchObject(doesNotMatch);
    expect(await key.api('GET', `${path}?limit=2`, undefined, signatureOf('GET', `${path}?limit=1`, ''))).toMatchObject(
      doesNotMatch,
    );
    expect(
      await key.api('POST', path, text, signatureOf('POST', path, text, Date.now(), 'mrsig_another')),
    ).toMatchObject(doesNotMatch);
    expect(await key.api('POST', path, text, signatureOf('POST', path, text, Date.now() - 301_000))).toMatchObject(
      wrong(/more than 300 seconds off/),
    );
    expect(await key.api('POST', path, text, signatureOf('POST', path, text, Date.now() + 302_000))).toMatchObject(
      wrong(/more than 300 seconds off/),
    );
    for (const header of [
      '',
      'x',
      't=1',
      `t=${Math.floor(Date.now() / 1000)},v1=00`,
      `${good['x-signature']},v2=0`,
      `v1=${'0'.repeat(64)},t=1`,
    ])
      expect(await key.api('POST', path, text, { 'x-signature': header }), header).toMatchObject({
        status: 401,
        body: { error_code: 'INVALID_SIGNATURE' },
      });
    const event = JSON.stringify(llmRequest(unique(), 'unsigned', Date.now(), { input: 1, output: 1 }));
    expect(await key.ingest('POST', '/v1/events', event)).toMatchObject(wrong(/is missing/));
    expect(await key.ingest('POST', '/v1/events', event, signatureOf('POST', '/v1/events', `${event} `))).toMatchObject(
      doesNotMatch,
    );
    expect((await pipeline.api('GET', path)).body.pagination.total).toBe(before);
  });

  it('takes a signature of up to 5 minutes ago or ahead, and one of several', async () => {
    for (const offMs of [-298_000, 298_000]) {
      const text = body();
      expect((await key.api('POST', path, text, signatureOf('POST', path, text, Date.now() + offMs))).status).toBe(201);
    }
    const text = body();
    const { 'x-signature': good } = signatureOf('POST', path, text);
    const [time, signature] = good.split(',');
    expect(
      (await key.api('POST', path, text, { 'x-signature': `${time},v1=${'0'.repeat(64)},${signature}` })).status,
    ).toBe(201);
  });

  it('is the only one that looks at the header', async () => {
    const free = await newKey({ scopes: ['read:meters'] });
    expect((await free.api('GET', '/v1/meters', undefined, { 'x-signature': 'nonsense' })).status).toBe(200);
  });

  it('[I22] is asked for a signature also where an answer would be repeated', async () => {
    const text = body();
    const once = { 'idempotency-key': unique() };
    const headers = { ...signatureOf('POST', path, text), ...once };
    expect((await key.api('POST', path, text, headers)).status).toBe(201);
    expect(await key.api('POST', path, text, once)).toMatchObject(wrong(/is missing/));
    expect((await key.api('POST', path, text, headers)).headers.get('idempotency-replayed')).toBe('true');
  });
});

describe('a key that is bound', () => {
  const make = (hosts: Pick<Hosts, 'api'>, body: Record<string, unknown> = {}, headers: Record<string, string> = {}) =>
    hosts.api('POST', '/v1/api-keys', { name: 'A key', scopes: ['read:meters'], ...body }, headers);
  const rotate = (hosts: Pick<Hosts, 'api'>, id: string) => hosts.api('POST', `/v1/api-keys/${id}/rotate`, {});
  const notGrantable = (field: string) => ({
    status: 403,
    body: { error_code: 'KEY_NOT_GRANTABLE', errors: [{ field }] },
  });
  const keeperScopes = ['admin:keys', 'read:meters'];
  /** Signs every request of a key. */
  const signing = (key: { key: string; shown: { signing_secret: string } }): Pick<Hosts, 'api'> => ({
    api: (method, path, body, headers = {}) => {
      const bytes = Buffer.from(body === undefined ? '' : JSON.stringify(body));
      const signature = signRequest(key.shown.signing_secret, Date.now(), { method, path, body: bytes });
      return pipeline.api(method, path, body, {
        authorization: `Bearer ${key.key}`,
        'x-signature': signature,
        ...headers,
      });
    },
  });

  it('to an end makes no key that outlives it, in neither world', async () => {
    const keeper = await newKey({ scopes: keeperScopes, expires_in_seconds: 3_600 });
    for (const world of ['live', 'test']) {
      expect(await make(keeper, { world })).toMatchObject(notGrantable('expires_in_seconds'));
      expect(await make(keeper, { world, expires_in_seconds: 3_700 })).toMatchObject(
        notGrantable('expires_in_seconds'),
      );
      const made = await make(keeper, { world, expires_in_seconds: 3_000 });
      expect(made.status).toBe(201);
      expect(Date.parse(made.body.expires_at)).toBeLessThanOrEqual(Date.parse(keeper.shown.expires_at));
    }
  });

  it('to an end rotates no key that outlives it, and itself to a key with the same end', async () => {
    const keeper = await newKey({ scopes: keeperScopes, expires_in_seconds: 3_600 });
    const [lasting, longer, shorter] = [
      await newKey(),
      await newKey({ scopes: ['read:meters'], expires_in_seconds: 7_200 }),
      await newKey({ scopes: ['read:meters'], expires_in_seconds: 600 }),
    ];
    for (const { id } of [lasting, longer]) {
      expect(await rotate(keeper, id)).toMatchObject(notGrantable('expires_at'));
      expect((await pipeline.api('GET', `/v1/api-keys/${id}`)).body).toMatchObject({ rotated_to: null, version: 1 });
    }
    expect((await rotate(keeper, shorter.id)).body.expires_at).toBe(shorter.shown.expires_at);
    expect((await rotate(keeper, keeper.id)).body.expires_at).toBe(keeper.shown.expires_at);
  });

  it('to an end by its own rotation makes no key that outlives the overlap, at once', async () => {
    const keeper = await newKey({ scopes: keeperScopes });
    expect((await make(keeper)).status).toBe(201);
    expect((await pipeline.api('POST', `/v1/api-keys/${keeper.id}/rotate`, { overlap_seconds: 3_600 })).status).toBe(
      201,
    );
    // The process that is asked may still know it as it was.
    expect(await make(keeper)).toMatchObject(notGrantable('expires_in_seconds'));
  });

  it('to nothing but revoked makes no key from that moment on', async () => {
    const keeper = await newKey({ scopes: keeperScopes });
    expect((await make(keeper)).status).toBe(201);
    await pipeline.api('DELETE', `/v1/api-keys/${keeper.id}`);
    const after = await make(keeper);
    expect([401, 403]).toContain(after.status);
    expect(['UNKNOWN_API_KEY', 'KEY_NOT_GRANTABLE']).toContain(after.body.error_code);
  });

  it('to sign makes and rotates no key that need not', async () => {
    const signed = await newKey({ scopes: keeperScopes, signed_requests: true });
    const keeper = signing(signed);
    expect(await make(keeper)).toMatchObject(notGrantable('signed_requests'));
    expect(await make(keeper, { kind: 'publishable', scopes: ['read:plans'] })).toMatchObject({ status: 403 });
    expect((await make(keeper, { signed_requests: true })).body).toMatchObject({ signed_requests: true });
    expect(await rotate(keeper, (await newKey()).id)).toMatchObject(notGrantable('signed_requests'));
    expect((await rotate(keeper, (await newKey({ scopes: ['read:meters'], signed_requests: true })).id)).status).toBe(
      201,
    );
    expect((await rotate(keeper, signed.id)).body).toMatchObject({ signed_requests: true });
  });

  it('hears all of its bounds at once, and gets no key that a key without bounds made under the same Idempotency-Key', async () => {
    const signed = await newKey({ scopes: keeperScopes, signed_requests: true, expires_in_seconds: 3_600 });
    const free = await newKey({ scopes: keeperScopes });
    expect((await make(signing(signed))).body.errors.map(({ field }: { field: string }) => field)).toEqual([
      'expires_in_seconds',
      'signed_requests',
    ]);
    const once = { 'idempotency-key': unique() };
    expect((await make(free, {}, once)).status).toBe(201);
    expect(await make(signing(signed), {}, once)).toMatchObject({
      status: 422,
      body: { error_code: 'IDEMPOTENCY_KEY_REUSED', detail: expect.stringContaining('scopes') },
    });
  });

  it('rotates once, whichever of two keys that rotate each other and themselves at one moment comes first', async () => {
    const [one, two] = [await newKey({ scopes: keeperScopes }), await newKey({ scopes: keeperScopes })];
    const statuses = await Promise.all([
      rotate(one, two.id),
      rotate(two, one.id),
      rotate(one, one.id),
      rotate(two, two.id),
    ]);
    const sorted = statuses.map(({ status }) => status).toSorted();
    // Each is rotated once. Who comes late finds it rotated, or is by then bound to an end that the other key is not.
    expect(sorted.slice(0, 2)).toEqual([201, 201]);
    for (const status of sorted.slice(2)) expect([403, 409]).toContain(status);
  });
});
