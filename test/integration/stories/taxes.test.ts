/** Stories of taxes, by test clocks, with their exact cents. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { Queryable } from '#platform/stores/postgres.ts';
import { createTaxFacts } from '../../../invoicer/taxes/tax-facts.postgres.ts';
import { type Pipeline, startPipeline } from '../../support/pipeline.ts';
import { expectRatedAgain } from '../../support/rated-again.ts';
import { unique } from '../../support/tenants.ts';
import { type Life, lifeFrom, type Sandbox, sandboxOf } from '../../support/test-clock.ts';
import { verify } from '../../support/verify-command.ts';

let pipeline: Pipeline;
let sandbox: Sandbox;
const rate = (code: string, percentage: string, more: object = {}) =>
  sandbox.made('/v1/tax-rates', { code, name: code.toUpperCase(), percentage, ...more });
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'));
  sandbox = await sandboxOf(pipeline);
  const july = '2027-07-01T00:00:00Z';
  await rate('de', '19', { country: 'DE', valid_until: july });
  await rate('de-lower', '16', { country: 'DE', valid_from: july });
  await rate('de-books', '7', { country: 'DE', tax_category: 'books' });
  await rate('fr', '20', { country: 'FR', inclusive: true });
  await rate('ny', '4', { country: 'US', state: 'NY' });
  await rate('nyc', '4.5', { country: 'US', state: 'NY' });
  await rate('jp', '10', { country: 'JP' });
  await rate('named', '5.5');
});
afterAll(() => pipeline?.stop());

const flat = (code: string, amount: string, more: object = {}) => ({
  code,
  name: code,
  timing: 'advance',
  price: { model: 'flat', amount },
  ...more,
});
const plan = async (currency: string, ...charges: object[]): Promise<string> => {
  const code = `p-${unique()}`;
  await sandbox.made('/v1/plans', { code, name: code, currency, charges });
  return code;
};
const at = (country: string, state?: string) => ({
  address: { line1: 'x', city: 'x', country, ...(state && { state }) },
});
const subscribed = async (planCode: string, customer: object, from = '2027-05-01T00:00:00Z'): Promise<Life> => {
  const life = await lifeFrom(sandbox, from, customer);
  await sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan: planCode });
  return life;
};

type Tax = { code: string; treatment: string; taxable_amount: string; amount: string };
const taxText = ({ code, taxable_amount, amount }: Tax) => `${code} ${taxable_amount} ${amount}`;
/** What was issued, by number. */
const billed = async ({ customer }: Life) => {
  const { body } = await sandbox.api('GET', `/v1/invoices?customer_id=${customer}&sort=number&limit=100`);
  const whole = await Promise.all(
    body.items.map(async ({ id }: { id: string }) => (await sandbox.api('GET', `/v1/invoices/${id}`)).body),
  );
  return whole.map(({ lines, taxes, subtotal, tax_total, total }) => ({
    lines: lines.map((line: { description: string; amount: string; taxes: Tax[] }) =>
      [`${line.description} ${line.amount}`, ...line.taxes.map(taxText)].join(', '),
    ),
    taxes: taxes.map(taxText),
    sums: `${subtotal} ${tax_total} ${total}`,
  }));
};

