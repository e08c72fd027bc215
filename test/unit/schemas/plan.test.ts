import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chargeTimings, defaultTimes } from '#schemas/charge-times.ts';
import { type Currency, currencies } from '#schemas/currency.ts';
import { currencyOptionsMax } from '#schemas/currency-options.ts';
import { intervalCountMax, intervalUnits } from '#schemas/interval.ts';
import { type Amount, amountScale } from '#schemas/money.ts';
import {
  chargeFromJson,
  chargeJsonIn,
  chargesMax,
  chargeToJson,
  currenciesOf,
  type PlanVersion,
  planTermsFromJson,
  planTermsToJson,
  planVersionFromJson,
  planVersionToJson,
} from '#schemas/plan.ts';
import { noGeneralTerms } from '#schemas/plan-terms.ts';
import { seatModels } from '#schemas/price/price.ts';
import { oneQuantity } from '#schemas/quantity.ts';
import { prices } from '../../support/rating-arbitraries.ts';

const flat = { model: 'flat', amount: '20.00' } as const;
const perUnit = { model: 'per_unit', unit_amount: '1' };
const plan = (...charges: unknown[]) => ({ code: 'llm-pro', name: 'LLM Pro', currency: 'USD', charges });
const base = { code: 'base', name: 'Base fee', meter: null, price: flat };

const inEuro = { ...base, currency_options: { EUR: { ...flat, amount: '18.00' } } };

const faultsOf = (json: unknown): string[] => {
  const parsed = planVersionFromJson(json);
  return parsed.ok ? [] : parsed.faults.map((fault) => `${fault.field} ${fault.code}`);
};

const codes = fc.stringMatching(/^[a-z0-9][a-z0-9_.-]{0,63}$/);
const everyEntitlement: PlanVersion['entitlements'] = [
  { feature: 'sso', type: 'switch', enabled: true },
  { feature: 'seats', type: 'limit', limit: null },
  { feature: 'tokens', type: 'metered', allowance: oneQuantity, reset: 'week', overage: 'refused' },
];
const boundsOf = ([isMinimum, isCap, units]: [boolean, boolean, bigint], others: Currency[]) => {
  const amount = (units * 10n ** BigInt(amountScale)) as Amount;
  const bound = (name: string) => ({ name, amount, currencyOptions: new Map(others.map((one) => [one, amount])) });
  return {
    minimumTerm: isMinimum ? ({ unit: 'year', count: 2 } as const) : null,
    minimumCommitment: isMinimum ? bound('Minimum') : null,
    spendCap: isCap ? bound('Cap') : null,
    proration: isMinimum ? ('day' as const) : ('none' as const),
    lateUsage: isCap ? ('report_only' as const) : ('bill_next' as const),
    entitlements: isCap ? everyEntitlement : [],
    addOn: null,
  };
};
const planVersions: fc.Arbitrary<PlanVersion> = fc
  .record({
    code: codes,
    name: fc.constantFrom('LLM Pro', 'Größe', '料金', '💧'.repeat(200)),
    currency: fc.constantFrom(...currencies),
    codes: fc.uniqueArray(codes, { minLength: 1, maxLength: 6 }),
    prices: fc.array(prices, { minLength: 6, maxLength: 6 }),
    options: fc.subarray([...currencies].toSorted(), { maxLength: 3 }),
    unit: fc.constantFrom(...intervalUnits),
    count: fc.integer({ min: 1, max: intervalCountMax }),
    bounds: fc.tuple(fc.boolean(), fc.boolean(), fc.bigInt(0n, 10n ** 9n)),
  })
  .map(({ codes: chargeCodes, prices: chargePrices, options, bounds, unit, count, ...rest }) => ({
    ...rest,
    ...boundsOf(
      bounds,
      options.filter((one) => one !== rest.currency),
    ),
    charges: chargeCodes.map((code, index) => {
      const price = chargePrices[index] as PlanVersion['charges'][number]['price'];
      const currencyOptions = new Map(options.filter((one) => one !== rest.currency).map((one) => [one, price]));
      const flatTiming = chargeTimings[index % 3] ?? 'arrears';
      const timing = price.model === 'flat' ? flatTiming : 'arrears';
      const billingInterval = index % 2 === 0 || timing === 'once' ? defaultTimes.billing_interval : { unit, count };
      const seats = index % 3 === 2 && seatModels.some((name) => name === price.model);
      const meter = price.model === 'flat' || seats ? null : code;
      return {
        code,
        name: `Charge ${index}`,
        meter,
        seats,
        creditUnit: null,
        taxCategory: index % 2 === 0 ? null : 'books',
        price,
        currencyOptions,
        timing,
        billingInterval,
      };
    }),
  }));

