/** Quotes: drafts, what is sent, the links to it, and the subscriptions that come of it. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { call, type Pipeline, startPipeline } from '../support/pipeline.ts';
import { unique } from '../support/tenants.ts';
import { lifeFrom, type Sandbox, sandboxOf } from '../support/test-clock.ts';
import { verify } from '../support/verify-command.ts';

let pipeline: Pipeline;
let sandbox: Sandbox;
/** Without a key. */
let anyone: Pipeline['api'];
beforeAll(async () => {
  pipeline = await startPipeline(inject('serverUrls'), { MILLRACE_LOG_LEVEL: 'debug' });
  sandbox = await sandboxOf(pipeline);
  anyone = call(pipeline.stack.apiUrl, '');
});
afterAll(() => pipeline?.stop());

const charge = (code: string, amount: string, more: object = {}) => ({
  code,
  name: code,
  price: { model: 'flat', amount },
  timing: 'advance',
  ...more,
});
const seats = (unit_amount: string) => ({
  code: 'seats',
  name: 'seats',
  seats: true,
  timing: 'advance',
  price: { model: 'per_unit', unit_amount },
});
const planOf = async (charges: readonly object[], more: object = {}): Promise<{ id: string; code: string }> => {
  const code = `p-${unique()}`;
  return sandbox.made('/v1/plans', { code, name: `Plan ${code}`, currency: 'USD', charges, ...more });
};
const validUntil = '2027-02-01T00:00:00Z';
const quoteOf = (body: object) => sandbox.made('/v1/quotes', { valid_until: validUntil, ...body });
const sent = async (body: object) => sandbox.made(`/v1/quotes/${(await quoteOf(body)).id}/send`, {});
const customerAt = (now = '2027-01-01T00:00:00Z') => lifeFrom(sandbox, now);

