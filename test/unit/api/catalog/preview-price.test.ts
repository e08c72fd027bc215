import { describe, expect, it } from 'vitest';
import { FailureError } from '#schemas/failures.ts';
import { formatMinorUnits, formatPreciseAmount } from '#schemas/money.ts';
import { defaultRatingPolicy } from '#schemas/rated-line.ts';
import { chargeAsked, previewPrice as previewOf } from '../../../../api/catalog/preview-price.ts';
import { noSourceRows } from '../../../../rater/price/source-rows.ts';

type Asked = Parameters<typeof chargeAsked>[0];
const previewPrice = (asked: Asked) =>
  previewOf(asked, chargeAsked(asked, 'secret'), noSourceRows, 0, defaultRatingPolicy).rated;

const perEvent = { model: 'percentage', percent: '2.9', fixed_amount: '0.30', free_events: 1 };
const matrix = {
  model: 'matrix',
  dimensions: ['model'],
  cells: [{ match: { model: 'large' }, price: { model: 'per_unit', unit_amount: '0.002' } }],
  default_price: { model: 'per_unit', unit_amount: '0.0001' },
};
const faultsOf = (asked: object): string[] => {
  try {
    previewPrice({ currency: 'USD', ...asked } as never);
  } catch (error) {
    if (error instanceof FailureError) return error.faults.map(({ field, code }) => `${field} ${code}`);
    throw error;
  }
  return [];
};

describe('a preview of a price', () => {
  it('rates a quantity, rounded as asked', () => {
    const price = { model: 'per_unit', unit_amount: '0.005' };
    const half = previewPrice({ price, currency: 'USD', quantity: '1' });
    expect([half.amount, half.precise].map(String)).toEqual([`${10n ** 10n}`, `${5n * 10n ** 21n}`]);
    expect(previewPrice({ price, currency: 'USD', quantity: '1', rounding: 'half_even' }).amount).toBe(0n);
    const asked = { price, currency: 'USD' as const, quantity: '1' };
    const own = { rounding: 'half_even' as const };
    expect(previewOf(asked, chargeAsked(asked, 'secret'), noSourceRows, 0, own).rated.amount).toBe(0n);
    expect(formatMinorUnits(previewPrice({ price, currency: 'JPY', quantity: '300' }).amount, 'JPY')).toBe('2');
  });

  it('needs no quantity for a price that has no meter', () => {
    const rated = previewPrice({ price: { model: 'flat', amount: '20' }, currency: 'EUR' });
    expect(formatPreciseAmount(rated.precise)).toBe('20');
  });

  it('rates events by what each of them is', () => {
    const events = [{ quantity: '100' }, { quantity: '200' }, { quantity: '-5' }];
    // The first is free; 200 x 2.9 % + 0.30; what is given back costs nothing.
    expect(formatPreciseAmount(previewPrice({ price: perEvent, currency: 'USD', events }).precise)).toBe('6.1');
    const used = [{ quantity: '1000', properties: { model: 'large' } }, { quantity: '10000' }];
    expect(formatPreciseAmount(previewPrice({ price: matrix, currency: 'USD', events: used }).precise)).toBe('3');
  });

  it.each([
    ['a price with faults', { price: { model: 'per_unit' }, quantity: '1' }, ['price.unit_amount missing']],
    ['neither quantity nor events', { price: { model: 'per_unit', unit_amount: '1' } }, ['quantity missing']],
    ['both', { price: perEvent, quantity: '1', events: [] }, ['events not_allowed']],
    ['a quantity alone where events have prices', { price: perEvent, quantity: '1' }, ['quantity not_allowed']],
    ['a quantity alone for a matrix', { price: matrix, quantity: '1' }, ['quantity not_allowed']],
    [
      'too many digits',
      { price: { model: 'per_unit', unit_amount: '1' }, events: [{ quantity: '0.0000000000001' }] },
      ['events[0].quantity not_a_decimal'],
    ],
  ])('names what is wrong with %s', (_, asked, faults) => {
    expect(faultsOf(asked)).toEqual(faults);
  });
});
