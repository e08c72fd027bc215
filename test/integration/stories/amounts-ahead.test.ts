/** Amounts that are shown ahead are the amounts that are billed: each coupon by each tax, by a test clock. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { type ApiAnswer, type Pipeline, until } from '../../support/pipeline.ts';
import { sharedPipeline } from '../../support/shared-pipeline.ts';
import { call, calls, flat, newPlan, sandboxOfCalls } from '../../support/story-parts.ts';
import { unique } from '../../support/tenants.ts';
import { type Life, lifeFrom, type Sandbox } from '../../support/test-clock.ts';

let pipeline: Pipeline;
let sandbox: Sandbox;
let basic: string;
let pro: string;
/** A company in France that buys of one in Germany, and owes the tax by itself. */
let reverse: object;

const advance = { timing: 'advance' };
const seats = (unit_amount: string) => ({
  code: 'seats',
  name: 'seats',
  seats: true,
  price: { model: 'per_unit', unit_amount },
  ...advance,
});

beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
  sandbox = await sandboxOfCalls(pipeline);
  await sandbox.made('/v1/tax-rates', { code: 'wa', name: 'WA', percentage: '7.25', country: 'US' });
  await sandbox.made('/v1/tax-rates', { code: 'tva', name: 'TVA', percentage: '20', country: 'FR', inclusive: true });
  basic = await newPlan(sandbox, 'USD', [
    flat('fee', '31.07', advance),
    seats('3.33'),
    flat('base', '9.99'),
    calls('0.3333'),
  ]);
  pro = await newPlan(sandbox, 'USD', [flat('fee', '77.77', advance), seats('4.01'), calls('0.25')]);
  const entity = { legal_name: 'Seller GmbH', ...address('DE'), number_format: { prefix: 'SELLER-' } };
  const { id: issuing_entity_id } = await sandbox.made('/v1/issuing-entities', entity);
  reverse = { ...address('FR'), tax_ids: [{ type: 'fr_vat', value: 'FR40303265045' }], issuing_entity_id };
}, 60_000);
afterAll(() => pipeline?.stop());

const address = (country: string) => ({ address: { line1: 'x', city: 'x', country } });
const taxes = {
  added: address('US'),
  included: address('FR'),
  exempt: { ...address('US'), tax: { treatment: 'exempt', exemption_reason: 'a school' } },
};
const percentage = { kind: 'percentage', percentage: '12.5' };
const amount = { kind: 'amount', amount: '7.77', currency: 'USD' };
const coupons = {
  'a percentage': { ...percentage, duration: 'forever' },
  'an amount': { ...amount, duration: 'forever' },
  'a percentage once': { ...percentage, duration: 'once' },
  'more than there is, once': { ...amount, amount: '500.00', duration: 'once' },
  'free units for two periods': {
    kind: 'free_units',
    free_units: '2',
    applies_to: { charges: ['calls'] },
    duration: 'repeating',
    duration_periods: 2,
  },
  none: undefined,
};

type Case = { readonly name: string; readonly customer: string; readonly id: string };
type Body = ApiAnswer['body'];

const read = async (path: string): Promise<Body> => {
  const answer = await sandbox.api('GET', path);
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return answer.body;
};
const renewal = (id: string) => read(`/v1/subscriptions/${id}/renewal`);
const previewed = async (subscription_id: string) =>
  (await sandbox.made('/v1/invoices/preview', { subscription_id })).invoices[0];

/** Three calls of each, which are stored and counted. */
const use = async (customers: readonly string[], timestamp: string): Promise<void> => {
  await sandbox.send(customers.flatMap((customer) => [1, 2, 3].map(() => call(customer, timestamp))));
  await until(
    () => Promise.all(customers.map((customer) => read(`/v1/customers/${customer}/usage?from=${timestamp}`))),
    (all) => all.every(({ items }) => items.some((item: { quantity: string }) => item.quantity === '3')),
  );
};

/** What both an invoice and what is said of it sum. */
const sumsOf = ({ discounts, discount_total, taxes: taxed, tax_total, total }: Body) => ({
  discounts,
  discount_total,
  taxes: taxed,
  tax_total,
  total,
});

