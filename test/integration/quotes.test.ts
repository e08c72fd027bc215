/** Quotes: drafts, what is sent, the links to it, and the subscriptions that come of it. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { call, type Pipeline, startPipeline } from '../support/pipeline.ts';
import { unique } from '../support/tenants.ts';
import { lifeFrom, type Sandbox, sandboxOf } from '../support/test-clock.ts';

let pipeline: Pipeline;
let sandbox: Sandbox;
/** Without a key. */
let anyone: Pipeline['api'];
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'), { MILLRACE_LOG_LEVEL: 'debug' });
  sandbox = await sandboxOf(pipeline);
  anyone = call(pipeline.stack.apiUrl, '');
});
afterAll(() => pipeline?.stop());

const charge = (code: string, amount: string, more: object = {}) => ({
  code,
  name: code,
  price: { model: 'flat', amount },
  timing: 'advance',
  ...more,
});
const seats = (unit_amount: string) => ({
  code: 'seats',
  name: 'seats',
  seats: true,
  timing: 'advance',
  price: { model: 'per_unit', unit_amount },
});
const planOf = async (charges: readonly object[], more: object = {}): Promise<{ id: string; code: string }> => {
  const code = `p-${unique()}`;
  return sandbox.made('/v1/plans', { code, name: `Plan ${code}`, currency: 'USD', charges, ...more });
};
const validUntil = '2027-02-01T00:00:00Z';
const quoteOf = (body: object) => sandbox.made('/v1/quotes', { valid_until: validUntil, ...body });
const sent = async (body: object) => sandbox.made(`/v1/quotes/${(await quoteOf(body)).id}/send`, {});
const customerAt = (now = '2027-01-01T00:00:00Z') => lifeFrom(sandbox, now);

describe('a quote', () => {
  it('is sent, seen and accepted by link, and becomes a subscription with its prices, seats and add-ons', async () => {
    const plan = await planOf([charge('fee', '100.00'), seats('10.00')]);
    const addOn = await planOf([charge('storage', '5.00')], { kind: 'add_on' });
    const life = await customerAt();
    const quote = await sent({
      customer_id: life.customer,
      plan: plan.code,
      seats: 3,
      add_ons: [{ plan: addOn.code, quantity: 2 }],
      prices: [{ charge: 'seats', price: { model: 'per_unit', unit_amount: '7.50' } }],
      term: { unit: 'month', count: 12 },
      memo: 'As we spoke of.',
    });
    expect(quote).toMatchObject({ state: 'sent', currency: 'USD', link: { path: `/v1/quote-links/${quote.link.token}` } });
    const seen = await anyone('GET', quote.link.path);
    expect(seen, JSON.stringify(seen.body)).toMatchObject({
      status: 200,
      body: {
        state: 'sent',
        plan_name: `Plan ${plan.code}`,
        seats: 3,
        memo: 'As we spoke of.',
        add_ons: [{ quantity: 2 }],
        preview: {
          first_invoice: { due_at: '2027-01-01T00:00:00.000Z', total: '132.50' },
          full_period: { total: '132.50' },
        },
      },
    });
    const accepted = await anyone('POST', `${quote.link.path}/accept`, { accepted_by: 'Ada Lovelace' });
    expect(accepted, JSON.stringify(accepted.body)).toMatchObject({ status: 200, body: { state: 'accepted' } });
    const { subscription_id: id } = accepted.body;
    expect((await sandbox.api('GET', `/v1/subscriptions/${id}`)).body).toMatchObject({
      seats: 3,
      add_ons: [{ plan_code: addOn.code, quantity: 2 }],
      started_at: '2027-01-01T00:00:00.000Z',
    });
    await life.until('2027-01-02T00:00:00Z');
    expect(await life.invoices()).toEqual([
      {
        at: '2027-01-01T00:00:00Z',
        total: '132.50',
        lines: [
          'seats x3 22.50 2027-01-01..2027-02-01',
          'fee x1 100.00 2027-01-01..2027-02-01',
          'storage x2 10.00 2027-01-01..2027-02-01',
        ],
      },
    ]);
    const early = await sandbox.api('POST', `/v1/subscriptions/${id}/cancel`, { at: 'period_end' });
    expect(early).toMatchObject({ status: 409, body: { error_code: 'SUBSCRIPTION_IN_MINIMUM_TERM' } });
    expect(early.body.detail).toContain('2028-01-01T00:00:00.000Z');
  });
});
