/**
 * Attacks on the API by what a request says. Each names the status that it gets; the process that took it lives on,
 * with the same pid and without growing, and what it keeps for honest callers is unharmed.
 */
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type ApiAnswer, lastMonth, type Pipeline, startPipeline } from '../../support/pipeline.ts';
import { addTenant } from '../../support/tenants.ts';

let pipeline: Pipeline;
let foreignKey: string;
const month = lastMonth();

const raw = async (
  host: 'api' | 'ingest',
  method: string,
  path: string,
  body?: Buffer | string,
  headers: Record<string, string> = {},
) => {
  const base = (host === 'api' ? pipeline.stack.apiUrl : pipeline.stack.ingestUrl).replace(/\/$/, '');
  const response = await fetch(`${base}${path}`, {
    method,
    headers: { authorization: `Bearer ${pipeline.key}`, 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body }),
  });
  const text = await response.text();
  return {
    status: response.status,
    code: /json/.test(response.headers.get('content-type') ?? '') ? JSON.parse(text).error_code : undefined,
  };
};

/** What takes time with the square of a body takes minutes; a busy machine takes seconds for any. */
const boundMs = 10_000;

const pidOf = (name: string): number | undefined =>
  pipeline.stack.processes.find((process) => process.name === name)?.pid;
const residentBytes = async (): Promise<number> => {
  const text = (await pipeline.api('GET', '/metrics')).body as string;
  return Number(/^process_resident_memory_bytes ([\d.e+]+)/m.exec(text)?.[1]);
};

let pids: (number | undefined)[] = [];
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'));
  ({ key: foreignKey } = await addTenant(pipeline));
  pids = [pidOf('api'), pidOf('gateway')];
  for (const [method, path, body] of [
    ['POST', '/v1/meters', { code: 'requests', name: 'Requests', event: 'request', aggregation: 'count' }],
    [
      'POST',
      '/v1/plans',
      {
        code: 'plan',
        name: 'Plan',
        currency: 'USD',
        charges: [{ code: 'a', name: 'A', price: { model: 'flat', amount: '1' } }],
      },
    ],
    ['POST', '/v1/customers', { external_id: 'honest', name: 'Honest Inc.' }],
    ['POST', '/v1/subscriptions', { customer_id: 'honest', plan: 'plan' }],
  ] as const)
    expect((await pipeline.api(method, path, body)).status).toBe(201);
});
afterAll(async () => {
  await pipeline?.stop();
});

const customer = (extra: string): string => `{"external_id":"x","name":"X"${extra}}`;
const nested = (depth: number, open: string, close: string): string => open.repeat(depth) + close.repeat(depth);

