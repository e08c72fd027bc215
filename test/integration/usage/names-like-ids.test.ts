/**
 * [I34] A text means one object or none: no name that is given has the form of an id, and rows from before that rule
 * are never taken for another.
 */

import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { idPrefixes } from '#schemas/ids.ts';
import { lastMonth, type Pipeline, until } from '../../support/pipeline.ts';
import { sharedPipeline } from '../../support/shared-pipeline.ts';
import { verify } from '../../support/verify-command.ts';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
});
afterAll(() => pipeline?.stop());

const made = async (path: string, body: unknown): Promise<{ readonly id: string }> => {
  const answer = await pipeline.api('POST', path, body);
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  return answer.body;
};
const meter = (code: string) => ({ code, name: code, event: 'work', aggregation: 'count' });
const plan = (code: string, amount: string) => ({
  code,
  name: code,
  currency: 'EUR',
  charges: [{ code: 'base', name: 'Base', price: { model: 'flat', amount } }],
});
const customer = (name: string) => ({ external_id: name, name });

/** As a release before could write it: each of the two has the id of the other for a name. */
const cross = (table: string, column: string, ids: readonly [string, string]): Promise<void> =>
  pipeline.asOwner.transaction(async (client) => {
    await client.query("SET LOCAL session_replication_role = 'replica'");
    await client.query(`UPDATE ${table} SET ${column} = CASE id WHEN $1 THEN $2 ELSE $1 END WHERE id IN ($1, $2)`, [
      ...ids,
    ]);
  });

const hex = 'f'.repeat(32);

describe('[I34] a name that is given', () => {
  const forms = Object.keys(idPrefixes).flatMap((prefix) => [`${prefix}_${hex}`]);

  it.each([...forms, `new_${hex}`])('is not %s, in whatever case: 422 at its place, with the cure', async (form) => {
    const refused = async (path: string, body: unknown, field: string) => {
      const { status, body: problem } = await pipeline.api('POST', path, body);
      expect(status, `${path} ${JSON.stringify(problem)}`).toBe(422);
      expect(problem.errors).toEqual([
        { field, code: 'not_allowed', message: expect.stringContaining('choose a name') },
      ]);
    };
    await refused('/v1/meters', meter(form), 'code');
    await refused('/v1/plans', plan(form, '1'), 'code');
    const [charge] = plan('p', '1').charges;
    await refused('/v1/plans', { ...plan('p', '1'), charges: [charge, { ...charge, code: form }] }, 'charges[1].code');
    for (const name of [form, form.toUpperCase()]) await refused('/v1/customers', customer(name), 'external_id');
  });

  it('is no name that a URL can not hold', async () => {
    for (const name of ['.', '..']) {
      const answer = await pipeline.api('POST', '/v1/customers', customer(name));
      expect(answer).toMatchObject({ status: 422, body: { errors: [{ field: 'external_id', code: 'not_allowed' }] } });
    }
  });

  it.each(['a/b', '%2F', '../x', 'run', 'versions', ' acme', 'acme ', 'Acme', 'ACME', 'e\u0301', '\u00e9', '?x=1#y'])(
    'may be %j, and is found by exactly that',
    async (name) => {
      const { id } = await made('/v1/customers', customer(name));
      expect((await pipeline.api('GET', `/v1/customers/${encodeURIComponent(name)}`)).body.id).toBe(id);
      expect((await pipeline.api('GET', `/v1/customers/${encodeURIComponent(name)}/invoices`)).status).toBe(200);
    },
  );

  it('may be the name of a route: no other route stands where a name does', async () => {
    for (const code of ['run', 'versions', 'usage', 'validate', 'runs', 'invoices']) {
      const { id } = await made('/v1/meters', meter(code));
      expect((await pipeline.api('GET', `/v1/meters/${code}`)).body.id).toBe(id);
      expect((await pipeline.api('GET', `/v1/meters/${code}/versions`)).status).toBe(200);
      expect((await made('/v1/plans', plan(code, '1'))).id).toBe(
        (await pipeline.api('GET', `/v1/plans/${code}`)).body.id,
      );
    }
  });

  it('is refused by the database, too, whoever writes it', async () => {
    const { id } = await made('/v1/plans', plan('to-rename', '1'));
    await expect(pipeline.asOwner.query('UPDATE plans SET code = $1 WHERE id = $1', [id])).rejects.toMatchObject({
      code: '23514',
    });
    for (const statement of [
      `UPDATE customers SET external_id = 'sub_${hex}'`,
      `UPDATE meters SET code = 'mtr_${hex}'`,
      `INSERT INTO plan_versions SELECT 'plv_${hex}', organization_id, plan_id, 99, currency, billing_interval,
         '[{"code":"org_${hex}"}]', created_at FROM plan_versions LIMIT 1`,
    ])
      await expect(pipeline.asOwner.query(statement), statement).rejects.toMatchObject({ code: '23514' });
  });
});

