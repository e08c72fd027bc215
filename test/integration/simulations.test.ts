/** Simulations on the real servers, held against real billing runs: what other plans would have charged. */

import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { llmProMeters, llmProPlan, llmRequest } from '../support/llm-pro.ts';
import { parts } from '../support/parts.ts';
import { lastMonth, type Pipeline, startPipeline } from '../support/pipeline.ts';
import { addTenant, unique } from '../support/tenants.ts';
import { verify } from '../support/verify-command.ts';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await startPipeline(
    inject('serverUrls'),
    {
      MILLRACE_RATER_SHARD_SIZE: '2',
      MILLRACE_RATER_WORKERS: '2',
    },
    { services: parts.billedUsage },
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

const simulate = async (body: object) => {
  const asked = await api('POST', '/v1/simulations', { ...span, ...body });
  expect(asked.status, JSON.stringify(asked.body)).toBe(202);
  expect(asked.headers.get('location')).toBe(`/v1/simulations/${asked.body.id}`);
  const ended = await api('GET', `${asked.headers.get('location')}?wait_seconds=25`);
  expect(ended.body, JSON.stringify(ended.body)).toMatchObject({ state: 'completed', failure: null });
  return ended.body;
};

/** Of a result that no billing period is at fault for. */
const rated = { failed_period: null, cause: null, message: null };

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

  it('rates a month that was cut and billed as it was billed, and says the same again', async () => {
    const usage = [{ input: 90_000, output: 10 }];
    const { customer, id } = await subscriber('llm-pro', usage);
    const asked = { customers: { ids: [id] }, candidates: [inline('Flat', flat('1.00'))] };
    const before = await simulate(asked);
    expect((await pipeline.closePeriod({ period: month.name, customer_id: customer })).body.state).toBe('completed');
    const after = await simulate(asked);
    const billed = (await totals([customer]))[customer]?.[0];
    expect(after.summary.baseline.revenue).toMatchObject([{ currency: 'USD', amount: billed }]);
    expect(after.summary).toEqual(before.summary);
  });

  it('has a billing period for each month, and of each what the subscription covers', async () => {
    const earlier = new Date(
      Temporal.Instant.fromEpochMilliseconds(month.start).toZonedDateTimeISO('UTC').subtract({ months: 2 })
        .epochMilliseconds,
    );
    const { id } = await subscriber('llm-pro', [{ input: 200_000, output: 0 }], {
      started_at: new Date(earlier.getTime() + 20 * 86_400_000).toISOString(),
    });
    const days = Temporal.Instant.fromEpochMilliseconds(earlier.getTime()).toZonedDateTimeISO('UTC').daysInMonth;
    const ofFirst = (whole: number) => whole - Math.round((whole * 100 * 20) / days) / 100;
    const [was, flatly] = [ofFirst(20) + 40.3, ofFirst(2) + 4];
    const body = await simulate({
      from: earlier.toISOString(),
      customers: { ids: [id] },
      candidates: [inline('Two a month', flat('2.00')), { plan: 'llm-pro', version: 1 }],
    });
    const { items } = (await api('GET', `/v1/simulations/${body.id}/results`)).body;
    expect(
      items.map(({ baseline, amount, difference, percent }: Record<string, string>) => [
        baseline,
        amount,
        difference,
        percent,
      ]),
    ).toEqual([
      // 20.00 and 2.00 for two months and what is left of the one before, and 100,000 tokens at 0.000003.
      [was.toFixed(2), flatly.toFixed(2), (flatly - was).toFixed(2), expect.stringMatching(/^-90\.0/)],
      [was.toFixed(2), was.toFixed(2), '0.00', '0.0000'],
    ]);
  });

  it('bills overrides, least and most as billing does, of the subscription and of a candidate', async () => {
    const code = `held-${unique()}`;
    const price = { model: 'per_unit', unit_amount: '0.001' };
    const general = { minimum_commitment: { amount: '30.00' }, spend_cap: { amount: '90.00' } };
    await made('/v1/plans', { code, name: 'Held', currency: 'USD', charges: [tokens(price)], ...general });
    const events = [{ input: 10_000, output: 0 }];
    const [under, over] = [await subscriber(code, events), await subscriber(code, [{ input: 100_000, output: 0 }])];
    const own = await subscriber(code, events);
    const middle = new Date(month.start + 10 * 86_400_000).toISOString();
    await made('/v1/price-overrides', {
      plan: code,
      charge: 'input',
      customer_id: own.customer,
      price: { model: 'per_unit', unit_amount: '0.004' },
      effective_from: middle,
    });
    const customers = [under, over, own];
    const elsewhere = await subscriber('llm-pro', events);
    const body = await simulate({
      customers: { ids: [...customers, elsewhere].map(({ id }) => id) },
      candidates: [{ plan: code }, { ...inline('Less', tokens(price)), minimum_commitment: { amount: '12.00' } }],
    });
    const { items } = (await api('GET', `/v1/simulations/${body.id}/results`)).body;
    const of = ({ id }: { id: string }) =>
      items
        .filter((item: { customer_id: string }) => item.customer_id === id)
        .map(({ baseline, amount }: { baseline: string; amount: string }) => [baseline, amount]);
    // 10.00, brought to 30.00; 100.00, brought to 90.00; 40.00 by the price of its own. No plan has the second one.
    expect(of(under)).toEqual([
      ['30.00', '30.00'],
      ['30.00', '12.00'],
    ]);
    expect(of(over)).toEqual([
      ['90.00', '90.00'],
      ['90.00', '100.00'],
    ]);
    expect(of(own)).toEqual([
      ['40.00', '40.00'],
      ['40.00', '12.00'],
    ]);
    expect(of(elsewhere)).toEqual([
      ['20.00', '30.00'],
      ['20.00', '12.00'],
    ]);
    expect((await pipeline.closePeriod({ period: month.name })).body.state).toBe('completed');
    const billed = await totals(customers.map(({ customer }) => customer));
    expect(Object.values(billed)).toEqual([['30.00'], ['90.00'], ['40.00']]);
  });

  it('lists who pays in a currency without a price as a failure, and rates all others', async () => {
    const code = `two-${unique()}`;
    const price = { model: 'flat', amount: '10.00' };
    await made('/v1/plans', {
      code,
      name: 'Two',
      currency: 'USD',
      charges: [{ code: 'base', name: 'Base', price, currency_options: { EUR: { model: 'flat', amount: '9.00' } } }],
    });
    const dollars = await subscriber(code, []);
    const euros = await subscriber(code, [], { currency: 'EUR' });
    const body = await simulate({
      customers: { plan: code },
      candidates: [inline('Dollars', flat('11.00')), { plan: code }],
    });
    expect(body.customers).toEqual({ by: 'plan', ids: null, plan_code: code });
    expect(body.summary.baseline.revenue).toEqual([
      { currency: 'EUR', amount: '9.00', customers: { counted: 1, failed: 0 } },
      { currency: 'USD', amount: '10.00', customers: { counted: 1, failed: 0 } },
    ]);
    expect(body.summary.candidates[0].failures).toEqual([
      { customer_id: euros.id, external_id: euros.customer, currency: 'EUR', code: 'candidate_not_priced', ...rated },
    ]);
    expect(body.summary.candidates[0].currencies).toMatchObject([
      { currency: 'EUR', customers: { compared: 0, failed: 1 }, distribution: null, histogram: [] },
      {
        currency: 'USD',
        customers: { compared: 1, up: 1, failed: 0 },
        revenue: { difference: '1.00', percent: '10.0000' },
      },
    ]);
    expect(body.summary.candidates[1].failures).toEqual([]);
    const failed = await api('GET', `/v1/simulations/${body.id}/results?outcome=failed`);
    expect(failed.body.items).toEqual([
      {
        customer_id: euros.id,
        external_id: euros.customer,
        candidate: 1,
        currency: 'EUR',
        baseline: '9.00',
        amount: null,
        difference: null,
        percent: null,
        failure: 'candidate_not_priced',
        ...rated,
      },
    ]);
    const other = await simulate({
      customers: { ids: [euros.id, dollars.id] },
      baseline: { plan: 'llm-pro' },
      candidates: [{ plan: code }],
    });
    expect(other.summary.candidates[0].failures).toEqual([
      { customer_id: euros.id, external_id: euros.customer, currency: 'EUR', code: 'baseline_not_priced', ...rated },
    ]);
    expect(other.summary.candidates[0].currencies[1].revenue).toMatchObject({ baseline: '20.00', amount: '10.00' });
  });

  it('lists a period of a customer that can not be rated, says how many are left out, and rates all others', async () => {
    const code = `damaged-${unique()}`;
    await made('/v1/plans', { code, name: 'D', currency: 'USD', charges: [flat('10.00')] });
    const [fine, damaged] = [await subscriber(code, []), await subscriber(code, [])];
    const { id: overrideId } = await made('/v1/price-overrides', {
      plan: code,
      charge: 'base',
      customer_id: damaged.customer,
      price: { model: 'flat', amount: '8.00' },
      effective_from: span.from,
    });
    // Past the rule that prices stay.
    const setPrice = (price: object) =>
      pipeline.asOwner.transaction(async ({ query }) => {
        await query("SET LOCAL session_replication_role = 'replica'");
        await query('UPDATE price_overrides SET price = $2 WHERE id = $1', [overrideId, JSON.stringify(price)]);
      });
    await setPrice({ model: 'none' });
    const candidates = [{ plan: code }, inline('Eleven', flat('11.00'))];
    const body = await simulate({ customers: { plan: code }, candidates });
    const failed = {
      failed_period: { start: new Date(month.start).toISOString(), end: new Date(month.end).toISOString() },
      cause: 'catalog_unreadable',
      message: expect.stringContaining(overrideId),
    };
    const of = async ({ id }: { id: string }) =>
      (await api('GET', `/v1/simulations/${body.id}/results?customer_id=${id}`)).body.items;
    const whole = { baseline: '10.00', failure: null, ...rated };
    expect(await of(fine)).toMatchObject([
      { ...whole, amount: '10.00' },
      { ...whole, amount: '11.00' },
    ]);
    expect(await of(damaged)).toMatchObject([
      { baseline: null, amount: null, failure: 'candidate_not_rated', ...failed },
      { baseline: null, amount: '11.00', failure: 'baseline_not_rated', ...failed },
    ]);
    expect(body.summary.baseline.revenue[0]).toMatchObject({ amount: '10.00', customers: { counted: 1, failed: 1 } });
    for (const [index, failure] of ['candidate_not_rated', 'baseline_not_rated'].entries()) {
      expect(body.summary.candidates[index].failures).toMatchObject([
        { customer_id: damaged.id, currency: 'USD', code: failure, ...failed },
      ]);
      expect(body.summary.candidates[index].currencies[0].customers).toMatchObject({ compared: 1, failed: 1 });
    }
    const csv = (await api('GET', `/v1/simulations/${body.id}/results.csv`)).body;
    expect(csv).toContain(`,2,Eleven,USD,,11.00,,,baseline_not_rated,${failed.failed_period.start},`);
    await setPrice({ model: 'flat', amount: '8.00' });
  });

  it('charges nobody by periods of another length, and tells who has them', async () => {
    const every = (unit: string, count: number) => ({ ...flat('12.00'), billing_interval: { unit, count } });
    const code = `daily-${unique()}`;
    await made('/v1/plans', { code, name: 'Daily', currency: 'USD', charges: [every('day', 1)] });
    const { id, customer } = await subscriber('llm-pro', []);
    const body = await simulate({
      customers: { ids: [id] },
      candidates: [inline('Yearly', every('year', 1)), { plan: code }, inline('Monthly', flat('12.00'))],
    });
    const failure = {
      customer_id: id,
      external_id: customer,
      currency: 'USD',
      code: 'candidate_other_interval',
      ...rated,
    };
    expect(body.summary.candidates.map(({ failures }: { failures: unknown }) => failures)).toEqual([
      [failure],
      [failure],
      [],
    ]);
    expect(body.summary.baseline.revenue).toMatchObject([{ currency: 'USD', amount: '20.00' }]);
    expect(body.summary.candidates[2].currencies[0].revenue).toMatchObject({ amount: '12.00' });
    // With a subscription by the day beside it, a part of what the customer is charged can't be compared.
    await made('/v1/subscriptions', { customer_id: customer, plan: code, started_at: span.from });
    const both = await simulate({ customers: { ids: [id] }, baseline: { plan: code }, candidates: [{ plan: code }] });
    expect(both.summary.baseline.revenue).toMatchObject([{ currency: 'USD', amount: '0.00' }]);
    expect(both.summary.candidates[0].failures).toEqual([failure]);
    const daily = await simulate({
      customers: { plan: code },
      baseline: { plan: 'llm-pro' },
      candidates: [inline('Also daily', every('day', 1))],
    });
    expect(daily.summary.candidates[0].failures).toEqual([{ ...failure, code: 'baseline_other_interval' }]);
  });

  it('of nobody, and of customers without usage, comes to an end', async () => {
    const { id } = await made('/v1/customers', { external_id: `c-${unique()}`, name: 'C' });
    const nobody = await simulate({ customers: { ids: [id] }, candidates: [{ plan: 'llm-pro' }] });
    expect(nobody).toMatchObject({
      progress: { done: 0, total: 0, share: 1, remaining_seconds: 0 },
      summary: { baseline: { revenue: [] }, candidates: [{ candidate: 1, currencies: [], failures: [] }] },
    });
    const { id: idle } = await subscriber('llm-pro', []);
    const body = await simulate({
      customers: { ids: [idle] },
      candidates: [inline('By use', tokens({ model: 'per_unit', unit_amount: '1' }))],
    });
    expect(body.summary.candidates[0].currencies[0].revenue).toEqual({
      baseline: '20.00',
      amount: '0.00',
      difference: '-20.00',
      percent: '-100.0000',
    });
  });

  it('rates a draft by the meters of now, and keeps its terms whatever becomes of the draft', async () => {
    const { id } = await subscriber('llm-pro', [{ input: 10, output: 0 }]);
    const code = `draft-${unique()}`;
    await made('/v1/plans', {
      code,
      name: 'Draft',
      currency: 'USD',
      draft: true,
      charges: [tokens({ model: 'per_unit', unit_amount: '0.5' })],
    });
    expect(
      await api('POST', '/v1/simulations', { ...span, customers: { ids: [id] }, candidates: [{ plan: code }] }),
    ).toMatchObject({
      status: 422,
      body: { errors: [{ field: 'candidates[0].plan', code: 'not_active' }] },
    });
    const body = await simulate({ customers: { ids: [id] }, candidates: [{ plan: code, version: 1 }] });
    expect(body.summary.candidates[0].currencies[0].revenue.amount).toBe('5.00');
    const changed = { charges: [tokens({ model: 'per_unit', unit_amount: '0.7' })] };
    expect((await api('PATCH', `/v1/plans/${code}/versions/1`, changed)).status).toBe(200);
    const again = (await api('GET', `/v1/simulations/${body.id}`)).body;
    expect(again.candidates[0]).toMatchObject({
      plan_code: code,
      version_number: 1,
      charges: [{ price: { unit_amount: '0.5' } }],
    });
  });

  it('refuses every fault at its place, and what is of another organization like what is not there', async () => {
    const other = await addTenant(pipeline);
    const foreign = await other.api('POST', '/v1/customers', { external_id: `foreign-${unique()}`, name: 'F' });
    await made('/v1/meters', {
      code: 'by_model',
      name: 'M',
      event: 'llm.request',
      aggregation: 'count',
      group_by: ['model'],
    });
    const matrix = (dimension: string) => ({
      model: 'matrix',
      dimensions: [dimension],
      cells: [{ match: { [dimension]: 'a' }, price: { model: 'per_unit', unit_amount: '1' } }],
      default_price: { model: 'per_unit', unit_amount: '2' },
    });
    const answer = await api('POST', '/v1/simulations', {
      ...span,
      customers: { ids: [foreign.body.id, foreign.body.external_id] },
      candidates: [
        { plan: 'nothing' },
        { plan: 'llm-pro', version: 99 },
        inline('A', tokens({ model: 'per_unit', unit_amount: '1' }, { meter: 'nothing' })),
        inline('B', flat('1.00'), tokens(matrix('region'), { meter: 'by_model' })),
        inline('C', tokens(matrix('model'), { meter: 'by_model' })),
      ],
    });
    expect(answer.status).toBe(422);
    expect(answer.body.errors.map(({ field, code }: Record<string, string>) => [field, code])).toEqual([
      ['customers.ids[0]', 'not_found'],
      ['customers.ids[1]', 'not_found'],
      ['candidates[0].plan', 'not_found'],
      ['candidates[1].version', 'not_found'],
      ['candidates[2].charges[0].meter', 'not_found'],
      ['candidates[3].charges[1].price.dimensions[0]', 'not_allowed'],
    ]);
    const broken = await api('POST', '/v1/simulations', {
      ...span,
      customers: { all: true },
      candidates: [{ plan: 'llm-pro' }, inline('X', tokens({ model: 'per_unit', unit_amount: 1 }))],
    });
    expect(broken.body.errors).toMatchObject([
      { field: 'candidates[1].charges[0].price.unit_amount', code: 'wrong_type' },
    ]);
    expect(await other.api('GET', '/v1/simulations')).toMatchObject({ body: { items: [] } });
  });

  it('exports what it lists, and no text of a caller as a formula', async () => {
    const customer = `=cmd|"${unique()}",x`;
    const { id } = await made('/v1/customers', { external_id: customer, name: 'C' });
    await made('/v1/subscriptions', { customer_id: customer, plan: 'llm-pro', started_at: span.from });
    const body = await simulate({ customers: { ids: [customer] }, candidates: [inline('@sum', flat('1.00'))] });
    const answer = await api('GET', `/v1/simulations/${body.id}/results.csv`);
    expect([answer.status, answer.headers.get('content-type')]).toEqual([200, 'text/csv; charset=utf-8']);
    expect(answer.body).toBe(
      `customer_id,external_id,candidate,name,currency,baseline,amount,difference,percent,failure,failed_start,failed_end,cause,message\r\n${id},"'${customer.replaceAll('"', '""')}",1,'@sum,USD,20.00,1.00,-19.00,-95.0000,,,,,\r\n`,
    );
  });

  it('is cancelled by DELETE, whenever, and its results are gone', async () => {
    const body = await simulate({ customers: { all: true }, candidates: [{ plan: 'llm-pro' }] });
    const path = `/v1/simulations/${body.id}`;
    expect((await api('GET', `${path}/results`)).body.pagination.total).toBeGreaterThan(0);
    for (const version of [3, 4])
      expect(await api('DELETE', path)).toMatchObject({
        status: 200,
        body: { state: 'cancelled', summary: null, version },
      });
    for (const results of ['results', 'results.csv'])
      expect(await api('GET', `${path}/${results}`)).toMatchObject({
        status: 409,
        body: { error_code: 'SIMULATION_NOT_COMPLETED' },
      });
    const { rows } = await pipeline.asOwner.query(
      'SELECT count(*) AS n FROM simulation_results WHERE simulation_id = $1',
      [body.id],
    );
    expect(rows).toEqual([{ n: 0n }]);
    const { faults } = await verify(pipeline.databaseUrl);
    expect(faults.filter((fault) => fault.includes('simulation'))).toEqual([]);
  });
});
