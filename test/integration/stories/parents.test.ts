/** Customers that are billed on the invoice of the one that they belong to. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { lastMonth, type Pipeline, until } from '../../support/pipeline.ts';
import { sharedPipeline } from '../../support/shared-pipeline.ts';
import { unique } from '../../support/tenants.ts';
import { type Life, lifeFrom, type Sandbox, sandboxOf } from '../../support/test-clock.ts';
import { verify } from '../../support/verify-command.ts';

let pipeline: Pipeline;
let sandbox: Sandbox;
let live: Sandbox;
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
  sandbox = await sandboxOf(pipeline);
  live = {
    ...sandbox,
    api: pipeline.api,
    made: async (path, body) => {
      const made = await pipeline.api('POST', path, body);
      expect(made.status, JSON.stringify(made.body)).toBeLessThan(300);
      return made.body;
    },
  };
  for (const world of [sandbox, live]) {
    await world.made('/v1/meters', { code: 'calls', name: 'Calls', event: 'call', aggregation: 'count' });
    const EUR = { model: 'flat', amount: '9.00' };
    const fee = { code: 'fee', name: 'fee', timing: 'advance', price: { model: 'flat', amount: '10.00' } };
    const calls = { code: 'calls', name: 'calls', meter: 'calls', price: { model: 'per_unit', unit_amount: '0.10' } };
    const plan = (code: string, ...charges: object[]) =>
      world.made('/v1/plans', { code, name: code, currency: 'USD', charges });
    await plan('fee', fee);
    await plan('used', fee, calls);
    await plan('arrears', { ...fee, timing: 'arrears' });
    await plan('either', { ...fee, currency_options: { EUR } });
  }
});
afterAll(() => pipeline?.stop());

type Body = Awaited<ReturnType<Sandbox['made']>>;

const patch = async ({ api }: Sandbox, id: string, body: object): Promise<Body> => {
  const answer = await api('PATCH', `/v1/customers/${id}`, body);
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return answer.body;
};

/** The id of a customer below another one, by the same clock. */
const childOf = async (parent: string, clock: string, more: object = {}): Promise<string> => {
  const body = { external_id: `c-${unique()}`, name: 'A child', invoicing: 'consolidated', ...more };
  const { id } = await sandbox.made('/v1/customers', body);
  await sandbox.made(`/v1/test-clocks/${clock}/customers`, { customer_id: id });
  await patch(sandbox, id, { parent_id: parent });
  return id;
};

const subscribe = (world: Sandbox, customer_id: string, plan: string, more: object = {}) =>
  world.made('/v1/subscriptions', { customer_id, plan, ...more });

const idOf = async ({ api }: Sandbox, name: string): Promise<string> =>
  (await api('GET', `/v1/customers/${name}`)).body.id;

/** What a customer is billed: `at currency total: whose line amount, ...`, in the order of time. */
const billsOf = async ({ api }: Sandbox, customer: string, names: Readonly<Record<string, string>>) => {
  const { body } = await api('GET', `/v1/invoices?customer_id=${customer}&sort=number&limit=1000`);
  const bills: string[] = [];
  for (const { id } of body.items) {
    const { body: invoice } = await api('GET', `/v1/invoices/${id}`);
    const lines = invoice.lines.map((line: Body) => `${names[line.customer_id]} ${line.charge_code} ${line.amount}`);
    bills.push(`${invoice.issued_at} ${invoice.currency} ${invoice.total}: ${lines.join(', ')}`);
  }
  return bills;
};

