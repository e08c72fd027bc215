/** Features on the real servers: from the plan that entitles to them to what a customer has used of them. */

import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type Pipeline, until } from '../support/pipeline.ts';
import { sharedPipeline } from '../support/shared-pipeline.ts';
import { makeKey, unique } from '../support/tenants.ts';
import { verify } from '../support/verify-command.ts';

let pipeline: Pipeline;
const sso = `sso-${unique()}`;
const seats = `seats-${unique()}`;
const calls = `calls-${unique()}`;
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
  await made('/v1/meters', { code: 'calls', name: 'Calls', event: 'call', aggregation: 'sum', property: 'n' });
  await made('/v1/features', { code: sso, name: 'Single sign-on', type: 'switch' });
  await made('/v1/features', { code: seats, name: 'Seats', type: 'limit' });
  await made('/v1/features', { code: calls, name: 'Calls', type: 'metered', meter: 'calls' });
});
afterAll(() => pipeline?.stop());
const api: Pipeline['api'] = (...args) => pipeline.api(...args);

const made = async (path: string, body: unknown) => {
  const answer = await api('POST', path, body);
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  return answer.body;
};
const charges = [{ code: 'base', name: 'Base fee', price: { model: 'flat', amount: '9' } }];
const planOf = (entitlements: unknown, more: object = {}) => ({
  code: `p-${unique()}`,
  name: 'A plan',
  currency: 'USD',
  charges,
  entitlements,
  ...more,
});
const subscribe = async (customer: string, entitlements: unknown, more: object = {}) => {
  const plan = await made('/v1/plans', planOf(entitlements));
  return made('/v1/subscriptions', { customer_id: customer, plan: plan.code, ...more });
};
const newCustomer = async (): Promise<string> =>
  (await made('/v1/customers', { external_id: `c-${unique()}`, name: 'C' })).external_id;
const itemsOf = async (path: string) => (await api('GET', `${path}/entitlements`)).body.items;

const monthStart = () => {
  const now = Temporal.Now.plainDateISO('UTC').with({ day: 1 });
  return now.toZonedDateTime('UTC').toInstant().toString();
};

describe('a feature', () => {
  it('is made, read by its code, changed by name, and ends; its code is free then', async () => {
    const code = `f-${unique()}`;
    const feature = await made('/v1/features', { code, name: 'A feature', type: 'limit', metadata: { a: 'b' } });
    expect(feature).toMatchObject({ code, type: 'limit', meter: null, version: 1, metadata: { a: 'b' } });
    expect((await api('GET', `/v1/features/${code}`)).body).toEqual(feature);
    expect((await api('POST', '/v1/features', { code, name: 'Again', type: 'limit' })).body.error_code).toBe(
      'FEATURE_ALREADY_EXISTS',
    );
    const renamed = await api('PATCH', `/v1/features/${feature.id}`, { name: 'Another' });
    expect(renamed.body).toMatchObject({ name: 'Another', version: 2 });
    expect((await api('GET', `/v1/features?code=${code}`)).body.items).toEqual([renamed.body]);
    expect((await api('GET', '/v1/features?type=limit&limit=1000')).body.items).toContainEqual(renamed.body);
    expect((await api('DELETE', `/v1/features/${code}`)).status).toBe(204);
    expect((await api('GET', `/v1/features/${feature.id}`)).body.error_code).toBe('FEATURE_NOT_FOUND');
    expect(await made('/v1/features', { code, name: 'Anew', type: 'switch' })).toMatchObject({ type: 'switch' });
  });

  it('that is metered holds its meter until it ends', async () => {
    const meter = await made('/v1/meters', { code: `m-${unique()}`, name: 'M', event: 'e', aggregation: 'count' });
    const body = { code: `f-${unique()}`, name: 'F', type: 'metered', meter: meter.code };
    expect(await made('/v1/features', body)).toMatchObject({ meter: meter.code });
    expect((await api('DELETE', `/v1/meters/${meter.id}`)).body.error_code).toBe('METER_IN_USE');
    expect((await api('DELETE', `/v1/features/${body.code}`)).status).toBe(204);
    expect((await api('DELETE', `/v1/meters/${meter.id}`)).status).toBe(204);
  });

  it.each([
    ['without a meter although it is metered', { type: 'metered' }, 'meter', 'missing'],
    ['with a meter that is not there', { type: 'metered', meter: 'no-meter' }, 'meter', 'not_found'],
    ['with a meter although it is a switch', { type: 'switch', meter: 'calls' }, 'meter', 'not_allowed'],
    ['of another type', { type: 'text' }, 'type', 'not_allowed'],
    ['with a code in the form of an id', { type: 'limit', code: `fea_${'0'.repeat(32)}` }, 'code', undefined],
    ['with a field that it does not know', { type: 'limit', enabled: true }, 'enabled', 'unknown_field'],
  ])('%s is refused at its place', async (_, more, field, code) => {
    expect(await api('POST', '/v1/features', { code: `f-${unique()}`, name: 'F', ...more })).toMatchObject({
      status: 422,
      body: { error_code: 'VALIDATION_FAILED', errors: [{ field, ...(code && { code }) }] },
    });
  });
});

