/** Prices in several currencies, from the plan to the invoice: one customer pays in dollars, the other in euros. */

import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { llmRequest } from '../support/llm-pro.ts';
import { lastMonth, type Pipeline, until } from '../support/pipeline.ts';
import { sharedPipeline } from '../support/shared-pipeline.ts';
import { unique } from '../support/tenants.ts';
import { verify } from '../support/verify-command.ts';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
  await made('/v1/meters', { code: 'requests', name: 'Requests', event: 'llm.request', aggregation: 'count' });
});
afterAll(() => pipeline?.stop());

const month = lastMonth();
const api: Pipeline['api'] = (...args) => pipeline.api(...args);
const made = async (path: string, body: unknown) => {
  const answer = await api('POST', path, body);
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  return answer.body;
};

const flat = (amount: string) => ({ model: 'flat', amount });
const tiers = (bound: string, ...amounts: [string, string]) => ({
  model: 'graduated',
  tiers: [
    { up_to: bound, unit_amount: amounts[0] },
    { up_to: null, unit_amount: amounts[1] },
  ],
});
const planOf = () => ({
  code: `p-${unique()}`,
  name: 'A plan',
  currency: 'USD',
  charges: [
    {
      code: 'base',
      name: 'Base fee',
      price: flat('10.00'),
      currency_options: { EUR: flat('9.00'), JPY: flat('1500') },
    },
    {
      code: 'requests',
      name: 'Requests',
      meter: 'requests',
      price: tiers('2', '1.00', '0.50'),
      currency_options: { EUR: tiers('1', '0.90', '0.45'), JPY: tiers('2', '150', '75') },
    },
  ],
});

it('a subscription is rated and invoiced by the prices in its currency, beside one in another', async () => {
  const plan = await made('/v1/plans', planOf());
  const subscribers: { customer: string; subscription: string; currency: string }[] = [];
  for (const currency of ['USD', 'EUR', 'JPY']) {
    const customer = `${currency}-${unique()}`;
    await made('/v1/customers', { external_id: customer, name: customer });
    const started_at = new Date(month.start).toISOString();
    // The plan's own currency is what is taken where none is said.
    const said = currency === 'USD' ? {} : { currency };
    const body = await made('/v1/subscriptions', { customer_id: customer, plan: plan.code, started_at, ...said });
    expect(body).toMatchObject({ currency, plan_version_id: plan.plan_version_id });
    subscribers.push({ customer, subscription: body.id, currency });
    const events = [1, 2, 3].map((index) =>
      llmRequest(`${customer}-${index}`, customer, month.end - 1000 * index, { input: 1, output: 1 }),
    );
    expect((await pipeline.sendEvents(events)).body.accepted).toBe(3);
  }
  // What is left of a tier is that of the price which is charged.
  const span = `from=${new Date(month.start).toISOString()}&to=${new Date(month.end).toISOString()}`;
  for (const [index, bounds] of [
    ['2', null],
    ['1', null],
    ['2', null],
  ].entries()) {
    const { body } = await until(
      () => api('GET', `/v1/subscriptions/${subscribers[index]?.subscription}/usage?${span}`),
      ({ body: { items } }) => items[0].quantity === '3',
    );
    expect(body.items[0].tiers.map(({ up_to }: { up_to: string | null }) => up_to)).toEqual(bounds);
  }
  // Other prices meanwhile are those of new subscriptions.
  const { charges } = planOf();
  const dearer = charges.map((charge) => (charge.code === 'base' ? { ...charge, price: flat('99.00') } : charge));
  expect((await api('PATCH', `/v1/plans/${plan.code}`, { charges: dearer })).body.version_number).toBe(2);
  expect((await pipeline.closePeriod({ period: month.name })).body).toMatchObject({
    state: 'completed',
    invoices_issued: 3,
  });
  const invoices = await Promise.all(
    subscribers.map(async ({ customer }) => {
      const { items } = (await api('GET', `/v1/customers/${customer}/invoices`)).body;
      expect(items).toHaveLength(1);
      const { body } = await api('GET', `/v1/invoices/${items[0].id}`);
      const amounts = body.lines.map(({ amount }: { amount: string }) => amount);
      return [body.currency, amounts, body.total];
    }),
  );
  expect(invoices).toEqual([
    ['USD', ['10.00', '2.50'], '12.50'],
    ['EUR', ['9.00', '1.80'], '10.80'],
    ['JPY', ['1500', '375'], '1875'],
  ]);
  expect((await verify(pipeline.databaseUrl)).faults).toEqual([]);
  // Rated again from what is stored, each by the prices in its currency.
  const store = { CLICKHOUSE_URL: pipeline.clickhouseUrl };
  expect(await verify(pipeline.databaseUrl, [], 'rater/verify/rating.main.ts', store)).toMatchObject({
    code: 0,
    faults: [],
  });
  const { items } = (await api('GET', `/v1/customers/${subscribers[1]?.customer}/invoices`)).body;
  const explained = await api('GET', `/v1/invoices/${items[0].id}/line-items/1/explain`);
  expect(explained.body.input).toMatchObject({ currency: 'EUR', charge: { price: flat('9') } });
  expect(explained.body.input.charge).not.toHaveProperty('currency_options');
});

