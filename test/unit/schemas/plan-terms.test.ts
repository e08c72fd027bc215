/** What holds of a plan version over all of its charges: what is read, and what is refused at its place. */
import { describe, expect, it } from 'vitest';
import { currencies } from '#schemas/currency.ts';
import { planTermsFromJson, planTermsToJson, planVersionFromJson } from '#schemas/plan.ts';

const flat = (amount: string) => ({ model: 'flat', amount });
const charge = { code: 'base', name: 'Base fee', price: flat('20.00') };
const inOne = { currency: 'USD', charges: [charge] };
const inThree = {
  currency: 'USD',
  charges: [{ ...charge, currency_options: { JPY: flat('3000'), EUR: flat('18.00') } }],
};
const everywhere = { amount: '100.00', currency_options: { JPY: '15000', EUR: '90.00' } };

const faultsOf = (json: unknown): string[] => {
  const parsed = planTermsFromJson(json);
  return parsed.ok ? [] : parsed.faults.map(({ field, code }) => `${field} ${code}`);
};

describe('how long a subscription lasts at least', () => {
  it('is nothing, or a span of the calendar, of one unit if nothing is said', () => {
    const termOf = (given: object) => {
      const parsed = planTermsFromJson({ ...inOne, ...given });
      return parsed.ok && planTermsToJson(parsed.value).minimum_term;
    };
    expect(termOf({})).toBe(null);
    expect(termOf({ minimum_term: null })).toBe(null);
    expect(termOf({ minimum_term: { unit: 'year' } })).toEqual({ unit: 'year', count: 1 });
    expect(termOf({ minimum_term: { unit: 'day', count: 90 } })).toEqual({ unit: 'day', count: 90 });
  });
});