describe('a body', () => {
  it.each([
    [
      'nested 100,000 arrays deep',
      `{"external_id":"x","name":"X","metadata":${nested(100_000, '[', ']')}}`,
      400,
      'MALFORMED_BODY',
    ],
    ['nested 100,000 objects deep', `${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}`, 400, 'MALFORMED_BODY'],
    ['with the key __proto__', customer(',"__proto__":{"admin":true}'), 400, 'MALFORMED_BODY'],
    ['with the key __proto__, escaped', customer(',"\\u005f_proto__":{"admin":true}'), 400, 'MALFORMED_BODY'],
    ['with constructor.prototype', customer(',"constructor":{"prototype":{"admin":true}}'), 400, 'MALFORMED_BODY'],
    ['with __proto__ in its metadata', customer(',"metadata":{"__proto__":"x"}'), 400, 'MALFORMED_BODY'],
    ['with a member given twice', customer(',"name":"Y"'), 400, 'MALFORMED_BODY'],
    ['with a byte order mark at its end', `${customer('')}\ufeff`, 400, 'MALFORMED_BODY'],
    ['that ends in the middle', '{"external_id":"x","na', 400, 'MALFORMED_BODY'],
    ['with two documents', `${customer('')}${customer('')}`, 400, 'MALFORMED_BODY'],
    ['of nothing', '', 400, 'MALFORMED_BODY'],
    ['with NaN', customer(',"metadata":{"a":NaN}'), 400, 'MALFORMED_BODY'],
    ['with a number beyond every double', customer(',"metadata":{"a":1e400}'), 400, 'MALFORMED_BODY'],
    ['that is a list', '[]', 422, 'VALIDATION_FAILED'],
    ['that is null', 'null', 422, 'VALIDATION_FAILED'],
    ['with NUL in a text', customer(',"metadata":{"a":"\\u0000"}'), 422, 'VALIDATION_FAILED'],
    ['with half of a surrogate pair', customer(',"metadata":{"a":"\\ud800"}'), 422, 'VALIDATION_FAILED'],
    ['that brings its own id', customer(',"id":"cus_00000000000000000000000000000000"'), 422, 'VALIDATION_FAILED'],
    ['that brings another organization', customer(',"organization_id":"org_1"'), 422, 'VALIDATION_FAILED'],
    ['that brings its version', customer(',"version":99'), 422, 'VALIDATION_FAILED'],
    [
      'with 51 notes',
      customer(
        `,"metadata":${JSON.stringify(Object.fromEntries(Array.from({ length: 51 }, (_, n) => [`k${n}`, 'v'])))}`,
      ),
      422,
      'VALIDATION_FAILED',
    ],
    ['with a note of 513 characters', customer(`,"metadata":{"a":"${'x'.repeat(513)}"}`), 422, 'VALIDATION_FAILED'],
    [
      'with an address of 500 kB for a slow pattern',
      customer(`,"email":"${'a@'.repeat(250_000)}"`),
      422,
      'VALIDATION_FAILED',
    ],
    ['with dots for a slow pattern', customer(`,"email":"a@${'a.'.repeat(120)}"`), 422, 'VALIDATION_FAILED'],
    ['of more than the limit', customer(`,"metadata":{"a":"${'x'.repeat(1_100_000)}"}`), 413, 'BODY_TOO_LARGE'],
  ])('%s is refused', async (_name, body, status, code) => {
    const begin = performance.now();
    expect(await raw('api', 'POST', '/v1/customers', body)).toEqual({ status, code });
    expect(performance.now() - begin).toBeLessThan(boundMs);
  });

  it.each([
    ['invalid UTF-8', Buffer.from([0x7b, 0x22, 0xc3, 0x28, 0x22, 0x3a, 0x31, 0x7d]), 400],
    [
      'an overlong encoding',
      Buffer.concat([Buffer.from('{"external_id":"'), Buffer.from([0xc0, 0xaf]), Buffer.from('","name":"X"}')]),
      400,
    ],
  ])('of %s is 400', async (_name, body, status) => {
    expect(await raw('api', 'POST', '/v1/customers', body)).toEqual({ status, code: 'MALFORMED_BODY' });
    expect(await raw('ingest', 'POST', '/v1/events', body)).toMatchObject({ status });
  });

  const bomb = gzipSync(Buffer.alloc(50_000_000, 0x20));
  it.each(['gzip', 'br', 'deflate', 'zstd', 'gzip, gzip'])(
    'compressed by %s is refused, a bomb or not',
    async (encoding) => {
      const refused = { status: 415, code: 'UNSUPPORTED_MEDIA_TYPE' };
      expect(await raw('api', 'POST', '/v1/customers', bomb, { 'content-encoding': encoding })).toEqual(refused);
      // Events may be compressed in two ways, and a bomb is too large.
      const unpacked = { gzip: { status: 413, code: 'BODY_TOO_LARGE' }, zstd: { status: 400, code: 'MALFORMED_BODY' } }[
        encoding
      ];
      expect(await raw('ingest', 'POST', '/v1/events', bomb, { 'content-encoding': encoding })).toEqual(
        unpacked ?? refused,
      );
    },
  );

  it.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/xml',
    'application/json; charset=utf-16',
  ])('as %s is 415', async (type) => {
    expect(await raw('api', 'POST', '/v1/customers', customer(''), { 'content-type': type })).toEqual({
      status: 415,
      code: 'UNSUPPORTED_MEDIA_TYPE',
    });
  });

  it('of a plan with 5,000 charges, or prices of 10,000 digits, is 422 at once', async () => {
    const price = { model: 'flat', amount: '9'.repeat(10_000) };
    const charges = Array.from({ length: 5_000 }, (_, n) => ({
      code: `c${n}`,
      name: 'C',
      price: { model: 'flat', amount: '1' },
    }));
    const begin = performance.now();
    const plan = (of: unknown[]) => JSON.stringify({ code: 'p', name: 'P', currency: 'USD', charges: of });
    expect(await raw('api', 'POST', '/v1/plans', plan(charges))).toEqual({ status: 422, code: 'VALIDATION_FAILED' });
    expect(await raw('api', 'POST', '/v1/plans', plan([{ code: 'c', name: 'C', price }]))).toEqual({
      status: 422,
      code: 'VALIDATION_FAILED',
    });
    expect(performance.now() - begin).toBeLessThan(boundMs);
  });
});