describe('[I34] an id of another kind', () => {
  it('finds nothing', async () => {
    const [one, other] = [
      await made('/v1/meters', meter('kind-meter')),
      await made('/v1/plans', plan('kind-plan', '1')),
    ];
    const { plan_version_id: version } = (await pipeline.api('GET', `/v1/plans/${other.id}`)).body;
    await made('/v1/customers', customer('kind'));
    for (const id of [one.id, version, other.id.toUpperCase().replace('PLN', 'pln')]) {
      expect(await pipeline.api('GET', `/v1/plans/${id}`)).toMatchObject({
        status: 404,
        body: { error_code: 'PLAN_NOT_FOUND' },
      });
    }
    for (const id of [one.id, version])
      expect(await pipeline.api('POST', '/v1/subscriptions', { customer_id: 'kind', plan: id })).toMatchObject({
        status: 404,
        body: { error_code: 'PLAN_NOT_FOUND' },
      });
    expect((await pipeline.api('GET', `/v1/meters/${other.id}`)).status).toBe(404);
    expect((await pipeline.api('GET', `/v1/customers/${other.id}`)).status).toBe(404);
  });
});

describe('[I34] rows from before, each with the id of the other for a name', () => {
  it('a subscription to a plan is billed by that plan', async () => {
    const dear = await made('/v1/plans', plan('dear', '1000.00'));
    const cheap = await made('/v1/plans', plan('cheap', '0.01'));
    await cross('plans', 'code', [dear.id, cheap.id]);
    const started = new Date(lastMonth().start).toISOString();
    for (const [wanted, total] of [
      [dear.id, '1000.00'],
      [cheap.id, '0.01'],
    ] as const) {
      const { id } = await made('/v1/customers', customer(`of-${wanted}`));
      const subscription = await made('/v1/subscriptions', { customer_id: id, plan: wanted, started_at: started });
      expect(subscription).toMatchObject({ plan_id: wanted });
      expect((await pipeline.closePeriod({ period: lastMonth().name, customer_id: id })).body).toMatchObject({
        state: 'completed',
      });
      expect((await pipeline.api('GET', `/v1/invoices?customer_id=${id}`)).body.items).toMatchObject([{ total }]);
    }
  });

  it.each(['plans', 'meters', 'customers'] as const)(
    'a change of one of the %s is of that one, and so is its entry',
    async (kind) => {
      const bodyOf = { plans: (name: string) => plan(name, '1'), meters: meter, customers: customer }[kind];
      const ids = [
        (await made(`/v1/${kind}`, bodyOf(`patch-1-${kind}`))).id,
        (await made(`/v1/${kind}`, bodyOf(`patch-2-${kind}`))).id,
      ] as const;
      await cross(kind, kind === 'customers' ? 'external_id' : 'code', ids);
      for (const [index, id] of ids.entries()) {
        const name = `Changed ${index}`;
        const requestId = `patch-${kind}-${index}`;
        expect(
          (await pipeline.api('PATCH', `/v1/${kind}/${id}`, { name }, { 'x-request-id': requestId })).body,
        ).toMatchObject({ id, name });
        expect((await pipeline.api('GET', `/v1/audit-log?request_id=${requestId}`)).body.items).toMatchObject([
          { object_id: id },
        ]);
        expect((await pipeline.api('GET', `/v1/${kind}/${id}`)).body).toMatchObject({ id, name, version: 2 });
      }
    },
  );

  it('a meter that is ended is that one', async () => {
    const ids = [(await made('/v1/meters', meter('end-1'))).id, (await made('/v1/meters', meter('end-2'))).id] as const;
    await cross('meters', 'code', ids);
    expect((await pipeline.api('DELETE', `/v1/meters/${ids[1]}`)).status).toBe(204);
    expect((await pipeline.api('GET', `/v1/meters/${ids[1]}`)).status).toBe(404);
    expect((await pipeline.api('GET', `/v1/meters/${ids[0]}`)).body.id).toBe(ids[0]);
    // Its row could not be written anew today, and still may end.
    expect((await pipeline.api('DELETE', `/v1/meters/${ids[0]}`)).status).toBe(204);
  });

  it('an event counts for the customer whose id it names, and for nobody else', async () => {
    await made('/v1/meters', meter('shared'));
    const metered = {
      ...plan('metered', '1'),
      charges: [{ code: 'c', name: 'C', meter: 'shared', price: { model: 'per_unit', unit_amount: '1' } }],
    };
    await made('/v1/plans', metered);
    const ids = [
      (await made('/v1/customers', customer('one'))).id,
      (await made('/v1/customers', customer('two'))).id,
    ] as const;
    const started = new Date(lastMonth().start).toISOString();
    const subscriptions = [];
    for (const id of ids)
      subscriptions.push(
        (await made('/v1/subscriptions', { customer_id: id, plan: 'metered', started_at: started })).id,
      );
    await cross('customers', 'external_id', ids);
    const timestamp = new Date(lastMonth().end - 60_000).toISOString();
    const event = { idempotency_key: 'shared', event: 'work', customer_id: ids[1], timestamp };
    expect((await pipeline.sendEvents(event, { 'x-request-id': 'shared' })).body).toMatchObject({ accepted: 1 });
    const span = `from=${lastMonth().name}-01T00:00:00Z&to=${new Date(lastMonth().end).toISOString()}`;
    const quantityOf = async (path: string) => {
      const { body } = await pipeline.api('GET', `${path}?${span}`);
      return body.items.find((item: { meter: string }) => item.meter === 'shared').quantity;
    };
    await until(
      () => quantityOf(`/v1/customers/${ids[1]}/usage`),
      (quantity) => quantity !== '0',
    );
    for (const [index, expected] of [
      [0, '0'],
      [1, '1'],
    ] as const) {
      expect(await quantityOf(`/v1/customers/${ids[index]}/usage`)).toBe(expected);
      expect(await quantityOf(`/v1/subscriptions/${subscriptions[index]}/usage`)).toBe(expected);
      expect((await pipeline.api('GET', `/v1/subscriptions?customer_id=${ids[index]}`)).body.items).toMatchObject([
        { id: subscriptions[index] },
      ]);
      const found = await pipeline.api(
        'GET',
        `/v1/events?customer_id=${ids[index]}&occurred_at_after=${new Date(lastMonth().end - 3_600_000).toISOString()}`,
      );
      expect(found.body.items).toHaveLength(Number(expected));
    }
    expect((await pipeline.closePeriod({ period: lastMonth().name })).body.state).toBe('completed');
    for (const [index, total] of [
      [0, '0.00'],
      [1, '1.00'],
    ] as const)
      expect((await pipeline.api('GET', `/v1/invoices?customer_id=${ids[index]}`)).body.items).toMatchObject([
        { total },
      ]);
    const [version] = (await pipeline.api('GET', '/v1/events/shared')).body.versions;
    expect(version.billing).toMatchObject([{ state: 'billed', subscription_id: subscriptions[1] }]);
    expect(
      (await pipeline.api('GET', `/v1/reconciliation?from=${new Date(Date.now() - 7_200_000).toISOString()}`)).body
        .total,
    ).toMatchObject({
      billed: 1,
      is_balanced: true,
    });
  });

  it('are told by `npm run verify`, each with its cure, and by themselves are no fault', async () => {
    const { stdout, faults } = await verify(pipeline.databaseUrl);
    // Here they were made past the application, which is the one thing that it finds at fault.
    for (const fault of faults) expect(fault).toMatch(/differs_from_last_entry/);
    const warnings = stdout.split('\n').filter((line) => line.startsWith('WARNING'));
    expect(warnings.length).toBeGreaterThanOrEqual(8);
    for (const line of warnings) expect(line).toMatch(/does not name it: .*; name it by its id/);
  });
});
