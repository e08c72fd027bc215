/** Stories of taxes, by test clocks, with their exact cents. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { Queryable } from '#platform/stores/postgres.ts';
import { taxFacts } from '../../../invoicer/taxes/tax-facts.postgres.ts';
import type { Pipeline } from '../../support/pipeline.ts';
import { expectRatedAgain } from '../../support/rated-again.ts';
import { sharedPipeline } from '../../support/shared-pipeline.ts';
import { flat as flatCharge, newPlan } from '../../support/story-parts.ts';
import { firstTenant } from '../../support/tenants.ts';
import { type Life, lifeFrom, type Sandbox, sandboxOf } from '../../support/test-clock.ts';
import { verify } from '../../support/verify-command.ts';

let pipeline: Pipeline;
let sandbox: Sandbox;
const rate = (code: string, percentage: string, more: object = {}) =>
  sandbox.made('/v1/tax-rates', { code, name: code.toUpperCase(), percentage, ...more });
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
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

const flat = (code: string, amount: string, more: object = {}) =>
  flatCharge(code, amount, { timing: 'advance', ...more });
const plan = (currency: string, ...charges: object[]): Promise<string> => newPlan(sandbox, currency, charges);
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

describe('what is given back of a year that was charged in advance', () => {
  const yearly = { billing_interval: { unit: 'year' } };
  const change = (id: string, what: string, body: object = {}) => sandbox.made(`/v1/subscriptions/${id}/${what}`, body);
  const customerNow = async ({ customer }: Life, body: object) =>
    expect((await sandbox.api('PATCH', `/v1/customers/${customer}`, body)).status).toBe(200);
  const march = '2027-03-01T00:00:00Z';
  /** One who paid for 2027, by the first of April. */
  const aprilOf = async (customer: object, ...more: object[]) => {
    const life = await lifeFrom(sandbox, '2027-01-01T00:00:00Z', customer);
    const ofYear = await plan('EUR', flat('fee', '365.00', yearly), ...more);
    const { id } = await sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan: ofYear });
    await life.until('2027-04-01T00:00:00Z');
    return { life, id };
  };
  const canceled = async ({ life, id }: { life: Life; id: string }) => {
    await change(id, 'cancel', { at: 'now' });
    await life.until('2027-04-03T00:00:00Z');
    const [charge, credit, ...others] = await billed(life);
    expect(others).toEqual([]);
    return { charge: charge?.sums, credit };
  };

  it('has the percentage and the name of then, where another rate came', async () => {
    const { id: rateId } = await rate('at-5', '5', { country: 'AT', valid_until: march });
    await rate('at-10', '10', { country: 'AT', valid_from: march });
    const april = await aprilOf(at('AT'));
    await sandbox.api('PATCH', `/v1/tax-rates/${rateId}`, { name: 'Renamed' });
    expect(await canceled(april)).toEqual({
      charge: '365.00 18.25 383.25',
      credit: {
        lines: ['fee (unused) -275.00, at-5 -275.00 -13.75'],
        taxes: ['at-5 -275.00 -13.75'],
        sums: '-275.00 -13.75 -288.75',
      },
    });
    const { items } = (await sandbox.api('GET', `/v1/invoices?customer_id=${april.life.customer}&sort=-number`)).body;
    const { taxes } = (await sandbox.api('GET', `/v1/invoices/${items[0].id}`)).body;
    const asCharged = { tax_rate_id: rateId, name: 'AT-5', percentage: '5', inclusive: false, treatment: 'taxed' };
    expect(taxes).toMatchObject([asCharged]);
  });

  it('has no tax that was never taken, where the customer was exempt', async () => {
    await rate('be', '5', { country: 'BE' });
    const april = await aprilOf({ ...at('BE'), tax: { treatment: 'exempt' } });
    await customerNow(april.life, { tax: { treatment: 'taxable' } });
    expect(await canceled(april)).toEqual({
      charge: '365.00 0.00 365.00',
      credit: {
        lines: ['fee (unused) -275.00, exempt -275.00 0.00'],
        taxes: ['exempt -275.00 0.00'],
        sums: '-275.00 0.00 -275.00',
      },
    });
  });

  it('has the tax that was taken, where the customer is exempt by now', async () => {
    await rate('lu', '5', { country: 'LU' });
    const april = await aprilOf(at('LU'));
    await customerNow(april.life, { tax: { treatment: 'exempt' } });
    expect((await canceled(april)).credit).toEqual({
      lines: ['fee (unused) -275.00, lu -275.00 -13.75'],
      taxes: ['lu -275.00 -13.75'],
      sums: '-275.00 -13.75 -288.75',
    });
  });

  it('has the tax in it that was in the price, where taxes are added by now', async () => {
    await rate('nl-in', '10', { country: 'NL', inclusive: true, valid_until: march });
    await rate('nl-on', '10', { country: 'NL', valid_from: march });
    expect(await canceled(await aprilOf(at('NL')))).toEqual({
      charge: '365.00 0.00 365.00',
      credit: {
        lines: ['fee (unused) -275.00, nl-in -250.00 -25.00'],
        taxes: ['nl-in -250.00 -25.00'],
        sums: '-275.00 0.00 -275.00',
      },
    });
  });

  it('has the taxes of the country of then, each charge its own, where the customer moved', async () => {
    await rate('it', '5', { country: 'IT' });
    await rate('it-books', '4', { country: 'IT', tax_category: 'books' });
    await rate('es', '21', { country: 'ES' });
    const april = await aprilOf(at('IT'), flat('book', '36.50', { ...yearly, tax_category: 'books' }));
    await customerNow(april.life, at('ES'));
    expect(await canceled(april)).toEqual({
      charge: '401.50 19.71 421.21',
      credit: {
        lines: ['fee (unused) -275.00, it -275.00 -13.75', 'book (unused) -27.50, it-books -27.50 -1.10'],
        taxes: ['it -275.00 -13.75', 'it-books -27.50 -1.10'],
        sums: '-302.50 -14.85 -317.35',
      },
    });
  });

  it('has the tax of a rate that is archived by now', async () => {
    const { id } = await rate('pt', '5', { country: 'PT' });
    const april = await aprilOf(at('PT'));
    await sandbox.made(`/v1/tax-rates/${id}/archive`, {});
    expect((await canceled(april)).credit?.sums).toBe('-275.00 -13.75 -288.75');
  });

  it('has none where none was charged, whatever rate came since', async () => {
    const april = await aprilOf(at('NO'));
    await rate('no', '25', { country: 'NO' });
    expect((await canceled(april)).credit).toEqual({
      lines: ['fee (unused) -275.00'],
      taxes: [],
      sums: '-275.00 0.00 -275.00',
    });
  });

  it('has the tax of then at a change of plan, beside what is charged with the tax of now', async () => {
    await rate('se-5', '5', { country: 'SE', valid_until: march });
    await rate('se-10', '10', { country: 'SE', valid_from: march });
    const { life, id } = await aprilOf(at('SE'));
    await change(id, 'change-plan', { plan: await plan('EUR', flat('pro', '730.00', yearly)), invoice: 'now' });
    await life.until('2027-04-02T00:00:00Z');
    const ofChange = {
      lines: ['fee (unused) -275.00, se-5 -275.00 -13.75', 'pro 550.00, se-10 550.00 55.00'],
      taxes: ['se-5 -275.00 -13.75', 'se-10 550.00 55.00'],
      sums: '275.00 41.25 316.25',
    };
    expect((await billed(life)).slice(1)).toEqual([ofChange]);
    // What the change charged is taken back with the tax of the change.
    await change(id, 'cancel', { at: 'now' });
    await life.until('2027-04-03T00:00:00Z');
    expect((await billed(life))[2]?.lines).toEqual(['pro (unused) -548.00, se-10 -548.00 -54.80']);
  });

  it('has the tax of now, where what was charged is in a draft still', async () => {
    await rate('fi-5', '5', { country: 'FI', valid_until: '2027-01-02T00:00:00Z' });
    await rate('fi-10', '10', { country: 'FI', valid_from: '2027-01-02T00:00:00Z' });
    const waitAsDraft = (draft_minutes: number) =>
      sandbox.api('PATCH', '/v1/organization', { invoicing: { draft_minutes } });
    await waitAsDraft(10_080);
    const life = await lifeFrom(sandbox, '2027-01-01T00:00:00Z', at('FI'));
    const ofYear = await plan('EUR', flat('fee', '365.00', yearly));
    const { id } = await sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan: ofYear });
    await life.until('2027-01-03T00:00:00Z');
    await change(id, 'cancel', { at: 'now' });
    await life.until('2027-01-04T00:00:00Z');
    await waitAsDraft(0);
    const { items } = (await sandbox.api('GET', `/v1/invoices?state=draft&customer_id=${life.customer}`)).body;
    const bySubtotal = (a: { subtotal: string }, b: { subtotal: string }) => Number(a.subtotal) - Number(b.subtotal);
    // The credit before what it takes back.
    for (const draft of items.toSorted(bySubtotal)) {
      await sandbox.made(`/v1/invoices/${draft.id}/finalize`, {});
      await sandbox.api('GET', `/v1/invoices/${draft.id}?wait_seconds=25`);
    }
    expect((await billed(life)).map(({ lines }) => lines)).toEqual([
      ['fee (unused) -363.00, fi-10 -363.00 -36.30'],
      ['fee 365.00, fi-10 365.00 36.50'],
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

  it('of another member of the Union owes VAT itself, where the seller is in one', async () => {
    const basic = await plan('EUR', flat('base', '49.99'));
    const german = { line1: 'x', city: 'Berlin', country: 'DE' };
    const entity = { legal_name: 'Seller GmbH', address: german, number_format: { prefix: 'SELLER-' } };
    const { id: issuing_entity_id } = await sandbox.made('/v1/issuing-entities', entity);
    const withId = (type: string, value: string) => ({ tax_ids: [{ type, value }], issuing_entity_id });
    const french = await subscribed(basic, { ...at('FR'), ...withId('fr_vat', 'FR40303265045') });
    const home = await subscribed(basic, { ...at('DE'), ...withId('de_vat', 'DE811907980') });
    const private_ = await subscribed(basic, { ...at('FR'), issuing_entity_id });
    for (const life of [french, home, private_]) await life.until('2027-05-02T00:00:00Z');
    expect(await billed(french)).toEqual([
      {
        lines: ['base 49.99, reverse_charge 49.99 0.00'],
        taxes: ['reverse_charge 49.99 0.00'],
        sums: '49.99 0.00 49.99',
      },
    ]);
    const [{ id }] = (await sandbox.api('GET', `/v1/invoices?customer_id=${french.customer}`)).body.items;
    expect((await sandbox.api('GET', `/v1/invoices/${id}`)).body.taxes).toMatchObject([
      { treatment: 'reverse_charge', tax_rate_id: null, name: expect.stringContaining('Article 196') },
    ]);
    expect((await billed(home))[0]?.taxes).toEqual(['de 49.99 9.50']);
    expect((await billed(private_))[0]?.taxes).toEqual(['fr 41.66 8.33']);
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
  const canceled = await lifeFrom(sandbox, '2027-04-16T00:00:00Z', at('US', 'NY'));
  const { id } = await sandbox.made('/v1/subscriptions', { customer_id: canceled.customer, plan: three });
  await canceled.until('2027-05-01T00:00:00Z');
  await sandbox.api('PATCH', '/v1/organization', { tax_rounding: 'invoice' });
  await sandbox.made(`/v1/subscriptions/${id}/cancel`, { at: 'now' });
  await canceled.until('2027-05-02T00:00:00Z');
  // All of May is given back with what it was charged with, line by line.
  expect((await billed(canceled)).slice(1).map(({ taxes, sums }) => [...taxes, sums])).toEqual([
    ['ny 2.97 0.12', 'nyc 2.97 0.12', '2.97 0.24 3.21'],
    ['ny -2.97 -0.12', 'nyc -2.97 -0.12', '-2.97 -0.24 -3.21'],
  ]);
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
    lines: [
      { description: 'Workshop', amount: '100.00' },
      { description: 'Atlas', amount: '20.00', tax_category: 'books' },
    ],
  });
  // 16 % of the one, 7 % of the other.
  expect(sums(made)).toBe('120.00 17.40 137.40');
  await sandbox.api('PATCH', `/v1/customers/${life.customer}`, { tax: { treatment: 'exempt' } });
  // Lists say what was computed last, and whoever asks for it what stands.
  expect(sums((await sandbox.api('GET', `/v1/invoices/${made.id}`)).body)).toBe('120.00 0.00 120.00');
  const again = (await sandbox.api('GET', `/v1/invoices?state=draft&customer_id=${life.customer}`)).body;
  expect(again.items.map(sums)).toEqual(['120.00 17.40 137.40']);
  await sandbox.api('PATCH', '/v1/organization', { invoicing: { draft_minutes: 0 } });
});

