/** What holds of a plan version over all of its charges, on the real servers: written, shown, kept with the version. */

import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
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

const flat = (amount: string) => ({ model: 'flat', amount });
const charges = [{ code: 'base', name: 'Base fee', price: flat('9'), currency_options: { EUR: flat('8') } }];
const planOf = (more: object = {}) => ({ code: `p-${unique()}`, name: 'A plan', currency: 'USD', charges, ...more });
const bound = (amount: string, euros: string) => ({ amount, currency_options: { EUR: euros } });
const minimum = { name: 'Minimum commitment', ...bound('100', '90') };
const cap = { name: 'At most', ...bound('250', '225') };
const none = { minimum_commitment: null, spend_cap: null };

const made = async (path: string, body: unknown) => {
  const answer = await api('POST', path, body);
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  return answer.body;
};

describe('what a billing period costs at least and at most', () => {
  it('is of the version: shown with it, kept by what is left out, other terms make a new version', async () => {
    const plan = await made('/v1/plans', planOf({ minimum_commitment: bound('100.00', '90.00') }));
    expect(plan).toMatchObject({ minimum_commitment: minimum, spend_cap: null, version_number: 1 });
    const path = `/v1/plans/${plan.id}`;
    const same = await api('PATCH', path, { minimum_commitment: bound('0100', '90.0') });
    expect(same.body).toMatchObject({ version_number: 1, minimum_commitment: minimum });
    expect((await api('PATCH', path, { spend_cap: cap })).body).toMatchObject({
      version_number: 2,
      minimum_commitment: minimum,
      spend_cap: cap,
    });
    expect((await api('PATCH', path, { minimum_commitment: null })).body).toMatchObject({
      version_number: 3,
      minimum_commitment: null,
      spend_cap: cap,
      charges: [{ price: flat('9') }],
    });
    const { items } = (await api('GET', `${path}/versions?sort=version_number`)).body;
    expect(items).toMatchObject([
      { minimum_commitment: minimum, spend_cap: null },
      { minimum_commitment: minimum, spend_cap: cap },
      { minimum_commitment: null, spend_cap: cap },
    ]);
    expect((await api('GET', path)).body).toMatchObject({ minimum_commitment: null, spend_cap: cap });
    expect((await verify(pipeline.databaseUrl)).faults).toEqual([]);
  });

  it('changes with a draft, and no more once it is active, whoever writes', async () => {
    const plan = await made('/v1/plans', planOf());
    expect(plan).toMatchObject(none);
    const path = `/v1/plans/${plan.id}/versions`;
    expect(await made(path, { minimum_commitment: minimum })).toMatchObject({ minimum_commitment: minimum });
    expect((await api('PATCH', `${path}/2`, { minimum_commitment: null, spend_cap: cap })).body).toMatchObject({
      minimum_commitment: null,
      spend_cap: cap,
    });
    expect((await api('POST', `${path}/2/activate`)).body).toMatchObject({ state: 'active', spend_cap: cap });
    expect(await api('PATCH', `${path}/2`, { spend_cap: null })).toMatchObject({
      status: 409,
      body: { error_code: 'PLAN_VERSION_IMMUTABLE' },
    });
    const { rows } = await pipeline.asOwner.query<{ id: string }>(
      'SELECT organization_id AS id FROM plans WHERE id = $1',
      [plan.id],
    );
    const app = pipeline.asApplication.forOrganization(rows[0]?.id ?? '');
    for (const terms of ['{}', null])
      for (const connection of [app, pipeline.asOwner])
        await expect(
          connection.query('UPDATE plan_versions SET terms = $2 WHERE plan_id = $1', [plan.id, terms]),
        ).rejects.toThrow('immutable');
  });

  it('a version from before there were any has none, and none given makes no version', async () => {
    const plan = await made('/v1/plans', planOf());
    await pipeline.asOwner.transaction(async ({ query }) => {
      await query('SET LOCAL session_replication_role = replica');
      await query('UPDATE plan_versions SET terms = NULL WHERE plan_id = $1', [plan.id]);
    });
    expect((await api('GET', `/v1/plans/${plan.id}`)).body).toMatchObject(none);
    expect((await api('PATCH', `/v1/plans/${plan.id}`, { ...none, charges })).body).toMatchObject({
      ...none,
      version_number: 1,
    });
  });

  it('is on a public page of prices', async () => {
    const plan = await made('/v1/plans', planOf({ minimum_commitment: minimum, spend_cap: cap }));
    const key = await makeKey(pipeline, pipeline.api, { kind: 'publishable', scopes: ['read:plans'] });
    expect((await key.api('GET', `/v1/plans/${plan.code}`)).body).toMatchObject({
      minimum_commitment: minimum,
      spend_cap: cap,
    });
  });

  it.each([
    ['over-precise', { spend_cap: bound('250.001', '225') }, ['spend_cap.amount']],
    [
      'without a currency of the charges',
      { minimum_commitment: { amount: '1' } },
      ['minimum_commitment.currency_options.EUR'],
    ],
    [
      'under one another',
      { minimum_commitment: minimum, spend_cap: bound('99', '89.99') },
      ['spend_cap.amount', 'spend_cap.currency_options.EUR'],
    ],
    [
      'in a currency that the charges have no more',
      { charges: [{ code: 'base', name: 'Base fee', price: flat('9') }] },
      ['minimum_commitment.currency_options.EUR', 'spend_cap.currency_options.EUR'],
    ],
  ])('that is %s is refused at its place by every way to write it', async (_, body, fields) => {
    const plan = await made('/v1/plans', planOf({ minimum_commitment: minimum, spend_cap: cap }));
    await made(`/v1/plans/${plan.id}/versions`, {});
    for (const answer of [
      await api('POST', '/v1/plans', planOf({ minimum_commitment: minimum, spend_cap: cap, ...body })),
      await api('PATCH', `/v1/plans/${plan.id}`, body),
      await api('POST', `/v1/plans/${plan.id}/versions`, body),
      await api('PATCH', `/v1/plans/${plan.id}/versions/2`, body),
    ])
      expect(answer).toMatchObject({ status: 422, body: { errors: fields.map((field) => ({ field })) } });
  });
});

