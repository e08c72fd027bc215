/** Meters and their versions: what a meter measures never changes under a plan that charges by it. */

import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { lastMonth, type Pipeline, until } from '../../support/pipeline.ts';
import { sharedPipeline } from '../../support/shared-pipeline.ts';
import { addTenant, unique } from '../../support/tenants.ts';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
});
afterAll(() => pipeline?.stop());

const api = (...parameters: Parameters<Pipeline['api']>) => pipeline.api(...parameters);
const tokens = () => ({
  code: `tokens-${unique()}`,
  name: 'Tokens',
  event: 'llm.request',
  aggregation: 'sum',
  property: 'tokens',
});
const made = async (body: object) => {
  const answer = await api('POST', '/v1/meters', body);
  expect(answer, JSON.stringify(answer.body)).toMatchObject({ status: 201 });
  return answer.body;
};
const planOf = (meter: string) => ({
  code: `plan-${unique()}`,
  name: 'Plan',
  currency: 'USD',
  charges: [{ code: 'tokens', name: 'Tokens', meter, price: { model: 'per_unit', unit_amount: '1' } }],
});

describe('a meter', () => {
  it('is made with everything that it can have, and read back the same', async () => {
    const definition = {
      event: 'llm.request',
      aggregation: 'percentile',
      property: null,
      expression: '(input_tokens + 4 * output_tokens) / 1000',
      filter: {
        and: [
          { property: 'model', operator: 'in', value: ['a', 'b'] },
          {
            or: [
              { property: 'region', operator: 'eq', value: 'eu' },
              { property: 'cached', operator: 'exists', value: false },
            ],
          },
        ],
      },
      group_by: ['model', 'request.path'],
      rounding: { mode: 'half_even', decimals: 2 },
      percentile: { rank: '99.9', method: 'linear' },
    };
    const meter = await made({ code: `all-${unique()}`, name: 'All', ...definition, metadata: { a: 'b' } });
    expect(meter).toMatchObject({ version_number: 1, version: 1, ...definition });
    expect((await api('GET', `/v1/meters/${meter.code}`)).body).toEqual({ ...meter, totals: expect.anything() });
    expect((await api('GET', '/v1/meters?event=llm.request')).body.items).toContainEqual(meter);
  });

  it('is refused with every fault at its place, of its names and of its definition', async () => {
    const body = {
      code: 'Not a code',
      name: '',
      event: 'e',
      aggregation: 'sum',
      property: 'a',
      expression: 'a +',
      filter: { and: [] },
      colour: 1,
    };
    const answer = await api('POST', '/v1/meters', body);
    expect(answer).toMatchObject({ status: 422, body: { error_code: 'VALIDATION_FAILED' } });
    const fields = answer.body.errors.map(({ field }: { field: string }) => field);
    expect(fields).toEqual(expect.arrayContaining(['code', 'name', 'expression', 'filter.and', 'colour']));
  });

  it('gets a new version by what changes its definition, and none by what does not', async () => {
    const meter = await made(tokens());
    const change = async (patch: object) => (await api('PATCH', `/v1/meters/${meter.id}`, patch)).body;
    expect(await change({ name: 'Renamed', property: 'tokens' })).toMatchObject({
      name: 'Renamed',
      version_number: 1,
      version: 2,
    });
    expect(await change({ filter: { property: 'model', operator: 'eq', value: 'a' } })).toMatchObject({
      version_number: 2,
      version: 3,
      property: 'tokens',
    });
    expect(await change({ filter: null, aggregation: 'count', property: null })).toMatchObject({
      version_number: 3,
      aggregation: 'count',
      filter: null,
      property: null,
    });
    const versions = await api('GET', `/v1/meters/${meter.id}/versions`);
    expect(
      versions.body.items.map((one: { version_number: number; aggregation: string }) => [
        one.version_number,
        one.aggregation,
      ]),
    ).toEqual([
      [3, 'count'],
      [2, 'sum'],
      [1, 'sum'],
    ]);
    expect((await api('GET', `/v1/meters/${meter.id}/versions?limit=1&sort=version_number`)).body.items).toMatchObject([
      { version_number: 1, filter: null },
    ]);
  });

  it('can not be changed into one that contradicts itself, and stays as it was', async () => {
    const meter = await made(tokens());
    const answer = await api('PATCH', `/v1/meters/${meter.id}`, { aggregation: 'count' });
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ field: 'property' }] } });
    expect((await api('PATCH', `/v1/meters/${meter.id}`, { code: 'another' })).status).toBe(422);
    expect((await api('GET', `/v1/meters/${meter.id}`)).body).toEqual({ ...meter, totals: expect.anything() });
  });

  it('ends where no plan charges by it, and its code is free again', async () => {
    const meter = await made(tokens());
    expect(await api('DELETE', `/v1/meters/${meter.id}`)).toMatchObject({ status: 204, body: '' });
    for (const path of [meter.id, meter.code, `${meter.id}/versions`, `${meter.id}/usage`])
      expect((await api('GET', `/v1/meters/${path}`)).status).toBe(404);
    expect((await api('DELETE', `/v1/meters/${meter.id}`)).status).toBe(404);
    expect((await api('POST', '/v1/plans', planOf(meter.code))).status).toBe(422);
    expect((await made({ ...tokens(), code: meter.code })).id).not.toBe(meter.id);
  });

  it('that a plan charges by can not end, in whichever version', async () => {
    const meter = await made(tokens());
    expect((await api('POST', '/v1/plans', planOf(meter.code))).status).toBe(201);
    await api('PATCH', `/v1/meters/${meter.id}`, { property: 'other' });
    expect(await api('DELETE', `/v1/meters/${meter.id}`)).toMatchObject({
      status: 409,
      body: { error_code: 'METER_IN_USE' },
    });
    expect((await api('GET', `/v1/meters/${meter.id}`)).status).toBe(200);
  });

  it('that ends while plans are made with it is either ended or charged by, never both', async () => {
    for (let round = 0; round < 8; round += 1) {
      const meter = await made(tokens());
      const [ended, ...plans] = await Promise.all([
        api('DELETE', `/v1/meters/${meter.id}`),
        ...Array.from({ length: 4 }, () => api('POST', '/v1/plans', planOf(meter.code))),
      ]);
      const charged = plans.filter(({ status }) => status === 201).length;
      expect(ended?.status === 204 ? charged : 4 - charged, `${ended?.status}: ${charged} plans`).toBe(0);
    }
  });

  it('[I25] of another organization is not there', async () => {
    const meter = await made(tokens());
    const other = await addTenant(pipeline);
    for (const [method, path] of [
      ['GET', ''],
      ['GET', '/versions'],
      ['GET', '/usage'],
      ['DELETE', ''],
    ] as const)
      expect((await other.api(method, `/v1/meters/${meter.id}${path}`)).status).toBe(404);
    expect((await other.api('PATCH', `/v1/meters/${meter.id}`, { name: 'x' })).status).toBe(404);
    // The same code is free there.
    expect((await other.api('POST', '/v1/meters', { ...tokens(), code: meter.code })).status).toBe(201);
  });
});

