/** What customers owe as of now, by test clocks, with the exact cents; and the same cents on the invoices. */
import { afterAll, beforeAll, expect, inject, it } from 'vitest';
import { type Pipeline, until } from '../../support/pipeline.ts';
import { sharedPipeline } from '../../support/shared-pipeline.ts';
import { call, flat, calls as metered, newPlan, sandboxOfCalls } from '../../support/story-parts.ts';
import { type Life, lifeFrom, type Sandbox } from '../../support/test-clock.ts';

let pipeline: Pipeline;
let sandbox: Sandbox;
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
  sandbox = await sandboxOfCalls(pipeline);
  await sandbox.made('/v1/tax-rates', { code: 'de', name: 'USt', percentage: '10', country: 'DE' });
});
afterAll(() => pipeline?.stop());

const calls = metered('0.50');
const german = { address: { line1: 'x', city: 'x', country: 'DE' } };
const subscribed = (customer_id: string, plan: string): Promise<{ id: string }> =>
  sandbox.made('/v1/subscriptions', { customer_id, plan });
const used = (customer: string, times: number, day: string) =>
  sandbox.send(Array.from({ length: times }, () => call(customer, `${day}T00:00:00Z`)));

type Told = {
  customer_id: string;
  currencies: {
    currency: string;
    running: { subtotal: string; discount_total: string; tax_total: string; total: string };
    open_invoices: { count: number; amount_due: string; overdue_count: number; amount_overdue: string };
    total: string;
  }[];
  subscriptions: {
    lines: { description: string; quantity: string; amount: string; period: { start: string; end: string } }[];
    subtotal: string;
    unknown: object[];
  }[];
};
const balanceOf = async (customer: string): Promise<Told> => {
  const { status, body } = await sandbox.api('GET', `/v1/customers/${customer}/balance`);
  expect(status, JSON.stringify(body)).toBe(200);
  return body;
};
const linesOf = ({ subscriptions }: Told): string[] =>
  subscriptions.flatMap(({ lines }) =>
    lines.map(
      ({ description, quantity, amount, period: { start, end } }) =>
        `${description} x${quantity} ${amount} ${start.slice(0, 10)}..${end.slice(0, 10)}`,
    ),
  );
/** Of the one currency: what runs, what is due, and both. */
const sumsOf = ({ currencies }: Told): string[] => {
  expect(currencies).toHaveLength(1);
  return currencies.map(
    ({ running, open_invoices: { count, amount_due }, total }) =>
      `${running.total} + ${count}: ${amount_due} = ${total}`,
  );
};
const untilUsed = (life: Pick<Life, 'customer'>, quantity: number): Promise<Told> =>
  until(
    () => balanceOf(life.customer),
    (told) => linesOf(told).some((line) => line.startsWith(`calls x${quantity} `)),
  );

it('is what is due, and what has begun with its taxes: not what begins later', async () => {
  const plan = await newPlan(sandbox, 'USD', [calls, flat('base', '9.99'), flat('fee', '5.00', { timing: 'advance' })]);
  const life = await lifeFrom(sandbox, '2027-01-01T00:00:00Z', german);
  expect((await balanceOf(life.customer)).currencies).toEqual([]);
  await subscribed(life.customer, plan);
  // Nothing is on an invoice yet: the fee is as good as due.
  expect(sumsOf(await balanceOf(life.customer))).toEqual(['16.49 + 0: 0.00 = 16.49']);
  await life.until('2027-01-11T00:00:00Z');
  await used(life.customer, 5, '2027-01-10');
  const told = await untilUsed(life, 5);
  expect(linesOf(told).toSorted()).toEqual([
    'base x1 9.99 2027-01-01..2027-02-01',
    'calls x5 2.50 2027-01-01..2027-02-01',
  ]);
  // 12.49, and 1.249 of taxes; the fee is 5.50.
  expect(told.currencies).toMatchObject([
    {
      currency: 'USD',
      running: { subtotal: '12.49', discount_total: '0.00', tax_total: '1.25', total: '13.74' },
      open_invoices: { count: 1, amount_due: '5.50' },
      total: '19.24',
    },
  ]);
  expect(told.subscriptions).toMatchObject([{ subtotal: '12.49', unknown: [] }]);
});

