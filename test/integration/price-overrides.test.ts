/** Prices that change inside a billing period, and prices of one customer: from the request to the invoice line. */

import pg from 'pg';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { amountsOf, at, begin, billMonth, month } from '../support/billed-month.ts';
import type { Pipeline } from '../support/pipeline.ts';
import { sharedPipeline } from '../support/shared-pipeline.ts';
import { unique } from '../support/tenants.ts';

let pipeline: Pipeline;
const { api, invoiceOf, made, makeUser, verified } = billMonth(() => pipeline);
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
  await made('/v1/meters', { code: 'requests', name: 'Requests', event: 'llm.request', aggregation: 'count' });
  await made('/v1/meters', {
    code: 'tokens',
    name: 'Tokens',
    event: 'llm.request',
    aggregation: 'max',
    property: 'input_tokens',
  });
});
afterAll(() => pipeline?.stop());

const early = 6;
const middle = 4;
const late = 2;

const graduated = (bound: string, first: string, second: string) => ({
  model: 'graduated',
  tiers: [
    { up_to: bound, unit_amount: first },
    { up_to: null, unit_amount: second },
  ],
});

const makePlan = (price: unknown = graduated('4', '1.00', '0.10')) =>
  made('/v1/plans', {
    code: `p-${unique()}`,
    name: 'A plan',
    currency: 'USD',
    charges: [
      { code: 'base', name: 'Base fee', price: { model: 'flat', amount: '10.00' } },
      { code: 'requests', name: 'Requests', meter: 'requests', price },
      { code: 'largest', name: 'Largest', meter: 'tokens', price: { model: 'per_unit', unit_amount: '0.01' } },
    ],
  });

/** Three early requests, of 10 tokens each, and four late ones, of 20. */
const used = [early, early, early, late, late, late, late].map((number) => ({
  day: number,
  input: number === early ? 10 : 20,
}));
const makeCustomer = (plan: { code: string }): Promise<string> => makeUser(plan.code, used);

describe('a price that changes inside a billing period', () => {
  it('rates each part at its own price, tiers from the first unit again', async () => {
    const plan = await makePlan();
    const customer = await makeCustomer(plan);
    const price = graduated('2', '2', '0.5');
    const override = await made('/v1/price-overrides', {
      plan: plan.code,
      charge: 'requests',
      price,
      effective_from: at(middle),
    });
    const invoice = await invoiceOf(customer);
    // 3 x 1.00 before it; then 2 x 2.00 + 2 x 0.50.
    expect(amountsOf(invoice)).toEqual(['10.00', '8.00', '0.20']);
    const before = { start: begin, end: at(middle) };
    const behind = { start: at(middle), end: new Date(month.end).toISOString() };
    expect(invoice.lines[1]).toMatchObject({
      quantity: '7',
      steps: [
        { to: '4', units: '3', amount: '3', span: before },
        { to: '2', units: '2', amount: '4', span: behind },
        { to: null, units: '2', amount: '1', span: behind },
      ],
    });
    const explained = (await api('GET', `/v1/invoices/${invoice.id}/line-items/2/explain`)).body;
    expect(explained).toMatchObject({
      hashes: { is_as_rated: true },
      input: {
        price_spans: [
          { span: before, tiers: 'restart', sources: {} },
          { span: behind, tiers: 'restart', sources: { price_override_id: override.id }, price },
        ],
        measured: [
          { span: before, quantity: '3' },
          { span: behind, quantity: '4' },
        ],
      },
      events: { count: '7' },
    });
    expect(explained.tiers.map(({ units, span }: { units: string; span: unknown }) => [units, span])).toEqual([
      ['3', before],
      ['0', before],
      ['2', behind],
      ['2', behind],
    ]);
  });

  it('goes on in the tiers that were used up, where it is so stated', async () => {
    const plan = await makePlan();
    const customer = await makeCustomer(plan);
    await made('/v1/price-overrides', {
      plan: plan.code,
      charge: 'requests',
      price: graduated('4', '2.00', '0.50'),
      tiers: 'continue',
      effective_from: at(middle),
    });
    // 3 x 1.00; of the four behind them one is in the first tier, at 2.00, and three at 0.50.
    expect(amountsOf(await invoiceOf(customer))).toEqual(['10.00', '6.50', '0.20']);
  });

  it('holds the least and the most against the sum of the parts, once', async () => {
    const plan = await makePlan({ model: 'per_unit', unit_amount: '1.00', minimum_amount: '50.00' });
    const customer = await makeCustomer(plan);
    await made('/v1/price-overrides', {
      plan: plan.code,
      charge: 'requests',
      price: { model: 'per_unit', unit_amount: '2.00', minimum_amount: '12.00' },
      effective_from: at(middle),
    });
    // 3 + 8 = 11, and the price of the end wants 12.
    expect(amountsOf(await invoiceOf(customer))[1]).toBe('12.00');
  });

  it('begins with the next billing period where the meter does not add up', async () => {
    const plan = await makePlan();
    const [during, before] = [await makeCustomer(plan), await makeCustomer(plan)];
    const dearer = { plan: plan.code, charge: 'largest', price: { model: 'per_unit', unit_amount: '1.00' } };
    await made('/v1/price-overrides', { ...dearer, customer_id: during, effective_from: at(5) });
    await made('/v1/price-overrides', { ...dearer, customer_id: before, effective_from: begin });
    // The largest request has 20 tokens, whenever it came.
    expect(amountsOf(await invoiceOf(during))[2]).toBe('0.20');
    expect(amountsOf(await invoiceOf(before))[2]).toBe('20.00');
  });

  it('charges a fee that is charged once at the price that stands when the period begins', async () => {
    const plan = await makePlan();
    const [one, other] = [await makeCustomer(plan), await makeCustomer(plan)];
    const price = { model: 'flat', amount: '7.00' };
    const override = { plan: plan.code, charge: 'base', price };
    await made('/v1/price-overrides', { ...override, customer_id: one, effective_from: begin });
    await made('/v1/price-overrides', { ...override, customer_id: other, effective_from: at(29) });
    expect(amountsOf(await invoiceOf(one))[0]).toBe('7.00');
    expect(amountsOf(await invoiceOf(other))[0]).toBe('10.00');
  });
});

