/** What a price is at an instant, against tables that were worked out by hand. */
import { describe, expect, it } from 'vitest';
import { chargeFromJson } from '#schemas/plan.ts';
import { type PriceJson, priceToJson } from '#schemas/price/price.ts';
import { cutBySources } from '../../../../rater/price/cut-by-sources.ts';
import {
  changeInstants,
  isPricedAt,
  isReferring,
  type ReferringPrice,
  resolvePrice,
  resolvePriceBy,
  shownPrice,
} from '../../../../rater/price/resolve-price.ts';
import {
  type BookRow,
  namedRowsOf,
  type RateRow,
  type SourceRows,
  sourceRowsFrom,
} from '../../../../rater/price/source-rows.ts';

const version = (
  id: string,
  number: number,
  from: number,
  entries: readonly (readonly [object, string])[],
  rest = '0',
) =>
  ({
    code: 'costs',
    currency: 'USD',
    dimensions: ['model', 'kind'],
    id,
    version_number: number,
    effective_from: new Date(from),
    entries: entries.map(([match, unit_cost]) => ({ match, unit_cost })),
    default_cost: rest,
  }) as BookRow;
const rate = (code: string, id: string, number: number, from: number, unit: string, amount: string): RateRow => ({
  code,
  id,
  rate_number: number,
  effective_from: new Date(from),
  unit,
  amount,
});

const charge = (price: object, credit_unit?: string): ReferringPrice => {
  const meter = (price as { model: string }).model === 'flat' ? {} : { meter: 'm' };
  const parsed = chargeFromJson({ code: 'c', name: 'C', ...meter, price, ...(credit_unit && { credit_unit }) });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
  return parsed.value;
};
const byBook = (more: object = {}) =>
  charge({
    model: 'cost_book',
    cost_book: 'costs',
    dimensions: [
      { dimension: 'kind', property: 'token.kind' },
      { dimension: 'model', property: 'model' },
    ],
    ...more,
  });
const jsonAt = (referring: ReferringPrice, at: number, rows: SourceRows): PriceJson =>
  priceToJson(resolvePrice(referring, 'USD', at, rows).price);
const sourcesAt = (referring: ReferringPrice, at: number, rows: SourceRows) =>
  resolvePrice(referring, 'USD', at, rows).sources;

describe('a price by a cost book', () => {
  const rows = sourceRowsFrom(
    [
      version('cbv_3', 3, 200, [[{ model: 'big' }, '0.5']]),
      version(
        'cbv_1',
        1,
        100,
        [
          [{ model: 'big', kind: 'in' }, '0.0000000001'],
          [{ kind: 'out' }, '3'],
        ],
        '0.2',
      ),
      version('cbv_2', 2, 200, [[{ model: 'big' }, '0.4']]),
    ],
    [],
  );

  it('is a matrix of its entries, each times the factor, dimensions in the order of the book', () => {
    const unit = (unit_amount: string) => ({ model: 'per_unit', unit_amount, free_units: '0' });
    expect(jsonAt(byBook({ factor: '1.25', minimum_amount: '7' }), 150, rows)).toEqual({
      model: 'matrix',
      dimensions: ['model', 'token.kind'],
      cells: [
        { match: { model: 'big', 'token.kind': 'in' }, price: unit('0.000000000125') },
        { match: { 'token.kind': 'out' }, price: unit('3.75') },
      ],
      default_price: unit('0.25'),
      minimum_amount: '7',
    });
  });

  it.each([
    ['before the first, the first', 0, 'cbv_1'],
    ['at the very instant', 100, 'cbv_1'],
    ['just before the next', 199, 'cbv_1'],
    ['of two of one instant the higher number', 200, 'cbv_3'],
    ['after the last', 10_000, 'cbv_3'],
  ])('%s', (_, at, id) => {
    expect(sourcesAt(byBook(), at, rows)).toEqual({ costBookVersionId: id });
  });

  it('is in force from its first version on, and not before', () => {
    expect([99, 100].map((at) => isPricedAt(byBook(), 'USD', at, rows))).toEqual([false, true]);
  });

  it('changes at the beginning of a version inside of a span, and not at its ends', () => {
    const changes = (start: number, end: number) => changeInstants(byBook(), 'USD', { start, end }, rows);
    expect(changes(0, 300)).toEqual([200]);
    expect(changes(0, 200)).toEqual([]);
    expect(changes(200, 300)).toEqual([]);
  });

  it('does not change where another version says the same', () => {
    const same = sourceRowsFrom(
      [version('a', 1, 0, [[{ model: 'x' }, '1']]), version('b', 2, 50, [[{ model: 'x' }, '1.0']])],
      [],
    );
    expect(changeInstants(byBook(), 'USD', { start: 0, end: 100 }, same)).toEqual([]);
  });

  it('is made of the version that is named, whatever stands by now', () => {
    const { price } = byBook({ factor: '2' });
    const again = resolvePriceBy(price, { costBookVersionId: 'cbv_2' }, namedRowsOf(rows));
    expect(priceToJson(again)).toMatchObject({ cells: [{ price: { unit_amount: '0.8' } }] });
    expect(() => resolvePriceBy(price, { costBookVersionId: 'cbv_9' }, namedRowsOf(rows))).toThrow('cbv_9');
  });

  it('is one object for one price and one version, so that it travels once', () => {
    const referring = byBook();
    expect(resolvePrice(referring, 'USD', 150, rows).price).toBe(resolvePrice(referring, 'USD', 160, rows).price);
  });
});

