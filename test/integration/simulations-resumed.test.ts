/** Simulations under way: how many, and that another rater goes on with them, whatever came meanwhile. */

import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { llmProMeters, llmProPlan, llmRequest } from '../support/llm-pro.ts';
import { parts } from '../support/parts.ts';
import { lastMonth, type Pipeline, startPipeline, until } from '../support/pipeline.ts';
import { shortLeases } from '../support/quick.ts';
import { unique } from '../support/tenants.ts';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await startPipeline(
    inject('serverUrls'),
    {
      MILLRACE_RATER_SHARD_SIZE: '2',
      MILLRACE_RATER_WORKERS: '2',
      MILLRACE_JOB_LEASE_SECONDS: '5',
      ...shortLeases,
    },
    { services: parts.ratedUsage },
  );
  for (const meter of llmProMeters) await made('/v1/meters', meter);
  await made('/v1/plans', llmProPlan);
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
const ended = (id: string) =>
  until(
    async () => (await api('GET', `/v1/simulations/${id}?wait_seconds=25`)).body,
    ({ state }) => state === 'completed',
    60_000,
  );
const simulate = async (body: object) => ended((await api('POST', '/v1/simulations', { ...span, ...body })).body.id);

const flat = (amount: string) => ({ code: 'base', name: 'Base fee', price: { model: 'flat', amount } });
const inline = (name: string, ...charges: object[]) => ({ name, currency: 'USD', charges });

/** A customer with a subscription since the month began and an event in it. */
const subscriber = async (usage: { input: number; output: number }, plan = 'llm-pro') => {
  const customer = `c-${unique()}`;
  const { id } = await made('/v1/customers', { external_id: customer, name: 'C' });
  await made('/v1/subscriptions', { customer_id: customer, plan, started_at: span.from });
  await pipeline.sendEvents([llmRequest(`${customer}-0`, customer, month.end - 1000, usage)]);
  return { customer, id };
};

describe('a simulation', () => {
  it('has the prices that were there when it was asked for, in each of its shards', async () => {
    const code = `book-${unique()}`;
    const book = `costs-${unique()}`;
    await made('/v1/cost-books', { code: book, name: 'B', currency: 'USD', dimensions: ['model'] });
    const cost = (unit: string) =>
      made(`/v1/cost-books/${book}/versions`, {
        effective_from: span.from,
        entries: [{ match: { model: 'other' }, unit_cost: '9' }],
        default_cost: unit,
      });
    await cost('0.01');
    await made('/v1/meters', {
      code: `by-${code}`,
      name: 'M',
      event: 'llm.request',
      aggregation: 'sum',
      property: 'input_tokens',
      group_by: ['model'],
    });
    const price = { model: 'cost_book', cost_book: book, dimensions: [{ dimension: 'model', property: 'model' }] };
    const bought = { code: 'bought', name: 'Bought', meter: `by-${code}`, price };
    await made('/v1/plans', { code, name: 'Book', currency: 'USD', charges: [flat('10.00'), bought] });
    const usage = { input: 100, output: 0 };
    const customers = [await subscriber(usage, code), await subscriber(usage, code), await subscriber(usage, code)];
    const asked = { customers: { plan: code }, candidates: [{ plan: code }] };
    const before = await simulate(asked);
    expect(before.summary.baseline.revenue).toMatchObject([{ amount: '33.00' }]);
    const last = (await api('GET', `/v1/simulations/${before.id}/results`)).body.items.at(-1);
    await made('/v1/price-overrides', {
      plan: code,
      charge: 'base',
      price: { model: 'flat', amount: '7.00' },
      effective_from: span.from,
    });
    await cost('0.02');
    // As if its last shard had not been rated yet.
    await pipeline.asOwner.transaction(async ({ query }) => {
      await query('DELETE FROM simulation_results WHERE simulation_id = $1 AND customer_id = $2', [
        before.id,
        last.customer_id,
      ]);
      await query(
        `INSERT INTO simulation_shards (organization_id, simulation_id, shard_number, first_customer, customer_ids,
           state)
         SELECT organization_id, id, 1, 2, ARRAY[$2], 'queued' FROM simulations WHERE id = $1`,
        [before.id, last.customer_id],
      );
      await query(
        `UPDATE simulations SET state = 'running', summary = NULL, ended_at = NULL, customers_done = 2
         WHERE id = $1`,
        [before.id],
      );
    });
    const resumed = await ended(before.id);
    expect(resumed.summary).toEqual(before.summary);
    expect((await api('GET', `/v1/simulations/${before.id}/results`)).body.items).toHaveLength(customers.length);
    expect((await simulate(asked)).summary.baseline.revenue).toMatchObject([{ amount: '27.00' }]);
  });

  it('is one of at most 25 under way', async () => {
    const { rows } = await pipeline.asOwner.query<{ id: string }>(
      'SELECT id FROM organizations WHERE sandbox_of IS NULL ORDER BY created_at LIMIT 1',
    );
    await pipeline.asOwner.query(
      `INSERT INTO simulations (id, organization_id, period_start, period_end, chosen, plans, state, version,
         created_at, updated_at, request_id, api_key_id)
       SELECT 'sim_waits_' || n, $1, '2026-01-01', '2026-02-01', '{"kind":"all"}',
         '{"baseline":null,"candidates":[]}', 'running', 1, now(), now(), 'x', 'x'
       FROM generate_series(1, 25) AS n`,
      [rows[0]?.id],
    );
    const asked = { ...span, customers: { all: true }, candidates: [{ plan: 'llm-pro' }] };
    expect(await api('POST', '/v1/simulations', asked)).toMatchObject({
      status: 409,
      body: { error_code: 'TOO_MANY_SIMULATIONS' },
    });
    await pipeline.asOwner.query("DELETE FROM simulations WHERE id LIKE 'sim_waits_%'");
    await simulate(asked);
  });

  it('goes on where a rater was killed, and has each sum once', async () => {
    const customers: string[] = [];
    for (let index = 0; index < 24; index += 1)
      customers.push((await subscriber({ input: 150_000, output: index })).id);
    const asked = { customers: { ids: customers }, candidates: [inline('Flat', flat('5.00')), { plan: 'llm-pro' }] };
    const undisturbed = await simulate(asked);
    const pidOf = () => pipeline.stack.processes.find(({ name }) => name === 'rater')?.pid ?? 0;
    const { id } = (await api('POST', '/v1/simulations', { ...span, ...asked })).body;
    for (let kill = 0; kill < 2; kill += 1) {
      const pid = await until(
        async () => pidOf(),
        (now) => now > 0,
      );
      process.kill(pid, 'SIGKILL');
      await until(
        async () => pidOf(),
        (now) => now > 0 && now !== pid,
      );
    }
    const { body } = await until(
      () => api('GET', `/v1/simulations/${id}?wait_seconds=25`),
      (answer) => answer.body.state === 'completed',
      60_000,
    );
    expect(body.summary).toEqual(undisturbed.summary);
    const { items } = (await api('GET', `/v1/simulations/${id}/results?limit=1000`)).body;
    expect(items).toHaveLength(48);
    expect(
      new Set(items.map(({ customer_id, candidate }: Record<string, unknown>) => `${customer_id} ${candidate}`)).size,
    ).toBe(48);
  });
});