const newestOf = async ({ customer }: Case, known: ReadonlySet<string>): Promise<Body> => {
  const { items } = await read(`/v1/invoices?customer_id=${customer}&sort=number&limit=100`);
  const fresh = items.filter(({ id }: { id: string }) => !known.has(id));
  expect(fresh).toHaveLength(1);
  return read(`/v1/invoices/${fresh[0].id}`);
};

describe('what is said ahead is billed to the last cent, with discounts and taxes', () => {
  let life: Life;
  let cases: Case[];
  const issued = new Set<string>();

  /** Advances, and has of each case its one new invoice. */
  const issue = async (to: string): Promise<Map<string, Body>> => {
    await life.until(to);
    const found = await Promise.all(cases.map(async (one) => [one.name, await newestOf(one, issued)] as const));
    for (const [, { id }] of found) issued.add(id);
    return new Map(found);
  };

  beforeAll(async () => {
    life = await lifeFrom(sandbox, '2027-01-16T00:00:00Z');
    const names = Object.entries(coupons).flatMap(([coupon, terms]) =>
      Object.entries({ ...taxes, reverse }).map(([tax, customer]) => ({ name: `${coupon}, ${tax}`, terms, customer })),
    );
    cases = await Promise.all(
      names.map(async ({ name, terms, customer }) => {
        const external_id = `c-${unique()}`;
        await sandbox.made('/v1/customers', { external_id, name, ...customer });
        await sandbox.made(`/v1/test-clocks/${life.clock}/customers`, { customer_id: external_id });
        const { id } = await sandbox.made('/v1/subscriptions', { customer_id: external_id, plan: basic, seats: 3 });
        if (terms) {
          const { code } = await sandbox.made('/v1/coupons', { code: `k-${unique()}`, name: 'Off', ...terms });
          await sandbox.made(`/v1/subscriptions/${id}/discounts`, { coupon: code });
        }
        return { name, customer: external_id, id };
      }),
    );
  }, 60_000);

  const expectBilled = async (to: string): Promise<Map<string, Body>> => {
    const told = new Map<string, Body[]>();
    for (const { name, id } of cases) told.set(name, [(await renewal(id)).usage, await previewed(id)]);
    const invoices = await issue(to);
    for (const [name, invoice] of invoices)
      for (const one of told.get(name) ?? []) expect(sumsOf(one), name).toEqual(sumsOf(invoice));
    return invoices;
  };

  it('by the renewal and by the preview of the invoice, at the begin and with usage', async () => {
    const first = await expectBilled('2027-01-16T01:00:00Z');
    // 16 of 31 days of 31.07 and of three times 3.33 are 16.04 and 5.16, of which 7.25 % are 1.16 and 0.37.
    expect(first.get('none, added')).toMatchObject({ subtotal: '21.20', tax_total: '1.53', total: '22.73' });
    // 12.5 % of it is 2.65, of which the fee has 2.01 and the seats 0.64: 14.03 and 4.52 are taxed with 1.02 and 0.33.
    expect(first.get('a percentage, added')).toMatchObject({
      discount_total: '2.65',
      tax_total: '1.35',
      total: '19.90',
    });
    expect(first.get('more than there is, once, exempt')).toMatchObject({ discount_total: '21.20', total: '0.00' });
    await life.until('2027-01-21T00:00:00Z');
    await use(
      cases.map(({ customer }) => customer),
      '2027-01-20T00:00:00Z',
    );
    await expectBilled('2027-02-01T02:00:00Z');
  }, 60_000);

  it('by the preview of a change, prorated within the month, with what it credits and charges', async () => {
    await life.until('2027-02-15T00:00:00Z');
    // What is given back has the tax that it was charged with, what is charged now that of now.
    const valid_until = '2027-02-10T00:00:00Z';
    const patched = await sandbox.api('PATCH', '/v1/tax-rates/wa', { valid_until });
    expect(patched.status).toBe(200);
    const dearer = { code: 'wa-8', name: 'WA', percentage: '8.1', country: 'US', valid_from: valid_until };
    await sandbox.made('/v1/tax-rates', dearer);
    const asked = { plan: pro, invoice: 'now', at: '2027-02-16T00:00:00.000Z' };
    const told = new Map<string, Body>();
    for (const { name, id } of cases) {
      const { preview } = await sandbox.made(`/v1/subscriptions/${id}/change-plan?preview=true`, asked);
      told.set(name, preview);
      await sandbox.made(`/v1/subscriptions/${id}/change-plan`, asked);
    }
    const invoices = await issue('2027-02-16T02:00:00Z');
    for (const [name, invoice] of invoices) {
      const [ahead] = told.get(name)?.invoices ?? [];
      expect(ahead, name).toMatchObject({ due_at: asked.at, subtotal: invoice.subtotal, ...sumsOf(invoice) });
    }
    // 13 of 28 days: 14.43 of 31.08 are given back with 1.04 of 2.25, 4.64 of 10.00 with 0.33 of 0.72; 36.11 and 5.59
    // are charged with 2.92 and 0.45.
    expect(invoices.get('none, added')).toMatchObject({ subtotal: '22.63', tax_total: '2.00', total: '24.63' });
  }, 60_000);

  it('by the preview of seats that are put right with the end of the month', async () => {
    const told = new Map<string, Body>();
    for (const { name, id } of cases) {
      const asked = { quantity: 5 };
      const { preview } = await sandbox.made(`/v1/subscriptions/${id}/seats?preview=true`, asked);
      told.set(name, preview);
      await sandbox.made(`/v1/subscriptions/${id}/seats`, asked);
    }
    const invoices = await expectBilled('2027-03-01T02:00:00Z');
    for (const [name, invoice] of invoices) {
      const { preview, without } = { preview: told.get(name), without: told.get(name)?.instead_of };
      expect(preview?.invoices.at(-1), name).toMatchObject({ subtotal: invoice.subtotal, ...sumsOf(invoice) });
      expect(without.invoices.at(-1).due_at).toBe(preview?.invoices.at(-1).due_at);
    }
  }, 60_000);

  it('by the cancellation, which gives back what was charged in advance', async () => {
    const told = new Map<string, Body>();
    for (const { name, customer, id } of cases) {
      await sandbox.made(`/v1/subscriptions/${id}/cancel`, { at: '2027-03-16T00:00:00Z' });
      told.set(name, (await read(`/v1/cancellations?customer_id=${customer}`)).items[0].final_invoice);
    }
    const invoices = await issue('2027-03-16T02:00:00Z');
    for (const [name, invoice] of invoices)
      expect({ subtotal: told.get(name)?.subtotal, ...sumsOf(told.get(name)) }, name).toEqual({
        subtotal: invoice.subtotal,
        ...sumsOf(invoice),
      });
    // 16 of 31 days of 77.77 and of five times 4.01 are 40.14 and 10.35, and 8.1 % of these 3.25 and 0.84.
    expect(invoices.get('none, added')).toMatchObject({ subtotal: '-50.49', tax_total: '-4.09', total: '-54.58' });
  }, 60_000);

  it('by the preview of a change to a plan at a price of its own, and with a price in credits', async () => {
    const own = await lifeFrom(sandbox, '2027-04-01T00:00:00Z', taxes.added);
    await sandbox.made('/v1/credit-units', { code: 'CRED', name: 'Credits' });
    const rate = { effective_from: '2026-01-01T00:00:00Z', unit: 'USD', amount: '0.10' };
    await sandbox.made('/v1/credit-units/CRED/rates', rate);
    const inCredits = flat('credits', '100', { credit_unit: 'CRED', ...advance });
    const plan = await newPlan(sandbox, 'USD', [flat('fee', '77.77', advance), inCredits]);
    const override = { plan, charge: 'fee', price: { model: 'flat', amount: '50.00' } };
    await sandbox.made('/v1/price-overrides', { ...override, effective_from: '2027-03-01T00:00:00Z' });
    const { id } = await sandbox.made('/v1/subscriptions', { customer_id: own.customer, plan: basic });
    await own.until('2027-04-16T00:00:00Z');
    const asked = { plan, invoice: 'now', at: '2027-04-16T12:00:00Z' };
    const { preview } = await sandbox.made(`/v1/subscriptions/${id}/change-plan?preview=true`, asked);
    await sandbox.made(`/v1/subscriptions/${id}/change-plan`, asked);
    await own.until('2027-04-17T00:00:00Z');
    const { items } = await read(`/v1/invoices?customer_id=${own.customer}&sort=number`);
    const invoice = await read(`/v1/invoices/${items[1].id}`);
    const told = ({ lines }: Body) => lines.map(({ charge_code, amount: of }: Body) => `${charge_code} ${of}`);
    // 14 and a half of 30 days.
    expect(told(invoice).toSorted()).toEqual(['credits 4.83', 'fee -15.02', 'fee 24.17', 'seats -1.61']);
    // With the part of the base fee that is due at the end of the month: 5.16.
    expect(preview).toMatchObject({ unknown: [], total: '17.53' });
    expect(told(preview.invoices[0])).toEqual(told(invoice));
    expect(sumsOf(preview.invoices[0])).toEqual(sumsOf(invoice));
  });

  it('by previews for whoever pays for several, with discounts of its own and of theirs', async () => {
    const own = await lifeFrom(sandbox, '2027-01-16T00:00:00Z');
    const joined = async (more: object): Promise<string> => {
      const external_id = `c-${unique()}`;
      await sandbox.made('/v1/customers', { external_id, name: 'One', invoicing: 'consolidated', ...more });
      await sandbox.made(`/v1/test-clocks/${own.clock}/customers`, { customer_id: external_id });
      return external_id;
    };
    const subscribed = async (customer_id: string, plan: string, seats: number): Promise<string> =>
      (await sandbox.made('/v1/subscriptions', { customer_id, plan, seats })).id;
    const couponOf = async (terms: object): Promise<string> =>
      (await sandbox.made('/v1/coupons', { code: `k-${unique()}`, name: 'Off', ...terms })).code;
    const payers = await Promise.all(
      Object.entries({ ...taxes, reverse }).map(async ([name, customer]) => {
        const payer = await joined(customer);
        const children = [await joined({}), await joined({})] as const;
        for (const child of children) {
          const placed = await sandbox.api('PATCH', `/v1/customers/${child}`, { parent_id: payer });
          expect(placed.status, JSON.stringify(placed.body)).toBe(200);
        }
        await subscribed(payer, pro, 2);
        await subscribed(children[0], basic, 3);
        const reduced = await subscribed(children[1], basic, 3);
        const [once, always] = [coupons['more than there is, once'], coupons['a percentage']];
        const coupon = await couponOf({ ...once, amount: '7.77' });
        await sandbox.made(`/v1/customers/${payer}/discounts`, { coupon });
        await sandbox.made(`/v1/subscriptions/${reduced}/discounts`, { coupon: await couponOf(always) });
        return { name, payer, children };
      }),
    );
    const children = payers.flatMap((one) => one.children);
    for (const [index, to] of ['2027-01-16T01:00:00Z', '2027-02-01T02:00:00Z', '2027-03-01T02:00:00Z'].entries()) {
      if (index === 1) await use(children, '2027-01-20T00:00:00Z');
      const told = new Map<string, Body>();
      for (const { name, payer } of payers)
        told.set(name, (await sandbox.made('/v1/invoices/preview', { customer_id: payer })).invoices);
      await own.until(to);
      for (const { name, payer } of payers) {
        const { items } = await read(`/v1/invoices?customer_id=${payer}&sort=-number`);
        expect(items, name).toHaveLength(index + 1);
        const invoice = await read(`/v1/invoices/${items[0].id}`);
        const [ahead, ...more] = told.get(name) ?? [];
        expect(more).toEqual([]);
        const { lines, subtotal } = ahead;
        expect({ lines, subtotal, ...sumsOf(ahead) }, name).toEqual({
          lines: invoice.lines,
          subtotal: invoice.subtotal,
          ...sumsOf(invoice),
        });
        // 16 of 31 days: 40.14 and 4.14, and twice 16.04 and 5.16, of which 12.5 % are 2.65 once.
        if (index === 0) expect([subtotal, ahead.discount_total], name).toEqual(['86.68', '10.42']);
        if (name === 'reverse') expect([ahead.tax_total, ahead.taxes[0].treatment]).toEqual(['0.00', 'reverse_charge']);
      }
    }
  }, 60_000);
});