describe('what is charged in advance, or by intervals that differ', () => {
  const yearly = {
    code: 'base',
    name: 'Base fee',
    price: flat('90'),
    timing: 'advance',
    billing_interval: { unit: 'year', count: 1 },
  };
  it('becomes active, and what is the default is stored as before there was a choice', async () => {
    const plan = await made('/v1/plans', planOf());
    expect(plan.charges).toMatchObject([{ timing: 'arrears', billing_interval: { unit: 'month', count: 1 } }]);
    const path = `/v1/plans/${plan.id}/versions`;
    const yearlyVersion = await made(path, { charges: [{ ...yearly, billing_interval: { unit: 'year' } }] });
    expect(yearlyVersion.charges).toEqual([{ ...yearly, meter: null, currency_options: {} }]);
    expect((await api('POST', `${path}/2/activate`)).status).toBe(200);
    const draft = await made(path, {});
    const { timing: _, billing_interval: _interval, ...monthly } = yearly;
    expect((await api('PATCH', `${path}/3`, { charges: [monthly] })).status).toBe(200);
    expect((await api('POST', `${path}/3/activate`)).body).toMatchObject({
      state: 'active',
      charges: [{ timing: 'arrears', billing_interval: { unit: 'month', count: 1 } }],
    });
    // As charges were stored before there was a choice: what is hashed of them is the same.
    const { rows } = await pipeline.asOwner.query<{ charges: string }>(
      'SELECT charges::text AS charges FROM plan_versions WHERE id = $1',
      [draft.id],
    );
    expect(rows).toEqual([
      { charges: '[{"code":"base","name":"Base fee","meter":null,"price":{"model":"flat","amount":"90"}}]' },
    ]);
  });
});

it('a minimum term is of the version, and shown', async () => {
  const plan = await made('/v1/plans', planOf({ minimum_term: { unit: 'year' } }));
  expect(plan.minimum_term).toEqual({ unit: 'year', count: 1 });
  const changed = await api('PATCH', `/v1/plans/${plan.id}`, { minimum_term: { unit: 'month', count: 3 } });
  expect(changed.body).toMatchObject({ version_number: 2, minimum_term: { unit: 'month', count: 3 } });
});
