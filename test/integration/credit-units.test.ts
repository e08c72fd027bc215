/** Prices in credits: what a credit is worth, from the rate that is written to the lines of invoices. */

import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { amountsOf, at, begin, billMonth, end } from '../support/billed-month.ts';
import type { Pipeline } from '../support/pipeline.ts';
import { sharedPipeline } from '../support/shared-pipeline.ts';
import { unique } from '../support/tenants.ts';

let pipeline: Pipeline;
const { api, explained, invoiceOf, made, makeUser, refused, verified } = billMonth(() => pipeline);
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
  await made('/v1/meters', { code: 'requests', name: 'Requests', event: 'llm.request', aggregation: 'count' });
  await made('/v1/meters', {
    code: 'largest',
    name: 'Largest',
    event: 'llm.request',
    aggregation: 'max',
    property: 'input_tokens',
  });
});
afterAll(() => pipeline?.stop());

const makeUnit = async (): Promise<string> =>
  (await made('/v1/credit-units', { code: `U-${unique()}`, name: 'Credits' })).code;
const addRate = (of: string, unit: string, amount: string, effective_from = begin) =>
  made(`/v1/credit-units/${of}/rates`, { effective_from, unit, amount });

const graduated = {
  model: 'graduated',
  tiers: [
    { up_to: '4', unit_amount: '100' },
    { up_to: null, unit_amount: '10' },
  ],
};
const planBody = (credit_unit: string, price: object = graduated, more: object = {}) => ({
  code: `p-${unique()}`,
  name: 'A plan',
  currency: 'USD',
  charges: [{ code: 'requests', name: 'Requests', meter: 'requests', credit_unit, price, ...more }],
});

/** Three requests before the change of rates, of 10 tokens each, and four behind it, of 20. */
const used = [6, 6, 6, 2, 2, 2, 2].map((number) => ({ day: number, input: number === 6 ? 10 : 20 }));
const makeCustomer = (plan: string, currency?: string): Promise<string> =>
  makeUser(plan, used, currency === undefined ? {} : { currency });

