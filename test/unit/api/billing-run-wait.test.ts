import { connect } from 'node:net';
import { afterEach, expect, it } from 'vitest';
import type { BillingRun, InvoiceReader } from '../../../api/invoices/invoices.postgres.ts';
import { type ApiOptions, createApi } from '../../../api/server.ts';
import { listen } from '../../../platform/http/http.ts';
import { stopwatch, systemClock } from '../../../platform/process/clock.ts';
import { apiOptions } from '../../support/api-routes.ts';
import { until } from '../../support/pipeline.ts';

const nothing = {} as never;
const row: BillingRun = {
  id: `run_${'0'.repeat(32)}`,
  kind: 'billing',
  due: null,
  askedBy: 'caller',
  period: { start: Date.UTC(2026, 9), end: Date.UTC(2026, 10) },
  customerId: null,
  subscriptionId: null,
  state: 'running',
  watermark: null,
  failure: null,
  failures: 0,
  progress: {
    startedAt: null,
    elapsedSeconds: 0,
    isOver: false,
    shardsTotal: 0,
    shardsDone: 0,
    periodsTotal: 0,
    periodsDone: 0,
  },
  createdAt: 0,
  updatedAt: 0,
  issued: 0,
  alreadyIssued: 0,
  drafted: 0,
  carriedOver: 0,
  draftId: null,
  ratedMs: 0,
  issuedMs: 0,
  unmeasuredEvents: 0n,
};

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

/** The API over one run that never ends. */
const setUp = async (answerMs: number) => {
  const asked = { times: 0, forRun: 0 };
  const invoices: Pick<InvoiceReader, 'runState' | 'run'> = {
    runState: async () => {
      asked.times += 1;
      await new Promise((resolve) => setTimeout(resolve, answerMs));
      return 'running';
    },
    run: async () => {
      asked.forRun += 1;
      return row;
    },
  };
  const key = {
    keyId: 'key',
    kind: 'secret',
    world: 'live',
    expiresMs: undefined,
    scopes: ['admin'],
    signingSecret: undefined,
  } as const;
  const caller = { organizationId: 'org', tier: 'scale', ...key } as const;
  const given = apiOptions();
  const options = {
    ...given,
    guard: {
      clock: systemClock,
      authenticate: async () => caller,
      rateLimit: { take: async () => ({ allowed: true, quota: {} }) as never },
      openSigningSecret: nothing,
    },
    routes: {
      clock: systemClock,
      organizationClock: systemClock,
      postgres: { forOrganization: () => nothing },
    } as unknown as ApiOptions['routes'],
    ports: { ...given.ports, invoices: { ...given.ports.invoices, ...invoices } },
  };
  const app = createApi(options);
  ends.push(() => app.close());
  return { asked, url: new URL(await listen(app, '127.0.0.1', 0)) };
};

it('a wait for a run ends when it said, however long each look at the run takes', async () => {
  const { url } = await setUp(400);
  const elapsedMs = stopwatch();
  expect((await fetch(`${url.href}v1/invoices/runs/run?wait_seconds=1`)).status).toBe(200);
  expect(elapsedMs()).toBeGreaterThan(950);
  expect(elapsedMs()).toBeLessThan(5_000);
});

it('a run is looked at less often the longer it is waited for, and no more once the caller has hung up', async () => {
  const { url, asked } = await setUp(0);
  const socket = connect(Number(url.port), url.hostname);
  socket.write('GET /v1/invoices/runs/run?wait_seconds=20 HTTP/1.1\r\nHost: a\r\n\r\n');
  const elapsedMs = stopwatch();
  await until(
    async () => asked.times,
    (times) => times > 5 && elapsedMs() > 1_500,
  );
  expect(asked.times).toBeLessThan(20);
  socket.destroy();
  await until(
    async () => asked.forRun,
    (times) => times === 1,
    3_000,
  );
});
