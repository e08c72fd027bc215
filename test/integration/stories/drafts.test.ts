/** Stories of drafts by a test clock: what comes in while an invoice waits, and what comes too late. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type Pipeline, startPipeline, until } from '../../support/pipeline.ts';
import { expectRatedAgain } from '../../support/rated-again.ts';
import { call, flat, calls as metered, newPlan, sandboxOfCalls } from '../../support/story-parts.ts';
import { unique } from '../../support/tenants.ts';
import { type Life, lifeFrom, type Sandbox } from '../../support/test-clock.ts';

let pipeline: Pipeline;
let sandbox: Sandbox;
beforeAll(async () => {
  // The watermark of a draft is that of the run which issues it while nobody else sends events.
  pipeline = await startPipeline(inject('serverUrls'));
  sandbox = await sandboxOfCalls(pipeline);
});
afterAll(() => pipeline?.stop());

const calls = metered('0.50');
const fee = flat('fee', '31.00', { timing: 'advance' });
const plan = (...charges: object[]): Promise<string> => newPlan(sandbox, 'USD', charges);
const waitAsDraft = async (draft_minutes: number): Promise<void> => {
  const answer = await sandbox.api('PATCH', '/v1/organization', { invoicing: { draft_minutes } });
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
};

type Invoice = Awaited<ReturnType<typeof one>>;
const drafts = async (customer: string): Promise<Invoice[]> =>
  (await sandbox.api('GET', `/v1/invoices?state=draft&customer_id=${customer}`)).body.items;
const one = async (id: string) => (await sandbox.api('GET', `/v1/invoices/${id}?wait_seconds=25`)).body;
/** Why it is not billed. */
const reasonOf = async ({ idempotency_key: key }: { idempotency_key: string }) =>
  (await sandbox.api('GET', `/v1/events/${key}`)).body.versions?.[0]?.billing[0]?.reason;

