/** Stories of invoices that would come to too little, by test clocks, with their exact cents. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type Pipeline, until } from '../../support/pipeline.ts';
import { expectRatedAgain } from '../../support/rated-again.ts';
import { sharedPipeline } from '../../support/shared-pipeline.ts';
import { call, flat, calls as metered, newPlan, sandboxOfCalls } from '../../support/story-parts.ts';
import { unique } from '../../support/tenants.ts';
import { lifeFrom, type Sandbox } from '../../support/test-clock.ts';

let pipeline: Pipeline;
let sandbox: Sandbox;
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
  sandbox = await sandboxOfCalls(pipeline);
  await sandbox.made('/v1/tax-rates', { code: 'de', name: 'USt', percentage: '10', country: 'DE' });
});
afterAll(() => pipeline?.stop());

const calls = metered('0.50');
const fee = flat('fee', '5.00', { timing: 'advance' });
const plan = (...charges: object[]): Promise<string> => newPlan(sandbox, 'USD', charges);
const ten = { minimum_invoice_amounts: { USD: '10.00' } };
const german = { address: { line1: 'x', city: 'x', country: 'DE' } };
const lifeOn = async (code: string, from: string, customer: object = ten) => {
  const life = await lifeFrom(sandbox, from, customer);
  const { id } = await sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan: code });
  return { ...life, id };
};
const used = (customer: string, times: number, day: string) =>
  sandbox.send(Array.from({ length: times }, () => call(customer, `${day}T00:00:00Z`)));

type Carried = {
  state: string;
  invoice_total: string;
  minimum_amount: string;
  invoice_id: string | null;
  start: string;
};
/** What runs carried over of a customer, in the order of time, and how many invoices that were. */
const carriedOf = async (customer: string): Promise<{ runs: number[]; periods: string[] }> => {
  const { body } = await sandbox.api('GET', '/v1/billing-runs?asked_by=clock&sort=created_at&limit=1000');
  const runs: number[] = [];
  const periods: string[] = [];
  for (const { id, invoices_carried_over: count } of body.items) {
    const { items } = (await sandbox.api('GET', `/v1/invoices/runs/${id}/carried-over?customer_id=${customer}`)).body;
    if (items.length > 0) runs.push(count);
    for (const { state, start, invoice_total, minimum_amount, invoice_id } of items as Carried[])
      periods.push(
        `${start.slice(0, 10)} ${invoice_total} < ${minimum_amount} ${state}${invoice_id === null ? '' : ' on an invoice'}`,
      );
  }
  return { runs, periods };
};
const totals = ({ invoices }: { invoices: () => Promise<{ at: string; total: string }[]> }) =>
  invoices().then((all) => all.map(({ at, total }) => `${at.slice(0, 10)} ${total}`));

type Previewed = {
  due_at: string;
  total: string;
  minimum_amount: string | null;
  carried_over: boolean;
  periods: { start: string; carried_over_from?: string }[];
};
/** What invoices would be: when, the total, and of each period its begin, and since when it waits. */
const ahead = async (customer_id: string, at?: string): Promise<string[]> => {
  const { invoices } = await sandbox.made('/v1/invoices/preview', { customer_id, ...(at && { at }) });
  return invoices.map(({ due_at, total, minimum_amount, carried_over, periods }: Previewed) => {
    const times = periods.map(
      ({ start, carried_over_from: since }) => start.slice(0, 10) + (since ? ` since ${since.slice(0, 10)}` : ''),
    );
    return `${due_at.slice(0, 10)} ${total}${carried_over ? ` < ${minimum_amount}` : ''}: ${times.join(', ')}`;
  });
};