describe('a price in credits', () => {
  it('is charged in money, tiers going on where the rate changes', async () => {
    const unit = await makeUnit();
    const first = await addRate(unit, 'USD', '0.01');
    const plan = await made('/v1/plans', planBody(unit));
    const customer = await makeCustomer(plan.code);
    const second = await addRate(unit, 'USD', '0.02', at(4));
    const invoice = await invoiceOf(customer);
    // 3 x 1.00 before it; behind it 1 x 2.00 and 3 x 0.20.
    expect(amountsOf(invoice)).toEqual(['5.60']);
    const line = await explained(invoice);
    expect(line).toMatchObject({
      hashes: { is_as_rated: true },
      input: {
        charge: { credit_unit: unit, price: graduated },
        price_spans: [
          {
            span: { start: begin, end: at(4) },
            sources: { credit_unit_rate_ids: [first.id] },
            price: { model: 'graduated', tiers: [{ unit_amount: '1' }, { unit_amount: '0.1' }] },
          },
          {
            span: { start: at(4), end },
            tiers: 'continue',
            sources: { credit_unit_rate_ids: [second.id] },
            price: { tiers: [{ unit_amount: '2' }, { unit_amount: '0.2' }] },
          },
        ],
      },
    });
    await addRate(unit, 'USD', '9', at(5));
    await verified();
  });

  it('goes over other units, and into the currency that is paid', async () => {
    const [small, large] = [await makeUnit(), await makeUnit()];
    const over = await addRate(small, large, '0.1');
    const dollars = await addRate(large, 'USD', '0.5');
    const euros = await addRate(small, 'EUR', '0.04');
    const fee = { model: 'flat', amount: '100' };
    const plan = await made('/v1/plans', {
      ...planBody(small),
      charges: [
        { code: 'base', name: 'Base', credit_unit: small, price: fee, currency_options: { EUR: fee } },
        {
          code: 'one',
          name: 'One',
          price: { model: 'flat', amount: '1' },
          currency_options: { EUR: { model: 'flat', amount: '2' } },
        },
      ],
    });
    const [american, european] = [await makeCustomer(plan.code), await makeCustomer(plan.code, 'EUR')];
    const invoice = await invoiceOf(american);
    expect(amountsOf(invoice)).toEqual(['5.00', '1.00']);
    expect((await explained(invoice)).input.price_spans[0].sources.credit_unit_rate_ids).toEqual([over.id, dollars.id]);
    const other = await invoiceOf(european);
    expect(amountsOf(other)).toEqual(['4.00', '2.00']);
    expect((await explained(other)).input.price_spans[0].sources.credit_unit_rate_ids).toEqual([euros.id]);
    await verified();
  });

  it('has the rate of the beginning where the parts would not add up: a fee of a tier, a level', async () => {
    const unit = await makeUnit();
    await addRate(unit, 'USD', '0.01');
    const fees = {
      model: 'tiered_flat',
      tiers: [
        { up_to: '5', flat_amount: '50' },
        { up_to: null, flat_amount: '500' },
      ],
    };
    const plan = await made('/v1/plans', {
      ...planBody(unit),
      charges: [
        { code: 'fee', name: 'Fee', meter: 'requests', credit_unit: unit, price: fees },
        {
          code: 'level',
          name: 'Level',
          meter: 'largest',
          credit_unit: unit,
          price: { model: 'per_unit', unit_amount: '10' },
        },
        { code: 'base', name: 'Base', credit_unit: unit, price: { model: 'flat', amount: '700' } },
      ],
    });
    const customer = await makeCustomer(plan.code);
    await addRate(unit, 'USD', '5', at(4));
    expect(amountsOf(await invoiceOf(customer))).toEqual(['5.00', '2.00', '7.00']);
    await verified();
  });

  it('is an override in the unit of its charge', async () => {
    const unit = await makeUnit();
    await addRate(unit, 'USD', '0.01');
    const plan = await made('/v1/plans', planBody(unit));
    const customer = await makeCustomer(plan.code);
    const price = { model: 'graduated', tiers: [{ up_to: null, unit_amount: '7' }] };
    const override = { plan: plan.code, charge: 'requests', customer_id: customer, effective_from: begin };
    await made('/v1/price-overrides', { ...override, price });
    const tooFine = { model: 'graduated', tiers: [{ up_to: null, unit_amount: '0.0000007' }] };
    expect(await refused('/v1/price-overrides', { ...override, price: tooFine })).toEqual([
      'price.tiers[0].unit_amount not_a_decimal',
    ]);
    expect(amountsOf(await invoiceOf(customer))).toEqual(['0.49']);
    await verified();
  });

  it('may be tried beforehand', async () => {
    const unit = await makeUnit();
    const rate = await addRate(unit, 'USD', '0.25', at(4));
    const ask = async (more: object) =>
      (
        await api('POST', '/v1/prices/preview', {
          price: graduated,
          credit_unit: unit,
          currency: 'USD',
          quantity: '2',
          ...more,
        })
      ).body;
    expect(await ask({})).toMatchObject({ amount: '50.00', sources: { credit_unit_rate_ids: [rate.id] } });
    expect((await ask({ at: at(5) })).errors).toMatchObject([{ field: 'price', code: 'not_in_force' }]);
    expect((await ask({ credit_unit: 'nothing' })).errors).toMatchObject([{ field: 'credit_unit', code: 'not_found' }]);
    const percent = { model: 'percentage', percent: '1' };
    expect((await ask({ price: percent })).errors).toMatchObject([{ field: 'credit_unit', code: 'not_allowed' }]);
  });
});

