import { describe, expect, it } from 'vitest';
import { parseAmount } from '#schemas/money.ts';
import { priceToJson, usagePartsOf } from '#schemas/price/price.ts';
import { faultsOf, priceOf } from '../../support/prices.ts';

describe('a share', () => {
  const percent = (text: unknown) => faultsOf({ model: 'percentage', percent: text });
  const points = (text: unknown) => faultsOf({ model: 'basis_points', basis_points: text });

  it.each([
    ['0', []],
    ['9999', []],
    ['9999.9999999999', []],
    ['0.0000000001', []],
    ['10000', ['price.percent not_a_decimal']],
    ['0.00000000001', ['price.percent not_a_decimal']],
    ['2.9%', ['price.percent not_a_decimal']],
    ['.5', ['price.percent not_a_decimal']],
    ['5.', ['price.percent not_a_decimal']],
    ['', ['price.percent not_a_decimal']],
    ['1e2', ['price.percent not_a_decimal']],
    ['-', ['price.percent not_a_decimal']],
    ['-2.9', ['price.percent negative']],
    ['-2.99999999999', ['price.percent not_a_decimal']],
    ['--2', ['price.percent not_a_decimal']],
    ['+2', ['price.percent not_a_decimal']],
    [2.9, ['price.percent wrong_type']],
    [null, ['price.percent wrong_type']],
    [undefined, ['price.percent missing']],
  ])('of %j percent: at most 4 digits and 10 decimals', (text, faults) => {
    expect(percent(text)).toEqual(faults);
  });

  it.each([
    ['999999', []],
    ['999999.99999999', []],
    ['1000000', ['price.basis_points not_a_decimal']],
    ['0.000000001', ['price.basis_points not_a_decimal']],
    ['-1', ['price.basis_points negative']],
    [1, ['price.basis_points wrong_type']],
    [undefined, ['price.basis_points missing']],
  ])('of %j basis points: at most 6 digits and 8 decimals', (text, faults) => {
    expect(points(text)).toEqual(faults);
  });

  it('goes by the name of its model alone', () => {
    expect(faultsOf({ model: 'percentage', basis_points: '1' })).toEqual([
      'price.basis_points unknown_field',
      'price.percent missing',
    ]);
    expect(faultsOf({ model: 'basis_points', percent: '1' })).toEqual([
      'price.percent unknown_field',
      'price.basis_points missing',
    ]);
  });

  it('is held as what is charged for each one of value, and written as it is named', () => {
    const [percentage, basisPoints] = [
      priceOf({ model: 'percentage', percent: '2.90' }),
      priceOf({ model: 'basis_points', basis_points: '290.0' }),
    ];
    expect([percentage, basisPoints].map((price) => 'rate' in price && price.rate)).toEqual([
      parseAmount('0.029'),
      parseAmount('0.029'),
    ]);
    expect(priceToJson(percentage)).toEqual({
      model: 'percentage',
      percent: '2.9',
      fixed_amount: '0',
      free_events: 0,
      free_units: '0',
    });
    expect(priceToJson(basisPoints)).toEqual({
      model: 'basis_points',
      basis_points: '290',
      fixed_amount: '0',
      free_events: 0,
      free_units: '0',
    });
    for (const text of ['0.0000000001', '9999.9999999999', '0'])
      expect(priceToJson(priceOf({ model: 'percentage', percent: text }))).toMatchObject({ percent: text });
  });
});

