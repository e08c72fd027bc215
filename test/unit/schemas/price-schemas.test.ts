/** The JSON schemas of prices, which documents show and clients are made from, against the readers. */
import type { TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { describe, expect, it } from 'vitest';
import { meteredPriceSchema, modelNamed, priceToJson } from '#schemas/price/price.ts';
import { faultsOf, priceOf } from '../../support/prices.ts';

type Json = Readonly<Record<string, unknown>>;

const bounds = { minimum_amount: '1', maximum_amount: '2' };
const metered = { free_units: '5', ...bounds };
const perUnit = { model: 'per_unit', unit_amount: '1', ...metered };
const unitTiers = [
  { up_to: '10', unit_amount: '1', flat_amount: '2' },
  { up_to: null, unit_amount: '3', flat_amount: '4' },
];
const feeTiers = [
  { up_to: '10', flat_amount: '2' },
  { up_to: null, flat_amount: '4' },
];
const percentTiers = [
  { up_to: '10', percent: '1', flat_amount: '2' },
  { up_to: null, percent: '3', flat_amount: '4' },
];
const eventTerms = {
  fixed_amount: '1',
  event_minimum_amount: '1',
  event_maximum_amount: '2',
  free_events: 3,
  free_units: '0',
  ...bounds,
};
/** Each with all of its fields. */
const whole: readonly Json[] = [
  { model: 'flat', amount: '1' },
  perUnit,
  { model: 'graduated', tiers: unitTiers, ...metered },
  { model: 'volume', tiers: unitTiers, ...metered },
  { model: 'package', package_amount: '1', package_size: '2', partial_package: 'prorate', ...metered },
  { model: 'tiered_flat', tiers: feeTiers, ...metered },
  { model: 'percentage', percent: '1', ...eventTerms },
  { model: 'basis_points', basis_points: '1', ...eventTerms },
  { model: 'graduated_percentage', tiers: percentTiers, ...metered },
  { model: 'dynamic', amount_property: 'cost', factor: '2', ...bounds },
  {
    model: 'matrix',
    dimensions: ['a', 'b'],
    cells: [
      { match: { b: 'z' }, price: perUnit },
      { match: { a: 'x', b: 'y' }, price: { model: 'tiered_flat', tiers: feeTiers, ...metered } },
    ],
    default_price: { model: 'volume', tiers: unitTiers, ...metered },
    ...bounds,
  },
];

const takes = (prefix: '' | 'New', json: Json): boolean =>
  Value.Check(modelNamed(json)?.schema(prefix) as TSchema, json);

type Cut = { readonly json: unknown; readonly name: string; readonly path: string };

/** The same with one of its fields left out, each once, at every depth. */
const cutsOf = (json: unknown, path = ''): Cut[] => {
  if (typeof json !== 'object' || json === null) return [];
  const isList = Array.isArray(json);
  return Object.entries(json).flatMap(([name, value]): Cut[] => {
    const own = isList ? `${path}[${name}]` : `${path}.${name}`;
    const without = Object.fromEntries(Object.entries(json).filter(([other]) => other !== name));
    const inner = cutsOf(value, own).map(({ json: changed, ...rest }) => ({
      json: isList ? json.with(Number(name), changed) : { ...json, [name]: changed },
      ...rest,
    }));
    return [...(isList ? [] : [{ json: without, name, path: own }]), ...inner];
  });
};

/** What an answer leaves out where it is not there. */
const optional = [
  'minimum_amount',
  'maximum_amount',
  'event_minimum_amount',
  'event_maximum_amount',
  'partial_package',
];

describe.each(whole.map((json) => [json.model, json] as const))('the schemas of a %s price', (_, json) => {
  const cuts = cutsOf(json).filter(({ path }) => path !== '.model');

  it('take it with all of its fields', () => {
    expect([faultsOf(json), takes('New', json), takes('', json)]).toEqual([[], true, true]);
  });

  it('ask of a request for the fields that its reader asks for, and for no other', () => {
    for (const { json: cut, path } of cuts) expect(takes('New', cut as Json), path).toBe(faultsOf(cut).length === 0);
  });

  it('ask of an answer for all fields but bounds and what came later', () => {
    const answer = priceToJson(priceOf(json));
    for (const { json: cut, name, path } of cutsOf(answer).filter(({ path }) => path !== '.model'))
      expect(takes('', cut as Json), path).toBe(optional.includes(name) || path.startsWith('.cells[1].match.'));
  });

  it('refuse a field that nobody knows', () => {
    expect([takes('New', { ...json, other: '1' }), takes('', { ...json, other: '1' })]).toEqual([false, false]);
  });
});

describe('what a reader refuses, its schema refuses too', () => {
  const graduated = (...tiers: Json[]) => ({ model: 'graduated', tiers });
  const tier = (upTo: unknown, more: Json = {}) => ({ up_to: upTo, unit_amount: '1', ...more });
  const matrix = (more: Json) => ({
    model: 'matrix',
    dimensions: ['a'],
    cells: [{ match: { a: 'x' }, price: perUnit }],
    default_price: perUnit,
    ...more,
  });
  const matching = (match: unknown, more: Json = {}) => matrix({ cells: [{ match, price: perUnit, ...more }] });

  it.each<[string, Json]>([
    ['no last tier', graduated(tier('5'))],
    ['two last tiers', graduated(tier(null), tier(null))],
    ['an empty tier', graduated(tier('0'), tier(null))],
    ['an empty tier, written long', graduated(tier('00.00'), tier(null))],
    ['a bound that is a number', graduated(tier(5), tier(null))],
    ['no tiers', graduated()],
    ['a field of a tier that nobody knows', graduated(tier(null, { from: '0' }))],
    ['a negative amount', { model: 'flat', amount: '-1' }],
    ['13 decimals', { model: 'flat', amount: '0.0000000000001' }],
    ['an amount that is a number', { model: 'flat', amount: 1 }],
    ['a percent with 5 digits', { model: 'percentage', percent: '12345' }],
    ['a percent with 11 decimals', { model: 'percentage', percent: '0.00000000001' }],
    ['half an event', { model: 'percentage', percent: '1', free_events: 1.5 }],
    ['less than no event', { model: 'percentage', percent: '1', free_events: -1 }],
    ['too many events', { model: 'percentage', percent: '1', free_events: 1_000_000_001 }],
    ['a package of nothing', { model: 'package', package_amount: '1', package_size: '0.0' }],
    ['another word', { model: 'package', package_amount: '1', package_size: '1', partial_package: 'never' }],
    ['a property with an empty part', { model: 'dynamic', amount_property: 'a..b' }],
    ['a long property', { model: 'dynamic', amount_property: 'a'.repeat(256) }],
    ['four dimensions', matrix({ dimensions: ['a', 'b', 'c', 'd'] })],
    ['no dimension', matrix({ dimensions: [] })],
    ['a dimension twice', matrix({ dimensions: ['a', 'a'] })],
    ['no cell', matrix({ cells: [] })],
    ['501 cells', matrix({ cells: Array(501).fill({ match: { a: 'x' }, price: perUnit }) })],
    ['a match of nothing', matching({})],
    ['a match of an empty text', matching({ a: '' })],
    ['a match of a NUL', matching({ a: '\0' })],
    ['a match of 256 characters', matching({ a: 'x'.repeat(256) })],
    ['a match of a number', matching({ a: 7 })],
    ['a match of four dimensions', matching({ a: 'x', b: 'x', c: 'x', d: 'x' })],
    ['a field of a cell that nobody knows', matching({ a: 'x' }, { name: 'A' })],
    ['a flat cell', matrix({ default_price: { model: 'flat', amount: '1' } })],
  ])('%s', (_, json) => {
    expect(faultsOf(json)).not.toEqual([]);
    expect(takes('New', json)).toBe(false);
  });
});

it('every object has a name, which a request and an answer share only where they are the same', () => {
  const titlesIn = (schema: unknown): string[] => {
    if (typeof schema !== 'object' || schema === null) return [];
    const { title } = schema as { readonly title?: unknown };
    return [...(typeof title === 'string' ? [title] : []), ...Object.values(schema).flatMap(titlesIn)];
  };
  const titles = (prefix: '' | 'New') =>
    [...new Set(whole.flatMap((json) => titlesIn(modelNamed(json)?.schema(prefix))))].sort();
  const shared = ['FeeTier', 'FlatPrice'];
  const own = [
    'BasisPointsPrice',
    'CellPrice',
    'DynamicPrice',
    'GraduatedPercentagePrice',
    'GraduatedPrice',
    'MatrixCell',
    'MatrixPrice',
    'PackagePrice',
    'PerUnitPrice',
    'PercentagePrice',
    'PercentageTier',
    'Tier',
    'TieredFlatPrice',
    'VolumePrice',
  ];
  expect(titlesIn(meteredPriceSchema(''))[0]).toBe('MeteredPrice');
  expect(titlesIn(meteredPriceSchema('New'))[0]).toBe('NewMeteredPrice');
  expect(titles('')).toEqual([...shared, ...own].sort());
  expect(titles('New')).toEqual([...shared, ...own.map((title) => `New${title}`)].sort());
});
