/** Stories of coupons and discounts, by test clocks, with their exact cents. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type Pipeline, until } from '../../support/pipeline.ts';
import { sharedPipeline } from '../../support/shared-pipeline.ts';
import { call, calls, flat as flatCharge, newPlan, sandboxOfCalls } from '../../support/story-parts.ts';
import { unique } from '../../support/tenants.ts';
import { type Life, lifeFrom, type Sandbox } from '../../support/test-clock.ts';
import { verify } from '../../support/verify-command.ts';

let pipeline: Pipeline;
let sandbox: Sandbox;
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
  sandbox = await sandboxOfCalls(pipeline);
  for (const [code, percentage] of [
    ['ny', '4'],
    ['nyc', '4.5'],
  ])
    await sandbox.made('/v1/tax-rates', { code, name: code, percentage, country: 'US', state: 'NY' });
});
afterAll(() => pipeline?.stop());

const flat = (code: string, amount: string) => flatCharge(code, amount, { timing: 'advance' });
const plan = (currency: string, ...charges: object[]): Promise<string> => newPlan(sandbox, currency, charges);
const coupon = async (terms: object): Promise<string> => {
  const { code } = await sandbox.made('/v1/coupons', {
    code: `k-${unique()}`,
    name: 'Off',
    duration: 'forever',
    ...terms,
  });
  return code;
};
const percent = (percentage: string, more: object = {}) => coupon({ kind: 'percentage', percentage, ...more });
const off = (amount: string, more: object = {}) => coupon({ kind: 'amount', amount, currency: 'USD', ...more });
const newYorker = { address: { line1: 'x', city: 'x', country: 'US', state: 'NY' } };

type Discounted = { readonly life: Life; readonly id: string };
const subscribed = async (planCode: string, from: string, customer: object = {}): Promise<Discounted> => {
  const life = await lifeFrom(sandbox, from, customer);
  const { id } = await sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan: planCode });
  return { life, id };
};
const ofSubscription = (id: string, code: string) =>
  sandbox.made(`/v1/subscriptions/${id}/discounts`, { coupon: code });
const ofCustomer = (id: string, code: string) => sandbox.made(`/v1/customers/${id}/discounts`, { coupon: code });
const stateOf = async ({ id, customer_id: customer }: { id: string; customer_id: string }) => {
  const { body } = await sandbox.api('GET', `/v1/customers/${customer}/discounts/${id}`);
  return `${body.state} ${body.invoices_used} ${body.periods_used}`;
};

type Line = { description: string; amount: string; discounts: Taken[]; taxes: { code: string; amount: string }[] };
type Taken = { coupon_id: string; name: string; amount: string };
const whole = async ({ customer }: Life) => {
  const { body } = await sandbox.api('GET', `/v1/invoices?customer_id=${customer}&sort=number&limit=100`);
  return Promise.all(
    body.items.map(async ({ id }: { id: string }) => (await sandbox.api('GET', `/v1/invoices/${id}`)).body),
  );
};
/** Of each invoice: its lines with their discounts and taxes, and subtotal, discounts, taxes and total. */
const shown = ({ lines, subtotal, discount_total, tax_total, total }: Awaited<ReturnType<typeof whole>>[number]) => [
  ...lines.map(({ description, amount, discounts, taxes }: Line) =>
    [
      `${description} ${amount}`,
      ...discounts.map((one) => `-${one.amount}`),
      ...taxes.map((tax) => `${tax.code} ${tax.amount}`),
    ].join(', '),
  ),
  `${subtotal} ${discount_total} ${tax_total} ${total}`,
];
const billed = async (life: Life) => (await whole(life)).map(shown);

const makeVoid = async (idempotency_key: string | undefined): Promise<void> => {
  const amendments = [{ idempotency_key, action: 'void', reason: 'a test' }];
  const { items } = await sandbox.made('/v1/events/amendments', { amendments });
  await until(
    () => sandbox.api('GET', `/v1/events/amendments/${items[0].id}`),
    ({ body }) => body.state === 'applied',
  );
};

