/**
 * How many digits the value of an expression can have, before any event is seen. A value is a whole number at a power
 * of ten that only the text of the expression decides, in an Int256 (76 digits); so nothing overflows and nothing is
 * rounded but a division, and the store and this code come to the same digits.
 */
import assert from 'node:assert/strict';
import type { Expression } from '#schemas/expression.ts';
import { operandDigitsMax } from '#schemas/number-text.ts';

/** Digits before the point that a value can't exceed, and decimals that it has. */
export type Digits = { readonly integer: number; readonly scale: number };

/** A property that an expression reads; one with more digits makes the event unmeasured. */
const operandDigits: Digits = { integer: operandDigitsMax, scale: 12 };
/** An event's value, and a quotient. */
export const valueScale = 12;
const digitsMax = 76;
/** Of an event's value: 12 digits are left for the sum over a trillion of events. */
export const valueIntegerDigitsMax = 52;
/** Of a value that is multiplied by milliseconds before it is summed: as many as a property alone may have. */
export const weightedIntegerDigitsMax = 40;

export const literalDigits = (text: string): Digits => {
  const [integer = '', fraction = ''] = text.split('.');
  return { integer: integer.replace(/^0+/, '').length, scale: fraction.replace(/0+$/, '').length };
};

/** By which powers of ten dividend and divisor are multiplied, so that their whole quotient has 12 decimals. */
export const quotientShifts = (
  left: Digits,
  right: Digits,
): { readonly dividend: number; readonly divisor: number } => {
  const shift = valueScale + right.scale - left.scale;
  return { dividend: Math.max(0, shift), divisor: Math.max(0, -shift) };
};

/** Digits of the node, and the most that any step on the way to it holds. */
type Needed = Digits & { readonly widest: number };

const total = ({ integer, scale }: Digits): number => integer + scale;

const quotient = (left: Needed, right: Needed): Needed => {
  const shifts = quotientShifts(left, right);
  // Twice the dividend and the divisor stand in one number when it is rounded.
  const rounded = Math.max(total(left) + shifts.dividend, total(right) + shifts.divisor) + 1;
  // The smallest divisor is one unit of its last decimal; rounding may carry into one more digit.
  const digits = { integer: left.integer + right.scale + 1, scale: valueScale };
  return { ...digits, widest: Math.max(left.widest, right.widest, rounded, total(digits)) };
};

const neededBy = (node: Expression): Needed => {
  if (node.kind === 'negative') return neededBy(node.of);
  if (node.kind !== 'binary') {
    const digits = node.kind === 'literal' ? literalDigits(node.text) : operandDigits;
    return { ...digits, widest: total(digits) };
  }
  const [left, right] = [neededBy(node.left), neededBy(node.right)];
  if (node.operator === '/') return quotient(left, right);
  const digits =
    node.operator === '*'
      ? { integer: left.integer + right.integer, scale: left.scale + right.scale }
      : { integer: Math.max(left.integer, right.integer) + 1, scale: Math.max(left.scale, right.scale) };
  return { ...digits, widest: Math.max(left.widest, right.widest, total(digits)) };
};

export const digitsOf = (node: Expression): Digits => neededBy(node);

/** Why an expression can't be kept exactly; undefined if it can. */
export const digitsFault = (expression: Expression, integerMax = valueIntegerDigitsMax): string | undefined => {
  const { integer, scale, widest } = neededBy(expression);
  // To have 12 decimals it is rounded, or multiplied.
  const finished = scale > valueScale ? integer + scale + 1 : integer + valueScale;
  const needed = Math.max(widest, finished);
  if (needed > digitsMax) {
    return `may need ${needed} digits, and ${digitsMax} can be kept exactly: a property counts as ${operandDigits.integer} digits before and ${operandDigits.scale} after the point, and a product adds up`;
  }
  return integer > integerMax
    ? `may have ${integer} digits before the point, and a value has at most ${integerMax}`
    : undefined;
};

/** A literal or a property's text as a whole number at `scale`; the text has no more decimals. */
export const scaled = (text: string, scale: number): bigint => {
  const [integer = '', fraction = ''] = text.split('.');
  const kept = fraction.slice(0, scale);
  assert(/^0*$/.test(fraction.slice(scale)), 'no digit is cut off');
  return BigInt(integer + kept.padEnd(scale, '0'));
};