describe('a quote', () => {
  it('is sent, seen and accepted by link, and becomes a subscription with its prices, seats and add-ons', async () => {
    const plan = await planOf([charge('fee', '100.00'), seats('10.00')]);
    const addOn = await planOf([charge('storage', '5.00')], { kind: 'add_on' });
    const life = await customerAt();
    const quote = await sent({
      customer_id: life.customer,
      plan: plan.code,
      seats: 3,
      add_ons: [{ plan: addOn.code, quantity: 2 }],
      prices: [{ charge: 'seats', price: { model: 'per_unit', unit_amount: '7.50' } }],
      term: { unit: 'month', count: 12 },
      memo: 'As we spoke of.',
    });
    expect(quote).toMatchObject({
      state: 'sent',
      currency: 'USD',
      link: { path: `/v1/quote-links/${quote.link.token}` },
    });
    const seen = await anyone('GET', quote.link.path);
    expect(seen, JSON.stringify(seen.body)).toMatchObject({
      status: 200,
      body: {
        state: 'sent',
        plan_name: `Plan ${plan.code}`,
        seats: 3,
        memo: 'As we spoke of.',
        add_ons: [{ quantity: 2 }],
        preview: {
          first_invoice: { due_at: '2027-01-01T00:00:00.000Z', total: '132.50' },
          full_period: { total: '132.50' },
        },
      },
    });
    const accepted = await anyone('POST', `${quote.link.path}/accept`, { accepted_by: 'Ada Lovelace' });
    expect(accepted, JSON.stringify(accepted.body)).toMatchObject({ status: 200, body: { state: 'accepted' } });
    const { subscription_id: id } = accepted.body;
    expect((await sandbox.api('GET', `/v1/subscriptions/${id}`)).body).toMatchObject({
      seats: 3,
      add_ons: [{ plan_code: addOn.code, quantity: 2 }],
      started_at: '2027-01-01T00:00:00.000Z',
    });
    await life.until('2027-01-02T00:00:00Z');
    const [invoice, ...others] = await life.invoices();
    expect([invoice?.at, invoice?.total, others]).toEqual(['2027-01-01T00:00:00Z', '132.50', []]);
    expect(invoice?.lines.toSorted()).toEqual([
      'fee x1 100.00 2027-01-01..2027-02-01',
      'seats x3 22.50 2027-01-01..2027-02-01',
      'storage x2 10.00 2027-01-01..2027-02-01',
    ]);
    const early = await sandbox.api('POST', `/v1/subscriptions/${id}/cancel`, { at: 'period_end' });
    expect(early).toMatchObject({ status: 409, body: { error_code: 'SUBSCRIPTION_IN_MINIMUM_TERM' } });
    expect(early.body.detail).toContain('2028-01-01T00:00:00.000Z');
    const { upcoming } = (await sandbox.api('GET', `/v1/subscriptions/${id}/renewal`)).body;
    const ends = upcoming.filter(({ kind }: { kind: string }) => kind === 'minimum_term_end');
    expect(ends.map(({ at }: { at: string }) => at)).toEqual(['2028-01-01T00:00:00.000Z']);
  });

  it('takes the one that began later in place of a price that the customer had, from its start on', async () => {
    const plan = await planOf([charge('fee', '100.00')]);
    const life = await customerAt();
    const older = {
      plan: plan.code,
      charge: 'fee',
      customer_id: life.customer,
      effective_from: '2026-12-01T00:00:00Z',
    };
    await sandbox.made('/v1/price-overrides', { ...older, price: { model: 'flat', amount: '80.00' } });
    const quote = await sent({
      customer_id: life.customer,
      plan: plan.code,
      prices: [{ charge: 'fee', price: { model: 'flat', amount: '60.00' } }],
    });
    await anyone('POST', `${quote.link.path}/accept`, { accepted_by: 'Ada' });
    await life.until('2027-01-02T00:00:00Z');
    expect((await life.invoices()).map(({ total }) => total)).toEqual(['60.00']);
    expect((await sandbox.api('GET', `/v1/price-overrides?customer_id=${life.customer}`)).body.pagination.total).toBe(
      2,
    );
  });

  it('is of the version that was active when it was sent, whatever becomes of it', async () => {
    const plan = await planOf([charge('fee', '100.00')]);
    const life = await customerAt();
    const quote = await sent({ customer_id: life.customer, plan: plan.code });
    await sandbox.api('PATCH', `/v1/plans/${plan.id}`, { charges: [charge('fee', '200.00')] });
    await sandbox.made(`/v1/plans/${plan.id}/versions/2/archive`, {});
    expect((await anyone('GET', quote.link.path)).body.preview.first_invoice.total).toBe('100.00');
    const { body } = await anyone('POST', `${quote.link.path}/accept`, { accepted_by: 'Ada' });
    const subscription = (await sandbox.api('GET', `/v1/subscriptions/${body.subscription_id}`)).body;
    expect(subscription.plan_version_id).toBe(quote.plan_version_id);
    await life.until('2027-01-02T00:00:00Z');
    expect((await life.invoices()).map(({ total }) => total)).toEqual(['100.00']);
  });

  it('holds new versions of its plan to the prices that it offers', async () => {
    const plan = await planOf([charge('fee', '100.00'), seats('10.00')]);
    const life = await customerAt();
    const prices = [{ charge: 'seats', price: { model: 'per_unit', unit_amount: '7.50' } }];
    const quote = await sent({ customer_id: life.customer, plan: plan.code, prices });
    const tiers = [{ up_to: null, unit_amount: '9.00' }];
    const others = [charge('fee', '100.00'), { ...seats('1'), price: { model: 'graduated', tiers } }];
    const refused = await sandbox.api('PATCH', `/v1/plans/${plan.id}`, { charges: others });
    expect(refused, JSON.stringify(refused.body)).toMatchObject({
      status: 422,
      body: { errors: [{ field: 'charges[1].price' }] },
    });
    expect(refused.body.errors[0].message).toContain(`the quote ${quote.id}`);
    await sandbox.made(`/v1/quotes/${quote.id}/cancel`, {});
    expect((await sandbox.api('PATCH', `/v1/plans/${plan.id}`, { charges: others })).status).toBe(200);
  });

  it('says of a trial, a later start, a longer interval and a setup fee what the first invoice is', async () => {
    const year = { billing_interval: { unit: 'year' } };
    const setup = charge('setup', '49.00', { timing: 'once' });
    const plan = await planOf([charge('fee', '31.00'), charge('support', '365.00', year), setup]);
    const life = await customerAt();
    const offer = {
      customer_id: life.customer,
      plan: plan.code,
      starts_at: '2027-01-10T00:00:00Z',
      trial: { days: 7 },
    };
    const { id } = await quoteOf(offer);
    expect((await sandbox.api('GET', `/v1/quotes/${id}/preview`)).body).toMatchObject({
      // 15 of 31 days, 349 of 365, and the setup.
      first_invoice: { due_at: '2027-01-17T00:00:00.000Z', total: '413.00' },
      full_period: { period: { start: '2027-02-01T00:00:00.000Z' }, total: '31.00' },
    });
    await sandbox.api('PATCH', `/v1/quotes/${id}`, { trial: { days: 7, end_action: 'cancel' } });
    expect((await sandbox.api('GET', `/v1/quotes/${id}/preview`)).body.first_invoice).toBeNull();
  });
});

