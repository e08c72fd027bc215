/**
 * Retries that Redis has forgotten and that are not the same event any more, through the whole pipeline to the invoice.
 */

import { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { claimsPrefixOf } from '../../ingest/claims/claims.redis.ts';
import { checkedSequence } from '../support/checker.ts';
import { llmRequest, makeLlmPro } from '../support/llm-pro.ts';
import { parts } from '../support/parts.ts';
import { lastMonth, type Pipeline, startPipeline, until } from '../support/pipeline.ts';

const month = lastMonth();
const dayMs = 86_400_000;
const customers = ['restamped-1', 'restamped-2'];
const tokens = { input: 200_000, output: 0 };

/** While it is set, the checker ends itself before it has written anything. */
let isHeld = false;
let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await startPipeline(
    inject('serverUrls'),
    {},
    {
      services: parts.billedUsage,
      extraOf: (service) => (service === 'checker' && isHeld ? { MILLRACE_FAIL_POINT: 'checker.before_voids:1' } : {}),
    },
  );
  await makeLlmPro(pipeline, customers, month.start);
});
afterAll(() => pipeline?.stop());

/** The claims of this stream alone: other tests have the same Redis. */
const emptyRedis = async (): Promise<void> => {
  const redis = new Redis(inject('serverUrls').redis);
  const keys = await redis.keysBuffer(`${claimsPrefixOf(pipeline.streamName)}*`);
  expect(keys.length).toBeGreaterThan(0);
  await redis.del(...keys);
  await redis.quit();
};

const send = async (...events: readonly object[]): Promise<void> => {
  const { status, body } = await pipeline.sendEvents(events);
  expect([status, body.accepted], JSON.stringify(body)).toEqual([200, events.length]);
};

const voidReasons = async (): Promise<string[]> => {
  const answer = await fetch(
    pipeline.clickhouseUrl.replace(/\/[^/]*$/, `/?database=${new URL(pipeline.clickhouseUrl).pathname.slice(1)}`),
    {
      method: 'POST',
      body: 'SELECT reason FROM usage_voids FINAL ORDER BY reason FORMAT TSV',
    },
  );
  return (await answer.text()).split('\n').filter((line) => line !== '');
};

const requestsOf = async (customer: string): Promise<string> => {
  const { body: list } = await pipeline.api('GET', `/v1/customers/${customer}/invoices`);
  const { body } = await pipeline.api('GET', `/v1/invoices/${list.items[0].id}`);
  return body.lines
    .map((line: { charge_code: string; quantity: string }) => `${line.charge_code} ${line.quantity}`)
    .join(', ');
};

const pidOfChecker = (): number => pipeline.stack.processes.find(({ name }) => name === 'checker')?.pid ?? 0;

it('[I2] [I6] [I7] with the time of another day, for another customer and under another name they are billed once, and no run overtakes the check', async () => {
  const atMs = month.end - 1;
  const firsts = ['a', 'b', 'c', 'd'].map((key) => llmRequest(key, 'restamped-1', atMs, tokens));
  await send(...firsts);
  await emptyRedis();
  // Whatever was checked by now, nothing more is until the checker may live.
  isHeld = true;
  const pid = pidOfChecker();
  process.kill(pid, 'SIGKILL');
  await send(
    llmRequest('a', 'restamped-1', atMs - 3 * dayMs, tokens),
    llmRequest('b', 'restamped-2', atMs, tokens),
    { ...llmRequest('c', 'restamped-1', atMs, tokens), event: 'llm.other' },
    llmRequest('d', 'restamped-1', atMs, { input: 1, output: 1 }),
    llmRequest('e', 'restamped-2', atMs, tokens),
  );
  const asked = await pipeline.api('POST', '/v1/invoices/run', { period: month.name });
  const runOf = async () => (await pipeline.api('GET', asked.headers.get('location') ?? '')).body;
  // The rater has taken its watermark, and the checker has died over the new rows at least once.
  const { rows } = await until(
    () => pipeline.asOwner.query<{ watermark: bigint | null }>('SELECT watermark FROM billing_runs'),
    ({ rows }) => rows[0]?.watermark !== null && rows.length === 1,
  );
  const deaths = new Set<number>();
  await until(
    async () => deaths.add(pidOfChecker()).size,
    (count) => count >= 3,
  );
  expect((await runOf()).state).toBe('queued');
  expect(await checkedSequence(pipeline.asWorker, pipeline.streamName)).toBeLessThan(Number(rows[0]?.watermark));
  isHeld = false;
  const run = await until(runOf, ({ state }) => state !== 'queued' && state !== 'running');
  expect(run.state).toBe('completed');
  expect(await checkedSequence(pipeline.asWorker, pipeline.streamName)).toBeGreaterThanOrEqual(
    Number(rows[0]?.watermark),
  );
  expect(await voidReasons()).toEqual(['conflict', 'conflict', 'conflict', 'twin']);
  expect(await requestsOf('restamped-1')).toBe('base 1, requests 4, input 800000, output 0');
  expect(await requestsOf('restamped-2')).toBe('base 1, requests 1, input 200000, output 0');
});
