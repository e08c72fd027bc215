/** Coupons, promotion codes, and who redeems them. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { Pipeline } from '../support/pipeline.ts';
import { sharedPipeline } from '../support/shared-pipeline.ts';
import { unique } from '../support/tenants.ts';

let pipeline: Pipeline;
const api = (...request: Parameters<Pipeline['api']>) => pipeline.api(...request);
let plan = '';
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
  const charges = [{ code: 'fee', name: 'Fee', price: { model: 'flat', amount: '9.00' } }];
  plan = (await made('/v1/plans', { code: `p-${unique()}`, name: 'A plan', currency: 'USD', charges })).id;
});
afterAll(() => pipeline?.stop());

const newCoupon = (more: object = {}) => ({
  code: `k-${unique()}`,
  name: 'Ten off',
  kind: 'percentage',
  percentage: '10',
  duration: 'forever',
  ...more,
});
const ofAmount = { kind: 'amount', percentage: undefined, amount: '5.00', currency: 'USD' };
const made = async (path: string, body: object) => {
  const answer = await api('POST', path, body);
  expect(answer, JSON.stringify(answer.body)).toMatchObject({ status: 201 });
  return answer.body;
};
const customer = async (more: object = {}): Promise<string> =>
  (await made('/v1/customers', { external_id: `c-${unique()}`, name: 'Acme', ...more })).id;
const subscriptionOf = async (customer_id: string): Promise<string> =>
  (await made('/v1/subscriptions', { customer_id, plan })).id;
const redeem = (customerId: string, body: object) => api('POST', `/v1/customers/${customerId}/discounts`, body);
const faultsOf = async (method: string, path: string, body: object): Promise<string[]> => {
  const answer = await api(method, path, body);
  expect(answer.status).toBe(422);
  return answer.body.errors.map(({ field, code }: { field: string; code: string }) => `${field} ${code}`);
};
const query = async (text: string, values: unknown[]) => (await pipeline.asOwner.query(text, values)).rows;
/** Why it can't be redeemed. */
const refusal = async (customerId: string, body: object): Promise<string> => {
  const answer = await redeem(customerId, body);
  expect([answer.status, answer.body.error_code]).toEqual([409, 'COUPON_NOT_REDEEMABLE']);
  return answer.body.detail;
};

