/** Tax rates, and what customers say of their taxes. */
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import type { Pipeline } from '../support/pipeline.ts';
import { sharedPipeline } from '../support/shared-pipeline.ts';
import { unique } from '../support/tenants.ts';

let pipeline: Pipeline;
const api = (...request: Parameters<Pipeline['api']>) => pipeline.api(...request);
beforeAll(async () => {
  pipeline = await sharedPipeline(inject('serverUrls'));
});
afterAll(() => pipeline?.stop());

const newRate = (more: object = {}) => ({ code: `t-${unique()}`, name: 'VAT', percentage: '19', ...more });
const made = async (path: string, body: object) => {
  const answer = await api('POST', path, body);
  expect(answer).toMatchObject({ status: 201 });
  return answer.body;
};
const faultsOf = async (method: string, path: string, body: object): Promise<string[]> => {
  const answer = await api(method, path, body);
  expect(answer.status).toBe(422);
  return answer.body.errors.map(({ field, code }: { field: string; code: string }) => `${field} ${code}`);
};
const query = async (text: string, values: unknown[]) => (await pipeline.asOwner.query(text, values)).rows;

describe('a tax rate', () => {
  it('is made, read by id and code, and answered with canonical decimals', async () => {
    const rate = await made(
      '/v1/tax-rates',
      newRate({ percentage: '08.8750', country: 'US', state: 'us-ny', valid_from: '2026-01-01T00:00:00Z' }),
    );
    expect(rate).toMatchObject({
      percentage: '8.875',
      inclusive: false,
      country: 'US',
      state: 'NY',
      tax_category: null,
      valid_from: '2026-01-01T00:00:00.000Z',
      valid_until: null,
      archived_at: null,
      version: 1,
    });
    for (const name of [rate.id, rate.code]) expect((await api('GET', `/v1/tax-rates/${name}`)).body).toEqual(rate);
    expect(await api('POST', '/v1/tax-rates', newRate({ code: rate.code }))).toMatchObject({
      status: 409,
      body: { error_code: 'TAX_RATE_ALREADY_EXISTS' },
    });
  });

  it.each([
    [{ percentage: '100.000001' }, 'percentage wrong_format'],
    [{ percentage: '-1' }, 'percentage wrong_format'],
    [{ percentage: '1.0000001' }, 'percentage wrong_format'],
    [{ percentage: 19 }, 'percentage wrong_type'],
    [{ country: 'de' }, 'country wrong_format'],
    [{ country: 'XX' }, 'country not_allowed'],
    [{ country: 'ZZ', state: 'NY' }, 'country not_allowed'],
    [{ state: 'NY' }, 'state not_allowed'],
    [{ country: 'US', state: 'US-' }, 'state wrong_format'],
    [{ valid_from: '2027-01-01T00:00:00Z', valid_until: '2026-01-01T00:00:00Z' }, 'valid_until out_of_range'],
    [{ valid_from: '2027-01-01T00:00:00Z', valid_until: '2027-01-01T00:00:00Z' }, 'valid_until out_of_range'],
    [{ tax_category: 'Books' }, 'tax_category wrong_format'],
    [{ code: 'txr_0123456789abcdef0123456789abcdef' }, 'code not_allowed'],
  ])('with %j is refused: %s', async (more, fault) => {
    expect(await faultsOf('POST', '/v1/tax-rates', newRate(more))).toEqual([fault]);
  });

  it('keeps what it charges, whoever writes: its name and its end alone change', async () => {
    const rate = await made('/v1/tax-rates', newRate({ country: 'DE', valid_from: '2026-01-01T00:00:00Z' }));
    const path = `/v1/tax-rates/${rate.code}`;
    expect(await faultsOf('PATCH', path, { percentage: '20' })).toEqual(['percentage unknown_field']);
    expect(await faultsOf('PATCH', path, { valid_until: '2025-12-31T23:59:59Z' })).toEqual([
      'valid_until out_of_range',
    ]);
    expect(await faultsOf('PATCH', path, { valid_until: '2026-01-01T00:00:00Z' })).toEqual([
      'valid_until out_of_range',
    ]);
    const ended = await api('PATCH', path, { valid_until: '2027-01-01T00:00:00Z', name: 'USt' });
    expect(ended.body).toMatchObject({ valid_until: '2027-01-01T00:00:00.000Z', name: 'USt', version: 2 });
    expect((await api('PATCH', path, { valid_until: null })).body.valid_until).toBeNull();
    await expect(query('UPDATE tax_rates SET percentage = 7 WHERE id = $1', [rate.id])).rejects.toThrow('refused');
    await expect(query('DELETE FROM tax_rates WHERE id = $1', [rate.id])).rejects.toThrow('refused');
  });

  it('is archived for good, and not while a customer names it', async () => {
    const rate = await made('/v1/tax-rates', newRate());
    const tax = { treatment: 'taxable', rates: [rate.code, rate.id] };
    const customer = await made('/v1/customers', { external_id: `c-${unique()}`, name: 'Acme', tax });
    expect(customer.tax).toEqual({ treatment: 'taxable', exemption_reason: null, rates: [rate.id] });
    const path = `/v1/tax-rates/${rate.id}`;
    expect((await api('POST', `${path}/archive`)).body.error_code).toBe('TAX_RATE_IN_USE');
    await api('PATCH', `/v1/customers/${customer.id}`, { tax: null });
    expect((await api('POST', `${path}/archive`)).body.archived_at).not.toBeNull();
    for (const answer of [await api('POST', `${path}/archive`), await api('PATCH', path, { name: 'x' })])
      expect(answer).toMatchObject({ status: 409, body: { error_code: 'TAX_RATE_ARCHIVED' } });
    expect(await faultsOf('PATCH', `/v1/customers/${customer.id}`, { tax })).toEqual([
      'tax.rates[0] not_found',
      'tax.rates[1] not_found',
    ]);
    const listed = async (archived: string) =>
      (await api('GET', `/v1/tax-rates?code=${rate.code}&archived=${archived}`)).body.items.length;
    expect([await listed('exclude'), await listed('only'), await listed('include')]).toEqual([0, 1, 1]);
  });

  it('is archived or named, of both at the same moment', async () => {
    for (let round = 0; round < 10; round += 1) {
      const rate = await made('/v1/tax-rates', newRate());
      const customer = { external_id: `c-${unique()}`, name: 'x', tax: { treatment: 'taxable', rates: [rate.code] } };
      const answers = await Promise.all([
        api('POST', `/v1/tax-rates/${rate.id}/archive`),
        api('POST', '/v1/customers', customer),
      ]);
      expect(answers.filter(({ status }) => status < 300)).toHaveLength(1);
    }
  });
});

