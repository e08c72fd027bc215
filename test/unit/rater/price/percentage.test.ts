import { describe, expect, it } from 'vitest';
import { formatQuantity } from '#schemas/quantity.ts';
import { costOf, type PartsJson, pricedOf, stepsOf } from '../../../support/prices.ts';

describe('percentage of a sum', () => {
  const price = { model: 'percentage', percent: '2.9' };
  it.each([
    ['-100', '0'],
    ['0', '0'],
    ['0.000000000001', '0.000000000000029'],
    ['0.01', '0.00029'],
    ['100', '2.9'],
    ['1234.56', '35.80224'],
  ])('2.9 %% of %s is %s', (value, expected) => {
    expect(costOf(price, value)).toBe(expected);
  });

  it.each([
    ['0', '1000', '0'],
    ['0.0000000001', '1', '0.000000000001'],
    ['0.0000000001', '0.000000000001', '0.000000000000000000000001'],
    ['100', '7.25', '7.25'],
    ['150', '10', '15'],
    ['9999.9999999999', '1', '99.999999999999'],
  ])('%s %% of %s is %s', (percent, value, expected) => {
    expect(costOf({ model: 'percentage', percent }, value)).toBe(expected);
  });

  it.each([
    ['999.999999999999', '0'],
    ['1000', '0'],
    ['1000.000000000001', '0.000000000000029'],
    ['1500', '14.5'],
    ['-1', '0'],
  ])('the first 1,000 of value are free: 2.9 %% of %s is %s', (value, expected) => {
    expect(costOf({ ...price, free_units: '1000' }, value)).toBe(expected);
  });

  it('the step shows the value, and the rate as what is charged for each one of it', () => {
    expect(stepsOf({ ...price, free_units: '1000' }, '1500')).toEqual([
      'free 0..1000: 1000; 0 x 0 + 0 = 0',
      'units 1000..: 500; 500 x 0.029 + 0 = 14.5',
    ]);
    expect(stepsOf(price, '-3')).toEqual(['below_zero -3..0: -3; 0 x 0 + 0 = 0']);
    expect(stepsOf(price, '0')).toEqual([]);
  });
});

describe('basis points of a sum', () => {
  it.each([
    ['25', '1000', '2.5'],
    ['1', '1', '0.0001'],
    ['10000', '3', '3'],
    ['0.00000001', '1', '0.000000000001'],
    ['999999.99999999', '1', '99.999999999999'],
    ['12.5', '-8', '0'],
  ])('%s basis points of %s are %s', (points, value, expected) => {
    expect(costOf({ model: 'basis_points', basis_points: points }, value)).toBe(expected);
  });

  it.each(['0', '1', '33.3', '1000'])('are a hundredth of percent: of %s', (value) => {
    expect(costOf({ model: 'basis_points', basis_points: '290' }, value)).toBe(
      costOf({ model: 'percentage', percent: '2.9' }, value),
    );
  });
});

describe.each([
  ['percentage', { model: 'percentage', percent: '2.5' }],
  ['basis points', { model: 'basis_points', basis_points: '250' }],
])('%s of events with a price of their own', (_, share) => {
  const fixed = { ...share, fixed_amount: '0.30' };
  const all = { ...fixed, event_minimum_amount: '0.50', event_maximum_amount: '10', free_events: 2 };

  it.each<[string, PartsJson, string]>([
    ['no event', {}, '0'],
    ['one event of nothing', { rate: ['0', 1] }, '0.3'],
    ['one event', { rate: ['100', 1] }, '2.8'],
    ['three events of 300 in all', { rate: ['300', 3] }, '8.4'],
    ['an event below zero', { below_zero: ['-40', 1] }, '0'],
    ['an event below zero among others', { below_zero: ['-40', 1], rate: ['100', 1] }, '2.8'],
    ['an event of the smallest value', { rate: ['0.000000000001', 1] }, '0.300000000000025'],
  ])('2.5 %% and 0.30 each: %s', (__, parts, expected) => {
    expect(costOf(fixed, undefined, parts)).toBe(expected);
  });

  it.each<[string, PartsJson, string]>([
    ['two events at the least', { minimum: ['5', 2] }, '1'],
    ['two events at the most', { maximum: ['1000', 2] }, '20'],
    ['two free events', { free: ['70', 2] }, '0'],
    [
      'some of each',
      { below_zero: ['-3', 1], free: ['70', 2], minimum: ['5', 2], rate: ['300', 3], maximum: ['1000', 2] },
      '29.4',
    ],
  ])('2.5 %% and 0.30 each, at least 0.50, at most 10, the first two free: %s', (__, parts, expected) => {
    expect(costOf(all, undefined, parts)).toBe(expected);
  });

  it('the steps tile the sum of the values, with the number of events where these are charged for', () => {
    const parts: PartsJson = {
      maximum: ['1000', 2],
      rate: ['300', 3],
      minimum: ['5', 2],
      free: ['70', 2],
      below_zero: ['-3', 1],
    };
    expect(stepsOf(all, undefined, parts)).toEqual([
      'below_zero 0..-3: -3; 0 x 0 + 0 = 0',
      'free -3..67: 70; 0 x 0 + 0 = 0',
      'events 67..72: 5; 2 x 0.5 + 0 = 1',
      'units 72..372: 300; 300 x 0.025 + 0.9 = 8.4',
      'events 372..1372: 1000; 2 x 10 + 0 = 20',
    ]);
    expect(formatQuantity(pricedOf(all, undefined, parts).billableQuantity)).toBe('1305');
  });

  it('a part with no event in it has no step', () => {
    expect(stepsOf(all, '0', { minimum: ['0', 0], rate: ['0', 0], free: ['0', 0] })).toEqual([]);
  });

  it('each of the four terms alone makes events have a price of their own; a zero or an absent one does not', () => {
    const parts: PartsJson = { rate: ['100', 2], minimum: ['1', 1], maximum: ['900', 1], free: ['9', 1] };
    const cost = (terms: object) => costOf({ ...share, ...terms }, '1010', parts);
    expect(cost({})).toBe('25.25');
    expect(cost({ fixed_amount: '0', free_events: 0 })).toBe('25.25');
    expect(cost({ fixed_amount: '1' })).toBe('4.5');
    expect(cost({ event_minimum_amount: '3' })).toBe('5.5');
    expect(cost({ event_maximum_amount: '4' })).toBe('6.5');
    expect(cost({ free_events: 1 })).toBe('2.5');
    expect(cost({ event_minimum_amount: '0' })).toBe('2.5');
    expect(cost({ event_maximum_amount: '0' })).toBe('2.5');
  });
});