describe('what is refused', () => {
  const ratesOf = (unit: string) => `/v1/credit-units/${unit}/rates`;
  const rate = (unit: string, amount = '1') => ({ effective_from: begin, unit, amount });

  it('the code of a currency, and one that is taken', async () => {
    expect(await refused('/v1/credit-units', { code: 'USD', name: 'Dollars' })).toEqual(['code not_allowed']);
    const code = await makeUnit();
    expect((await api('POST', '/v1/credit-units', { code, name: 'Again' })).body.error_code).toBe(
      'CREDIT_UNIT_ALREADY_EXISTS',
    );
  });

  it('a rate of nothing that there is, of zero, and of too many digits', async () => {
    const unit = await makeUnit();
    expect(await refused(ratesOf(unit), rate('XAI'))).toEqual(['unit not_found']);
    expect(await refused(ratesOf(unit), rate('USD', '0.0'))).toEqual(['amount not_positive']);
    expect(await refused(ratesOf(unit), rate('USD', '0.0000001'))).toEqual(['amount wrong_format']);
    expect((await api('POST', ratesOf('nothing'), rate('USD'))).body.error_code).toBe('CREDIT_UNIT_NOT_FOUND');
  });

  it('a circle, by the names of its units, and a chain of five rates', async () => {
    const units = [];
    for (let index = 0; index < 5; index += 1) units.push(await makeUnit());
    const [a, b, c, d, e] = units as [string, string, string, string, string];
    expect(await refused(ratesOf(a), rate(a))).toEqual(['unit circular']);
    await addRate(a, b, '1');
    await addRate(b, c, '1');
    const answer = await api('POST', ratesOf(c), rate(a));
    expect(answer.body.errors).toMatchObject([
      { field: 'unit', code: 'circular', message: `makes a circle: ${c} -> ${a} -> ${b} -> ${c}` },
    ]);
    await addRate(c, d, '1');
    await addRate(d, 'USD', '1');
    // a -> b -> c -> d -> USD are four already.
    await addRate(e, 'USD', '1');
    expect(await refused(ratesOf(d), rate(e))).toEqual(['unit out_of_range']);
  });

  it('two other units of one, and digits that are too many along a chain', async () => {
    const [a, b, c] = [await makeUnit(), await makeUnit(), await makeUnit()];
    await addRate(a, b, '0.001');
    expect(await refused(ratesOf(a), rate(c))).toEqual(['unit not_allowed']);
    expect(await refused(ratesOf(b), rate('USD', '0.0001'))).toEqual(['amount not_a_decimal']);
    await addRate(b, 'USD', '0.001');
    expect(await refused(ratesOf(a), rate(b, '0.0001'))).toEqual(['amount not_a_decimal']);
    await addRate(a, 'USD', '0.000001');
  });

  it.each<[string, object, string]>([
    ['shares of a value', { model: 'percentage', percent: '1' }, 'credit_unit not_allowed'],
    ['amounts of events', { model: 'dynamic', amount_property: 'cost' }, 'credit_unit not_allowed'],
    [
      'a cost book',
      { model: 'cost_book', cost_book: 'b', dimensions: [{ dimension: 'a', property: 'a' }] },
      'credit_unit not_allowed',
    ],
    ['7 decimals', { model: 'per_unit', unit_amount: '0.0000001' }, 'price.unit_amount not_a_decimal'],
    [
      '7 decimals in a bound',
      { model: 'per_unit', unit_amount: '1', maximum_amount: '0.0000001' },
      'price.maximum_amount not_a_decimal',
    ],
    [
      'a prorated package of too fine a unit',
      { model: 'package', package_amount: '0.00001', package_size: '100', partial_package: 'prorate' },
      'price.package_amount not_a_decimal',
    ],
  ])('credits for %s', async (_, price, fault) => {
    const unit = await makeUnit();
    await addRate(unit, 'USD', '1');
    expect(await refused('/v1/plans', planBody(unit, price))).toEqual([`charges[0].${fault}`]);
  });

  it('a plan in a unit that is not there, that leads to another currency, or that is worth nothing yet', async () => {
    const unit = await makeUnit();
    expect(await refused('/v1/plans', planBody('nothing'))).toEqual(['charges[0].credit_unit not_found']);
    await addRate(unit, 'EUR', '1');
    await addRate(unit, 'USD', '1', '2099-01-01T00:00:00Z');
    expect(await refused('/v1/plans', planBody(unit))).toEqual(['charges[0].price not_in_force']);
    const plan = await made('/v1/plans', { ...planBody(unit), draft: true });
    const activate = `/v1/plans/${plan.code}/versions/1/activate`;
    expect(await refused(activate, undefined, 409)).toEqual(['charges[0].price not_in_force']);
    await addRate(unit, 'USD', '1');
    expect((await api('POST', activate)).status).toBe(200);
    expect((await api('GET', `/v1/plans/${plan.code}`)).body.charges[0].credit_unit).toBe(unit);
  });
});
