/** What was agreed with a customer, whom it belongs to, and whether it is still one. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { Pipeline } from '../../support/pipeline.ts';
import { sharedPipeline } from '../../support/shared-pipeline.ts';
import { addTenant, unique } from '../../support/tenants.ts';
import { verify } from '../../support/verify-command.ts';

let pipeline: Pipeline;
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
});
afterAll(() => pipeline?.stop());

type Answered = Awaited<ReturnType<Pipeline['api']>>;
const api: Pipeline['api'] = (...args) => pipeline.api(...args);
const create = (more: object = {}) =>
  api('POST', '/v1/customers', { external_id: `c-${unique()}`, name: 'C', ...more });
const made = async (more: object = {}) => {
  const answer = await create(more);
  expect(answer.status, JSON.stringify(answer.body)).toBe(201);
  return answer.body;
};
const patch = (id: string, body: object) => api('PATCH', `/v1/customers/${id}`, body);
const act = (id: string, deed: string) => api('POST', `/v1/customers/${id}/${deed}`);
const read = async (id: string) => (await api('GET', `/v1/customers/${id}`)).body;
const faultsOf = ({ status, body }: Answered) => [
  status,
  (body.errors ?? []).map(({ field, code }: { field: string; code: string }) => `${field} ${code}`),
];
const codeOf = ({ status, body }: Answered) => [status, body.error_code];

/** A line of customers, each under the one before. */
const line = async (length: number): Promise<string[]> => {
  const ids: string[] = [];
  for (let level = 0; level < length; level += 1)
    ids.push((await made(level === 0 ? {} : { parent_id: ids[level - 1] })).id);
  return ids;
};

describe('the terms of a customer', () => {
  it('are as they are said, changed and cleared one by one, and nothing where nothing is said', async () => {
    const none = { language: null, payment_terms: null, invoicing: 'per_subscription', parent_id: null };
    expect(await made()).toMatchObject({ ...none, archived_at: null, erased_at: null });
    const terms = { language: 'de-AT', payment_terms: { days: 30 }, invoicing: 'consolidated' };
    const customer = await made(terms);
    expect(customer).toMatchObject({ ...terms, parent_id: null });
    expect((await patch(customer.id, { payment_terms: { days: 0 } })).body).toMatchObject({
      ...terms,
      payment_terms: { days: 0 },
    });
    const cleared = { language: null, payment_terms: null, invoicing: 'per_subscription' };
    expect((await patch(customer.id, cleared)).body).toMatchObject({ ...none, name: 'C', version: 3 });
    expect(await read(customer.id)).toMatchObject(none);
  });

  it.each([
    ['EN-us', 'en-US'],
    ['zh-hant-tw', 'zh-Hant-TW'],
    ['iw', 'he'],
    ['sr-Latn-RS', 'sr-Latn-RS'],
  ])('have the language %s in its canonical form, %s', async (given, kept) => {
    expect(await made({ language: given })).toMatchObject({ language: kept });
  });

  it.each([
    [{ language: 'de_AT' }, 'language wrong_format'],
    [{ language: '' }, 'language wrong_format'],
    [{ language: 'a-DE' }, 'language wrong_format'],
    [{ language: `en-${'x'.repeat(70)}` }, 'language wrong_length'],
    [{ language: 7 }, 'language wrong_type'],
    [{ payment_terms: { days: -1 } }, 'payment_terms.days minimum'],
    [{ payment_terms: { days: 366 } }, 'payment_terms.days maximum'],
    [{ payment_terms: { days: 1.5 } }, 'payment_terms.days wrong_type'],
    [{ payment_terms: { days: '30' } }, 'payment_terms.days wrong_type'],
    [{ payment_terms: {} }, 'payment_terms.days missing'],
    [{ payment_terms: { days: 30, from: 'end_of_month' } }, 'payment_terms.from unknown_field'],
    [{ invoicing: 'weekly' }, 'invoicing not_allowed'],
    [{ language: 'x', time_zone: 'Mars' }, 'time_zone not_allowed,language wrong_format'],
    [{ tax_ids: [{ type: 'eu_vat', value: 'DE811907981' }] }, 'tax_ids[0].value wrong_format'],
    [
      { tax_ids: ['DE811907980', 'GB110305878'].map((value) => ({ type: 'eu_vat', value })) },
      'tax_ids[1].value wrong_format',
    ],
  ])('%j are refused at their place: %s', async (terms, faults) => {
    const { id } = await made();
    for (const answer of [await create(terms), await patch(id, terms)]) {
      const [status, found] = faultsOf(answer) as [number, string[]];
      expect([status, found.join(',')]).toEqual([422, faults]);
    }
    expect((await read(id)).version).toBe(1);
  });
});

