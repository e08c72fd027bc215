/** Stories of drafts by a test clock: what comes in while an invoice waits, and what comes too late. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type Pipeline, startPipeline } from '../../support/pipeline.ts';
import { unique } from '../../support/tenants.ts';
import { lifeFrom, type Sandbox, sandboxOf } from '../../support/test-clock.ts';

let pipeline: Pipeline;
let sandbox: Sandbox;
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'));
  sandbox = await sandboxOf(pipeline);
  await sandbox.made('/v1/meters', { code: 'calls', name: 'Calls', event: 'call', aggregation: 'count' });
}, 60_000);
afterAll(() => pipeline?.stop());

const calls = { code: 'calls', name: 'calls', meter: 'calls', price: { model: 'per_unit', unit_amount: '0.50' } };
const fee = { code: 'fee', name: 'fee', price: { model: 'flat', amount: '31.00' }, timing: 'advance' };
const plan = async (...charges: object[]): Promise<string> => {
  const code = `p-${unique()}`;
  await sandbox.made('/v1/plans', { code, name: code, currency: 'USD', charges });
  return code;
};
const call = (customer_id: string, timestamp: string) => ({
  idempotency_key: unique(),
  event: 'call',
  customer_id,
  timestamp,
});
const waitAsDraft = async (draft_minutes: number): Promise<void> => {
  const answer = await sandbox.api('PATCH', '/v1/organization', { invoicing: { draft_minutes } });
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
};

describe('a draft', () => {
  it('bills what comes while it waits, and is issued a day after it was made', async () => {
    await waitAsDraft(1_440);
    const basic = await plan(calls, fee);
    const life = await lifeFrom(sandbox, '2027-01-01T00:00:00Z');
    await sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan: basic });
    await sandbox.send([call(life.customer, '2027-01-10T00:00:00Z')]);
    await life.until('2027-02-01T12:00:00Z');
    expect((await life.invoices()).map(({ at, total }) => [at, total])).toEqual([['2027-01-02T00:00:00Z', '31.00']]);
    await sandbox.send([call(life.customer, '2027-01-31T23:00:00Z'), call(life.customer, '2027-01-31T23:30:00Z')]);
    await life.until('2027-02-03T00:00:00Z');
    expect(await life.invoices()).toEqual([
      { at: '2027-01-02T00:00:00Z', total: '31.00', lines: ['fee x1 31.00 2027-01-01..2027-02-01'] },
      {
        at: '2027-02-02T01:00:00Z',
        total: '32.50',
        lines: ['calls x3 1.50 2027-01-01..2027-02-01', 'fee x1 31.00 2027-02-01..2027-03-01'],
      },
    ]);
  });
});