it('a subscription in a currency without prices is refused by name, and nothing is made', async () => {
  const plan = await made('/v1/plans', planOf());
  const customer = await made('/v1/customers', { external_id: `c-${unique()}`, name: 'C' });
  const ask = (currency: string) =>
    api('POST', '/v1/subscriptions', { customer_id: customer.id, plan: plan.id, currency });
  expect(await ask('GBP')).toMatchObject({
    status: 422,
    body: {
      error_code: 'VALIDATION_FAILED',
      errors: [{ field: 'currency', code: 'not_priced', message: expect.stringContaining('USD, EUR, JPY') }],
    },
  });
  expect(await ask('XXX')).toMatchObject({ status: 422, body: { errors: [{ field: 'currency' }] } });
  expect((await api('GET', `/v1/subscriptions?customer_id=${customer.id}`)).body.items).toEqual([]);
});

it('is that of the customer, where it has one, and no other; another one is that of subscriptions to come', async () => {
  const plan = await made('/v1/plans', planOf());
  const other = await made('/v1/plans', planOf());
  const customer = await made('/v1/customers', { external_id: `c-${unique()}`, name: 'C', currency: 'EUR' });
  const ask = (of: { id: string }, more = {}) =>
    api('POST', '/v1/subscriptions', { customer_id: customer.id, plan: of.id, ...more });
  expect(await ask(plan, { currency: 'USD' })).toMatchObject({
    status: 422,
    body: { errors: [{ field: 'currency', code: 'not_allowed', message: expect.stringContaining('EUR') }] },
  });
  const subscribed = await ask(plan);
  expect(subscribed).toMatchObject({ status: 201, body: { currency: 'EUR' } });
  const pays = async (currency: string | null) =>
    expect((await api('PATCH', `/v1/customers/${customer.id}`, { currency })).body).toMatchObject({
      currency,
      name: 'C',
    });
  await pays('GBP');
  expect(await ask(other)).toMatchObject({
    status: 422,
    body: {
      errors: [{ field: 'currency', code: 'not_priced', message: expect.stringContaining('GBP, which the customer') }],
    },
  });
  await pays(null);
  expect(await ask(other)).toMatchObject({ status: 201, body: { currency: 'USD' } });
  expect((await api('GET', `/v1/subscriptions/${subscribed.body.id}`)).body.currency).toBe('EUR');
});

it('currencies come and go with versions, all charges have the same, and answers always have the field', async () => {
  const plan = await made('/v1/plans', planOf());
  const [base, requests] = planOf().charges;
  const { currency_options: _, ...inOne } = base as typeof base & object;
  expect(await api('PATCH', `/v1/plans/${plan.id}`, { charges: [inOne, requests] })).toMatchObject({
    status: 422,
    body: {
      errors: [
        { field: 'charges[0].currency_options.EUR', code: 'missing' },
        { field: 'charges[0].currency_options.JPY', code: 'missing' },
      ],
    },
  });
  expect(await api('PATCH', `/v1/plans/${plan.id}`, { currency: 'EUR' })).toMatchObject({
    status: 422,
    body: { errors: [{ field: 'charges[0].currency_options.EUR' }, { field: 'charges[1].currency_options.EUR' }] },
  });
  const changed = await api('PATCH', `/v1/plans/${plan.id}`, { charges: [inOne] });
  expect(changed.body.charges).toMatchObject([{ ...inOne, meter: null, price: flat('10'), currency_options: {} }]);
});

it('what holds over all charges has a line of its own, in the currency of the subscription', async () => {
  const bound = (amount: string, euros: string, yen: string) => ({
    amount,
    currency_options: { EUR: euros, JPY: yen },
  });
  const plan = await made('/v1/plans', {
    ...planOf(),
    minimum_commitment: { ...bound('12.00', '9.00', '1000'), name: 'What is agreed' },
    spend_cap: bound('50.00', '9.00', '1400'),
  });
  const lines: unknown[] = [];
  for (const currency of ['USD', 'EUR', 'JPY']) {
    const customer = `${currency}-${unique()}`;
    await made('/v1/customers', { external_id: customer, name: customer });
    const started_at = new Date(month.start).toISOString();
    await made('/v1/subscriptions', { customer_id: customer, plan: plan.code, started_at, currency });
    const run = await pipeline.closePeriod({ period: month.name, customer_id: customer });
    expect(run.body).toMatchObject({ state: 'completed', invoices_issued: 1 });
    const { items } = (await api('GET', `/v1/customers/${customer}/invoices`)).body;
    const { body } = await api('GET', `/v1/invoices/${items[0].id}`);
    lines.push([
      body.total,
      ...body.lines.map((line: Record<string, unknown>) => [line.charge_code, line.description, line.amount]),
    ]);
    if (body.lines.length < 3) continue;
    const explained = (await api('GET', `/v1/invoices/${items[0].id}/line-items/3/explain`)).body;
    expect(explained).toMatchObject({ hashes: { is_as_rated: true }, tiers: [], query: null, events: null });
    expect(explained.input).toMatchObject({ charged: body.lines[0].amount, measured: [] });
  }
  expect(lines).toEqual([
    [
      '12.00',
      ['base', 'Base fee', '10.00'],
      ['requests', 'Requests', '0.00'],
      ['minimum_commitment', 'What is agreed', '2.00'],
    ],
    // Neither less nor more than what is charged.
    ['9.00', ['base', 'Base fee', '9.00'], ['requests', 'Requests', '0.00']],
    ['1400', ['base', 'Base fee', '1500'], ['requests', 'Requests', '0'], ['spend_cap', 'Spend cap', '-100']],
  ]);
  const store = { CLICKHOUSE_URL: pipeline.clickhouseUrl };
  expect(await verify(pipeline.databaseUrl, [], 'rater/verify/rating.main.ts', store)).toMatchObject({ faults: [] });
  expect((await verify(pipeline.databaseUrl)).faults).toEqual([]);
});
