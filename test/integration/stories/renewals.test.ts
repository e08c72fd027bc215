/** What lies ahead of a subscription is what comes: renewals, trials and cancellations by a test clock. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type ApiAnswer, type Pipeline, until } from '../../support/pipeline.ts';
import { sharedPipeline } from '../../support/shared-pipeline.ts';
import { calls, flat, sandboxOfCalls } from '../../support/story-parts.ts';
import { unique } from '../../support/tenants.ts';
import { type Life, lifeFrom, type Sandbox } from '../../support/test-clock.ts';

let pipeline: Pipeline;
let sandbox: Sandbox;
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
  sandbox = await sandboxOfCalls(pipeline);
  await sandbox.made('/v1/credit-units', { code: 'CRED', name: 'Credits' });
});
afterAll(() => pipeline?.stop());

const advance = { timing: 'advance' };
const seats = (unit_amount: string, more: object = {}) => ({
  code: 'seats',
  name: 'seats',
  seats: true,
  price: { model: 'per_unit', unit_amount },
  ...more,
});
const planOf = async (charges: object[], more: object = {}): Promise<string> => {
  const code = `p-${unique()}`;
  await sandbox.made('/v1/plans', { code, name: code, currency: 'USD', charges, ...more });
  return code;
};
type Metered = { readonly meter: string; readonly quantity: string };
const used = async (customer_id: string, timestamps: readonly string[]): Promise<void> => {
  const events = timestamps.map((timestamp) => ({ idempotency_key: unique(), event: 'call', customer_id, timestamp }));
  await sandbox.send(events);
  // Counted is what is stored and has passed the identity check.
  await until(
    () => sandbox.api('GET', `/v1/customers/${customer_id}/usage?from=2027-01-01T00:00:00Z&to=2027-12-01T00:00:00Z`),
    ({ body }) => body.items.some((item: Metered) => item.meter === 'calls' && Number(item.quantity) >= events.length),
  );
};
const subscribed = (life: Life, plan: string, more: object = {}) =>
  sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan, ...more });
const change = (id: string, path: string, body: object) => sandbox.made(`/v1/subscriptions/${id}/${path}`, body);
const read = async (path: string): Promise<ApiAnswer['body']> => {
  const answer = await sandbox.api('GET', path);
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return answer.body;
};
const renewal = (id: string) => read(`/v1/subscriptions/${id}/renewal`);

type Line = { charge_code: string; quantity: string; amount: string };
const linesOf = (lines: readonly Line[]): string[] =>
  lines.map(({ charge_code, quantity, amount }) => `${charge_code} x${quantity} ${amount}`).sort();

const invoicesOf = async (life: Life) =>
  (await read(`/v1/invoices?customer_id=${life.customer}&sort=number&limit=1000`)).items as { id: string }[];

/** What is told before is what is billed at that instant, line by line. */
const expectToBeBilled = async (life: Life, id: string, to: string): Promise<ApiAnswer['body']> => {
  const before = (await invoicesOf(life)).length;
  const { next_invoice, usage } = await renewal(id);
  const told = { ...next_invoice, usage };
  expect(told.unknown).toEqual([]);
  await life.until(to);
  const fresh = (await invoicesOf(life)).slice(before);
  expect(fresh).toHaveLength(1);
  const invoice = await read(`/v1/invoices/${fresh[0]?.id}`);
  expect(linesOf([...told.lines, ...told.usage.lines])).toEqual(linesOf(invoice.lines));
  expect(usage.total).toBe(invoice.total);
  return { told, invoice };
};