describe('what a plan entitles to', () => {
  const entitlements = [
    { feature: sso, enabled: true },
    { feature: seats, limit: '5' },
    { feature: calls, allowance: '1000', reset: 'billing_period', overage: 'allowed' },
  ];

  it('is of its version, other entitlements make another, and an active one holds its features', async () => {
    const plan = await made('/v1/plans', planOf(entitlements));
    expect(plan).toMatchObject({ version_number: 1, entitlements });
    const path = `/v1/plans/${plan.id}`;
    // As it is answered it may be sent, and is the same.
    expect((await api('PATCH', path, { entitlements: plan.entitlements })).body.version_number).toBe(1);
    const other = [{ feature: seats, limit: null }];
    expect((await api('PATCH', path, { entitlements: other })).body).toMatchObject({
      version_number: 2,
      entitlements: other,
    });
    expect((await api('GET', `${path}/versions/1`)).body.entitlements).toEqual(entitlements);
    expect((await api('DELETE', `/v1/features/${seats}`)).body.error_code).toBe('FEATURE_IN_USE');
    const key = await makeKey(pipeline, pipeline.api, { kind: 'publishable', scopes: ['read:plans'] });
    const shown = [{ feature: seats, name: 'Seats', limit: null }];
    expect((await key.api('GET', path)).body.entitlements).toEqual(shown);
    const { items } = (await key.api('GET', '/v1/plans?limit=1000')).body;
    expect(items.find(({ id }: { id: string }) => id === plan.id).entitlements).toEqual(shown);
    expect((await verify(pipeline.databaseUrl)).faults).toEqual([]);
  });

  it('of a draft holds no feature, and is asked for again when it becomes active', async () => {
    const code = `f-${unique()}`;
    await made('/v1/features', { code, name: 'F', type: 'switch' });
    const plan = await made('/v1/plans', planOf([{ feature: code, enabled: true }], { draft: true }));
    expect((await api('DELETE', `/v1/features/${code}`)).status).toBe(204);
    const activate = () => api('POST', `/v1/plans/${plan.id}/versions/1/activate`);
    const incomplete = (field: string) => ({
      status: 409,
      body: { error_code: 'PLAN_VERSION_INCOMPLETE', errors: [{ field }] },
    });
    expect(await activate()).toMatchObject(incomplete('entitlements[0].feature'));
    await made('/v1/features', { code, name: 'F', type: 'limit' });
    expect(await activate()).toMatchObject(incomplete('entitlements[0].enabled'));
    await api('PATCH', `/v1/plans/${plan.id}/versions/1`, { entitlements: [{ feature: code, limit: '1' }] });
    expect((await activate()).status).toBe(200);
    await expect(
      pipeline.asOwner.query(
        `INSERT INTO plan_version_features (organization_id, plan_version_id, feature_id)
         SELECT f.organization_id, $1, f.id FROM features f WHERE f.code = $2`,
        [plan.plan_version_id, sso],
      ),
    ).rejects.toThrow('immutable');
  });

  it('is refused at its place where a feature is not there, is there twice, or is of another type', async () => {
    const wrong = [
      { feature: 'no-feature', enabled: true },
      { feature: sso, limit: '5' },
      { feature: seats, allowance: '5' },
      { feature: calls, enabled: true },
    ];
    const plan = await made('/v1/plans', planOf([]));
    await made(`/v1/plans/${plan.id}/versions`, {});
    for (const answer of [
      await api('POST', '/v1/plans', planOf(wrong)),
      await api('PATCH', `/v1/plans/${plan.id}`, { entitlements: wrong }),
      await api('POST', `/v1/plans/${plan.id}/versions`, { entitlements: wrong }),
      await api('PATCH', `/v1/plans/${plan.id}/versions/2`, { entitlements: wrong }),
    ])
      expect(answer).toMatchObject({
        status: 422,
        body: {
          errors: [
            { field: 'entitlements[0].feature', code: 'not_found' },
            { field: 'entitlements[1].limit', code: 'not_allowed' },
            { field: 'entitlements[2].allowance', code: 'not_allowed' },
            { field: 'entitlements[3].enabled', code: 'not_allowed' },
          ],
        },
      });
    const twice = [entitlements[0], entitlements[0]];
    expect((await api('POST', '/v1/plans', planOf(twice))).body.errors).toMatchObject([
      { field: 'entitlements[1].feature', code: 'duplicate' },
    ]);
  });
});