describe('a draft', () => {
  it('bills what comes while it waits, and is issued a day after it was made', async () => {
    await waitAsDraft(1_440);
    const basic = await plan(calls, fee);
    const life = await lifeFrom(sandbox, '2027-01-01T00:00:00Z');
    const events = [
      call(life.customer, '2027-01-10T00:00:00Z'),
      call(life.customer, '2027-01-31T23:00:00Z'),
      call(life.customer, '2027-01-31T23:30:00Z'),
    ] as const;
    await sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan: basic });
    await sandbox.send([events[0]]);
    await life.until('2027-02-01T12:00:00Z');
    const [draft, ...more] = await drafts(life.customer);
    expect(more).toEqual([]);
    expect(draft).toMatchObject({
      state: 'draft',
      kind: 'period',
      number: null,
      hash: null,
      issued_at: null,
      subtotal: '31.50',
      finalize_at: '2027-02-02T01:00:00.000Z',
      as_of: '2027-02-01T01:00:00.000Z',
      finalizing_run_id: null,
    });
    expect(await reasonOf(events[0])).toBe('period_open');
    await sandbox.send([events[1]]);
    const seen = await until(
      () => one(draft.id),
      ({ total }) => total === '32.00',
    );
    expect(seen).toMatchObject({ as_of: '2027-02-01T12:00:00.000Z', lines: [{ amount: '1.00' }, { amount: '31.00' }] });
    // Nothing was written by that.
    expect(await drafts(life.customer)).toMatchObject([{ subtotal: '31.50', version: 1 }]);
    await sandbox.send([events[2]]);
    await life.until('2027-02-03T00:00:00Z');
    expect(await life.invoices()).toEqual([
      { at: '2027-01-02T00:00:00Z', total: '31.00', lines: ['fee x1 31.00 2027-01-01..2027-02-01'] },
      {
        at: '2027-02-02T01:00:00Z',
        total: '32.50',
        lines: ['calls x3 1.50 2027-01-01..2027-02-01', 'fee x1 31.00 2027-02-01..2027-03-01'],
      },
    ]);
    expect(await drafts(life.customer)).toEqual([]);
    expect(await one(draft.id)).toMatchObject({ id: draft.id, state: 'issued', finalize_at: null, total: '32.50' });
    const late = call(life.customer, '2027-01-31T23:59:00Z');
    await sandbox.send([late]);
    await until(
      () => reasonOf(late),
      (reason) => reason === 'late',
    );
    await expectRatedAgain(pipeline, sandbox);
  });

  it('waits for whom it was closed, whatever becomes of the subscription and of draft time', async () => {
    await waitAsDraft(2_880);
    const basic = await plan(calls, fee);
    const life = await lifeFrom(sandbox, '2027-01-01T00:00:00Z');
    const { id } = await sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan: basic });
    await life.until('2027-02-01T02:00:00Z');
    await sandbox.made(`/v1/subscriptions/${id}/cancel`, { at: 'now' });
    await waitAsDraft(0);
    await life.until('2027-02-05T00:00:00Z');
    // The month was closed and waits; what is taken back by the end is not: it is issued at once, before that.
    expect((await life.invoices()).map(({ at, lines }) => [at, ...lines])).toEqual([
      ['2027-01-03T00:00:00Z', 'fee x1 31.00 2027-01-01..2027-02-01'],
      [
        '2027-02-01T03:00:00Z',
        'calls x0 0.00 2027-02-01..2027-02-01T02:00Z',
        'fee (unused) x1 -30.91 2027-02-01T02:00Z..2027-03-01',
      ],
      ['2027-02-03T01:00:00Z', 'calls x0 0.00 2027-01-01..2027-02-01', 'fee x1 31.00 2027-02-01..2027-03-01'],
    ]);
  });

  it('is finalized once, when somebody asks for it, with what it says', async () => {
    await waitAsDraft(1_440);
    const life = await lifeFrom(sandbox, '2027-01-01T00:00:00Z');
    await sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan: await plan(fee) });
    await life.until('2027-01-01T06:00:00Z');
    const [draft] = await drafts(life.customer);
    const path = `/v1/invoices/${draft.id}`;
    const said = {
      memo: 'Thank you.',
      purchase_order: 'PO-1',
      custom_fields: [{ name: 'Cost centre', value: '4711' }],
    };
    const changed = await sandbox.api('PATCH', path, { ...said, finalize_at: '2027-01-20T00:00:00Z' });
    expect(changed).toMatchObject({
      status: 200,
      body: { ...said, finalize_at: '2027-01-20T00:00:00.000Z', version: 2 },
    });
    for (const finalize_at of ['2027-01-01T05:59:59Z', '2027-03-01T00:00:00Z', null])
      expect(await sandbox.api('PATCH', path, { finalize_at })).toMatchObject({
        status: 422,
        body: { errors: [{ field: 'finalize_at' }] },
      });
    expect(await sandbox.api('DELETE', path)).toMatchObject({
      status: 409,
      body: { error_code: 'INVOICE_DRAFT_BILLS_PERIODS' },
    });
    await life.until('2027-01-10T00:00:00Z');
    const key = unique();
    const asked = await Promise.all([
      sandbox.api('POST', `${path}/finalize`, undefined, { 'idempotency-key': key }),
      sandbox.api('POST', `${path}/finalize`),
      sandbox.api('POST', `${path}/finalize`),
    ]);
    expect(asked.map(({ status }) => status).toSorted()).toEqual([202, 409, 409]);
    const invoice = await one(draft.id);
    expect(invoice).toMatchObject({ ...said, state: 'issued', issued_at: '2027-01-10T00:00:00Z', total: '31.00' });
    expect(await sandbox.api('POST', `${path}/finalize`)).toMatchObject({
      status: 409,
      body: { error_code: 'INVOICE_NOT_DRAFT' },
    });
    expect(await sandbox.api('PATCH', path, { memo: null })).toMatchObject({ status: 409 });
    await life.until('2027-01-25T00:00:00Z');
    expect(await life.invoices()).toHaveLength(1);
  });
});

const organization = async (settings: object): Promise<void> => {
  const answer = await sandbox.api('PATCH', '/v1/organization', settings);
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
};
/** Of those that the clock asked for. */
const runsOf = async ({ clock }: Life) => {
  const { rows } = await pipeline.asOwner.query<{ id: string; state: string; watermark: bigint; failures: bigint }>(
    `SELECT r.id, r.state, r.watermark,
       (SELECT count(*) FROM rating_failures f WHERE f.run_id = r.id) AS failures
     FROM billing_runs r WHERE r.test_clock_id = $1 ORDER BY r.created_at`,
    [clock],
  );
  return rows;
};