describe('a customer', () => {
  const place = async (id: string) =>
    (
      await query(
        `SELECT tax_country, tax_state, tax_id_countries, tax_treatment, tax_exemption_reason FROM customers
         WHERE id = $1`,
        [id],
      )
    )[0];
  const address = { line1: 'x', city: 'x', state: ' us-ny ', country: 'US' };
  const taxIds = [
    { type: 'eu_vat', value: 'DE 811907980' },
    { type: 'de_vat', value: 'DE811907980' },
    { type: 'eu_vat', value: 'EL094259216' },
    { type: 'us_ein', value: '12-3456789' },
  ];

  it('has in clear what taxes go by, from when it is made until it is erased', async () => {
    const tax = { treatment: 'exempt', exemption_reason: 'an embassy' };
    const { id, ...customer } = await made('/v1/customers', {
      external_id: `c-${unique()}`,
      name: 'Acme',
      address,
      tax_ids: taxIds,
      tax,
    });
    expect(customer.tax).toEqual({ ...tax, rates: [] });
    const all = {
      tax_country: 'US',
      tax_state: 'NY',
      tax_id_countries: ['DE', 'GR'],
      tax_treatment: 'exempt',
      tax_exemption_reason: 'an embassy',
    };
    expect(await place(id)).toEqual(all);
    // What is left out stays.
    await api('PATCH', `/v1/customers/${id}`, { name: 'Acme Inc.' });
    expect(await place(id)).toEqual(all);
    await api('PATCH', `/v1/customers/${id}`, { address: null, tax_ids: null });
    expect(await place(id)).toEqual({ ...all, tax_country: null, tax_state: null, tax_id_countries: [] });
    await api('PATCH', `/v1/customers/${id}`, { address: { line1: 'x', city: 'x', country: 'DE' }, tax_ids: taxIds });
    expect(await place(id)).toEqual({ ...all, tax_country: 'DE', tax_state: null });
    await api('POST', `/v1/customers/${id}/erase`);
    expect(await place(id)).toEqual({
      tax_country: null,
      tax_state: null,
      tax_id_countries: [],
      tax_treatment: 'exempt',
      tax_exemption_reason: null,
    });
  });

  it('is told all that is wrong with its tax', async () => {
    const tax = { treatment: 'taxable', exemption_reason: 'none', rates: ['no-such-rate'] };
    const body = { external_id: `c-${unique()}`, name: 'Acme', tax };
    expect(await faultsOf('POST', '/v1/customers', body)).toEqual([
      'tax.rates[0] not_found',
      'tax.exemption_reason not_allowed',
    ]);
    expect(await faultsOf('POST', '/v1/customers', { ...body, tax: {} })).toEqual(['tax.treatment missing']);
  });

  it('that is exempt names no rates', async () => {
    const { code } = await made('/v1/tax-rates', newRate());
    const tax = { treatment: 'exempt', rates: [code, 'no-such-rate'] };
    const body = { external_id: `c-${unique()}`, name: 'Acme', tax };
    expect(await faultsOf('POST', '/v1/customers', body)).toEqual(['tax.rates[1] not_found', 'tax.rates not_allowed']);
    const { id } = await made('/v1/customers', { ...body, tax: { treatment: 'taxable', rates: [code] } });
    expect(await faultsOf('PATCH', `/v1/customers/${id}`, { tax: { ...tax, rates: [code] } })).toEqual([
      'tax.rates not_allowed',
    ]);
    const exempt = await api('PATCH', `/v1/customers/${id}`, { tax: { treatment: 'exempt' } });
    expect(exempt.body.tax).toEqual({ treatment: 'exempt', exemption_reason: null, rates: [] });
  });

  it('is taxable by its place unless it says otherwise', async () => {
    const customer = await made('/v1/customers', { external_id: `c-${unique()}`, name: 'Acme' });
    expect(customer.tax).toEqual({ treatment: 'taxable', exemption_reason: null, rates: [] });
  });
});

it('the organization says what of taxes is rounded', async () => {
  expect((await api('GET', '/v1/organization')).body.tax_rounding).toBe('line');
  expect((await api('PATCH', '/v1/organization', { tax_rounding: 'invoice' })).body.tax_rounding).toBe('invoice');
  expect(await faultsOf('PATCH', '/v1/organization', { tax_rounding: 'none' })).toEqual(['tax_rounding not_allowed']);
  expect((await api('PATCH', '/v1/organization', { name: 'x' })).body.tax_rounding).toBe('invoice');
});
