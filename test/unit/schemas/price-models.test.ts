/** What each model takes beside its tiers and shares, and the bounds that all of them may have. */
import { Value } from 'typebox/value';
import { describe, expect, it } from 'vitest';
import { isMetered, meteredPriceSchema, priceModels, priceToJson, usagePartsOf } from '#schemas/price/price.ts';
import { faultsOf, priceOf } from '../../support/prices.ts';

const perUnit = { model: 'per_unit', unit_amount: '1' };
const tiers = [{ up_to: null, unit_amount: '1' }];
const examples: readonly Readonly<Record<string, unknown>>[] = [
  perUnit,
  { model: 'graduated', tiers },
  { model: 'volume', tiers },
  { model: 'package', package_amount: '1', package_size: '5' },
  { model: 'tiered_flat', tiers: [{ up_to: null, flat_amount: '1' }] },
  { model: 'percentage', percent: '1' },
  { model: 'basis_points', basis_points: '1' },
  { model: 'graduated_percentage', tiers: [{ up_to: null, percent: '1' }] },
  { model: 'dynamic', amount_property: 'cost' },
  { model: 'matrix', dimensions: ['a'], cells: [{ match: { a: 'x' }, price: perUnit }], default_price: perUnit },
  { model: 'cost_book', cost_book: 'costs', dimensions: [{ dimension: 'model', property: 'a' }] },
];

it('there is an example of every metered model, which the schema of a request takes', () => {
  const metered = priceModels.filter((model) => model.metered).map(({ name }) => name);
  expect(examples.map(({ model }) => model)).toEqual(metered);
  for (const json of examples) {
    expect(faultsOf(json)).toEqual([]);
    expect(isMetered(priceOf(json))).toBe(true);
    expect(Value.Check(meteredPriceSchema('New'), json)).toBe(true);
    expect(Value.Check(meteredPriceSchema(''), priceToJson(priceOf(json)))).toBe(true);
  }
  expect(isMetered(priceOf({ model: 'flat', amount: '1' }))).toBe(false);
});

describe.each(examples.map((json) => [json.model, json]))('the bounds of a %s price', (_, json) => {
  it.each<[object, string[]]>([
    [{ minimum_amount: '1' }, []],
    [{ maximum_amount: '0' }, []],
    [{ minimum_amount: '5', maximum_amount: '5' }, []],
    [{ minimum_amount: '5', maximum_amount: '4.999999999999' }, ['price.maximum_amount below_minimum']],
    [{ minimum_amount: '-5' }, ['price.minimum_amount negative']],
    [{ maximum_amount: '0.0000000000001' }, ['price.maximum_amount not_a_decimal']],
    [{ minimum_amount: 5 }, ['price.minimum_amount wrong_type']],
    [{ maximum_amount: null }, ['price.maximum_amount wrong_type']],
    [{ minimum: '5' }, ['price.minimum unknown_field']],
  ])('%j', (bounds, faults) => {
    expect(faultsOf({ ...json, ...bounds })).toEqual(faults);
  });

  it('are written as they were read, and left out where they are not there', () => {
    const bounds = { minimum_amount: '1.5', maximum_amount: '2' };
    expect(priceToJson(priceOf({ ...json, ...bounds }))).toMatchObject(bounds);
    expect(Object.keys(priceToJson(priceOf(json))).filter((name) => name in bounds)).toEqual([]);
  });
});

it('a flat price has neither bounds nor free units', () => {
  expect(faultsOf({ model: 'flat', amount: '1', minimum_amount: '1', free_units: '0' })).toEqual([
    'price.minimum_amount unknown_field',
    'price.free_units unknown_field',
  ]);
});

