/** Prices by a cost book: from the price list that is uploaded to the lines of invoices. */

import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { at, begin, billMonth, end } from '../support/billed-month.ts';
import type { Pipeline } from '../support/pipeline.ts';
import { sharedPipeline } from '../support/shared-pipeline.ts';
import { unique } from '../support/tenants.ts';

let pipeline: Pipeline;
const { api, explained, invoiceOf, made, makeUser, refused, verified } = billMonth(() => pipeline);
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
  await made('/v1/meters', {
    code: 'tokens',
    name: 'Tokens',
    event: 'llm.request',
    aggregation: 'sum',
    property: 'input_tokens',
    group_by: ['model', 'kind'],
  });
  await made('/v1/meters', { code: 'plain', name: 'Plain', event: 'llm.request', aggregation: 'count' });
});
afterAll(() => pipeline?.stop());

const entry = (match: object, unit_cost: string) => ({ match, unit_cost });
const october = [
  entry({ model: 'big', kind: 'input' }, '0.01'),
  entry({ model: 'big', kind: 'output' }, '0.04'),
  entry({ model: 'big' }, '0.02'),
];
const makeBook = async (currency = 'USD') => {
  const code = `book-${unique()}`;
  await made('/v1/cost-books', { code, name: 'What models cost', dimensions: ['model', 'kind'], currency });
  return code;
};
const addVersion = (book: string, effective_from: string, entries: object[], default_cost?: string) =>
  made(`/v1/cost-books/${book}/versions`, { effective_from, entries, ...(default_cost && { default_cost }) });

const dimensions = [
  { dimension: 'model', property: 'model' },
  { dimension: 'kind', property: 'kind' },
];
const priced = (cost_book: string, factor?: string, more: object = {}) => ({
  model: 'cost_book',
  cost_book,
  ...(factor && { factor }),
  dimensions,
  ...more,
});
const planBody = (price: object, more: object = {}) => ({
  code: `p-${unique()}`,
  name: 'A plan',
  currency: 'USD',
  charges: [{ code: 'tokens', name: 'Tokens', meter: 'tokens', price, ...more }],
});

type Used = readonly [daysBefore: number, model: string, kind: string, tokens: number];
const makeCustomer = (plan: string, used: readonly Used[]): Promise<string> =>
  makeUser(
    plan,
    used.map(([number, model, kind, tokens]) => ({
      day: number,
      input: tokens,
      properties: { input_tokens: tokens, model, kind },
    })),
  );

/** Three before the change of prices, two behind it. */
const usage: readonly Used[] = [
  [6, 'big', 'input', 1000],
  [6, 'big', 'output', 100],
  [5, 'other', 'input', 10],
  [2, 'big', 'input', 1000],
  [2, 'big', 'cached', 50],
];
const november = [entry({ model: 'big', kind: 'input' }, '0.02'), entry({ model: 'big' }, '0.05')];

