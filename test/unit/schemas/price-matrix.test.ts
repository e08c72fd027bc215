import { describe, expect, it } from 'vitest';
import { priceToJson, usagePartsOf } from '#schemas/price/price.ts';
import { faultsOf, priceOf } from '../../support/prices.ts';

const perUnit = { model: 'per_unit', unit_amount: '1' };
const cell = (match: unknown, price: unknown = perUnit) => ({ match, price });
const matrix = (more: object) => ({
  model: 'matrix',
  dimensions: ['model', 'kind'],
  cells: [cell({ model: 'a' })],
  default_price: perUnit,
  ...more,
});

describe('the dimensions of a matrix', () => {
  const named = (dimensions: unknown) =>
    faultsOf(matrix({ dimensions, cells: [cell({ [String(Array.isArray(dimensions) && dimensions[0])]: 'a' })] }));

  it.each<[string, unknown, string[]]>([
    ['one', ['a'], []],
    ['three, one of them a path', ['a.b', 'c', 'd'], []],
    ['one called as nothing is', ['__proto__'], []],
    ['four', ['a', 'b', 'c', 'd'], ['price.dimensions wrong_length']],
    ['none', [], ['price.dimensions wrong_length']],
    ['no list', 'a', ['price.dimensions wrong_type']],
    ['left out', undefined, ['price.dimensions missing']],
    ['twice the same', ['a', 'b', 'a'], ['price.dimensions[2] duplicate']],
    ['an empty name', ['a', ''], ['price.dimensions[1] wrong_length']],
    ['a name that is too long', ['a', 'b'.repeat(256)], ['price.dimensions[1] wrong_length']],
    ['a number', ['a', 7], ['price.dimensions[1] wrong_type']],
    ['an empty part', ['a', 'b.'], ['price.dimensions[1] wrong_format']],
    ['twice the same fault', ['a', 7, 7], ['price.dimensions[1] wrong_type', 'price.dimensions[2] wrong_type']],
  ])('%s', (_, dimensions, faults) => {
    expect(named(dimensions)).toEqual(faults);
  });
});

describe('the cells of a matrix', () => {
  const inCells = (...cells: unknown[]) => faultsOf(matrix({ cells }));

  it.each<[string, unknown, string[]]>([
    ['a value', { model: 'a' }, []],
    ['two values', { model: 'a', kind: 'b' }, []],
    ['a value and "*"', { model: 'a', kind: '*' }, []],
    ['a value that begins with "*"', { model: '**' }, []],
    ['255 characters, each two units of UTF-16', { model: '😀'.repeat(255) }, []],
    ['256 characters', { model: 'a'.repeat(256) }, ['price.cells[0].match.model wrong_format']],
    ['no character', { model: '' }, ['price.cells[0].match.model wrong_format']],
    ['a NUL', { model: 'a\0' }, ['price.cells[0].match.model wrong_format']],
    ['half a character', { model: '\ud83d' }, ['price.cells[0].match.model wrong_format']],
    ['a number', { model: 7, kind: 'b' }, ['price.cells[0].match.model wrong_type']],
    ['null for any', { model: 'a', kind: null }, ['price.cells[0].match.kind wrong_type']],
    ['"*" only', { model: '*', kind: '*' }, ['price.cells[0].match missing']],
    ['nothing', {}, ['price.cells[0].match missing']],
    ['no match', undefined, ['price.cells[0].match missing']],
    ['a list', ['a'], ['price.cells[0].match wrong_type']],
    ['another dimension', { model: 'a', region: 'x' }, ['price.cells[0].match.region unknown_field']],
    ['another dimension only', { region: 'x' }, ['price.cells[0].match.region unknown_field']],
    [
      'another dimension with a long name, which is told short',
      { model: 'a', ['r'.repeat(99)]: 'x' },
      [`price.cells[0].match.${'r'.repeat(64)} unknown_field`],
    ],
    [
      'a wrong value under a long name, which is told short',
      { model: 'a', ['r'.repeat(99)]: 7 },
      [`price.cells[0].match.${'r'.repeat(64)} wrong_type`],
    ],
    [
      'a name of the prototype',
      JSON.parse('{"model":"a","__proto__":"x"}'),
      ['price.cells[0].match.__proto__ unknown_field'],
    ],
  ])('match %s', (_, match, faults) => {
    expect(inCells(cell(match))).toEqual(faults);
  });

  it.each<[string, unknown[], string[]]>([
    ['the same match twice', [cell({ model: 'a' }), cell({ model: 'a' })], ['price.cells[1].match duplicate']],
    [
      'the same match in another order, and with "*"',
      [
        cell({ model: 'a', kind: 'b' }),
        cell({ kind: 'b', model: 'a' }),
        cell({ model: 'a' }),
        cell({ kind: '*', model: 'a' }),
      ],
      ['price.cells[1].match duplicate', 'price.cells[3].match duplicate'],
    ],
    ['the same values of other dimensions', [cell({ model: 'a' }), cell({ kind: 'a' })], []],
    ['none', [], ['price.cells wrong_length']],
    ['no cell', ['a', null], ['price.cells[0] wrong_type', 'price.cells[1] wrong_type']],
    ['no price', [{ match: { model: 'a' } }], ['price.cells[0].price missing']],
    ['another field', [{ ...cell({ model: 'a' }), name: 'A' }], ['price.cells[0].name unknown_field']],
    [
      'all faults of a cell together',
      [cell({}, { model: 'graduated', tiers: [{ up_to: '0', unit_amount: '1' }] })],
      ['price.cells[0].match missing', 'price.cells[0].price.tiers[0].up_to not_allowed'],
    ],
  ])('%s', (_, cells, faults) => {
    expect(inCells(...cells)).toEqual(faults);
  });

  it('are at most 500, and a list', () => {
    const many = (count: number) => Array.from({ length: count }, (_, index) => cell({ model: `m${index}` }));
    expect(inCells(...many(500))).toEqual([]);
    expect(inCells(...many(501))).toEqual(['price.cells wrong_length']);
    expect(faultsOf(matrix({ cells: {} }))).toEqual(['price.cells wrong_type']);
    expect(faultsOf(matrix({ cells: undefined }))).toEqual(['price.cells missing']);
  });

  it('match values of at most 80,000 bytes in all, as they are encoded for a URL', () => {
    // ["..."] takes 12 bytes so encoded, and 238 letters make them 250.
    const many = (last: string) =>
      matrix({
        dimensions: ['model'],
        cells: Array.from({ length: 320 }, (_, index) =>
          cell({ model: `${String(index).padStart(238, 'a')}${index === 319 ? last : ''}` }),
        ),
      });
    expect(faultsOf(many(''))).toEqual([]);
    expect(faultsOf(many('a'))).toEqual(['price.cells wrong_length']);
  });

  it.each([
    ['flat', { model: 'flat', amount: '1' }],
    ['percentage', { model: 'percentage', percent: '1' }],
    ['basis_points', { model: 'basis_points', basis_points: '1' }],
    ['graduated_percentage', { model: 'graduated_percentage', tiers: [{ up_to: null, percent: '1' }] }],
    ['dynamic', { model: 'dynamic', amount_property: 'cost' }],
    ['matrix', matrix({})],
  ])('and the default price cost no %s price', (_, price) => {
    expect(inCells(cell({ model: 'a' }, price))).toEqual(['price.cells[0].price.model not_allowed']);
    expect(faultsOf(matrix({ default_price: price }))).toEqual(['price.default_price.model not_allowed']);
  });
});

