import fc from 'fast-check';
import type { TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { describe, expect, it } from 'vitest';
import { parseAmount } from '#schemas/money.ts';
import { tiersMax } from '#schemas/price/field.ts';
import { modelNamed, priceFromJson, priceToJson } from '#schemas/price/price.ts';
import { parseQuantity } from '#schemas/quantity.ts';
import { faultsOf } from '../../support/prices.ts';
import { prices } from '../../support/rating-arbitraries.ts';
import { scaled } from '../../support/scale.ts';

const unbounded = { minimumAmount: null, maximumAmount: null };
const graduated = (...tiers: unknown[]) => ({ model: 'graduated', tiers });

describe('prices as JSON', () => {
  it('a flat price has one amount', () => {
    expect(priceFromJson({ model: 'flat', amount: '20.00' })).toEqual({
      ok: true,
      value: { model: 'flat', amount: parseAmount('20') },
    });
  });

  it('free units default to zero and are written out', () => {
    const parsed = priceFromJson({ model: 'per_unit', unit_amount: '0.000015' });
    expect(parsed).toEqual({
      ok: true,
      value: { model: 'per_unit', unitAmount: parseAmount('0.000015'), freeUnits: 0n, ...unbounded },
    });
    expect(parsed.ok && priceToJson(parsed.value)).toEqual({
      model: 'per_unit',
      unit_amount: '0.000015',
      free_units: '0',
    });
  });

  it('tiers keep their order, and a flat amount defaults to zero', () => {
    const json = graduated(
      { up_to: '100000', unit_amount: '0', flat_amount: '1.50' },
      { up_to: null, unit_amount: '0.0000024' },
    );
    expect(priceFromJson(json)).toEqual({
      ok: true,
      value: {
        model: 'graduated',
        tiers: [
          { upTo: parseQuantity('100000'), unitAmount: 0n, flatAmount: parseAmount('1.5') },
          { upTo: null, unitAmount: parseAmount('0.0000024'), flatAmount: 0n },
        ],
        freeUnits: 0n,
        ...unbounded,
      },
    });
  });

  it('a package price has an amount, a size and free units', () => {
    const json = { model: 'package', package_amount: '0.50', package_size: '25', free_units: '20' };
    const value = {
      model: 'package',
      packageAmount: parseAmount('0.5'),
      packageSize: parseQuantity('25'),
      partialPackage: 'round_up',
      freeUnits: parseQuantity('20'),
      ...unbounded,
    };
    expect(priceFromJson(json)).toEqual({ ok: true, value });
  });

  it('every price survives being written and read, and what is written fits the JSON schema of its model', () => {
    fc.assert(
      fc.property(prices, (price) => {
        const json = priceToJson(price);
        expect(priceFromJson(JSON.parse(JSON.stringify(json)))).toEqual({ ok: true, value: price });
        expect(modelNamed(json)?.name).toBe(price.model);
        expect(Value.Check(modelNamed(json)?.schema('') as TSchema, json)).toBe(true);
      }),
      { numRuns: scaled(500) },
    );
  });

  it.each([
    ['nothing', undefined, ['price missing']],
    ['null', null, ['price wrong_type']],
    ['an array', [], ['price wrong_type']],
    ['a text', 'flat', ['price wrong_type']],
    ['no model', { amount: '1' }, ['price.model missing']],
    ['an unknown model', { model: 'auction' }, ['price.model not_allowed']],
    ['a model that names something on the prototype', { model: 'constructor' }, ['price.model not_allowed']],
    ['no amount', { model: 'flat' }, ['price.amount missing']],
    ['a negative amount', { model: 'flat', amount: '-1' }, ['price.amount negative']],
    ['a JSON number', { model: 'flat', amount: 20 }, ['price.amount wrong_type']],
    ['an exponent', { model: 'flat', amount: '1e-7' }, ['price.amount not_a_decimal']],
    ['13 decimals', { model: 'flat', amount: '0.0000000000001' }, ['price.amount not_a_decimal']],
    ['21 integer digits', { model: 'flat', amount: '1'.repeat(21) }, ['price.amount not_a_decimal']],
    ['minus and no decimal', { model: 'flat', amount: '-x' }, ['price.amount not_a_decimal']],
    ['a misspelt field', { model: 'per_unit', unit_amount: '1', free_unit: '5' }, ['price.free_unit unknown_field']],
    ['a negative allowance', { model: 'per_unit', unit_amount: '1', free_units: '-1' }, ['price.free_units negative']],
    [
      'null for an optional field',
      { model: 'per_unit', unit_amount: '1', free_units: null },
      ['price.free_units wrong_type'],
    ],
    [
      'a package of nothing',
      { model: 'package', package_amount: '1', package_size: '0' },
      ['price.package_size not_positive'],
    ],
    ['no tiers', { model: 'graduated' }, ['price.tiers missing']],
    ['tiers that are no list', { model: 'graduated', tiers: {} }, ['price.tiers wrong_type']],
    ['an empty list of tiers', graduated(), ['price.tiers wrong_length']],
    ['more tiers than allowed', graduated(...Array(tiersMax + 1).fill(0)), ['price.tiers wrong_length']],
    ['a tier that is no object', graduated(7), ['price.tiers[0] wrong_type']],
    ['a bounded last tier', graduated({ up_to: '5', unit_amount: '1' }), ['price.tiers[0].up_to not_allowed']],
    ['a last tier without a bound', graduated({ unit_amount: '1' }), ['price.tiers[0].up_to missing']],
    [
      'an unbounded tier before the last',
      graduated({ up_to: null, unit_amount: '1' }, { up_to: null, unit_amount: '1' }),
      ['price.tiers[0].up_to not_allowed'],
    ],
    [
      'an empty first tier',
      graduated({ up_to: '0', unit_amount: '1' }, { up_to: null, unit_amount: '1' }),
      ['price.tiers[0].up_to not_increasing'],
    ],
    [
      'equal and falling bounds',
      graduated(
        { up_to: '5', unit_amount: '1' },
        { up_to: '5.0', unit_amount: '1' },
        { up_to: '4', unit_amount: '1' },
        { up_to: null, unit_amount: '1' },
      ),
      ['price.tiers[1].up_to not_increasing', 'price.tiers[2].up_to not_increasing'],
    ],
  ])('a price with %s is refused', (_, json, faults) => {
    expect(faultsOf(json)).toEqual(faults);
  });

  it('all faults are listed together, each with its path', () => {
    const json = {
      model: 'graduated',
      tiers: [
        { up_to: 'x', unit_amount: '-1' },
        { up_to: '9', flat_amount: 1, extra: 1 },
      ],
      free_units: '',
    };
    expect(faultsOf(json)).toEqual([
      'price.tiers[0].unit_amount negative',
      'price.tiers[0].up_to not_a_decimal',
      'price.tiers[1].extra unknown_field',
      'price.tiers[1].unit_amount missing',
      'price.tiers[1].flat_amount wrong_type',
      'price.tiers[1].up_to not_allowed',
      'price.free_units not_a_decimal',
    ]);
  });

  it('a message names the models, or says how a share is written', () => {
    const messageOf = (json: unknown) => {
      const parsed = priceFromJson(json);
      return parsed.ok ? undefined : parsed.faults[0]?.message;
    };
    expect(messageOf({ model: 'auction' })).toBe(
      'must be one of flat, per_unit, graduated, volume, package, tiered_flat, percentage, basis_points, ' +
        'graduated_percentage, dynamic, matrix, cost_book',
    );
    expect(messageOf({ model: 'percentage', percent: '2.9%' })).toBe(
      'must be a decimal string such as "2.9", with at most 4 digits before and 10 after the point',
    );
  });

  it('a model is known by its name alone, and what is no price has none', () => {
    expect(modelNamed({ model: 'volume', tiers: 7 })?.name).toBe('volume');
    for (const json of [undefined, null, 7, 'volume', ['volume'], {}, { model: 'toString' }])
      expect(modelNamed(json)).toBeUndefined();
    expect(() => priceToJson({ model: 'auction' } as never)).toThrow('there is no price model auction');
  });

  it('[I27] keys of the prototype are unknown fields and pollute nothing', () => {
    const json: unknown = JSON.parse('{"model":"flat","amount":"1","__proto__":{"amount":"0"}}');
    expect(faultsOf(json)).toEqual(['price.__proto__ unknown_field']);
    const inherited: unknown = Object.assign(Object.create({ amount: '1' }), { model: 'flat' });
    expect(faultsOf(inherited)).toEqual(['price.amount missing']);
  });
});