describe('a price list of models, uploaded once', () => {
  it('prices all plans that refer to it, each times its factor, and from the next version on anew', async () => {
    const book = await makeBook();
    const first = await addVersion(book, begin, october, '0.001');
    const plans = [];
    for (const factor of [undefined, '1.25', '2']) plans.push(await made('/v1/plans', planBody(priced(book, factor))));
    const customers = [];
    for (const plan of plans) customers.push(await makeCustomer(plan.code, usage));
    const second = await addVersion(book, at(4), november);
    // Before: 1000 x 0.01 + 100 x 0.04 + 10 x 0.001 = 14.01. Behind: 1000 x 0.02 + 50 x 0.05 = 22.50.
    const totals = ['36.51', '45.64', '73.02'];
    const spans = [
      { start: begin, end: at(4) },
      { start: at(4), end },
    ];
    for (const [index, customer] of customers.entries()) {
      const invoice = await invoiceOf(customer);
      expect(invoice.lines[0].amount).toBe(totals[index]);
      const line = await explained(invoice);
      expect(line.hashes.is_as_rated).toBe(true);
      expect(line.input.price_spans).toMatchObject([
        { span: spans[0], sources: { cost_book_version_id: first.id }, price: { model: 'cost_book', cost_book: book } },
        { span: spans[1], sources: { cost_book_version_id: second.id } },
      ]);
      expect(line.output.price_spans.map(({ quantity }: { quantity: string }) => quantity)).toEqual(['1110', '1050']);
      const steps = line.output.steps as { cell: object; units: string; amount: string; span: object }[];
      if (index === 1)
        expect(steps.map(({ cell, units, amount, span }) => [cell, units, amount, span])).toEqual([
          [{ model: 'big', kind: 'input' }, '1000', '12.5', spans[0]],
          [{ model: 'big', kind: 'output' }, '100', '5', spans[0]],
          [{}, '10', '0.0125', spans[0]],
          [{ model: 'big', kind: 'input' }, '1000', '25', spans[1]],
          [{ model: 'big' }, '50', '3.125', spans[1]],
        ]);
    }
    // What comes later, of whatever time, changes nothing that was rated.
    await addVersion(book, at(5), [entry({ model: 'big' }, '9')]);
    await verified();
  });

  it('counts its first version before it, and changes nothing where another says the same', async () => {
    const book = await makeBook();
    const first = await addVersion(book, at(3), october);
    await addVersion(book, at(2), october);
    const plan = await made('/v1/plans', planBody(priced(book)));
    const invoice = await invoiceOf(await makeCustomer(plan.code, usage));
    expect(invoice.lines[0].amount).toBe('25.00');
    expect((await explained(invoice)).output.price_spans).toMatchObject([
      { span: { start: begin, end }, sources: { cost_book_version_id: first.id }, quantity: '2160' },
    ]);
    await verified();
  });

  it('takes the higher number of two versions of one instant', async () => {
    const book = await makeBook();
    await addVersion(book, begin, [entry({ model: 'big' }, '5')]);
    await addVersion(book, begin, [entry({ model: 'big' }, '0.5')]);
    const plan = await made('/v1/plans', planBody(priced(book)));
    expect((await invoiceOf(await makeCustomer(plan.code, [[2, 'big', 'input', 3]]))).lines[0].amount).toBe('1.50');
  });

  it('stands in an override of one customer, too, with a factor of its own', async () => {
    const book = await makeBook();
    await addVersion(book, begin, october);
    const plan = await made('/v1/plans', planBody(priced(book)));
    const customer = await makeCustomer(plan.code, usage);
    const override = await made('/v1/price-overrides', {
      plan: plan.code,
      charge: 'tokens',
      customer_id: customer,
      price: priced(book, '0.5'),
      effective_from: at(4),
    });
    const version = await addVersion(book, at(1), november);
    const invoice = await invoiceOf(customer);
    // 14 before it; then (1000 x 0.01 + 50 x 0.02) / 2.
    expect(invoice.lines[0].amount).toBe('19.50');
    expect((await explained(invoice)).output.price_spans[2].sources).toEqual({
      price_override_id: override.id,
      cost_book_version_id: version.id,
    });
    await verified();
  });

  it('has as many entries as are allowed, and prices by each', async () => {
    const book = await makeBook();
    const many = Array.from({ length: 5_000 }, (_, index) => entry({ model: `model-${index}` }, `0.${index + 1}`));
    const path = `/v1/cost-books/${book}/versions`;
    expect(await refused(path, { effective_from: begin, entries: [...many, entry({ model: 'x' }, '1')] })).toEqual([
      'entries wrong_length',
    ]);
    const version = await addVersion(book, begin, many);
    expect(version.entry_count).toBe(5_000);
    const plan = await made('/v1/plans', planBody(priced(book)));
    const customer = await makeCustomer(plan.code, [
      [2, 'model-0', 'input', 10],
      [2, 'model-2499', 'input', 10],
      [2, 'model-4999', 'output', 10],
    ]);
    // 10 x 0.1 + 10 x 0.25 + 10 x 0.5
    expect((await invoiceOf(customer)).lines[0].amount).toBe('8.50');
    await verified();
  });
});