describe('what was rated for a draft binds nobody', () => {
  /** A draft of three calls, and of what is said more; nothing is sent after it. */
  const drafted = async (price: string, ...more: object[]) => {
    await waitAsDraft(1_440);
    const code = await plan({ ...calls, price: { model: 'per_unit', unit_amount: price } }, ...more);
    const life = await lifeFrom(sandbox, '2027-01-01T00:00:00Z');
    await sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan: code });
    await sandbox.send(Array.from({ length: 3 }, () => call(life.customer, '2027-01-10T00:00:00Z')));
    await life.until('2027-02-01T12:00:00Z');
    const [draft] = await drafts(life.customer);
    return { life, code, draft };
  };
  /** At the very watermark of the draft, and in one run more. */
  const expectFinalized = async (life: Life, draft: Invoice, total: string, firstLine: string) => {
    const before = (await runsOf(life)).length;
    expect(await one(draft.id)).toMatchObject({ state: 'draft', total, failure: null });
    await life.until('2027-02-03T00:00:00Z');
    const issued = (await life.invoices()).at(-1);
    expect(issued).toMatchObject({ at: '2027-02-02T01:00:00Z', total });
    expect(issued?.lines[0]).toMatch(firstLine);
    const runs = (await runsOf(life)).slice(before);
    expect(runs).toMatchObject([{ state: 'completed', failures: 0n, watermark: BigInt(draft.periods[0].watermark) }]);
    await expectRatedAgain(pipeline, sandbox);
  };

  it('where another price comes for its time', async () => {
    const { life, code, draft } = await drafted('0.50');
    expect(draft).toMatchObject({ subtotal: '1.50' });
    const { rows } = await pipeline.asOwner.query(
      `SELECT 1 FROM billing_run_shards WHERE draft_lines IS NOT NULL
         AND run_id IN (SELECT id FROM billing_runs WHERE test_clock_id = $1)`,
      [life.clock],
    );
    expect(rows).toEqual([]);
    await sandbox.made('/v1/price-overrides', {
      plan: code,
      charge: 'calls',
      customer_id: life.customer,
      price: { model: 'per_unit', unit_amount: '0.70' },
      effective_from: '2027-01-01T00:00:00Z',
    });
    await expectFinalized(life, draft, '2.10', 'calls x3 2.10 2027-01-01..2027-02-01');
  });

  it('where amounts are rounded otherwise', async () => {
    const { life, draft } = await drafted('0.015', fee);
    // 0.045.
    expect(draft).toMatchObject({ subtotal: '31.05' });
    await organization({ rounding: 'half_even' });
    await expectFinalized(life, draft, '31.04', 'calls x3 0.04 2027-01-01..2027-02-01');
    await organization({ rounding: 'half_up' });
  });

  it('and what can not be rated is tried again after pauses that grow, says why, and is issued once it can be', async () => {
    const { life, code, draft } = await drafted('0.50', fee);
    const write = (charges: unknown) =>
      pipeline.asOwner.transaction(async ({ query }) => {
        await query("SET LOCAL session_replication_role = 'replica'");
        await query('UPDATE plan_versions SET charges = $1 WHERE plan_id = (SELECT id FROM plans WHERE code = $2)', [
          JSON.stringify(charges),
          code,
        ]);
      });
    const { rows } = await pipeline.asOwner.query<{ charges: { price: object }[] }>(
      'SELECT charges FROM plan_versions WHERE plan_id = (SELECT id FROM plans WHERE code = $1)',
      [code],
    );
    const charges = rows[0]?.charges ?? [];
    const before = (await runsOf(life)).length;
    await write(charges.map((charge) => ({ ...charge, price: { model: 'gone' } })));
    await life.until('2027-02-07T00:00:00Z');
    // At 1, 2, 6 and 22 o'clock, and then each day at 22 o'clock.
    expect((await runsOf(life)).slice(before)).toHaveLength(8);
    const [waiting] = await drafts(life.customer);
    expect(waiting).toMatchObject({ id: draft.id, finalize_at: '2027-02-07T22:00:00.000Z', finalizing_run_id: null });
    expect(waiting.failure).toMatch(/model/);
    await write(charges);
    await life.until('2027-02-08T00:00:00Z');
    expect((await life.invoices())[1]).toMatchObject({ at: '2027-02-07T22:00:00Z', total: '32.50' });
    await expectRatedAgain(pipeline, sandbox);
  });
});