describe('a path or a query', () => {
  it.each([
    ['NUL in an id', '/v1/customers/a%00b', 400],
    ['an overlong slash', '/v1/customers/%c0%af', 404],
    ['a broken escape', '/v1/customers/%zz', 404],
    ['a walk up', '/v1/customers/..%2f..%2fetc%2fpasswd', 404],
    ['a statement as id', "/v1/customers/x'%20OR%20'1'='1", 404],
    ['a statement as filter', "/v1/customers?external_id=x'%3BDROP%20TABLE%20customers--", 200],
    ['a statement as sort', '/v1/customers?sort=created_at%3BDROP%20TABLE%20customers', 400],
    ['a sort by the prototype', '/v1/customers?sort=constructor', 400],
    ['a filter named __proto__', '/v1/customers?__proto__=1', 400],
    ['a filter named like a method', '/v1/customers?toString=1', 400],
    ['no such filter', '/v1/customers?name=x', 400],
    ['a limit of 0', '/v1/customers?limit=0', 400],
    ['a limit below 0', '/v1/customers?limit=-1', 400],
    ['a limit beyond 1000', '/v1/customers?limit=1001', 400],
    ['a limit in another notation', '/v1/customers?limit=1e2', 400],
    ['a parameter given twice', '/v1/customers?limit=1&limit=2', 400],
    ['a parameter as a list', '/v1/customers?limit[]=1', 400],
    ['a cursor of nobody', '/v1/customers?cursor=AAAA', 400],
    ['a cursor of 8 kB', `/v1/customers?cursor=${'A'.repeat(8_000)}`, 400],
    ['2,000 parameters', `/v1/customers?${Array.from({ length: 2_000 }, (_, n) => `a${n}`).join('&')}`, 400],
    ['the year 0', '/v1/customers?created_at_after=0000-01-01T00:00:00Z', 400],
    ['the year 10000', '/v1/customers?created_at_after=%2B010000-01-01T00:00:00Z', 400],
    ['the 30th of February', '/v1/customers?created_at_after=2026-02-30T00:00:00Z', 400],
    [
      'a span of usage of a thousand years',
      '/v1/customers/honest/usage?from=2000-01-01T00:00:00Z&to=3000-01-01T00:00:00Z',
      400,
    ],
    [
      'a span of usage that ends before it begins',
      '/v1/customers/honest/usage?from=2026-02-01T00:00:00Z&to=2026-01-01T00:00:00Z',
      400,
    ],
    ['a wait of an hour', '/v1/invoices/runs/run_00000000000000000000000000000000?wait_seconds=3600', 400],
  ])('with %s is answered', async (_name, path, status) => {
    expect((await raw('api', 'GET', path)).status).toBe(status);
  });

  it('with the key in it instead of in the header is 401', async () => {
    expect(await raw('api', 'GET', `/v1/customers?api_key=${pipeline.key}`, undefined, { authorization: '' })).toEqual({
      status: 401,
      code: 'UNKNOWN_API_KEY',
    });
  });

  it('names what it is called, whatever other headers say', async () => {
    const headers = {
      'x-http-method-override': 'DELETE',
      'x-original-url': '/v1/api-keys',
      'x-rewrite-url': '/v1/api-keys',
      'x-forwarded-host': 'evil',
    };
    const { body } = await pipeline.api('GET', '/v1/customers/honest', undefined, headers);
    expect(body).toMatchObject({ external_id: 'honest' });
  });
});

describe('dates in a body', () => {
  it.each([
    ['the year 0', '0000-01-01T00:00:00Z'],
    ['before there was anything to bill', '1999-12-31T23:59:59Z'],
    ['the future', '2999-01-01T00:00:00Z'],
    ['no zone', '2026-01-01T00:00:00'],
    ['a leap second that ends no month', '2016-12-30T23:59:60Z'],
    ['the 31st of April', '2026-04-31T00:00:00Z'],
    ['a year of five digits by its offset', '9999-12-31T23:59:59-12:00'],
    ['minus zero', '-000000-01-01T00:00:00Z'],
    ['a number', '1767225600'],
  ])('of %s are 422', async (_name, started) => {
    const body = { customer_id: 'honest', plan: 'plan', started_at: started };
    expect(await pipeline.api('POST', '/v1/subscriptions', body)).toMatchObject({
      status: 422,
      body: { error_code: 'VALIDATION_FAILED' },
    });
  });

  it('of a period that has not ended are 409, up to the last month whose end can be written', async () => {
    const last = await pipeline.api('POST', '/v1/invoices/run', { period: '9999-11' });
    expect([last.status, last.body.detail]).toEqual([409, 'The period ends at 9999-12-01T00:00:00.000Z']);
    // It ends in a year that no time here is written in.
    expect(await pipeline.api('POST', '/v1/invoices/run', { period: '9999-12' })).toMatchObject({ status: 422 });
  });
});