describe('a coupon', () => {
  it('of 20 % is on both sides of an upgrade within the month, below two taxes', async () => {
    const [basic, pro] = [await plan('USD', flat('basic', '30.00')), await plan('USD', flat('pro', '60.00'))];
    const { life, id } = await subscribed(basic, '2027-04-01T00:00:00Z', newYorker);
    await ofSubscription(id, await percent('20'));
    await life.until('2027-04-16T00:00:00Z');
    await sandbox.made(`/v1/subscriptions/${id}/change-plan`, { plan: pro, invoice: 'now' });
    const [ahead] = (await sandbox.api('POST', '/v1/invoices/preview', { subscription_id: id })).body.invoices;
    expect([ahead.discount_total, ahead.total]).toEqual(['3.00', '13.02']);
    await life.until('2027-04-17T00:00:00Z');
    expect(await billed(life)).toEqual([
      ['basic 30.00, -6.00, ny 0.96, nyc 1.08', '30.00 6.00 2.04 26.04'],
      [
        'basic (unused) -15.00, --3.00, ny -0.48, nyc -0.54',
        'pro 30.00, -6.00, ny 0.96, nyc 1.08',
        '15.00 3.00 1.02 13.02',
      ],
    ]);
  });

  it('gives back what was taken off, though it is ended by then', async () => {
    const { life, id } = await subscribed(await plan('USD', flat('fee', '30.00')), '2027-04-01T00:00:00Z');
    const discount = await ofSubscription(id, await percent('20'));
    await life.until('2027-04-16T00:00:00Z');
    const ended = await sandbox.api('DELETE', `/v1/subscriptions/${id}/discounts/${discount.id}`);
    expect(ended.body).toMatchObject({ state: 'ended', ended_at: '2027-04-16T00:00:00.000Z' });
    await sandbox.made(`/v1/subscriptions/${id}/pause`, { invoice: 'now' });
    await life.until('2027-04-17T00:00:00Z');
    expect(await billed(life)).toEqual([
      ['fee 30.00, -6.00', '30.00 6.00 0.00 24.00'],
      ['fee (unused) -15.00, --3.00', '-15.00 -3.00 0.00 -12.00'],
    ]);
  });

  it('for three billing periods is on all that is billed of them, and on nothing after', async () => {
    const { life, id } = await subscribed(
      await plan('USD', calls('0.50'), flat('fee', '31.00')),
      '2027-01-01T00:00:00Z',
    );
    const discount = await ofSubscription(id, await percent('10', { duration: 'repeating', duration_periods: 3 }));
    await sandbox.send([
      call(life.customer, '2027-01-10T00:00:00Z'),
      call(life.customer, '2027-01-11T00:00:00Z'),
      call(life.customer, '2027-03-10T00:00:00Z'),
      call(life.customer, '2027-04-10T00:00:00Z'),
    ]);
    await life.until('2027-05-02T00:00:00Z');
    expect(await billed(life)).toEqual([
      ['fee 31.00, -3.10', '31.00 3.10 0.00 27.90'],
      ['calls 1.00, -0.10', 'fee 31.00, -3.10', '32.00 3.20 0.00 28.80'],
      ['calls 0.00', 'fee 31.00, -3.10', '31.00 3.10 0.00 27.90'],
      ['calls 0.50, -0.05', 'fee 31.00', '31.50 0.05 0.00 31.45'],
      ['calls 0.50', 'fee 31.00', '31.50 0.00 0.00 31.50'],
    ]);
    expect(await stateOf(discount)).toBe('active 4 3');
  });

  it('of more than the invoice leaves nothing to pay, and what is left of it is lost after one', async () => {
    const { life } = await subscribed(await plan('USD', flat('fee', '31.00')), '2027-01-01T00:00:00Z');
    const discount = await ofCustomer(life.customer, await off('50.00', { duration: 'once' }));
    await life.until('2027-02-02T00:00:00Z');
    expect(await billed(life)).toEqual([
      ['fee 31.00, -31.00', '31.00 31.00 0.00 0.00'],
      ['fee 31.00', '31.00 0.00 0.00 31.00'],
    ]);
    expect(await stateOf(discount)).toBe('used 1 0');
  });

  it('stays used where its invoice is voided', async () => {
    const { life } = await subscribed(await plan('USD', flat('fee', '31.00')), '2027-01-01T00:00:00Z');
    const discount = await ofCustomer(life.customer, await off('5.00', { duration: 'once' }));
    await life.until('2027-01-02T00:00:00Z');
    const [invoice] = await whole(life);
    await sandbox.made(`/v1/invoices/${invoice.id}/void`, {});
    await life.until('2027-02-02T00:00:00Z');
    expect(await billed(life)).toEqual([
      ['fee 31.00, -5.00', '31.00 5.00 0.00 26.00'],
      ['fee 31.00', '31.00 0.00 0.00 31.00'],
    ]);
    expect(await stateOf(discount)).toBe('used 1 0');
  });

  it('of an amount in each billing period goes on over its invoices, up to the amount', async () => {
    const { life, id } = await subscribed(
      await plan('USD', calls('5.00'), flat('fee', '31.00')),
      '2027-01-01T00:00:00Z',
    );
    await ofSubscription(id, await off('40.00'));
    await sandbox.send(['10', '11', '12'].map((day) => call(life.customer, `2027-01-${day}T00:00:00Z`)));
    await life.until('2027-02-02T00:00:00Z');
    expect(await billed(life)).toEqual([
      ['fee 31.00, -31.00', '31.00 31.00 0.00 0.00'],
      ['calls 15.00, -9.00', 'fee 31.00, -31.00', '46.00 40.00 0.00 6.00'],
    ]);
  });

  it('of units makes the first ones free, by the tiers of the price', async () => {
    const price = {
      model: 'graduated',
      tiers: [
        { up_to: '4', unit_amount: '2' },
        { up_to: null, unit_amount: '1' },
      ],
    };
    const { life, id } = await subscribed(await plan('USD', calls('1', { price })), '2027-01-01T00:00:00Z');
    await ofSubscription(id, await coupon({ kind: 'free_units', free_units: '5', applies_to: { charges: ['calls'] } }));
    const events = Array.from({ length: 7 }, (_, day) => call(life.customer, `2027-01-1${day}T00:00:00Z`));
    await sandbox.send([...events, call(life.customer, '2027-02-10T00:00:00Z')]);
    await life.until('2027-03-02T00:00:00Z');
    expect(await billed(life)).toEqual([
      ['calls 11.00, -9.00', '11.00 9.00 0.00 2.00'],
      ['calls 2.00, -2.00', '2.00 2.00 0.00 0.00'],
    ]);
  });

  it('and another one stand one upon the other: the percentage first, then the amount of what it left', async () => {
    const { life, id } = await subscribed(await plan('USD', flat('fee', '31.00')), '2027-01-01T00:00:00Z', newYorker);
    const [five, ten] = [await off('5.00'), await percent('10')];
    await ofSubscription(id, five);
    await ofCustomer(life.customer, ten);
    await life.until('2027-01-02T00:00:00Z');
    const [invoice] = await whole(life);
    expect(shown(invoice)).toEqual(['fee 31.00, -3.10, -5.00, ny 0.92, nyc 1.03', '31.00 8.10 1.95 24.85']);
    expect(invoice.discounts).toMatchObject([{ name: 'Off', amount: '3.10' }, { amount: '5.00' }]);
    const explained = (await sandbox.api('GET', `/v1/invoices/${invoice.id}/line-items/1/explain`)).body;
    expect(explained.discounts).toEqual(invoice.lines[0].discounts);
    expect(explained.output.amount).toBe('31.00');
  });

  it.each([
    ['JPY', '1005', ['fee 1005, -335', '1005 335 0 670']],
    ['KWD', '10.005', ['fee 10.005, -3.335', '10.005 3.335 0.000 6.670']],
    ['HUF', '1005.01', ['fee 1005.01, -335.00', '1005.01 335.00 0.00 670.01']],
  ])('in %s is of its minor units', async (currency, amount, expected) => {
    const { life, id } = await subscribed(await plan(currency, flat('fee', amount)), '2027-01-01T00:00:00Z');
    await ofSubscription(id, await percent('33.3333'));
    await life.until('2027-01-02T00:00:00Z');
    expect(await billed(life)).toEqual([expected]);
  });

  it('that expires between its redemption and the issue takes nothing off, by the hour of its customer', async () => {
    const { life, id } = await subscribed(
      await plan('USD', calls('5.00'), flat('fee', '31.00')),
      '2027-01-01T00:00:00Z',
    );
    const discount = await ofSubscription(id, await percent('10', { expires_at: '2027-02-01T00:00:00Z' }));
    await sandbox.send([call(life.customer, '2027-01-10T00:00:00Z')]);
    await life.until('2027-02-02T00:00:00Z');
    expect(await billed(life)).toEqual([
      ['fee 31.00, -3.10', '31.00 3.10 0.00 27.90'],
      ['calls 5.00', 'fee 31.00', '36.00 0.00 0.00 36.00'],
    ]);
    expect(await stateOf(discount)).toBe('expired 1 1');
  });
});