it('[I19] every total is the sum of its parts, all of it is chained, and what was rated is rated again', async () => {
  const { rows } = await pipeline.asOwner.query(
    'SELECT 1 FROM invoices WHERE organization_id = $1 AND total <> subtotal - discount_total + tax_total',
    [(await firstTenant(pipeline)).sandboxId],
  );
  expect(rows).toEqual([]);
  expect((await verify(pipeline.databaseUrl)).faults).toEqual([]);
  await expectRatedAgain(pipeline, sandbox);
});

it('an organization without tax rates is asked for them once a shard, and one with them for little more', async () => {
  const { organizationId: liveId, sandboxId } = await firstTenant(pipeline);
  const idsOf = async (statement: string): Promise<string[]> =>
    (await pipeline.asOwner.query<{ id: string }>(statement, [sandboxId])).rows.map(({ id }) => id);
  const customerIds = await idsOf('SELECT id FROM customers WHERE organization_id = $1');
  const credits = await idsOf("SELECT id FROM billing_periods WHERE organization_id = $1 AND timing = 'credit'");
  const asked = async (organizationId: string, creditIds: readonly string[] = []) => {
    let statements = 0;
    const query: Queryable['query'] = (...args) => {
      statements += 1;
      return pipeline.asWorker.query(...args);
    };
    const facts = await taxFacts(
      { query },
      {
        organizationId,
        customerIds,
        planVersionIds: [],
        billingPeriodIds: [],
        creditIds,
      },
    );
    return { statements, customers: facts?.customers.size, takenBack: facts?.takenBack.size };
  };
  expect(await asked(liveId)).toEqual({ statements: 1 });
  expect(await asked(sandboxId)).toEqual({ statements: 3, customers: customerIds.length, takenBack: 0 });
  const all = { statements: 5, customers: customerIds.length, takenBack: credits.length };
  expect(await asked(sandboxId, credits)).toEqual(all);
});

it('what was taxed is given back with its tax when no rate is left', async () => {
  const life = await lifeFrom(sandbox, '2027-04-01T00:00:00Z', at('FR'));
  const basic = await plan('EUR', flat('base', '30.00'));
  const { id } = await sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan: basic });
  await life.until('2027-04-16T00:00:00Z');
  const { items: named } = (await sandbox.api('GET', '/v1/customers?limit=1000')).body;
  for (const one of named)
    if (one.tax.rates.length > 0) await sandbox.api('PATCH', `/v1/customers/${one.id}`, { tax: null });
  const { items: rates } = (await sandbox.api('GET', '/v1/tax-rates?limit=100')).body;
  for (const one of rates) await sandbox.made(`/v1/tax-rates/${one.id}/archive`, {});
  await sandbox.made(`/v1/subscriptions/${id}/pause`, { invoice: 'now' });
  await life.until('2027-04-17T00:00:00Z');
  expect((await billed(life)).map(({ lines }) => lines)).toEqual([
    ['base 30.00, fr 25.00 5.00'],
    ['base (unused) -15.00, fr -12.50 -2.50'],
  ]);
});