describe('what a billing period costs at least and at most', () => {
  it('is none where nothing is said, and where null is', () => {
    for (const given of [{}, { minimum_commitment: null, spend_cap: null }]) {
      const parsed = planTermsFromJson({ ...inOne, ...given });
      expect(parsed).toMatchObject({ ok: true, value: { minimumCommitment: null, spendCap: null } });
      expect(parsed.ok && planTermsToJson(parsed.value)).toMatchObject({ minimum_commitment: null, spend_cap: null });
    }
  });

  it('has an amount in each currency, a name for its line, and one JSON', () => {
    const cap = { name: 'At most', amount: '250', currency_options: { EUR: '0225.0', JPY: '40000.00' } };
    const parsed = planTermsFromJson({ ...inThree, minimum_commitment: everywhere, spend_cap: cap });
    if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
    const { minimumCommitment, spendCap } = parsed.value;
    const unit = 10n ** 12n;
    expect(minimumCommitment?.amount).toBe(100n * unit);
    expect([...(spendCap?.currencyOptions ?? [])]).toEqual([
      ['EUR', 225n * unit],
      ['JPY', 40_000n * unit],
    ]);
    const json = planTermsToJson(parsed.value);
    expect(json).toMatchObject({
      minimum_commitment: {
        name: 'Minimum commitment',
        amount: '100',
        currency_options: { EUR: '90', JPY: '15000' },
      },
      spend_cap: { name: 'At most', amount: '250', currency_options: { EUR: '225', JPY: '40000' } },
    });
    expect(planTermsFromJson(JSON.parse(JSON.stringify(json)))).toEqual(parsed);
  });

  it('may be the same amount, nothing, and as precise as money is printed', () => {
    const dinars = { currency: 'KWD', charges: [charge] };
    for (const amount of ['0', '1.125']) {
      const both = { minimum_commitment: { amount }, spend_cap: { amount } };
      expect(faultsOf({ ...dinars, ...both })).toEqual([]);
    }
  });

  it('no charge has the code of the line of a bound', () => {
    const charges = [{ code: 'spend_cap', name: 'A', price: { model: 'flat', amount: '1' } }];
    const plan = { code: 'p', name: 'P', currency: 'USD', charges };
    expect(planVersionFromJson(plan).ok).toBe(true);
    expect(planVersionFromJson({ ...plan, spend_cap: { amount: '1' } })).toMatchObject({
      faults: [{ field: 'charges[0].code', code: 'not_allowed' }],
    });
  });

  it.each([
    ['no object', inOne, { minimum_commitment: '5' }, ['minimum_commitment wrong_type']],
    ['an array', inOne, { spend_cap: [] }, ['spend_cap wrong_type']],
    ['nothing in it', inOne, { spend_cap: {} }, ['spend_cap.amount missing']],
    [
      'a field that it does not know',
      inOne,
      { spend_cap: { amount: '5', per: 'day' } },
      ['spend_cap.per unknown_field'],
    ],
    ['a number', inOne, { minimum_commitment: { amount: 5 } }, ['minimum_commitment.amount wrong_type']],
    ['less than nothing', inOne, { minimum_commitment: { amount: '-5' } }, ['minimum_commitment.amount negative']],
    ['no decimal', inOne, { minimum_commitment: { amount: '5e3' } }, ['minimum_commitment.amount not_a_decimal']],
    ['half a cent', inOne, { minimum_commitment: { amount: '5.005' } }, ['minimum_commitment.amount too_precise']],
    [
      'half a yen',
      inThree,
      { spend_cap: { ...everywhere, currency_options: { EUR: '90.005', JPY: '0.5' } } },
      ['spend_cap.currency_options.EUR too_precise', 'spend_cap.currency_options.JPY too_precise'],
    ],
    ['an empty name', inOne, { spend_cap: { name: '', amount: '5' } }, ['spend_cap.name wrong_format']],
    ['a name that is null', inOne, { spend_cap: { name: null, amount: '5' } }, ['spend_cap.name wrong_type']],
    ['half a surrogate pair', inOne, { spend_cap: { name: 'a\ud800', amount: '5' } }, ['spend_cap.name wrong_format']],
    [
      'no amount in currencies that the charges have',
      inThree,
      { minimum_commitment: { amount: '5' } },
      ['minimum_commitment.currency_options.EUR missing', 'minimum_commitment.currency_options.JPY missing'],
    ],
    [
      'an amount in a currency that no charge has',
      inOne,
      { spend_cap: { amount: '5', currency_options: { EUR: '5', constructor: '5', USD: '5' } } },
      ['EUR', 'USD', 'constructor'].map((code) => `spend_cap.currency_options.${code} not_allowed`),
    ],
    [
      'options that are no object',
      inOne,
      { spend_cap: { amount: '5', currency_options: ['EUR'] } },
      ['spend_cap.currency_options wrong_type'],
    ],
    [
      'more currencies than there may be',
      inOne,
      { spend_cap: { amount: '5', currency_options: Object.fromEntries(currencies.map((code) => [code, '5'])) } },
      ['spend_cap.currency_options wrong_length'],
    ],
    [
      'a cap under the minimum in some currencies',
      inThree,
      {
        minimum_commitment: everywhere,
        spend_cap: { amount: '99.99', currency_options: { EUR: '90', JPY: '14999' } },
      },
      ['spend_cap.amount below_minimum', 'spend_cap.currency_options.JPY below_minimum'],
    ],
    [
      'charges that have faults, too',
      { currency: 'usd', charges: [{ ...charge, price: flat('x') }] },
      { minimum_commitment: { amount: '0.001', currency_options: { EUR: '1' } } },
      [
        'currency wrong_format',
        'charges[0].price.amount not_a_decimal',
        'minimum_commitment.currency_options.EUR not_allowed',
      ],
    ],
    [
      'no charges at all, in whose currencies it could be',
      { currency: 'USD', charges: [] },
      { minimum_commitment: { amount: '5', currency_options: { EUR: '5.001' } } },
      ['charges wrong_length', 'minimum_commitment.currency_options.EUR too_precise'],
    ],
  ])('that is %s is refused', (_, terms, given, faults) => {
    expect(faultsOf({ ...terms, ...given })).toEqual(faults);
  });
});