describe('a preview', () => {
  it('is what will be issued, to the byte of each line, and writes nothing', async () => {
    await waitAsDraft(0);
    const life = await lifeFrom(sandbox, '2027-01-01T00:00:00Z');
    const { id } = await sandbox.made('/v1/subscriptions', {
      customer_id: life.customer,
      plan: await plan(calls, fee),
    });
    await life.until('2027-01-10T00:00:00Z');
    await sandbox.send(Array.from({ length: 3 }, () => call(life.customer, '2027-01-09T00:00:00Z')));
    const preview = async (body: object) => (await sandbox.api('POST', '/v1/invoices/preview', body)).body;
    const next = await until(
      () => preview({ customer_id: life.customer }),
      ({ invoices }) => invoices[0]?.total === '32.50',
    );
    expect(next).toMatchObject({
      as_of: '2027-01-10T00:00:00.000Z',
      invoices: [{ due_at: '2027-02-01T00:00:00.000Z' }],
    });
    expect(await preview({ subscription_id: id })).toMatchObject({ invoices: next.invoices });
    const spring = await preview({ customer_id: life.customer, at: '2027-03-01T00:00:00Z' });
    expect(spring.invoices.map(({ due_at, total }: { due_at: string; total: string }) => [due_at, total])).toEqual([
      ['2027-02-01T00:00:00.000Z', '32.50'],
      ['2027-03-01T00:00:00.000Z', '31.00'],
    ]);
    expect(await life.invoices()).toHaveLength(1);
    await life.until('2027-02-02T00:00:00Z');
    const { body } = await sandbox.api('GET', `/v1/invoices?customer_id=${life.customer}&sort=-number`);
    expect((await one(body.items[0].id)).lines).toEqual(next.invoices[0].lines);
    for (const asked of [{}, { customer_id: life.customer, subscription_id: id }])
      expect((await sandbox.api('POST', '/v1/invoices/preview', asked)).status).toBe(422);
    const far = { subscription_id: id, at: '2028-03-01T00:00:00Z' };
    expect((await sandbox.api('POST', '/v1/invoices/preview', far)).status).toBe(422);
  });
});

describe('what is said beside the lines', () => {
  it('is told by previews and drafts as it will be issued, and follows the customer until it is', async () => {
    await waitAsDraft(1_440);
    const entity = await sandbox.made('/v1/issuing-entities', {
      legal_name: 'Terms GmbH',
      number_format: { prefix: `T${unique().toUpperCase()}-` },
    });
    const life = await lifeFrom(sandbox, '2027-01-01T00:00:00Z');
    const terms = { memo: 'Thank you', purchase_order: 'PO-1', custom_fields: [{ name: 'Cost center', value: '7' }] };
    const changed = async (body: object) =>
      expect((await sandbox.api('PATCH', `/v1/customers/${life.customer}`, body)).status).toBe(200);
    await changed({ issuing_entity_id: entity.id, payment_terms: { days: 14 }, invoice_defaults: terms });
    await sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan: await plan(calls, fee) });
    const said = {
      ...terms,
      issuing_entity_id: entity.id,
      seller: { legal_name: 'Terms GmbH', address: null, tax_ids: [] },
      payment_terms: { days: 14 },
    };
    const preview = await sandbox.api('POST', '/v1/invoices/preview', { customer_id: life.customer });
    expect(preview.body.invoices).toMatchObject([said]);
    await life.until('2027-01-01T12:00:00Z');
    const [draft] = await drafts(life.customer);
    expect(draft).toMatchObject({ ...said, due_at: null });
    expect(await one(draft.id)).toMatchObject(said);
    const patched = await sandbox.api('PATCH', `/v1/invoices/${draft.id}`, { memo: 'Its own' });
    expect(patched.body).toMatchObject({ ...said, memo: 'Its own' });
    const lines = [{ description: 'Another', amount: '1.00' }];
    expect((await sandbox.api('PATCH', `/v1/invoices/${draft.id}`, { lines })).body.errors).toMatchObject([
      { field: 'lines', code: 'not_allowed' },
    ]);
    await changed({ payment_terms: { days: 30 }, invoice_defaults: { ...terms, purchase_order: 'PO-2' } });
    const last = { ...said, memo: 'Its own', purchase_order: 'PO-2', payment_terms: { days: 30 } };
    expect(await one(draft.id)).toMatchObject(last);
    await life.until('2027-01-03T00:00:00Z');
    expect(await one(draft.id)).toMatchObject({ ...last, state: 'issued', due_at: '2027-02-01T00:00:00Z' });
  });
});