describe('a coupon', () => {
  it('is made, read by id and code, and answered with canonical decimals and the ids of plans', async () => {
    const [{ code: planCode }] = (await api('GET', '/v1/plans')).body.items;
    const coupon = await made(
      '/v1/coupons',
      newCoupon({ percentage: '07.50', applies_to: { plans: [planCode, plan] } }),
    );
    expect(coupon).toMatchObject({
      kind: 'percentage',
      percentage: '7.5',
      amount: null,
      currency: null,
      free_units: null,
      duration_periods: null,
      applies_to: { charges: [], plans: [plan], kinds: [] },
      max_redemptions: null,
      first_time_customers_only: false,
      redemptions: 0,
      version: 1,
    });
    for (const name of [coupon.id, coupon.code]) expect((await api('GET', `/v1/coupons/${name}`)).body).toEqual(coupon);
    const five = await made('/v1/coupons', newCoupon({ ...ofAmount, currency: 'KWD', amount: '5.125' }));
    expect([five.amount, five.currency]).toEqual(['5.125', 'KWD']);
    expect(await api('POST', '/v1/coupons', newCoupon({ code: coupon.code }))).toMatchObject({
      status: 409,
      body: { error_code: 'COUPON_ALREADY_EXISTS' },
    });
  });

  it.each([
    [{ percentage: '0' }, ['percentage out_of_range']],
    [{ percentage: '100.1' }, ['percentage wrong_format']],
    [{ percentage: undefined }, ['percentage missing']],
    [{ amount: '5.00', currency: 'USD' }, ['amount not_allowed', 'currency not_allowed']],
    [{ ...ofAmount, currency: undefined }, ['currency missing']],
    [{ ...ofAmount, amount: '5.005' }, ['amount too_precise']],
    [{ ...ofAmount, amount: '0' }, ['amount out_of_range']],
    [{ ...ofAmount, amount: '1.5', currency: 'JPY' }, ['amount too_precise']],
    [
      { kind: 'free_units', percentage: undefined, free_units: '0' },
      ['applies_to.charges out_of_range', 'free_units out_of_range'],
    ],
    [{ duration: 'repeating' }, ['duration_periods missing']],
    [{ duration_periods: 3 }, ['duration_periods not_allowed']],
    [{ applies_to: { plans: ['nothing'] } }, ['applies_to.plans[0] not_found']],
    [{ code: `cpn_${'0'.repeat(32)}` }, ['code not_allowed']],
    [{ percentage: '0', duration: 'repeating' }, ['percentage out_of_range', 'duration_periods missing']],
  ])('with %j is refused: %j', async (more, faults) => {
    expect((await faultsOf('POST', '/v1/coupons', newCoupon(more))).toSorted()).toEqual(faults.toSorted());
  });

  it('changes as a whole until it is redeemed; then its name and its ends alone do, whoever writes', async () => {
    const coupon = await made('/v1/coupons', newCoupon({ max_redemptions: 5 }));
    const path = `/v1/coupons/${coupon.code}`;
    const wider = { duration: 'repeating', duration_periods: 2, percentage: '20', max_redemptions: null };
    expect((await api('PATCH', path, wider)).body).toMatchObject({ ...wider, version: 2 });
    expect(await faultsOf('PATCH', path, { duration: 'once' })).toEqual(['duration_periods not_allowed']);
    expect((await redeem(await customer(), { coupon: coupon.id })).status).toBe(201);
    const refused = await api('PATCH', path, { percentage: '30', name: 'x' });
    expect(refused.body).toMatchObject({
      error_code: 'COUPON_REDEEMED',
      detail: expect.stringContaining('percentage'),
    });
    const ends = { name: 'Twenty off', redeem_by: '2040-01-01T00:00:00.000Z', expires_at: '2041-01-01T00:00:00.000Z' };
    expect((await api('PATCH', path, ends)).body).toMatchObject({ ...ends, version: 3, redemptions: 1 });
    await expect(query('UPDATE coupons SET percentage = 30 WHERE id = $1', [coupon.id])).rejects.toThrow('refused');
    await expect(query('DELETE FROM coupons WHERE id = $1', [coupon.id])).rejects.toThrow('refused');
  });

  it('is archived for good, and what was redeemed goes on', async () => {
    const coupon = await made('/v1/coupons', newCoupon());
    const owner = await customer();
    const discount = (await redeem(owner, { coupon: coupon.id })).body;
    expect((await api('POST', `/v1/coupons/${coupon.id}/archive`)).body.archived_at).not.toBeNull();
    expect((await api('POST', `/v1/coupons/${coupon.id}/archive`)).body.error_code).toBe('COUPON_ARCHIVED');
    expect((await api('PATCH', `/v1/coupons/${coupon.id}`, { name: 'x' })).body.error_code).toBe('COUPON_ARCHIVED');
    expect(await refusal(await customer(), { coupon: coupon.id })).toBe('The coupon is archived.');
    expect((await api('GET', `/v1/customers/${owner}/discounts/${discount.id}`)).body.state).toBe('active');
    expect((await api('GET', `/v1/coupons?code=${coupon.code}`)).body.items).toEqual([]);
    expect((await api('GET', `/v1/coupons?code=${coupon.code}&archived=only`)).body.items).toHaveLength(1);
  });
});

describe('a promotion code', () => {
  it('is one in whatever case it is written, until it is archived', async () => {
    const coupon = await made('/v1/coupons', newCoupon());
    const code = `Summer-${unique()}`;
    const first = await made('/v1/promotion-codes', { coupon: coupon.code, code });
    expect(first).toMatchObject({ coupon_id: coupon.id, code, customer_id: null, redemptions: 0 });
    const again = { coupon: coupon.code, code: code.toUpperCase() };
    expect((await api('POST', '/v1/promotion-codes', again)).body.error_code).toBe('PROMOTION_CODE_TAKEN');
    expect((await api('GET', `/v1/promotion-codes?code=${code.toLowerCase()}`)).body.items).toEqual([first]);
    const redeemed = await redeem(await customer(), { promotion_code: code.toLowerCase() });
    expect(redeemed).toMatchObject({ status: 201, body: { coupon_id: coupon.id, promotion_code_id: first.id } });
    expect((await api('GET', `/v1/promotion-codes/${first.id}`)).body.redemptions).toBe(1);
    await api('POST', `/v1/promotion-codes/${first.id}/archive`);
    expect((await api('PATCH', `/v1/promotion-codes/${first.id}`, { metadata: {} })).body.error_code).toBe(
      'PROMOTION_CODE_ARCHIVED',
    );
    const unknown = await redeem(await customer(), { promotion_code: code });
    expect([unknown.status, unknown.body.error_code]).toEqual([404, 'PROMOTION_CODE_NOT_FOUND']);
    expect((await made('/v1/promotion-codes', again)).code).toBe(code.toUpperCase());
  });

  it('has limits of its own, and those of its coupon', async () => {
    const coupon = await made('/v1/coupons', newCoupon({ max_redemptions: 2 }));
    const own = await customer();
    const codeOf = async (more: object) =>
      (await made('/v1/promotion-codes', { coupon: coupon.id, code: unique(), ...more })).code;
    const [mine, past, single] = [
      await codeOf({ customer_id: own }),
      await codeOf({ redeem_by: '2026-01-01T00:00:00Z' }),
      await codeOf({ max_redemptions: 1 }),
    ];
    const other = await customer();
    expect(await refusal(other, { promotion_code: mine })).toBe('The promotion code is for another customer.');
    expect(await refusal(other, { promotion_code: past })).toContain(
      'could be redeemed until 2026-01-01T00:00:00.000Z',
    );
    expect((await redeem(other, { promotion_code: single })).status).toBe(201);
    expect(await refusal(own, { promotion_code: single })).toContain('The promotion code was redeemed 1 times');
    expect((await redeem(own, { promotion_code: mine })).status).toBe(201);
    expect(await refusal(await customer(), { coupon: coupon.id })).toContain('The coupon was redeemed 2 times');
  });

  it('is made once of those that are made at the same moment', async () => {
    const { id: coupon } = await made('/v1/coupons', newCoupon());
    const code = unique();
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, index) =>
        api('POST', '/v1/promotion-codes', { coupon, code: index % 2 ? code : code.toUpperCase() }),
      ),
    );
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, ...Array.from({ length: 7 }, () => 409)]);
  });
});

