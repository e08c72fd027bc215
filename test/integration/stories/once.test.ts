/** Stories of what is charged once, by a test clock, with their exact bills. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { Pipeline } from '../../support/pipeline.ts';
import { expectRatedAgain } from '../../support/rated-again.ts';
import { sharedPipeline } from '../../support/shared-pipeline.ts';
import { unique } from '../../support/tenants.ts';
import { type Life, lifeFrom, type Sandbox, sandboxOf } from '../../support/test-clock.ts';

let pipeline: Pipeline;
let sandbox: Sandbox;
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
  sandbox = await sandboxOf(pipeline);
});
afterAll(() => pipeline?.stop());

const flat = (code: string, amount: string, timing: string) => ({
  code,
  name: code,
  timing,
  price: { model: 'flat', amount },
});
const seats = (code: string, unit_amount: string, timing: string) => ({
  code,
  name: code,
  seats: true,
  timing,
  price: { model: 'per_unit', unit_amount },
});
const planOf = async (body: { charges: object[] } & Record<string, unknown>): Promise<string> => {
  const code = `p-${unique()}`;
  await sandbox.made('/v1/plans', { code, name: code, currency: 'USD', ...body });
  return code;
};
const plan = (...charges: object[]) => planOf({ charges });
const subscribed = (life: Life, planCode: string, more: object = {}) =>
  sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan: planCode, ...more });
const change = (id: string, path: string, body: object) => sandbox.made(`/v1/subscriptions/${id}/${path}`, body);
const shown = async (life: Life) => (await life.invoices()).map(({ at, lines }) => [at, ...lines]);

describe('a setup fee', () => {
  it('is due when the trial is over, by the seats of then, and never again', async () => {
    const team = await plan(
      flat('setup', '99.00', 'once'),
      seats('training', '15.00', 'once'),
      seats('seats', '31.00', 'advance'),
    );
    const life = await lifeFrom(sandbox, '2027-01-01T00:00:00Z');
    const { id } = await subscribed(life, team, { seats: 2, trial: { days: 16 } });
    await life.until('2027-01-10T00:00:00Z');
    await change(id, 'seats', { quantity: 3 });
    await life.until('2027-01-20T00:00:00Z');
    await change(id, 'seats', { quantity: 10, at: 'period_end' });
    await life.until('2027-02-05T00:00:00Z');
    await change(id, 'pause', { invoice: 'now' });
    await life.until('2027-02-10T00:00:00Z');
    await change(id, 'cancel', { at: 'now' });
    await life.until('2027-03-02T00:00:00Z');
    // 310.00 for 10 seats in February, of which 44.29 are of four days: 265.71 are given back.
    expect(await shown(life)).toEqual([
      [
        '2027-01-17T00:00:00Z',
        'seats x3 45.00 2027-01-17..2027-02-01',
        'setup x1 99.00 2027-01-17..2027-01-17T00:00:00.001Z',
        'training x3 45.00 2027-01-17..2027-01-17T00:00:00.001Z',
      ],
      ['2027-02-01T00:00:00Z', 'seats x10 310.00 2027-02-01..2027-03-01'],
      ['2027-02-05T00:00:00Z', 'seats (unused) x10 -265.71 2027-02-05..2027-03-01'],
    ]);
  });

  it('is charged once by each plan, and not when a plan is changed away and back, nor for another version', async () => {
    const basic = await plan(flat('setup', '50.00', 'once'), flat('basic', '30.00', 'advance'));
    const pro = await plan(flat('setup', '80.00', 'once'), flat('pro', '60.00', 'advance'));
    const life = await lifeFrom(sandbox, '2027-04-01T00:00:00Z');
    const { id } = await subscribed(life, basic);
    await life.until('2027-04-11T00:00:00Z');
    const upgrade = await sandbox.api('POST', `/v1/subscriptions/${id}/change-plan?preview=true`, { plan: pro });
    expect(upgrade.body.preview).toMatchObject({
      total: '100.00',
      lines: [
        { description: 'basic (unused)', amount: '-20.00' },
        { description: 'pro', amount: '40.00' },
        { description: 'setup', amount: '80.00', timing: 'once', due_at: '2027-05-01T00:00:00.000Z' },
      ],
    });
    await change(id, 'change-plan', { plan: pro });
    await life.until('2027-04-21T00:00:00Z');
    const back = await sandbox.api('POST', `/v1/subscriptions/${id}/change-plan?preview=true`, { plan: basic });
    expect(back.body.preview.lines.map(({ timing }: { timing: string }) => timing)).not.toContain('once');
    await change(id, 'change-plan', { plan: basic, invoice: 'now' });
    await life.until('2027-05-11T00:00:00Z');
    await sandbox.api('PATCH', `/v1/plans/${basic}`, {
      charges: [flat('setup', '55.00', 'once'), flat('basic', '31.00', 'advance')],
    });
    await change(id, 'change-plan', { plan: basic, at: 'period_end' });
    await life.until('2027-06-10T00:00:00Z');
    await change(id, 'change-plan', { plan: pro, at: 'period_end' });
    await life.until('2027-07-02T00:00:00Z');
    expect(await shown(life)).toEqual([
      [
        '2027-04-01T00:00:00Z',
        'basic x1 30.00 2027-04-01..2027-05-01',
        'setup x1 50.00 2027-04-01..2027-04-01T00:00:00.001Z',
      ],
      [
        '2027-05-01T00:00:00Z',
        'basic (unused) x1 -10.00 2027-04-11..2027-04-21',
        'pro x1 20.00 2027-04-11..2027-04-21',
        'basic x1 30.00 2027-05-01..2027-06-01',
        'setup x1 80.00 2027-04-11..2027-04-11T00:00:00.001Z',
      ],
      ['2027-06-01T00:00:00Z', 'basic x1 31.00 2027-06-01..2027-07-01'],
      ['2027-07-01T00:00:00Z', 'pro x1 60.00 2027-07-01..2027-08-01'],
    ]);
  });

  it('of an add-on is charged as often as it is taken first, at the price that the customer has then', async () => {
    const base = await plan(flat('base', '10.00', 'advance'));
    const storage = await planOf({
      kind: 'add_on',
      charges: [flat('migration', '25.00', 'once'), flat('storage', '3.00', 'advance')],
    });
    const life = await lifeFrom(sandbox, '2027-04-01T00:00:00Z');
    const { id } = await subscribed(life, base);
    await sandbox.made('/v1/price-overrides', {
      plan: storage,
      charge: 'migration',
      customer_id: life.customer,
      price: { model: 'flat', amount: '20.00' },
      effective_from: '2027-04-10T00:00:00Z',
      effective_until: '2027-04-17T00:00:00Z',
    });
    await life.until('2027-04-16T00:00:00Z');
    await change(id, 'add-ons', { plan: storage, quantity: 2, invoice: 'now' });
    await life.until('2027-05-02T00:00:00Z');
    await change(id, 'add-ons', { plan: storage, quantity: 0, at: 'period_end' });
    await life.until('2027-06-02T00:00:00Z');
    await change(id, 'add-ons', { plan: storage, quantity: 4, at: 'period_end' });
    await life.until('2027-07-02T00:00:00Z');
    expect((await shown(life)).flatMap((one) => one.slice(1)).filter((line) => !line.startsWith('base'))).toEqual([
      'storage x2 3.00 2027-04-16..2027-05-01',
      'migration x2 40.00 2027-04-16..2027-04-16T00:00:00.001Z',
      'storage x2 6.00 2027-05-01..2027-06-01',
      'storage x4 12.00 2027-07-01..2027-08-01',
    ]);
  });
});

const charged = (id: string, body: object) => sandbox.made(`/v1/subscriptions/${id}/charges`, body);
const chargeOf = async (id: string, charge: string) =>
  (await sandbox.api('GET', `/v1/subscriptions/${id}/charges/${charge}`)).body;

describe('a one-time charge', () => {
  it('is billed at once, or with what falls due next', async () => {
    const base = await plan(flat('base', '10.00', 'advance'));
    const life = await lifeFrom(sandbox, '2027-04-01T00:00:00Z');
    const { id } = await subscribed(life, base);
    await life.until('2027-04-10T12:00:00Z');
    const now = await charged(id, { name: 'Visit', amount: '120.5', invoice: 'now' });
    const next = await charged(id, { name: 'Cards', unit_amount: '0.35', quantity: 200, metadata: { order: '7' } });
    const later = await charged(id, { name: 'Audit', amount: '80.00', at: '2027-05-20T00:00:00Z', invoice: 'now' });
    const end = await charged(id, { name: 'Report', amount: '5.00', at: 'period_end' });
    expect(next).toMatchObject({
      amount: '70.00',
      unit_amount: '0.35',
      quantity: 200,
      currency: 'USD',
      state: 'pending',
      effective_at: '2027-04-10T12:00:00.000Z',
      invoice: 'next',
      invoice_id: null,
      metadata: { order: '7' },
    });
    expect(end.effective_at).toBe('2027-05-01T00:00:00.000Z');
    await life.until('2027-05-21T00:00:00Z');
    expect(await shown(life)).toEqual([
      ['2027-04-01T00:00:00Z', 'base x1 10.00 2027-04-01..2027-05-01'],
      ['2027-04-10T12:00:00Z', 'Visit x1 120.50 2027-04-10T12:00Z..2027-04-10T12:00:00.001Z'],
      [
        '2027-05-01T00:00:00Z',
        'base x1 10.00 2027-05-01..2027-06-01',
        'Cards x200 70.00 2027-04-10T12:00Z..2027-04-10T12:00:00.001Z',
        'Report x1 5.00 2027-05-01..2027-05-01T00:00:00.001Z',
      ],
      ['2027-05-20T00:00:00Z', 'Audit x1 80.00 2027-05-20..2027-05-20T00:00:00.001Z'],
    ]);
    const { items } = (await sandbox.api('GET', `/v1/subscriptions/${id}/charges?sort=created_at`)).body;
    expect(items.map((one: { id: string; state: string }) => [one.id, one.state])).toEqual(
      [now, next, later, end].map((one) => [one.id, 'billed']),
    );
    const billed = await sandbox.api('GET', `/v1/invoices/${(await chargeOf(id, next.id)).invoice_id}`);
    expect(billed.body.lines[1]).toMatchObject({ charge_code: next.id, amount: '70.00' });
  });

  it.each([
    ['JPY', '1400', '1400.5', 'at most 0 digits'],
    ['KWD', '2.125', '2.1255', 'at most 3 digits'],
  ])('of %s has the digits that there are of it', async (currency, amount, tooPrecise, message) => {
    const base = await planOf({ currency, charges: [flat('base', '7', 'advance')] });
    const life = await lifeFrom(sandbox, '2027-04-01T00:00:00Z');
    const { id } = await subscribed(life, base);
    const refused = await sandbox.api('POST', `/v1/subscriptions/${id}/charges`, { name: 'A', amount: tooPrecise });
    expect(refused).toMatchObject({ status: 422, body: { errors: [{ field: 'amount', code: 'too_precise' }] } });
    expect(refused.body.errors[0].message).toContain(message);
    await life.until('2027-04-02T00:00:00Z');
    await charged(id, { name: 'Visit', amount });
    await charged(id, { name: 'Visits', unit_amount: amount, quantity: 3, invoice: 'now' });
    await life.until('2027-05-02T00:00:00Z');
    const total = { JPY: '4200', KWD: '6.375' }[currency];
    const printed = { JPY: '7', KWD: '7.000' }[currency];
    expect((await shown(life)).flatMap((one) => one.slice(1).map((line) => line.split(' 2027')[0]))).toEqual([
      `base x1 ${printed}`,
      `Visits x3 ${total}`,
      `base x1 ${printed}`,
      `Visit x1 ${amount}`,
    ]);
  });

  it('at the very end, and behind an end that came before, is billed with the end; in a trial and a pause as ever', async () => {
    const base = await plan(flat('base', '30.00', 'arrears'));
    const life = await lifeFrom(sandbox, '2027-04-01T00:00:00Z');
    const { id } = await subscribed(life, base, { trial: { ends_at: '2027-04-11T00:00:00Z' } });
    await charged(id, { name: 'In the trial', amount: '1.00', invoice: 'now' });
    await life.until('2027-04-21T00:00:00Z');
    await change(id, 'pause', { at: 'now' });
    await life.until('2027-04-22T00:00:00Z');
    await charged(id, { name: 'In the pause', amount: '2.00', invoice: 'now' });
    await life.until('2027-04-23T00:00:00Z');
    await charged(id, { name: 'At the end of the month', amount: '3.00', at: 'period_end' });
    await change(id, 'cancel', { at: '2027-04-26T00:00:00Z' });
    await charged(id, { name: 'At the end', amount: '4.00', at: '2027-04-26T00:00:00Z' });
    expect((await charged(id, { name: 'With the end', amount: '5.00', at: 'period_end' })).effective_at).toBe(
      '2027-04-26T00:00:00.000Z',
    );
    const late = { name: 'Behind it', amount: '6.00', at: '2027-04-26T00:00:00.001Z' };
    expect(await sandbox.api('POST', `/v1/subscriptions/${id}/charges`, late)).toMatchObject({
      status: 422,
      body: { errors: [{ field: 'at', code: 'out_of_range' }] },
    });
    await life.until('2027-06-02T00:00:00Z');
    expect(await sandbox.api('POST', `/v1/subscriptions/${id}/charges`, { name: 'A', amount: '6.00' })).toMatchObject({
      status: 409,
      body: { error_code: 'SUBSCRIPTION_STATE_CONFLICT', detail: expect.stringContaining('canceled: nothing can be') },
    });
    expect((await shown(life)).map((one) => one.map((text) => text.split(' 2027')[0]))).toEqual([
      ['2027-04-01T00:00:00Z', 'In the trial x1 1.00'],
      ['2027-04-22T00:00:00Z', 'In the pause x1 2.00'],
      [
        '2027-04-26T00:00:00Z',
        'base x1 10.00',
        'At the end of the month x1 3.00',
        'At the end x1 4.00',
        'With the end x1 5.00',
      ],
    ]);
  });

  it('of one that has not begun is charged with its begin, and of one that never begins not at all', async () => {
    const base = await plan(flat('base', '30.00', 'advance'));
    const life = await lifeFrom(sandbox, '2027-04-01T00:00:00Z');
    const { id } = await subscribed(life, base, { started_at: '2027-04-11T00:00:00Z' });
    await charged(id, { name: 'Welcome', amount: '9.00', invoice: 'now' });
    const other = await lifeFrom(sandbox, '2027-04-01T00:00:00Z');
    const never = await subscribed(other, base, { started_at: '2027-04-11T00:00:00Z' });
    await charged(never.id, { name: 'Welcome', amount: '9.00', invoice: 'now' });
    await change(never.id, 'cancel', {});
    await Promise.all([life.until('2027-04-12T00:00:00Z'), other.until('2027-05-12T00:00:00Z')]);
    expect((await shown(life)).map((one) => one.map((text) => text.split(' 2027')[0]))).toEqual([
      ['2027-04-11T00:00:00Z', 'base x1 20.00', 'Welcome x1 9.00'],
    ]);
    expect(await shown(other)).toEqual([]);
  });

  it('can be removed until it is written down to be billed, once, and stays in the list', async () => {
    const base = await plan(flat('base', '10.00', 'advance'));
    const life = await lifeFrom(sandbox, '2027-04-01T00:00:00Z');
    const { id } = await subscribed(life, base);
    await life.until('2027-04-02T00:00:00Z');
    const [gone, kept] = [await charged(id, { name: 'A', amount: '1' }), await charged(id, { name: 'B', amount: '2' })];
    const remove = (charge: string) => sandbox.api('DELETE', `/v1/subscriptions/${id}/charges/${charge}`);
    const all = await Promise.all([1, 2, 3, 4, 5, 6].map(() => remove(gone.id)));
    expect(all.map(({ status }) => status).toSorted()).toEqual([200, 409, 409, 409, 409, 409]);
    expect(all.find(({ status }) => status === 200)?.body).toMatchObject({ state: 'removed', version: 2 });
    await life.until('2027-05-02T00:00:00Z');
    const late = await remove(kept.id);
    const { billing_period_id: period, invoice_id: invoice } = await chargeOf(id, kept.id);
    expect(late).toMatchObject({ status: 409, body: { error_code: 'ONE_TIME_CHARGE_NOT_PENDING' } });
    expect(late.body.detail).toContain(period);
    expect(late.body.detail).toContain(invoice);
    expect((await shown(life)).at(-1)?.map((text) => text.split(' 2027')[0])).toEqual([
      '2027-05-01T00:00:00Z',
      'base x1 10.00',
      'B x1 2.00',
    ]);
    const removed = await sandbox.api('GET', `/v1/subscriptions/${id}/charges?state=removed`);
    expect(removed.body).toMatchObject({ items: [{ id: gone.id }], pagination: { total: 1 } });
    const { items } = (await sandbox.api('GET', `/v1/audit-log?object_id=${gone.id}`)).body;
    expect(items.map(({ action }: { action: string }) => action)).toEqual([
      'subscription.charge_removed',
      'subscription.charge_added',
    ]);
  });

  it('that can not be is refused at each place, and nothing is done', async () => {
    const life = await lifeFrom(sandbox, '2027-04-01T00:00:00Z');
    const { id } = await subscribed(life, await plan(flat('base', '10.00', 'advance')));
    const faults = async (body: object) => {
      const { status, body: answer } = await sandbox.api('POST', `/v1/subscriptions/${id}/charges`, body);
      expect(status, JSON.stringify(answer)).toBe(422);
      return answer.errors.map(({ field, code }: { field: string; code: string }) => `${field} ${code}`);
    };
    const name = 'A';
    expect(await faults({ name })).toEqual(['amount missing']);
    expect(await faults({ name, amount: '0.00', at: '2027-03-31T23:59:59Z' })).toEqual([
      'amount not_positive',
      'at out_of_range',
    ]);
    expect(await faults({ name, amount: '1.001', unit_amount: '1', quantity: 2, at: 'soon' })).toEqual([
      'unit_amount not_allowed',
      'quantity not_allowed',
      'amount too_precise',
      'at wrong_format',
    ]);
    expect(await faults({ name, unit_amount: '1' })).toEqual(['quantity missing']);
    expect(await faults({ name, quantity: 1 })).toEqual(['unit_amount missing']);
    expect(await faults({ name, unit_amount: '0.005', quantity: 1_000 })).toEqual(['unit_amount too_precise']);
    expect(await faults({ name, amount: '10000000000000' })).toEqual(['amount out_of_range']);
    expect(await faults({ name, unit_amount: '10000000.00', quantity: 1_000_000 })).toEqual([
      'unit_amount out_of_range',
    ]);
    expect(await faults({ name, amount: '-1' })).toEqual(['amount wrong_format']);
    expect(await faults({ name: '', amount: '1', quantity: 0, invoice: 'never' })).toHaveLength(3);
    expect(await faults({ name, amount: '1', at: '2033-01-01T00:00:00Z' })).toEqual(['at out_of_range']);
    expect((await sandbox.api('GET', `/v1/subscriptions/${id}/charges`)).body.items).toEqual([]);
  });

  it('[I22] asked for twice under one key is one, and six at the same moment are six', async () => {
    const life = await lifeFrom(sandbox, '2027-04-01T00:00:00Z');
    const { id } = await subscribed(life, await plan(flat('base', '10.00', 'advance')));
    const url = `/v1/subscriptions/${id}/charges`;
    const key = { 'idempotency-key': unique() };
    const body = { name: 'Visit', amount: '1.00', invoice: 'now' };
    const [first, again] = [await sandbox.api('POST', url, body, key), await sandbox.api('POST', url, body, key)];
    expect(again.body).toEqual(first.body);
    await Promise.all([1, 2, 3, 4, 5, 6].map(() => charged(id, body)));
    await life.until('2027-04-02T00:00:00Z');
    expect((await life.invoices()).map(({ total }) => total).reduce((sum, one) => sum + Number(one), 0)).toBe(17);
    expect((await sandbox.api('GET', url)).body.pagination.total).toBe(7);
  });
});

describe('the usage of the last billing period', () => {
  const call = (customer_id: string, timestamp: string) => ({
    idempotency_key: unique(),
    event: 'call',
    customer_id,
    timestamp,
  });
  const fatesOf = async (events: readonly { idempotency_key: string }[]) =>
    Promise.all(
      events.map(async ({ idempotency_key: key }) => {
        const { body } = await sandbox.api('GET', `/v1/events/${key}`);
        return body.versions[0].billing[0].reason ?? 'billed';
      }),
    );

  it('is billed or waived, as the cancellation says, and each event is accounted for', async () => {
    await sandbox.made('/v1/meters', { code: 'calls', name: 'Calls', event: 'call', aggregation: 'count' });
    const calls = { code: 'calls', name: 'calls', meter: 'calls', price: { model: 'per_unit', unit_amount: '1.00' } };
    const both = await plan(flat('fee', '30.00', 'arrears'), calls);
    const usageAlone = await plan(calls, flat('base', '30.00', 'advance'));
    const [billed, waived, alone, ends, undone] = (await Promise.all(
      [1, 2, 3, 4, 5].map(() => lifeFrom(sandbox, '2026-09-01T00:00:00Z')),
    )) as [Life, Life, Life, Life, Life];
    const lives = [billed, waived, alone, ends, undone];
    const ids = await Promise.all(
      lives.map(async (life) => (await subscribed(life, life === alone ? usageAlone : both)).id as string),
    );
    const times = ['2026-09-30T23:59:59Z', '2026-10-01T00:00:00Z', '2026-10-10T23:59:59Z'];
    const events = lives.map(({ customer }) => times.map((time) => call(customer, time)));
    const from = new Date(Date.now() - 60_000).toISOString();
    await sandbox.send(events.flat());
    await Promise.all(lives.map((life) => life.until('2026-10-05T00:00:00Z')));
    const asked = [
      { at: '2026-10-11T00:00:00Z' },
      { at: '2026-10-11T00:00:00Z', final_usage: 'waived' },
      { at: '2026-10-11T00:00:00Z', final_usage: 'waived', refund: 'none' },
      { at: 'period_end', final_usage: 'waived' },
      { at: '2026-10-11T00:00:00Z', final_usage: 'waived' },
    ];
    const canceled = await Promise.all(ids.map((id, index) => change(id, 'cancel', asked[index] ?? {})));
    expect(canceled.map(({ cancellation }) => cancellation.final_usage)).toEqual(
      asked.map(({ final_usage: said }) => said ?? 'billed'),
    );
    expect(await fatesOf(events[4] ?? [])).toEqual(['billed', 'waived', 'waived']);
    await change(ids[4] ?? '', 'undo-cancel', {});
    expect(await fatesOf(events[4] ?? [])).toEqual(['billed', 'period_open', 'period_open']);
    await Promise.all(lives.map((life) => life.until('2026-11-02T00:00:00Z')));
    const lines = await Promise.all(
      lives.map(async (life) => (await shown(life)).flatMap((one) => one.slice(1).map((line) => line.split(' 20')[0]))),
    );
    // Ten of 31 days at 30.00 are 9.68.
    expect(lines).toEqual([
      ['fee x1 30.00', 'calls x1 1.00', 'fee x1 9.68', 'calls x2 2.00'],
      ['fee x1 30.00', 'calls x1 1.00', 'fee x1 9.68'],
      ['base x1 30.00', 'calls x1 1.00', 'base x1 30.00'],
      ['fee x1 30.00', 'calls x1 1.00', 'fee x1 30.00'],
      ['fee x1 30.00', 'calls x1 1.00', 'fee x1 30.00', 'calls x2 2.00'],
    ]);
    expect(await Promise.all(events.map(fatesOf))).toEqual([
      ['billed', 'billed', 'billed'],
      ['billed', 'waived', 'waived'],
      ['billed', 'waived', 'waived'],
      ['billed', 'waived', 'waived'],
      ['billed', 'billed', 'billed'],
    ]);
    const { body } = await sandbox.api('GET', `/v1/reconciliation?from=${from}`);
    expect(body.total).toMatchObject({
      distinct: 15,
      billed: 9,
      unbilled: { waived: 6, period_open: 0, late: 0, no_charge: 0 },
      is_balanced: true,
    });
  });
});

it('all of it can be rated again to the byte, and each line is explained by what it is made of', () =>
  expectRatedAgain(pipeline, sandbox));