describe('a family on a test clock', () => {
  let life: Life;
  let parent: string;
  const child: Record<'a' | 'b' | 'grand', string> = { a: '', b: '', grand: '' };
  const names: Record<string, string> = {};
  let used: string;

  beforeAll(async () => {
    life = await lifeFrom(sandbox, '2027-01-01T00:00:00Z', { invoicing: 'consolidated' });
    parent = await idOf(sandbox, life.customer);
    child.a = await childOf(parent, life.clock);
    child.b = await childOf(parent, life.clock, { invoicing: 'per_subscription' });
    child.grand = await childOf(child.a, life.clock);
    Object.assign(names, { [parent]: 'parent', [child.a]: 'a', [child.b]: 'b', [child.grand]: 'grand' });
    await subscribe(sandbox, parent, 'fee');
    await subscribe(sandbox, child.a, 'used');
    await subscribe(sandbox, child.b, 'fee');
    const { id } = await subscribe(sandbox, child.grand, 'fee');
    await subscribe(sandbox, child.grand, 'either', { currency: 'EUR' });
    used = unique();
    const call = (key: string) => ({
      idempotency_key: key,
      event: 'call',
      customer_id: child.a,
      timestamp: '2027-01-10T00:00:00Z',
    });
    await sandbox.send([used, ...Array.from({ length: 6 }, unique)].map(call));
    await life.until('2027-01-16T12:00:00Z');
    // From here on it is under one that is billed for itself.
    await patch(sandbox, child.grand, { parent_id: child.b });
    await sandbox.made(`/v1/subscriptions/${id}/cancel`, { at: 'now' });
    await life.until('2027-02-02T00:00:00Z');
  });

  it('has one invoice for all that falls due together in a currency, and what was charged goes back where it was', async () => {
    // The parent has no usage, and waits with its child for late events.
    expect(await billsOf(sandbox, parent, names)).toEqual([
      '2027-01-01T00:00:00Z USD 30.00: parent fee 10.00, a fee 10.00, grand fee 10.00',
      '2027-01-01T00:00:00Z EUR 9.00: grand fee 9.00',
      '2027-01-16T12:00:00Z USD -5.00: grand fee -5.00',
      '2027-02-01T01:00:00Z USD 20.70: parent fee 10.00, a calls 0.70, a fee 10.00',
    ]);
    expect(await billsOf(sandbox, child.b, names)).toEqual([
      '2027-01-01T00:00:00Z USD 10.00: b fee 10.00',
      '2027-02-01T00:00:00Z EUR 9.00: grand fee 9.00',
      '2027-02-01T00:00:00Z USD 10.00: b fee 10.00',
    ]);
    for (const customer of [child.a, child.grand]) expect(await billsOf(sandbox, customer, names)).toEqual([]);
  });

  it('shows a child the invoices that it is on, and exports its part of them alone', async () => {
    const listed = async (id: string) => (await sandbox.api('GET', `/v1/customers/${id}/invoices?sort=number`)).body;
    const own = await listed(child.grand);
    expect(own.items.map((one: Body) => `${names[one.customer_id]} ${one.currency} ${one.total}`)).toEqual([
      'parent USD 30.00',
      'parent EUR 9.00',
      'parent USD -5.00',
      'b EUR 9.00',
    ]);
    expect(own.pagination.total).toBe(4);
    const page = await sandbox.api('GET', `/v1/customers/${child.grand}/invoices?sort=number&limit=3`);
    const rest = `/v1/customers/${child.grand}/invoices?sort=number&limit=3&cursor=${page.body.pagination.next_cursor}`;
    expect((await sandbox.api('GET', rest)).body.items).toEqual(own.items.slice(3));
    const { body: exported } = await sandbox.api('GET', `/v1/customers/${child.grand}/export`);
    expect(exported.invoices).toEqual([]);
    const amounts = exported.billed_to.map(({ customer_id, periods, lines }: Body) => [
      names[customer_id],
      ...[...periods, ...lines].map((one: Body) => `${names[one.customer_id]} ${one.amount ?? 'period'}`),
    ]);
    expect(amounts).toEqual([
      ['parent', 'grand period', 'grand 10.00'],
      ['parent', 'grand period', 'grand 9.00'],
      ['parent', 'grand period', 'grand -5.00'],
      ['b', 'grand period', 'grand 9.00'],
    ]);
    const { body: whole } = await sandbox.api('GET', `/v1/customers/${parent}/export`);
    expect([whole.invoices.length, whole.billed_to]).toEqual([4, []]);
  });

  it('knows where the usage of a child is billed, explains it, and all of it verifies', async () => {
    const { body } = await sandbox.api('GET', `/v1/invoices?customer_id=${parent}&sort=-number&limit=1`);
    const [{ id }] = body.items;
    const fate = await until(
      () => sandbox.api('GET', `/v1/events/${used}`),
      ({ body }) => body.versions?.[0]?.billing?.[0]?.state === 'billed',
    );
    expect(fate.body.versions[0].billing).toMatchObject([{ invoice_id: id, line_position: 2 }]);
    const explained = await sandbox.api('GET', `/v1/invoices/${id}/line-items/2/explain`);
    expect(explained.body).toMatchObject({
      input: { customer_id: child.a },
      hashes: { is_as_rated: true },
      events: { count: '7' },
    });
    const { body: reconciled } = await until(
      () => sandbox.api('GET', '/v1/reconciliation'),
      ({ body }) => body.total?.billed >= 7,
    );
    expect(reconciled.total).toMatchObject({ billed: 7 });
    expect((await verify(pipeline.databaseUrl)).faults).toEqual([]);
    const store = { CLICKHOUSE_URL: pipeline.clickhouseUrl };
    expect((await verify(pipeline.databaseUrl, [], 'rater/verify/rating.main.ts', store)).faults).toEqual([]);
  });

  it('lives by one clock: who has relatives is not attached to another, and nobody is put under one of another', async () => {
    const { id: clock } = await sandbox.made('/v1/test-clocks', {});
    for (const customer_id of [parent, child.a]) {
      const { status, body } = await sandbox.api('POST', `/v1/test-clocks/${clock}/customers`, { customer_id });
      expect([status, body.error_code]).toEqual([409, 'CUSTOMER_IN_USE']);
    }
    const stranger = await sandbox.made('/v1/customers', { external_id: `c-${unique()}`, name: 'No clock' });
    const faults = [{ field: 'parent_id', code: 'not_allowed' }];
    const under = { external_id: `c-${unique()}`, name: 'Under', parent_id: parent };
    for (const answer of [
      await sandbox.api('PATCH', `/v1/customers/${stranger.id}`, { parent_id: parent }),
      await sandbox.api('PATCH', `/v1/customers/${parent}`, { parent_id: stranger.id }),
      await sandbox.api('POST', '/v1/customers', under),
    ])
      expect([answer.status, answer.body.errors]).toMatchObject([422, faults]);
    // Of an attachment and a placement at the same moment, one is refused.
    const [one, other] = await Promise.all(
      [1, 2].map(() => sandbox.made('/v1/customers', { external_id: `c-${unique()}`, name: 'Racing' })),
    );
    const race = await Promise.all([
      sandbox.api('POST', `/v1/test-clocks/${clock}/customers`, { customer_id: one.id }),
      sandbox.api('PATCH', `/v1/customers/${other.id}`, { parent_id: one.id }),
    ]);
    expect(race.filter(({ status }) => status < 300)).toHaveLength(1);
  });

  it('of five levels is one invoice of the top one, and a child may be archived before its last bill', async () => {
    const top = await lifeFrom(sandbox, '2027-01-01T00:00:00Z');
    const line = [await idOf(sandbox, top.customer)];
    for (let level = 1; level < 5; level += 1) line.push(await childOf(line[level - 1] ?? '', top.clock));
    const [first = '', , , , lowest = ''] = line;
    for (const id of line) await subscribe(sandbox, id, 'arrears');
    await top.until('2027-02-01T00:00:00Z');
    const letters = Object.fromEntries(line.map((id, level) => [id, String(level)]));
    expect(await billsOf(sandbox, first, letters)).toEqual([
      '2027-02-01T00:00:00Z USD 40.00: 1 fee 10.00, 2 fee 10.00, 3 fee 10.00, 4 fee 10.00',
      '2027-02-01T00:00:00Z USD 10.00: 0 fee 10.00',
    ]);
    const { body } = await sandbox.api('GET', `/v1/subscriptions?customer_id=${lowest}`);
    await sandbox.made(`/v1/subscriptions/${body.items[0].id}/cancel`, { at: 'now' });
    await top.until('2027-02-01T01:00:00Z');
    await sandbox.made(`/v1/customers/${lowest}/archive`, {});
    const refused = await sandbox.api('POST', `/v1/customers/${first}/erase`, {});
    expect([refused.status, refused.body.error_code]).toEqual([409, 'CUSTOMER_IN_USE']);
  });
});

