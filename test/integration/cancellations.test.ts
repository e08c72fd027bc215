/** The end of subscriptions: now, later, taken back, refused; and those that have not begun. */

import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type Pipeline, until } from '../support/pipeline.ts';
import { sharedPipeline } from '../support/shared-pipeline.ts';
import { unique } from '../support/tenants.ts';
import { verify } from '../support/verify-command.ts';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
});
afterAll(() => pipeline?.stop());

const day = 86_400_000;
const api: Pipeline['api'] = (...args) => pipeline.api(...args);
const made = async (path: string, body: unknown) => {
  const answer = await api('POST', path, body);
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  return answer.body;
};

const planOf = (terms: object = {}) =>
  made('/v1/plans', {
    code: `p-${unique()}`,
    name: 'A plan',
    currency: 'USD',
    charges: [{ code: 'base', name: 'Base fee', price: { model: 'flat', amount: '100.00' } }],
    ...terms,
  });
const subscribed = async ({ startedAt, plan, ...more }: { startedAt?: number; plan?: string; zone?: string } = {}) => {
  const customer = `c-${unique()}`;
  await made('/v1/customers', { external_id: customer, name: customer, time_zone: more.zone ?? 'UTC' });
  return made('/v1/subscriptions', {
    customer_id: customer,
    plan: plan ?? (await planOf()).code,
    ...(startedAt !== undefined && { started_at: new Date(startedAt).toISOString() }),
  });
};
const read = async (id: string) => (await api('GET', `/v1/subscriptions/${id}`)).body;
const cancel = (id: string, body: object = {}) => api('POST', `/v1/subscriptions/${id}/cancel`, body);
const undo = (id: string) => api('POST', `/v1/subscriptions/${id}/undo-cancel`);
const listed = async (state: string, customer: string): Promise<number> =>
  (await api('GET', `/v1/subscriptions?state=${state}&customer_id=${customer}`)).body.pagination.total;

describe('a cancellation', () => {
  it('takes effect at the end of the billing period unless another instant is said, and is told until then', async () => {
    const { id, customer_id: customer, current_period: period } = await subscribed({ zone: 'Asia/Kathmandu' });
    const answer = await cancel(id, { reason: 'too expensive' });
    expect(answer).toMatchObject({
      status: 200,
      body: {
        state: 'active',
        ended_at: period.end,
        cancellation: { effective_at: period.end, reason: 'too expensive' },
        version: 2,
      },
    });
    expect(await read(id)).toEqual(answer.body);
    expect([await listed('active', customer), await listed('canceled', customer)]).toEqual([1, 0]);
    // Another instant takes the place of the first.
    const later = new Date(Date.parse(period.end) + day).toISOString();
    expect((await cancel(id, { at: later })).body.cancellation).toMatchObject({ effective_at: later, reason: null });
  });

  it('can be taken back while it has not come, and then is none', async () => {
    const { id } = await subscribed();
    await cancel(id);
    const back = await undo(id);
    expect(back).toMatchObject({ status: 200, body: { state: 'active', ended_at: null, cancellation: null } });
    const refused = await undo(id);
    expect(refused).toMatchObject({ status: 409, body: { error_code: 'SUBSCRIPTION_STATE_CONFLICT' } });
    expect(refused.body.detail).toMatch(/is active: what can be done now is cancel/);
  });

  it('now ends it at once, for good, and another one can begin', async () => {
    const plan = await planOf();
    const { id, customer_id: customer } = await subscribed({ plan: plan.code });
    const again = { customer_id: customer, plan: plan.code };
    expect((await api('POST', '/v1/subscriptions', again)).body.error_code).toBe('SUBSCRIPTION_ALREADY_ACTIVE');
    const { body } = await cancel(id, { at: 'now' });
    expect(body.state).toBe('canceled');
    expect([await listed('active', customer), await listed('canceled', customer)]).toEqual([0, 1]);
    for (const named of [plan.id, plan.code]) {
      const { items } = (await api('GET', `/v1/subscriptions?plan=${named}`)).body;
      expect(items.map((one: { id: string }) => one.id)).toEqual([id]);
    }
    expect((await api('GET', '/v1/subscriptions?plan=nothing')).body.items).toEqual([]);
    for (const refused of [await cancel(id), await undo(id)]) {
      expect(refused).toMatchObject({ status: 409, body: { error_code: 'SUBSCRIPTION_STATE_CONFLICT' } });
      expect(refused.body.detail).toMatch(/is canceled: nothing can be done/);
    }
    await made('/v1/subscriptions', again);
  });

  it('can not be put off or taken back where the customer has a plan anew from then on that it would have', async () => {
    const [first, second] = [await planOf(), await planOf()];
    const anew = (customer: string, plan: string, started_at: string) =>
      made('/v1/subscriptions', { customer_id: customer, plan, started_at });
    const one = await subscribed({ plan: first.code });
    const end = one.current_period.end;
    expect((await cancel(one.id)).status).toBe(200);
    await anew(one.customer_id, first.code, end);
    const later = new Date(Date.parse(end) + 40 * day).toISOString();
    expect((await cancel(one.id, { at: later })).body).toMatchObject({ error_code: 'SUBSCRIPTION_ALREADY_ACTIVE' });
    expect((await cancel(one.id, { at: new Date(Date.parse(end) - 1000).toISOString() })).status).toBe(200);

    const other = await subscribed({ plan: first.code });
    const change = { plan: second.code, at: later };
    expect((await api('POST', `/v1/subscriptions/${other.id}/change-plan`, change)).status).toBe(200);
    expect((await cancel(other.id)).status).toBe(200);
    await anew(other.customer_id, second.code, other.current_period.end);
    expect((await undo(other.id)).body).toMatchObject({ error_code: 'SUBSCRIPTION_ALREADY_ACTIVE' });
  });

  it('comes by itself at its instant', async () => {
    const { id } = await subscribed();
    const at = new Date(Date.now() + 4_000).toISOString();
    expect((await cancel(id, { at })).body.state).toBe('active');
    const { body } = await until(
      () => api('GET', `/v1/subscriptions/${id}`),
      (answer) => answer.body.state === 'canceled',
    );
    expect(body.ended_at).toBe(at);
  });

  it('[I28] of many at the same moment is one after the other, each an entry', async () => {
    const { id } = await subscribed();
    const answers = await Promise.all(Array.from({ length: 6 }, () => cancel(id, { at: 'now' })));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 409, 409, 409, 409, 409]);
    const { items } = (await api('GET', `/v1/audit-log?object_id=${id}&sort=created_at`)).body;
    expect(items.map(({ action }: { action: string }) => action)).toEqual([
      'subscription.created',
      'subscription.canceled',
    ]);
  });

  it.each([
    ['yesterday', 'wrong_format'],
    ['', 'wrong_format'],
    ['2026-02-30T00:00:00Z', 'wrong_format'],
    ['2020-01-01T00:00:00Z', 'out_of_range'],
  ])('at "%s" is refused, and nothing is done', async (at, code) => {
    const { id } = await subscribed();
    expect(await cancel(id, { at })).toMatchObject({ status: 422, body: { errors: [{ field: 'at', code }] } });
    expect((await read(id)).version).toBe(1);
  });
});

