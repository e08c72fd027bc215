/** HEAD, OPTIONS, 405 and CORS of the HTTP floor, over a socket and under a guard as both hosts have it. */
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Caller } from '../../../../platform/access/authenticate.ts';
import { type GuardPorts, guardRoutes } from '../../../../platform/access/guard.ts';
import { corsOf } from '../../../../platform/http/cors.ts';
import { documentRoutes } from '../../../../platform/http/docs.ts';
import { createHttpApp, listen } from '../../../../platform/http/http.ts';
import { defaultBounds } from '../../../../platform/http/http-server.ts';
import type { Operation } from '../../../../platform/http/openapi.ts';
import { createLog } from '../../../../platform/process/log.ts';
import { createMetrics } from '../../../../platform/process/metrics.ts';
import { FailureError } from '../../../../schemas/failures.ts';
import { createSetClock } from '../../../support/ingest-fakes.ts';
import { exchangeRaw, openRaw } from '../../../support/raw-http.ts';

const shop = 'https://shop.example.com';
const local = 'http://localhost:3000';
const callers: Record<string, Pick<Caller, 'kind' | 'world' | 'scopes'>> = {
  'Bearer secret': { kind: 'secret', world: 'live', scopes: ['admin'] },
  'Bearer sandbox': { kind: 'secret', world: 'test', scopes: ['admin'] },
  'Bearer public': { kind: 'publishable', world: 'live', scopes: ['read:plans'] },
};
const counted: string[] = [];

const guard: GuardPorts = {
  clock: createSetClock(1_000_000),
  authenticate: async (authorization = '') => {
    const caller = callers[authorization];
    if (!caller) throw new FailureError('UNKNOWN_API_KEY');
    const key = { keyId: 'key_1', expiresMs: undefined, signingSecret: undefined };
    return { organizationId: 'org_1', tier: 'starter', ...key, ...caller };
  },
  rateLimit: {
    take: async (_organization, _tier, rateClass) => {
      counted.push(rateClass);
      const quota = { limit: 10, used: 1, resetSeconds: 1 };
      const verdict = { limit: 10, remaining: 1, resetSeconds: 1, retryAfterSeconds: 1, quota, from: 'redis' } as const;
      return counted.length % 1_000 === 0
        ? { ...verdict, allowed: false, refusedBy: 'rate' }
        : { ...verdict, allowed: true, refusedBy: undefined };
    },
  },
  openSigningSecret: async () => '',
};

const operation = (method: 'GET' | 'POST', url: string, name: string): Operation => ({
  method,
  url,
  operation: name,
  tag: 'Things',
  summary: name,
  answers: {},
  failures: [],
});

const start = async (origins: readonly string[]): Promise<{ app: FastifyInstance; url: string }> => {
  const bounds = { ...defaultBounds, requestTimeoutMs: 500 };
  const options = {
    log: createLog('test', 'silent'),
    metrics: createMetrics(),
    health: [],
    bodyBytesMax: 1_024,
    bounds,
  };
  const app = createHttpApp({ ...options, cors: corsOf(origins) });
  documentRoutes(app, { title: 'Things', version: '1', description: '', tags: {}, examples: {} });
  guardRoutes(app, guard);
  const guarded = { scope: 'read:plans', rateClass: 'read' } as const;
  app.get(
    '/v1/things',
    { config: { ...guarded, operation: operation('GET', '/v1/things', 'listThings') } },
    async () => ({ items: [] }),
  );
  app.post(
    '/v1/things',
    { config: { ...guarded, scope: 'write:plans', operation: operation('POST', '/v1/things', 'addThing') } },
    async () => ({}),
  );
  app.get(
    '/v1/things/:id',
    { config: { ...guarded, operation: operation('GET', '/v1/things/:id', 'getThing') } },
    async (request, reply) => {
      const { id } = request.params as { id: string };
      if (id === 'missing') throw new FailureError('PLAN_NOT_FOUND');
      if (id === 'bug') throw new TypeError('a bug');
      reply.header('etag', '"1"');
      if (id === 'varied') reply.header('vary', 'Accept');
      return request.headers['if-none-match'] === '"1"' ? reply.code(304).send() : { id };
    },
  );
  app.delete(
    '/v1/things/:id/parts',
    { config: { ...guarded, operation: { ...operation('GET', '/v1/things/:id/parts', 'x'), method: 'DELETE' } } },
    async () => ({}),
  );
  return { app, url: await listen(app, '127.0.0.1', 0) };
};