it('agrees with the invoice to the last digit, and is the same at each moment while that is made', async () => {
  const plan = await newPlan(sandbox, 'USD', [metered('0.3333')]);
  const life = await lifeFrom(sandbox, '2027-01-01T00:00:00Z', german);
  await subscribed(life.customer, plan);
  await used(life.customer, 7, '2027-01-10');
  // 7 x 0.3333 is 2.3331, and a tenth of 2.33 is 0.233.
  expect(sumsOf(await untilUsed(life, 7))).toEqual(['2.56 + 0: 0.00 = 2.56']);
  let isOver = false;
  const advanced = life.until('2027-02-03T00:00:00Z').finally(() => {
    isOver = true;
  });
  const totals = new Set<string>();
  let reads = 0;
  for (; !isOver; reads += 1) {
    const [sums = ''] = sumsOf(await balanceOf(life.customer));
    totals.add(sums.slice(sums.indexOf('=')));
  }
  await advanced;
  expect(reads).toBeGreaterThan(0);
  expect([...totals]).toEqual(['= 2.56']);
  expect(sumsOf(await balanceOf(life.customer))).toEqual(['0.00 + 1: 2.56 = 2.56']);
  expect((await life.invoices()).map(({ total }) => total)).toEqual(['2.56']);
});

it('has what was carried over, and what nothing takes up yet', async () => {
  const ten = { minimum_invoice_amounts: { USD: '10.00' } };
  const plan = await newPlan(sandbox, 'USD', [flat('fee', '5.00', { timing: 'advance' })]);
  const life = await lifeFrom(sandbox, '2027-01-01T00:00:00Z', ten);
  await subscribed(life.customer, plan);
  await life.until('2027-01-11T00:00:00Z');
  expect(await life.invoices()).toEqual([]);
  expect(sumsOf(await balanceOf(life.customer))).toEqual(['5.00 + 0: 0.00 = 5.00']);
  const used1 = await newPlan(sandbox, 'USD', [calls]);
  const other = await lifeFrom(sandbox, '2027-01-01T00:00:00Z', ten);
  await subscribed(other.customer, used1);
  await used(other.customer, 5, '2027-01-10');
  await other.until('2027-02-02T00:00:00Z');
  await used(other.customer, 4, '2027-02-01');
  const told = await untilUsed(other, 4);
  expect(linesOf(told).toSorted()).toEqual([
    'calls x4 2.00 2027-02-01..2027-03-01',
    'calls x5 2.50 2027-01-01..2027-02-01',
  ]);
  expect(sumsOf(told)).toEqual(['4.50 + 0: 0.00 = 4.50']);
});

it('has every period that is open, of whatever length, and what is overdue', async () => {
  const yearly = { billing_interval: { unit: 'year' } };
  const plan = await newPlan(sandbox, 'USD', [calls, flat('support', '120.00', yearly)]);
  const life = await lifeFrom(sandbox, '2027-01-01T00:00:00Z', { payment_terms: { days: 10 } });
  await subscribed(life.customer, plan);
  await used(life.customer, 4, '2027-01-10');
  await life.until('2027-02-05T00:00:00Z');
  expect(linesOf(await balanceOf(life.customer)).toSorted()).toEqual([
    'calls x0 0.00 2027-02-01..2027-03-01',
    'support x1 120.00 2027-01-01..2028-01-01',
  ]);
  const [soon] = (await balanceOf(life.customer)).currencies;
  expect(soon?.open_invoices).toEqual({ count: 1, amount_due: '2.00', overdue_count: 0, amount_overdue: '0.00' });
  await life.until('2027-02-20T00:00:00Z');
  const [late] = (await balanceOf(life.customer)).currencies;
  expect(late?.open_invoices).toEqual({ count: 1, amount_due: '2.00', overdue_count: 1, amount_overdue: '2.00' });
  expect(late?.total).toBe('122.00');
});

