/** Closing by itself, from the subscription to the invoice, by the processes as they run. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { llmRequest, makeLlmPro } from '../../support/llm-pro.ts';
import { parts } from '../../support/parts.ts';
import { lastMonth, type Pipeline, startPipeline, until } from '../../support/pipeline.ts';
import { untilAllStored } from '../../support/stored.ts';

let pipeline: Pipeline;
const month = lastMonth();
const customers = Array.from({ length: 5 }, (_, index) => `customer-${index}`);
const at = month.end - 3_600_000;

beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'), {}, { services: parts.billedUsage });
  await makeLlmPro(pipeline, customers, month.start);
  await pipeline.asOwner.query('UPDATE subscriptions SET next_due_at = coalesce(next_due_at, started_at)');
  const sent = customers.map((customer) => llmRequest(customer, customer, at, { input: 200_000, output: 1_000 }));
  expect(await pipeline.sendEvents(sent)).toMatchObject({ status: 200, body: { accepted: sent.length } });
  await untilAllStored(pipeline, customers[0] ?? '', 1);
}, 60_000);
afterAll(() => pipeline?.stop());

const read = async (path: string) => (await pipeline.api('GET', path)).body;

describe('an organization that turns closing on', () => {
  it('has what is due billed within seconds, once, and nobody asked for it', async () => {
    const due = await read('/v1/billing-runs/due');
    expect(due).toMatchObject({
      closing: { automatic: false, grace_minutes: 60 },
      subscriptions: { due: customers.length },
      is_running: false,
      next_run_at: null,
      late_seconds: 0,
    });
    const changed = await pipeline.api('PATCH', '/v1/organization', { closing: { automatic: true, grace_minutes: 0 } });
    expect(changed).toMatchObject({ status: 200, body: { closing: { automatic: true, grace_minutes: 0 } } });
    const invoices = await until(
      () => read('/v1/invoices'),
      ({ items }) => items.length === customers.length,
      30_000,
    );
    expect(invoices.items.map(({ total }: { total: string }) => total)).toEqual(customers.map(() => '20.32'));
    const runs = await until(
      () => read('/v1/billing-runs?asked_by=scheduler&sort=created_at'),
      ({ items }) => items.every(({ state }: { state: string }) => state === 'completed'),
    );
    expect(runs.items[0]).toMatchObject({ asked_by: 'scheduler', period: null, failures: 0, failure: null });
    expect(await read(`/v1/billing-runs/${runs.items[0].id}`)).toEqual(runs.items[0]);
    expect(await read('/v1/billing-runs/due')).toMatchObject({
      closing: { automatic: true, grace_minutes: 0 },
      subscriptions: { due: 0 },
      billing_periods: { open: 0, oldest_due_at: null },
      is_running: false,
      late_seconds: 0,
    });
  }, 60_000);
});
