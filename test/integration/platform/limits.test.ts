/** Rate limits as callers meet them, over two processes of the API. */

import { type ChildProcess, fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { loginUrl } from '#platform/stores/postgres.ts';
import { type Limit, rateTiers } from '#schemas/rate-tiers.ts';
import { parts } from '../../support/parts.ts';
import { databasePassword, type Pipeline, startPipeline } from '../../support/pipeline.ts';

let pipeline: Pipeline;
let second: ChildProcess;
let secondUrl: string;

beforeAll(async () => {
  const urls = inject('serverUrls');
  pipeline = await startPipeline(urls, { MILLRACE_ORGANIZATION_TIER: 'starter' }, { services: parts.catalog });
  const kept = (name: string) => readFileSync(join(pipeline.stack.home, name), 'utf8').trim();
  second = fork('api/api.main.ts', {
    stdio: 'ignore',
    env: {
      ...process.env,
      DATABASE_URL: loginUrl(pipeline.databaseUrl, 'millrace_app', databasePassword),
      CLICKHOUSE_URL: pipeline.clickhouseUrl,
      REDIS_URL: urls.redis,
      NATS_URL: urls.nats,
      MILLRACE_STREAM: pipeline.streamName,
      MILLRACE_API_PORT: '0',
      MILLRACE_KEY_PEPPER: kept('key-pepper'),
      MILLRACE_MASTER_KEY: kept('master-key'),
    },
  });
  secondUrl = await new Promise<string>((resolve, reject) => {
    second.once('message', (message) => resolve((message as { url: string }).url));
    second.once('exit', (code) => reject(new Error(`the second process ended with ${code}`)));
  });
});
afterAll(async () => {
  const gone = new Promise((resolve) => second.once('exit', resolve));
  second.kill('SIGTERM');
  await gone;
  await pipeline?.stop();
});

const get = async (base: string, path: string): Promise<Response> => {
  const response = await fetch(`${base.replace(/\/$/, '')}${path}`, {
    headers: { authorization: `Bearer ${pipeline.key}` },
  });
  await response.arrayBuffer();
  return response;
};

/**
 * Limiter calls that Redis did not answer in time, in both processes. Then each goes on alone for a second, so that
 * together they let through up to twice as much: what `docs/rate-limits.md` says of such a moment is not asked here.
 */
const faults = async (): Promise<number> => {
  const texts = await Promise.all(
    [pipeline.stack.apiUrl, secondUrl].map(async (url) => (await fetch(new URL('/metrics', url))).text()),
  );
  return texts.reduce((sum, text) => sum + Number(/^millrace_rate_limit_faults_total (\d+)$/m.exec(text)?.[1]), 0);
};

/** As many as a second without Redis may need to pass by. */
const roundsMax = 10;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * A limiter that Redis left alone asks again after a second, with one request, and decides all others alone until that
 * is answered: at its first request perhaps, when it had just begun. So each has one answered, and then its bucket
 * full.
 */
const reachRedis = async (): Promise<void> => {
  for (let round = 0; round < roundsMax; round += 1) {
    await pause(1_100);
    const before = await faults();
    await Promise.all([get(pipeline.stack.apiUrl, '/v1/customers'), get(secondUrl, '/v1/customers')]);
    if ((await faults()) === before) return pause(1_100);
  }
  throw new Error(`Redis left a call of the limiter unanswered in each of ${roundsMax} rounds`);
};

/** Waits until the bucket is full, sends, and does so again where the limiter was left alone by Redis meanwhile. */
const whileRedisAnswers = async <T>(
  { perSecond, burst }: Limit,
  send: () => Promise<T[]>,
): Promise<{ readonly answers: T[]; readonly letThroughMax: number }> => {
  for (let round = 0; round < roundsMax; round += 1) {
    await reachRedis();
    const before = await faults();
    const begin = performance.now();
    const answers = await send();
    const seconds = (performance.now() - begin) / 1000;
    if ((await faults()) === before) return { answers, letThroughMax: burst + Math.ceil(seconds * perSecond) };
    await new Promise((resolve) => setTimeout(resolve, 1000 * Math.ceil(burst / perSecond)));
  }
  throw new Error(`Redis left a call of the limiter unanswered in each of ${roundsMax} rounds`);
};

/**
 * A few at once: a process that has hundreds of requests to read has no time for the answers of Redis, and takes it for
 * gone.
 */
const sendAll = async <T>(count: number, send: (n: number) => Promise<T>): Promise<T[]> => {
  const answers: T[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) {
      next += 1;
      answers.push(await send(next));
    }
  };
  await Promise.all(Array.from({ length: 16 }, lane));
  return answers;
};

