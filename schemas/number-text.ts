/**
 * Which texts are numbers, and what they are worth: the one definition that events, meters and their SQL share
 * (rater/aggregate/exact.ts says the same to the store, and a test holds both together). A number is what JSON takes
 * for one, with leading zeros allowed: `-?digits(.digits)?([eE][+-]?digits)?`. It may have 40 digits before the point
 * and 52 behind it: a JSON number once its exponent is written out and without zeros at the ends; a text as it stands,
 * or with up to 3 and 20 digits and an exponent from -52 to 37. What a meter takes of it is rounded once to 12
 * decimals, half away from zero.
 */

/** Digits before the point, of a number that is written without exponent and without zeros in front. */
export const integerDigitsMax = 40;
/** The same of a property that an expression reads, whose digits add up. */
export const operandDigitsMax = 18;
export type IntegerMax = typeof integerDigitsMax | typeof operandDigitsMax;
/** Decimals that a meter keeps, and those that a text may have beyond them. */
const valueDecimals = 12;
export const decimalsMax = valueDecimals + 40;

/** `digits` x 10^(`point` - their number): without zeros at either end, and none at all for zero. */
type Parts = { readonly isNegative: boolean; readonly digits: string; readonly point: number };

const shape = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;

/** A text that reads as a number and that no meter can measure: it has too many digits, or too large an exponent. */
export const isUnmeasurable = (text: string): boolean => shape.test(text) && measuredNumber(text) === undefined;

const partsOf = (text: string): Parts | undefined => {
  const match = shape.exec(text);
  if (!match) return undefined;
  const [, sign, integer = '', fraction = '', exponent = '0'] = match;
  const all = integer + fraction;
  let first = 0;
  while (all[first] === '0') first += 1;
  let end = all.length;
  while (end > first && all[end - 1] === '0') end -= 1;
  return { isNegative: sign === '-', digits: all.slice(first, end), point: integer.length + Number(exponent) - first };
};

const isWithin = ({ digits, point }: Parts): boolean =>
  digits === '' || (point <= integerDigitsMax && digits.length - point <= decimalsMax);

/**
 * The same number without exponent and needless zeros: "1e3" -> "1000". Undefined for what is no number, or has more
 * digits than a number may have.
 */
export const plainNumber = (text: string): string | undefined => {
  const parts = partsOf(text);
  if (!parts || !isWithin(parts)) return undefined;
  const { isNegative, digits, point } = parts;
  if (digits === '') return '0';
  const integer = point > 0 ? digits.slice(0, point).padEnd(point, '0') : '0';
  const fraction = point > 0 ? digits.slice(point) : '0'.repeat(-point) + digits;
  return `${isNegative ? '-' : ''}${integer}${fraction === '' ? '' : `.${fraction}`}`;
};

/**
 * What a meter reads, with up to so many digits before the point once the exponent is written out. A language writes
 * one digit in front of the point where it writes an exponent; three are allowed.
 */
export const measuredPattern = (integerMax: number): string => {
  const exponentMax = integerMax - 3;
  const tens = Math.floor(exponentMax / 10);
  const upTo = `([0-${tens - 1}]?[0-9]|${tens}[0-${exponentMax % 10}])`;
  return `^-?([0-9]{1,${integerMax}}([.][0-9]{1,${decimalsMax}})?|[0-9]{1,3}([.][0-9]{1,20})?[eE]([+]?${upTo}|-([0-4]?[0-9]|5[0-2])))$`;
};
const shapes = new Map([integerDigitsMax, operandDigitsMax].map((max) => [max, new RegExp(measuredPattern(max))]));

/**
 * What a meter takes of a text: a whole number at 10^-12, half away from zero. Undefined where it has no value: the
 * text is no number, or one with too many digits.
 */
export const measuredNumber = (text: string, integerMax: IntegerMax = integerDigitsMax): bigint | undefined => {
  const parts = shapes.get(integerMax)?.test(text) ? partsOf(text) : undefined;
  if (!parts) return undefined;
  const { isNegative, digits, point } = parts;
  const kept = point + valueDecimals;
  const magnitude =
    BigInt(kept > 0 ? digits.slice(0, kept).padEnd(kept, '0') : '0') +
    (kept >= 0 && digits.charAt(kept) >= '5' ? 1n : 0n);
  return isNegative ? -magnitude : magnitude;
};
