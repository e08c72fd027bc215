/** Whole stories of customers by a test clock, with their exact bills. */
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
});
afterAll(() => pipeline?.stop());

const flat = (code: string, amount: string, more: object = {}) => ({
  code,
  name: code,
  price: { model: 'flat', amount },
  ...more,
});
const calls = (unit_amount: string) => ({
  code: 'calls',
  name: 'calls',
  meter: 'calls',
  price: { model: 'per_unit', unit_amount },
});
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

describe('by a test clock', () => {
  it('a fee in advance and usage in arrears are billed month by month, as time would have it', async () => {
    const basic = await plan(flat('fee', '31.00', { timing: 'advance' }), calls('0.50'));
    const life = await lifeFrom(sandbox, '2027-01-16T00:00:00Z');
    await sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan: basic });
    await sandbox.send([
      call(life.customer, '2027-01-31T23:59:59Z'),
      call(life.customer, '2027-02-01T00:00:00Z'),
      call(life.customer, '2027-02-02T00:00:00Z'),
    ]);
    await life.until('2027-03-02T00:00:00Z');
    expect(await life.invoices()).toEqual([
      { at: '2027-01-16T00:00:00Z', total: '16.00', lines: ['fee x1 16.00 2027-01-16..2027-02-01'] },
      {
        at: '2027-02-01T01:00:00Z',
        total: '31.50',
        lines: ['calls x1 0.50 2027-01-16..2027-02-01', 'fee x1 31.00 2027-02-01..2027-03-01'],
      },
      {
        at: '2027-03-01T01:00:00Z',
        total: '32.00',
        lines: ['calls x2 1.00 2027-02-01..2027-03-01', 'fee x1 31.00 2027-03-01..2027-04-01'],
      },
    ]);
  });
});
