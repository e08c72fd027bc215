/** Coupons that quotes offer: what the customer is shown is billed, and each is redeemed when the quote is accepted. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { ApiAnswer, Pipeline } from '../support/pipeline.ts';
import { sharedPipeline } from '../support/shared-pipeline.ts';
import { flat, newPlan } from '../support/story-parts.ts';
import { unique } from '../support/tenants.ts';
import { type Life, lifeFrom, type Sandbox, sandboxOf } from '../support/test-clock.ts';
import { verify } from '../support/verify-command.ts';

let pipeline: Pipeline;
let sandbox: Sandbox;
let plan: string;
let life: Life;

const advance = { timing: 'advance' };
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
  sandbox = await sandboxOf(pipeline);
  await sandbox.made('/v1/tax-rates', { code: 'wa', name: 'WA', percentage: '7.25', country: 'US' });
  await sandbox.made('/v1/tax-rates', { code: 'tva', name: 'TVA', percentage: '20', country: 'FR', inclusive: true });
  const seats = { code: 'seats', name: 'seats', seats: true, price: { model: 'per_unit', unit_amount: '9.99' } };
  plan = await newPlan(sandbox, 'USD', [flat('fee', '31.07', advance), { ...seats, ...advance }]);
  life = await lifeFrom(sandbox, '2027-01-16T00:00:00Z');
}, 60_000);
afterAll(() => pipeline?.stop());

type Body = ApiAnswer['body'];
const customerOf = async (more: object = {}): Promise<string> => {
  const external_id = `c-${unique()}`;
  await sandbox.made('/v1/customers', { external_id, name: 'A customer', ...more });
  await sandbox.made(`/v1/test-clocks/${life.clock}/customers`, { customer_id: external_id });
  return external_id;
};
const couponOf = (terms: object): Promise<Body> =>
  sandbox.made('/v1/coupons', { code: `k-${unique()}`, name: 'Off', duration: 'forever', ...terms });
const tenth = { kind: 'percentage', percentage: '10' };
const quoteOf = (customer_id: string, body: object) => ({
  customer_id,
  plan,
  seats: 3,
  prices: [{ charge: 'seats', price: { model: 'per_unit', unit_amount: '7.50' } }],
  valid_until: '2027-06-01T00:00:00Z',
  ...body,
});
const sent = async (customer: string, body: object): Promise<Body> => {
  const { id } = await sandbox.made('/v1/quotes', quoteOf(customer, body));
  return sandbox.made(`/v1/quotes/${id}/send`, {});
};
const accept = ({ id }: Body) => sandbox.api('POST', `/v1/quotes/${id}/accept`, { accepted_by: 'Ada' });
const read = async (path: string): Promise<Body> => {
  const answer = await sandbox.api('GET', path);
  expect(answer.status, JSON.stringify(answer.body)).toBe(200);
  return answer.body;
};

const address = (country: string) => ({ address: { line1: 'x', city: 'x', country } });
const taxes = {
  added: address('US'),
  included: address('FR'),
  exempt: { ...address('US'), tax: { treatment: 'exempt', exemption_reason: 'a school' } },
};
const coupons = {
  'a percentage': { kind: 'percentage', percentage: '12.5' },
  'an amount once': { kind: 'amount', amount: '7.77', currency: 'USD', duration: 'once' },
  'a free seat': { kind: 'free_units', free_units: '1', applies_to: { charges: ['seats'] } },
};
/** But for the ids of discounts, which are there once it is accepted. */
const sumsOf = ({ subtotal, discounts, discount_total, taxes: taxed, tax_total, total }: Body) => ({
  subtotal,
  discounts: discounts.map(({ name, amount }: Body) => `${name} ${amount}`),
  discount_total,
  taxes: taxed,
  tax_total,
  total,
});