describe('an acceptance', () => {
  const past = '2020-01-01T00:00:00Z';
  const offered = async (more: object = {}, now?: string) => {
    const plan = await planOf([charge('fee', '100.00')]);
    const life = await customerAt(now);
    return { plan, life, quote: await sent({ customer_id: life.customer, plan: plan.code, ...more }) };
  };
  const subscriptionsOf = async (customer: string): Promise<string[]> =>
    (await sandbox.api('GET', `/v1/subscriptions?customer_id=${customer}`)).body.items.map(
      ({ id }: { id: string }) => id,
    );

  it('at the same moment by many, by link and by key, makes one subscription, of which all are told', async () => {
    const { life, quote } = await offered({ prices: [{ charge: 'fee', price: { model: 'flat', amount: '9.00' } }] });
    const accepted_by = 'Ada';
    const answers = await Promise.all([
      ...Array.from({ length: 4 }, () => anyone('POST', `${quote.link.path}/accept`, { accepted_by })),
      ...Array.from({ length: 4 }, () => sandbox.api('POST', `/v1/quotes/${quote.id}/accept`, { accepted_by })),
    ]);
    expect(answers.map(({ status }) => status)).toEqual(Array(8).fill(200));
    const made = await subscriptionsOf(life.customer);
    expect(made).toHaveLength(1);
    for (const { body } of answers) expect(body).toMatchObject({ state: 'accepted', subscription_id: made[0] });
    const { items } = (await sandbox.api('GET', `/v1/audit-log?object_id=${quote.id}&sort=created_at`)).body;
    expect(items.map(({ action }: { action: string }) => action)).toEqual([
      'quote.created',
      'quote.sent',
      'quote.accepted',
    ]);
    const prices = (await sandbox.api('GET', `/v1/price-overrides?customer_id=${life.customer}`)).body;
    expect(prices.pagination.total).toBe(1);
  });

  it('of which one statement fails leaves nothing behind, and can be tried again', async () => {
    const { life, quote } = await offered({ prices: [{ charge: 'fee', price: { model: 'flat', amount: '9.00' } }] });
    const accept = () => anyone('POST', `${quote.link.path}/accept`, { accepted_by: 'Ada' });
    await pipeline.asOwner.query(
      `CREATE FUNCTION fail_quote() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
         IF NEW.id = '${quote.id}' AND NEW.state = 'accepted' THEN RAISE EXCEPTION 'not today'; END IF;
         RETURN NEW;
       END $$`,
    );
    await pipeline.asOwner.query(
      'CREATE TRIGGER fail_quote BEFORE UPDATE ON quotes FOR EACH ROW EXECUTE FUNCTION fail_quote()',
    );
    expect((await accept()).status).toBe(500);
    await pipeline.asOwner.query('DROP TRIGGER fail_quote ON quotes');
    expect(await subscriptionsOf(life.customer)).toEqual([]);
    expect((await sandbox.api('GET', `/v1/price-overrides?customer_id=${life.customer}`)).body.pagination.total).toBe(
      0,
    );
    expect((await anyone('GET', quote.link.path)).body.state).toBe('sent');
    expect(await subscriptionsOf((await accept()) && life.customer)).toHaveLength(1);
  });

  it('is refused as the start of a subscription is, and the quote stays sent', async () => {
    const { plan, life, quote } = await offered({}, past);
    const accept = () => anyone('POST', `${quote.link.path}/accept`, { accepted_by: 'Ada' });
    const { id } = await sandbox.made('/v1/subscriptions', { customer_id: life.customer, plan: plan.code });
    expect(await accept()).toMatchObject({ status: 409, body: { error_code: 'SUBSCRIPTION_ALREADY_ACTIVE' } });
    await sandbox.made(`/v1/subscriptions/${id}/cancel`, { at: 'now' });
    await sandbox.api('PATCH', `/v1/customers/${life.customer}`, { currency: 'EUR' });
    expect(await accept()).toMatchObject({ status: 409, body: { error_code: 'QUOTE_NOT_ACCEPTABLE' } });
    expect((await anyone('GET', quote.link.path)).body).toMatchObject({ state: 'sent', preview: null });
    await sandbox.api('PATCH', `/v1/customers/${life.customer}`, { currency: null });
    await sandbox.made(`/v1/customers/${life.customer}/archive`, {});
    expect(await accept()).toMatchObject({ status: 409, body: { error_code: 'CUSTOMER_ARCHIVED' } });
    await sandbox.made(`/v1/customers/${life.customer}/unarchive`, {});
    expect((await accept()).status).toBe(200);
  });

  it('comes until the last millisecond before the quote expires, by the clock of its customer', async () => {
    const { life, quote } = await offered();
    const { life: other, quote: late } = await offered();
    const stateOf = async (id: string) => (await sandbox.api('GET', `/v1/quotes/${id}`)).body.state;
    await life.until('2027-01-31T23:59:59.999Z');
    await other.until(validUntil);
    expect([await stateOf(quote.id), await stateOf(late.id)]).toEqual(['sent', 'expired']);
    const totalSent = async (customer: string): Promise<number> =>
      (await sandbox.api('GET', `/v1/quotes?state=sent&customer_id=${customer}`)).body.pagination.total;
    expect([await totalSent(life.customer), await totalSent(other.customer)]).toEqual([1, 0]);
    const refused = await anyone('POST', `${late.link.path}/accept`, { accepted_by: 'Ada' });
    expect(refused).toMatchObject({ status: 409, body: { error_code: 'QUOTE_STATE_CONFLICT' } });
    expect(refused.body.detail).toBe('The quote is expired: what can be done now is revise.');
    expect((await anyone('POST', `${quote.link.path}/accept`, { accepted_by: 'Ada' })).body.state).toBe('accepted');
    for (const [state, id, of] of [
      ['accepted', quote.id, life],
      ['expired', late.id, other],
    ] as const) {
      const { items } = (await sandbox.api('GET', `/v1/quotes?state=${state}&customer_id=${of.customer}`)).body;
      expect(items.map((one: { id: string }) => one.id)).toEqual([id]);
    }
    const ahead = (
      await sandbox.api('GET', `/v1/quotes?customer_id=${life.customer}&valid_until_after=2027-01-31T23:59:59Z`)
    ).body;
    expect(ahead.pagination.total).toBe(1);
    expect(
      (await sandbox.api('GET', `/v1/quotes?customer_id=${life.customer}&valid_until_before=${validUntil}`)).body
        .pagination.total,
    ).toBe(0);
  });

  it('names who accepted to readers of quotes alone, sealed, and to nobody once the customer is erased', async () => {
    const { life, quote } = await offered({}, past);
    const { body } = await sandbox.api('POST', `/v1/quotes/${quote.id}/accept`, { accepted_by: 'Ada Lovelace' });
    expect(body).toMatchObject({ accepted_by: 'Ada Lovelace', decline_reason: null });
    const { rows } = await pipeline.asOwner.query('SELECT q::text AS row FROM quotes q WHERE id = $1', [quote.id]);
    expect(rows[0].row).not.toContain(Buffer.from('Lovelace').toString('hex'));
    const exported = await sandbox.api('GET', `/v1/customers/${life.customer}/export`);
    expect(exported.body.quotes).toMatchObject([{ id: quote.id, accepted_by: 'Ada Lovelace' }]);
    await sandbox.made(`/v1/subscriptions/${body.subscription_id}/cancel`, { at: 'now' });
    await sandbox.made(`/v1/customers/${life.customer}/erase`, {});
    expect((await sandbox.api('GET', `/v1/quotes/${quote.id}`)).body).toMatchObject({
      state: 'accepted',
      accepted_by: null,
    });
    expect(await verify(pipeline.databaseUrl)).toMatchObject({ code: 0 });
  });
});

