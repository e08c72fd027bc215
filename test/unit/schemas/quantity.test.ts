import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addQuantities,
  formatQuantity,
  maxQuantity,
  minQuantity,
  parseQuantity,
  type Quantity,
  subtractQuantities,
} from '#schemas/quantity.ts';
import { scaled } from '../../support/scale.ts';

describe('quantity', () => {
  it.each([
    ['426684', '426684'],
    ['426684.000000000000', '426684'],
    ['0.100000000000', '0.1'],
    ['-5.5', '-5.5'],
    ['0.000000000001', '0.000000000001'],
    ['99999999999999999999999999.999999999999', '99999999999999999999999999.999999999999'],
    [`${'9'.repeat(64)}.999999999999`, `${'9'.repeat(64)}.999999999999`],
  ])(
    '[I13] %s, as ClickHouse prints a Decimal with or without trailing zeros, is the quantity %s',
    (text, canonical) => {
      const quantity = parseQuantity(text);
      expect(quantity === undefined ? undefined : formatQuantity(quantity)).toBe(canonical);
    },
  );

  it.each(['', 'nan', 'inf', '1e6', '1.5e-7', '0.0000000000001', '9'.repeat(77), 'NULL', '1.', '.1'])(
    'the text "%s" is refused',
    (text) => {
      expect(parseQuantity(text)).toBeUndefined();
    },
  );

  it('[I13] every quantity of Decimal(76, 12) survives being printed and read', () => {
    const max = 10n ** 76n - 1n;
    fc.assert(
      fc.property(fc.bigInt({ min: -max, max }), (value) => {
        expect(parseQuantity(formatQuantity(value as Quantity))).toBe(value);
      }),
      { numRuns: scaled(1000) },
    );
  });

  it('sums, differences and bounds are exact', () => {
    const a = parseQuantity('0.1') as Quantity;
    const b = parseQuantity('0.2') as Quantity;
    expect(formatQuantity(addQuantities(a, b))).toBe('0.3');
    expect(formatQuantity(subtractQuantities(a, b))).toBe('-0.1');
    expect(minQuantity(a, b)).toBe(a);
    expect(maxQuantity(a, b)).toBe(b);
  });
});