describe.each([
  ['percentage', { model: 'percentage', percent: '1' }],
  ['basis_points', { model: 'basis_points', basis_points: '1' }],
])('the terms of an event, of %s', (_, share) => {
  it.each<[object, string[]]>([
    [{ fixed_amount: '0.3', event_minimum_amount: '1', event_maximum_amount: '2', free_events: 3 }, []],
    [{ fixed_amount: '-1' }, ['price.fixed_amount negative']],
    [{ fixed_amount: '0.0000000000001' }, ['price.fixed_amount not_a_decimal']],
    [{ fixed_amount: '1'.repeat(21) }, ['price.fixed_amount not_a_decimal']],
    [{ fixed_amount: 1 }, ['price.fixed_amount wrong_type']],
    [{ event_minimum_amount: '-1' }, ['price.event_minimum_amount negative']],
    [{ event_minimum_amount: null }, ['price.event_minimum_amount wrong_type']],
    [{ event_maximum_amount: '1.0000000000001' }, ['price.event_maximum_amount not_a_decimal']],
    [{ event_maximum_amount: null }, ['price.event_maximum_amount wrong_type']],
    [{ event_minimum_amount: '2', event_maximum_amount: '2' }, []],
    [
      { event_minimum_amount: '2', event_maximum_amount: '1.999999999999' },
      ['price.event_maximum_amount below_minimum'],
    ],
    [{ event_maximum_amount: '0' }, []],
    [{ free_events: 0 }, []],
    [{ free_events: 1_000_000_000 }, []],
    [{ free_events: 1_000_000_001 }, ['price.free_events wrong_type']],
    [{ free_events: -1 }, ['price.free_events negative']],
    [{ free_events: 0.5 }, ['price.free_events wrong_type']],
    [{ free_events: 1.5 }, ['price.free_events wrong_type']],
    [{ free_events: '1' }, ['price.free_events wrong_type']],
    [{ free_events: null }, ['price.free_events wrong_type']],
    [{ free_units: '5' }, []],
    [{ fixed_amount: '0', free_events: 0, free_units: '5' }, []],
    [{ fixed_amount: '0.1', free_units: '5' }, ['price.free_units not_allowed']],
    [{ event_minimum_amount: '0', free_units: '5' }, ['price.free_units not_allowed']],
    [{ event_maximum_amount: '9', free_units: '5' }, ['price.free_units not_allowed']],
    [{ free_events: 1, free_units: '0.000000000001' }, ['price.free_units not_allowed']],
    [{ free_events: 1, free_units: '0' }, []],
    [
      { free_events: 1, free_units: '5', minimum_amount: '2', maximum_amount: '1', event_maximum_amount: '-1' },
      ['price.event_maximum_amount negative'],
    ],
    [
      {
        free_units: '5',
        event_minimum_amount: '2',
        event_maximum_amount: '1',
        minimum_amount: '2',
        maximum_amount: '1',
      },
      [
        'price.maximum_amount below_minimum',
        'price.event_maximum_amount below_minimum',
        'price.free_units not_allowed',
      ],
    ],
  ])('%j', (terms, faults) => {
    expect(faultsOf({ ...share, ...terms })).toEqual(faults);
  });

  it('are asked of the store only where there are some', () => {
    const asked = (terms: object) => usagePartsOf(priceOf({ ...share, ...terms }));
    expect(asked({})).toStrictEqual({});
    expect(asked({ fixed_amount: '0', free_events: 0, free_units: '7' })).toEqual({});
    const rate = (priceOf(share) as { readonly rate: bigint }).rate;
    const none = { rate, fixedAmount: 0n, minimumAmount: null, maximumAmount: null, freeEvents: 0n };
    expect(asked({ fixed_amount: '2' })).toEqual({ events: { ...none, fixedAmount: parseAmount('2') } });
    expect(asked({ event_minimum_amount: '0' })).toEqual({ events: { ...none, minimumAmount: 0n } });
    expect(asked({ event_maximum_amount: '0' })).toEqual({ events: { ...none, maximumAmount: 0n } });
    expect(asked({ free_events: 4 })).toEqual({ events: { ...none, freeEvents: 4n } });
  });

  it('are written as they were read, what is not there left out', () => {
    const terms = { fixed_amount: '0.3', event_minimum_amount: '1', event_maximum_amount: '2', free_events: 3 };
    expect(priceToJson(priceOf({ ...share, ...terms }))).toEqual({ ...share, ...terms, free_units: '0' });
  });
});