describe('what is taxed', () => {
  it('in Germany has 19 % added, and another rate from the instant on at which it is issued', async () => {
    const life = await subscribed(await plan('EUR', flat('base', '49.99')), at('DE'));
    await life.until('2027-07-02T00:00:00Z');
    expect(await billed(life)).toEqual([
      { lines: ['base 49.99, de 49.99 9.50'], taxes: ['de 49.99 9.50'], sums: '49.99 9.50 59.49' },
      { lines: ['base 49.99, de 49.99 9.50'], taxes: ['de 49.99 9.50'], sums: '49.99 9.50 59.49' },
      { lines: ['base 49.99, de-lower 49.99 8.00'], taxes: ['de-lower 49.99 8.00'], sums: '49.99 8.00 57.99' },
    ]);
  });

  it('in France has 20 % in its prices, and is no dearer by it', async () => {
    const life = await subscribed(await plan('EUR', flat('base', '49.99')), at('FR'));
    await life.until('2027-05-02T00:00:00Z');
    expect(await billed(life)).toEqual([
      { lines: ['base 49.99, fr 41.66 8.33'], taxes: ['fr 41.66 8.33'], sums: '49.99 0.00 49.99' },
    ]);
  });

  it('in New York has two rates, each of the net', async () => {
    const life = await subscribed(await plan('USD', flat('base', '49.99')), at('US', 'us-ny'));
    await life.until('2027-05-02T00:00:00Z');
    expect(await billed(life)).toEqual([
      {
        lines: ['base 49.99, ny 49.99 2.00, nyc 49.99 2.25'],
        taxes: ['ny 49.99 2.00', 'nyc 49.99 2.25'],
        sums: '49.99 4.25 54.24',
      },
    ]);
  });

  it('in Japan has whole yen', async () => {
    const life = await subscribed(await plan('JPY', flat('base', '1005')), at('JP'));
    await life.until('2027-05-02T00:00:00Z');
    expect(await billed(life)).toEqual([
      { lines: ['base 1005, jp 1005 101'], taxes: ['jp 1005 101'], sums: '1005 101 1106' },
    ]);
  });

  it('elsewhere, or nobody knows where, has none', async () => {
    const basic = await plan('USD', flat('base', '49.99'));
    for (const customer of [at('US', 'TX'), at('CH'), {}]) {
      const life = await subscribed(basic, customer);
      await life.until('2027-05-02T00:00:00Z');
      expect(await billed(life)).toEqual([{ lines: ['base 49.99'], taxes: [], sums: '49.99 0.00 49.99' }]);
    }
  });

  it('of several categories has the rate of each, one-time charges included', async () => {
    const books = { tax_category: 'books' };
    const life = await lifeFrom(sandbox, '2027-05-01T00:00:00Z', at('DE'));
    const shop = await plan('EUR', flat('base', '49.99'), flat('book', '10.05', books));
    const { id } = await sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan: shop });
    const fee = { name: 'Atlas', amount: '20.00', invoice: 'now' };
    expect(await sandbox.made(`/v1/subscriptions/${id}/charges`, { ...fee, ...books })).toMatchObject(books);
    await sandbox.made(`/v1/subscriptions/${id}/charges`, { ...fee, name: 'Visit' });
    await life.until('2027-05-02T00:00:00Z');
    const bills = await billed(life);
    expect(bills.flatMap(({ lines }) => lines).toSorted()).toEqual([
      'Atlas 20.00, de-books 20.00 1.40',
      'Visit 20.00, de 20.00 3.80',
      'base 49.99, de 49.99 9.50',
      'book 10.05, de-books 10.05 0.70',
    ]);
  });

  it('and given back has its tax given back', async () => {
    const life = await lifeFrom(sandbox, '2027-04-01T00:00:00Z', at('DE'));
    const basic = await plan('EUR', flat('base', '30.00'));
    const { id } = await sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan: basic });
    await life.until('2027-04-16T00:00:00Z');
    await sandbox.made(`/v1/subscriptions/${id}/pause`, { invoice: 'now' });
    await life.until('2027-04-17T00:00:00Z');
    expect(await billed(life)).toEqual([
      { lines: ['base 30.00, de 30.00 5.70'], taxes: ['de 30.00 5.70'], sums: '30.00 5.70 35.70' },
      { lines: ['base (unused) -15.00, de -15.00 -2.85'], taxes: ['de -15.00 -2.85'], sums: '-15.00 -2.85 -17.85' },
    ]);
  });
});

