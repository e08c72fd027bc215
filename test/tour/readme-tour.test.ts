/** The README's five minutes with curl, run as they stand there. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { type Pipeline, startPipeline } from '../support/pipeline.ts';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'));
});
afterAll(() => pipeline?.stop());

it('ends with the invoice that the README says', async () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const block = [...readme.matchAll(/```sh\n([\s\S]*?)```/g)]
    .map(([, text]) => text as string)
    .find((text) => text.startsWith('api=')) as string;
  const script = block
    .replace('http://127.0.0.1:8080', pipeline.stack.apiUrl.replace(/\/$/, ''))
    .replace('http://127.0.0.1:8081', pipeline.stack.ingestUrl.replace(/\/$/, ''))
    .replace('mr_live_my_first_millrace_key', pipeline.key);
  const { stdout, stderr } = await promisify(execFile)('bash', ['--norc', '-euc', script]);
  expect(stderr).toBe('');
  const answers = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(answers).toHaveLength(10);
  const [meter, plan, customer, subscription, first, second, usage, balance, run, invoices] = answers;
  expect([meter.code, plan.code, customer.external_id, subscription.state]).toEqual([
    'tokens',
    'starter',
    'acme',
    'active',
  ]);
  expect(first).toMatchObject({ accepted: 1, duplicates: 0 });
  expect(second).toMatchObject({ accepted: 0, duplicates: 1 });
  expect(usage.items).toEqual([{ meter: 'tokens', meter_version: 1, quantity: '250000', unmeasured_events: 0 }]);
  expect(balance.currencies).toMatchObject([{ currency: 'USD', running: { total: '22.98' }, total: '22.98' }]);
  expect(run).toMatchObject({ state: 'completed', invoices_issued: 1 });
  expect(invoices.items).toMatchObject([{ number: 1, total: '13.98', currency: 'USD', state: 'issued' }]);
  const { body: invoice } = await pipeline.api('GET', `/v1/invoices/${invoices.items[0].id}`);
  expect(invoice.lines.map((line: { amount: string }) => line.amount)).toEqual(['9.00', '4.98']);
});
