import { describe, expect, it } from 'vitest';
import { formatQuantity } from '#schemas/quantity.ts';
import { costOf, pricedOf, stepsOf } from '../../../support/prices.ts';

const price = { model: 'dynamic', amount_property: 'order.cost' };

describe('dynamic price', () => {
  it.each([
    ['1', '0', '0'],
    ['1', '3.45', '3.45'],
    ['1', '0.000000000001', '0.000000000001'],
    ['1', '-0.000000000001', '0'],
    ['1', '-5', '0'],
    ['1.2', '10', '12'],
    ['0.000000000001', '0.000000000001', '0.000000000000000000000001'],
    ['0', '10', '0'],
  ])('with a factor of %s, amounts of %s in all cost %s, whatever the quantity', (factor, amounts, expected) => {
    for (const quantity of ['-1', '0', '22'])
      expect(costOf({ ...price, factor }, quantity, { amounts: [amounts, 0] })).toBe(expected);
  });

  it('the factor is 1 where it is absent, and events without an amount cost nothing', () => {
    expect(costOf(price, '22', { amounts: ['3.45', 0] })).toBe('3.45');
    expect(costOf(price, '22')).toBe('0');
  });

  it('the step shows the quantity, the sum of the amounts and the factor; below zero it shows 0', () => {
    const marked = { ...price, factor: '1.2' };
    expect(stepsOf(marked, '22', { amounts: ['10', 0] })).toEqual(['amounts 0..: 22; 10 x 1.2 + 0 = 12']);
    expect(stepsOf(marked, '22', { amounts: ['-10', 0] })).toEqual(['amounts 0..: 22; 0 x 1.2 + 0 = 0']);
    expect(formatQuantity(pricedOf(marked, '22', { amounts: ['10', 0] }).billableQuantity)).toBe('22');
  });
});
