/** The life of plan versions on the real servers: drafts, one active version, what is charged for ever. */

import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { parts } from '../support/parts.ts';
import { lastMonth, type Pipeline, startPipeline } from '../support/pipeline.ts';
import { makeKey, unique } from '../support/tenants.ts';
import { verify } from '../support/verify-command.ts';

const shop = 'https://shop.example.com';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await startPipeline(
    inject('serverUrls'),
    { MILLRACE_CORS_ORIGINS: shop },
    { services: parts.billedUsage },
  );
});
afterAll(() => pipeline?.stop());

const month = lastMonth();
const monthStart = new Date(month.start).toISOString();

const flat = (amount: string, code = 'base') => ({ code, name: 'Base fee', price: { model: 'flat', amount } });
const planOf = (...charges: unknown[]) => ({ code: `p-${unique()}`, name: 'A plan', currency: 'USD', charges });
const api: Pipeline['api'] = (...args) => pipeline.api(...args);

const made = async (path: string, body?: unknown) => {
  const answer = await api('POST', path, body);
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  return answer.body;
};
const customer = async (): Promise<string> => {
  const { external_id: id } = await made('/v1/customers', { external_id: `c-${unique()}`, name: 'C' });
  return id;
};
const subscribe = async (plan: string, more: Record<string, unknown> = {}) =>
  api('POST', '/v1/subscriptions', { customer_id: await customer(), plan, ...more });
const amountsOf = ({ charges }: { charges: { price: { amount: string } }[] }) =>
  charges.map(({ price }) => price.amount);
const versionsOf = async (plan: string): Promise<[number, string, string][]> => {
  const { items } = (await api('GET', `/v1/plans/${plan}/versions?sort=version_number`)).body;
  return items.map((one: { version_number: number; state: string; charges: { price: { amount: string } }[] }) => [
    one.version_number,
    one.state,
    amountsOf(one).join(),
  ]);
};

describe('a plan', () => {
  it('is active at once, and other charges make a new active version: subscriptions keep the one they have', async () => {
    const plan = await made('/v1/plans', planOf(flat('10.00')));
    expect(plan).toMatchObject({ state: 'active', version_number: 1, version: 1 });
    const before = (await subscribe(plan.code, { started_at: monthStart })).body;
    const changed = await api('PATCH', `/v1/plans/${plan.code}`, { charges: [flat('12.00')] });
    expect(changed).toMatchObject({ status: 200, body: { state: 'active', version_number: 2, version: 2 } });
    const after = (await subscribe(plan.code, { started_at: monthStart })).body;
    expect(before.plan_version_id).toBe(plan.plan_version_id);
    expect(after.plan_version_id).toBe(changed.body.plan_version_id);
    expect((await api('GET', `/v1/subscriptions/${before.id}`)).body.plan_version_id).toBe(plan.plan_version_id);
    expect(await versionsOf(plan.id)).toEqual([
      [1, 'archived', '10'],
      [2, 'active', '12'],
    ]);
    expect((await api('GET', `/v1/plans/${plan.id}/versions?state=archived`)).body.items).toMatchObject([
      { version_number: 1, activated_at: expect.any(String), archived_at: expect.any(String), version: 2 },
    ]);
    expect((await pipeline.closePeriod({ period: month.name })).body).toMatchObject({ state: 'completed' });
    for (const [subscription, total] of [
      [before, '10.00'],
      [after, '12.00'],
    ]) {
      const { items } = (await api('GET', `/v1/customers/${subscription.customer_id}/invoices`)).body;
      expect(items).toMatchObject([{ total }]);
    }
  });

  it('has no new version by charges that are the same, nor by a name', async () => {
    const plan = await made('/v1/plans', planOf(flat('10.00')));
    await api('PATCH', `/v1/plans/${plan.id}`, { charges: [flat('10')], currency: 'USD' });
    const named = await api('PATCH', `/v1/plans/${plan.id}`, { name: 'Another', metadata: { a: 'b' } });
    expect(named.body).toMatchObject({ name: 'Another', version_number: 1, version: 3, metadata: { a: 'b' } });
    expect(await versionsOf(plan.id)).toEqual([[1, 'active', '10']]);
  });

  it.each([
    ['a field that it does not know', { trial: 5 }, 'trial'],
    ['charges of another form', { charges: [{ code: 'x' }] }, 'charges[0].name'],
    ['no charges', { charges: [] }, 'charges'],
    ['a currency that is none', { currency: 'XXX' }, 'currency'],
    [
      'a meter that is not there',
      { charges: [{ code: 'm', name: 'M', meter: 'no-meter', price: { model: 'per_unit', unit_amount: '1' } }] },
      'charges[0].meter',
    ],
  ])('refuses %s at its place, and stays as it is', async (_, body, field) => {
    const plan = await made('/v1/plans', planOf(flat('10.00')));
    const answers = [
      await api('PATCH', `/v1/plans/${plan.id}`, body),
      await api('POST', `/v1/plans/${plan.id}/versions`, body),
    ];
    await made(`/v1/plans/${plan.id}/versions`);
    answers.push(await api('PATCH', `/v1/plans/${plan.id}/versions/2`, body));
    for (const answer of answers)
      expect(answer).toMatchObject({
        status: 422,
        body: { error_code: 'VALIDATION_FAILED', errors: expect.arrayContaining([expect.objectContaining({ field })]) },
      });
    expect(await versionsOf(plan.id)).toEqual([
      [1, 'active', '10'],
      [2, 'draft', '10'],
    ]);
  });

  it('can not be subscribed to without an active version, and says what to do', async () => {
    const plan = await made('/v1/plans', { ...planOf(flat('10.00')), draft: true });
    expect(plan).toMatchObject({ state: 'draft', version_number: 1 });
    const refused = { status: 409, body: { error_code: 'PLAN_NOT_ACTIVE', detail: expect.stringMatching(/activate/) } };
    expect(await subscribe(plan.code)).toMatchObject(refused);
    expect(await api('PATCH', `/v1/plans/${plan.id}`, { charges: [flat('11.00')] })).toMatchObject(refused);
    expect((await api('POST', `/v1/plans/${plan.id}/versions/1/activate`)).status).toBe(200);
    expect((await subscribe(plan.code)).status).toBe(201);
    expect((await api('POST', `/v1/plans/${plan.id}/versions/1/archive`)).status).toBe(200);
    expect(await subscribe(plan.code)).toMatchObject(refused);
    // Of what stood for it last there is a new draft.
    await made(`/v1/plans/${plan.id}/versions`);
    expect(await versionsOf(plan.id)).toEqual([
      [1, 'archived', '10'],
      [2, 'draft', '10'],
    ]);
  });
});