describe('a subscription and its customer', () => {
  const call = (customer: string, n: number, minutesAgo = 1) => ({
    idempotency_key: `call-${unique()}`,
    event: 'call',
    customer_id: customer,
    timestamp: new Date(Date.now() - 60_000 * minutesAgo).toISOString(),
    properties: { n },
  });

  it('have what their plans entitle to, with what was used in the period that runs', async () => {
    const customer = await newCustomer();
    const started_at = monthStart();
    const first = await subscribe(
      customer,
      [
        { feature: sso, enabled: false },
        { feature: seats, limit: '5' },
        { feature: calls, allowance: '10', overage: 'refused' },
      ],
      { started_at },
    );
    const second = await subscribe(
      customer,
      [
        { feature: sso, enabled: true },
        { feature: calls, allowance: '2.5', reset: 'month' },
      ],
      { started_at },
    );
    await pipeline.sendEvents([call(customer, 3, 0), call(customer, 1.25, 0), call('someone else', 100, 0)]);
    const used = '4.25';
    const items = await until(
      () => itemsOf(`/v1/subscriptions/${first.id}`),
      ([item]) => item?.used === used,
    );
    const period = first.current_period;
    const metered = { feature: calls, name: 'Calls', type: 'metered' };
    const share = { meter: 'calls', meter_version: 1, period, used };
    const ofFirst = { ...share, allowance: '10', reset: 'billing_period', overage: 'refused', left: '5.75' };
    const ofSecond = { ...share, allowance: '2.5', reset: 'month', overage: 'allowed', left: '0' };
    expect(items).toEqual([
      { ...metered, ...ofFirst },
      { feature: seats, name: 'Seats', type: 'limit', limit: '5' },
      { feature: sso, name: 'Single sign-on', type: 'switch', enabled: false },
    ]);
    expect(await itemsOf(`/v1/customers/${customer}`)).toEqual([
      {
        ...metered,
        allowance: '12.5',
        used,
        left: '8.25',
        subscriptions: [first, second]
          .map(({ id }, index) => ({ subscription_id: id, ...(index === 0 ? ofFirst : ofSecond) }))
          .toSorted((a, b) => (a.subscription_id < b.subscription_id ? -1 : 1)),
      },
      { feature: seats, name: 'Seats', type: 'limit', limit: '5' },
      { feature: sso, name: 'Single sign-on', type: 'switch', enabled: true },
    ]);
  });

  it('are told nothing anew while nothing changes, whatever arrives for others', async () => {
    const customer = await newCustomer();
    const { id } = await subscribe(customer, [{ feature: calls, allowance: null, reset: 'never' }], {
      started_at: monthStart(),
    });
    const paths = [`/v1/subscriptions/${id}/entitlements`, `/v1/customers/${customer}/entitlements`];
    const known = new Map<string, { etag: string; watermark: bigint }>();
    for (const path of paths) {
      const { headers, body } = await api('GET', path);
      expect(body.items).toMatchObject([{ allowance: null, used: '0', left: null }]);
      known.set(path, { etag: headers.get('etag') ?? '', watermark: BigInt(body.watermark) });
    }
    const ask = (path: string) => api('GET', path, undefined, { 'if-none-match': known.get(path)?.etag ?? '' });
    await pipeline.sendEvents([call('someone else', 1)]);
    for (const path of paths) {
      await until(
        () => api('GET', path),
        ({ body }) => BigInt(body.watermark) > (known.get(path)?.watermark ?? 0n),
      );
      expect((await ask(path)).status).toBe(304);
    }
    await pipeline.sendEvents([call(customer, 7, 0)]);
    for (const path of paths) {
      const { body } = await until(
        () => ask(path),
        ({ status }) => status === 200,
      );
      expect(body.items).toMatchObject([{ used: '7', left: null }]);
    }
    await api('PATCH', `/v1/features/${calls}`, { name: 'Calls' });
  });

  it('that has ended is entitled to nothing, and a customer without subscriptions, too', async () => {
    const customer = await newCustomer();
    expect(await itemsOf(`/v1/customers/${customer}`)).toEqual([]);
    const { id } = await subscribe(customer, [{ feature: sso, enabled: true }]);
    expect(await itemsOf(`/v1/customers/${customer}`)).toHaveLength(1);
    await pipeline.asOwner.query("UPDATE subscriptions SET state = 'ended', ended_at = now() WHERE id = $1", [id]);
    expect(await itemsOf(`/v1/subscriptions/${id}`)).toEqual([]);
    expect(await itemsOf(`/v1/customers/${customer}`)).toEqual([]);
  });

  it('are measured by the version of the meter that the plan was bound to', async () => {
    const meter = { code: `m-${unique()}`, name: 'M', event: 'call', aggregation: 'count' };
    await made('/v1/meters', meter);
    const feature = `f-${unique()}`;
    await made('/v1/features', { code: feature, name: 'F', type: 'metered', meter: meter.code });
    const customer = await newCustomer();
    const { id } = await subscribe(customer, [{ feature, allowance: '5' }], { started_at: monthStart() });
    expect((await api('PATCH', `/v1/meters/${meter.code}`, { aggregation: 'sum', property: 'n' })).status).toBe(200);
    await pipeline.sendEvents([call(customer, 40, 0)]);
    const [item] = await until(
      () => itemsOf(`/v1/subscriptions/${id}`),
      ([one]) => one?.used !== '0',
    );
    expect(item).toMatchObject({ used: '1', meter_version: 1, left: '4' });
  });
});