describe('plan versions as JSON', () => {
  it('every plan version survives being written and read', () => {
    fc.assert(
      fc.property(planVersions, (version) => {
        const json = planVersionToJson(version);
        expect(planVersionFromJson(JSON.parse(JSON.stringify(json)))).toEqual({ ok: true, value: version });
        for (const charge of version.charges)
          expect(chargeFromJson(chargeToJson(charge))).toEqual({ ok: true, value: charge });
      }),
    );
  });

  it('a charge is rated by its price in the currency that is asked for, as it is stored, and by none in another', () => {
    const stored = { ...inEuro, meter: null };
    const { currency_options: _, ...charge } = stored;
    expect(chargeJsonIn(stored, 'USD', 'USD')).toEqual(charge);
    expect(chargeJsonIn(stored, 'EUR', 'USD')).toEqual({ ...charge, price: { model: 'flat', amount: '18.00' } });
    for (const currency of ['GBP', 'constructor']) expect(chargeJsonIn(stored, currency, 'USD')).toBeUndefined();
    // One from before there could be others is rated, and hashed, as it was.
    expect(chargeJsonIn(charge, 'USD', 'USD')).toEqual(charge);
    expect(currenciesOf({ currency: 'USD', charges: [stored] })).toEqual(['USD', 'EUR']);
  });

  it('of one currency, monthly and in arrears, it is written as it was before there was a choice', () => {
    const charge = { ...base, currency_options: {}, timing: 'arrears', billing_interval: { unit: 'month' } };
    const parsed = planTermsFromJson({ currency: 'USD', charges: [charge] });
    expect(parsed.ok && planTermsToJson(parsed.value)).toEqual({
      currency: 'USD',
      charges: [{ ...base, price: { model: 'flat', amount: '20' } }],
      ...noGeneralTerms,
      proration: 'time',
    });
  });

  it('a flat charge may leave its meter out', () => {
    const { meter, ...withoutMeter } = base;
    expect(planVersionFromJson(plan(withoutMeter))).toEqual(planVersionFromJson(plan(base)));
  });

  it.each([
    ['no object', 5, [' wrong_type']],
    ['nothing in it', {}, ['code missing', 'name missing', 'currency missing', 'charges missing']],
    ['an unknown field', { ...plan(base), trial: 1 }, ['trial unknown_field']],
    ['a currency in lower case', { ...plan(base), currency: 'usd' }, ['currency wrong_format']],
    ['a currency that is no longer active', { ...plan(base), currency: 'BGN' }, ['currency not_allowed']],
    ['a code with a capital', { ...plan(base), code: 'Pro' }, ['code wrong_format']],
    ['a code of 65 characters', { ...plan(base), code: 'a'.repeat(65) }, ['code wrong_format']],
    ['an empty name', { ...plan(base), name: '' }, ['name wrong_format']],
    ['a name of 201 characters', { ...plan(base), name: 'n'.repeat(201) }, ['name wrong_format']],
    ['a NUL in its name', { ...plan(base), name: 'a\u0000' }, ['name wrong_format']],
    ['half a surrogate pair in its name', { ...plan(base), name: 'a\ud800' }, ['name wrong_format']],
    ['no charges', plan(), ['charges wrong_length']],
    ['more charges than allowed', plan(...Array(chargesMax + 1).fill(base)), ['charges wrong_length']],
    ['a charge that is null', plan(null), ['charges[0] wrong_type']],
    ['a meter on a flat charge', plan({ ...base, meter: 'api_calls' }), ['charges[0].meter not_allowed']],
    ['no meter on a metered charge', plan({ ...base, price: perUnit }), ['charges[0].meter missing']],
    [
      'a meter that is no code',
      plan({ ...base, price: perUnit, meter: 'API calls' }),
      ['charges[0].meter wrong_format'],
    ],
    [
      'a currency that not all charges have',
      plan(inEuro, { ...base, code: 'b' }),
      ['charges[1].currency_options.EUR missing'],
    ],
    [
      'currencies that each of two charges lacks',
      plan(inEuro, { ...inEuro, code: 'b', currency_options: { GBP: flat } }),
      ['charges[0].currency_options.GBP missing', 'charges[1].currency_options.EUR missing'],
    ],
    [
      'its own currency among the further ones',
      plan({ ...base, currency_options: { USD: flat } }),
      ['charges[0].currency_options.USD not_allowed'],
    ],
    [
      'a further currency that is none',
      plan({ ...base, currency_options: { EURO: flat, eur: flat, BGN: flat } }),
      ['BGN', 'EURO', 'eur'].map((code) => `charges[0].currency_options.${code} not_allowed`),
    ],
    [
      'a further price of another model',
      plan({ ...base, currency_options: { EUR: perUnit } }),
      ['charges[0].currency_options.EUR.model not_allowed'],
    ],
    [
      'a further price that is none',
      plan({ ...base, currency_options: { EUR: { model: 'flat' } } }, { ...base, code: 'b' }),
      ['charges[0].currency_options.EUR.amount missing', 'charges[1].currency_options.EUR missing'],
    ],
    [
      'more further currencies than allowed',
      plan({
        ...base,
        currency_options: Object.fromEntries(
          currencies
            .filter((code) => code !== 'USD')
            .slice(0, currencyOptionsMax + 1)
            .map((code) => [code, flat]),
        ),
      }),
      ['charges[0].currency_options wrong_length'],
    ],
    [
      'no object of further prices',
      plan({ ...base, currency_options: [] }),
      ['charges[0].currency_options wrong_type'],
    ],
    [
      'a time that there is not',
      plan({ ...base, timing: 'later', billing_interval: { unit: 'hour' } }),
      ['charges[0].timing not_allowed', 'charges[0].billing_interval.unit not_allowed'],
    ],
    [
      'no unit, and less than one of it',
      plan({ ...base, billing_interval: { count: 0 } }),
      ['charges[0].billing_interval.unit missing', 'charges[0].billing_interval.count out_of_range'],
    ],
    [
      'half a day, and more days than there may be',
      plan(
        { ...base, billing_interval: { unit: 'day', count: 1.5 } },
        { ...base, code: 'b', billing_interval: { unit: 'day', count: 366 } },
      ),
      ['charges[0].billing_interval.count out_of_range', 'charges[1].billing_interval.count out_of_range'],
    ],
    [
      'a count that is a text',
      plan({ ...base, billing_interval: { unit: 'day', count: '1' } }),
      ['charges[0].billing_interval.count wrong_type'],
    ],
    [
      'more than an interval has',
      plan({ ...base, billing_interval: { unit: 'day', from: 1 } }),
      ['charges[0].billing_interval.from unknown_field'],
    ],
    [
      'an interval and a timing that are null',
      plan({ ...base, billing_interval: null, timing: null }),
      ['charges[0].timing not_allowed', 'charges[0].billing_interval wrong_type'],
    ],
    [
      'usage that is paid for before it is there',
      plan({ ...base, meter: 'tokens', price: perUnit, timing: 'advance' }),
      ['charges[0].timing not_allowed'],
    ],
    [
      'usage that is charged once, and an interval of what is',
      plan(
        { ...base, meter: 'tokens', price: perUnit, timing: 'once' },
        { ...base, code: 'b', timing: 'once', billing_interval: { unit: 'month', count: 1 } },
      ),
      ['charges[0].timing not_allowed', 'charges[1].billing_interval not_allowed'],
    ],
    [
      'a minimum term of no length',
      { ...plan(base), minimum_term: { unit: 'year', count: 0 } },
      ['minimum_term.count out_of_range'],
    ],
    ['a minimum term that is a text', { ...plan(base), minimum_term: 'year' }, ['minimum_term wrong_type']],
    ['a charge without a price', plan({ code: 'base', name: 'Base' }), ['charges[0].price missing']],
    ['the same charge twice', plan(base, { ...base, name: 'Again' }), ['charges[1].code duplicate']],
    [
      'a twin of a charge with another fault',
      plan({ ...base, price: 1 }, null, base),
      ['charges[0].price wrong_type', 'charges[1] wrong_type', 'charges[2].code duplicate'],
    ],
  ])('a plan version with %s is refused', (_, json, faults) => {
    expect(faultsOf(json)).toEqual(faults);
  });
});
