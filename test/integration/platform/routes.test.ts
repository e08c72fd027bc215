/** Every route keeps every convention: asked of all that are registered, so that a new one can't be forgotten. */
import Fastify from 'fastify';
import { Type } from 'typebox';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { covers } from '#platform/access/authenticate.ts';
import { type GuardPorts, guardRoutes } from '#platform/access/guard.ts';
import { scopes } from '#schemas/http/api-keys.ts';
import { rateClasses } from '#schemas/rate-tiers.ts';
import {
  bareApp,
  definedRoutes,
  type Example,
  examples,
  linkRoutes,
  registeredRoutes,
  worldOf,
} from '../../support/api-routes.ts';
import { call, type Pipeline, startPipeline } from '../../support/pipeline.ts';
import { type Call, hostsOf, makeKey, makeObjects, type Objects, unique } from '../../support/tenants.ts';

const shop = 'https://shop.example.com';

let pipeline: Pipeline;
let sandbox: Call;
let objects: Objects;
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'), { MILLRACE_CORS_ORIGINS: shop });
  sandbox = (await makeKey(pipeline, pipeline.api, { scopes: ['admin'], world: 'test' })).api;
  objects = await makeObjects(pipeline.api, 'customer-1', hostsOf(pipeline, pipeline.key).ingest);
});
afterAll(() => pipeline?.stop());

const registered = registeredRoutes().filter(({ url, method }) => url.startsWith('/v1/') && method !== 'HEAD');
const routes = definedRoutes();
const byLink = linkRoutes().map(({ method, url }) => `${method} ${url}`);
const named = routes.map((route) => [`${route.method} ${route.url}`, route] as const);
/** A POST that changes nothing says so. */
const isChange = ({ method, idempotencyHeader }: (typeof routes)[number]) =>
  method !== 'GET' && idempotencyHeader !== false;
const changes = named.filter(([, route]) => isChange(route));
const withMethod = (...methods: string[]) => named.filter(([, { method }]) => methods.includes(method));
const lists = named.filter(([, { list }]) => list !== undefined);

const routeOf = (operation: string) =>
  routes.find((route) => route.operation === operation) ?? expect.unreachable(`there is no route ${operation}`);
const callOf = (operation: string): Call => (worldOf(routeOf(operation)) === 'test' ? sandbox : pipeline.api);
const exampleOf = (operation: string): Promise<Example> => {
  const example = examples[operation];
  if (!example) throw new Error(`test/support/api-routes.ts has no example of ${operation}`);
  return example(callOf(operation), objects);
};
/** A good request of the operation. */
const send = async (operation: string, headers: Record<string, string> = {}, query = '') => {
  const { path, body } = await exampleOf(operation);
  return callOf(operation)(routeOf(operation).method, path + query, body, headers);
};