describe('what is told of the next invoice is what is billed, to the digit', () => {
  it('of flat charges, seats and usage, in advance and in arrears, period after period', async () => {
    const plan = await planOf([
      flat('fee', '31.07', advance),
      flat('base', '9.99'),
      seats('3.33', advance),
      calls('0.3333'),
    ]);
    const life = await lifeFrom(sandbox, '2027-01-16T00:00:00Z', { time_zone: 'Europe/Berlin' });
    const { id } = await subscribed(life, plan, { seats: 3 });
    const first = await renewal(id);
    expect(first).toMatchObject({ state: 'active', currency: 'USD', as_of: '2027-01-16T00:00:00.000Z' });
    await life.until('2027-01-31T22:59:00Z');
    await used(life.customer, ['2027-01-20T00:00:00Z', '2027-01-31T22:58:00Z']);
    await change(id, 'seats', { quantity: 5, at: 'now' });
    const { told } = await expectToBeBilled(life, id, '2027-02-01T02:00:00Z');
    expect(told.due_at).toBe('2027-01-31T23:00:00.000Z');
    expect(told.usage.lines).toMatchObject([{ charge_code: 'calls', meter: 'calls', quantity: '2', amount: '0.67' }]);
    await life.until('2027-02-28T22:59:00Z');
    await expectToBeBilled(life, id, '2027-03-01T02:00:00Z');
  });

  it('with another price for a while, a price in credits, a minimum, and a change of the plan that is to come', async () => {
    await sandbox.made('/v1/credit-units/CRED/rates', {
      effective_from: '2026-01-01T00:00:00Z',
      unit: 'USD',
      amount: '0.017',
    });
    const code = await planOf(
      [calls('0.10'), flat('credits', '100', { credit_unit: 'CRED' }), flat('ahead', '5.00', advance)],
      { minimum_commitment: { amount: '50.00' } },
    );
    const next = await planOf([flat('ahead', '7.00', advance), calls('0.20')]);
    await sandbox.made('/v1/price-overrides', {
      plan: code,
      charge: 'calls',
      price: { model: 'per_unit', unit_amount: '0.07' },
      effective_from: '2027-02-10T00:00:00Z',
    });
    const life = await lifeFrom(sandbox, '2027-02-01T00:00:00Z');
    const { id } = await subscribed(life, code);
    await life.until('2027-02-20T00:00:00Z');
    await change(id, 'change-plan', { plan: next, at: 'period_end' });
    await used(life.customer, ['2027-02-05T00:00:00Z', '2027-02-06T00:00:00Z', '2027-02-15T00:00:00Z']);
    const { upcoming, renews_at } = await renewal(id);
    expect(renews_at).toBe('2027-03-01T00:00:00.000Z');
    expect(upcoming).toMatchObject([
      { at: renews_at, kind: 'change', change: { kind: 'plan', plan_code: next } },
      { at: renews_at, kind: 'period_end' },
      { at: renews_at, kind: 'invoice' },
    ]);
    const { told } = await expectToBeBilled(life, id, '2027-03-01T02:00:00Z');
    expect(linesOf(told.lines)).toContain('ahead x1 7.00');
    expect(linesOf(told.lines)).toContain('credits x1 1.70');
  });

  it('with charges that are charged once: one of the subscription with what falls due next, one at once', async () => {
    const plan = await planOf([flat('fee', '20.00', advance), flat('setup', '50.00', { timing: 'once' })]);
    const life = await lifeFrom(sandbox, '2027-03-01T00:00:00Z');
    const { id } = await subscribed(life, plan);
    expect(linesOf((await renewal(id)).next_invoice.lines)).toEqual(['fee x1 20.00', 'setup x1 50.00']);
    await life.until('2027-03-10T00:00:00Z');
    const charged = await sandbox.made(`/v1/subscriptions/${id}/charges`, {
      name: 'Training',
      unit_amount: '12.50',
      quantity: 3,
    });
    expect(linesOf((await renewal(id)).next_invoice.lines)).toEqual(['fee x1 20.00', `${charged.id} x3 37.50`]);
    await expectToBeBilled(life, id, '2027-04-01T02:00:00Z');
    expect(linesOf((await renewal(id)).next_invoice.lines)).toEqual(['fee x1 20.00']);
  });

  it('of a trial, which ends first', async () => {
    const plan = await planOf([flat('fee', '30.00', advance)], { minimum_term: { unit: 'month', count: 3 } });
    const life = await lifeFrom(sandbox, '2027-05-01T00:00:00Z');
    const { id } = await subscribed(life, plan, { trial: { days: 10 } });
    const told = await renewal(id);
    expect(told).toMatchObject({ state: 'trialing', renews_at: '2027-05-11T00:00:00.000Z' });
    expect(told.upcoming).toMatchObject([
      { at: '2027-05-11T00:00:00.000Z', kind: 'trial_end', end_action: 'activate' },
      { at: '2027-05-11T00:00:00.000Z', kind: 'invoice' },
      { at: '2027-06-01T00:00:00.000Z', kind: 'period_end' },
      { at: '2027-08-01T00:00:00.000Z', kind: 'minimum_term_end' },
    ]);
    await expectToBeBilled(life, id, '2027-05-11T02:00:00Z');
  });

  it('is nothing where nothing falls due any more, and names what can not be rated', async () => {
    const plan = await planOf([flat('fee', '30.00')]);
    const life = await lifeFrom(sandbox, '2027-05-01T00:00:00Z');
    const { id } = await subscribed(life, plan);
    await change(id, 'cancel', { at: 'now' });
    await life.until('2027-05-02T00:00:00Z');
    expect(await renewal(id)).toMatchObject({
      state: 'canceled',
      renews_at: null,
      next_invoice: null,
      usage: null,
      upcoming: [],
    });
    const unpriced = await planOf([flat('fee', '5.00'), calls('0.1')]);
    const other = await subscribed(life, unpriced);
    const paused = await change(other.id, 'pause', {});
    expect(paused.state).toBe('paused');
    expect((await renewal(other.id)).renews_at).toBeNull();
    expect((await sandbox.api('GET', '/v1/subscriptions/sub_00000000000000000000000000000000/renewal')).status).toBe(
      404,
    );
  });
});