describe('a version of a meter', () => {
  it.each([
    "UPDATE meter_versions SET definition = '{}'",
    'DELETE FROM meter_versions',
    'DELETE FROM plan_version_meters',
  ])('[I12] can be changed by nobody: %s', async (statement) => {
    await expect(pipeline.asApplication.query(statement)).rejects.toMatchObject({ code: '42501' });
    await expect(pipeline.asWorker.query(statement)).rejects.toMatchObject({ code: '42501' });
    await expect(pipeline.asOwner.query(statement)).rejects.toThrow(/is immutable/);
  });

  it('[I12] that a plan was made with is billed by for good, beside a plan that was made with another one', async () => {
    const month = lastMonth();
    const meter = await made(tokens());
    const before = planOf(meter.code);
    expect((await api('POST', '/v1/plans', before)).status).toBe(201);
    await api('PATCH', `/v1/meters/${meter.id}`, { aggregation: 'max' });
    const after = planOf(meter.code);
    expect((await api('POST', '/v1/plans', after)).status).toBe(201);
    await api('PATCH', `/v1/meters/${meter.id}`, { aggregation: 'count', property: null });
    const subscriptions: string[] = [];
    for (const [customer, plan] of [
      ['by-sum', before],
      ['by-max', after],
    ] as const) {
      await api('POST', '/v1/customers', { external_id: customer, name: customer });
      const started = new Date(month.start).toISOString();
      const answer = await api('POST', '/v1/subscriptions', {
        customer_id: customer,
        plan: plan.code,
        started_at: started,
      });
      subscriptions.push(answer.body.id);
    }
    const timestamp = new Date(month.end - 1000).toISOString();
    const events = ['by-sum', 'by-max'].flatMap((customer_id) =>
      [2, 3].map((count) => ({
        idempotency_key: unique(),
        event: 'llm.request',
        customer_id,
        timestamp,
        properties: { tokens: count },
      })),
    );
    expect((await pipeline.sendEvents(events)).body.accepted).toBe(4);
    const span = `from=${new Date(month.start).toISOString()}&to=${new Date(month.end).toISOString()}`;
    const quantityOf = async (id?: string) => (await api('GET', `/v1/subscriptions/${id}/usage?${span}`)).body.items[0];
    await until(
      () => quantityOf(subscriptions[1]),
      ({ quantity }) => quantity === '3',
    );
    expect(await quantityOf(subscriptions[0])).toMatchObject({ quantity: '5', meter_version: 1 });
    expect(await quantityOf(subscriptions[1])).toMatchObject({ quantity: '3', meter_version: 2 });
    expect(
      (await api('GET', `/v1/customers/by-sum/usage?${span}`)).body.items.find(
        (one: { meter: string }) => one.meter === meter.code,
      ),
    ).toMatchObject({
      quantity: '2',
      meter_version: 3,
    });
    expect((await pipeline.closePeriod({ period: month.name })).body).toMatchObject({
      state: 'completed',
      invoices_issued: 2,
    });
    for (const [customer, total] of [
      ['by-sum', '5.00'],
      ['by-max', '3.00'],
    ])
      expect((await api('GET', `/v1/customers/${customer}/invoices`)).body.items).toMatchObject([{ total }]);
  });
});