describe('a draft', () => {
  it('changes until it is active, and never again', async () => {
    const plan = await made('/v1/plans', planOf(flat('10.00')));
    const path = `/v1/plans/${plan.id}/versions`;
    const draft = await made(path, { charges: [flat('20.00')] });
    expect(draft).toMatchObject({ state: 'draft', version_number: 2, currency: 'USD', activated_at: null, version: 1 });
    const changed = await api('PATCH', `${path}/2`, { charges: [flat('21.00')] }, { 'if-match': '"1"' });
    expect(changed.body).toMatchObject({ id: draft.id, state: 'draft', version: 2 });
    expect(await api('PATCH', `${path}/2`, { currency: 'EUR' }, { 'if-match': '"1"' })).toMatchObject({ status: 412 });
    expect((await api('GET', `/v1/plans/${plan.id}`)).body).toMatchObject({ version_number: 1, state: 'active' });
    const active = await api('POST', `${path}/2/activate`);
    expect(active.body).toMatchObject({ state: 'active', version: 3, charges: [{ price: { amount: '21' } }] });
    for (const number of [1, 2])
      for (const answer of [
        await api('PATCH', `${path}/${number}`, { charges: [flat('1.00')] }),
        await api('POST', `${path}/${number}/activate`),
      ])
        expect(answer).toMatchObject({
          status: 409,
          body: {
            error_code: 'PLAN_VERSION_IMMUTABLE',
            detail: expect.stringMatching(/PATCH \/v1\/plans\/\{id\}.*POST \/v1\/plans\/\{id\}\/versions/),
          },
        });
    expect(await api('POST', `${path}/1/archive`)).toMatchObject({ status: 409 });
    expect(await api('GET', `${path}/3`)).toMatchObject({
      status: 404,
      body: { error_code: 'PLAN_VERSION_NOT_FOUND' },
    });
    expect(await versionsOf(plan.id)).toEqual([
      [1, 'archived', '10'],
      [2, 'active', '21'],
    ]);
  });

  it('is given up, and is then active no more', async () => {
    const plan = await made('/v1/plans', planOf(flat('10.00')));
    await made(`/v1/plans/${plan.id}/versions`, {});
    expect((await api('POST', `/v1/plans/${plan.id}/versions/2/archive`)).body).toMatchObject({
      state: 'archived',
      activated_at: null,
    });
    expect(await api('POST', `/v1/plans/${plan.id}/versions/2/activate`)).toMatchObject({ status: 409 });
    expect((await api('GET', `/v1/plans/${plan.id}`)).body).toMatchObject({ version_number: 1, state: 'active' });
  });

  it('is bound to the versions that its meters have when it is activated, and to none that has ended', async () => {
    const meter = await made('/v1/meters', { code: `m-${unique()}`, name: 'M', event: 'e', aggregation: 'count' });
    const metered = { code: 'm', name: 'M', meter: meter.code, price: { model: 'per_unit', unit_amount: '1' } };
    const plan = await made('/v1/plans', { ...planOf(metered), draft: true });
    const pinned = async () =>
      (
        await pipeline.asOwner.query<{ number: number }>(
          `SELECT v.version_number AS number FROM plan_version_meters p
             JOIN meter_versions v ON v.id = p.meter_version_id WHERE p.plan_version_id = $1`,
          [plan.plan_version_id],
        )
      ).rows.map(({ number }) => number);
    await api('PATCH', `/v1/meters/${meter.id}`, { aggregation: 'sum', property: 'n' });
    expect(await pinned()).toEqual([]);
    await api('POST', `/v1/plans/${plan.id}/versions/1/activate`);
    expect(await pinned()).toEqual([2]);
    const other = await made('/v1/meters', { code: `m-${unique()}`, name: 'M', event: 'e', aggregation: 'count' });
    await made(`/v1/plans/${plan.id}/versions`, { charges: [metered, { ...metered, code: 'n', meter: other.code }] });
    expect((await api('DELETE', `/v1/meters/${other.id}`)).status).toBe(204);
    expect(await api('POST', `/v1/plans/${plan.id}/versions/2/activate`)).toMatchObject({
      status: 409,
      body: { error_code: 'PLAN_VERSION_INCOMPLETE', errors: [{ field: 'charges[1].meter', code: 'not_found' }] },
    });
    expect((await api('GET', `/v1/plans/${plan.id}`)).body).toMatchObject({ version_number: 1, state: 'active' });
  });
});

