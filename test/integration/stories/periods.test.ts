/** Billing periods over months and years by a test clock: anchors, zones, intervals, one invoice or several. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { Pipeline } from '../../support/pipeline.ts';
import { sharedPipeline } from '../../support/shared-pipeline.ts';
import { call, calls, flat, newPlan, sandboxOfCalls } from '../../support/story-parts.ts';
import { unique } from '../../support/tenants.ts';
import { type Life, lifeFrom, type Sandbox } from '../../support/test-clock.ts';

let pipeline: Pipeline;
let sandbox: Sandbox;
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
  sandbox = await sandboxOfCalls(pipeline);
});
afterAll(() => pipeline?.stop());

const advance = (code: string, amount: string, more: object = {}) => flat(code, amount, { timing: 'advance', ...more });
const plan = (...charges: object[]): Promise<string> => newPlan(sandbox, 'USD', charges);

const subscribed = async (life: Life, plan: string, more: object = {}) =>
  sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan, ...more });
const linesOf = async (life: Life) => (await life.invoices()).flatMap(({ lines }) => lines);

describe('periods by a test clock', () => {
  it('from the 31st they begin on the last day of shorter months, over a leap year', async () => {
    const fee = await plan(advance('fee', '10.00'));
    const life = await lifeFrom(sandbox, '2027-12-31T00:00:00Z');
    await subscribed(life, fee, { billing_anchor: 'anniversary' });
    await life.until('2028-05-01T00:00:00Z');
    expect(await linesOf(life)).toEqual([
      'fee x1 10.00 2027-12-31..2028-01-31',
      'fee x1 10.00 2028-01-31..2028-02-29',
      'fee x1 10.00 2028-02-29..2028-03-31',
      'fee x1 10.00 2028-03-31..2028-04-30',
      'fee x1 10.00 2028-04-30..2028-05-31',
    ]);
  });

  it('a year in advance beside months in arrears: one plan, two intervals', async () => {
    const both = await plan(advance('platform', '365.00', { billing_interval: { unit: 'year' } }), calls('0.10'));
    const life = await lifeFrom(sandbox, '2027-03-01T00:00:00Z');
    await subscribed(life, both, { billing_anchor: 'anniversary' });
    await sandbox.send([call(life.customer, '2027-03-31T23:59:59Z'), call(life.customer, '2028-02-29T12:00:00Z')]);
    await life.until('2028-03-01T02:00:00Z');
    const invoices = await life.invoices();
    expect(invoices).toHaveLength(13);
    expect(invoices.filter(({ total }) => total !== '0.00').map(({ at, lines }) => [at, ...lines])).toEqual([
      ['2027-03-01T00:00:00Z', 'platform x1 365.00 2027-03-01..2028-03-01'],
      ['2027-04-01T01:00:00Z', 'calls x1 0.10 2027-03-01..2027-04-01'],
      ['2028-03-01T01:00:00Z', 'calls x1 0.10 2028-02-01..2028-03-01', 'platform x1 365.00 2028-03-01..2029-03-01'],
    ]);
  });

  it('of a customer in Apia in December 2011, where a day was left out', async () => {
    const daily = await plan(advance('fee', '31.00'), calls('1.00'));
    const life = await lifeFrom(sandbox, '2011-12-01T00:00:00-10:00', { time_zone: 'Pacific/Apia' });
    const { id } = await subscribed(life, daily);
    // The last moment of the 29th there, and the first one of the 31st, are the same instant but for a millisecond.
    await sandbox.send([call(life.customer, '2011-12-30T09:59:59.999Z'), call(life.customer, '2011-12-30T10:00:00Z')]);
    await life.until('2011-12-30T10:00:00Z');
    await sandbox.made(`/v1/subscriptions/${id}/cancel`, { at: 'now' });
    await life.until('2012-01-02T00:00:00Z');
    // December has 30 days there; 29 of them are over: 31.00 x 29/30 = 29.97, and 1.03 are unused.
    expect(await linesOf(life)).toEqual([
      'fee x1 31.00 2011-12-01T10:00Z..2011-12-31T10:00Z',
      'calls x1 1.00 2011-12-01T10:00Z..2011-12-30T10:00Z',
      'fee (unused) x1 -1.03 2011-12-30T10:00Z..2011-12-31T10:00Z',
    ]);
  });

  it('of a customer in Kathmandu begin a quarter to the hour', async () => {
    const fee = await plan(advance('fee', '10.00'));
    const life = await lifeFrom(sandbox, '2027-01-01T00:00:00+05:45', { time_zone: 'Asia/Kathmandu' });
    await subscribed(life, fee);
    await life.until('2027-02-10T00:00:00Z');
    expect(await life.invoices()).toMatchObject([
      { at: '2026-12-31T18:15:00Z', lines: ['fee x1 10.00 2026-12-31T18:15Z..2027-01-31T18:15Z'] },
      { at: '2027-01-31T18:15:00Z', lines: ['fee x1 10.00 2027-01-31T18:15Z..2027-02-28T18:15Z'] },
    ]);
  });

  it('two subscriptions of one customer are an invoice each, or one for both, and never of two currencies', async () => {
    const options = { currency_options: { EUR: { model: 'flat', amount: '9.00' } } };
    const [one, other] = [await plan(advance('a', '10.00', options)), await plan(advance('b', '20.00', options))];
    const billed = async (customer: object, currency = 'USD') => {
      const life = await lifeFrom(sandbox, '2027-01-01T00:00:00Z', customer);
      await subscribed(life, one);
      await subscribed(life, other, { currency });
      await life.until('2027-01-02T00:00:00Z');
      return (await life.invoices()).map(({ total }) => total).toSorted();
    };
    expect(await billed({})).toEqual(['10.00', '20.00']);
    expect(await billed({ invoicing: 'consolidated' })).toEqual(['30.00']);
    expect(await billed({ invoicing: 'consolidated' }, 'EUR')).toEqual(['10.00', '9.00']);
  });

  it('a spend cap counts what was charged in advance for the same time', async () => {
    const code = `p-${unique()}`;
    const spend_cap = { name: 'Cap', amount: '12.00' };
    const charges = [advance('fee', '10.00'), calls('1.00')];
    await sandbox.made('/v1/plans', { code, name: code, currency: 'USD', charges, spend_cap });
    const life = await lifeFrom(sandbox, '2027-01-01T00:00:00Z');
    await subscribed(life, code);
    await sandbox.send(Array.from({ length: 5 }, () => call(life.customer, '2027-01-05T00:00:00Z')));
    await life.until('2027-02-01T02:00:00Z');
    expect(await linesOf(life)).toEqual([
      'fee x1 10.00 2027-01-01..2027-02-01',
      'calls x5 5.00 2027-01-01..2027-02-01',
      'Cap x1 -3.00 2027-01-01..2027-02-01',
      'fee x1 10.00 2027-02-01..2027-03-01',
    ]);
  });
});

describe('a test clock', () => {
  it('goes neither back nor too far, and only one way at a time', async () => {
    const { id } = await sandbox.made('/v1/test-clocks', { now: '2027-01-01T00:00:00Z' });
    const refused = async (to: string) => {
      const { status, body } = await sandbox.api('POST', `/v1/test-clocks/${id}/advance`, { to });
      return [
        status,
        ...(body.errors ?? []).map(({ field, code }: { field: string; code: string }) => `${field} ${code}`),
      ];
    };
    expect(await refused('2027-01-01T00:00:00Z')).toEqual([422, 'to out_of_range']);
    expect(await refused('2040-01-01T00:00:00Z')).toEqual([422, 'to out_of_range']);
    expect(await refused('2027-02-30T00:00:00Z')).toEqual([422, 'to wrong_format']);
    const at = { to: '2027-02-01T00:00:00Z' };
    const both = await Promise.all([1, 2].map(() => sandbox.api('POST', `/v1/test-clocks/${id}/advance`, at)));
    expect(both.map(({ status }) => status).toSorted()).not.toEqual([202, 202]);
  });

  it('is the hour of exports, of usage, of prices and of archiving, and not only of bills', async () => {
    const fee = await plan(calls('1.00'));
    const life = await lifeFrom(sandbox, '2027-03-01T00:00:00Z');
    const { id } = await subscribed(life, fee);
    await life.until('2027-05-10T00:00:00Z');
    const exported = (await sandbox.api('GET', `/v1/customers/${life.customer}/export`)).body;
    expect(exported.subscriptions).toMatchObject([{ id, state: 'active' }]);
    const usage = (await sandbox.api('GET', `/v1/customers/${life.customer}/usage`)).body;
    expect(usage.period).toEqual({ start: '2027-05-01T00:00:00.000Z', end: '2027-06-01T00:00:00.000Z' });
    const price = { model: 'per_unit', unit_amount: '2.00' };
    const override = (effective_from: string) =>
      sandbox.api('POST', '/v1/price-overrides', {
        plan: fee,
        charge: 'calls',
        customer_id: life.customer,
        price,
        effective_from,
      });
    // Ahead of the hour of all, and billed by that of the clock.
    expect((await override('2027-04-15T00:00:00Z')).body).toMatchObject({ error_code: 'PRICE_OVERRIDE_BILLED' });
    expect((await override('2027-05-20T00:00:00Z')).status).toBe(201);
    await sandbox.made(`/v1/subscriptions/${id}/cancel`, { at: 'now' });
    await life.until('2027-05-11T00:00:00Z');
    expect((await sandbox.made(`/v1/customers/${life.customer}/archive`, {})).archived_at).not.toBe(null);
  });

  it('has customers without subscriptions alone', async () => {
    const fee = await plan(advance('fee', '10.00'));
    const { id: clock } = await sandbox.made('/v1/test-clocks', {});
    const life = await lifeFrom(sandbox, '2027-01-01T00:00:00Z');
    await subscribed(life, fee);
    const again = await sandbox.api('POST', `/v1/test-clocks/${clock}/customers`, { customer_id: life.customer });
    expect([again.status, again.body.error_code]).toEqual([409, 'CUSTOMER_IN_USE']);
  });

  it('lives with keys of the sandbox alone: a live one makes no clock, and has nobody live by one', async () => {
    const refused = { status: 409, body: { error_code: 'TEST_CLOCK_NEEDS_SANDBOX' } };
    const { id } = await sandbox.made('/v1/test-clocks', {});
    const customer_id = `c-${unique()}`;
    const customer = await pipeline.api('POST', '/v1/customers', { external_id: customer_id, name: 'Live' });
    expect(await pipeline.api('POST', '/v1/test-clocks', {})).toMatchObject(refused);
    // One that is not there, one of the sandbox, and one that the live world had before.
    await pipeline.asOwner.query(
      `INSERT INTO test_clocks (id, organization_id, now_at, state, metadata, version, created_at, updated_at)
       SELECT 'clk_' || repeat('1', 32), organization_id, now(), 'ready', '{}', 1, now(), now() FROM customers
       WHERE id = $1`,
      [customer.body.id],
    );
    const before = `clk_${'1'.repeat(32)}`;
    for (const clock of [`clk_${'0'.repeat(32)}`, id, before]) {
      const path = `/v1/test-clocks/${clock}`;
      expect(await pipeline.api('POST', `${path}/customers`, { customer_id })).toMatchObject(refused);
      expect(await pipeline.api('POST', `${path}/advance`, { to: '2030-01-01T00:00:00Z' })).toMatchObject(refused);
    }
    expect((await pipeline.api('GET', `/v1/test-clocks/${id}`)).status).toBe(404);
    // A customer that lived by it already starts nothing.
    await pipeline.asOwner.query('UPDATE customers SET test_clock_id = $1 WHERE id = $2', [before, customer.body.id]);
    const fee = await plan(advance('fee', '10.00'));
    await pipeline.api('POST', '/v1/plans', {
      code: fee,
      name: fee,
      currency: 'USD',
      charges: [advance('fee', '1.00')],
    });
    expect(await pipeline.api('POST', '/v1/subscriptions', { customer_id, plan: fee })).toMatchObject(refused);
  });
});