describe('a package price', () => {
  const json = { model: 'package', package_amount: '1', package_size: '3' };
  it.each<[string, object, string[]]>([
    ['rounds up if it does not say', {}, []],
    ['may say so', { partial_package: 'round_up' }, []],
    ['takes no other word', { partial_package: 'never' }, ['price.partial_package not_allowed']],
    ['takes no null', { partial_package: null }, ['price.partial_package not_allowed']],
    [
      'prorated, must come to 12 decimals a unit',
      { partial_package: 'prorate' },
      ['price.package_amount not_a_decimal'],
    ],
    ['prorated, 1 for 8 does', { partial_package: 'prorate', package_size: '8' }, []],
    ['prorated, 0 for 3 does', { partial_package: 'prorate', package_amount: '0' }, []],
    [
      'prorated, the least for 2 does not',
      { partial_package: 'prorate', package_amount: '0.000000000001', package_size: '2' },
      ['price.package_amount not_a_decimal'],
    ],
    ['of nothing', { package_size: '0' }, ['price.package_size not_positive']],
    ['of nothing, prorated', { package_size: '0', partial_package: 'prorate' }, ['price.package_size not_positive']],
    ['of less than nothing', { package_size: '-1' }, ['price.package_size negative']],
    ['of the least there is', { package_size: '0.000000000001' }, []],
    ['without an amount', { package_amount: undefined }, ['price.package_amount missing']],
    [
      'with a fault in its bounds, too',
      { partial_package: 'prorate', minimum_amount: '2', maximum_amount: '1' },
      ['price.maximum_amount below_minimum', 'price.package_amount not_a_decimal'],
    ],
  ])('%s', (_, more, faults) => {
    expect(faultsOf({ ...json, ...more })).toEqual(faults);
  });

  it('writes out how it counts the last package where that is not by the whole, as before there was a choice', () => {
    expect(priceToJson(priceOf({ ...json, partial_package: 'round_up' }))).toEqual({ ...json, free_units: '0' });
    const prorated = { ...json, package_size: '8', partial_package: 'prorate' };
    expect(priceToJson(priceOf(prorated))).toEqual({ ...prorated, free_units: '0' });
  });
});

describe('a dynamic price', () => {
  const json = { model: 'dynamic', amount_property: 'order.cost' };
  it.each<[string, object, string[]]>([
    ['a property with a path', {}, []],
    ['255 characters', { amount_property: 'a'.repeat(255) }, []],
    ['256 characters', { amount_property: 'a'.repeat(256) }, ['price.amount_property wrong_length']],
    ['no character', { amount_property: '' }, ['price.amount_property wrong_length']],
    ['no property', { amount_property: undefined }, ['price.amount_property missing']],
    ['a number', { amount_property: 7 }, ['price.amount_property wrong_type']],
    ['an empty part', { amount_property: 'a..b' }, ['price.amount_property wrong_format']],
    ['a quote', { amount_property: 'a"b' }, ['price.amount_property wrong_format']],
    ['half a character', { amount_property: '\ud800' }, ['price.amount_property wrong_format']],
    ['a factor of 0', { factor: '0' }, []],
    ['a factor below 0', { factor: '-1' }, ['price.factor negative']],
    ['a factor that is a number', { factor: 1.2 }, ['price.factor wrong_type']],
    ['a factor of null', { factor: null }, ['price.factor wrong_type']],
    ['a factor with 13 decimals', { factor: '1.0000000000001' }, ['price.factor not_a_decimal']],
    ['free units', { free_units: '0' }, ['price.free_units unknown_field']],
    ['a cap under its minimum', { minimum_amount: '2', maximum_amount: '1' }, ['price.maximum_amount below_minimum']],
    ['a path from the root of the event', { amount_property: 'properties.c' }, ['price.amount_property not_allowed']],
    ['a path of JSONPath', { amount_property: '$.c' }, ['price.amount_property not_allowed']],
    ['an item of an array', { amount_property: 'items[0]' }, ['price.amount_property not_allowed']],
    ['a name with a dollar sign', { amount_property: '$cost' }, []],
  ])('%s', (_, more, faults) => {
    expect(faultsOf({ ...json, ...more })).toEqual(faults);
  });

  it('writes out its factor, and asks the store for the sum of its property', () => {
    expect(priceToJson(priceOf(json))).toEqual({ ...json, factor: '1' });
    expect(usagePartsOf(priceOf(json))).toEqual({ amountProperty: 'order.cost' });
  });
});

it('prices of a quantity alone ask nothing more of the store', () => {
  for (const json of examples.filter(({ model }) => !['dynamic', 'matrix', 'cost_book'].includes(String(model))))
    expect(usagePartsOf(priceOf(json))).toEqual({});
});