describe('a book', () => {
  it('says which version is in force and which comes next, and what each of them said', async () => {
    const book = await makeBook();
    expect((await api('GET', `/v1/cost-books/${book}`)).body).toMatchObject({
      version_in_force: null,
      next_version: null,
    });
    const [first, next] = [
      await addVersion(book, begin, october),
      await addVersion(book, '2099-01-01T00:00:00Z', november),
    ];
    expect((await api('GET', `/v1/cost-books/${book}`)).body).toMatchObject({
      version_in_force: { id: first.id, version_number: 1, effective_from: begin },
      next_version: { id: next.id, version_number: 2, effective_from: '2099-01-01T00:00:00.000Z' },
    });
    const listed = (await api('GET', `/v1/cost-books/${book}/versions`)).body.items;
    expect(
      listed.map((one: { version_number: number; entry_count: number }) => [one.version_number, one.entry_count]),
    ).toEqual([
      [2, 2],
      [1, 3],
    ]);
    expect((await api('GET', `/v1/cost-books/${book}/versions/1`)).body).toEqual(first);
    expect((await api('GET', `/v1/cost-books/${book}/versions/3`)).body.error_code).toBe('COST_BOOK_VERSION_NOT_FOUND');
  });

  it.each<[string, object, string[]]>([
    ['no time', { effective_from: undefined }, ['effective_from missing']],
    ['a time that is none', { effective_from: 'soon' }, ['effective_from wrong_format']],
    ['no entries', { entries: [] }, ['entries wrong_length']],
    [
      'a match of no dimension',
      { entries: [entry({ colour: 'red' }, '1')] },
      ['entries[0].match.colour unknown_field'],
    ],
    ['a match of anything', { entries: [entry({ model: '*' }, '1')] }, ['entries[0].match missing']],
    [
      'a match twice',
      { entries: [entry({ model: 'a' }, '1'), entry({ model: 'a', kind: '*' }, '2')] },
      ['entries[1].match duplicate'],
    ],
    [
      'a cost of 11 decimals',
      { entries: [entry({ model: 'a' }, '0.00000000001')] },
      ['entries[0].unit_cost not_a_decimal'],
    ],
    ['a cost below zero', { entries: [entry({ model: 'a' }, '-1')] }, ['entries[0].unit_cost negative']],
    ['a default that is a number', { default_cost: 1 }, ['default_cost wrong_type']],
    ['a field of no name', { entry: 1 }, ['entry unknown_field']],
  ])('refuses a version with %s', async (_, change, faults) => {
    const book = await makeBook();
    const body = { effective_from: begin, entries: october, ...change };
    expect(await refused(`/v1/cost-books/${book}/versions`, body)).toEqual(faults);
  });
});

describe('a plan by a cost book', () => {
  it('names a book that is there, in its currency, with a property for each dimension', async () => {
    const [book, euros] = [await makeBook(), await makeBook('EUR')];
    await addVersion(book, begin, october);
    await addVersion(euros, begin, october);
    const faultsOf = (price: object, more: object = {}) => refused('/v1/plans', { ...planBody(price), ...more });
    const field = 'charges[0].price';
    for (const more of [{}, { draft: true }]) {
      expect(await faultsOf(priced('nothing'), more)).toEqual([`${field}.cost_book not_found`]);
      expect(await faultsOf(priced(euros), more)).toEqual([`${field}.cost_book not_allowed`]);
      expect(await faultsOf(priced(book, '1', { dimensions: dimensions.slice(0, 1) }), more)).toEqual([
        `${field}.dimensions missing`,
      ]);
      const colour = { dimension: 'colour', property: 'kind' };
      expect(await faultsOf(priced(book, '1', { dimensions: [dimensions[0], colour] }), more)).toEqual([
        `${field}.dimensions[1].dimension unknown_field`,
        `${field}.dimensions missing`,
      ]);
    }
    expect(await faultsOf(priced(book, '1.255'))).toEqual([`${field}.factor not_a_decimal`]);
    expect(await refused('/v1/plans', { ...planBody(priced(book), { meter: 'plain' }) })).toEqual([
      `${field}.dimensions[0].property not_allowed`,
      `${field}.dimensions[1].property not_allowed`,
    ]);
  });

  it('becomes active once a version is in force', async () => {
    const book = await makeBook();
    await addVersion(book, '2099-01-01T00:00:00Z', october);
    expect(await refused('/v1/plans', planBody(priced(book)))).toEqual(['charges[0].price.cost_book not_in_force']);
    const plan = await made('/v1/plans', { ...planBody(priced(book)), draft: true });
    const activate = `/v1/plans/${plan.code}/versions/1/activate`;
    expect(await refused(activate, undefined, 409)).toEqual(['charges[0].price.cost_book not_in_force']);
    await addVersion(book, begin, october);
    expect((await api('POST', activate)).status).toBe(200);
  });

  it('may be tried beforehand, at any time', async () => {
    const book = await makeBook();
    const first = await addVersion(book, at(4), october);
    await addVersion(book, at(2), november);
    const events = [{ quantity: '1000', properties: { model: 'big', kind: 'input' } }];
    const ask = async (more: object) =>
      (await api('POST', '/v1/prices/preview', { price: priced(book, '1.5'), currency: 'USD', events, ...more })).body;
    expect(await ask({ at: at(3) })).toMatchObject({
      amount: '15.00',
      model: 'matrix',
      sources: { cost_book_version_id: first.id },
    });
    expect((await ask({})).amount).toBe('30.00');
    expect((await ask({ at: at(5) })).errors).toMatchObject([{ field: 'price.cost_book', code: 'not_in_force' }]);
    expect((await ask({ currency: 'EUR' })).errors).toMatchObject([{ field: 'price.cost_book', code: 'not_allowed' }]);
  });
});