describe('a price of one customer', () => {
  it('stands before that of everyone, and is nobody else', async () => {
    const plan = await makePlan();
    const [own, other] = [await makeCustomer(plan), await makeCustomer(plan)];
    const override = { plan: plan.code, charge: 'requests', effective_from: begin };
    await made('/v1/price-overrides', { ...override, price: graduated('4', '3.00', '3.00') });
    await made('/v1/price-overrides', { ...override, customer_id: own, price: graduated('4', '0.50', '0.50') });
    expect(amountsOf(await invoiceOf(own))[1]).toBe('3.50');
    expect(amountsOf(await invoiceOf(other))[1]).toBe('21.00');
  });

  it('is no more once it was taken back, and stays where it was billed', async () => {
    const plan = await makePlan();
    const [billed, free] = [await makeCustomer(plan), await makeCustomer(plan)];
    const override = { plan: plan.code, charge: 'requests', effective_from: begin, price: graduated('4', '9', '9') };
    const first = await made('/v1/price-overrides', { ...override, customer_id: billed });
    const second = await made('/v1/price-overrides', { ...override, customer_id: free });
    expect(amountsOf(await invoiceOf(billed))[1]).toBe('63.00');
    const patch = { effective_until: begin };
    expect((await api('PATCH', `/v1/price-overrides/${second.id}`, patch)).status).toBe(200);
    expect((await api('PATCH', `/v1/price-overrides/${first.id}`, patch)).body).toMatchObject({
      status: 409,
      error_code: 'PRICE_OVERRIDE_BILLED',
    });
    expect(amountsOf(await invoiceOf(free))[1]).toBe('4.30');
    // From when the billed time ends, it may end.
    const end = new Date(month.end).toISOString();
    expect((await api('PATCH', `/v1/price-overrides/${first.id}`, { effective_until: end })).status).toBe(200);
  });
});