describe('whoever redeems', () => {
  it('takes a coupon or a promotion code, that is there', async () => {
    const path = `/v1/customers/${await customer()}/discounts`;
    expect(await faultsOf('POST', path, {})).toEqual(['coupon missing']);
    expect(await faultsOf('POST', path, { coupon: 'x', promotion_code: 'x' })).toEqual(['coupon missing']);
    expect((await api('POST', path, { coupon: 'nothing' })).body.error_code).toBe('COUPON_NOT_FOUND');
    expect((await api('POST', '/v1/customers/nobody/discounts', { coupon: 'x' })).body.error_code).toBe(
      'CUSTOMER_NOT_FOUND',
    );
  });

  it('has a coupon once at a time, and as often as one customer may, over all that it has', async () => {
    const coupon = await made('/v1/coupons', newCoupon({ max_redemptions_per_customer: 2 }));
    const owner = await customer();
    const subscription = await subscriptionOf(owner);
    const ofSubscription = `/v1/subscriptions/${subscription}/discounts`;
    const discount = (await redeem(owner, { coupon: coupon.id })).body;
    expect(await refusal(owner, { coupon: coupon.id })).toContain('redeemed already');
    const second = await made(ofSubscription, { coupon: coupon.id });
    expect(second).toMatchObject({ customer_id: owner, subscription_id: subscription, state: 'active' });
    await api('DELETE', `/v1/customers/${owner}/discounts/${discount.id}`);
    expect(await refusal(owner, { coupon: coupon.id })).toBe(
      'The customer redeemed the coupon 2 times, which is as often as one can.',
    );
    const listed = async (path: string) => (await api('GET', path)).body.items.map(({ id }: { id: string }) => id);
    expect(await listed(`/v1/customers/${owner}/discounts`)).toEqual([second.id, discount.id]);
    expect(await listed(`/v1/customers/${owner}/discounts?ended=exclude`)).toEqual([second.id]);
    expect(await listed(ofSubscription)).toEqual([second.id]);
    expect((await api('GET', `${ofSubscription}/${discount.id}`)).status).toBe(404);
    expect((await api('GET', `/v1/coupons/${coupon.id}`)).body.redemptions).toBe(2);
  });

  it('is told all that stands in the way', async () => {
    const coupon = await made(
      '/v1/coupons',
      newCoupon({ ...ofAmount, redeem_by: '2026-01-01T00:00:00Z', expires_at: '2026-02-01T00:00:00Z' }),
    );
    expect(await refusal(await customer({ currency: 'EUR' }), { coupon: coupon.id })).toBe(
      'The coupon could be redeemed until 2026-01-01T00:00:00.000Z; the coupon expired at 2026-02-01T00:00:00.000Z; ' +
        'the coupon is in USD, and it would be billed in EUR.',
    );
  });

  it('is new, where the coupon is for those who were billed nothing yet', async () => {
    const coupon = await made('/v1/coupons', newCoupon({ first_time_customers_only: true }));
    const [known, fresh] = [await customer(), await customer()];
    await query(
      `INSERT INTO invoices (id, organization_id, series_number, kind, customer_id, currency, subtotal, discount_total,
         tax_total, total, issued_at, previous_hash, hash, content_version, document_number)
       SELECT 'inv_' || md5($1), organization_id, 1, 'one_off', id, 'USD', 0, 0, 0, 0, now(), 'x', 'x', 4, 'X-1'
       FROM customers WHERE id = $1`,
      [known],
    );
    expect(await refusal(known, { coupon: coupon.id })).toBe('The customer has invoices, and it is for new ones.');
    expect((await redeem(fresh, { coupon: coupon.id })).status).toBe(201);
  });

  it('is a customer that is not archived, or a subscription that is not over', async () => {
    const coupon = await made('/v1/coupons', newCoupon());
    const [gone, owner] = [await customer(), await customer()];
    await api('POST', `/v1/customers/${gone}/archive`);
    expect((await redeem(gone, { coupon: coupon.id })).body.error_code).toBe('CUSTOMER_ARCHIVED');
    const subscription = await subscriptionOf(owner);
    await api('POST', `/v1/subscriptions/${subscription}/cancel`, { at: 'now' });
    const over = await api('POST', `/v1/subscriptions/${subscription}/discounts`, { coupon: coupon.id });
    expect([over.status, over.body.error_code]).toEqual([409, 'SUBSCRIPTION_STATE_CONFLICT']);
  });

  it('is one, of eight who redeem the last one at the same moment; and the counts are exact', async () => {
    for (let round = 0; round < 5; round += 1) {
      const coupon = await made('/v1/coupons', newCoupon({ max_redemptions: 3 }));
      const { code, id } = await made('/v1/promotion-codes', { coupon: coupon.id, code: unique(), max_redemptions: 2 });
      await redeem(await customer(), { promotion_code: code });
      const customers = await Promise.all(Array.from({ length: 8 }, () => customer()));
      const byCode = await Promise.all(customers.map((one) => redeem(one, { promotion_code: code })));
      expect(byCode.map(({ status }) => status).toSorted()).toEqual([201, ...Array.from({ length: 7 }, () => 409)]);
      const both = await Promise.all(customers.map((one) => redeem(one, { coupon: coupon.code })));
      expect(both.filter(({ status }) => status === 201)).toHaveLength(1);
      const counts = [`/v1/coupons/${coupon.id}`, `/v1/promotion-codes/${id}`].map(
        async (path) => (await api('GET', path)).body.redemptions,
      );
      expect(await Promise.all(counts)).toEqual([3, 2]);
      expect(await query('SELECT count(*)::integer AS n FROM discounts WHERE coupon_id = $1', [coupon.id])).toEqual([
        { n: 3 },
      ]);
    }
  });

  it('has it once, though the same customer redeems it eight times at once', async () => {
    const coupon = await made('/v1/coupons', newCoupon());
    const owner = await customer();
    const answers = await Promise.all(Array.from({ length: 8 }, () => redeem(owner, { coupon: coupon.id })));
    expect(answers.map(({ status }) => status).toSorted()).toEqual([201, ...Array.from({ length: 7 }, () => 409)]);
    expect((await api('GET', `/v1/coupons/${coupon.id}`)).body.redemptions).toBe(1);
  });
});

