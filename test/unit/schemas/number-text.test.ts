import { Decimal } from 'decimal.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decimalsMax, integerDigitsMax, measuredNumber, plainNumber } from '#schemas/number-text.ts';
import { numberTexts } from '../../support/number-texts.ts';
import { scaled } from '../../support/scale.ts';

const Exact = Decimal.clone({ precision: 1_000, toExpNeg: -2_000, toExpPos: 2_000, maxE: 9e15, minE: -9e15 });

/** The value by decimal.js; undefined where the text is no number of ours or has too many digits. */
const exactOf = (text: string, integerMax: number): Decimal | undefined => {
  if (!/^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(text)) return undefined;
  const value = new Exact(text);
  if (value.isZero()) return value;
  return value.isFinite() && value.abs().lt(new Exact(10).pow(integerMax)) && value.decimalPlaces() <= decimalsMax ? value : undefined;
};

describe('a text', () => {
  it.each([
    ['0.30000000000000004', '0.30000000000000004', 300_000_000_000n],
    ['1e-7', '0.0000001', 100_000n],
    ['1E+3', '1000', 1_000_000_000_000_000n],
    ['1.0E-5', '0.00001', 10_000_000n],
    ['-2.50e+1', '-25', -25_000_000_000_000n],
    ['00.5', '0.5', 500_000_000_000n],
    ['0e9999', '0', 0n],
    ['-0.0', '0', 0n],
    ['0.0000000000005', '0.0000000000005', 1n],
    ['-0.0000000000005', '-0.0000000000005', -1n],
    ['0.00000000000049999', '0.00000000000049999', 0n],
    ['1e-52', `0.${'0'.repeat(51)}1`, 0n],
    ['1e39', `1${'0'.repeat(39)}`, 10n ** 51n],
    ['9'.repeat(40), '9'.repeat(40), (10n ** 40n - 1n) * 10n ** 12n],
  ])('%s is the number %s', (text, plain, value) => {
    expect(plainNumber(text)).toBe(plain);
    expect(measuredNumber(text)).toBe(value);
  });

  it.each([
    '',
    ' 1',
    '1 ',
    '+1',
    '.5',
    '1.',
    '1e',
    'e1',
    '1e+',
    '--1',
    '0x10',
    'NaN',
    'Infinity',
    '1_000',
    '1,5',
    '١',
    '1e1.5',
    '1e40',
    '1e-53',
    '1e400',
  ])('"%s" has no value', (text) => {
    expect(plainNumber(text)).toBeUndefined();
    expect(measuredNumber(text)).toBeUndefined();
  });

  it('that would be rounded to a digit too many has no value', () => {
    expect(measuredNumber(`${'9'.repeat(40)}.${'9'.repeat(13)}`)).toBeUndefined();
    expect(measuredNumber(`${'9'.repeat(18)}.${'9'.repeat(13)}`, 18)).toBeUndefined();
  });

  it('[I13] is worth what decimal.js says, rounded once to 12 decimals, half away from zero', () => {
    fc.assert(
      fc.property(numberTexts, fc.constantFrom(18, integerDigitsMax), (text, integerMax) => {
        // The store looks at no longer exponent.
        const exact = /[eE][+-]?\d{5}/.test(text) ? undefined : exactOf(text, integerMax);
        const rounded = exact?.toDecimalPlaces(12, Decimal.ROUND_HALF_UP);
        const expected = rounded?.abs().lt(new Exact(10).pow(integerMax)) ? BigInt(rounded.times(1e12).toFixed(0)) : undefined;
        expect(measuredNumber(text, integerMax)).toBe(expected);
        const whole = exactOf(text, integerDigitsMax);
        expect(plainNumber(text)).toBe(whole === undefined ? undefined : whole.isZero() ? '0' : whole.toFixed());
      }),
      { numRuns: scaled(20_000) },
    );
  });
});