describe('[I15] usage that comes late for a discounted period', () => {
  const january = '2027-01-10T00:00:00Z';
  const send = (customer: string, count: number) =>
    sandbox.send(Array.from({ length: count }, () => call(customer, january)));

  it('has the discount that held for it, though its first line was nothing and it is ended since', async () => {
    const { life, id } = await subscribed(await plan('USD', calls('1.00')), '2027-01-01T00:00:00Z');
    const discount = await ofSubscription(id, await percent('20'));
    await life.until('2027-02-02T00:00:00Z');
    await sandbox.api('DELETE', `/v1/subscriptions/${id}/discounts/${discount.id}`);
    await ofSubscription(id, await percent('50'));
    await send(life.customer, 10);
    await life.until('2027-03-02T00:00:00Z');
    expect(await billed(life)).toEqual([
      ['calls 0.00', '0.00 0.00 0.00 0.00'],
      ['calls 0.00', 'calls (correction) 10.00, -2.00', '10.00 2.00 0.00 8.00'],
    ]);
  });

  it('gives discounts back with what they were given on, to the last cent', async () => {
    const { life, id } = await subscribed(await plan('USD', calls('1.00')), '2026-01-01T00:00:00Z');
    const discount = await ofSubscription(id, await percent('33.33'));
    const sent = Array.from({ length: 4 }, () => call(life.customer, '2026-01-10T00:00:00Z'));
    await sandbox.send(sent);
    await life.until('2026-02-02T00:00:00Z');
    await sandbox.api('DELETE', `/v1/subscriptions/${id}/discounts/${discount.id}`);
    for (const [index, month] of ['2026-03-02', '2026-04-02', '2026-05-02', '2026-06-02'].entries()) {
      await makeVoid(sent[index]?.idempotency_key);
      await life.until(`${month}T00:00:00Z`);
    }
    // 1.33, and what is left of three, two, one and none: 1.00, 0.67, 0.33 and 0.00.
    expect((await billed(life)).map((lines) => lines.at(-1))).toEqual([
      '4.00 1.33 0.00 2.67',
      '-1.00 -0.33 0.00 -0.67',
      '-1.00 -0.33 0.00 -0.67',
      '-1.00 -0.34 0.00 -0.66',
      '-1.00 -0.33 0.00 -0.67',
    ]);
  });

  it('is discounted with the least that the period costs, as one invoice of all of it', async () => {
    const code = `p-${unique()}`;
    const terms = { minimum_commitment: { amount: '10.00' } };
    await sandbox.made('/v1/plans', { code, name: code, currency: 'USD', charges: [calls('1.00')], ...terms });
    const { life, id } = await subscribed(code, '2027-01-01T00:00:00Z');
    await ofSubscription(id, await percent('10'));
    await ofCustomer(life.customer, await off('2.00'));
    await send(life.customer, 3);
    await life.until('2027-02-02T00:00:00Z');
    await send(life.customer, 9);
    await life.until('2027-03-02T00:00:00Z');
    const [first, second] = await billed(life);
    // 9.00 and 10.80 are left of the percentage; the amount is split 0.60 to 1.40, and then is on the calls alone.
    expect(first).toEqual([
      'calls 3.00, -0.30, -0.60',
      'Minimum commitment 7.00, -0.70, -1.40',
      '10.00 3.00 0.00 7.00',
    ]);
    expect(second?.slice(2)).toEqual([
      'calls (correction) 9.00, -0.90, -1.40',
      'Minimum commitment (correction) -7.00, --0.70, --1.40',
      '12.00 3.20 0.00 8.80',
    ]);
  });
});