describe('a price that asks its meter for more than a quantity', () => {
  const matrix = (dimension: string) => ({
    model: 'matrix',
    dimensions: [dimension],
    cells: [{ match: { [dimension]: 'eu' }, price: { model: 'per_unit', unit_amount: '2' } }],
    default_price: { model: 'per_unit', unit_amount: '1' },
  });

  it('is refused for a meter that can not tell, in each of its currencies, when it is written and when it is activated', async () => {
    const counted = { code: `m-${unique()}`, name: 'M', event: 'e', aggregation: 'count', group_by: ['region'] };
    const meter = await made('/v1/meters', counted);
    const charge = { code: 'm', name: 'M', meter: meter.code, price: matrix('region') };
    const wrong = { ...charge, price: matrix('size'), currency_options: { EUR: matrix('size') } };
    const field = (name: string) => `charges[0].${name}.dimensions[0]`;
    expect(await api('POST', '/v1/plans', planOf(wrong))).toMatchObject({
      status: 422,
      body: { errors: [{ field: field('price'), code: 'not_allowed' }, { field: field('currency_options.EUR') }] },
    });
    const plan = await made('/v1/plans', { ...planOf(charge), draft: true });
    await api('PATCH', `/v1/meters/${meter.id}`, { group_by: ['size'] });
    expect(await api('POST', `/v1/plans/${plan.id}/versions/1/activate`)).toMatchObject({
      status: 409,
      body: { error_code: 'PLAN_VERSION_INCOMPLETE', errors: [{ field: field('price') }] },
    });
    expect(
      (await api('PATCH', `/v1/plans/${plan.id}/versions/1`, { charges: [{ ...charge, price: matrix('size') }] }))
        .status,
    ).toBe(200);
    expect((await api('POST', `/v1/plans/${plan.id}/versions/1/activate`)).status).toBe(200);
  });
});