describe('the table of routes', () => {
  it('has what the API serves, each with a definition, a scope that keys can have, and a limit', () => {
    expect(routes.length).toBeGreaterThanOrEqual(28);
    const names = registered.map(({ method, url }) => `${method} ${url}`);
    expect(names.filter((name) => !byLink.includes(name))).toEqual(named.map(([name]) => name));
    expect(byLink.every((name) => name.includes(' /v1/quote-links/:token'))).toBe(true);
    for (const { operation, scope, rateClass } of routes) {
      expect(scopes, operation).toContain(scope);
      expect(rateClasses, operation).toContain(rateClass);
    }
    expect(new Set(routes.map(({ operation }) => operation)).size).toBe(routes.length);
  });

  it('has HEAD wherever it has GET, and nowhere else', () => {
    const urlsOf = (wanted: string) =>
      registeredRoutes().flatMap(({ method, url }) => (method === wanted ? [url] : []));
    expect(urlsOf('GET').length).toBeGreaterThan(20);
    expect(urlsOf('HEAD').toSorted()).toEqual(urlsOf('GET').toSorted());
  });

  it('tells no holder of the scope of a change alone what is personal', () => {
    const marked = routes.filter(({ answers }) => JSON.stringify(answers).includes('x-needs-scope'));
    expect(marked.map(({ operation }) => operation).toSorted()).toEqual([
      'acceptQuote',
      'archiveCustomer',
      'cancelQuote',
      'createCustomer',
      'createQuote',
      'eraseCustomer',
      'exportCustomer',
      'getCustomer',
      'getQuote',
      'getSubscriptionRenewal',
      'listCustomers',
      'listQuotes',
      'reviseQuote',
      'sendQuote',
      'unarchiveCustomer',
      'updateCustomer',
      'updateQuote',
    ]);
  });

  it('has an example of each, and of no route that is not there', () => {
    expect(Object.keys(examples).toSorted()).toEqual(routes.map(({ operation }) => operation).toSorted());
  });

  it('takes no route that names no scope or no limit, or that stands beside the one way to define it', () => {
    const handler = async () => ({});
    const guarded = Fastify();
    guardRoutes(guarded, {} as GuardPorts);
    for (const config of [{}, { scope: 'read:meters' }, { rateClass: 'read' as const }])
      expect(() => guarded.get('/v1/bare', { config }, handler)).toThrow('GET /v1/bare names no scope or no limit');
    expect(() =>
      bareApp().app.get('/v1/bare', { config: { scope: 'read:meters', rateClass: 'read' } }, handler),
    ).toThrow('GET /v1/bare has no place in the OpenAPI document');
  });

  it('takes a route that is defined, and its scope is then demanded', async () => {
    const { app, routes: defining } = bareApp();
    defining.get(
      {
        url: '/v1/good',
        operation: 'getGood',
        tag: 'Good',
        summary: 'Good',
        scope: 'read:meters',
        answers: { 200: Type.Object({}) },
        failures: [],
      },
      async () => ({}),
    );
    expect(app.hasRoute({ method: 'GET', url: '/v1/good' })).toBe(true);
  });

  it('[I28] has no way to change the audit log', () => {
    expect(registered.filter(({ url }) => url.startsWith('/v1/audit-log')).map(({ method }) => method)).toEqual([
      'GET',
    ]);
  });

  it('says each route in the OpenAPI document, and no other', async () => {
    const { body } = await pipeline.api('GET', '/openapi.json');
    const said = Object.entries(body.paths as Record<string, Record<string, unknown>>).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ':$1')}`),
    );
    const all = [...named.map(([name]) => name), ...byLink];
    expect(said.filter((name) => name.includes(' /v1/')).toSorted()).toEqual(all.toSorted());
  });
});

describe.each(named)('%s', (_, { operation, scope }) => {
  it('answers 401 without a key and with one that nobody has', async () => {
    for (const authorization of ['', 'Bearer mr_live_00000000000000000000']) {
      const answer = await send(operation, { authorization });
      expect(answer).toMatchObject({ status: 401, body: { error_code: 'UNKNOWN_API_KEY' } });
      expect(answer.headers.get('www-authenticate')).toBe('Bearer');
    }
  });

  it(`answers 403 to a key that holds every scope but ${scope}, and takes one that holds it alone`, async () => {
    const world = worldOf(routeOf(operation));
    const others = scopes.filter((other) => !covers(other, scope));
    const without = await makeKey(pipeline, pipeline.api, { scopes: others, world });
    const { path, body } = await exampleOf(operation);
    const { method } = routeOf(operation);
    expect(await without.api(method, path, body)).toMatchObject({
      status: 403,
      body: { error_code: 'MISSING_SCOPE', detail: expect.stringContaining(scope) },
    });
    // Of a key with admin:keys alone nothing more can be asked than what it holds itself.
    const alone = await makeKey(pipeline, pipeline.api, {
      world,
      // A document of an invoice says who it is for.
      scopes: [
        scope,
        ...(scope === 'admin:keys' ? ['read:meters'] : []),
        ...(operation.endsWith('Pdf') ? ['read:customers'] : []),
      ],
    });
    expect((await alone.api(method, path, body)).status).toBeLessThan(300);
  });

  it('says request id, version of the API and limits in its answer, also where it refuses', async () => {
    for (const answer of [
      await send(operation, { 'x-request-id': 'the-request' }),
      await send(operation, { 'x-request-id': 'the-request' }, '?colour=red'),
    ]) {
      expect(answer.headers.get('x-request-id')).toBe('the-request');
      expect(answer.headers.get('api-version')).toBe('2026-11-20');
      for (const name of ['limit', 'remaining', 'reset'])
        expect(answer.headers.get(`x-ratelimit-${name}`)).toMatch(/^\d+$/);
    }
  });

  it('answers OPTIONS with the methods of its path, without a key', async () => {
    const { path } = await exampleOf(operation);
    const answer = await pipeline.api('OPTIONS', path, undefined, { authorization: '' });
    const [method] = named.filter(([, route]) => route.operation === operation).map(([, route]) => route.method);
    const allowed = answer.headers.get('allow')?.split(', ') ?? [];
    expect(answer.status).toBe(204);
    expect(allowed).toContain(method);
    expect(allowed.includes('HEAD')).toBe(allowed.includes('GET'));
  });

  it('answers 400 to a query that it does not know, and names it', async () => {
    const answer = await send(operation, {}, '?colour=red');
    expect(answer).toMatchObject({
      status: 400,
      body: { error_code: 'BAD_REQUEST', errors: [{ field: 'colour', code: 'unknown_field' }] },
    });
  });
});

describe.each(withMethod('POST').filter(([, route]) => isChange(route)))('%s', (_, { operation, method }) => {
  it('[I22] repeats its answer under an Idempotency-Key, and works once', async () => {
    const { path, body } = await exampleOf(operation);
    const key = `key-${unique()}`;
    const [firstRequest, secondRequest] = [`request-${unique()}`, `request-${unique()}`];
    const ask = (requestId: string) =>
      callOf(operation)(method, path, body, { 'idempotency-key': key, 'x-request-id': requestId });
    // Counted by request: runs that other tests asked for go on writing entries meanwhile.
    const entriesOf = async (requestId: string): Promise<number> =>
      (await callOf(operation)('GET', `/v1/audit-log?limit=1&request_id=${requestId}`)).body.pagination.total;
    const [first, second] = [await ask(firstRequest), await ask(secondRequest)];
    expect(first.status).toBeLessThan(300);
    expect(first.headers.get('idempotency-replayed')).toBeNull();
    expect(second.headers.get('idempotency-replayed')).toBe('true');
    expect([second.status, second.body]).toEqual([first.status, first.body]);
    for (const header of ['etag', 'location', 'content-type'])
      expect(second.headers.get(header)).toBe(first.headers.get(header));
    expect(await entriesOf(firstRequest)).toBeGreaterThan(0);
    expect(await entriesOf(secondRequest)).toBe(0);
  });
});

describe.each(withMethod('GET'))('HEAD of %s', (_, { operation }) => {
  it('answers as GET does, without the body, and needs its scope', async () => {
    const { path } = await exampleOf(operation);
    const api = callOf(operation);
    const [got, head] = [await api('GET', path), await api('HEAD', path)];
    expect([head.status, head.body]).toEqual([got.status, '']);
    for (const name of ['content-type', 'etag', 'cache-control'])
      expect(head.headers.get(name), name).toBe(got.headers.get(name));
    // Of an answer that is streamed nobody knows the length before its end.
    if (!operation.startsWith('export')) expect(Number(head.headers.get('content-length'))).toBeGreaterThan(0);
    expect((await api('HEAD', path, undefined, { authorization: '' })).status).toBe(401);
  });
});

describe.each(withMethod('PATCH', 'DELETE'))('%s', (_, { operation, method }) => {
  it('honours If-Match: 412 for another version, and works for its own and for any', async () => {
    const refused = await send(operation, { 'if-match': '"999"' });
    expect(refused).toMatchObject({ status: 412, body: { error_code: 'VERSION_MISMATCH' } });
    for (const tag of [undefined, '*']) {
      const { path, body } = await exampleOf(operation);
      const etag = tag ?? (await pipeline.api('GET', path)).headers.get('etag') ?? 'no etag';
      expect((await pipeline.api(method, path, body, { 'if-match': etag })).status).toBe(
        ['deleteMeter', 'deleteFeature', 'deleteInvoice'].includes(operation) ? 204 : 200,
      );
    }
  });
});

/** Whose entry a change leaves: a version of a plan is a part of its plan. */
// biome-ignore lint/suspicious/noExplicitAny: a test reads any answer
const objectOf = (body: any): string => (body.id?.startsWith('plv_') ? body.plan_id : (body.items?.[0].id ?? body.id));

describe.each(changes)('%s', (_, { operation, method }) => {
  it('[I28] leaves an entry of the audit log that names key, request, object and result', async () => {
    const requestId = `request-${unique()}`;
    const { path, body: sent } = await exampleOf(operation);
    const answer = await callOf(operation)(method, path, sent, { 'x-request-id': requestId });
    expect(answer.status).toBeLessThan(300);
    const { body } = await callOf(operation)('GET', `/v1/audit-log?request_id=${requestId}`);
    // What a process does for it later bears the id of the request, too.
    const entries = body.items.filter(({ actor }: { actor: string }) => /^key_[0-9a-f]{32}$/.test(actor));
    expect(entries.length).toBeGreaterThan(0);
    for (const entry of entries) expect(entry).toMatchObject({ result: String(answer.status), request_id: requestId });
    expect(entries.map(({ object_id }: { object_id: string }) => object_id)).toContain(
      answer.status === 204 ? path.split('/').at(-1) : objectOf(answer.body),
    );
  });
});

describe.each(lists)('%s', (_, { operation, list }) => {
  it('has limit, cursor and sort, and refuses what they can not be', async () => {
    const { path } = await exampleOf(operation);
    const page = await pipeline.api('GET', `${path}?limit=1&sort=${list?.defaultSort}`);
    expect(page).toMatchObject({
      status: 200,
      body: { items: expect.any(Array), pagination: { page_size: page.body.items.length } },
    });
    const { next_cursor: cursor } = page.body.pagination;
    if (cursor)
      expect((await pipeline.api('GET', `${path}?limit=1&sort=${list?.defaultSort}&cursor=${cursor}`)).status).toBe(
        200,
      );
    for (const query of ['limit=0', 'limit=1001', 'limit=x', 'cursor=x', 'sort=colour', 'limit=1&limit=2'])
      expect(await pipeline.api('GET', `${path}?${query}`), query).toMatchObject({
        status: 400,
        body: { errors: [{ field: query.split('=')[0] }] },
      });
  });
});

const readsOne = withMethod('GET').filter(([, { list }]) => !list);

describe.each(readsOne.filter(([, { taggedBut }]) => taggedBut))('%s', (_, { operation }) => {
  it('has a digest of its answer as a weak ETag, and 304 to who has it', async () => {
    const answer = await send(operation);
    const etag = answer.headers.get('etag') ?? '';
    expect(etag).toMatch(/^W\/"[0-9a-f]{32}"$/);
    for (const known of [etag, etag.slice(2), `"x", ${etag}`, '*']) {
      const same = await send(operation, { 'if-none-match': known });
      expect([same.status, same.body, same.headers.get('etag')], known).toEqual([304, '', etag]);
    }
    expect((await send(operation, { 'if-none-match': '"999"' })).status).toBe(200);
  });
});

const versioned = readsOne.filter(([, { taggedBut }]) => !taggedBut);
describe.each(versioned)('%s', (_, { operation, changesByItself }) => {
  it('says the version as ETag where there is one, and 304 to who has it', async () => {
    const answer = await send(operation);
    expect(answer.status).toBe(200);
    if (operation.endsWith('Pdf')) {
      const ofBytes = answer.headers.get('etag') ?? '';
      expect(ofBytes).toMatch(/^"[0-9a-f]{32}"$/);
      return expect((await send(operation, { 'if-none-match': ofBytes })).status).toBe(304);
    }
    if (answer.body.version === undefined) {
      const unversioned = [
        'getCostBookVersion',
        'getBillingRun',
        'getBillingRunById',
        'getDue',
        'getRatingRun',
        'getCustomerUsage',
        'getSubscriptionUsage',
        'getMeterUsage',
        'getReconciliation',
        'explainRatedLine',
        'explainInvoiceLine',
        'explainCreditNoteLine',
        'verifyInvoice',
        'verifyCreditNote',
        'listEventsOfRatedLine',
        'exportSimulationResults',
        'exportCustomer',
        'exportInvoices',
        'exportInvoiceLines',
        'exportInvoiceTaxes',
        'exportCreditNotes',
        'exportCreditNoteLines',
        'exportCreditNoteTaxes',
        'getSubscriptionRenewal',
        'getCustomerBalance',
        'previewQuote',
      ];
      expect([...unversioned, 'searchEvents', 'getEvent', 'getAmendment']).toContain(operation);
      return expect(answer.headers.get('etag')).toBeNull();
    }
    const etag = `"${answer.body.version}"`;
    expect(answer.headers.get('etag')).toBe(etag);
    if (changesByItself) {
      // An answer that says more than the version must not be taken for the one that is known.
      const ofDiscounts = ['getCoupon', 'getPromotionCode', 'getCustomerDiscount', 'getSubscriptionDiscount'];
      const byThemselves = ['getApiKey', 'getCostBook', 'getMeter', 'getSubscription', 'getSimulation', 'getTestClock'];
      expect([
        ...byThemselves,
        ...ofDiscounts,
        'getPlanMigration',
        'getQuote',
        'getOneTimeCharge',
        'getInvoice',
      ]).toContain(operation);
      return expect((await send(operation, { 'if-none-match': etag })).status).toBe(200);
    }
    for (const known of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
      const same = await send(operation, { 'if-none-match': known });
      expect([same.status, same.body, same.headers.get('etag')], known).toEqual([304, '', etag]);
    }
    expect((await send(operation, { 'if-none-match': '"999"' })).status).toBe(200);
  });
});

describe('a publishable key', () => {
  const newPublic = (body: Record<string, unknown> = {}) =>
    makeKey(pipeline, pipeline.api, { kind: 'publishable', scopes: ['read:plans'], ...body });

  it('reads plans, and nothing else: no other route of either host lets it in', async () => {
    const key = await newPublic();
    expect(key.shown).toMatchObject({
      kind: 'publishable',
      world: 'live',
      scopes: ['read:plans'],
      signed_requests: false,
    });
    expect(key.key).toMatch(/^mr_pub_[0-9a-f]{16}_[\w-]{43}[0-9a-f]{6}$/);
    expect(key.shown.hint).toBe(key.key.slice(0, 23));
    expect((await key.api('GET', '/v1/plans')).status).toBe(200);
    expect((await key.api('GET', '/v1/plans/nothing')).status).toBe(404);
    const others = routes.filter(({ scope, secretKeysOnly }) => scope !== 'read:plans' || secretKeysOnly);
    expect(others.length).toBeGreaterThan(25);
    for (const { method, url } of others) {
      const answer = await key.api(
        method,
        url.replace(/:\w+/g, 'x'),
        method === 'GET' || method === 'DELETE' ? undefined : {},
      );
      expect(answer, `${method} ${url}`).toMatchObject({ status: 403, body: { error_code: 'MISSING_SCOPE' } });
    }
    expect((await key.ingest('POST', '/v1/events', [])).status).toBe(403);
    expect((await key.ingest('POST', '/v1/events/validate', {})).status).toBe(403);
    expect((await key.ingest('GET', '/v1/receipts/key')).status).toBe(403);
  });

  it('can be given no other scope and no signature, whoever makes it', async () => {
    for (const scopes of [['admin'], ['read:*'], ['read:plans', 'write:events'], ['read:customers', 'write:plans']]) {
      const answer = await pipeline.api('POST', '/v1/api-keys', { name: 'P', kind: 'publishable', scopes });
      expect(answer, scopes.join()).toMatchObject({ status: 422, body: { error_code: 'VALIDATION_FAILED' } });
      for (const { message } of answer.body.errors) expect(message).toContain('read:plans');
      expect(answer.body.errors).toHaveLength(scopes.filter((scope) => scope !== 'read:plans').length);
    }
    const signed = await pipeline.api('POST', '/v1/api-keys', {
      name: 'P',
      kind: 'publishable',
      scopes: ['read:plans'],
      signed_requests: true,
    });
    expect(signed).toMatchObject({ status: 422, body: { errors: [{ field: 'signed_requests' }] } });
    const keeper = await makeKey(pipeline, pipeline.api, { scopes: ['admin:keys', 'read:meters'] });
    expect(
      await keeper.api('POST', '/v1/api-keys', { name: 'P', kind: 'publishable', scopes: ['read:plans'] }),
    ).toMatchObject({
      status: 403,
      body: { error_code: 'SCOPE_NOT_GRANTABLE' },
    });
    // Nor by hand in the database.
    const { id } = await newPublic();
    for (const change of ["scopes = '{admin}'", "signing_secret = '\\x00'"])
      await expect(pipeline.asOwner.query(`UPDATE api_keys SET ${change} WHERE id = $1`, [id])).rejects.toThrow(
        'publishable_keys_read_what_is_public',
      );
  });

  it('is rotated to a publishable one, expires, is revoked, and is of one world', async () => {
    const key = await newPublic({ world: 'test', expires_in_seconds: 3_600 });
    expect(key.key).toMatch(/^mr_pub_/);
    expect((await key.api('GET', '/v1/plans/nothing')).body.detail).toContain('in the sandbox');
    const rotated = await pipeline.api('POST', `/v1/api-keys/${key.id}/rotate`, {});
    expect(rotated.body).toMatchObject({
      kind: 'publishable',
      world: 'test',
      key: expect.stringMatching(/^mr_pub_/),
      expires_at: key.shown.expires_at,
    });
    expect((await pipeline.api('DELETE', `/v1/api-keys/${rotated.body.id}`)).body).toMatchObject({
      kind: 'publishable',
      state: 'revoked',
    });
    expect((await pipeline.api('GET', `/v1/api-keys/${key.id}`)).body).not.toHaveProperty('key');
  });

  it('has a limit of its own', async () => {
    const key = await newPublic();
    const limits = [await key.api('GET', '/v1/plans'), await pipeline.api('GET', '/v1/plans')].map(({ headers }) =>
      headers.get('x-ratelimit-limit'),
    );
    expect(limits).toEqual(['5000', '10000']);
  });

  it('is the only one that a page of a listed origin can use, at the API; no page can at the ingest host', async () => {
    const key = await newPublic();
    const from = { origin: shop };
    const answer = await key.api('GET', '/v1/plans', undefined, from);
    expect([answer.status, answer.headers.get('access-control-allow-origin'), answer.headers.get('vary')]).toEqual([
      200,
      shop,
      'Authorization, Origin',
    ]);
    const asked = await pipeline.api('OPTIONS', '/v1/plans', undefined, {
      ...from,
      authorization: '',
      'access-control-request-method': 'GET',
    });
    expect([asked.status, asked.headers.get('access-control-allow-methods')]).toEqual([204, 'GET, HEAD, POST']);
    expect(await pipeline.api('GET', '/v1/plans', undefined, from)).toMatchObject({
      status: 403,
      body: { error_code: 'SECRET_KEY_IN_BROWSER' },
    });
    const ingest = call(pipeline.stack.ingestUrl, pipeline.key);
    for (const { headers } of [
      await ingest('OPTIONS', '/v1/events', undefined, from),
      await ingest('POST', '/v1/events', [], from),
    ])
      expect([...headers.keys()].filter((name) => /^access-control|^vary$/.test(name))).toEqual([]);
  });
});