describe('an invoice of several subscriptions', () => {
  it('has each discount on its own lines', async () => {
    const fee = await plan('USD', flat('fee', '10.00'));
    const { life, id } = await subscribed(fee, '2027-01-01T00:00:00Z');
    const other = await plan('USD', flat('other', '20.00'));
    const parts = { customer_id: life.customer, plan: other };
    const { id: second } = await sandbox.made('/v1/subscriptions', parts);
    await ofSubscription(id, await percent('50'));
    await ofSubscription(second, await off('3.00'));
    await ofCustomer(life.customer, await percent('10', { applies_to: { plans: [other] } }));
    await life.until('2027-01-02T00:00:00Z');
    const invoices = await billed(life);
    expect(
      invoices
        .flat()
        .filter((line) => line.includes('fee') || line.includes('other'))
        .toSorted(),
    ).toEqual(['fee 10.00, -5.00', 'other 20.00, -2.00, -3.00']);
  });
});

describe('a preview, a draft and a one-off invoice', () => {
  it('show discounts and use nothing up, until one is issued', async () => {
    const { life, id } = await subscribed(await plan('USD', flat('fee', '31.00')), '2027-01-01T00:00:00Z');
    const discount = await ofSubscription(id, await off('50.00', { duration: 'once' }));
    const at = '2027-02-02T00:00:00Z';
    const preview = (await sandbox.api('POST', '/v1/invoices/preview', { subscription_id: id, at })).body;
    expect(
      preview.invoices.map(({ discount_total, total }: Record<string, string>) => [discount_total, total]),
    ).toEqual([
      ['31.00', '0.00'],
      ['0.00', '31.00'],
    ]);
    const settings = (draft_minutes: number) =>
      sandbox.api('PATCH', '/v1/organization', { invoicing: { draft_minutes } });
    await settings(1_440);
    await life.until('2027-01-01T12:00:00Z');
    const [draft] = (await sandbox.api('GET', `/v1/invoices?state=draft&customer_id=${life.customer}`)).body.items;
    expect(draft).toMatchObject({ discounts: [{ amount: '31.00' }], discount_total: '31.00', total: '0.00' });
    const computed = (await sandbox.api('GET', `/v1/invoices/${draft.id}`)).body;
    expect(shown(computed)).toEqual(['fee 31.00, -31.00', '31.00 31.00 0.00 0.00']);
    expect(await stateOf(discount)).toBe('active 0 0');
    await life.until('2027-01-03T00:00:00Z');
    await settings(0);
    expect(await billed(life)).toEqual([['fee 31.00, -31.00', '31.00 31.00 0.00 0.00']]);
    expect(await stateOf(discount)).toBe('used 1 0');
  });

  it('a one-off invoice has the discounts of its customer that it asks for', async () => {
    const life = await lifeFrom(sandbox, '2027-01-01T00:00:00Z');
    const discount = await ofCustomer(life.customer, await percent('10', { duration: 'once' }));
    const lines = [
      { description: 'Workshop', amount: '100.00' },
      { description: 'Goodwill', amount: '-20.00' },
    ];
    const ask = (more: object) => ({ customer_id: life.customer, currency: 'USD', lines, ...more });
    const without = await sandbox.made('/v1/invoices', ask({}));
    expect(without).toMatchObject({ discount_total: '0.00', total: '80.00' });
    const asked = await sandbox.made('/v1/invoices', ask({ discounts: [discount.id] }));
    expect(asked).toMatchObject({ discount_total: '8.00', total: '72.00' });
    expect(await stateOf(discount)).toBe('active 0 0');
    await sandbox.made(`/v1/invoices/${asked.id}/finalize`, {});
    const issued = (await sandbox.api('GET', `/v1/invoices/${asked.id}?wait_seconds=25`)).body;
    expect(issued.state).toBe('issued');
    expect(shown(issued)).toEqual(['Workshop 100.00, -8.00', 'Goodwill -20.00', '80.00 8.00 0.00 72.00']);
    expect(await stateOf(discount)).toBe('used 1 0');
    const foreign = await sandbox.api('POST', '/v1/invoices', ask({ discounts: [`dsc_${'0'.repeat(32)}`] }));
    expect(foreign.body.errors).toMatchObject([{ field: 'discounts[0]', code: 'not_found' }]);
  });
});

it('every line is rated again to what it was, and every hash holds', async () => {
  const { databaseUrl, clickhouseUrl } = pipeline;
  const again = await verify(databaseUrl, [], 'rater/verify/rating.main.ts', { CLICKHOUSE_URL: clickhouseUrl });
  expect([again.code, again.faults]).toEqual([0, []]);
  expect((await verify(databaseUrl)).faults).toEqual([]);
});
