/**
 * Decimal text <-> whole numbers at a fixed power of ten; the one place where digits are read or written.
 * Only `money.ts`, `quantity.ts` and `tax-rate.ts` use it and give the result its brand.
 */
import assert from 'node:assert/strict';

const [zero, nine, dot, minus] = [...'09.-'].map((letter) => letter.charCodeAt(0)) as [number, number, number, number];
const exactDigitsMax = 15;

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
  const from = text.charCodeAt(0) === minus ? 1 : 0;
  let point = text.length;
  let small = 0;
  for (let at = from; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === dot && point === text.length) point = at;
    else if (code < zero || code > nine) return undefined;
    else small = small * 10 + (code - zero);
  }
  const places = Math.max(text.length - point - 1, 0);
  const integerDigits = point - from;
  if (integerDigits === 0 || integerDigits > integerDigitsMax || places > scale || point === text.length - 1)
    return undefined;
  // Of whole numbers with so few digits a double is exact, and five times as fast as the reading of a BigInt.
  const digits =
    integerDigits + places <= exactDigitsMax ? BigInt(small) : BigInt(text.slice(from, point) + text.slice(point + 1));
  const magnitude = digits * powerOfTen(scale - places);
  return from === 1 ? -magnitude : magnitude;
};

const powers: bigint[] = [1n];
const powerOfTen = (exponent: number): bigint => {
  for (let last = powers.length - 1; last < exponent; last += 1) powers.push((powers[last] as bigint) * 10n);
  return powers[exponent] as bigint;
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
