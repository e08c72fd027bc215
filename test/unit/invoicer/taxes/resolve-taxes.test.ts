import { describe, expect, it } from 'vitest';
import { normalState, type Percentage, parsePercentage, type TaxRate } from '#schemas/tax-rate.ts';
import { resolveTaxes, reverseChargeWords, type TaxedCustomer } from '../../../../invoicer/taxes/resolve-taxes.ts';

const rate = (code: string, percentage: string, more: Partial<TaxRate> = {}): TaxRate => ({
  id: `txr_${code}`,
  code,
  name: code,
  percentage: parsePercentage(percentage) as Percentage,
  inclusive: false,
  country: null,
  state: null,
  taxCategory: null,
  validFrom: null,
  validUntil: null,
  ...more,
});

const someone: TaxedCustomer = {
  country: null,
  state: null,
  taxIdCountries: [],
  treatment: 'taxable',
  exemptionReason: null,
  taxRateIds: [],
};

const now = Date.UTC(2026, 6, 1);
const rates = [
  rate('de', '19', { country: 'DE' }),
  rate('de-books', '7', { country: 'DE', taxCategory: 'books' }),
  rate('fr', '20', { country: 'FR' }),
  rate('ny', '4', { country: 'US', state: 'NY' }),
  rate('nyc', '4.5', { country: 'US', state: 'NY' }),
  rate('ny-clothes', '0', { country: 'US', state: 'NY', taxCategory: 'clothes' }),
  rate('ca', '7.25', { country: 'US', state: 'CA' }),
  rate('gst', '5', { country: 'CA' }),
  rate('qst', '9.975', { country: 'CA', state: 'QC' }),
  rate('gst-books', '0', { country: 'CA', taxCategory: 'books' }),
  rate('named', '3'),
];
const codes = (
  customer: Partial<TaxedCustomer>,
  { category = null as string | null, seller = 'DE' as string | null, at = now, of = rates } = {},
) => resolveTaxes(of, { ...someone, ...customer }, { country: seller }, at)(category).map(({ code }) => code);

describe('by place', () => {
  it.each([
    ['its country', { country: 'DE' }, null, ['de']],
    ['another country', { country: 'FR' }, null, ['fr']],
    ['a country without rates', { country: 'CH' }, null, []],
    ['no address', {}, null, []],
    ['a state with two rates', { country: 'US', state: 'NY' }, null, ['ny', 'nyc']],
    ['a state without rates', { country: 'US', state: 'TX' }, null, []],
    ['a state of the same name elsewhere', { country: 'MX', state: 'NY' }, null, []],
    ['a country and its state together', { country: 'CA', state: 'QC' }, null, ['gst', 'qst']],
    ['a category of its own', { country: 'DE' }, 'books', ['de-books']],
    ['a category that no rate is for', { country: 'DE' }, 'food', ['de']],
    ['a category of the state alone', { country: 'US', state: 'NY' }, 'clothes', ['ny-clothes']],
    ['a category of the country, and the state as ever', { country: 'CA', state: 'QC' }, 'books', ['gst-books', 'qst']],
  ])('%s', (_, customer, category, expected) => {
    expect(codes(customer, { category })).toEqual(expected);
  });

  it.each([
    ['us-ny', 'NY'],
    [' New  York ', 'NEW YORK'],
    ['NY', 'NY'],
    ['DE-BY', 'DE-BY'],
  ])('the state %s of the US is %s', (text, expected) => {
    expect(normalState('US', text)).toBe(expected);
  });
});

describe('by time of issue', () => {
  const from = Date.UTC(2027, 0, 1);
  const of = [
    rate('old', '19', { country: 'DE', validUntil: from }),
    rate('new', '20', { country: 'DE', validFrom: from }),
  ];
  it.each([
    ['a millisecond before', from - 1, ['old']],
    ['at the instant', from, ['new']],
  ])('%s', (_, at, expected) => {
    expect(codes({ country: 'DE' }, { at, of })).toEqual(expected);
  });
  it('a rate that a customer names is no tax outside of its time', () => {
    expect(codes({ taxRateIds: ['txr_old'] }, { at: from, of })).toEqual([]);
  });
});

describe('by whose it is', () => {
  it('an exempt customer has no tax, and its reason on each line', () => {
    const customer: TaxedCustomer = { ...someone, country: 'DE', treatment: 'exempt', exemptionReason: 'embassy' };
    const [only, ...others] = resolveTaxes(rates, customer, { country: 'DE' }, now)('books');
    expect(only).toMatchObject({
      treatment: 'exempt',
      code: 'exempt',
      name: 'Exempt from tax: embassy',
      taxRateId: null,
    });
    expect(others).toEqual([]);
    expect(codes({ treatment: 'exempt', taxRateIds: ['txr_named'] })).toEqual(['exempt']);
  });

  it('rates that a customer names take the place of all others, the reverse charge included', () => {
    const customer = { country: 'FR', taxIdCountries: ['FR'], taxRateIds: ['txr_named', 'txr_gst'] };
    expect(codes(customer)).toEqual(['gst', 'named']);
    expect(codes(customer, { category: 'books' })).toEqual(['gst', 'named']);
  });

  it.each([
    ['of another member', { country: 'FR', taxIdCountries: ['FR'] }, 'DE', ['reverse_charge']],
    ['of another member, without an address', { taxIdCountries: ['FR'] }, 'DE', ['reverse_charge']],
    ["of the seller's own member", { country: 'DE', taxIdCountries: ['DE'] }, 'DE', ['de']],
    ["of another member, at home in the seller's", { country: 'DE', taxIdCountries: ['FR'] }, 'DE', ['de']],
    [
      'of several members, at home in one of them',
      { country: 'FR', taxIdCountries: ['DE', 'FR'] },
      'DE',
      ['reverse_charge'],
    ],
    ['of no member', { country: 'FR', taxIdCountries: ['CH'] }, 'DE', ['fr']],
    ['of Northern Ireland', { country: 'GB', taxIdCountries: ['XI'] }, 'DE', []],
    ['of a member, and a seller outside of the Union', { country: 'FR', taxIdCountries: ['FR'] }, 'CH', ['fr']],
    ['of a member, and a seller of nobody knows where', { country: 'FR', taxIdCountries: ['FR'] }, null, ['fr']],
    ['none', { country: 'FR' }, 'DE', ['fr']],
  ])('with a tax id %s', (_, customer, seller, expected) => {
    expect(codes(customer, { seller })).toEqual(expected);
  });

  it('the reverse charge says so in its words, and charges nothing', () => {
    const customer = { ...someone, taxIdCountries: ['FR'] };
    const [only] = resolveTaxes(rates, customer, { country: 'DE' }, now)(null);
    expect(only).toMatchObject({ name: reverseChargeWords, percentage: 0n, treatment: 'reverse_charge' });
  });

  it('an organization without rates has no taxes, whoever is exempt', () => {
    expect(codes({ treatment: 'exempt' }, { of: [] })).toEqual([]);
    expect(codes({ taxIdCountries: ['FR'] }, { of: [] })).toEqual([]);
  });
});