describe('at the same moment', () => {
  it('of many activations each has its turn, and one version is active', async () => {
    const plan = await made('/v1/plans', planOf(flat('1.00')));
    const path = `/v1/plans/${plan.id}/versions`;
    for (const amount of ['2.00', '3.00', '4.00', '5.00']) await made(path, { charges: [flat(amount)] });
    const answers = await Promise.all(
      [2, 3, 4, 5, 2, 3, 4, 5].map((number) => api('POST', `${path}/${number}/activate`)),
    );
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 200, 200, 200, 409, 409, 409, 409]);
    const states = (await versionsOf(plan.id)).map(([, state]) => state);
    expect(states.filter((state) => state === 'active')).toHaveLength(1);
    expect(states.filter((state) => state === 'archived')).toHaveLength(4);
  });

  it('who subscribes while prices change gets a version that was active then, and no change is lost', async () => {
    const plan = await made('/v1/plans', planOf(flat('1.00')));
    const customers = await Promise.all(Array.from({ length: 12 }, customer));
    const subscribing = customers.map((id) => api('POST', '/v1/subscriptions', { customer_id: id, plan: plan.id }));
    const changing = Array.from({ length: 6 }, (_, index) =>
      api('PATCH', `/v1/plans/${plan.id}`, { charges: [flat(`${index + 2}.00`)] }),
    );
    const answers = await Promise.all([...subscribing, ...changing]);
    expect(answers.map(({ status }) => status)).toEqual([...Array(12).fill(201), ...Array(6).fill(200)]);
    const { rows } = await pipeline.asOwner.query<{ wrong: bigint; versions: bigint }>(
      `SELECT
         count(*) FILTER (WHERE v.state = 'draft' OR v.activated_at > s.created_at + interval '2 seconds') AS wrong,
         (SELECT count(*) FROM plan_versions WHERE plan_id = $1) AS versions
       FROM subscriptions s JOIN plan_versions v ON v.id = s.plan_version_id WHERE v.plan_id = $1`,
      [plan.id],
    );
    expect(rows).toEqual([{ wrong: 0n, versions: 7n }]);
    expect((await versionsOf(plan.id)).filter(([, state]) => state === 'active')).toEqual([
      [7, 'active', expect.any(String)],
    ]);
  });
});

describe('in the database', () => {
  const organizationOf = async (planId: string): Promise<string> =>
    (await pipeline.asOwner.query<{ id: string }>('SELECT organization_id AS id FROM plans WHERE id = $1', [planId]))
      .rows[0]?.id ?? '';

  it('[I12] what an active or archived version charges is changed by nobody, and a draft charges nobody', async () => {
    const plan = await made('/v1/plans', planOf(flat('1.00')));
    await api('PATCH', `/v1/plans/${plan.id}`, { charges: [flat('2.00')] });
    await made(`/v1/plans/${plan.id}/versions`, {});
    const app = pipeline.asApplication.forOrganization(await organizationOf(plan.id));
    const refused = { code: '23001' };
    for (const number of [1, 2])
      for (const set of [
        "charges = '[]'",
        // The same value written otherwise is another text, which is what is digested.
        "charges = (charges::text || ' ')::json",
        "currency = 'EUR'",
        "state = 'draft', activated_at = NULL, archived_at = NULL",
        'activated_at = now()',
      ])
        for (const db of [app, pipeline.asOwner])
          await expect(
            db.query(`UPDATE plan_versions SET ${set} WHERE plan_id = $1 AND version_number = ${number}`, [plan.id]),
            `${number}: ${set}`,
          ).rejects.toMatchObject(refused);
    const archived =
      "UPDATE plan_versions SET state = 'active', archived_at = NULL WHERE plan_id = $1 AND version_number = 1";
    await expect(app.query(archived, [plan.id])).rejects.toMatchObject(refused);
    const version = (number: number) =>
      `(SELECT id FROM plan_versions WHERE plan_id = $1 AND version_number = ${number})`;
    for (const number of [1, 2])
      await expect(
        app.query(
          `INSERT INTO plan_version_meters SELECT organization_id, ${version(number)}, 'x', 'mtv_x'
           FROM plans WHERE id = $1`,
          [plan.id],
        ),
      ).rejects.toMatchObject(refused);
    await expect(
      app.query(
        `UPDATE subscriptions SET plan_version_id = ${version(3)} WHERE organization_id = current_organization()`,
        [plan.id],
      ),
    ).rejects.toMatchObject(refused);
    // Columns that nothing moves are not granted at all.
    for (const set of ["plan_id = 'x'", 'version_number = 9', "id = 'x'", 'created_at = now()'])
      await expect(app.query(`UPDATE plan_versions SET ${set}`)).rejects.toMatchObject({ code: '42501' });
    for (const statement of ['DELETE FROM plan_versions', 'TRUNCATE plan_versions CASCADE'])
      await expect(pipeline.asOwner.query(statement)).rejects.toThrow(/is immutable/);
    // The worker changes none of them.
    await expect(pipeline.asWorker.query("UPDATE plan_versions SET state = 'archived'")).rejects.toMatchObject({
      code: '42501',
    });
  });

  it('a plan has no second active version, whoever writes it', async () => {
    const plan = await made('/v1/plans', planOf(flat('1.00')));
    await made(`/v1/plans/${plan.id}/versions`, {});
    const app = pipeline.asApplication.forOrganization(await organizationOf(plan.id));
    await expect(
      app.query(
        "UPDATE plan_versions SET state = 'active', activated_at = now() WHERE plan_id = $1 AND state = 'draft'",
        [plan.id],
      ),
    ).rejects.toMatchObject({ code: '23505' });
  });

  it('[I28] every change of a version is an entry of its plan, and the audit log accounts for all', async () => {
    const plan = await made('/v1/plans', planOf(flat('1.00')));
    const path = `/v1/plans/${plan.id}/versions`;
    await made(path, {});
    await api('PATCH', `${path}/2`, { currency: 'EUR' });
    await api('POST', `${path}/2/activate`);
    await api('PATCH', `/v1/plans/${plan.id}`, { currency: 'USD' });
    await api('POST', `${path}/3/archive`);
    const { items } = (await api('GET', `/v1/audit-log?object_id=${plan.id}`)).body;
    expect(items.map(({ action }: { action: string }) => action).toReversed()).toEqual([
      'plan.created',
      'plan_version.created',
      'plan_version.updated',
      'plan_version.activated',
      'plan.updated',
      'plan_version.archived',
    ]);
    expect((await verify(pipeline.databaseUrl)).faults).toEqual([]);
  });
});

