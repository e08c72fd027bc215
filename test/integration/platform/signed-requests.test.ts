/** Keys that take signed requests only, at the API and at the gateway. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { signRequest } from '#schemas/request-signature.ts';
import { llmRequest } from '../../support/llm-pro.ts';
import { type Pipeline, startPipeline } from '../../support/pipeline.ts';
import { makeKey, unique } from '../../support/tenants.ts';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'));
});
afterAll(() => pipeline?.stop());

const newKey = (body: Record<string, unknown>) => makeKey(pipeline, pipeline.api, body);

describe('a key that demands signed requests', () => {
  const wrong = (detail: RegExp) => ({ status: 401, body: { error_code: 'INVALID_SIGNATURE', detail: expect.stringMatching(detail) } });
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
    expect(await key.api('GET', `${path}?limit=2`, undefined, signatureOf('GET', `${path}?limit=1`, ''))).toMatchObject(doesNotMatch);
    expect(await key.api('POST', path, text, signatureOf('POST', path, text, Date.now(), 'mrsig_another'))).toMatchObject(doesNotMatch);
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
    expect(await key.ingest('POST', '/v1/events', event, signatureOf('POST', '/v1/events', `${event} `))).toMatchObject(doesNotMatch);
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
    expect((await key.api('POST', path, text, { 'x-signature': `${time},v1=${'0'.repeat(64)},${signature}` })).status).toBe(201);
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
