import { Decimal } from 'decimal.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decimalsMax, integerDigitsMax, measuredNumber, operandDigitsMax, plainNumber } from '#schemas/number-text.ts';
import { numberTexts } from '../../support/number-texts.ts';
import { scaled } from '../../support/scale.ts';

const Exact = Decimal.clone({ precision: 1_000, toExpNeg: -2_000, toExpPos: 2_000, maxE: 9e15, minE: -9e15 });

/** The value of what JSON may say, by decimal.js; undefined where it is no number, or has too many digits. */
const exactOf = (text: string): Decimal | undefined => {
  if (!/^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(text)) return undefined;
  const value = new Exact(text);
  if (value.isZero()) return value;
  return value.isFinite() && value.abs().lt('1e40') && value.decimalPlaces() <= decimalsMax ? value : undefined;
};

/** Whether a meter reads a text: part by part, without a pattern. */
const isRead = (text: string, integerMax: number): boolean => {
  const [mantissa = '', exponent, ...more] = text.replace(/^-/, '').split(/[eE]/);
  const [integer = '', decimals, ...others] = mantissa.split('.');
  const isDigits = (part: string, max: number): boolean => /^[0-9]+$/.test(part) && part.length <= max;
  if (more.length + others.length > 0 || !isDigits(integer, exponent === undefined ? integerMax : 3)) return false;
  if (decimals !== undefined && !isDigits(decimals, exponent === undefined ? 52 : 20)) return false;
  if (exponent === undefined) return true;
  return isDigits(exponent.replace(/^[+-]/, ''), 2) && Number(exponent) <= integerMax - 3 && Number(exponent) >= -52;
};

describe('a text', () => {
  it.each([
    ['0.30000000000000004', '0.30000000000000004', 300_000_000_000n],
    ['1e-7', '0.0000001', 100_000n],
    ['1E+3', '1000', 1_000_000_000_000_000n],
    ['1.0E-5', '0.00001', 10_000_000n],
    ['-2.50e+1', '-25', -25_000_000_000_000n],
    ['00.5', '0.5', 500_000_000_000n],
    ['0e37', '0', 0n],
    ['-0.0', '0', 0n],
    ['0.0000000000005', '0.0000000000005', 1n],
    ['-0.0000000000005', '-0.0000000000005', -1n],
    ['0.00000000000049999', '0.00000000000049999', 0n],
    ['1e-52', `0.${'0'.repeat(51)}1`, 0n],
    ['999e37', `999${'0'.repeat(37)}`, 999n * 10n ** 49n],
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

  it('[I13] is worth what decimal.js says, rounded once to 12 decimals, half away from zero', () => {
    fc.assert(
      fc.property(numberTexts, fc.constantFrom(operandDigitsMax, integerDigitsMax), (text, integerMax) => {
        const rounded = isRead(text, integerMax)
          ? new Exact(text).toDecimalPlaces(12, Decimal.ROUND_HALF_UP)
          : undefined;
        expect(measuredNumber(text, integerMax)).toBe(rounded && BigInt(rounded.times(1e12).toFixed(0)));
        const whole = exactOf(text);
        const plain = plainNumber(text);
        expect(plain).toBe(whole === undefined ? undefined : whole.isZero() ? '0' : whole.toFixed());
        // What JSON may say is read by every meter.
        if (plain !== undefined) expect(isRead(plain, integerDigitsMax)).toBe(true);
      }),
      { numRuns: scaled(20_000) },
    );
  });
});
