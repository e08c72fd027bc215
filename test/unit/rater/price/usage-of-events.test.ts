/** What events come to for a price, in code: parts that were worked out by hand. */
import { describe, expect, it } from 'vitest';
import { parseAmount } from '#schemas/money.ts';
import { chargeFromJson } from '#schemas/plan.ts';
import type { Price } from '#schemas/price/price.ts';
import { formatQuantity, type Quantity } from '#schemas/quantity.ts';
import { usageOfEvents } from '../../../../rater/price/usage-of-events.ts';

const priceOf = (price: object): Price => {
  const parsed = chargeFromJson({ code: 'c', name: 'C', meter: 'm', price });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.faults));
  return parsed.value.price;
};
const event = (value: string, properties: Readonly<Record<string, string>> = {}) => ({
  value: parseAmount(value) as bigint as Quantity,
  properties: new Map(Object.entries(properties)),
});
const shown = (price: object, events: readonly ReturnType<typeof event>[]) => {
  const { quantity, parts } = usageOfEvents(priceOf(price), events);
  return {
    quantity: formatQuantity(quantity),
    parts: [...parts].map(([name, part]) => [name, formatQuantity(part.quantity), part.events]),
  };
};
const perUnit = { model: 'per_unit', unit_amount: '1' };

describe('what events come to for a price', () => {
  it('is their sum, without parts where the price needs none', () => {
    expect(shown(perUnit, [event('1.5'), event('2')])).toEqual({ quantity: '3.5', parts: [] });
    expect(shown(perUnit, [])).toEqual({ quantity: '0', parts: [] });
  });

  it('is in the first cell of which every property matches, from 1, and else in that of none', () => {
    const matrix = {
      model: 'matrix',
      dimensions: ['model', 'kind'],
      cells: [
        { match: { model: 'big', kind: 'in' }, price: perUnit },
        { match: { model: 'big' }, price: perUnit },
      ],
      default_price: perUnit,
    };
    const events = [
      event('1', { model: 'big', kind: 'in' }),
      event('2', { model: 'big', kind: 'out' }),
      event('4', { kind: 'in' }),
      event('8', { model: 'big', kind: 'in' }),
    ];
    expect(shown(matrix, events)).toEqual({
      quantity: '15',
      parts: [
        ['1', '9', 2n],
        ['2', '2', 1n],
        ['0', '4', 1n],
      ],
    });
  });

  // 10 % of the value and 1: of 10 it is 2, of 40 it is 5.
  const terms = { model: 'percentage', percent: '10', fixed_amount: '1' };
  const bounds = { event_minimum_amount: '2', event_maximum_amount: '5' };
  it.each<[string, string, string]>([
    ['just under the least', '9.99', 'minimum'],
    ['at the least', '10', 'rate'],
    ['at the most', '40', 'rate'],
    ['just above the most', '40.01', 'maximum'],
    ['of zero the fixed amount counts', '0', 'minimum'],
    ['below zero', '-0.01', 'below_zero'],
  ])('is by what decides the price of each event: %s', (_, value, part) => {
    expect(shown({ ...terms, ...bounds }, [event(value)]).parts).toEqual([[part, value, 1n]]);
  });

  it('has no bound where the price says none, and nothing for the first events', () => {
    expect(shown(terms, [event('0'), event('1000')]).parts).toEqual([['rate', '1000', 2n]]);
    const free = { ...terms, free_events: 2 };
    expect(shown(free, [event('-1'), event('2'), event('4')]).parts).toEqual([
      ['free', '1', 2n],
      ['rate', '4', 1n],
    ]);
  });

  it('is what events say that they cost, where a property says it as a number', () => {
    const dynamic = { model: 'dynamic', amount_property: 'cost' };
    const events = [event('1', { cost: '0.25' }), event('2', { cost: 'much' }), event('4'), event('8', { cost: '3' })];
    expect(shown(dynamic, events)).toEqual({ quantity: '15', parts: [['amounts', '3.25', 0n]] });
  });
});