describe('a customer that belongs to another', () => {
  it('names it by id, found by id or external id, and is listed by it', async () => {
    const parent = await made({ currency: 'EUR' });
    const child = await made({ parent_id: parent.external_id, invoicing: 'consolidated', currency: 'EUR' });
    const other = await made({ parent_id: parent.id });
    expect([child.parent_id, other.parent_id]).toEqual([parent.id, parent.id]);
    for (const name of [parent.id, parent.external_id]) {
      const { body } = await api('GET', `/v1/customers?parent_id=${name}&sort=created_at`);
      expect(body.items.map(({ id }: { id: string }) => id)).toEqual([child.id, other.id]);
      expect(body.pagination.total).toBe(2);
    }
    expect((await patch(other.id, { parent_id: null })).body.parent_id).toBe(null);
    expect((await patch(other.id, { name: 'D' })).body.parent_id).toBe(null);
    expect((await patch(child.id, { name: 'D' })).body.parent_id).toBe(parent.id);
  });

  it('has no parent that is not there, of another organization, itself, below it, archived or erased', async () => {
    const [top, middle, low] = (await line(3)) as [string, string, string];
    const foreign = await (await addTenant(pipeline)).api('POST', '/v1/customers', { external_id: 'f', name: 'F' });
    const [archived, erased] = [(await made()).id, (await made()).id];
    expect((await act(archived, 'archive')).status).toBe(200);
    expect((await act(erased, 'erase')).status).toBe(200);
    for (const name of ['nobody', foreign.body.id, 'f', `cus_${'0'.repeat(32)}`])
      for (const answer of [await patch(top, { parent_id: name }), await create({ parent_id: name })])
        expect(faultsOf(answer)).toEqual([422, ['parent_id not_found']]);
    for (const name of [top, middle, low, archived, erased])
      expect(faultsOf(await patch(top, { parent_id: name }))).toEqual([422, ['parent_id not_allowed']]);
    expect((await read(top)).version).toBe(1);
  });

  it('stands at most on the fifth level, with all that belongs to it', async () => {
    const five = await line(5);
    expect(faultsOf(await create({ parent_id: five[4] }))).toEqual([422, ['parent_id not_allowed']]);
    const [top = '', middle = ''] = await line(3);
    expect(faultsOf(await patch(top, { parent_id: five[2] }))).toEqual([422, ['parent_id not_allowed']]);
    expect((await patch(top, { parent_id: five[1] })).status).toBe(200);
    expect((await patch(middle, { parent_id: five[2] })).status).toBe(200);
    expect(faultsOf(await patch(middle, { parent_id: five[3] }))).toEqual([422, ['parent_id not_allowed']]);
  });

  it('pays in the same currency, where both have one, whichever of them changes', async () => {
    const parent = await made({ currency: 'EUR' });
    const child = await made({ parent_id: parent.id });
    expect(faultsOf(await create({ parent_id: parent.id, currency: 'USD' }))).toEqual([422, ['parent_id not_allowed']]);
    expect(faultsOf(await patch(child.id, { currency: 'USD' }))).toEqual([422, ['currency not_allowed']]);
    expect((await patch(child.id, { currency: 'EUR' })).status).toBe(200);
    expect(faultsOf(await patch(parent.id, { currency: 'USD' }))).toEqual([422, ['currency not_allowed']]);
    expect((await patch(parent.id, { currency: null })).status).toBe(200);
    expect(faultsOf(await patch(parent.id, { currency: 'USD' }))).toEqual([422, ['currency not_allowed']]);
    // Out of it and into another currency in one change.
    expect((await patch(child.id, { currency: 'USD', parent_id: null })).status).toBe(200);
  });

  it('makes no ring and no sixth level, however many are put under each other at once', async () => {
    for (let round = 0; round < 5; round += 1) {
      const ids = await Promise.all(Array.from({ length: 8 }, async () => (await made()).id as string));
      const moves = ids.flatMap((id, index) => [1, 3].map((step) => ({ id, parent_id: ids[(index + step) % 8] })));
      const answers = await Promise.all(moves.map(({ id, parent_id }) => patch(id, { parent_id })));
      for (const { status } of answers) expect([200, 422]).toContain(status);
      const parents = new Map(await Promise.all(ids.map(async (id) => [id, (await read(id)).parent_id] as const)));
      for (const id of ids) {
        let levels = 1;
        for (let at = parents.get(id); at; at = parents.get(at)) levels += 1;
        expect(levels).toBeLessThanOrEqual(5);
      }
    }
  });
});

