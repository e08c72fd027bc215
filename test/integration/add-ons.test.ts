/** Add-ons on the real servers: plans of another kind, with versions like any. */

import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import type { Pipeline } from '../support/pipeline.ts';
import { sharedPipeline } from '../support/shared-pipeline.ts';
import { makeKey, unique } from '../support/tenants.ts';
import { verify } from '../support/verify-command.ts';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
});
afterAll(() => pipeline?.stop());
const api: Pipeline['api'] = (...args) => pipeline.api(...args);

const made = async (path: string, body: unknown) => {
  const answer = await api('POST', path, body);
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  return answer.body;
};
const charges = [{ code: 'base', name: 'Base fee', price: { model: 'flat', amount: '9' } }];
const planOf = (more: object = {}) => ({ code: `p-${unique()}`, name: 'A plan', currency: 'USD', charges, ...more });

it('an add-on has versions like a plan, and says beside which plans it is taken and how many times', async () => {
  const plan = await made('/v1/plans', planOf());
  expect(plan).toMatchObject({ kind: 'plan', add_on: null });
  const addOn = await made('/v1/plans', planOf({ kind: 'add_on', add_on: { max_quantity: 3 } }));
  expect(addOn).toMatchObject({ kind: 'add_on', add_on: { max_quantity: 3, plans: null }, state: 'active' });
  const path = `/v1/plans/${addOn.code}`;
  const beside = { max_quantity: null, plans: [plan.code] };
  expect((await api('PATCH', path, { add_on: beside })).body).toMatchObject({ version_number: 2, add_on: beside });
  expect((await api('PATCH', path, { add_on: { plans: [plan.code] } })).body).toMatchObject({ version_number: 2 });
  await made(`${path}/versions`, { add_on: null });
  expect((await api('POST', `${path}/versions/3/activate`)).body).toMatchObject({
    state: 'active',
    add_on: { max_quantity: null, plans: null },
  });
  expect((await api('GET', `${path}/versions/2`)).body.add_on).toEqual(beside);
  const codesOf = async (kind: string, call = api) =>
    (await call('GET', `/v1/plans?kind=${kind}&limit=1000`)).body.items.map(({ code }: { code: string }) => code);
  expect(await codesOf('add_on')).toEqual([addOn.code]);
  expect(await codesOf('plan')).toEqual([plan.code]);
  const key = await makeKey(pipeline, pipeline.api, { kind: 'publishable', scopes: ['read:plans'] });
  expect(await codesOf('add_on', key.api)).toEqual([addOn.code]);
  expect((await verify(pipeline.databaseUrl)).faults).toEqual([]);
});

it('nobody subscribes to an add-on, whoever writes, and of what kind a plan is stands for good', async () => {
  const addOn = await made('/v1/plans', planOf({ kind: 'add_on' }));
  const customer = await made('/v1/customers', { external_id: `c-${unique()}`, name: 'C' });
  expect(await api('POST', '/v1/subscriptions', { customer_id: customer.id, plan: addOn.code })).toMatchObject({
    status: 409,
    body: { error_code: 'PLAN_IS_ADD_ON' },
  });
  expect(await api('PATCH', `/v1/plans/${addOn.id}`, { kind: 'plan' })).toMatchObject({
    status: 422,
    body: { errors: [{ field: 'kind', code: 'unknown_field' }] },
  });
  const kindOf = (kind: string) => pipeline.asOwner.query('UPDATE plans SET kind = $2 WHERE id = $1', [addOn.id, kind]);
  await expect(kindOf('plan')).rejects.toThrow('immutable');
  const plan = await made('/v1/plans', planOf());
  const subscription = await made('/v1/subscriptions', { customer_id: customer.id, plan: plan.code });
  await expect(
    pipeline.asOwner.query('UPDATE subscriptions SET plan_version_id = $2 WHERE id = $1', [
      subscription.id,
      addOn.plan_version_id,
    ]),
  ).rejects.toThrow('refuses an add-on');
});

it.each([
  ['a plan that is not there', { kind: 'add_on', add_on: { plans: ['no-plan'] } }, ['add_on.plans[0]']],
  ['a term of the plan beside it', { kind: 'add_on', spend_cap: { amount: '5' } }, ['spend_cap']],
  ['another kind', { kind: 'bundle' }, ['kind']],
  ['what only an add-on has', { add_on: {} }, ['add_on']],
])('one with %s is refused at its place', async (_, more, fields) => {
  expect(await api('POST', '/v1/plans', planOf(more))).toMatchObject({
    status: 422,
    body: { errors: fields.map((field) => ({ field })) },
  });
});

it('an add-on goes with no other add-on', async () => {
  const addOn = await made('/v1/plans', planOf({ kind: 'add_on' }));
  const body = planOf({ kind: 'add_on', add_on: { plans: [addOn.code] } });
  expect((await api('POST', '/v1/plans', body)).body.errors).toMatchObject([
    { field: 'add_on.plans[0]', code: 'not_found' },
  ]);
});
