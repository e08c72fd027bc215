/** Rows that prices refer to, from rows of the database; which of them charges need. */
import { describe, expect, it } from 'vitest';
import { parseAmount } from '#schemas/money.ts';
import {
  type BookRow,
  namedRowsOf,
  type RateRow,
  sourceNamesOf,
  sourceRowsFrom,
} from '../../../../rater/price/source-rows.ts';

const book = { code: 'costs', currency: 'USD', dimensions: ['model'] };
const version = (id: string, number: number, from: number): BookRow => ({
  ...book,
  id,
  version_number: number,
  effective_from: new Date(from),
  entries: [],
  default_cost: '2',
});
const rate = (id: string, number: number, from: number, amount = '0.5'): RateRow => ({
  code: 'AIC',
  id,
  rate_number: number,
  effective_from: new Date(from),
  unit: 'USD',
  amount,
});

describe('rows that prices refer to', () => {
  it('are asked for by the books and units of charges, each once', () => {
    const charges = [
      { price: { model: 'cost_book', costBook: 'costs' }, creditUnit: null },
      { price: { model: 'cost_book', costBook: 'costs' }, creditUnit: null },
      { price: { model: 'flat' }, creditUnit: 'AIC' },
      { price: { model: 'flat' }, creditUnit: 'AIC' },
      { price: { model: 'flat' }, creditUnit: null },
    ];
    expect(sourceNamesOf(charges as never)).toEqual({ books: ['costs'], units: ['AIC'] });
  });

  it('are in the order of their time, with what a row says', () => {
    const { books, rates } = sourceRowsFrom(
      [version('cbv_2', 2, 200), version('cbv_1', 1, 100)],
      [rate('r2', 2, 20), rate('r1', 1, 10)],
    );
    const defaultCost = parseAmount('2');
    expect(books.get('costs')).toEqual({
      ...book,
      versions: [
        { id: 'cbv_1', number: 1, effectiveFrom: 100, entries: [], defaultCost },
        { id: 'cbv_2', number: 2, effectiveFrom: 200, entries: [], defaultCost },
      ],
    });
    const amount = parseAmount('0.5');
    expect(rates.get('AIC')).toEqual([
      { id: 'r1', number: 1, effectiveFrom: 10, unit: 'USD', amount },
      { id: 'r2', number: 2, effectiveFrom: 20, unit: 'USD', amount },
    ]);
  });

  it('are none for a book without versions and a unit without rates, which are there all the same', () => {
    const { books, rates } = sourceRowsFrom([{ ...book, id: null }], [{ code: 'AIC', id: null }]);
    expect(books.get('costs')).toEqual({ ...book, versions: [] });
    expect(rates.get('AIC')).toEqual([]);
  });

  it('are refused where they are damaged', () => {
    expect(() => sourceRowsFrom([{ ...book, currency: 'AIC', id: null }], [])).toThrow('AIC is not a currency');
    expect(() => sourceRowsFrom([], [rate('r1', 1, 10, 'half')])).toThrow('rate r1 is no amount');
  });

  it('are found by their ids, over all books and units', () => {
    const named = namedRowsOf(
      sourceRowsFrom([version('cbv_1', 1, 100), version('cbv_2', 2, 200)], [rate('r1', 1, 10), rate('r2', 2, 20)]),
    );
    expect([...named.versions.keys()]).toEqual(['cbv_1', 'cbv_2']);
    expect(named.versions.get('cbv_2')).toMatchObject({ book: { code: 'costs' }, version: { number: 2 } });
    expect([...named.rates].map(([id, { number }]) => [id, number])).toEqual([
      ['r1', 1],
      ['r2', 2],
    ]);
  });
});