describe('an archived customer', () => {
  it('is listed where it is asked for, read and changed as before, and taken back', async () => {
    const tag = unique();
    const [kept, gone] = [await made({ external_id: `${tag}-1` }), await made({ external_id: `${tag}-2` })];
    const archived = await act(gone.external_id, 'archive');
    expect(archived).toMatchObject({ status: 200, body: { id: gone.id, version: 2 } });
    expect(archived.body.archived_at).toBe(archived.body.updated_at);
    const listed = async (query: string) => {
      const { body } = await api('GET', `/v1/customers?external_id_prefix=${tag}${query}`);
      expect(body.pagination.total).toBe(body.items.length);
      return body.items.map(({ id }: { id: string }) => id);
    };
    expect(await listed('')).toEqual([kept.id]);
    expect(await listed('&archived=exclude')).toEqual([kept.id]);
    expect(await listed('&archived=only')).toEqual([gone.id]);
    expect(await listed('&archived=include')).toEqual([kept.id, gone.id]);
    expect(await listed('&archived=include&sort=-external_id')).toEqual([gone.id, kept.id]);
    expect(codeOf(await act(gone.id, 'archive'))).toEqual([409, 'CUSTOMER_ARCHIVED']);
    expect((await patch(gone.id, { name: 'D' })).body).toMatchObject({ name: 'D', version: 3 });
    expect((await read(gone.id)).archived_at).toBe(archived.body.archived_at);
    expect((await act(gone.id, 'unarchive')).body).toMatchObject({ archived_at: null, version: 4 });
    expect(codeOf(await act(gone.id, 'unarchive'))).toEqual([409, 'CUSTOMER_NOT_ARCHIVED']);
    expect(await listed('')).toEqual([kept.id, gone.id]);
  });

  it('is found by the beginning of its external id, character by character, page by page', async () => {
    const tag = unique();
    const names = [`${tag}%a`, `${tag}%b`, `${tag}_a`, `${tag}.*`, `${tag.toUpperCase()}%c`];
    for (const name of names) await made({ external_id: name });
    const prefix = encodeURIComponent(`${tag}%`);
    const first = await api('GET', `/v1/customers?external_id_prefix=${prefix}&limit=1`);
    const { next_cursor: cursor } = first.body.pagination;
    const second = await api('GET', `/v1/customers?external_id_prefix=${prefix}&limit=1&cursor=${cursor}`);
    const found = [first, second].flatMap(({ body }) => body.items);
    expect(found.map(({ external_id }: { external_id: string }) => external_id)).toEqual(names.slice(0, 2));
    expect(second.body.pagination).toMatchObject({ total: 2, has_more: false });
  });

  it('is counted as what it is: totals are those of the rows, of each organization for itself', async () => {
    const tenant = await addTenant(pipeline);
    const ids: string[] = [];
    for (let index = 0; index < 7; index += 1)
      ids.push((await tenant.api('POST', '/v1/customers', { external_id: `n-${index}`, name: 'N' })).body.id);
    for (const id of ids.slice(0, 3)) await tenant.api('POST', `/v1/customers/${id}/archive`);
    await tenant.api('POST', `/v1/customers/${ids[0]}/unarchive`);
    await tenant.api('POST', `/v1/customers/${ids[6]}/erase`);
    const totals = async (query: string) =>
      (await tenant.api('GET', `/v1/customers?limit=2${query}`)).body.pagination.total;
    expect([await totals(''), await totals('&archived=only'), await totals('&archived=include')]).toEqual([4, 3, 7]);
    expect(await totals('&external_id=n-3')).toBe(1);
    const { rows } = await pipeline.asOwner.query(
      `SELECT count(*) FILTER (WHERE s.current <> c.current OR s.archived <> c.archived)::integer AS wrong
       FROM (SELECT organization_id, count(*) - count(archived_at) AS current, count(archived_at) AS archived
         FROM customers GROUP BY organization_id) c
       LEFT JOIN (SELECT organization_id, sum(current) AS current, sum(archived) AS archived
         FROM customer_counts GROUP BY organization_id) s USING (organization_id)`,
    );
    expect(rows).toEqual([{ wrong: 0 }]);
  });

  it('has no subscription that is not over, and no customer that is not archived, whatever comes at once', async () => {
    const plan = `p-${unique()}`;
    const charges = [{ code: 'base', name: 'Base fee', price: { model: 'flat', amount: '1.00' } }];
    await api('POST', '/v1/plans', { code: plan, name: 'A plan', currency: 'USD', charges });
    for (let round = 0; round < 6; round += 1) {
      const { id } = await made();
      const [archived, subscribed, child] = await Promise.all([
        act(id, 'archive'),
        api('POST', '/v1/subscriptions', { customer_id: id, plan }),
        create({ parent_id: id }),
      ]);
      const isArchived = archived.status === 200;
      expect(codeOf(archived)).toEqual(isArchived ? [200, undefined] : [409, 'CUSTOMER_IN_USE']);
      if (isArchived) {
        expect(codeOf(subscribed)).toEqual([409, 'CUSTOMER_ARCHIVED']);
        expect(faultsOf(child)).toEqual([422, ['parent_id not_allowed']]);
      } else expect([subscribed.status, child.status]).toContain(201);
    }
  });

  it('is not taken back while the one that it belongs to is archived', async () => {
    const [top = '', low = ''] = await line(2);
    expect(codeOf(await act(top, 'archive'))).toEqual([409, 'CUSTOMER_IN_USE']);
    expect((await act(low, 'archive')).status).toBe(200);
    expect((await act(top, 'archive')).status).toBe(200);
    expect(codeOf(await act(low, 'unarchive'))).toEqual([409, 'CUSTOMER_ARCHIVED']);
    expect((await act(top, 'unarchive')).status).toBe(200);
    expect((await act(low, 'unarchive')).status).toBe(200);
  });
});

it('[I28] every change of a customer is accounted for by the audit log', async () => {
  const { faults, stdout } = await verify(pipeline.databaseUrl);
  expect(stdout).toContain('audit entries');
  // The other organizations were put there by hand.
  expect(faults.filter((fault) => fault.includes('customer'))).toEqual([]);
});