describe('what belongs to another organization', () => {
  it('is 404 like what does not exist: read, changed, used or named', async () => {
    const ids: Record<string, string> = {};
    for (const list of ['customers', 'meters', 'plans', 'subscriptions', 'api-keys']) {
      ids[list] = (await pipeline.api('GET', `/v1/${list}`)).body.items[0].id;
    }
    ids['invoices/runs'] = (await pipeline.closePeriod({ period: month.name })).body.id;
    const asForeigner = { authorization: `Bearer ${foreignKey}` };
    const strip = ({ status, body }: ApiAnswer) => ({ status, ...body, request_id: '' });
    for (const [kind, id] of Object.entries(ids)) {
      const missing = `${id.slice(0, 4)}${'0'.repeat(32)}`;
      const foreign = await pipeline.api('GET', `/v1/${kind}/${id}`, undefined, asForeigner);
      expect(foreign.status, kind).toBe(404);
      expect(strip(foreign)).toEqual(
        strip(await pipeline.api('GET', `/v1/${kind}/${missing}`, undefined, asForeigner)),
      );
    }
    for (const kind of ['customers', 'meters', 'plans'])
      expect(
        (await pipeline.api('PATCH', `/v1/${kind}/${ids[kind]}`, { name: 'Mine' }, asForeigner)).status,
        kind,
      ).toBe(404);
    expect((await pipeline.api('DELETE', `/v1/api-keys/${ids['api-keys']}`, undefined, asForeigner)).status).toBe(404);
    expect((await pipeline.api('POST', `/v1/api-keys/${ids['api-keys']}/rotate`, {}, asForeigner)).status).toBe(404);
    const stolen = { customer_id: ids.customers, plan: ids.plans };
    expect((await pipeline.api('POST', '/v1/subscriptions', stolen, asForeigner)).status).toBe(404);
    expect(
      (await pipeline.api('POST', '/v1/invoices/run', { period: month.name, customer_id: ids.customers }, asForeigner))
        .status,
    ).toBe(404);
  });

  it('has cursors that are 400 elsewhere', async () => {
    await pipeline.api('POST', '/v1/customers', { external_id: 'second', name: 'Second' });
    const { body } = await pipeline.api('GET', '/v1/customers?limit=1');
    const cursor = body.pagination.next_cursor as string;
    const path = `/v1/customers?limit=1&cursor=${cursor}`;
    expect((await pipeline.api('GET', path)).status).toBe(200);
    expect((await pipeline.api('GET', path, undefined, { authorization: `Bearer ${foreignKey}` })).status).toBe(400);
    const flipped = cursor.slice(0, -2) + (cursor.at(-2) === 'A' ? 'B' : 'A') + cursor.at(-1);
    expect((await pipeline.api('GET', `/v1/customers?limit=1&cursor=${flipped}`)).status).toBe(400);
  });
});

describe('a key', () => {
  it.each([
    ['of another scheme', 'Basic bXI6bXI='],
    ['that is a JSON web token without a signature', 'Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.'],
    ['of 300 characters', `Bearer ${'a'.repeat(300)}`],
    ['that is a statement', "Bearer ' OR 1=1--"],
    ['that is a wildcard', 'Bearer *'],
  ])('%s is 401', async (_name, authorization) => {
    expect(await raw('api', 'GET', '/v1/customers', undefined, { authorization })).toEqual({
      status: 401,
      code: 'UNKNOWN_API_KEY',
    });
  });

  it('that may only make keys makes none that may more: 403', async () => {
    const { body } = await pipeline.api('POST', '/v1/api-keys', { name: 'keys', scopes: ['admin:keys'] });
    const headers = { authorization: `Bearer ${body.key}` };
    expect((await pipeline.api('POST', '/v1/api-keys', { name: 'more', scopes: ['admin'] }, headers)).status).toBe(403);
    const admin = (await pipeline.api('GET', '/v1/api-keys?limit=1000')).body.items.find(
      ({ name }: { name: string }) => name === 'Bootstrap key',
    );
    expect((await pipeline.api('POST', `/v1/api-keys/${admin.id}/rotate`, {}, headers)).status).toBe(403);
    expect((await pipeline.api('GET', '/v1/customers', undefined, headers)).status).toBe(403);
  });
});

