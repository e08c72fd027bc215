/** Simulations on the real servers, held against real billing runs: what other plans would have charged. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { llmProMeters, llmProPlan, llmRequest } from '../support/llm-pro.ts';
import { lastMonth, type Pipeline, startPipeline } from '../support/pipeline.ts';
import { addTenant, unique } from '../support/tenants.ts';
import { verify } from '../support/verify-command.ts';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'), { MILLRACE_RATER_SHARD_SIZE: '2' });
  for (const meter of llmProMeters) await made('/v1/meters', meter);
});
afterAll(() => pipeline?.stop());

const month = lastMonth();
const span = { from: new Date(month.start).toISOString(), to: new Date(month.end).toISOString() };
const api: Pipeline['api'] = (...args) => pipeline.api(...args);
const made = async (path: string, body: unknown) => {
  const answer = await api('POST', path, body);
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  return answer.body;
};

const simulate = async (body: object) => {
  const asked = await api('POST', '/v1/simulations', { ...span, ...body });
  expect(asked.status, JSON.stringify(asked.body)).toBe(202);
  expect(asked.headers.get('location')).toBe(`/v1/simulations/${asked.body.id}`);
  const ended = await api('GET', `${asked.headers.get('location')}?wait_seconds=25`);
  expect(ended.body, JSON.stringify(ended.body)).toMatchObject({ state: 'completed', failure: null });
  return ended.body;
};

const flat = (amount: string) => ({ code: 'base', name: 'Base fee', price: { model: 'flat', amount } });
const tokens = (price: object, more = {}) => ({ code: 'input', name: 'Tokens', meter: 'input_tokens', price, ...more });
const inline = (name: string, ...charges: object[]) => ({ name, currency: 'USD', charges });

/** A customer with a subscription since the month began and some usage in it. */
const subscriber = async (plan: string, events: readonly { input: number; output: number }[], more: object = {}) => {
  const customer = `c-${unique()}`;
  const { id } = await made('/v1/customers', { external_id: customer, name: 'C' });
  await made('/v1/subscriptions', { customer_id: customer, plan, started_at: span.from, ...more });
  if (events.length > 0)
    await pipeline.sendEvents(
      events.map((event, index) => llmRequest(`${customer}-${index}`, customer, month.end - 1000 * (index + 1), event)),
    );
  return { customer, id };
};

/** Totals of the invoices of customers, by customer. */
const totals = async (customers: readonly string[]) =>
  Object.fromEntries(
    await Promise.all(
      customers.map(async (customer) => {
        const { items } = (await api('GET', `/v1/customers/${customer}/invoices`)).body;
        return [customer, items.map(({ total }: { total: string }) => total)] as const;
      }),
    ),
  );

describe('a simulation', () => {
  it('bills what billing bills, to the last digit: the baseline as it is, a candidate as if it were subscribed to', async () => {
    await made('/v1/plans', llmProPlan);
    const code = `cheap-${unique()}`;
    const price = {
      model: 'graduated',
      tiers: [
        { up_to: '1000', unit_amount: '0.0017' },
        { up_to: null, unit_amount: '0.00033' },
      ],
    };
    const charges = [flat('7.77'), tokens(price)];
    await made('/v1/plans', { code, name: 'Cheap', currency: 'USD', charges });
    const usage = [
      [{ input: 150_000, output: 1_234 }],
      [],
      [
        { input: 333, output: 7 },
        { input: 100_001, output: 55_555 },
      ],
    ];
    const current = [];
    for (const events of usage) current.push(await subscriber('llm-pro', events));
    const others = [];
    for (const events of usage) others.push(await subscriber(code, events));
    const body = await simulate({
      customers: { ids: current.map(({ customer }) => customer) },
      candidates: [{ plan: code }, inline('The same', ...charges)],
    });
    const results = (await api('GET', `/v1/simulations/${body.id}/results`)).body.items;
    expect(results).toHaveLength(6);
    // Simulating wrote nothing of billing.
    const counted = await pipeline.asOwner.query(
      'SELECT (SELECT count(*) FROM billing_periods) + (SELECT count(*) FROM rated_lines) AS n',
    );
    expect(counted.rows).toEqual([{ n: 0n }]);
    expect((await pipeline.closePeriod({ period: month.name })).body.state).toBe('completed');
    const billed = await totals(current.map(({ customer }) => customer));
    const asIf = await totals(others.map(({ customer }) => customer));
    for (const [index, { customer, id }] of current.entries()) {
      const other = asIf[others[index]?.customer ?? ''];
      for (const candidate of [1, 2])
        expect(results).toContainEqual(
          expect.objectContaining({
            customer_id: id,
            external_id: customer,
            candidate,
            currency: 'USD',
            baseline: billed[customer]?.[0],
            amount: other?.[0],
            failure: null,
          }),
        );
    }
    expect((await verify(pipeline.databaseUrl)).faults).toEqual([]);
  });
});