describe('a quote that was sent', () => {
  it('never changes, over the API or past it', async () => {
    const plan = await planOf([charge('fee', '100.00')]);
    const life = await customerAt();
    const quote = await sent({ customer_id: life.customer, plan: plan.code });
    for (const [method, path, body] of [
      ['PATCH', '', { seats: 9 }],
      ['PATCH', '', { metadata: { a: 'b' } }],
      ['POST', '/send', undefined],
    ] as const) {
      const refused = await sandbox.api(method, `/v1/quotes/${quote.id}${path}`, body);
      expect(refused).toMatchObject({ status: 409, body: { error_code: 'QUOTE_STATE_CONFLICT' } });
      expect(refused.body.detail).toBe('The quote is sent: what can be done now is accept, decline, cancel, revise.');
    }
    const { link: _link, ...shown } = quote;
    expect((await sandbox.api('GET', `/v1/quotes/${quote.id}`)).body).toEqual({
      ...shown,
      accepted_by: null,
      decline_reason: null,
    });
    for (const change of [
      "terms = '{}'",
      "valid_until = now() + interval '9 years'",
      "currency = 'EUR'",
      "state = 'draft'",
    ])
      await expect(pipeline.asOwner.query(`UPDATE quotes SET ${change} WHERE id = $1`, [quote.id])).rejects.toThrow(
        /what was offered stays|violates/,
      );
    await expect(pipeline.asOwner.query('DELETE FROM quotes WHERE id = $1', [quote.id])).rejects.toThrow(
      'what was offered stays',
    );
  });

  it('is revised by a new one, whose sending takes it back', async () => {
    const plan = await planOf([charge('fee', '100.00')]);
    const life = await customerAt();
    const first = await sent({ customer_id: life.customer, plan: plan.code, seats: 2 });
    const draft = await sandbox.made(`/v1/quotes/${first.id}/revise`, {});
    expect(draft).toMatchObject({ state: 'draft', revision_of: first.id, seats: 2, content_hash: null });
    await sandbox.api('PATCH', `/v1/quotes/${draft.id}`, { seats: 4 });
    const second = await sandbox.made(`/v1/quotes/${draft.id}/send`, {});
    expect(second.content_hash).not.toBe(first.content_hash);
    expect((await anyone('GET', first.link.path)).body.state).toBe('canceled');
    const declined = await anyone('POST', `${second.link.path}/decline`, { reason: 'too expensive' });
    expect(declined.body.state).toBe('declined');
    expect((await sandbox.api('GET', `/v1/quotes/${second.id}`)).body).toMatchObject({
      state: 'declined',
      decline_reason: 'too expensive',
    });
    for (const { path } of [first.link, second.link])
      expect((await anyone('POST', `${path}/accept`, { accepted_by: 'Ada' })).body.error_code).toBe(
        'QUOTE_STATE_CONFLICT',
      );
    // What is accepted meanwhile is not revised any more.
    const third = await sandbox.made(`/v1/quotes/${second.id}/revise`, {});
    const fourth = await sandbox.made(
      `/v1/quotes/${(await sandbox.made(`/v1/quotes/${third.id}/send`, {})).id}/revise`,
      {},
    );
    await sandbox.made(`/v1/quotes/${third.id}/accept`, { accepted_by: 'Ada' });
    expect(await sandbox.api('POST', `/v1/quotes/${fourth.id}/send`)).toMatchObject({
      status: 409,
      body: { error_code: 'QUOTE_STATE_CONFLICT' },
    });
  });
});

