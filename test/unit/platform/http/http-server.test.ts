import { connect } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { afterEach, describe, expect, it } from 'vitest';
import { createHttpApp, listen } from '../../../../platform/http/http.ts';
import { defaultBounds, type ServerBounds } from '../../../../platform/http/http-server.ts';
import { createLog } from '../../../../platform/process/log.ts';
import { createMetrics, type Metrics } from '../../../../platform/process/metrics.ts';
import { until } from '../../../support/pipeline.ts';
import { exchangeRaw, openRaw } from '../../../support/raw-http.ts';

const apps: FastifyInstance[] = [];
afterEach(async () => {
  for (const app of apps.splice(0)) await app.close();
});

const start = async (
  bounds: Partial<ServerBounds> = {},
  host = '127.0.0.1',
): Promise<{ app: FastifyInstance; url: string; metrics: Metrics }> => {
  const metrics = createMetrics();
  const log = createLog('test', 'silent');
  const app = createHttpApp({ log, metrics, health: [], bodyBytesMax: 1_024, bounds: { ...defaultBounds, ...bounds } });
  app.get('/large', async () => 'x'.repeat(50_000_000));
  app.get('/kept', async (_request, reply) => reply.header('cache-control', 'max-age=60').send({}));
  app.post('/echo', async (request) => request.body);
  apps.push(app);
  return { app, metrics, url: await listen(app, host, 0) };
};

const connectionsOf = (app: FastifyInstance): Promise<number> =>
  new Promise((resolve, reject) =>
    app.server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
  );

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

describe('a server', () => {
  it('lets go of a caller who does not read the answer', async () => {
    const { app, url } = await start({ silenceMs: 200 });
    const connection = await openRaw(url);
    connection.socket.pause();
    connection.send(get('/large'));
    await until(
      () => connectionsOf(app),
      (count) => count === 0,
    );
    connection.socket.destroy();
  });

  it('does not wait for a caller whom it refused and who stays', async () => {
    const { app, url } = await start();
    const { hostname, port } = new URL(url);
    const socket = connect({ host: hostname, port: Number(port), allowHalfOpen: true }, () =>
      socket.write('nonsense\r\n\r\n'),
    );
    await new Promise((resolve) => socket.resume().once('end', resolve));
    await until(
      () => connectionsOf(app),
      (count) => count === 0,
      5_000,
    );
    socket.destroy();
  });

  it('counts what it refuses: a timeout as a problem, a connection too many by its reason', async () => {
    const { url, metrics } = await start({ requestTimeoutMs: 200, connectionsMax: 1 });
    const slow = await openRaw(url);
    await (await openRaw(url)).closed;
    await slow.closed;
    expect(slow.answers().map(({ status }) => status)).toEqual([408]);
    const text = await metrics.text();
    expect(text).toContain('millrace_http_problems_total{code="REQUEST_TIMEOUT"} 1');
    expect(text).toContain('millrace_http_refused_connections_total{reason="too_many"} 1');
  });

  it('counts slow requests from their first byte, so that a connection that is kept open may wait longer', async () => {
    const { url } = await start({ requestTimeoutMs: 200 });
    const connection = await openRaw(url);
    connection.send(get('/health/live'));
    await connection.answer;
    // The first connection ends after its timeout, this one, older and answered, does not.
    await (await openRaw(url)).closed;
    connection.send(get('/health/live'));
    await until(
      async () => connection.answers().length,
      (count) => count === 2,
    );
    connection.socket.destroy();
  });

  it.each(['127.0.0.1', '::1', 'localhost'])('on %s says where it listens, and is there', async (host) => {
    const { url } = await start({}, host);
    expect(url).toMatch(/^http:\/\/(?:127\.0\.0\.1|\[::1\]):\d+$/);
    expect((await fetch(`${url}/health/live`)).status).toBe(200);
  });
});

describe('an answer', () => {
  it('is kept by no cache, and its type is not guessed', async () => {
    const { url } = await start();
    for (const path of ['/health/live', '/metrics', '/nothing', '/v1/%zz']) {
      expect((await exchangeRaw(url, get(path)))?.headers, path).toMatchObject({
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
      });
    }
  });

  it('of a route that says so itself may be kept', async () => {
    const { url } = await start();
    expect((await exchangeRaw(url, get('/kept')))?.headers['cache-control']).toBe('max-age=60');
  });

  it('over plain HTTP says nothing of HTTPS', async () => {
    const { url } = await start();
    expect((await exchangeRaw(url, get('/health/live')))?.headers).not.toHaveProperty('strict-transport-security');
  });
});