describe('a price in credits', () => {
  const rows = sourceRowsFrom(
    [],
    [
      rate('AIC', 'over', 1, 0, 'GOLD', '0.5'),
      rate('GOLD', 'gold-1', 1, 0, 'USD', '0.02'),
      rate('GOLD', 'gold-2', 2, 500, 'USD', '0.03'),
      rate('AIC', 'own', 2, 800, 'USD', '0.04'),
      rate('AIC', 'euro', 3, 300, 'EUR', '0.1'),
    ],
  );
  const graduated = {
    model: 'graduated',
    tiers: [
      { up_to: '10', unit_amount: '0.000001', flat_amount: '7' },
      { up_to: null, unit_amount: '2' },
    ],
    free_units: '3',
    minimum_amount: '100',
    maximum_amount: '200.5',
  };
  const inCredits = charge(graduated, 'AIC');

  it('has every amount times what a credit is worth, over the chain, and no quantity', () => {
    // 0.5 x 0.02
    expect(jsonAt(inCredits, 0, rows)).toEqual({
      model: 'graduated',
      tiers: [
        { up_to: '10', unit_amount: '0.00000001', flat_amount: '0.07' },
        { up_to: null, unit_amount: '0.02', flat_amount: '0' },
      ],
      free_units: '3',
      minimum_amount: '1',
      maximum_amount: '2.005',
    });
  });

  it.each<[object, object]>([
    [{ model: 'flat', amount: '3' }, { amount: '0.03' }],
    [{ model: 'per_unit', unit_amount: '3' }, { unit_amount: '0.03' }],
    [
      { model: 'package', package_amount: '3', package_size: '7' },
      { package_amount: '0.03', package_size: '7' },
    ],
    [{ model: 'tiered_flat', tiers: [{ up_to: null, flat_amount: '5' }] }, { tiers: [{ flat_amount: '0.05' }] }],
    [{ model: 'volume', tiers: [{ up_to: null, unit_amount: '5' }] }, { tiers: [{ unit_amount: '0.05' }] }],
    [
      {
        model: 'matrix',
        dimensions: ['a'],
        cells: [{ match: { a: 'x' }, price: { model: 'per_unit', unit_amount: '1', minimum_amount: '2' } }],
        default_price: { model: 'package', package_amount: '4', package_size: '2' },
        maximum_amount: '9',
      },
      {
        cells: [{ price: { unit_amount: '0.01', minimum_amount: '0.02' } }],
        default_price: { package_amount: '0.04', package_size: '2' },
        maximum_amount: '0.09',
      },
    ],
  ])('%j', (price, money) => {
    expect(jsonAt(charge(price, 'AIC'), 0, rows)).toMatchObject(money);
  });

  it.each([
    ['over the other unit', 0, ['over', 'gold-1']],
    ['where one of the chain changes', 500, ['over', 'gold-2']],
    ['by its own rate, once that is in force', 800, ['own']],
    ['before all', -100, ['own']],
  ])('%s', (_, at, ids) => {
    expect(sourcesAt(inCredits, at, rows)).toEqual({ creditUnitRateIds: ids });
  });

  it('changes wherever a rate of its chain does', () => {
    expect(changeInstants(inCredits, 'USD', { start: 0, end: 1000 }, rows)).toEqual([500, 800]);
    expect(changeInstants(inCredits, 'EUR', { start: 0, end: 1000 }, rows)).toEqual([]);
  });

  it('is in force where each rate of a chain is', () => {
    expect([-1, 0].map((at) => isPricedAt(inCredits, 'USD', at, rows))).toEqual([false, true]);
    expect([299, 300].map((at) => isPricedAt(inCredits, 'EUR', at, rows))).toEqual([false, true]);
    expect(isPricedAt(inCredits, 'JPY', 900, rows)).toBe(false);
    expect(() => resolvePrice(inCredits, 'JPY', 900, rows)).toThrow('AIC');
  });

  it('refers to nothing where it is money', () => {
    const own = charge(graduated);
    expect(resolvePrice(own, 'USD', 0, rows)).toEqual({ price: own.price, sources: {} });
    expect(changeInstants(own, 'USD', { start: 0, end: 1000 }, rows)).toEqual([]);
  });

  const sums = { aggregation: 'sum', rounding: null };
  const plain = { model: 'per_unit', unit_amount: '2' };
  const cellsOf = (first: object, rest: object = plain, last: object = plain) => ({
    model: 'matrix',
    dimensions: ['model'],
    cells: [
      { match: { model: 'small' }, price: first },
      { match: { model: 'large' }, price: last },
    ],
    default_price: rest,
  });
  it.each<[string, object, object | undefined, string[]]>([
    ['units are counted on', graduated, { aggregation: 'sum', rounding: null }, ['restart', 'continue', 'continue']],
    ['a level is no sum', graduated, { aggregation: 'max', rounding: null }, ['restart']],
    ['a rounded sum is none', graduated, { aggregation: 'sum', rounding: { mode: 'up', decimals: 0 } }, ['restart']],
    [
      'a fee of a tier is owed once',
      { model: 'tiered_flat', tiers: [{ up_to: null, flat_amount: '5' }] },
      { aggregation: 'sum', rounding: null },
      ['restart'],
    ],
    ['a fee is charged once', { model: 'flat', amount: '1' }, undefined, ['restart']],
    ['so much a unit', plain, sums, ['restart', 'continue', 'continue']],
    [
      'started packages',
      { model: 'package', package_amount: '1', package_size: '9' },
      sums,
      ['restart', 'continue', 'continue'],
    ],
    ['cells of so much a unit', cellsOf(plain), sums, ['restart', 'restart', 'restart']],
    ['a cell with free units', cellsOf({ ...plain, free_units: '1' }), sums, ['restart']],
    ['a cell with a least', cellsOf({ ...plain, minimum_amount: '1' }), sums, ['restart']],
    ['a cell with a most', cellsOf({ ...plain, maximum_amount: '1' }), sums, ['restart']],
    ['a cell with tiers', cellsOf(graduated), sums, ['restart']],
    ['tiers where no cell matches', cellsOf(plain, graduated), sums, ['restart']],
    ['the last of the cells', cellsOf(plain, plain, graduated), sums, ['restart']],
  ])('is cut where parts add up: %s', (_, price, meter, tiers) => {
    const referring = charge(price, 'AIC');
    const stretch = {
      span: { start: 0, end: 1000 },
      tiers: 'restart' as const,
      sources: { priceOverrideId: 'pov_1' },
      price: referring.price,
      storedPrice: priceToJson(referring.price),
    };
    const spans = cutBySources(stretch, 'AIC', 'USD', meter as never, rows);
    expect(spans.map((span) => span.tiers)).toEqual(tiers);
    expect([spans[0]?.span.start, spans.at(-1)?.span.end]).toEqual([0, 1000]);
    expect(spans[0]?.sources).toEqual({ priceOverrideId: 'pov_1', creditUnitRateIds: ['over', 'gold-1'] });
    for (const span of spans) expect(span.storedPrice).toEqual(priceToJson(span.price));
  });

  it('is not cut where it refers to nothing', () => {
    const { price } = charge(graduated);
    const own = {
      span: { start: 0, end: 1000 },
      tiers: 'continue' as const,
      sources: {},
      price,
      storedPrice: priceToJson(price),
    };
    expect(cutBySources(own, null, 'USD', { aggregation: 'sum', rounding: null }, rows)).toEqual([own]);
  });
});