describe('a family of revisions', () => {
  const familyOf = async () => {
    const plan = await planOf([charge('fee', '100.00')]);
    const life = await customerAt();
    const first = await sent({ customer_id: life.customer, plan: plan.code });
    const revised = (id: string) => sandbox.made(`/v1/quotes/${id}/revise`, {});
    const send = (id: string) => sandbox.api('POST', `/v1/quotes/${id}/send`);
    const sentNow = async (): Promise<string[]> =>
      (await sandbox.api('GET', `/v1/quotes?state=sent&customer_id=${life.customer}`)).body.items.map(
        ({ id }: { id: string }) => id,
      );
    return { first, revised, send, sentNow };
  };

  it('has one quote that can be accepted, whichever of them is sent last', async () => {
    const { first, revised, send, sentNow } = await familyOf();
    const [second, third] = [await revised(first.id), await revised(first.id)];
    expect((await send(second.id)).status).toBe(200);
    const fourth = await revised(second.id);
    expect((await send(third.id)).status).toBe(200);
    expect(await sentNow()).toEqual([third.id]);
    const { items } = (await sandbox.api('GET', `/v1/audit-log?object_id=${second.id}`)).body;
    expect(items[0].action).toBe('quote.canceled');
    expect((await send(fourth.id)).status).toBe(200);
    expect(await sentNow()).toEqual([fourth.id]);
    const fifth = await revised(third.id);
    await sandbox.made(`/v1/quotes/${fourth.id}/accept`, { accepted_by: 'Ada' });
    const refused = await send(fifth.id);
    expect(refused).toMatchObject({ status: 409, body: { error_code: 'QUOTE_STATE_CONFLICT' } });
    expect(refused.body.detail).toContain(fourth.id);
  });

  it('has one that can be accepted where several are sent at the same moment', async () => {
    const { first, revised, send, sentNow } = await familyOf();
    const drafts = await Promise.all(Array.from({ length: 5 }, () => revised(first.id)));
    const answers = await Promise.all(drafts.map(({ id }) => send(id)));
    expect(answers.map(({ status }) => status)).toEqual(Array(5).fill(200));
    expect(await sentNow()).toHaveLength(1);
  });
});