describe('a customer', () => {
  it('that is exempt has none, and its invoice says why', async () => {
    const tax = { treatment: 'exempt', exemption_reason: 'embassy' };
    const life = await subscribed(await plan('EUR', flat('base', '49.99')), { ...at('DE'), tax });
    await life.until('2027-05-02T00:00:00Z');
    expect(await billed(life)).toEqual([
      { lines: ['base 49.99, exempt 49.99 0.00'], taxes: ['exempt 49.99 0.00'], sums: '49.99 0.00 49.99' },
    ]);
    const [{ id }] = (await sandbox.api('GET', `/v1/invoices?customer_id=${life.customer}`)).body.items;
    const words = { tax_rate_id: null, name: 'Exempt from tax: embassy', treatment: 'exempt', percentage: '0' };
    expect((await sandbox.api('GET', `/v1/invoices/${id}`)).body.taxes).toMatchObject([words]);
  });

  it('that names rates has those, wherever it is', async () => {
    const tax = { treatment: 'taxable', rates: ['named'] };
    const life = await subscribed(await plan('EUR', flat('base', '49.99')), { ...at('DE'), tax });
    await life.until('2027-05-02T00:00:00Z');
    expect(await billed(life)).toEqual([
      { lines: ['base 49.99, named 49.99 2.75'], taxes: ['named 49.99 2.75'], sums: '49.99 2.75 52.74' },
    ]);
  });

  it('that changes afterwards changes no invoice, nor does a rate that ends', async () => {
    const life = await subscribed(await plan('EUR', flat('base', '49.99')), at('DE'));
    await life.until('2027-05-02T00:00:00Z');
    const before = await billed(life);
    await sandbox.api('PATCH', `/v1/customers/${life.customer}`, { tax: { treatment: 'exempt' } });
    expect(await billed(life)).toEqual(before);
    await life.until('2027-06-02T00:00:00Z');
    expect((await billed(life))[1]?.sums).toBe('49.99 0.00 49.99');
  });
});

it('taxes that are rounded by invoice are rounded once, and the lines sum to them', async () => {
  const three = await plan('USD', ...['a', 'b', 'c'].map((code) => flat(code, '0.99')));
  const byLine = await subscribed(three, at('US', 'NY'));
  await byLine.until('2027-05-02T00:00:00Z');
  await sandbox.api('PATCH', '/v1/organization', { tax_rounding: 'invoice' });
  const byInvoice = await subscribed(three, at('US', 'NY'));
  await byInvoice.until('2027-05-02T00:00:00Z');
  // 0.0396 and 0.04455 of each line; 0.1188 and 0.13365 of all three.
  expect((await billed(byLine))[0]?.taxes).toEqual(['ny 2.97 0.12', 'nyc 2.97 0.12']);
  expect(await billed(byInvoice)).toEqual([
    {
      lines: [
        'a 0.99, ny 0.99 0.04, nyc 0.99 0.05',
        'b 0.99, ny 0.99 0.04, nyc 0.99 0.04',
        'c 0.99, ny 0.99 0.04, nyc 0.99 0.04',
      ],
      taxes: ['ny 2.97 0.12', 'nyc 2.97 0.13'],
      sums: '2.97 0.25 3.22',
    },
  ]);
});

