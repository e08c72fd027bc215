/**
 * Decimal text <-> whole numbers at a fixed power of ten; the one place where digits are read or written.
 * Only `money.ts`, `quantity.ts` and `tax-rate.ts` use it and give the result its brand.
 */
import assert from 'node:assert/strict';

const zero = '0'.charCodeAt(0);

export type FixedPointBounds = {
  /**
   * Decimal places of the scale, which is also the most that a text may have: a digit that can't be kept is refused,
   * not cut off.
   */
  readonly scale: number;
  readonly integerDigitsMax: number;
};

/**
 * `undefined` if the text is not `-?\d+(\.\d+)?` within the bounds. Leading zeros count as digits, so work is bounded
 * by the length.
 */
export const parseFixedPoint = (text: string, { scale, integerDigitsMax }: FixedPointBounds): bigint | undefined => {
  if (text.length > integerDigitsMax + scale + 2) return undefined;
  const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text);
  if (!match) return undefined;
  const [, sign = '', integer = '', fraction = ''] = match;
  if (integer.length > integerDigitsMax || fraction.length > scale) return undefined;
  const magnitude = BigInt(integer + fraction.padEnd(scale, '0'));
  return sign === '-' ? -magnitude : magnitude;
};

/** Canonical text: no trailing zeros, no point without a fraction, no "-0". One value has one text. */
export const formatFixedPoint = (value: bigint, scale: number): string => {
  if (value === 0n) return '0';
  const { sign, integer, fraction } = digitsOf(value, scale);
  let end = fraction.length;
  while (end > 0 && fraction.charCodeAt(end - 1) === zero) end -= 1;
  return end === 0 ? sign + integer : `${sign}${integer}.${fraction.slice(0, end)}`;
};

/**
 * Text with exactly `places` decimals ("25.40"). The value must be a multiple of that unit: formatting never rounds.
 */
export const formatFixedPlaces = (value: bigint, scale: number, places: number): string => {
  const { sign, integer, fraction } = digitsOf(value, scale);
  for (let place = places; place < fraction.length; place += 1)
    if (fraction.charCodeAt(place) !== zero)
      assert.fail(`${formatFixedPoint(value, scale)} is not a whole number of units of ${places} decimals`);
  return places === 0 ? sign + integer : `${sign}${integer}.${fraction.slice(0, places)}`;
};

const digitsOf = (value: bigint, scale: number): { sign: string; integer: string; fraction: string } => {
  const digits = (value < 0n ? -value : value).toString().padStart(scale + 1, '0');
  return { sign: value < 0n ? '-' : '', integer: digits.slice(0, -scale), fraction: digits.slice(-scale) };
};