it('a quote of a customer that is archived or erased is neither changed, sent nor revised', async () => {
  const plan = await planOf([charge('fee', '100.00')]);
  const { id: customer } = await sandbox.made('/v1/customers', { external_id: `c-${unique()}`, name: 'Ada' });
  const offer = { customer_id: customer, plan: plan.code, valid_until: '2040-01-01T00:00:00Z' };
  const [draft, first] = [await quoteOf(offer), await sent(offer)];
  const requests = [
    ['POST', '/v1/quotes', offer],
    ['PATCH', `/v1/quotes/${draft.id}`, { seats: 2 }],
    ['POST', `/v1/quotes/${draft.id}/send`, undefined],
    ['POST', `/v1/quotes/${first.id}/revise`, undefined],
  ] as const;
  for (const [end, code] of [
    ['archive', 'CUSTOMER_ARCHIVED'],
    ['erase', 'CUSTOMER_ERASED'],
  ]) {
    await sandbox.made(`/v1/customers/${customer}/${end}`, {});
    for (const [method, path, body] of requests) {
      const refused = await sandbox.api(method, path, body);
      expect(refused, path).toMatchObject({ status: 409, body: { error_code: code } });
    }
  }
  expect((await sandbox.api('GET', `/v1/quotes/${draft.id}`)).body).toEqual({
    ...draft,
    accepted_by: null,
    decline_reason: null,
  });
  await sandbox.made(`/v1/quotes/${draft.id}/cancel`, {});
});

