/** Rater and invoicer are woken for what waits for them: here they would look by themselves once a minute. */

import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { makeLlmPro } from '../support/llm-pro.ts';
import { parts } from '../support/parts.ts';
import { lastMonth, type Pipeline, startPipeline, until } from '../support/pipeline.ts';

let pipeline: Pipeline;
const month = lastMonth();
const customers = ['woken-1', 'woken-2'];

beforeAll(async () => {
  pipeline = await startPipeline(
    inject('serverUrls'),
    {
      MILLRACE_JOB_POLL_MS: '60000',
      MILLRACE_RATER_SHARD_SIZE: '1',
    },
    { services: parts.billedUsage },
  );
  await makeLlmPro(pipeline, customers, month.start);
});
afterAll(() => pipeline?.stop());

const completed = async (customer: string) => {
  const { body: found } = await pipeline.api('GET', `/v1/customers?external_id=${customer}`);
  const { body } = await pipeline.closePeriod({ period: month.name, customer_id: found.items[0].id });
  expect(body).toMatchObject({ state: 'completed', invoices_issued: 1 });
};

const listeners = async (): Promise<number[]> =>
  (
    await pipeline.asOwner.query<{ pid: number }>(
      "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN billing%'",
    )
  ).rows.map(({ pid }) => pid);

describe('a billing run', () => {
  it('goes from queue to rater to invoicer by notices alone', async () => {
    const begin = performance.now();
    await completed('woken-1');
    expect(performance.now() - begin).toBeLessThan(20_000);
  });

  it('that was queued while nobody listened is found once a connection stands again', async () => {
    const pids = await until(listeners, (found) => found.length === 2);
    await pipeline.asOwner.query('SELECT pg_terminate_backend(pid) FROM unnest($1::integer[]) AS pid', [pids]);
    await completed('woken-2');
  });
});