describe('a one-off invoice', () => {
  const customer = async (): Promise<string> => {
    const externalId = `c-${unique()}`;
    await sandbox.made('/v1/customers', { external_id: externalId, name: 'A customer' });
    return externalId;
  };

  it('is issued at once with exact amounts, and bills no period', async () => {
    const customer_id = await customer();
    const lines = [
      { description: 'Workshop', unit_amount: '180.00', quantity: '6' },
      { description: 'Tokens', unit_amount: '0.000000000001', quantity: '5000000000' },
      { description: 'Goodwill', amount: '-50.00' },
      {
        description: 'Setup',
        amount: '20',
        service_period: { start: '2027-01-01T00:00:00Z', end: '2027-02-01T00:00:00Z' },
      },
    ];
    const made = await sandbox.made('/v1/invoices', {
      customer_id,
      currency: 'USD',
      lines,
      memo: 'Once',
      finalize: true,
    });
    expect(made).toMatchObject({ kind: 'one_off', state: 'draft', subtotal: '1050.01' });
    const invoice = await one(made.id);
    expect(invoice).toMatchObject({
      state: 'issued',
      kind: 'one_off',
      memo: 'Once',
      periods: [],
      total: '1050.01',
      lines: [
        { kind: 'item', charge_code: null, quantity: '6', unit_amount: '180', amount: '1080.00' },
        { precise_amount: '0.005', amount: '0.01' },
        { quantity: '1', unit_amount: null, amount: '-50.00' },
        { amount: '20.00', service_period: { start: '2027-01-01T00:00:00Z', end: '2027-02-01T00:00:00Z' } },
      ],
    });
  });

  it('is changed in its lines while it is a draft, by whoever knows its version', async () => {
    const code = `t-${unique()}`;
    await sandbox.made('/v1/tax-rates', { code, name: 'Tax', percentage: '10' });
    const customer_id = `c-${unique()}`;
    const tax = { treatment: 'taxable', rates: [code] };
    await sandbox.made('/v1/customers', { external_id: customer_id, name: 'A customer', tax });
    const workshop = { description: 'Workshop', unit_amount: '180.00', quantity: '6' };
    const goodwill = { description: 'Goodwill', amount: '-50.00' };
    const { id } = await sandbox.made('/v1/invoices', { customer_id, currency: 'USD', lines: [workshop, goodwill] });
    expect(await one(id)).toMatchObject({ version: 1, subtotal: '1030.00', tax_total: '103.00', total: '1133.00' });
    const change = (lines: object[], version = '*') =>
      sandbox.api('PATCH', `/v1/invoices/${id}`, { lines }, { 'if-match': version });
    const service_period = { start: '2027-01-01T00:00:00Z', end: '2027-02-01T00:00:00Z' };
    const two = { ...workshop, description: 'Workshop, two days', quantity: '12.5' };
    const setup = { description: 'Setup', amount: '20', service_period, tax_category: 'travel' };
    const changed = await change([two, setup], '"1"');
    // 2250.00 and 20.00, and a tenth of them.
    const sums = { version: 2, subtotal: '2270.00', tax_total: '227.00', total: '2497.00' };
    expect(changed).toMatchObject({ status: 200, body: { ...sums, state: 'draft' } });
    expect(await one(id)).toMatchObject({
      ...sums,
      lines: [
        { description: 'Workshop, two days', quantity: '12.5', unit_amount: '180', amount: '2250.00' },
        { description: 'Setup', unit_amount: null, amount: '20.00', service_period, tax_category: 'travel' },
      ],
    });
    expect((await drafts(customer_id))[0]).toMatchObject(sums);
    expect((await change([workshop], '"1"')).status).toBe(412);
    expect(await change([workshop, { description: 'A', amount: '0.001' }])).toMatchObject({
      status: 422,
      body: { errors: [{ field: 'lines[1].amount', code: 'too_precise' }] },
    });
    for (const lines of [[], [goodwill]]) expect((await change(lines)).status).toBe(422);
    const asked = Array.from({ length: 6 }, (_, index) => change([{ ...setup, amount: `${index + 1}.00` }], '"2"'));
    const answers = await Promise.all(asked);
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 412, 412, 412, 412, 412]);
    const last = answers.find(({ status }) => status === 200)?.body;
    expect(await one(id)).toMatchObject({ version: 3, subtotal: last.subtotal });
    expect((await sandbox.api('POST', `/v1/invoices/${id}/finalize`)).status).toBe(202);
    const issued = await one(id);
    expect(issued).toMatchObject({ state: 'issued', subtotal: last.subtotal, total: last.total });
    expect(issued.lines).toMatchObject([{ description: 'Setup', tax_category: 'travel' }]);
    expect((await change([workshop])).body).toMatchObject({
      error_code: 'INVOICE_IMMUTABLE',
      errors: [{ field: 'lines' }],
    });
    const { items } = (await sandbox.api('GET', `/v1/audit-log?object_id=${id}&object_type=invoice_draft`)).body;
    expect(items.map(({ action }: { action: string }) => action.split('.')[1])).toEqual([
      'issued',
      'finalizing',
      'updated',
      'updated',
      'created',
    ]);
  });

  it('is deleted while it is a draft, and tells all that is wrong with it at once', async () => {
    const customer_id = await customer();
    const line = { description: 'A', amount: '1.00' };
    const { id } = await sandbox.made('/v1/invoices', { customer_id, currency: 'USD', lines: [line] });
    expect((await sandbox.api('DELETE', `/v1/invoices/${id}`)).status).toBe(204);
    expect((await sandbox.api('GET', `/v1/invoices/${id}`)).status).toBe(404);
    expect((await sandbox.api('POST', `/v1/invoices/${id}/finalize`)).status).toBe(404);
    expect(await drafts(customer_id)).toEqual([]);
    const refused = async (lines: object[]) => {
      const { status, body } = await sandbox.api('POST', '/v1/invoices', { customer_id, currency: 'USD', lines });
      expect(status, JSON.stringify(body)).toBe(422);
      return body.errors.map(({ field, code }: { field: string; code: string }) => `${field} ${code}`);
    };
    expect(
      await refused([
        { description: 'A', amount: '1.005' },
        { description: 'B' },
        { description: 'C', unit_amount: '1' },
        { description: 'D', amount: 'x', quantity: '1' },
        { description: 'E', unit_amount: '1', quantity: '-1' },
        {
          description: 'F',
          amount: '1',
          service_period: { start: '2027-01-02T00:00:00Z', end: '2027-01-01T00:00:00Z' },
        },
      ]),
    ).toEqual([
      'lines[0].amount too_precise',
      'lines[1].amount missing',
      'lines[2].quantity missing',
      'lines[3].quantity not_allowed',
      'lines[3].amount not_a_decimal',
      'lines[4].quantity not_a_decimal',
      'lines[5].service_period.end out_of_range',
    ]);
    const described = ['', ' ', '\u00a0\u2003', 'a\tb', ` ${'x'.repeat(255)}`, ' Travel '];
    expect(await refused(described.map((description) => ({ ...line, description })))).toEqual([
      'lines[0].description wrong_format',
      'lines[1].description wrong_format',
      'lines[2].description wrong_format',
      'lines[3].description wrong_format',
      'lines[4].description wrong_length',
    ]);
    expect(await refused([line, { description: 'B', amount: '-1.01' }])).toEqual(['lines out_of_range']);
  });

  it('has ten thousand lines', async () => {
    const lines = Array.from({ length: 10_000 }, (_, at) => ({ description: `Item ${at}`, amount: '0.01' }));
    const { id } = await sandbox.made('/v1/invoices', {
      customer_id: await customer(),
      currency: 'USD',
      lines,
      finalize: true,
    });
    const invoice = await one(id);
    expect([invoice.state, invoice.lines.length, invoice.total]).toEqual(['issued', 10_000, '100.00']);
  });
});
