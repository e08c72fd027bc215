/** [I15] Stories of usage that comes late for a period that was billed, or is amended in one, by a test clock. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type Pipeline, startPipeline, until } from '../../support/pipeline.ts';
import { expectRatedAgain } from '../../support/rated-again.ts';
import { call, flat, calls as metered, newPlan } from '../../support/story-parts.ts';
import { unique } from '../../support/tenants.ts';
import { type Life, lifeFrom, type Sandbox, sandboxOf } from '../../support/test-clock.ts';

let pipeline: Pipeline;
let sandbox: Sandbox;
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'));
  sandbox = await sandboxOf(pipeline);
  await sandbox.made('/v1/meters', { code: 'calls', name: 'Calls', event: 'call', aggregation: 'count' });
}, 60_000);
afterAll(() => pipeline?.stop());

const january = '2027-01-10T00:00:00Z';
const calls = metered('0.50');
const many = (count: number, customer: string, at: string) => Array.from({ length: count }, () => call(customer, at));

const started = async (charges: readonly object[], terms: object = {}, customer: object = {}) => {
  const code = `p-${unique()}`;
  await sandbox.made('/v1/plans', { code, name: code, currency: 'USD', charges, ...terms });
  const life = await lifeFrom(sandbox, '2027-01-01T00:00:00Z', customer);
  const { id } = await sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan: code });
  return { life, id };
};
const last = async (life: Life) => (await life.invoices()).at(-1);
const fateOf = async ({ idempotency_key: key }: { idempotency_key: string }) =>
  (await sandbox.api('GET', `/v1/events/${key}`)).body;
const idsOf = async (life: Life): Promise<string[]> =>
  (await sandbox.api('GET', `/v1/invoices?customer_id=${life.customer}&sort=number&limit=1000`)).body.items.map(
    ({ id }: { id: string }) => id,
  );
const invoice = async (id: string | undefined) => (await sandbox.api('GET', `/v1/invoices/${id}`)).body;

describe('usage that comes late', () => {
  it('is on the next invoice as what its tiers come to more, however many events it is', async () => {
    const tiered = {
      ...calls,
      price: {
        model: 'graduated',
        tiers: [
          { up_to: '5', unit_amount: '1.00' },
          { up_to: null, unit_amount: '0.10' },
        ],
      },
    };
    const { life } = await started([tiered]);
    await sandbox.send(many(3, life.customer, january));
    await life.until('2027-02-01T12:00:00Z');
    expect(await life.invoices()).toEqual([
      { at: '2027-02-01T01:00:00Z', total: '3.00', lines: ['calls x3 3.00 2027-01-01..2027-02-01'] },
    ]);
    const late = many(10, life.customer, january);
    await sandbox.send(late);
    await life.until('2027-03-02T00:00:00Z');
    // Two more at 1.00, eight at 0.10.
    expect(await last(life)).toEqual({
      at: '2027-03-01T01:00:00Z',
      total: '2.80',
      lines: ['calls x0 0.00 2027-02-01..2027-03-01', 'calls (correction) x10 2.80 2027-01-01..2027-02-01'],
    });
    const [first, second] = await idsOf(life);
    const { lines, periods } = await invoice(second);
    const january1 = (await invoice(first)).periods[0];
    expect(lines[1]).toMatchObject({
      kind: 'delta',
      steps: [],
      corrects: {
        invoice_id: first,
        billing_period_id: january1.billing_period_id,
        watermark: january1.watermark,
        quantity_before: '3',
        quantity_now: '13',
        amount_before: '3.00',
        amount_now: '5.80',
      },
    });
    expect(periods[1]).toMatchObject({ corrects_billing_period_id: january1.billing_period_id });
    await expectRatedAgain(pipeline, sandbox);
  });
});