it('two processes together let through what the bucket holds, to the request, and say when to come back', async () => {
  const limit = rateTiers.starter.read;
  const { burst } = limit;
  const { answers, letThroughMax } = await whileRedisAnswers(limit, () =>
    sendAll(4 * burst, (n) => get(n % 2 === 0 ? pipeline.stack.apiUrl : secondUrl, '/v1/customers')),
  );
  const allowed = answers.filter(({ status }) => status === 200).length;
  expect(allowed).toBeGreaterThanOrEqual(burst);
  expect(allowed).toBeLessThanOrEqual(letThroughMax);
  const refused = answers.filter(({ status }) => status === 429);
  expect(refused).toHaveLength(answers.length - allowed);
  for (const { headers } of refused) {
    expect(headers.get('x-ratelimit-limit')).toBe(String(burst));
    expect(headers.get('x-ratelimit-remaining')).toBe('0');
    expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
  }
});

it('what is refused as a read is not taken from writes, nor from the sandbox', async () => {
  expect((await pipeline.api('POST', '/v1/customers', { external_id: 'a', name: 'A' })).status).toBe(201);
  const { body } = await pipeline.api('POST', '/v1/api-keys', { name: 'sandbox', scopes: ['read:*'], world: 'test' });
  const answer = await pipeline.api('GET', '/v1/customers', undefined, { authorization: `Bearer ${body.key}` });
  expect(answer).toMatchObject({ status: 200, body: { items: [] } });
  expect(answer.headers.get('x-ratelimit-remaining')).toBe(String(rateTiers.starter.read.burst - 1));
});

it('what visitors of a page use up with a publishable key is taken from nothing that servers read', async () => {
  const { burst } = rateTiers.starter.public;
  const { body } = await pipeline.api('POST', '/v1/api-keys', {
    name: 'page',
    kind: 'publishable',
    scopes: ['read:plans'],
  });
  const visit = () => pipeline.api('GET', '/v1/plans', undefined, { authorization: `Bearer ${body.key}` });
  const visits = await Promise.all(Array.from({ length: 3 * burst }, visit));
  expect(new Set(visits.map(({ status }) => status))).toEqual(new Set([200, 429]));
  for (const { headers } of visits) expect(headers.get('x-ratelimit-limit')).toBe(String(burst));
  const read = await pipeline.api('GET', '/v1/plans');
  expect([read.status, read.headers.get('x-ratelimit-limit')]).toEqual([200, String(rateTiers.starter.read.burst)]);
});

it('routes that touch keys have the strictest limit', async () => {
  const limit = rateTiers.starter.sensitive;
  const { answers, letThroughMax } = await whileRedisAnswers(limit, () =>
    sendAll(3 * limit.burst, (n) =>
      pipeline.api('POST', '/v1/api-keys', { name: `key ${n}`, scopes: ['read:meters'] }),
    ),
  );
  const made = answers.filter(({ status }) => status === 201).length;
  expect(made).toBeLessThanOrEqual(letThroughMax);
  expect(answers.filter(({ status }) => status === 429)).toHaveLength(answers.length - made);
});
