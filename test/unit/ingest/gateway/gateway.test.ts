import { connect } from 'node:net';
import { pino } from 'pino';
import { expect, it } from 'vitest';
import type { AcceptPorts } from '../../../../ingest/gateway/accept-events.ts';
import { createConservation } from '../../../../ingest/gateway/conservation.ts';
import { createGateway } from '../../../../ingest/gateway/gateway.ts';
import type { Caller } from '../../../../platform/access/authenticate.ts';
import type { RateLimit, Verdict } from '../../../../platform/access/rate-limit.ts';
import { listen } from '../../../../platform/http/http.ts';
import { createMetrics } from '../../../../platform/process/metrics.ts';
import { acceptLimits, event, setUpGateway } from '../../../support/memory-gateway.ts';
import { until } from '../../../support/pipeline.ts';

const caller: Caller = {
  organizationId: 'org_1',
  tier: 'scale',
  keyId: 'key_1',
  kind: 'secret',
  world: 'live',
  expiresMs: undefined,
  scopes: ['write:events'],
  signingSecret: undefined,
};
const verdict = {
  allowed: true,
  limit: 1,
  remaining: 1,
  resetSeconds: 0,
  retryAfterSeconds: 0,
  quota: { limit: 1, used: 0, resetSeconds: 0 },
};
const allowAll: RateLimit = { take: async () => ({ ...verdict, refusedBy: undefined, from: 'redis' }) as Verdict };

/** A gateway that lets in who it is told to, once it is told to. */
const setUp = async (replaced: Partial<AcceptPorts> = {}) => {
  const { clock, ports } = setUpGateway();
  const held = { waiting: 0, letIn: Promise.withResolvers<void>() };
  const { app } = createGateway({
    log: pino({ level: 'silent' }),
    metrics: createMetrics(),
    clock,
    ports: { ...ports, ...replaced },
    health: [],
    bodyBytesMax: 1_000,
    claimSecret: 'a secret of tests',
    conservation: createConservation(),
    limits: { ...acceptLimits, eventsMax: 10, inFlightBytesMax: 2_000 },
    guard: {
      clock,
      rateLimit: allowAll,
      authenticate: async () => {
        held.waiting += 1;
        await held.letIn.promise;
        return caller;
      },
      openSigningSecret: async () => '',
    },
  });
  const url = new URL(await listen(app, '127.0.0.1', 0));
  return { app, url, held };
};

it('[I10] callers who hang up while their key is looked up leave no bytes behind that would keep others out', async () => {
  const { app, url, held } = await setUp();
  const sockets = Array.from({ length: 5 }, () => connect(Number(url.port), url.hostname));
  for (const socket of sockets)
    socket.write(
      'POST /v1/events HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n',
    );
  await until(
    async () => held.waiting,
    (waiting) => waiting === sockets.length,
  );
  for (const socket of sockets) socket.destroy();
  await until(
    () => new Promise<number>((resolve) => app.server.getConnections((_error, count) => resolve(count))),
    (count) => count === 0,
  );
  held.letIn.resolve();
  const body = '[]';
  const answer = await fetch(`${url.href}v1/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  });
  expect(answer.status).toBe(200);
  const metrics = await (await fetch(`${url.href}metrics`)).text();
  expect(metrics).toMatch(/^millrace_ingest_in_flight_bytes 0$/m);
  await app.close();
});

it('[I10] the bytes of callers who hang up while the stream is slow count until they are let go', async () => {
  const stream = Promise.withResolvers<number>();
  const { app, url, held } = await setUp({ publish: () => stream.promise });
  held.letIn.resolve();
  const metrics = async () => (await fetch(`${url.href}metrics`)).text();
  const post = (key: string, signal?: AbortSignal) =>
    fetch(`${url.href}v1/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify([event(key, { properties: { text: 'x'.repeat(600) } })]),
      ...(signal ? { signal } : {}),
    });
  const gone = new AbortController();
  const hangingUp = ['a', 'b'].map((key) => post(key, gone.signal).catch(() => {}));
  await until(metrics, (text) => /^millrace_ingest_in_flight_bytes 1[4-9]\d\d$/m.test(text));
  gone.abort();
  await Promise.all(hangingUp);
  await until(
    () => new Promise<number>((resolve) => app.server.getConnections((_error, count) => resolve(count))),
    (count) => count <= 1,
  );
  expect((await post('c')).status).toBe(503);
  stream.resolve(1);
  await until(metrics, (text) => /^millrace_ingest_in_flight_bytes 0$/m.test(text));
  expect((await post('d')).status).toBe(200);
  await app.close();
});
