/**
 * Which texts are numbers, and what they are worth: the one definition that events, meters and their SQL share (rater/aggregate/exact.ts says the same to the store, and
 * a test holds both together). A number is what JSON takes for one, with leading zeros allowed: `-?digits(.digits)?([eE][+-]?digits)?`. It may have 40 digits before the
 * point and 52 behind it once its exponent is written out, zeros at the ends left out. What a meter takes of it is rounded once to 12 decimals, half away from zero.
 */

/** Digits before the point, of a number that is written without exponent and without zeros in front. */
export const integerDigitsMax = 40;
/** Decimals that a meter keeps, and those that a text may have beyond them. */
export const valueDecimals = 12;
export const decimalsMax = valueDecimals + 40;

/** `digits` x 10^(`point` - their number): without zeros at either end, and none at all for zero. */
type Parts = { readonly isNegative: boolean; readonly digits: string; readonly point: number };

const shape = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/;

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

const isWithin = ({ digits, point }: Parts, integerMax: number): boolean =>
  digits === '' || (point <= integerMax && digits.length - point <= decimalsMax);

/** The same number without exponent and needless zeros: "1e3" -> "1000". Undefined for what is no number, or has more digits than a number may have. */
export const plainNumber = (text: string): string | undefined => {
  const parts = partsOf(text);
  if (!parts || !isWithin(parts, integerDigitsMax)) return undefined;
  const { isNegative, digits, point } = parts;
  if (digits === '') return '0';
  const integer = point > 0 ? digits.slice(0, point).padEnd(point, '0') : '0';
  const fraction = point > 0 ? digits.slice(point) : '0'.repeat(-point) + digits;
  return `${isNegative ? '-' : ''}${integer}${fraction === '' ? '' : `.${fraction}`}`;
};

/** As long as a text may be that the store looks at: digits before the point, digits behind it, and digits of the exponent. */
export const measurablePattern = '^(-?)([0-9]{1,92})(?:[.]([0-9]{1,92}))?(?:[eE]([-+]?[0-9]{1,4}))?$';
const measurable = new RegExp(measurablePattern);

/**
 * What a meter takes of a text: a whole number at 10^-12, half away from zero. Undefined where it has no value: the text is no number, or one that is too long, or it has
 * more than `integerMax` digits before the point.
 */
export const measuredNumber = (text: string, integerMax: number = integerDigitsMax): bigint | undefined => {
  if (!measurable.test(text)) return undefined;
  const parts = partsOf(text);
  if (!parts || !isWithin(parts, integerMax)) return undefined;
  const { isNegative, digits, point } = parts;
  const kept = point + valueDecimals;
  const magnitude = BigInt(kept > 0 ? digits.slice(0, kept).padEnd(kept, '0') : '0') + (kept >= 0 && digits.charAt(kept) >= '5' ? 1n : 0n);
  // Rounding may carry into one more digit.
  if (magnitude >= 10n ** BigInt(integerMax + valueDecimals)) return undefined;
  return isNegative ? -magnitude : magnitude;
};
