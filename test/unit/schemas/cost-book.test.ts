import { Value } from 'typebox/value';
import { describe, expect, it } from 'vitest';
import { costsFromJson, entriesMax, entryToJson, readCosts } from '#schemas/cost-book.ts';
import type { Fault, JsonObject } from '#schemas/fault.ts';
import { NewCostBookVersionDocument } from '#schemas/http/cost-books.ts';
import { formatAmount } from '#schemas/money.ts';
import { faultsOf } from '../../support/prices.ts';

const effective_from = '2026-10-01T00:00:00Z';
const entry = (match: object, unit_cost = '1') => ({ match: match as Record<string, string>, unit_cost });
const costFaults = (json: JsonObject, dimensions = ['model', 'kind']): string[] => {
  const faults: Fault[] = [];
  readCosts(json, dimensions, faults);
  return faults.map(({ field, code }) => `${field} ${code}`);
};

describe('what a version of a cost book says', () => {
  it('is read back as it is written', () => {
    const faults: Fault[] = [];
    const json = { entries: [entry({ model: 'big', kind: '*' }, '0.0000000001')], default_cost: '9999999999' };
    const costs = readCosts(json, ['model', 'kind'], faults);
    expect(faults).toEqual([]);
    const stored = costs?.entries.map(entryToJson) ?? [];
    expect(stored).toEqual([{ match: { model: 'big' }, unit_cost: '0.0000000001' }]);
    expect(costsFromJson(stored, formatAmount(costs?.defaultCost as never))).toEqual(costs);
    expect(() => costsFromJson([entry({ model: 'x' }, '-1')], '0')).toThrow('costs are stored');
  });

  it.each<[string, JsonObject, string[], boolean]>([
    ['one entry', { entries: [entry({ model: 'a' })] }, [], true],
    ['no entries', {}, ['entries missing'], false],
    ['an empty list', { entries: [] }, ['entries wrong_length'], false],
    [
      '11 decimals',
      { entries: [entry({ model: 'a' }, '0.00000000001')] },
      ['entries[0].unit_cost not_a_decimal'],
      false,
    ],
    ['11 digits', { entries: [entry({ model: 'a' }, '10000000000')] }, ['entries[0].unit_cost not_a_decimal'], false],
    ['below zero', { entries: [entry({ model: 'a' }, '-1')] }, ['entries[0].unit_cost negative'], false],
    ['a fifth field', { entries: [{ ...entry({ model: 'a' }), note: '' }] }, ['entries[0].note unknown_field'], false],
    ['no match', { entries: [{ unit_cost: '1' }] }, ['entries[0].match missing'], false],
    ['an empty value', { entries: [entry({ model: '' })] }, ['entries[0].match.model wrong_format'], false],
    ['a number', { entries: [entry({ model: 7 })] }, ['entries[0].match.model wrong_type'], false],
    [
      'a default of 11 decimals',
      { entries: [entry({ model: 'a' })], default_cost: '0.00000000001' },
      ['default_cost not_a_decimal'],
      false,
    ],
    ['no dimension', { entries: [entry({ colour: 'a' })] }, ['entries[0].match.colour unknown_field'], true],
    [
      'a name of the prototype',
      { entries: [entry({ constructor: 'a' })] },
      ['entries[0].match.constructor unknown_field'],
      true,
    ],
    [
      'twins',
      { entries: [entry({ model: 'a' }), entry({ kind: 'b' }), entry({ kind: '*', model: 'a' })] },
      ['entries[2].match duplicate'],
      true,
    ],
  ])('%s', (_, json, faults, schemaTakesIt) => {
    expect(costFaults(json)).toEqual(faults);
    expect(Value.Check(NewCostBookVersionDocument, { effective_from, ...json })).toBe(schemaTakesIt);
  });

  it('has a bound of entries, and one of what their values come to', () => {
    const many = Array.from({ length: entriesMax }, (_, index) => entry({ model: `m${index}` }));
    expect(costFaults({ entries: many })).toEqual([]);
    expect(costFaults({ entries: [...many, entry({ model: 'x' })] })).toEqual(['entries wrong_length']);
    const long = many.map((_, index) => entry({ model: `${'x'.repeat(160)}${index}` }));
    expect(costFaults({ entries: long })).toEqual(['entries wrong_length']);
  });
});

describe('a price by a cost book', () => {
  const price = { model: 'cost_book', cost_book: 'b', dimensions: [{ dimension: 'a', property: 'p' }] };
  const twice = [price.dimensions[0], { dimension: 'a', property: 'q' }, { dimension: 'b', property: 'p' }];
  it.each<[object, string[]]>([
    [{}, []],
    [{ factor: '0' }, []],
    [{ factor: '999999.99' }, []],
    [{ factor: '1000000' }, ['price.factor not_a_decimal']],
    [{ factor: '1.001' }, ['price.factor not_a_decimal']],
    [{ factor: 2 }, ['price.factor wrong_type']],
    [{ cost_book: 'No Code' }, ['price.cost_book wrong_format']],
    [{ dimensions: [] }, ['price.dimensions wrong_length']],
    [{ dimensions: [{ dimension: 'a' }] }, ['price.dimensions[0].property missing']],
    [{ dimensions: [{ dimension: 'a', property: 7 }] }, ['price.dimensions[0].property wrong_type']],
    [{ dimensions: [{ dimension: 'a', property: 'p', value: 'x' }] }, ['price.dimensions[0].value unknown_field']],
    [{ dimensions: twice }, ['price.dimensions[1].dimension duplicate', 'price.dimensions[2].property duplicate']],
    [{ free_units: '1' }, ['price.free_units unknown_field']],
  ])('%j', (change, faults) => {
    expect(faultsOf({ ...price, ...change })).toEqual(faults);
  });
});
