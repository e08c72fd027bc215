/** A stretch of a price by a cost book, or of one that refers to nothing; credits stand in resolve-price.test.ts. */
import { describe, expect, it } from 'vitest';
import { chargeFromJson } from '#schemas/plan.ts';
import { priceToJson } from '#schemas/price/price.ts';
import { cutBySources } from '../../../../rater/price/cut-by-sources.ts';
import { priceUsage } from '../../../../rater/price/price-usage.ts';
import { type BookRow, sourceRowsFrom } from '../../../../rater/price/source-rows.ts';
import { noParts } from '../../../../rater/price/usage.ts';
import { priceOf, quantityOf } from '../../../support/prices.ts';

const version = (id: string, number: number, from: number, default_cost: string): BookRow => ({
  code: 'costs',
  currency: 'USD',
  dimensions: ['model'],
  id,
  version_number: number,
  effective_from: new Date(from),
  entries: [],
  default_cost,
});
const rows = sourceRowsFrom([version('cbv_1', 1, 0, '1'), version('cbv_2', 2, 400, '3')], []);

const byBook = chargeFromJson({
  code: 'c',
  name: 'C',
  meter: 'm',
  price: { model: 'cost_book', cost_book: 'costs', dimensions: [{ dimension: 'model', property: 'model' }] },
});
if (!byBook.ok) throw new Error(JSON.stringify(byBook.faults));
const { price } = byBook.value;
const stretch = {
  span: { start: 100, end: 1000 },
  tiers: 'continue' as const,
  sources: { priceOverrideId: 'pov_1' },
  price,
  storedPrice: priceToJson(price),
};
const cut = (meter: Parameters<typeof cutBySources>[3]) =>
  cutBySources(stretch, null, 'USD', meter, rows).map(
    ({ span, tiers, sources }) => `${span.start}-${span.end} ${tiers} ${sources.costBookVersionId}`,
  );

describe('a price by a cost book', () => {
  it('is cut where a version begins, and counted from there again, where parts add up', () => {
    const parts = ['100-400 continue cbv_1', '400-1000 restart cbv_2'];
    expect(cut({ aggregation: 'sum', rounding: null })).toEqual(parts);
    expect(cut({ aggregation: 'count', rounding: null })).toEqual(parts);
  });

  it('is that of the beginning for all of the time where they do not', () => {
    expect(cut({ aggregation: 'max', rounding: null })).toEqual(['100-1000 continue cbv_1']);
    expect(cut({ aggregation: 'sum', rounding: { mode: 'up', decimals: 0 } as never })).toEqual([
      '100-1000 continue cbv_1',
    ]);
    expect(cut(undefined)).toEqual(['100-1000 continue cbv_1']);
  });

  it('keeps what else the stretch was made of, and is shown as it is stored', () => {
    for (const span of cutBySources(stretch, null, 'USD', { aggregation: 'sum', rounding: null }, rows)) {
      expect(span.sources.priceOverrideId).toBe('pov_1');
      expect(span.storedPrice).toBe(stretch.storedPrice);
      expect(span.price.model).toBe('matrix');
    }
  });

  it('can not be rated before it is resolved', () => {
    expect(() => priceUsage(price, quantityOf('1'), noParts)).toThrow('the price of cost book costs was not resolved');
  });
});

describe('a price that refers to nothing', () => {
  it('is the very stretch, with its JSON as it was stored', () => {
    const storedPrice = { model: 'per_unit', unit_amount: '1.00' } as const;
    const own = { ...stretch, price: priceOf(storedPrice), storedPrice };
    expect(cutBySources(own, null, 'USD', { aggregation: 'sum', rounding: null }, rows)).toEqual([own]);
  });
});
