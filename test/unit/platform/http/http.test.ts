import type { FastifyInstance } from 'fastify';
import { afterAll, describe, expect, it } from 'vitest';
import { createHttpApp } from '../../../../platform/http/http.ts';
import { createLog } from '../../../../platform/process/log.ts';
import { createMetrics } from '../../../../platform/process/metrics.ts';
import { UnavailableError } from '../../../../platform/stores/retry.ts';

const createApp = (): FastifyInstance => {
  const app = createHttpApp({
    log: createLog('test', 'silent'),
    metrics: createMetrics(),
    health: [],
    bodyBytesMax: 1_024,
  });
  app.post(
    '/things',
    {
      schema: {
        body: {
          type: 'object',
          required: ['name', 'kind'],
          additionalProperties: false,
          properties: {
            name: { type: 'string', minLength: 2, pattern: '^[a-z]*$' },
            kind: { enum: ['a', 'b'] },
            count: { type: 'integer', exclusiveMinimum: 0 },
            tags: {
              type: 'array',
              maxItems: 1,
              items: { type: 'object', required: ['id'], properties: { id: { type: 'string' } } },
            },
          },
        },
      },
    },
    async () => ({}),
  );
  app.get('/down', async () => {
    throw new UnavailableError('clickhouse', new Error('connect ECONNREFUSED 10.0.0.1'));
  });
  app.get('/bug', async () => {
    throw new TypeError('a secret detail');
  });
  return app;
};

const app = createApp();
afterAll(() => app.close());

const faultsOf = async (payload: unknown): Promise<string[]> => {
  const answer = await app.inject({ method: 'POST', url: '/things', payload: payload as object });
  expect(answer.statusCode).toBe(422);
  expect(answer.json().error_code).toBe('VALIDATION_FAILED');
  return answer.json().errors.map(({ field, code }: { field: string; code: string }) => `${field}: ${code}`);
};

describe('faults of a body', () => {
  it('are all listed, each with its field and a code of the table of faults', async () => {
    expect(await faultsOf({ name: 'A', kind: 'c', count: '1', tags: [{}, {}], extra: 1 })).toEqual(
      expect.arrayContaining([
        'name: wrong_length',
        'name: wrong_format',
        'kind: not_allowed',
        'count: wrong_type',
        'tags: wrong_length',
        'tags[0].id: missing',
        'tags[1].id: missing',
        'extra: unknown_field',
      ]),
    );
    expect(await faultsOf({})).toEqual(['name: missing', 'kind: missing']);
  });

  it('of a rule that has no code of its own are named by it, in lower snake case', async () => {
    expect(await faultsOf({ name: 'ab', kind: 'a', count: 0 })).toEqual(['count: exclusive_minimum']);
  });
});

describe('a part that is down', () => {
  it('is named, with a time to try again and without what only we should know', async () => {
    const answer = await app.inject('/down');
    expect(answer.statusCode).toBe(503);
    expect(answer.headers['retry-after']).toBe('1');
    expect(answer.json()).toMatchObject({
      error_code: 'DEPENDENCY_UNAVAILABLE',
      errors: [{ field: 'clickhouse', code: 'unavailable' }],
    });
    expect(answer.body).not.toContain('10.0.0.1');
  });
});

describe('a bug', () => {
  it('is a 500 that says nothing of it', async () => {
    const answer = await app.inject('/bug');
    expect(answer.statusCode).toBe(500);
    expect(answer.json()).toMatchObject({ error_code: 'INTERNAL_ERROR', request_id: answer.headers['x-request-id'] });
    expect(answer.body).not.toContain('secret');
  });
});

describe('readiness', () => {
  it('asks a part once for all who ask at the same moment, and anew for the next', async () => {
    let asked = 0;
    const check = async () => {
      asked += 1;
    };
    const health = [
      { name: 'up', required: true, check },
      { name: 'down', required: false, check: () => Promise.reject(new Error('away')) },
    ];
    const one = createHttpApp({
      log: createLog('test', 'silent'),
      metrics: createMetrics(),
      health,
      bodyBytesMax: 1_024,
    });
    const answers = await Promise.all(Array.from({ length: 100 }, () => one.inject('/health/ready')));
    expect(new Set(answers.map(({ body }) => body))).toEqual(
      new Set(['{"status":"ready","dependencies":{"up":"up","down":"down"}}']),
    );
    expect(asked).toBeLessThan(10);
    asked = 0;
    await one.inject('/health/ready');
    expect(asked).toBe(1);
    await one.close();
  });

  it('of a process whose work waits for over 10 s is degraded, and says for how long', async () => {
    let waitingMs = 10_000;
    const one = createHttpApp({
      log: createLog('test', 'silent'),
      metrics: createMetrics(),
      health: [],
      waitingMs: () => waitingMs,
      bodyBytesMax: 1_024,
    });
    const ready = async () => {
      const answer = await one.inject('/health/ready');
      return [answer.statusCode, answer.json()];
    };
    expect(await ready()).toEqual([200, { status: 'ready', dependencies: {}, waiting_seconds: 10 }]);
    waitingMs = 10_001;
    expect(await ready()).toEqual([200, { status: 'degraded', dependencies: {}, waiting_seconds: 10.001 }]);
    await one.close();
  });
});