describe('what comes to less than the minimum', () => {
  it('goes on to the next invoice, each line over its own time, and says so', async () => {
    const life = await lifeOn(await plan(calls), '2027-01-01T00:00:00Z');
    await used(life.customer, 5, '2027-01-10');
    await life.until('2027-02-02T00:00:00Z');
    expect(await life.invoices()).toEqual([]);
    expect(await carriedOf(life.customer)).toEqual({ runs: [1], periods: ['2027-01-01 2.50 < 10.00 carried_over'] });
    // What comes late comes into it, as it is open.
    await used(life.customer, 1, '2027-01-31');
    await used(life.customer, 6, '2027-02-10');
    await life.until('2027-03-02T00:00:00Z');
    expect(await life.invoices()).toEqual([]);
    await used(life.customer, 8, '2027-03-10');
    await life.until('2027-04-02T00:00:00Z');
    expect(await life.invoices()).toEqual([
      {
        at: '2027-04-01T01:00:00Z',
        total: '10.00',
        lines: [
          'calls x6 3.00 2027-01-01..2027-02-01',
          'calls x6 3.00 2027-02-01..2027-03-01',
          'calls x8 4.00 2027-03-01..2027-04-01',
        ],
      },
    ]);
    expect(await carriedOf(life.customer)).toEqual({
      runs: [1, 1],
      periods: [
        '2027-01-01 2.50 < 10.00 billed on an invoice',
        '2027-01-01 6.00 < 10.00 billed on an invoice',
        '2027-02-01 6.00 < 10.00 billed on an invoice',
      ],
    });
    const [invoice] = (await sandbox.api('GET', `/v1/customers/${life.customer}/invoices`)).body.items;
    const { body } = await sandbox.api('GET', `/v1/invoices/${invoice.id}`);
    expect(body.periods.map((period: { carried_over_from?: string }) => period.carried_over_from)).toEqual([
      '2027-02-01T00:00:00Z',
      '2027-03-01T00:00:00Z',
      undefined,
    ]);
    expect((await sandbox.api('GET', `/v1/invoices/${invoice.id}/verify`)).body).toMatchObject({ is_valid: true });
    await expectRatedAgain(pipeline, sandbox);
  });

  it('is told by the total with taxes, and zero and what is given back are issued', async () => {
    const code = await plan(calls, fee);
    // 5.00 + 4.50 + 10 % is 10.45; 4.00 + 5.00 + 10 % is 9.90.
    const above = await lifeOn(code, '2027-01-01T00:00:00Z', { ...ten, ...german });
    await used(above.customer, 1, '2027-01-10');
    await above.until('2027-02-02T00:00:00Z');
    // On 1 January 5.50 were carried over: with 0.50 and 5.00 it is 10.50, and 11.55 with taxes.
    expect(await totals(above)).toEqual(['2027-02-01 11.55']);
    const none = await lifeOn(await plan(calls), '2027-01-01T00:00:00Z');
    await none.until('2027-02-02T00:00:00Z');
    expect(await totals(none)).toEqual(['2027-02-01 0.00']);
    const back = await lifeOn(await plan(flat('fee', '31.00', { timing: 'advance' })), '2027-01-01T00:00:00Z');
    await back.until('2027-01-30T00:00:00Z');
    await sandbox.made(`/v1/subscriptions/${back.id}/cancel`, { at: 'now' });
    await back.until('2027-02-02T00:00:00Z');
    expect(await totals(back)).toEqual(['2027-01-01 31.00', '2027-01-30 -2.00']);
  });

  it('uses up no discount before it is issued', async () => {
    const { code } = await sandbox.made('/v1/coupons', {
      code: `k-${unique()}`,
      name: 'Off',
      kind: 'amount',
      amount: '2.00',
      currency: 'USD',
      duration: 'once',
    });
    const life = await lifeOn(await plan(calls), '2027-01-01T00:00:00Z');
    const { id } = await sandbox.made(`/v1/customers/${life.customer}/discounts`, { coupon: code });
    const uses = async () =>
      (await sandbox.api('GET', `/v1/customers/${life.customer}/discounts/${id}`)).body.invoices_used;
    await used(life.customer, 23, '2027-01-10');
    await life.until('2027-02-02T00:00:00Z');
    expect(await carriedOf(life.customer)).toMatchObject({ periods: ['2027-01-01 9.50 < 10.00 carried_over'] });
    expect(await uses()).toBe(0);
    await used(life.customer, 2, '2027-02-10');
    await life.until('2027-03-02T00:00:00Z');
    expect(await totals(life)).toEqual(['2027-03-01 10.50']);
    expect(await uses()).toBe(1);
  });
});