describe('the list of trials', () => {
  it('says of each where it stands and what becomes of it', async () => {
    const plan = await planOf([flat('fee', '30.00')]);
    const life = await lifeFrom(sandbox, '2027-06-01T00:00:00Z');
    const ids: Record<string, string> = {};
    for (const end_action of ['activate', 'cancel', 'pause']) {
      const own = await planOf([flat('fee', '1.00')]);
      ids[end_action] = (await subscribed(life, own, { trial: { days: 10, end_action } })).id;
    }
    ids.broken = (await subscribed(life, plan, { trial: { days: 20 } })).id;
    ids.later = (
      await subscribed(life, await planOf([flat('fee', '1.00')]), {
        started_at: '2027-08-01T00:00:00Z',
        trial: { days: 3 },
      })
    ).id;
    await change(ids.broken as string, 'cancel', { at: '2027-06-05T00:00:00Z' });
    const listed = async (query = '') =>
      Object.fromEntries(
        (await read(`/v1/trials?customer_id=${life.customer}${query}`)).items.map(
          (one: { subscription_id: string; status: string; converts_to: string }) => [
            Object.entries(ids).find(([, id]) => id === one.subscription_id)?.[0],
            `${one.status} ${one.converts_to}`,
          ],
        ),
      );
    const running = {
      activate: 'running active',
      cancel: 'running canceled',
      pause: 'running paused',
      broken: 'running canceled',
      later: 'pending active',
    };
    expect(await listed()).toEqual(running);
    await life.until('2027-06-12T00:00:00Z');
    const later = {
      activate: 'ended active',
      cancel: 'ended canceled',
      pause: 'ended paused',
      broken: 'canceled canceled',
      later: 'pending active',
    };
    expect(await listed()).toEqual(later);
    for (const status of ['pending', 'running', 'ended', 'canceled'])
      expect(await listed(`&status=${status}`)).toEqual(
        Object.fromEntries(Object.entries(later).filter(([, text]) => text.startsWith(`${status} `))),
      );
    expect(await listed('&ends_at_after=2027-06-15T00:00:00Z&ends_at_before=2027-07-01T00:00:00Z')).toEqual({
      broken: later.broken,
    });
    expect(await listed(`&plan=${plan}`)).toEqual({ broken: later.broken });
  });
});

