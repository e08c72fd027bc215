import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { usagePartsOf } from '#schemas/price/price.ts';
import { formatQuantity } from '#schemas/quantity.ts';
import { costOf, type PartsJson, pricedOf, priceOf, stepsOf } from '../../../support/prices.ts';
import { scaled } from '../../../support/scale.ts';

const perUnit = (unitAmount: string, more: object = {}) => ({ model: 'per_unit', unit_amount: unitAmount, ...more });
const cell = (match: object, price: object) => ({ match, price });
const matrix = (cells: object[], defaultPrice: object, more: object = {}) => ({
  model: 'matrix',
  dimensions: ['model', 'kind'],
  cells,
  default_price: defaultPrice,
  ...more,
});

/** Which cell an event belongs to, as the store says it: the first whose values it has, or none. */
const partFor = (json: unknown, event: Readonly<Record<string, string>>): string => {
  const { cells } = usagePartsOf(priceOf(json));
  const place = (cells?.cells ?? []).findIndex((values) =>
    values.every((value, index) => value === null || value === event[cells?.dimensions[index] ?? '']),
  );
  return String(place + 1);
};

describe('which cell of a matrix prices an event', () => {
  const both = cell({ model: 'large', kind: 'output' }, perUnit('2'));
  const ofModel = cell({ model: 'large' }, perUnit('3'));
  const ofKind = cell({ kind: 'output' }, perUnit('5'));
  const starred = cell({ model: 'small', kind: '*' }, perUnit('7'));
  const cells = [ofKind, starred, ofModel, both];
  const price = matrix(cells, perUnit('11'));

  it.each([
    ['both of its values', { model: 'large', kind: 'output' }, '2'],
    ['its model alone', { model: 'large', kind: 'input' }, '3'],
    ['its kind alone', { model: 'other', kind: 'output' }, '5'],
    ['a model before a kind, if each is named alone', { model: 'small', kind: 'output' }, '7'],
    ['a model, "*" being no value', { model: 'small', kind: 'input' }, '7'],
    ['neither', { model: 'other', kind: 'input' }, '11'],
    ['no property at all', {}, '11'],
    ['a value that is only its beginning', { model: 'larg', kind: 'inpu' }, '11'],
  ])('the one that names %s', (_, event, expected) => {
    expect(costOf(price, undefined, { [partFor(price, event)]: ['1'] })).toBe(expected);
  });

  it('of as many names the one counts that names the earlier dimension, in the order of `dimensions`', () => {
    const turned = { ...price, dimensions: ['kind', 'model'] };
    const event = { model: 'small', kind: 'output' };
    expect(costOf(turned, undefined, { [partFor(turned, event)]: ['1'] })).toBe('5');
  });

  it('with three dimensions: all, two with the first, the last two, one by one', () => {
    const named = [['a'], ['b'], ['c'], ['b', 'c'], ['a', 'c'], ['a', 'b'], ['a', 'b', 'c']];
    const three = {
      model: 'matrix',
      dimensions: ['a', 'b', 'c'],
      cells: named.map((names) => cell(Object.fromEntries(names.map((name) => [name, 'x'])), perUnit('1'))),
      default_price: perUnit('0'),
    };
    const order = usagePartsOf(priceOf(three)).cells?.cells.map((values) =>
      values.map((value) => (value === null ? '-' : value)).join(''),
    );
    expect(order).toEqual(['xxx', 'xx-', 'x-x', '-xx', 'x--', '-x-', '--x']);
  });

  it('the order in which cells are written changes for no event what it costs', () => {
    const events = fc.record({
      model: fc.constantFrom('large', 'small', 'other'),
      kind: fc.constantFrom('output', 'input'),
    });
    fc.assert(
      fc.property(fc.shuffledSubarray(cells, { minLength: cells.length }), events, (shuffled, event) => {
        const other = matrix(shuffled, perUnit('11'));
        expect(costOf(other, undefined, { [partFor(other, event)]: ['1'] })).toBe(
          costOf(price, undefined, { [partFor(price, event)]: ['1'] }),
        );
      }),
      { numRuns: scaled(100) },
    );
  });
});