describe('bad input', () => {
  it('is told whole, each fault at its place', async () => {
    const plan = await planOf([charge('fee', '100.00'), seats('10.00')]);
    const life = await customerAt();
    const offer = { customer_id: life.customer, plan: plan.code, valid_until: validUntil };
    const faultsOf = async (body: object): Promise<string[]> => {
      const answer = await sandbox.api('POST', '/v1/quotes', { ...offer, ...body });
      expect(answer.status, JSON.stringify(answer.body)).toBe(422);
      return answer.body.errors.map(({ field, code }: { field: string; code: string }) => `${field} ${code}`);
    };
    const seat = { charge: 'seats', price: { model: 'per_unit', unit_amount: '1.00' } };
    expect(await faultsOf({ valid_until: '2027-01-01T00:00:00Z' })).toEqual(['valid_until out_of_range']);
    expect(await faultsOf({ prices: [seat, seat], starts_at: '2040-01-01T00:00:00Z' })).toEqual([
      'prices[1].charge duplicate',
      'starts_at out_of_range',
    ]);
    expect(
      await faultsOf({
        prices: [
          { ...seat, price: { model: 'flat', amount: '1.00' } },
          { charge: 'none', price: seat.price },
        ],
      }),
    ).toEqual(['prices[0].price.model not_allowed', 'prices[1].charge not_found']);
    expect(await faultsOf({ prices: [{ charge: 'seats', price: { model: 'per_unit', unit_amount: 'x' } }] })).toEqual([
      'prices[0].price.unit_amount not_a_decimal',
    ]);
    expect(await faultsOf({ currency: 'EUR' })).toEqual(['currency not_priced']);
    expect(await faultsOf({ trial: {} })).toEqual(['trial.ends_at missing']);
    expect(await faultsOf({ seats: 0, term: { unit: 'era' }, discount: '' })).toEqual(
      expect.arrayContaining(['seats minimum']),
    );
    expect(await faultsOf({ billing_anchor: '2027-02-30' })).toEqual(['billing_anchor not_allowed']);
    for (const [body, code] of [
      [{ customer_id: 'nobody' }, 'CUSTOMER_NOT_FOUND'],
      [{ plan: 'nothing' }, 'PLAN_NOT_FOUND'],
      [{ add_ons: [{ plan: plan.code }] }, 'PLAN_IS_NO_ADD_ON'],
    ] as const)
      expect((await sandbox.api('POST', '/v1/quotes', { ...offer, ...body })).body.error_code).toBe(code);
  });

  it('stays out of a draft that is valid: what it could not be sent with', async () => {
    const plan = await planOf([charge('fee', '100.00')]);
    const life = await customerAt();
    const { id } = await quoteOf({
      customer_id: life.customer,
      plan: plan.code,
      currency: 'USD',
      term: { unit: 'year' },
    });
    expect((await sandbox.api('PATCH', `/v1/quotes/${id}`, { currency: 'EUR' })).status).toBe(422);
    expect((await sandbox.api('PATCH', `/v1/quotes/${id}`, { seats: 2 }, { 'if-match': '"9"' })).status).toBe(412);
    expect((await sandbox.api('PATCH', `/v1/quotes/${id}`, { term: null })).body).toMatchObject({
      term: null,
      version: 2,
      currency: 'USD',
    });
    await life.until('2027-02-02T00:00:00Z');
    expect((await sandbox.api('POST', `/v1/quotes/${id}/send`)).body.errors).toMatchObject([{ field: 'valid_until' }]);
  });
});