describe('the list of cancellations', () => {
  it('tells what one that is scheduled will bill, and the invoices of one that took effect', async () => {
    const plan = await planOf([flat('fee', '30.00', advance), flat('base', '12.00'), calls('0.50')]);
    const life = await lifeFrom(sandbox, '2027-09-01T00:00:00Z');
    const { id } = await subscribed(life, plan);
    await life.until('2027-09-11T00:00:00Z');
    await change(id, 'cancel', { at: '2027-09-16T00:00:00Z', reason: 'too expensive', final_usage: 'waived' });
    const listed = async (query = '') => (await read(`/v1/cancellations?customer_id=${life.customer}${query}`)).items;
    const [scheduled] = await listed('&state=scheduled');
    expect(scheduled).toMatchObject({
      subscription_id: id,
      state: 'scheduled',
      reason: 'too expensive',
      refund: 'prorated',
      final_usage: 'waived',
      effective_at: '2027-09-16T00:00:00.000Z',
      final_invoice: { renewal: `/v1/subscriptions/${id}/renewal`, unknown: [], invoice_ids: [] },
    });
    // Half of September is credited, and half of what is in arrears is charged.
    expect(linesOf(scheduled.final_invoice.lines)).toEqual(['base x1 6.00', 'fee x1 -15.00']);
    expect(scheduled.final_invoice.subtotal).toBe('-9.00');
    expect(await listed('&state=effective')).toEqual([]);
    const { upcoming, renews_at, next_invoice } = await renewal(id);
    expect(renews_at).toBeNull();
    expect(upcoming).toMatchObject([{ kind: 'invoice' }, { kind: 'cancellation', at: '2027-09-16T00:00:00.000Z' }]);
    expect(linesOf(next_invoice.lines)).toEqual(linesOf(scheduled.final_invoice.lines));
    const { invoice } = await expectToBeBilled(life, id, '2027-09-16T02:00:00Z');
    expect(await listed('&state=scheduled')).toEqual([]);
    expect(await listed('&effective_at_after=2027-09-15T00:00:00Z&state=effective')).toMatchObject([
      {
        state: 'effective',
        final_usage: 'waived',
        final_invoice: { renewal: null, lines: [], invoice_ids: [invoice.id] },
      },
    ]);
    expect(await listed('&effective_at_before=2027-09-15T00:00:00Z')).toEqual([]);
  });

  it('has none that was taken back', async () => {
    const life = await lifeFrom(sandbox, '2027-09-01T00:00:00Z');
    const { id } = await subscribed(life, await planOf([flat('fee', '30.00')]));
    await change(id, 'cancel', {});
    await change(id, 'undo-cancel', {});
    expect((await read(`/v1/cancellations?customer_id=${life.customer}`)).items).toEqual([]);
  });
});

describe('subscriptions by what is due next', () => {
  it('are listed in that order, between two instants, and with other filters', async () => {
    const life = await lifeFrom(sandbox, '2027-01-10T00:00:00Z');
    const monthly = await planOf([flat('fee', '1.00')]);
    const yearly = await planOf([flat('fee', '1.00', { billing_interval: { unit: 'year', count: 1 } })]);
    const [first, second] = [await subscribed(life, monthly), await subscribed(life, yearly)];
    await life.until('2027-01-11T00:00:00Z');
    const listed = async (query: string) =>
      (await read(`/v1/subscriptions?customer_id=${life.customer}&${query}`)).items.map(
        (one: { id: string; next_due_at: string }) => [one.id, one.next_due_at],
      );
    const month = [first.id, '2027-02-01T00:00:00.000Z'];
    const year = [second.id, '2028-01-01T00:00:00.000Z'];
    expect(await listed('sort=next_due_at')).toEqual([month, year]);
    expect(await listed('sort=-next_due_at&state=active')).toEqual([year, month]);
    expect(await listed('next_due_at_before=2027-03-01T00:00:00Z')).toEqual([month]);
    expect(await listed(`next_due_at_after=2027-03-01T00:00:00Z&plan=${yearly}`)).toEqual([year]);
    expect(await listed(`next_due_at_after=2027-03-01T00:00:00Z&plan=${monthly}`)).toEqual([]);
    await change(first.id, 'cancel', { at: 'now' });
    await life.until('2027-01-12T00:00:00Z');
    expect(await listed('sort=next_due_at')).toEqual([year]);
  });
});