describe('a matrix', () => {
  it('has a default price, and no free units of its own', () => {
    expect(faultsOf(matrix({ default_price: undefined }))).toEqual(['price.default_price missing']);
    expect(faultsOf(matrix({ free_units: '0' }))).toEqual(['price.free_units unknown_field']);
    expect(faultsOf(matrix({ default_price: { model: 'per_unit' } }))).toEqual([
      'price.default_price.unit_amount missing',
    ]);
  });

  it('tells faults of its bounds beside those of its cells', () => {
    const json = matrix({ cells: [cell({ region: 'x' })], minimum_amount: '2', maximum_amount: '1' });
    expect(faultsOf(json)).toEqual(['price.maximum_amount below_minimum', 'price.cells[0].match.region unknown_field']);
    const inner = cell({ model: 'a' }, { ...perUnit, minimum_amount: '2', maximum_amount: '1' });
    expect(faultsOf(matrix({ cells: [inner] }))).toEqual(['price.cells[0].price.maximum_amount below_minimum']);
  });

  it('is written with its cells in the order in which they came, "*" left out, and defaults of its cells', () => {
    const json = matrix({ cells: [cell({ kind: 'b', model: '*' }), cell({ model: 'a', kind: 'b' })] });
    const written = { ...perUnit, free_units: '0' };
    expect(priceToJson(priceOf(json))).toEqual({
      model: 'matrix',
      dimensions: ['model', 'kind'],
      cells: [cell({ kind: 'b' }, written), cell({ model: 'a', kind: 'b' }, written)],
      default_price: written,
    });
  });

  it('asks the store for its cells in the order in which they are tried', () => {
    const json = matrix({ cells: [cell({ kind: 'b' }), cell({ model: 'a' }), cell({ model: 'a', kind: 'b' })] });
    expect(usagePartsOf(priceOf(json))).toEqual({
      cells: {
        dimensions: ['model', 'kind'],
        cells: [
          ['a', 'b'],
          ['a', null],
          [null, 'b'],
        ],
      },
    });
  });

  it('[I27] finds no value on the prototype for a dimension that a cell does not name', () => {
    const json = matrix({ dimensions: ['constructor', 'model'] });
    expect(usagePartsOf(priceOf(json)).cells?.cells).toEqual([[null, 'a']]);
    expect(priceToJson(priceOf(json)).cells).toEqual([cell({ model: 'a' }, { ...perUnit, free_units: '0' })]);
  });

  it('[I27] takes a dimension that is called as the prototype is', () => {
    const json = JSON.parse(
      '{"model":"matrix","dimensions":["__proto__"],"cells":[{"match":{"__proto__":"x"},"price":{"model":"per_unit",' +
        '"unit_amount":"1"}}],"default_price":{"model":"per_unit","unit_amount":"1"}}',
    );
    expect(usagePartsOf(priceOf(json))).toEqual({ cells: { dimensions: ['__proto__'], cells: [['x']] } });
    expect(JSON.stringify(priceToJson(priceOf(json)))).toContain('"match":{"__proto__":"x"}');
  });
});
