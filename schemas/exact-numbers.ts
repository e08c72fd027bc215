/**
 * JSON numbers without loss. JavaScript reads a number as a double, which keeps 15 significant digits and turns what is
 * too small into zero. So the few numbers that a double does not carry are wrapped in the bytes, before they are
 * parsed, and are read later from their own text (number-text.ts). Rejected option: JSON.parse with a reviver that sees
 * each number's source. It calls back for every value (1.9 s for 5 MB of zeros against 0.1 s) and recurses, so that
 * deep nesting ends in a RangeError.
 */
import { randomUUID } from 'node:crypto';

/** What a double carries without loss. */
export const significantDigitsMax = 15;

/**
 * Significant digits of a JSON number's text: without sign, point, exponent and the zeros at either end. One pass, also
 * over megabytes.
 */
export const significantDigitsOf = (source: string): number => {
  let digits = 0;
  let first = 0;
  let last = -1;
  for (let at = 0; at < source.length; at += 1) {
    const character = source.charAt(at);
    if (character === 'e' || character === 'E') break;
    if (character === '-' || character === '.') continue;
    if (character !== '0') {
      if (last < 0) first = digits;
      last = digits;
    }
    digits += 1;
  }
  return last < 0 ? 0 : last - first + 1;
};

/**
 * A number of up to 15 characters has at most 15 digits, and one without a long exponent or long text is not too small.
 */
const mayBeInexact = /[0-9.]{16}|[eE]-0*[1-9]\d\d/;

const numberShape = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/** Whether a double changes the number: too many digits, or so small that nothing is left. */
const isInexact = (source: string): boolean => {
  const digits = significantDigitsOf(source);
  return digits > significantDigitsMax || (digits > 0 && Number(source) === 0);
};

/**
 * Known to nobody outside of this process, so no caller can send what is wrapped already; what is read does not depend
 * on it.
 */
const mark = `\u0000${randomUUID()}`;
const markStart = Buffer.from(`{${JSON.stringify(mark)}:"`);
const markEnd = Buffer.from('"}');

/** The source of a number that was wrapped, undefined for any other value. */
export const inexactSourceOf = (value: unknown): string | undefined => {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, mark)) return undefined;
  const source = (value as Record<string, unknown>)[mark];
  return typeof source === 'string' ? source : undefined;
};

/** A number from its source that no double carries, as it is found where JSON held it. */
export const inexactNumber = (source: string): unknown => ({ [mark]: source });

const quote = 0x22;
const backslash = 0x5c;
const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= 0x30 && byte <= 0x39;
const isOfNumber = (byte: number | undefined): boolean =>
  isDigit(byte) || byte === 0x2b || byte === 0x2d || byte === 0x2e || byte === 0x45 || byte === 0x65;

const endOfString = (body: Buffer, from: number): number => {
  let at = from + 1;
  while (at < body.length && body[at] !== quote) at += body[at] === backslash ? 2 : 1;
  return at + 1;
};

/**
 * The body with each inexact number wrapped; the same body where it has none. Text that is no JSON stays text that is
 * no JSON.
 */
export const wrapInexactNumbers = (body: Buffer, text: string): string => {
  if (!mayBeInexact.test(text)) return text;
  const parts: Buffer[] = [];
  let copied = 0;
  for (let at = 0; at < body.length; ) {
    if (body[at] === quote) {
      at = endOfString(body, at);
      continue;
    }
    if (!isDigit(body[at]) && body[at] !== 0x2d) {
      at += 1;
      continue;
    }
    const start = at;
    while (isOfNumber(body[at])) at += 1;
    // The shortest inexact number is 1e-324; most numbers are shorter.
    const source = at - start < 6 ? '' : body.toString('latin1', start, at);
    if (!numberShape.test(source) || !isInexact(source)) continue;
    parts.push(body.subarray(copied, start), markStart, body.subarray(start, at), markEnd);
    copied = at;
  }
  return parts.length === 0 ? text : Buffer.concat([...parts, body.subarray(copied)]).toString('utf8');
};