describe('to a publishable key', () => {
  const publicKey = () => makeKey(pipeline, pipeline.api, { kind: 'publishable', scopes: ['read:plans'] });

  it('a plan is its active version, without what is internal, and a draft is not there', async () => {
    const key = await publicKey();
    const plan = await made('/v1/plans', { ...planOf(flat('1.00')), metadata: { margin: '40' } });
    const draft = await made('/v1/plans', { ...planOf(flat('9.00')), draft: true });
    await made(`/v1/plans/${plan.id}/versions`, { charges: [flat('8.00')] });
    const { metadata: _, version: _version, created_at: _created, updated_at: _updated, ...shown } = plan;
    for (const name of [plan.id, plan.code]) expect((await key.api('GET', `/v1/plans/${name}`)).body).toEqual(shown);
    const { items, pagination } = (await key.api('GET', '/v1/plans?limit=1000')).body;
    expect(items).toContainEqual(shown);
    expect(items.map(({ state }: { state: string }) => state)).not.toContain('draft');
    expect(pagination.total).toBe(items.length);
    for (const name of [draft.id, draft.code])
      expect(await key.api('GET', `/v1/plans/${name}`)).toMatchObject({ status: 404 });
    for (const path of ['versions', 'versions/1', 'versions/2'])
      expect(await key.api('GET', `/v1/plans/${plan.id}/${path}`)).toMatchObject({
        status: 403,
        body: { error_code: 'MISSING_SCOPE', detail: expect.stringContaining('secret key') },
      });
    await api('POST', `/v1/plans/${plan.id}/versions/1/archive`);
    expect((await key.api('GET', `/v1/plans/${plan.code}`)).status).toBe(404);
  });

  it('an answer may be kept by caches for its key, has an ETag, and answers to secret keys are kept by nobody', async () => {
    const key = await publicKey();
    const plan = await made('/v1/plans', planOf(flat('1.00')));
    const path = `/v1/plans/${plan.code}`;
    const ask = (headers: Record<string, string> = {}) => key.api('GET', path, undefined, { origin: shop, ...headers });
    const answer = await ask();
    const caching = ['cache-control', 'vary', 'access-control-allow-origin'];
    expect(caching.map((name) => answer.headers.get(name))).toEqual([
      'public, max-age=60',
      'Authorization, Origin',
      shop,
    ]);
    const etag = answer.headers.get('etag') ?? '';
    expect(etag).toMatch(/^"[0-9a-f]{32}"$/);
    const known = { 'if-none-match': etag };
    // Neither a draft nor the operator's notes make it another answer; what is shown does.
    await made(`/v1/plans/${plan.id}/versions`, { charges: [flat('2.00')] });
    await api('PATCH', path, { metadata: { a: 'b' } });
    const same = await ask(known);
    expect([same.status, ...caching.map((name) => same.headers.get(name))]).toEqual([
      304,
      'public, max-age=60',
      'Authorization, Origin',
      shop,
    ]);
    await api('POST', `/v1/plans/${plan.id}/versions/2/activate`);
    expect(await ask(known)).toMatchObject({ status: 200, body: { charges: [{ price: { amount: '2' } }] } });
    expect((await key.api('GET', '/v1/plans')).headers.get('cache-control')).toBe('public, max-age=60');
    for (const secret of [await api('GET', path), await api('GET', '/v1/plans')])
      expect(secret.headers.get('cache-control')).toBe('no-store');
    expect((await key.api('GET', '/v1/plans/nothing')).headers.get('cache-control')).toBe('no-store');
  });
});
