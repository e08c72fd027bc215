/**
 * Hostile HTTP against the running API and gateway, over bare sockets. Every attack has an answer of its own or a
 * closed connection, the process it meets lives on, and its memory stays flat.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from 'vitest';
import { type Pipeline, startPipeline, until } from '../../support/pipeline.ts';
import { drip, exchangeRaw, openRaw, type RawAnswer } from '../../support/raw-http.ts';

const requestTimeoutMs = 2_000;
const connectionsMax = 200;

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'), {
    MILLRACE_REQUEST_TIMEOUT_MS: String(requestTimeoutMs),
    MILLRACE_CONNECTIONS_MAX: String(connectionsMax),
    MILLRACE_BODY_BYTES_MAX: '1048576',
  });
});
afterAll(() => pipeline?.stop());

type Target = 'api' | 'gateway';
const urlOf = (target: Target): string => (target === 'api' ? pipeline.stack.apiUrl : pipeline.stack.ingestUrl);
const pathOf = (target: Target): string => (target === 'api' ? '/v1/customers' : '/v1/events');
const pidOf = (target: Target): number | undefined => pipeline.stack.processes.find(({ name }) => name === target)?.pid;
const health = 'GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n';

const memoryOf = async (target: Target): Promise<number> => {
  const text = await (await fetch(`${urlOf(target)}/metrics`)).text();
  return Number(/^process_resident_memory_bytes (\S+)$/m.exec(text)?.[1]);
};

/** A POST with the key, its headers in lines. */
const post = (target: Target, headers: readonly string[], body = ''): string =>
  [
    `POST ${pathOf(target)} HTTP/1.1`,
    'Host: a',
    `Authorization: Bearer ${pipeline.key}`,
    'Content-Type: application/json',
    ...headers,
    '',
    body,
  ].join('\r\n');

const expectProblem = (answer: RawAnswer | undefined, status: number): void => {
  expect(answer?.status).toBe(status);
  expect(answer?.headers).toMatchObject({
    'content-type': expect.stringMatching(/^application\/problem\+json/),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    'api-version': expect.stringMatching(/^\d{4}-\d\d-\d\d$/),
  });
  const problem = JSON.parse(answer?.body ?? '');
  expect(problem).toMatchObject({ status, request_id: answer?.headers['x-request-id'] });
};

type Attack = readonly [name: string, status: number, bytes: (target: Target) => string | Buffer];

const chunked = (target: Target, ...chunks: readonly string[]) =>
  post(target, ['Transfer-Encoding: chunked'], chunks.join(''));
const get = (target: Target, ...headers: readonly string[]) =>
  [`GET ${pathOf(target)} HTTP/1.1`, 'Host: a', ...headers, '', ''].join('\r\n');