describe('what is said ahead', () => {
  it('is what is carried over, and takes in what was: by previews and the renewal', async () => {
    const life = await lifeOn(await plan(calls), '2027-01-01T00:00:00Z');
    const renewal = async () => (await sandbox.api('GET', `/v1/subscriptions/${life.id}/renewal`)).body;
    await used(life.customer, 5, '2027-01-10');
    await until(
      () => ahead(life.customer),
      ([first]) => first === '2027-02-01 2.50 < 10.00: 2027-01-01',
    );
    expect(await ahead(life.customer, '2027-04-02T00:00:00Z')).toEqual([
      '2027-02-01 2.50 < 10.00: 2027-01-01',
      '2027-03-01 2.50 < 10.00: 2027-01-01 since 2027-02-01, 2027-02-01',
      '2027-04-01 2.50 < 10.00: 2027-01-01 since 2027-02-01, 2027-02-01 since 2027-03-01, 2027-03-01',
    ]);
    // Without usage it is an invoice of zero, which is issued.
    expect(await renewal()).toMatchObject({
      next_invoice: { total: '0.00', minimum_amount: '10.00', carried_over: false },
      usage: { total: '2.50', minimum_amount: '10.00', carried_over: true },
    });
    await life.until('2027-02-02T00:00:00Z');
    expect(await totals(life)).toEqual([]);
    const both = '2027-01-01 since 2027-02-01, 2027-02-01';
    expect(await ahead(life.customer)).toEqual([`2027-03-01 2.50 < 10.00: ${both}`]);
    await used(life.customer, 15, '2027-02-10');
    await until(
      () => ahead(life.customer),
      ([first]) => first === `2027-03-01 10.00: ${both}`,
    );
    const { usage } = await renewal();
    expect(usage).toMatchObject({ subtotal: '10.00', total: '10.00', carried_over: false });
    const { invoices } = await sandbox.made('/v1/invoices/preview', { customer_id: life.customer });
    await life.until('2027-03-02T00:00:00Z');
    const [issued] = (await sandbox.api('GET', `/v1/invoices?customer_id=${life.customer}`)).body.items;
    const { periods, lines, total } = (await sandbox.api('GET', `/v1/invoices/${issued.id}`)).body;
    const unmeasured = (all: { watermark: string }[]) => all.map(({ watermark: _, ...period }) => period);
    expect({ ...invoices[0], periods: unmeasured(invoices[0].periods) }).toMatchObject({
      periods: unmeasured(periods),
      lines,
      total,
    });
    expect(usage.lines.map(({ amount }: { amount: string }) => amount)).toEqual(['2.50', '7.50']);
  });

  it('of what is charged in advance: by a quote, and by the preview of a change that takes it back', async () => {
    const [code, dear] = [await plan(fee), await plan(flat('fee', '20.00', { timing: 'advance' }))];
    const life = await lifeFrom(sandbox, '2027-01-01T00:00:00Z', ten);
    const offer = { customer_id: life.customer, plan: code, valid_until: '2027-06-01T00:00:00Z' };
    const quote = await sandbox.made('/v1/quotes', offer);
    expect((await sandbox.api('GET', `/v1/quotes/${quote.id}/preview`)).body.first_invoice).toMatchObject({
      total: '5.00',
      minimum_amount: '10.00',
      carried_over: true,
    });
    const { id } = await sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan: code });
    expect(await ahead(life.customer)).toEqual(['2027-01-01 5.00 < 10.00: 2027-01-01']);
    await life.until('2027-01-11T00:00:00Z');
    expect(await ahead(life.customer)).toEqual(['2027-02-01 10.00: 2027-01-01 since 2027-01-01, 2027-02-01']);
    // 16 of 31 days: 2.58 are given back and 10.32 charged. What waits is billed before that, by itself.
    const asked = { plan: dear, invoice: 'now', at: '2027-01-16T00:00:00Z' };
    const { preview } = await sandbox.made(`/v1/subscriptions/${id}/change-plan?preview=true`, asked);
    expect(preview.invoices).toMatchObject([{ total: '7.74', minimum_amount: '10.00', carried_over: true }]);
    await sandbox.made(`/v1/subscriptions/${id}/change-plan`, asked);
    expect(await ahead(life.customer, '2027-01-20T00:00:00Z')).toEqual([
      '2027-01-01 5.00: 2027-01-01 since 2027-01-01',
      '2027-01-16 7.74 < 10.00: 2027-01-16, 2027-01-16',
    ]);
    await life.until('2027-01-17T00:00:00Z');
    expect(await totals(life)).toEqual(['2027-01-16 5.00']);
    expect((await carriedOf(life.customer)).periods).toEqual([
      '2027-01-01 5.00 < 10.00 billed on an invoice',
      '2027-01-16 7.74 < 10.00 carried_over',
      '2027-01-16 7.74 < 10.00 carried_over',
    ]);
  });

  it('of a cancellation: the last invoice is issued, whatever it comes to', async () => {
    const life = await lifeOn(await plan(flat('fee', '6.20', { timing: 'advance' })), '2027-01-01T00:00:00Z');
    await life.until('2027-01-11T00:00:00Z');
    await sandbox.made(`/v1/subscriptions/${life.id}/cancel`, { at: '2027-01-16T00:00:00Z' });
    const canceled = await sandbox.api('GET', `/v1/cancellations?customer_id=${life.customer}`);
    expect(canceled.body.items[0].final_invoice).toMatchObject({ total: '-3.20', carried_over: false });
    expect(await ahead(life.customer, '2027-01-20T00:00:00Z')).toEqual([
      '2027-01-01 6.20: 2027-01-01 since 2027-01-01',
      '2027-01-16 -3.20: 2027-01-16',
    ]);
    await life.until('2027-01-17T00:00:00Z');
    expect(await totals(life)).toEqual(['2027-01-16 6.20', '2027-01-16 -3.20']);
  });
});