describe('a minimum term', () => {
  it('holds a subscription until its end, by the calendar of its zone', async () => {
    const plan = await planOf({ minimum_term: { unit: 'month', count: 3 } });
    const startedAt = Date.now() - 40 * day;
    const { id } = await subscribed({ plan: plan.code, startedAt, zone: 'America/New_York' });
    const end = Temporal.Instant.fromEpochMilliseconds(startedAt)
      .toZonedDateTimeISO('America/New_York')
      .add({ months: 3 }).epochMilliseconds;
    const refused = await cancel(id, { at: 'now' });
    expect(refused).toMatchObject({ status: 409, body: { error_code: 'SUBSCRIPTION_IN_MINIMUM_TERM' } });
    expect(refused.body.detail).toContain(new Date(end).toISOString());
    expect((await cancel(id, { at: new Date(end - 1).toISOString() })).status).toBe(409);
    expect((await cancel(id, { at: new Date(end).toISOString() })).status).toBe(200);
  });
});

describe('a subscription that begins later', () => {
  it('is pending until then, bills nothing, and never begins where it is canceled', async () => {
    const startedAt = Date.now() + 3 * day;
    const { id, ...body } = await subscribed({ startedAt });
    expect(body).toMatchObject({ state: 'pending', started_at: new Date(startedAt).toISOString() });
    expect(Date.parse(body.current_period.start)).toBeLessThanOrEqual(startedAt);
    expect(Date.parse(body.current_period.end)).toBeGreaterThan(startedAt);
    expect(await listed('pending', body.customer_id)).toBe(1);
    expect((await api('GET', `/v1/subscriptions/${id}/entitlements`)).body.items).toEqual([]);
    expect((await cancel(id, { at: 'now' })).body).toMatchObject({
      state: 'pending',
      ended_at: body.started_at,
      cancellation: { effective_at: body.started_at },
    });
  });

  it('becomes active by itself', async () => {
    const { id } = await subscribed({ startedAt: Date.now() + 4_000 });
    expect((await read(id)).state).toBe('pending');
    await until(
      () => api('GET', `/v1/subscriptions/${id}`),
      (answer) => answer.body.state === 'active',
    );
  });

  it('begins at most five years ahead', async () => {
    const { plan_code: plan } = await subscribed();
    const customer = `c-${unique()}`;
    await made('/v1/customers', { external_id: customer, name: customer });
    const answer = await api('POST', '/v1/subscriptions', {
      customer_id: customer,
      plan,
      started_at: new Date(Date.now() + 6 * 366 * day).toISOString(),
    });
    expect(answer).toMatchObject({ status: 422, body: { errors: [{ field: 'started_at', code: 'out_of_range' }] } });
  });
});

it('what was used and is due until a cancellation is a part of the period', async () => {
  const now = Temporal.Now.zonedDateTimeISO('UTC');
  const month = now.with({ day: 1 }).startOfDay();
  const { id, customer_id: customer } = await subscribed({ startedAt: month.epochMilliseconds });
  const { ended_at: endedAt } = (await cancel(id, { at: 'now' })).body;
  const run = (
    await api('POST', '/v1/rating-runs', { period: month.toPlainDate().toString().slice(0, 7), customer_id: customer })
  ).body;
  await until(
    () => api('GET', `/v1/rating-runs/${run.id}`),
    ({ body }) => body.state === 'completed',
  );
  const { items } = (await api('GET', `/v1/rating-runs/${run.id}/lines`)).body;
  const share = (Date.parse(endedAt) - month.epochMilliseconds) / (month.hoursInDay * 3_600_000 * month.daysInMonth);
  expect(items.map(({ amount }: { amount: string }) => amount)).toEqual([
    (Math.round(share * 10_000) / 100).toFixed(2),
  ]);
});

it('[I28] all of these stand as the log says', async () => {
  expect((await verify(pipeline.databaseUrl)).faults).toEqual([]);
});