describe('matrix price', () => {
  const tiers = [
    { up_to: '10', unit_amount: '1', flat_amount: '5' },
    { up_to: null, unit_amount: '0.5' },
  ];
  const graduated = { model: 'graduated', tiers, free_units: '2' };
  const price = matrix(
    [cell({ model: 'large' }, graduated), cell({ model: 'small' }, perUnit('0.1', { free_units: '100' }))],
    perUnit('3'),
  );

  it.each<[string, PartsJson, string]>([
    ['nothing', {}, '0'],
    ['the free units of a cell', { 1: ['2'] }, '0'],
    ['the first unit in the first tier of a cell', { 1: ['3'] }, '6'],
    ['the bound of a tier', { 1: ['12'] }, '15'],
    ['above it', { 1: ['12.000000000001'] }, '15.0000000000005'],
    ['the second cell, up to its own free units', { 2: ['100'] }, '0'],
    ['the second cell, above them', { 2: ['101'] }, '0.1'],
    ['the default price', { 0: ['4'] }, '12'],
    ['all three', { 0: ['4'], 1: ['12'], 2: ['101'] }, '27.1'],
    ['a cell below zero, which takes nothing from another', { 0: ['4'], 1: ['-50'] }, '12'],
  ])('prices all usage of a cell together: %s', (_, parts, expected) => {
    expect(costOf(price, undefined, parts)).toBe(expected);
  });

  it('the steps are those of its cells in their order, each with what its cell names, then those of the rest', () => {
    const parts: PartsJson = { 0: ['4'], 2: ['101'], 1: ['13'] };
    expect(stepsOf(price, undefined, parts)).toEqual([
      '{"model":"large"} free 0..2: 2; 0 x 0 + 0 = 0',
      '{"model":"large"} units 2..12: 10; 10 x 1 + 5 = 15',
      '{"model":"large"} units 12..: 1; 1 x 0.5 + 0 = 0.5',
      '{"model":"small"} free 0..100: 100; 0 x 0 + 0 = 0',
      '{"model":"small"} units 100..: 1; 1 x 0.1 + 0 = 0.1',
      '{} units 0..: 4; 4 x 3 + 0 = 12',
    ]);
    expect(formatQuantity(pricedOf(price, undefined, parts).billableQuantity)).toBe('16');
  });

  it('the minimum of a cell, and of the default price, is owed without usage; a cell without one is not shown', () => {
    const least = matrix(
      [cell({ model: 'a' }, perUnit('1', { minimum_amount: '10' })), cell({ model: 'b' }, perUnit('1'))],
      perUnit('1', { minimum_amount: '4' }),
    );
    expect(costOf(least, '0')).toBe('14');
    expect(stepsOf(least, '0')).toEqual([
      '{"model":"a"} minimum 0..0: 0; 0 x 0 + 10 = 10',
      '{} minimum 0..0: 0; 0 x 0 + 4 = 4',
    ]);
    expect(costOf(least, undefined, { 1: ['9.5'], 2: ['1'] })).toBe('15');
    expect(costOf(least, undefined, { 1: ['10.5'] })).toBe('14.5');
  });

  it('the maximum of a cell caps that cell alone', () => {
    const capped = matrix([cell({ model: 'a' }, perUnit('1', { maximum_amount: '10' }))], perUnit('1'));
    expect(costOf(capped, undefined, { 1: ['99'], 0: ['5'] })).toBe('15');
  });

  it('the bounds of the matrix are those of the sum of its cells, and come after theirs', () => {
    const bounds = { minimum_amount: '20', maximum_amount: '30' };
    const bounded = matrix([cell({ model: 'a' }, perUnit('1', { maximum_amount: '25' }))], perUnit('1'), bounds);
    expect(costOf(bounded, '0')).toBe('20');
    expect(costOf(bounded, undefined, { 1: ['99'] })).toBe('25');
    expect(costOf(bounded, undefined, { 1: ['99'], 0: ['7'] })).toBe('30');
    expect(stepsOf(bounded, undefined, { 1: ['99'], 0: ['7'] })).toEqual([
      '{"model":"a"} units 0..: 99; 99 x 1 + 0 = 99',
      '{"model":"a"} maximum 0..0: 0; 0 x 0 + 25 = -74',
      '{} units 0..: 7; 7 x 1 + 0 = 7',
      'maximum 0..0: 0; 0 x 0 + 30 = -2',
    ]);
  });

  it.each([
    ['per unit', perUnit('2'), '6'],
    ['graduated', { model: 'graduated', tiers }, '8'],
    ['volume', { model: 'volume', tiers }, '8'],
    ['package', { model: 'package', package_amount: '9', package_size: '2' }, '18'],
    ['tiered flat', { model: 'tiered_flat', tiers: [{ up_to: null, flat_amount: '4' }] }, '4'],
  ])('a cell, and the default price, may be %s', (_, own, expected) => {
    expect(costOf(matrix([cell({ model: 'a' }, own)], perUnit('1')), undefined, { 1: ['3'] })).toBe(expected);
    expect(costOf(matrix([cell({ model: 'a' }, perUnit('1'))], own), undefined, { 0: ['3'] })).toBe(expected);
  });
});