describe('no money is lost', () => {
  it('where a subscription ends: the last invoice has all of it', async () => {
    const life = await lifeOn(await plan(calls), '2027-01-01T00:00:00Z');
    await used(life.customer, 1, '2027-01-10');
    await life.until('2027-02-02T00:00:00Z');
    await used(life.customer, 1, '2027-02-03');
    await life.until('2027-02-10T00:00:00Z');
    await sandbox.made(`/v1/subscriptions/${life.id}/cancel`, { at: 'now' });
    await life.until('2027-02-11T00:00:00Z');
    expect((await life.invoices()).map(({ total, lines }) => [total, ...lines])).toEqual([
      ['1.00', 'calls x1 0.50 2027-01-01..2027-02-01', 'calls x1 0.50 2027-02-01..2027-02-10'],
    ]);
  });

  it('where nothing falls due with the end: it is billed by itself', async () => {
    const life = await lifeOn(await plan(fee), '2027-01-01T00:00:00Z');
    await life.until('2027-01-10T00:00:00Z');
    expect(await totals(life)).toEqual([]);
    await sandbox.made(`/v1/subscriptions/${life.id}/cancel`, { at: 'period_end' });
    await life.until('2027-02-02T00:00:00Z');
    expect(await totals(life)).toEqual(['2027-02-01 5.00']);
  });

  it('where what was charged in advance is given back: it is billed before that', async () => {
    const { code } = await sandbox.made('/v1/coupons', {
      code: `k-${unique()}`,
      name: 'Half',
      kind: 'percentage',
      percentage: '50',
      duration: 'forever',
    });
    const life = await lifeFrom(sandbox, '2027-01-01T00:00:00Z', ten);
    await sandbox.made(`/v1/customers/${life.customer}/discounts`, { coupon: code });
    const { id } = await sandbox.made('/v1/subscriptions', {
      customer_id: life.customer,
      plan: await plan(flat('fee', '6.20', { timing: 'advance' })),
    });
    await life.until('2027-01-11T00:00:00Z');
    expect(await totals(life)).toEqual([]);
    await sandbox.made(`/v1/subscriptions/${id}/cancel`, { at: 'now' });
    await life.until('2027-01-12T00:00:00Z');
    // 21 of 31 days of 6.20 are 4.20, of which half is given back as half was charged.
    expect(await totals(life)).toEqual(['2027-01-11 3.10', '2027-01-11 -2.10']);
  });

  it('nothing is carried over for more than a year', async () => {
    const life = await lifeOn(await plan(flat('fee', '0.10')), '2027-01-01T00:00:00Z');
    await life.until('2027-02-02T00:00:00Z');
    const [before, last] = (await ahead(life.customer, '2028-02-02T00:00:00Z')).slice(-2);
    expect(before).toMatch(/^2028-01-01 1.20 < 10.00: /);
    expect(last).toMatch(/^2028-02-01 1.30: 2027-01-01 since 2027-02-01, 2027-02-01 since 2027-03-01, /);
    await life.until('2028-01-02T00:00:00Z');
    expect(await totals(life)).toEqual([]);
    await life.until('2028-03-02T00:00:00Z');
    expect(await totals(life)).toEqual(['2028-02-01 1.30']);
  });

  it('of several who are billed together it is told by all of them', async () => {
    const parent = await lifeFrom(sandbox, '2027-01-01T00:00:00Z', { ...ten, invoicing: 'consolidated' });
    const code = await plan(calls);
    const children = await Promise.all(
      ['a', 'b'].map(async (name) => {
        const external_id = `${name}-${unique()}`;
        await sandbox.made('/v1/customers', {
          external_id,
          name,
          minimum_invoice_amounts: { USD: '1000.00' },
          invoicing: 'consolidated',
        });
        await sandbox.made(`/v1/test-clocks/${parent.clock}/customers`, { customer_id: external_id });
        const placed = await sandbox.api('PATCH', `/v1/customers/${external_id}`, { parent_id: parent.customer });
        expect(placed.status, JSON.stringify(placed.body)).toBe(200);
        const { id } = await sandbox.made('/v1/subscriptions', { customer_id: external_id, plan: code });
        return { external_id, id };
      }),
    );
    const [a, b] = children as [{ external_id: string; id: string }, { external_id: string; id: string }];
    await used(a.external_id, 9, '2027-01-10');
    await used(b.external_id, 9, '2027-01-11');
    await until(
      () => ahead(parent.customer),
      ([first]) => first === '2027-02-01 9.00 < 10.00: 2027-01-01, 2027-01-01',
    );
    await parent.until('2027-02-02T00:00:00Z');
    expect(await totals(parent)).toEqual([]);
    await sandbox.made(`/v1/subscriptions/${a.id}/cancel`, { at: 'now' });
    await used(b.external_id, 2, '2027-02-10');
    await parent.until('2027-03-02T00:00:00Z');
    // The end of one is of none above zero: what waits of it goes on with the other, who pays together with it.
    const [invoice, ...more] = await parent.invoices();
    expect(more).toEqual([]);
    expect(invoice?.total).toBe('10.00');
  });

  it('has drafts made of what reaches it, and issues these', async () => {
    const answer = await sandbox.api('PATCH', '/v1/organization', { invoicing: { draft_minutes: 1_440 } });
    expect(answer.status).toBe(200);
    const life = await lifeOn(await plan(calls), '2027-01-01T00:00:00Z');
    await used(life.customer, 19, '2027-01-10');
    await life.until('2027-02-05T00:00:00Z');
    expect(await totals(life)).toEqual([]);
    expect((await sandbox.api('GET', `/v1/invoices?state=draft&customer_id=${life.customer}`)).body.items).toEqual([]);
    await used(life.customer, 1, '2027-02-10');
    await life.until('2027-03-01T12:00:00Z');
    const [draft] = (await sandbox.api('GET', `/v1/invoices?state=draft&customer_id=${life.customer}`)).body.items;
    expect(draft).toMatchObject({
      total: '10.00',
      periods: [{ carried_over_from: '2027-02-01T00:00:00Z' }, { start: '2027-02-01T00:00:00Z' }],
    });
    await life.until('2027-03-05T00:00:00Z');
    expect(await totals(life)).toEqual(['2027-03-02 10.00']);
    await sandbox.api('PATCH', '/v1/organization', { invoicing: { draft_minutes: 0 } });
  });
});