let open: { app: FastifyInstance; url: string };
let closed: { app: FastifyInstance; url: string };
beforeAll(async () => {
  open = await start([shop, local]);
  closed = await start([]);
});
afterAll(() => Promise.all([open.app.close(), closed.app.close()]));

const ask = (url: string, method: string, path: string, headers: Record<string, string> = {}) => {
  const lines = Object.entries({ Host: 'a', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`);
  return exchangeRaw(url, `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`);
};
const named = (headers: Readonly<Record<string, string>> | undefined): string[] =>
  Object.keys(headers ?? {}).filter((name) => name.startsWith('access-control-') || name === 'vary');

/** The answer to HEAD, read to the end of the connection: whatever comes after its headers is a body. */
const head = async (url: string, path: string, headers: Record<string, string> = {}) => {
  const { socket, closed: ended } = await openRaw(url);
  const parts: Buffer[] = [];
  socket.on('data', (part: Buffer) => parts.push(part));
  const given = Object.entries({ Host: 'a', Connection: 'close', ...headers }).map(
    ([name, value]) => `${name}: ${value}\r\n`,
  );
  socket.write(`HEAD ${path} HTTP/1.1\r\n${given.join('')}\r\n`);
  await ended;
  const text = Buffer.concat(parts).toString();
  const end = text.indexOf('\r\n\r\n');
  const [first = '', ...lines] = text.slice(0, end).split('\r\n');
  const answered = lines.map((line) => [
    line.slice(0, line.indexOf(':')).toLowerCase(),
    line.slice(line.indexOf(':') + 2),
  ]);
  return {
    status: Number(first.split(' ')[1]),
    headers: Object.fromEntries(answered) as Record<string, string>,
    body: text.slice(end + 4),
  };
};

describe('HEAD', () => {
  const paths = [
    '/health/live',
    '/health/ready',
    '/metrics',
    '/openapi.json',
    '/docs',
    '/docs/errors',
    '/docs/errors/NOT_FOUND',
  ];
  const assets = ['/docs/assets/explorer.js', '/docs/assets/nothing'];
  const more = ['/v1/things', '/v1/things/one', '/v1/things/missing', '/v1/things/bug', '/nothing'];
  const secret = { Authorization: 'Bearer secret', 'X-Request-Id': 'same' };
  it.each([...paths, ...assets, ...more])(
    'of %s answers as GET does, with its length and without its body',
    async (path) => {
      const got = await ask(closed.url, 'GET', path, secret);
      const answer = await head(closed.url, path, secret);
      expect(answer.body).toBe('');
      expect(answer.status).toBe(got?.status);
      const {
        date: _date,
        connection: _connection,
        'keep-alive': _alive,
        'content-length': length,
        ...rest
      } = got?.headers ?? {};
      expect(answer.headers).toMatchObject(rest);
      // What was measured meanwhile is longer.
      if (path === '/metrics') expect(Number(answer.headers['content-length'])).toBeGreaterThan(0);
      else expect(answer.headers['content-length']).toBe(length);
    },
  );

  it('answers 304 to who has the newest version, and says no other length than GET', async () => {
    const known = { ...secret, 'If-None-Match': '"1"' };
    const got = await ask(closed.url, 'GET', '/v1/things/one', { ...known, Connection: 'close' });
    const answer = await head(closed.url, '/v1/things/one', known);
    expect([got?.status, answer.status, answer.headers.etag]).toEqual([304, 304, '"1"']);
    expect(answer.headers['content-length']).toBe(got?.headers['content-length']);
  });

  it('needs the key of GET, and counts against its limit', async () => {
    expect((await head(closed.url, '/v1/things')).status).toBe(401);
    counted.length = 0;
    await head(closed.url, '/v1/things', secret);
    expect(counted).toEqual(['read']);
  });

  it('is 405 where there is no GET', async () => {
    expect(await head(closed.url, '/v1/things/one/parts')).toMatchObject({
      status: 405,
      headers: { allow: 'DELETE, OPTIONS' },
      body: '',
    });
  });
});

describe('a method', () => {
  it.each(['PUT', 'TRACE', 'PROPFIND', 'DELETE'])(
    '%s that a path has not is 405 with those that it has',
    async (method) => {
      const answer = await ask(closed.url, method, '/v1/things');
      expect(answer).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD, POST, OPTIONS' } });
    },
  );

  it('OPTIONS says the methods of a path without a key, and is 404 where there is no path', async () => {
    expect(await ask(closed.url, 'OPTIONS', '/v1/things')).toMatchObject({
      status: 204,
      headers: { allow: 'GET, HEAD, POST, OPTIONS' },
      body: '',
    });
    expect(await ask(closed.url, 'OPTIONS', '/v1/things/one/parts')).toMatchObject({
      status: 204,
      headers: { allow: 'DELETE, OPTIONS' },
    });
    expect((await ask(closed.url, 'OPTIONS', '/v1/nothing'))?.status).toBe(404);
    expect((await ask(closed.url, 'OPTIONS', '*'))?.status).toBe(404);
  });
});

const preflight = { 'Access-Control-Request-Method': 'GET', 'Access-Control-Request-Headers': 'authorization' };

describe('a page of another origin', () => {
  it('can read nothing by default: no answer has a CORS header', async () => {
    for (const [method, path] of [
      ['GET', '/v1/things'],
      ['OPTIONS', '/v1/things'],
      ['GET', '/health/live'],
      ['GET', '/v1/%zz'],
    ] as const)
      expect(named((await ask(closed.url, method, path, { Origin: shop, ...preflight }))?.headers), path).toEqual([]);
  });

  it('of a listed origin is told by the preflight what it may send, without a key and without credentials', async () => {
    const answer = await ask(open.url, 'OPTIONS', '/v1/things', {
      Origin: shop,
      ...preflight,
      'Access-Control-Request-Private-Network': 'true',
    });
    expect(answer?.status).toBe(204);
    expect(named(answer?.headers).toSorted()).toEqual([
      'access-control-allow-headers',
      'access-control-allow-methods',
      'access-control-allow-origin',
      'access-control-expose-headers',
      'access-control-max-age',
      'vary',
    ]);
    expect(answer?.headers).toMatchObject({
      'access-control-allow-origin': shop,
      'access-control-allow-methods': 'GET, HEAD, POST',
      'access-control-max-age': '600',
      vary: 'Origin',
    });
    for (const name of [
      'Authorization',
      'Content-Type',
      'Idempotency-Key',
      'If-Match',
      'If-None-Match',
      'X-Request-Id',
    ])
      expect(answer?.headers['access-control-allow-headers']?.split(', ')).toContain(name);
  });

  it.each([
    ['200', 'GET', '/v1/things', 'Bearer public', 200],
    ['304', 'GET', '/v1/things/one', 'Bearer public', 304],
    ['401', 'GET', '/v1/things', 'Bearer nobody', 401],
    ['403', 'POST', '/v1/things', 'Bearer public', 403],
    ['404 of an object', 'GET', '/v1/things/missing', 'Bearer public', 404],
    ['404 of a path', 'GET', '/nothing', '', 404],
    ['404 of a path that is none', 'GET', '/v1/%zz', '', 404],
    ['405', 'PUT', '/v1/things', '', 405],
    ['500', 'GET', '/v1/things/bug', 'Bearer public', 500],
    ['a page of the documents', 'GET', '/docs/errors', '', 200],
  ])('of a listed origin can read %s, and its headers', async (_, method, path, key, status) => {
    const answer = await ask(open.url, method, path, {
      Origin: shop,
      Authorization: key,
      ...(status === 304 ? { 'If-None-Match': '"1"' } : {}),
    });
    expect(answer).toMatchObject({ status, headers: { 'access-control-allow-origin': shop } });
    expect(answer?.headers.vary?.split(', ')).toContain('Origin');
    expect(answer?.headers).not.toHaveProperty('access-control-allow-credentials');
    const exposed = answer?.headers['access-control-expose-headers']?.split(', ');
    for (const name of [
      'ETag',
      'Location',
      'Retry-After',
      'X-Request-Id',
      'X-RateLimit-Remaining',
      'Idempotency-Replayed',
      'API-Version',
    ])
      expect(exposed).toContain(name);
  });

  it('of a listed origin can read 429 and 408', async () => {
    counted.length = 999;
    counted.fill('');
    const limited = await ask(open.url, 'GET', '/v1/things', { Origin: local, Authorization: 'Bearer public' });
    expect(limited).toMatchObject({
      status: 429,
      headers: { 'access-control-allow-origin': local, 'retry-after': '1' },
    });
    const slow = await openRaw(open.url);
    slow.send(
      `POST /slow HTTP/1.1\r\nHost: a\r\nOrigin: ${shop}\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{`,
    );
    expect(await slow.answer).toMatchObject({ status: 408, headers: { 'access-control-allow-origin': shop } });
  });

  it.each([
    ['an origin that is not listed', 'https://evil.example.com'],
    ['null', 'null'],
    ['another scheme', 'http://shop.example.com'],
    ['another port', 'https://shop.example.com:8443'],
    ['a slash behind it', 'https://shop.example.com/'],
    ['another case', 'https://SHOP.example.com'],
    ['a listed one before it', 'https://shop.example.com.evil.example.com'],
    ['two at once', `${shop}, https://evil.example.com`],
    ['a wildcard', '*'],
    ['none', ''],
  ])('with %s can read nothing, and no cache gives it what another page was told', async (_, origin) => {
    for (const method of ['GET', 'OPTIONS']) {
      const answer = await ask(open.url, method, '/v1/things', { Origin: origin, ...preflight });
      expect(named(answer?.headers), method).toEqual(['vary']);
      expect(answer?.headers.vary).toBe('Origin');
      expect(JSON.stringify(answer)).not.toContain('evil');
    }
  });

  it('does not make an answer vary less than its route says', async () => {
    const answer = await ask(open.url, 'GET', '/v1/things/varied', { Authorization: 'Bearer secret' });
    expect(answer?.headers.vary?.split(', ').toSorted()).toEqual(['Accept', 'Origin']);
  });

  it('may use a publishable key, and no secret one, of neither world', async () => {
    const from = (key: string, origin: string) =>
      ask(open.url, 'GET', '/v1/things', { Authorization: key, ...(origin ? { Origin: origin } : {}) });
    expect((await from('Bearer public', shop))?.status).toBe(200);
    for (const key of ['Bearer secret', 'Bearer sandbox']) {
      const answer = await from(key, shop);
      expect([
        answer?.status,
        JSON.parse(answer?.body ?? '{}').error_code,
        answer?.headers['access-control-allow-origin'],
      ]).toEqual([403, 'SECRET_KEY_IN_BROWSER', shop]);
      // The explorer's own page, and programs.
      expect((await from(key, open.url))?.status).toBe(200);
      expect((await from(key, ''))?.status).toBe(200);
    }
  });
});

describe('a publishable key', () => {
  it('uses up a limit of its own', async () => {
    counted.length = 0;
    await ask(open.url, 'GET', '/v1/things', { Authorization: 'Bearer public' });
    await ask(open.url, 'POST', '/v1/things', { Authorization: 'Bearer public' });
    await ask(open.url, 'GET', '/v1/things', { Authorization: 'Bearer secret' });
    expect(counted).toEqual(['public', 'public', 'read']);
  });
});

describe('a test key', () => {
  it('hears in a 404 that the sandbox was looked at; a live key, and a path that there is not, say nothing of worlds', async () => {
    const detailOf = async (path: string, key: string): Promise<string> =>
      JSON.parse((await ask(open.url, 'GET', path, { Authorization: `Bearer ${key}` }))?.body ?? '{}').detail;
    expect(await detailOf('/v1/things/missing', 'sandbox')).toContain('in the sandbox');
    expect(await detailOf('/v1/things/missing', 'secret')).not.toContain('sandbox');
    expect(await detailOf('/v1/nothing', 'sandbox')).not.toContain('sandbox');
  });
});