describe('a discount', () => {
  it('ends once, and stays to be read', async () => {
    const coupon = await made('/v1/coupons', newCoupon());
    const owner = await customer();
    const discount = (await redeem(owner, { coupon: coupon.id, metadata: { by: 'sales' } })).body;
    const path = `/v1/customers/${owner}/discounts/${discount.id}`;
    const answers = await Promise.all(Array.from({ length: 4 }, () => api('DELETE', path)));
    expect(answers.map(({ status, body }) => body.error_code ?? status).toSorted()).toEqual([
      200,
      ...Array.from({ length: 3 }, () => 'DISCOUNT_ENDED'),
    ]);
    expect((await api('GET', path)).body).toMatchObject({ state: 'ended', metadata: { by: 'sales' }, version: 2 });
    await expect(query('UPDATE discounts SET ended_at = NULL WHERE id = $1', [discount.id])).rejects.toThrow('refused');
  });

  it('that is for one invoice is on one, whoever writes it down', async () => {
    const coupon = await made('/v1/coupons', newCoupon({ duration: 'once' }));
    const owner = await customer();
    const { id } = (await redeem(owner, { coupon: coupon.id })).body;
    const use = `INSERT INTO discount_uses (organization_id, discount_id, invoice_id, is_once, amount)
      SELECT d.organization_id, d.id, i.id, true, 1 FROM discounts d CROSS JOIN LATERAL (
        SELECT id FROM invoices WHERE organization_id = d.organization_id LIMIT 1) i
      WHERE d.id = $1`;
    await query(use, [id]);
    await expect(query(use, [id])).rejects.toThrow('discount_uses_once');
    await expect(query('DELETE FROM discount_uses WHERE discount_id = $1', [id])).rejects.toThrow();
    expect((await api('GET', `/v1/customers/${owner}/discounts/${id}`)).body).toMatchObject({
      state: 'used',
      invoices_used: 1,
    });
  });
});
