import { describe, expect, it } from 'vitest';
import { meterFaults } from '#schemas/price/meter-fit.ts';
import { priceOf } from '../../support/prices.ts';

const sum = { aggregation: 'sum', groupBy: ['model', 'region'], rounding: null } as const;
const unit = { model: 'per_unit', unit_amount: '1' };
const matrix = priceOf({
  model: 'matrix',
  dimensions: ['model', 'kind', 'region'],
  cells: [{ match: { model: 'a' }, price: unit }],
  default_price: unit,
});
const perEvent = priceOf({ model: 'percentage', percent: '2.9', fixed_amount: '0.3' });
const ofSum = priceOf({ model: 'percentage', percent: '2.9' });
const faultsOf = (...[price, meter]: [Parameters<typeof meterFaults>[0], Parameters<typeof meterFaults>[1]]) =>
  meterFaults(price, meter, 'charges[0].price').map(({ field, code }) => `${field} ${code}`);

describe('a price and the meter that it prices', () => {
  it('a matrix needs a meter that is grouped by all of its dimensions; each that is not is named', () => {
    expect(faultsOf(matrix, sum)).toEqual(['charges[0].price.dimensions[1] not_allowed']);
    expect(faultsOf(matrix, { ...sum, groupBy: [] })).toHaveLength(3);
    expect(faultsOf(matrix, { ...sum, groupBy: ['kind', 'model', 'region'], aggregation: 'unique' })).toEqual([]);
  });

  it('a price of single events needs a meter that adds them up as they are', () => {
    const refused = ['charges[0].price.model not_allowed'];
    expect(faultsOf(perEvent, sum)).toEqual([]);
    expect(faultsOf(perEvent, { ...sum, aggregation: 'count' })).toEqual([]);
    for (const aggregation of ['max', 'min', 'unique', 'latest', 'average', 'weighted_sum', 'percentile'] as const)
      expect(faultsOf(perEvent, { ...sum, aggregation }), aggregation).toEqual(refused);
    expect(faultsOf(perEvent, { ...sum, rounding: { mode: 'up', decimals: 2 } })).toEqual(refused);
  });

  it('any other price takes any meter', () => {
    for (const aggregation of ['max', 'unique', 'percentile'] as const)
      expect(faultsOf(ofSum, { ...sum, aggregation, rounding: { mode: 'up', decimals: 0 } })).toEqual([]);
  });
});