describe('a run of one customer', () => {
  const month = lastMonth();
  const started_at = new Date(month.start).toISOString();
  const made = async (more: object = {}): Promise<string> =>
    (await live.made('/v1/customers', { external_id: `c-${unique()}`, name: 'C', ...more })).id;
  const totals = async (customer: string): Promise<string[]> =>
    (await live.api('GET', `/v1/invoices?customer_id=${customer}&sort=number`)).body.items.map(
      ({ total }: Body) => total,
    );

  it.each([{}, { period: month.name }])(
    'takes what is billed to it, and of a child its own, on the invoice of the parent: %j',
    async (of) => {
      const parent = await made();
      const children: string[] = [];
      for (let number = 0; number < 3; number += 1)
        children.push(await made({ parent_id: parent, invoicing: 'consolidated' }));
      const own = await made({ parent_id: parent });
      for (const id of [parent, own, ...children]) await subscribe(live, id, 'arrears', { started_at });
      const dry = await live.made('/v1/rating-runs', { period: month.name, customer_id: parent });
      const rated = await live.api('GET', `/v1/rating-runs/${dry.id}?wait_seconds=25`);
      expect(rated.body.totals).toMatchObject([{ currency: 'USD', amount: '40.00' }]);
      const first = await pipeline.closePeriod({ ...of, customer_id: children[0] });
      expect(first.body).toMatchObject({ state: 'completed', invoices_issued: 1 });
      expect(await totals(parent)).toEqual(['10.00']);
      // Where nobody had moved they stay with the parent; the time was cut before.
      const both = await Promise.all([1, 2].map(() => pipeline.closePeriod({ ...of, customer_id: parent })));
      expect(both.map(({ body }) => body.state)).toEqual(['completed', 'completed']);
      expect((await totals(parent)).toSorted()).toEqual(['10.00', '10.00', '20.00']);
      expect(await totals(own)).toEqual([]);
    },
    60_000,
  );

  it('what was cut stays with its payer when the child is moved before it is issued', async () => {
    const [before, after] = [await made(), await made()];
    const child = await made({ parent_id: before, invoicing: 'consolidated' });
    await subscribe(live, child, 'arrears', { started_at });
    const run = { period: month.name, customer_id: child };
    // A run that can't rate it leaves the time cut and open.
    const break_ = (charges: unknown) =>
      pipeline.asOwner.transaction(async ({ query }) => {
        await query("SET LOCAL session_replication_role = 'replica'");
        await query(
          `UPDATE plan_versions v SET charges = $1
           FROM plans p JOIN customers c ON c.organization_id = p.organization_id
           WHERE v.plan_id = p.id AND p.code = 'arrears' AND c.id = $2`,
          [JSON.stringify(charges), child],
        );
      });
    const { rows } = await pipeline.asOwner.query<{ charges: { price: object }[] }>(
      `SELECT v.charges FROM plan_versions v JOIN plans p ON p.id = v.plan_id
       JOIN customers c ON c.organization_id = p.organization_id WHERE p.code = 'arrears' AND c.id = $1`,
      [child],
    );
    const charges = rows[0]?.charges ?? [];
    await break_(charges.map((charge) => ({ ...charge, price: { model: 'gone' } })));
    expect((await pipeline.closePeriod(run)).body).toMatchObject({ failures: 1, invoices_issued: 0 });
    await break_(charges);
    await patch(live, child, { parent_id: after });
    expect((await pipeline.closePeriod(run)).body).toMatchObject({ failures: 0, invoices_issued: 1 });
    expect([await totals(before), await totals(after)]).toEqual([['10.00'], []]);
  });

  it('2,000 subscriptions of children are one invoice, whose numbers and hashes hold', async () => {
    const parent = await made();
    const child = await made({ parent_id: parent, invoicing: 'consolidated' });
    const { id } = await subscribe(live, child, 'arrears', { started_at });
    await pipeline.asOwner.transaction(async ({ query }) => {
      await query(
        `INSERT INTO customers SELECT (jsonb_populate_record(c, jsonb_build_object('id', 'cus_' || md5(n::text),
           'external_id', 'many-' || n, 'name', 'Many', 'personal', null))).*
         FROM customers c CROSS JOIN generate_series(2, 2000) AS n WHERE c.id = $1`,
        [child],
      );
      await query(
        `INSERT INTO subscriptions SELECT (jsonb_populate_record(s, jsonb_build_object('id', 'sub_' || md5(n::text),
           'customer_id', 'cus_' || md5(n::text)))).*
         FROM subscriptions s CROSS JOIN generate_series(2, 2000) AS n WHERE s.id = $1`,
        [id],
      );
    });
    const run = await pipeline.closePeriod({ period: month.name, customer_id: parent });
    expect(run.body).toMatchObject({ state: 'completed', invoices_issued: 1, failures: 0 });
    expect(await totals(parent)).toEqual(['20000.00']);
    const { body } = await live.api('GET', `/v1/invoices?customer_id=${parent}`);
    expect(new Set(body.items[0].periods.map(({ customer_id }: Body) => customer_id)).size).toBe(2000);
    const { rows } = await pipeline.asOwner.query<{ shards: bigint }>(
      'SELECT count(*) AS shards FROM billing_run_shards WHERE run_id = $1',
      [run.body.id],
    );
    expect(rows).toEqual([{ shards: 1n }]);
  });
});