const noRequest: readonly Attack[] = [
  ['noise', 400, () => Buffer.alloc(64, 0xa5)],
  ['a TLS handshake on the plain port', 400, () => Buffer.from('16030100c8010000c40303', 'hex')],
  ['the preface of HTTP/2', 400, () => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['HTTP/3.0 in the request line', 400, () => 'GET /health/live HTTP/3.0\r\nHost: a\r\n\r\n'],
  ['a method that is none', 400, () => 'STEAL / HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['lines that end with LF alone', 400, () => 'GET /health/live HTTP/1.1\nHost: a\n\n'],
  ['a lone CR within a header', 400, () => 'GET /health/live HTTP/1.1\r\nHost: a\rX-Other: b\r\n\r\n'],
  ['a folded header', 400, () => 'GET /health/live HTTP/1.1\r\nX-A: b\r\n  c\r\nHost: a\r\n\r\n'],
  ['NUL in a header', 400, () => 'GET /health/live HTTP/1.1\r\nHost: a\r\nX-A: b\0c\r\n\r\n'],
  ['a blank before the colon', 400, (target) => post(target, ['Transfer-Encoding : chunked'], '0\r\n\r\n')],
  ['a name of a header with a blank', 400, () => 'GET /health/live HTTP/1.1\r\nHost: a\r\nX A: b\r\n\r\n'],
  ['a line without a colon', 400, () => 'GET /health/live HTTP/1.1\r\nHost: a\r\nnothing\r\n\r\n'],
];

const smuggled: readonly Attack[] = [
  [
    'both a length and chunks',
    400,
    (target) => post(target, ['Content-Length: 5', 'Transfer-Encoding: chunked'], '0\r\n\r\n'),
  ],
  [
    'chunks and a length',
    400,
    (target) => post(target, ['Transfer-Encoding: chunked', 'Content-Length: 5'], '0\r\n\r\n'),
  ],
  ['two lengths', 400, (target) => post(target, ['Content-Length: 2', 'Content-Length: 3'], '{}x')],
  ['the same length twice', 400, (target) => post(target, ['Content-Length: 2', 'Content-Length: 2'], '{}')],
  ['a list of lengths', 400, (target) => post(target, ['Content-Length: 2, 2'], '{}')],
  ['a negative length', 400, (target) => post(target, ['Content-Length: -1'], '{}')],
  ['a length with a sign', 400, (target) => post(target, ['Content-Length: +2'], '{}')],
  ['a length in hex', 400, (target) => post(target, ['Content-Length: 0x2'], '{}')],
  ['a length beyond 64 bits', 400, (target) => post(target, ['Content-Length: 99999999999999999999'], '{}')],
  ['an unknown transfer encoding', 400, (target) => post(target, ['Transfer-Encoding: gzip'], '0\r\n\r\n')],
  [
    'chunks that are not the last encoding',
    400,
    (target) => post(target, ['Transfer-Encoding: chunked, identity'], '0\r\n\r\n'),
  ],
  [
    'transfer encoding twice',
    400,
    (target) => post(target, ['Transfer-Encoding: chunked', 'Transfer-Encoding: identity'], '0\r\n\r\n'),
  ],
  ['a chunk whose size is no number', 400, (target) => chunked(target, 'zz\r\n{}\r\n0\r\n\r\n')],
  ['a chunk whose size is beyond 64 bits', 400, (target) => chunked(target, 'fffffffffffffffff\r\n{}')],
  ['a chunk that is longer than its size', 400, (target) => chunked(target, '1\r\n{}\r\n0\r\n\r\n')],
  ['a chunk extension without end', 400, (target) => chunked(target, `2;${'x'.repeat(20_000)}`)],
];

const doubled = (name: string, one: string, other: string): Attack => [
  `two headers ${name}`,
  400,
  (target) => get(target, `${name}: ${one}`, `${name.toUpperCase()}: ${other}`),
];

const headers: readonly Attack[] = [
  ['no Host', 400, () => 'GET /health/live HTTP/1.1\r\n\r\n'],
  ['two Hosts', 400, (target) => get(target, 'Host: b')],
  doubled('Authorization', 'Bearer a', 'Bearer b'),
  doubled('Idempotency-Key', 'a', 'a'),
  doubled('X-Idempotency-Key', 'a', 'b'),
  doubled('X-Signature', 't=1,v1=a', 't=1,v1=b'),
  doubled('If-Match', '"1"', '"2"'),
  doubled('If-None-Match', '"1"', '"2"'),
  doubled('Content-Type', 'application/json', 'text/plain'),
  doubled('Content-Encoding', 'identity', 'gzip'),
  doubled('X-Request-Id', 'a', 'b'),
  ['headers of 17 KiB', 431, (target) => get(target, `X-A: ${'a'.repeat(17_000)}`)],
  ['101 headers', 431, (target) => get(target, ...Array.from({ length: 100 }, (_, index) => `X-${index}: a`))],
  [
    '4000 tiny headers, a second key behind them',
    431,
    (target) => get(target, ...Array(4000).fill('a:'), 'Authorization: Bearer b'),
  ],
  ['a path of 17 KiB', 431, () => `GET /${'a'.repeat(17_000)} HTTP/1.1\r\nHost: a\r\n\r\n`],
];

const requests: readonly Attack[] = [
  ['HTTP/0.9', 400, () => 'GET /health/live\r\n\r\n'],
  ['HTTP/0.9 by name', 400, () => 'GET /health/live HTTP/0.9\r\nHost: a\r\n\r\n'],
  ['HTTP/2.0 in the request line', 400, () => 'GET /health/live HTTP/2.0\r\nHost: a\r\n\r\n'],
  ['a broken escape in the path', 404, () => 'GET /v1/%zz HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['an overlong UTF-8 slash in the path', 404, () => 'GET /v1/%c0%af HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['a path that climbs', 404, () => 'GET /v1/../../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['a path that climbs in escapes', 404, () => 'GET /v1/%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['the address of another host', 404, () => 'GET http://other.example.com/v1/nothing HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['OPTIONS *', 404, () => 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n'],
  ['a body of more bytes than the limit', 413, (target) => post(target, ['Content-Length: 1048577'], '{')],
  [
    'chunks of more bytes than the limit',
    413,
    (target) => chunked(target, ...Array(17).fill(`10000\r\n${' '.repeat(65_536)}\r\n`)),
  ],
  [
    'a body in an encoding that no route reads',
    415,
    (target) => post(target, ['Content-Encoding: br', 'Content-Length: 2'], '{}'),
  ],
];

describe.each<Target>(['api', 'gateway'])('the %s', (target) => {
  const pids = new Set<number | undefined>();

  afterEach(async () => {
    pids.add(pidOf(target));
    expect((await exchangeRaw(urlOf(target), health))?.status).toBe(200);
    expect(pids.size, 'it is the same process as before').toBe(1);
  });

  it.each([...noRequest, ...smuggled, ...headers])(
    'answers %s with a problem of status %i',
    async (_name, status, bytes) => {
      expectProblem(await exchangeRaw(urlOf(target), bytes(target)), status);
    },
  );

  it.each([...noRequest, ...smuggled])(
    'takes nothing that comes after %s for a request',
    async (_name, _status, bytes) => {
      const connection = await openRaw(urlOf(target));
      connection.send(bytes(target));
      connection.send(health);
      await connection.closed;
      expect(connection.answers().map(({ status }) => status)).toEqual([400]);
    },
  );

  it.each(requests.filter(([name]) => target === 'gateway' || name !== 'a compressed body'))(
    'answers %s with a problem of status %i',
    async (_name, status, bytes) => {
      expectProblem(await exchangeRaw(urlOf(target), bytes(target)), status);
    },
  );

  it.each(['TRACE', 'PROPFIND', 'PURGE', 'DELETE'])('does nothing on %s', async (method) => {
    const answer = await exchangeRaw(urlOf(target), `${method} ${pathOf(target)} HTTP/1.1\r\nHost: a\r\n\r\n`);
    expectProblem(answer, 405);
    expect(answer?.headers.allow).toContain('POST');
    expect(answer?.body).not.toContain('Host: a');
  });

  it('opens no tunnel: CONNECT ends the connection', async () => {
    expect(
      await exchangeRaw(urlOf(target), 'CONNECT other.example.com:443 HTTP/1.1\r\nHost: a\r\n\r\n'),
    ).toBeUndefined();
  });

  it.each([
    ['an upgrade to h2c', 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n'],
    [
      'an upgrade to a web socket',
      'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n',
    ],
    ['an expectation that nobody knows', 'Expect: a-miracle\r\n'],
    [
      'what a proxy says about the caller',
      'X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: https\r\nForwarded: for=127.0.0.1\r\n',
    ],
  ])('answers a request with %s as one without', async (_name, lines) => {
    const answer = await exchangeRaw(urlOf(target), health.replace('\r\n\r\n', `\r\n${lines}\r\n`));
    expect(answer).toMatchObject({ status: 200, headers: { 'x-content-type-options': 'nosniff' } });
    expect(answer?.headers).not.toHaveProperty('upgrade');
  });

  it.each(['a b', 'é', 'a'.repeat(129), '<script>', '', '../a'])(
    'gives a request of its own id where it was given "%s"',
    async (id) => {
      const answer = await exchangeRaw(urlOf(target), health.replace('\r\n\r\n', `\r\nX-Request-Id: ${id}\r\n\r\n`));
      expect(answer).toMatchObject({ status: 200, headers: { 'x-request-id': expect.stringMatching(/^req_/) } });
    },
  );

  it('says neither what it runs on, nor that other sites may read it', async () => {
    const answer = await exchangeRaw(urlOf(target), get(target, 'Origin: https://evil.example.com'));
    expect(Object.keys(answer?.headers ?? {})).not.toEqual(
      expect.arrayContaining([expect.stringMatching(/^(?:server|x-powered-by|access-control-.*)$/)]),
    );
    expectProblem(answer, target === 'api' ? 401 : 405);
  });

  it('answers 2000 requests that come in one piece, each in its turn', async () => {
    const connection = await openRaw(urlOf(target));
    const ids = Array.from({ length: 2_000 }, (_, index) => `pipelined-${index}`);
    connection.send(ids.map((id) => `GET /nothing HTTP/1.1\r\nHost: a\r\nX-Request-Id: ${id}\r\n\r\n`).join(''));
    const answers = await until(
      async () => connection.answers(),
      (all) => all.length === ids.length,
    );
    expect(answers.map(({ headers }) => headers['x-request-id'])).toEqual(ids);
    connection.socket.destroy();
  });

  it('never gives a request the answer of another one: garbage behind a request that is being worked on ends the connection', async () => {
    const connection = await openRaw(urlOf(target));
    const body = target === 'api' ? '{"external_id":"garbage","name":"Garbage"}' : '[]';
    connection.send(post(target, [`Content-Length: ${body.length}`], `${body}\u0001\u0002 garbage\r\n\r\n`));
    await connection.closed;
    expect(connection.answers().map(({ status }) => status)).not.toContain(400);
  });

  describe('in time', () => {
    /** The timeout, how late it may be noticed, and what a busy machine adds. */
    const endsWithinMs = requestTimeoutMs + 20_000;

    it.concurrent.each<[string, string, string, boolean]>([
      ['the headers come slowly', 'GET /health/live HTTP/1.1\r\nHost: a\r\n', 'X-A: b\r\n', true],
      ['the request line comes slowly', 'GET /', 'a', true],
      ['nothing comes', '', '', false],
      ['the chunks come slowly', 'chunked', '1\r\n \r\n', true],
      ['the body comes slowly', 'length', ' ', true],
    ])('answers 408 and ends the connection where %s', async (_name, start, part, drips) => {
      const begin = performance.now();
      const connection = await openRaw(urlOf(target));
      const heads: Record<string, string> = {
        chunked: chunked(target),
        length: post(target, ['Content-Length: 100000']),
      };
      if (start !== '') connection.send(heads[start] ?? start);
      if (drips) await drip(connection, part, 50);
      expectProblem(await connection.answer, 408);
      await connection.closed;
      expect(performance.now() - begin).toBeGreaterThan(requestTimeoutMs - 100);
      expect(performance.now() - begin).toBeLessThan(endsWithinMs);
      expect(connection.answers()).toHaveLength(1);
    });

    it('takes a body that comes in pieces and in time', async () => {
      const body = target === 'api' ? '{"external_id":"in-pieces","name":"In pieces"}' : '[]';
      const connection = await openRaw(urlOf(target));
      connection.send(post(target, [`Content-Length: ${body.length}`]));
      for (const character of body) {
        connection.send(character);
        await delay(5);
      }
      expect((await connection.answer)?.status).toBe(target === 'api' ? 201 : 200);
      connection.socket.destroy();
    });
  });

  it('lets go of callers who hang up within their body', async () => {
    for (let turn = 0; turn < 100; turn += 1) {
      const connection = await openRaw(urlOf(target));
      connection.send(post(target, ['Content-Length: 100000'], '{"a":'));
      connection.socket.resetAndDestroy();
    }
    expect((await exchangeRaw(urlOf(target), health))?.status).toBe(200);
  });

  it('[I27] keeps its memory flat under many large requests that it refuses', async () => {
    const large = [
      post(target, ['Content-Length: 1000000'], '['.repeat(1_000_000)),
      post(target, ['Content-Length: 1000000'], '"'.repeat(1_000_000)),
      post(target, ['Content-Length: 1000000'], `{${'"a":1,'.repeat(166_666)}}`.padEnd(1_000_000)),
      chunked(target, ...Array(17).fill(`10000\r\n${' '.repeat(65_536)}\r\n`)),
      get(target, ...Array(4000).fill('a:')),
    ];
    const round = async () => {
      for (let turn = 0; turn < 8; turn += 1)
        await Promise.all(large.map((bytes) => exchangeRaw(urlOf(target), bytes)));
    };
    await round();
    await round();
    const before = await memoryOf(target);
    await round();
    await round();
    expect((await memoryOf(target)) - before).toBeLessThan(150_000_000);
  });

  it('has room for so many connections and closes those beyond it; the ones that are there are served', async () => {
    // Those that were answered once may stay, however long the rest of this takes. Others have connections, too: one
    // after the other until one finds no room.
    const open: Awaited<ReturnType<typeof openRaw>>[] = [];
    for (;;) {
      const next = await openRaw(urlOf(target)).catch(() => undefined);
      next?.send(health);
      const answer = await next?.answer;
      if (!next || answer === undefined) break;
      expect(answer.status).toBe(200);
      open.push(next);
      expect(open.length).toBeLessThanOrEqual(connectionsMax);
    }
    expect(open.length).toBeGreaterThan(connectionsMax / 2);
    open[0]?.send(health);
    await until(
      async () => open[0]?.answers().map(({ status }) => status),
      (statuses) => statuses?.join() === '200,200',
    );
    for (const { socket } of open) socket.destroy();
    await until(
      () => exchangeRaw(urlOf(target), health).catch(() => undefined),
      (answer) => answer?.status === 200,
    );
  });
});

describe('a body of the API', () => {
  const send = (bytes: Buffer): Promise<RawAnswer | undefined> =>
    exchangeRaw(urlOf('api'), Buffer.concat([Buffer.from(post('api', [`Content-Length: ${bytes.length}`])), bytes]));

  it.each([
    ['nothing', ''],
    ['a NUL byte', '\0'],
    ['a byte order mark in its middle', '{"external_id":\uFEFF"x","name":"x"}'],
    ['UTF-16', Buffer.from('{"external_id":"x","name":"x"}', 'utf16le')],
    ['invalid UTF-8', Buffer.from('{"external_id":"\xff","name":"x"}', 'latin1')],
    ['a name that is given twice', '{"external_id":"x","name":"x","name":"y"}'],
    ['__proto__', '{"external_id":"x","name":"x","__proto__":{"a":1}}'],
    ['constructor.prototype', '{"external_id":"x","name":"x","metadata":{"constructor":{"prototype":{"a":1}}}}'],
    ['33 levels', `{"external_id":"x","name":"x","metadata":{"a":${'['.repeat(31)}${']'.repeat(31)}}}`],
    ['100 000 levels', '['.repeat(100_000) + ']'.repeat(100_000)],
    ['a number beyond a double', '{"external_id":"x","name":"x","metadata":{"a":1e400}}'],
  ])('with %s is refused', async (_name, body) => {
    expectProblem(await send(Buffer.from(body)), 400);
  });
});

describe.each(['api', 'gateway'] as const)('the body of a request to the %s', (target) => {
  /** Sends the head alone, and the body once it is asked for. */
  const expecting = async (
    headers: readonly string[],
    body: string,
  ): Promise<{ asked: boolean; answer: RawAnswer | undefined }> => {
    const connection = await openRaw(urlOf(target));
    connection.send(post(target, ['Expect: 100-Continue', ...headers]));
    const asked = () => connection.answers().some(({ status }) => status === 100);
    await until(
      async () => connection.answers().length,
      (answers) => answers > 0,
    );
    const isAsked = asked();
    if (isAsked) connection.send(body);
    const answer = await connection.answer;
    connection.socket.destroy();
    return { asked: isAsked, answer };
  };

  it('that waits to be asked for is asked for once key and length are known to be right', async () => {
    const { asked, answer } = await expecting(['Content-Length: 2'], '{}');
    expect(asked).toBe(true);
    expectProblem(answer, 422);
    expect(answer?.headers.connection).not.toBe('close');
  });

  it.each([
    ['of a key that nobody knows', 401, ['Authorization: Bearer mr_live_unknown', 'Content-Length: 2']],
    ['that is too large', 413, ['Content-Length: 99999999']],
    ['in an encoding that is not read', 415, ['Content-Encoding: br', 'Content-Length: 2']],
  ])('that waits to be asked for and is %s is refused unread', async (_what, status, headers) => {
    const connection = await openRaw(urlOf(target));
    const lines = post(target, ['Expect: 100-continue', ...headers]).split('\r\n');
    // A key of its own stands instead of the first.
    const own = headers.some((line) => line.startsWith('Authorization'));
    connection.send(lines.filter((_line, index) => !(own && index === 2)).join('\r\n'));
    const answer = await connection.answer;
    expect(connection.answers().map((one) => one.status)).toEqual([status]);
    expectProblem(answer, status);
    await connection.closed;
  });

  it.each([
    ['a length that is no number', ['Content-Length: two'], '{}'],
    ['a length below zero', ['Content-Length: -2'], '{}'],
    ['two lengths', ['Content-Length: 2', 'Content-Length: 3'], '{}'],
    ['no length', [], '{}'],
  ])('with %s is answered 400 before the connection ends', async (_what, headers, body) => {
    const connection = await openRaw(urlOf(target));
    connection.send(post(target, headers, body));
    expectProblem(await connection.answer, 400);
    await connection.closed;
  });

  it('that ends before its length is answered 400 where somebody is there to read it', async () => {
    const connection = await openRaw(urlOf(target));
    connection.send(post(target, ['Content-Length: 20'], '{}'));
    connection.socket.end();
    expectProblem(await connection.answer, 400);
  });
});