describe('what a price refers to', () => {
  const rows = sourceRowsFrom(
    [version('cbv_1', 1, 100, [[{ model: 'big' }, '0.5']])],
    [rate('AIC', 'own', 1, 0, 'USD', '0.04')],
  );
  const nothing = sourceRowsFrom([], []);
  const plain = { model: 'per_unit', unit_amount: '3' };
  const bookPrice = byBook();

  it.each<[string, ReferringPrice, boolean]>([
    ['a cost book', byBook(), true],
    ['a credit unit', charge(plain, 'AIC'), true],
    ['nothing', charge(plain), false],
  ])('may change by time: %s', (_, referring, expected) => {
    expect(isReferring(referring)).toBe(expected);
  });

  it('is missed by its name', () => {
    expect(() => resolvePrice(byBook(), 'USD', 0, nothing)).toThrow('cost book costs says nothing in USD');
    expect(() => resolvePrice(charge(plain, 'AIC'), 'USD', 0, nothing)).toThrow('credit unit AIC says nothing in USD');
    expect(isPricedAt(byBook(), 'USD', 0, nothing)).toBe(false);
    expect(isPricedAt(charge(plain), 'USD', 0, nothing)).toBe(true);
    expect(changeInstants(byBook(), 'USD', { start: 0, end: 1000 }, nothing)).toEqual([]);
  });

  it('is found again by the rows that a line names', () => {
    const named = namedRowsOf(rows);
    const { price } = charge(plain, 'AIC');
    expect(priceToJson(resolvePriceBy(price, { creditUnitRateIds: ['own'] }, named))).toMatchObject({
      unit_amount: '0.12',
    });
    expect(resolvePriceBy(price, {}, named)).toBe(price);
    expect(() => resolvePriceBy(price, { creditUnitRateIds: ['lost'] }, named)).toThrow('the rate lost is gone');
    expect(() => resolvePriceBy(price, { costBookVersionId: 'cbv_1' }, named)).toThrow(
      'the price refers to no cost book, and its line names cbv_1',
    );
  });

  it('has a property for each dimension of the book', () => {
    const { price } = byBook({ dimensions: [{ dimension: 'kind', property: 'kind' }] });
    expect(() => resolvePrice({ price, creditUnit: null }, 'USD', 100, rows)).toThrow(
      'a price says no property for model of cost book costs',
    );
  });

  it('is shown as it is stored where it is a cost book, and else as what it comes to', () => {
    const resolved = resolvePrice(bookPrice, 'USD', 100, rows).price;
    const stored = priceToJson(bookPrice.price);
    expect(shownPrice(stored, resolved)).toBe(stored);
    const inCredits = charge(plain, 'AIC');
    expect(shownPrice(priceToJson(inCredits.price), resolvePrice(inCredits, 'USD', 0, rows).price)).toMatchObject({
      unit_amount: '0.12',
    });
  });
});