it('a draft and a preview have the taxes that the invoice has, to the byte of each line', async () => {
  const books = { tax_category: 'books' };
  const shop = await plan('EUR', flat('base', '49.99'), flat('book', '10.05', books));
  const life = await lifeFrom(sandbox, '2027-06-20T00:00:00Z', at('DE'));
  const { id } = await sandbox.made('/v1/subscriptions', {
    customer_id: life.customer,
    plan: shop,
    started_at: '2027-06-20T00:00:00Z',
  });
  await life.until('2027-06-21T00:00:00Z');
  await sandbox.made(`/v1/subscriptions/${id}/charges`, { name: 'Atlas', amount: '20.00', invoice: 'next', ...books });
  const sums = ({ subtotal, tax_total, total }: Record<string, string>) => `${subtotal} ${tax_total} ${total}`;
  const { body: ahead } = await sandbox.api('POST', '/v1/invoices/preview', { subscription_id: id });
  const [next] = ahead.invoices;
  const dueInJuly = next.due_at >= '2027-07-01';
  expect(dueInJuly).toBe(true);
  // 16 % of 49.99, and 7 % of 10.05 and of 20.00.
  expect(sums(next)).toBe('80.04 10.10 90.14');
  await sandbox.api('PATCH', '/v1/organization', { invoicing: { draft_minutes: 1_440 }, tax_rounding: 'line' });
  await life.until(next.due_at.replace('00:00:00', '12:00:00'));
  const { body: listed } = await sandbox.api('GET', `/v1/invoices?state=draft&customer_id=${life.customer}`);
  const [draft] = listed.items;
  expect(sums(draft)).toBe(sums(next));
  expect(draft.taxes).toEqual(next.taxes);
  const whole = (await sandbox.api('GET', `/v1/invoices/${draft.id}`)).body;
  expect([sums(whole), whole.taxes, whole.lines]).toEqual([sums(next), next.taxes, next.lines]);
  await sandbox.api('POST', `/v1/invoices/${draft.id}/finalize`);
  const issued = (await sandbox.api('GET', `/v1/invoices/${draft.id}?wait_seconds=25`)).body;
  expect([issued.state, issued.taxes, issued.lines, sums(issued)]).toEqual([
    'issued',
    whole.taxes,
    whole.lines,
    sums(whole),
  ]);
  const made = await sandbox.made('/v1/invoices', {
    customer_id: life.customer,
    currency: 'EUR',
    lines: [{ description: 'Workshop', amount: '100.00' }],
  });
  expect(sums(made)).toBe('100.00 16.00 116.00');
  await sandbox.api('PATCH', `/v1/customers/${life.customer}`, { tax: { treatment: 'exempt' } });
  // Lists say what was computed last, and whoever asks for it what stands.
  expect(sums((await sandbox.api('GET', `/v1/invoices/${made.id}`)).body)).toBe('100.00 0.00 100.00');
  const again = (await sandbox.api('GET', `/v1/invoices?state=draft&customer_id=${life.customer}`)).body;
  expect(again.items.map(sums)).toEqual(['100.00 16.00 116.00']);
  await sandbox.api('PATCH', '/v1/organization', { invoicing: { draft_minutes: 0 } });
});

it('[I19] every total is the sum of its parts, all of it is chained, and what was rated is rated again', async () => {
  const { rows } = await pipeline.asOwner.query(
    'SELECT 1 FROM invoices WHERE total <> subtotal - discount_total + tax_total',
  );
  expect(rows).toEqual([]);
  expect((await verify(pipeline.databaseUrl)).faults).toEqual([]);
  await expectRatedAgain(pipeline, sandbox);
});

it('an organization without tax rates is asked for them once a shard, and one with them for little more', async () => {
  const { rows } = await pipeline.asOwner.query<{ id: string; organization_id: string }>(
    'SELECT id, organization_id FROM customers',
  );
  const [{ organization_id: sandboxId } = { organization_id: '' }] = rows;
  const live = await pipeline.asOwner.query<{ id: string }>('SELECT id FROM organizations WHERE sandbox_of IS NULL');
  const asked = async (organizationId: string) => {
    let statements = 0;
    const query: Queryable['query'] = (...args) => {
      statements += 1;
      return pipeline.asWorker.query(...args);
    };
    const customerIds = rows.map(({ id }) => id);
    const facts = await createTaxFacts({ query })({
      organizationId,
      customerIds,
      planVersionIds: [],
      billingPeriodIds: [],
    });
    return { statements, customers: facts?.customers.size };
  };
  expect(await asked(live.rows[0]?.id ?? '')).toEqual({ statements: 1, customers: undefined });
  expect(await asked(sandboxId)).toEqual({ statements: 4, customers: rows.length });
});