it('has what waits on a draft', async () => {
  const setDraftTime = async (draft_minutes: number): Promise<void> => {
    expect((await sandbox.api('PATCH', '/v1/organization', { invoicing: { draft_minutes } })).status).toBe(200);
  };
  const plan = await newPlan(sandbox, 'USD', [calls, flat('fee', '5.00', { timing: 'advance' })]);
  const life = await lifeFrom(sandbox, '2027-01-01T00:00:00Z', german);
  await subscribed(life.customer, plan);
  await used(life.customer, 4, '2027-01-01');
  await life.until('2027-01-10T00:00:00Z');
  await setDraftTime(3 * 24 * 60);
  await life.until('2027-02-02T00:00:00Z');
  await setDraftTime(0);
  // Of January 5.50; 2.00 and 5.00 with their taxes wait.
  expect((await life.invoices()).map(({ total }) => total)).toContain('5.50');
  // A balance may be of a moment ago, before the usage came that the draft has.
  expect(sumsOf(await untilUsed(life, 4))).toEqual(['7.70 + 1: 5.50 = 13.20']);
  await life.until('2027-02-06T00:00:00Z');
  expect(sumsOf(await balanceOf(life.customer))).toEqual(['0.00 + 2: 13.20 = 13.20']);
});

it('is that of whoever pays', async () => {
  const plan = await newPlan(sandbox, 'USD', [calls]);
  const consolidated = { invoicing: 'consolidated' };
  const parent = await lifeFrom(sandbox, '2027-01-01T00:00:00Z', consolidated);
  const child = `${parent.customer}-child`;
  await sandbox.made('/v1/customers', { external_id: child, name: 'A child', ...consolidated });
  await sandbox.made(`/v1/test-clocks/${parent.clock}/customers`, { customer_id: child });
  await subscribed(child, plan);
  await used(child, 3, '2027-01-01');
  const own = await untilUsed({ customer: child }, 3);
  expect(sumsOf(own)).toEqual(['1.50 + 0: 0.00 = 1.50']);
  const { body } = await sandbox.api('GET', `/v1/customers/${parent.customer}`);
  expect((await sandbox.api('PATCH', `/v1/customers/${child}`, { parent_id: body.id })).status).toBe(200);
  const told = await untilUsed(parent, 3);
  expect(sumsOf(told)).toEqual(['1.50 + 0: 0.00 = 1.50']);
  expect(await balanceOf(child)).toMatchObject({ currencies: [], subscriptions: [] });
});

it('of nobody is not found', async () => {
  expect(await sandbox.api('GET', '/v1/customers/nobody/balance')).toMatchObject({
    status: 404,
    body: { error_code: 'CUSTOMER_NOT_FOUND' },
  });
});

it('is that of each, whoever else asks at the same moment', async () => {
  const dollars = await newPlan(sandbox, 'USD', [calls, flat('base', '9.99')]);
  const euros = await newPlan(sandbox, 'EUR', [metered('0.20'), flat('fee', '3.00', { timing: 'advance' })]);
  const lives = await Promise.all(
    ['2027-01-01T00:00:00Z', '2028-03-15T12:00:00Z'].map((at) => lifeFrom(sandbox, at, german)),
  );
  const clocked = lives.map(({ customer }) => customer);
  const real = ['together_1', 'together_2', 'together_3'];
  const ids = await Promise.all(
    real.map(async (name) => (await sandbox.made('/v1/customers', { external_id: name, name })).id as string),
  );
  const all = [...clocked, ...real];
  await Promise.all(all.map((name, index) => subscribed(name, index % 2 === 0 ? dollars : euros)));
  const now = new Date(Date.now() + 1_000).toISOString();
  await sandbox.send(real.flatMap((name, index) => Array.from({ length: index + 1 }, () => call(name, now))));
  for (const [index, customer] of real.entries()) await untilUsed({ customer }, index + 1);
  const told = async (name: string) => {
    const { status, body } = await sandbox.api('GET', `/v1/customers/${name}/balance`);
    const { as_of: _, watermark: __, request_id: ___, ...rest } = body;
    return { status, ...rest };
  };
  const asked = [...all, ...ids, 'nobody', ...all, ...real];
  const alone = [];
  for (const name of asked) alone.push(await told(name));
  expect(new Set(alone.map((one) => JSON.stringify(one))).size).toBe(all.length + 1);
  expect(await Promise.all(asked.map(told))).toEqual(alone);
});
