import { describe, expect, it } from 'vitest';
import { parseAmount } from '#schemas/money.ts';
import { tiersMax } from '#schemas/price/field.ts';
import { priceToJson } from '#schemas/price/price.ts';
import { faultsOf, priceOf, quantityOf } from '../../support/prices.ts';

/** The models with tiers, and what a tier of each has beside its bound. */
const models = [
  ['graduated', 'unit_amount'],
  ['volume', 'unit_amount'],
  ['tiered_flat', 'flat_amount'],
  ['graduated_percentage', 'percent'],
] as const;

describe.each(models)('the tiers of a %s price', (model, own) => {
  const tier = (upTo: unknown, more: object = {}) => ({ up_to: upTo, [own]: '1', ...more });
  const faultsIn = (...tiers: unknown[]) => faultsOf({ model, tiers });

  it.each<[string, unknown[], string[]]>([
    ['one without a bound', [tier(null)], []],
    ['bounds that increase by the least there is', [tier('1'), tier('1.000000000001'), tier(null)], []],
    ['none', [], ['price.tiers wrong_length']],
    ['no last one', [tier('5')], ['price.tiers[0].up_to not_allowed']],
    ['no last one after others', [tier('5'), tier('6')], ['price.tiers[1].up_to not_allowed']],
    ['a last one that leaves its bound out', [{ [own]: '1' }], ['price.tiers[0].up_to missing']],
    ['an unbounded one before the last', [tier(null), tier(null)], ['price.tiers[0].up_to not_allowed']],
    ['an overlap', [tier('5'), tier('4'), tier(null)], ['price.tiers[1].up_to not_increasing']],
    ['an equal bound', [tier('5'), tier('5.00'), tier(null)], ['price.tiers[1].up_to not_increasing']],
    ['an empty first one', [tier('0'), tier(null)], ['price.tiers[0].up_to not_increasing']],
    ['a gap, which no field could say', [tier('5', { from: '0' }), tier(null)], ['price.tiers[0].from unknown_field']],
    [
      'a bound under the greatest before it is judged by the one right before it',
      [tier('9'), tier('5'), tier('6'), tier(null)],
      ['price.tiers[1].up_to not_increasing'],
    ],
    [
      'a bound behind one that can’t be read',
      [tier('5'), tier('x'), tier('5'), tier(null)],
      ['price.tiers[1].up_to not_a_decimal', 'price.tiers[2].up_to not_increasing'],
    ],
    ['a bound below zero', [tier('-5'), tier(null)], ['price.tiers[0].up_to negative']],
    ['a bound with 13 decimals', [tier('0.0000000000001'), tier(null)], ['price.tiers[0].up_to not_a_decimal']],
    ['a bound that is a number', [tier(5), tier(null)], ['price.tiers[0].up_to wrong_type']],
    ['a bound that is left out before the last', [{ [own]: '1' }, tier(null)], ['price.tiers[0].up_to missing']],
    ['a negative price', [{ up_to: null, [own]: '-1' }], [`price.tiers[0].${own} negative`]],
    ['13 decimals', [{ up_to: null, [own]: '0.0000000000001' }], [`price.tiers[0].${own} not_a_decimal`]],
    ['a number for a price', [{ up_to: null, [own]: 1 }], [`price.tiers[0].${own} wrong_type`]],
    ['no price', [{ up_to: null }], [`price.tiers[0].${own} missing`]],
    ['something else in the list', [null, tier(null)], ['price.tiers[0] wrong_type']],
  ])('%s', (_, tiers, faults) => {
    expect(faultsIn(...tiers)).toEqual(faults);
  });

  it('are at most 100', () => {
    const many = (count: number) => [...Array.from({ length: count - 1 }, (_, i) => tier(String(i + 1))), tier(null)];
    expect(tiersMax).toBe(100);
    expect(faultsIn(...many(100))).toEqual([]);
    expect(faultsIn(...many(101))).toEqual(['price.tiers wrong_length']);
  });

  it('are mandatory, and a list', () => {
    expect(faultsOf({ model })).toEqual(['price.tiers missing']);
    expect(faultsOf({ model, tiers: { 0: tier(null) } })).toEqual(['price.tiers wrong_type']);
  });
});

describe('what a tier has', () => {
  it('of volume: a price of a unit, and an amount once that is 0 if absent', () => {
    const json = {
      model: 'volume',
      tiers: [
        { up_to: '10', unit_amount: '1.50' },
        { up_to: null, unit_amount: '1' },
      ],
    };
    expect(priceToJson(priceOf(json))).toEqual({
      model: 'volume',
      tiers: [
        { up_to: '10', unit_amount: '1.5', flat_amount: '0' },
        { up_to: null, unit_amount: '1', flat_amount: '0' },
      ],
      free_units: '0',
    });
  });

  it('of tiered_flat: a fee and no price of a unit', () => {
    const json = {
      model: 'tiered_flat',
      tiers: [
        { up_to: '10', flat_amount: '5' },
        { up_to: null, flat_amount: '9' },
      ],
    };
    expect(priceOf(json)).toEqual({
      model: 'tiered_flat',
      tiers: [
        { upTo: quantityOf('10'), flatAmount: parseAmount('5') },
        { upTo: null, flatAmount: parseAmount('9') },
      ],
      freeUnits: 0n,
      minimumAmount: null,
      maximumAmount: null,
    });
    expect(faultsOf({ model: 'tiered_flat', tiers: [{ up_to: null, flat_amount: '5', unit_amount: '1' }] })).toEqual([
      'price.tiers[0].unit_amount unknown_field',
    ]);
  });

  it('of graduated_percentage: a percent, and an amount once that is 0 if absent', () => {
    const json = { model: 'graduated_percentage', tiers: [{ up_to: null, percent: '2.90' }], free_units: '5' };
    expect(priceOf(json)).toEqual({
      model: 'graduated_percentage',
      tiers: [{ upTo: null, rate: parseAmount('0.029'), flatAmount: 0n }],
      freeUnits: quantityOf('5'),
      minimumAmount: null,
      maximumAmount: null,
    });
    expect(priceToJson(priceOf(json))).toEqual({
      model: 'graduated_percentage',
      tiers: [{ up_to: null, percent: '2.9', flat_amount: '0' }],
      free_units: '5',
    });
  });
});