describe('the coupon of a quote', () => {
  it('is in the first invoice that its customer is shown, with taxes, and is billed so to the cent', async () => {
    const cases = Object.entries(coupons).flatMap(([coupon, terms]) =>
      Object.entries(taxes).map(([tax, customer]) => ({ name: `${coupon}, ${tax}`, terms, customer })),
    );
    const shown = new Map<string, { name: string; quote: Body; ahead: Body; whole: Body }>();
    for (const { name, terms, customer } of cases) {
      const { code } = await couponOf(terms);
      const id = await customerOf(customer);
      const quote = await sent(id, { coupon: code });
      const seen = await sandbox.api('GET', quote.link.path);
      const { coupon, preview } = seen.body;
      expect(coupon, name).toMatchObject({ name: 'Off', kind: terms.kind });
      const accepted = await accept(quote);
      expect(accepted.status, JSON.stringify(accepted.body)).toBe(200);
      const after = await sandbox.api('GET', quote.link.path);
      expect(after.body.preview, name).toEqual(preview);
      shown.set(id, { name, quote: accepted.body, ahead: preview.first_invoice, whole: preview.full_period });
    }
    await life.until('2027-01-16T01:00:00Z');
    for (const [customer, { name, quote, ahead }] of shown) {
      const { items } = await read(`/v1/invoices?customer_id=${customer}`);
      expect(items, name).toHaveLength(1);
      expect(sumsOf(ahead), name).toEqual(sumsOf(items[0]));
      const discounts = await read(`/v1/subscriptions/${quote.subscription_id}/discounts`);
      expect(discounts.items, name).toMatchObject([{ coupon_id: quote.coupon_id, invoices_used: 1 }]);
    }
    const totals = [...shown.values()].map(({ name, ahead }) => `${name} ${ahead.discount_total} ${ahead.total}`);
    // 16 of 31 days: 16.04 for the fee, 11.61 for three seats at 7.50, of which one is worth 3.87.
    expect(totals).toContain('a percentage, exempt 3.46 24.19');
    expect(totals).toContain('a free seat, exempt 3.87 23.78');
    expect(totals).toContain('an amount once, exempt 7.77 19.88');
    // A whole month is 31.07 and three times 7.50; what was used once is not used again.
    await life.until('2027-02-01T01:00:00Z');
    for (const [customer, { name, whole }] of shown) {
      const { items } = await read(`/v1/invoices?customer_id=${customer}&sort=-number`);
      expect(items, name).toHaveLength(2);
      expect(sumsOf(whole), name).toEqual(sumsOf(items[0]));
    }
    const wholes = [...shown.values()].map(({ name, whole }) => `${name} ${whole.discount_total} ${whole.total}`);
    // 12.5 % of 53.57 are 6.70; 7.25 % of 46.87, of 27.18 and 19.69, are 1.97 and 1.43.
    expect(wholes).toContain('a percentage, added 6.70 50.27');
    expect(wholes).toContain('an amount once, exempt 0.00 53.57');
    expect(wholes).toContain('a free seat, exempt 7.50 46.07');
  }, 60_000);

  it('is refused at its place where it could not be redeemed', async () => {
    const { code: euros } = await couponOf({ kind: 'amount', amount: '5.00', currency: 'EUR' });
    const { code: late } = await couponOf({ ...tenth, redeem_by: '2027-01-02T00:00:00Z' });
    const archived = await couponOf(tenth);
    await sandbox.made(`/v1/coupons/${archived.id}/archive`, {});
    const others = await customerOf();
    const { code: coupon } = await couponOf(tenth);
    const { code: promotion_code } = await sandbox.made('/v1/promotion-codes', {
      coupon,
      code: `S-${unique()}`,
      customer_id: others,
    });
    const customer = await customerOf();
    for (const [body, field, code] of [
      [{ coupon: 'nobody' }, 'coupon', 'not_found'],
      [{ promotion_code: 'NOBODY' }, 'promotion_code', 'not_found'],
      [{ coupon, promotion_code }, 'coupon', 'not_allowed'],
      [{ coupon: euros }, 'coupon', 'not_redeemable'],
      [{ coupon: late }, 'coupon', 'not_redeemable'],
      [{ coupon: archived.id }, 'coupon', 'not_redeemable'],
      [{ promotion_code }, 'promotion_code', 'not_redeemable'],
    ] as const) {
      const refused = await sandbox.api('POST', '/v1/quotes', quoteOf(customer, body));
      expect(refused, JSON.stringify([body, refused.body])).toMatchObject({ status: 422 });
      expect(refused.body.errors).toMatchObject([{ field, code }]);
    }
    const quote = await sandbox.made('/v1/quotes', quoteOf(others, { promotion_code: promotion_code.toLowerCase() }));
    expect(quote).toMatchObject({ coupon_code: coupon, promotion_code_id: expect.stringMatching(/^prm_/) });
    const patch = (body: object) => sandbox.api('PATCH', `/v1/quotes/${quote.id}`, body);
    expect((await patch({ seats: 4 })).body).toMatchObject({ coupon_code: coupon });
    expect((await patch({ coupon: euros })).body.errors).toMatchObject([{ field: 'coupon' }]);
    expect((await patch({ coupon: null })).body).toMatchObject({ coupon_id: null, promotion_code_id: null });
  });

  it('that can be redeemed once is, of several that are accepted at the same moment; the others stay sent', async () => {
    const { code: coupon } = await couponOf(tenth);
    const { code: promotion_code, id } = await sandbox.made('/v1/promotion-codes', {
      coupon,
      code: `ONE-${unique()}`,
      max_redemptions: 1,
    });
    const quotes: Body[] = [];
    for (let n = 0; n < 4; n += 1) quotes.push(await sent(await customerOf(), { promotion_code }));
    const answers = await Promise.all(quotes.map(accept));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 409, 409, 409]);
    for (const [index, { status, body }] of answers.entries()) {
      const { id: quoteId, customer_id } = quotes[index];
      const { state } = await read(`/v1/quotes/${quoteId}`);
      const { pagination } = await read(`/v1/subscriptions?customer_id=${customer_id}`);
      expect([state, pagination.total]).toEqual(status === 200 ? ['accepted', 1] : ['sent', 0]);
      if (status !== 200) expect(body.error_code).toBe('COUPON_NOT_REDEEMABLE');
    }
    expect(await read(`/v1/promotion-codes/${id}`)).toMatchObject({ redemptions: 1 });
    // What can't be accepted has no amounts to show.
    const left = quotes[answers.findIndex(({ status }) => status !== 200)];
    expect((await read(left.link.path)).preview).toBeNull();
    const preview = await sandbox.api('GET', `/v1/quotes/${left.id}/preview`);
    expect(preview).toMatchObject({ status: 409, body: { error_code: 'QUOTE_NOT_ACCEPTABLE' } });
  });

  it('that takes off something else by then is not what was offered: a revision offers it as it is', async () => {
    const { id: coupon } = await couponOf(tenth);
    const quote = await sent(await customerOf(), { coupon });
    const changed = await sandbox.api('PATCH', `/v1/coupons/${coupon}`, { percentage: '5', name: 'Less off' });
    expect(changed.status, JSON.stringify(changed.body)).toBe(200);
    expect(await accept(quote)).toMatchObject({ status: 409, body: { error_code: 'QUOTE_NOT_ACCEPTABLE' } });
    const seen = await read(quote.link.path);
    expect(seen).toMatchObject({ coupon: { percentage: '10' }, preview: null });
    const revision = await sandbox.made(`/v1/quotes/${quote.id}/revise`, {});
    const again = await sandbox.made(`/v1/quotes/${revision.id}/send`, {});
    expect((await accept(again)).status).toBe(200);
    expect((await accept(again)).body.subscription_id).toMatch(/^sub_/);
    expect(await read(`/v1/coupons/${coupon}`)).toMatchObject({ redemptions: 1 });
  });

  it('[I28] is redeemed as the audit log says', async () => {
    expect(await verify(pipeline.databaseUrl)).toMatchObject({ code: 0 });
  });
});