it('is a setting of the organization, in place of which a customer has its own', async () => {
  const set = await sandbox.api('PATCH', '/v1/organization', { minimum_invoice_amounts: { USD: '3', EUR: '2.5' } });
  expect(set).toMatchObject({ status: 200, body: { minimum_invoice_amounts: { USD: '3.00', EUR: '2.50' } } });
  const code = await plan(calls);
  const both = await Promise.all([
    lifeOn(code, '2027-01-01T00:00:00Z', {}),
    lifeOn(code, '2027-01-01T00:00:00Z', { minimum_invoice_amounts: { USD: '0.00' } }),
  ]);
  for (const life of both) {
    await used(life.customer, 2, '2027-01-10');
    await life.until('2027-02-02T00:00:00Z');
  }
  expect(await Promise.all(both.map(totals))).toEqual([[], ['2027-02-01 1.00']]);
  for (const amounts of [{ USD: '1.005' }, { XXX: '1' }, { USD: '-1' }, { usd: '1' }, { USD: 1 }])
    expect(await sandbox.api('PATCH', '/v1/organization', { minimum_invoice_amounts: amounts })).toMatchObject({
      status: 422,
    });
  expect(await sandbox.api('PATCH', '/v1/organization', { minimum_invoice_amounts: null })).toMatchObject({
    status: 200,
    body: { minimum_invoice_amounts: null },
  });
});