describe('a header', () => {
  it.each([
    ['of 256 characters', 'x'.repeat(256)],
    ['with a blank', 'a b'],
    ['of nothing', ''],
  ])('Idempotency-Key %s is 400', async (_name, value) => {
    expect((await raw('api', 'POST', '/v1/customers', customer(''), { 'idempotency-key': value })).status).toBe(400);
  });

  it('If-Match with anything but the version is 412, and changes nothing', async () => {
    for (const value of ['"999"', 'W/"1"', '1', '"', '"1', "'1'", '"1" OR "1"'])
      expect(
        (await raw('api', 'PATCH', '/v1/customers/honest', '{"name":"Evil"}', { 'if-match': value })).status,
        value,
      ).toBe(412);
    expect((await pipeline.api('GET', '/v1/customers/honest')).body).toMatchObject({ name: 'Honest Inc.', version: 1 });
  });
});

describe('a method', () => {
  it.each(['PUT', 'DELETE', 'PATCH'])(
    '%s that the route has not is 405 and names those that it has',
    async (method) => {
      const answer = await pipeline.api(method, '/v1/customers');
      expect(answer).toMatchObject({ status: 405, body: { error_code: 'METHOD_NOT_ALLOWED' } });
      expect(answer.headers.get('allow')?.split(', ').toSorted()).toEqual(['GET', 'HEAD', 'OPTIONS', 'POST']);
    },
  );
});

describe('many at once', () => {
  it('the same customer made 50 times at the same moment is there once: one 201, the others 409', async () => {
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => pipeline.api('POST', '/v1/customers', { external_id: 'rush', name: 'Rush' })),
    );
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, ...Array.from({ length: 49 }, () => 409)]);
  });

  it('no body, with a type and without, is a refusal of routes that need one, and none of the others', async () => {
    type Operation = { readonly requestBody?: { readonly required: boolean } };
    const { paths } = (await pipeline.api('GET', '/openapi.json')).body as {
      paths: Record<string, Record<string, Operation>>;
    };
    const operations = Object.entries(paths).flatMap(([path, methods]) =>
      Object.entries(methods)
        .filter(([method]) => ['post', 'patch', 'delete'].includes(method))
        .map(([method, { requestBody }]) => ({
          method: method.toUpperCase(),
          path: path.replace('{version_number}', '99').replaceAll(/\{\w+\}/g, 'nobody'),
          needsBody: requestBody?.required ?? false,
        })),
    );
    expect(operations.length).toBeGreaterThan(30);
    for (const { method, path, needsBody } of operations) {
      const [typed, untyped] = [
        await raw('api', method, path, Buffer.alloc(0)),
        await raw('api', method, path, Buffer.alloc(0), { 'content-type': '' }),
      ];
      expect(untyped.status, `${method} ${path}`).toBeLessThan(500);
      // Who has no link is told so before his body is looked at.
      if (path.startsWith('/v1/quote-links/'))
        expect(typed, `${method} ${path}`).toEqual({ status: 404, code: 'QUOTE_LINK_NOT_FOUND' });
      else if (needsBody) expect(typed, `${method} ${path}`).toEqual({ status: 400, code: 'MALFORMED_BODY' });
      else expect(typed, `${method} ${path}`).toEqual({ status: 404, code: expect.stringMatching(/_NOT_FOUND$/) });
    }
  });

  it('2,000 hostile requests leave both processes alive and no larger', async () => {
    const attacks = [
      () => raw('api', 'POST', '/v1/customers', nested(20_000, '[', ']')),
      () => raw('api', 'GET', `/v1/customers?${Array.from({ length: 300 }, (_, n) => `a${n}`).join('&')}`),
      () => raw('api', 'GET', '/v1/customers', undefined, { authorization: `Bearer ${Math.random()}` }),
      () => raw('ingest', 'POST', '/v1/events', nested(20_000, '[', ']')),
    ];
    const storm = async (count: number) => {
      for (let sent = 0; sent < count; sent += 40)
        await Promise.all(Array.from({ length: 40 }, (_, n) => attacks[n % attacks.length]?.()));
    };
    await storm(1_000);
    const before = await residentBytes();
    await storm(2_000);
    expect((await residentBytes()) - before).toBeLessThan(48 * 1_048_576);
  });

  it('after all this the processes are the ones that were started, and honest requests are served', async () => {
    expect([pidOf('api'), pidOf('gateway')]).toEqual(pids);
    expect((await pipeline.api('GET', '/v1/customers/honest')).status).toBe(200);
    expect(
      (await pipeline.sendEvents({ idempotency_key: 'honest', event: 'request', customer_id: 'honest' })).status,
    ).toBe(200);
  });
});