describe('what is refused', () => {
  it.each([
    ['an unknown charge', { charge: 'nothing' }, 'charge', 'not_found'],
    ['a price of another model', { price: { model: 'per_unit', unit_amount: '1' } }, 'price.model', 'not_allowed'],
    ['a price that is none', { price: { model: 'graduated', tiers: [] } }, 'price.tiers', 'wrong_length'],
    ['a currency of no price', { currency: 'EUR' }, 'currency', 'not_priced'],
    ['an end before the beginning', { effective_until: begin }, 'effective_until', 'out_of_range'],
    ['tiers that go on where units do not add up', { charge: 'largest', tiers: 'continue' }, 'tiers', 'not_allowed'],
    ['tiers that go on of a fee', { charge: 'base', tiers: 'continue' }, 'tiers', 'not_allowed'],
  ])('%s', async (_, change, field, code) => {
    const plan = await makePlan();
    const prices: Record<string, unknown> = {
      largest: { model: 'per_unit', unit_amount: '1' },
      base: { model: 'flat', amount: '1' },
    };
    const price = prices[(change as { charge?: string }).charge ?? ''] ?? graduated('1', '1', '1');
    const body = { plan: plan.code, charge: 'requests', price, effective_from: at(middle), ...change };
    const answer = await api('POST', '/v1/price-overrides', body);
    expect(answer.status).toBe(422);
    expect(answer.body.errors).toEqual([expect.objectContaining({ field, code })]);
  });

  it('a beginning in time that is billed, by name, with the time from when on it may begin', async () => {
    const plan = await makePlan();
    const customer = await makeCustomer(plan);
    await invoiceOf(customer);
    const body = { plan: plan.code, charge: 'requests', price: graduated('1', '1', '1'), effective_from: at(middle) };
    const answer = await api('POST', '/v1/price-overrides', body);
    expect(answer.body).toMatchObject({ status: 409, error_code: 'PRICE_OVERRIDE_BILLED' });
    expect(answer.body.detail).toContain(new Date(month.end).toISOString());
  });

  it('a beginning in time that a run is billing, for as long as it does', async () => {
    const plan = await makePlan();
    const customer = await makeCustomer(plan);
    const asDrafts = (draft_minutes: number) => api('PATCH', '/v1/organization', { invoicing: { draft_minutes } });
    await asDrafts(60);
    const { body: run } = await pipeline.closePeriod({ period: month.name, customer_id: customer });
    await asDrafts(0);
    const body = { plan: plan.code, charge: 'requests', price: graduated('1', '1', '1'), effective_from: at(middle) };
    const client = new pg.Client({ connectionString: pipeline.databaseUrl });
    await client.connect();
    type Held = { state: string; leased_until: Date | string | null };
    const hold = ({ state, leased_until: until }: Held) =>
      client.query('UPDATE billing_run_shards SET state = $2, leased_until = $3 WHERE run_id = $1', [
        run.id,
        state,
        until,
      ]);
    const { rows } = await client.query<Held>('SELECT state, leased_until FROM billing_run_shards WHERE run_id = $1', [
      run.id,
    ]);
    expect(rows).toHaveLength(1);
    await hold({ state: 'rated', leased_until: 'infinity' });
    expect((await api('POST', '/v1/price-overrides', body)).body).toMatchObject({
      status: 409,
      error_code: 'PRICE_OVERRIDE_BILLED',
    });
    await hold(rows[0] as Held);
    await client.end();
    expect((await api('POST', '/v1/price-overrides', body)).status).toBe(201);
  });

  it('a version of the plan that a standing price does not fit', async () => {
    const plan = await makePlan();
    const price = graduated('1', '1', '1');
    await made('/v1/price-overrides', { plan: plan.code, charge: 'requests', price, effective_from: at(middle) });
    const charges = [
      { code: 'requests', name: 'Requests', meter: 'requests', price: { model: 'per_unit', unit_amount: '1' } },
    ];
    const answer = await api('PATCH', `/v1/plans/${plan.code}`, { charges });
    expect(answer.status).toBe(422);
    expect(answer.body.errors).toEqual([expect.objectContaining({ field: 'charges[0].price', code: 'not_allowed' })]);
  });
});

it('all of it is rated again the same, from the rows that the lines name', async () => {
  await verified();
});
