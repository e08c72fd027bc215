/** What a meter makes of one event, with the same meaning as the SQL and in the same whole numbers. */
import assert from 'node:assert/strict';
import { type Expression, parseExpression } from '#schemas/expression.ts';
import { digitsOf, literalDigits, quotientShifts, scaled, valueScale } from '#schemas/expression-digits.ts';
import type { Comparison, Condition, Filter } from '#schemas/filter.ts';
import type { MeterDefinition } from '#schemas/meter.ts';
import { divide } from '#schemas/money.ts';
import { measuredNumber, operandDigitsMax } from '#schemas/number-text.ts';
import { formatQuantity, type Quantity } from '#schemas/quantity.ts';

/**
 * `value` is canonical decimal text (1 for `count`; for `unique` the property's own text); null where the event has no
 * usable one.
 */
export type MeasuredEvent = { readonly counted: false } | { readonly counted: true; readonly value: string | null };

export type PlainEvent = { readonly event: string; readonly properties: ReadonlyMap<string, string> };

const compare: Readonly<Record<Comparison, (a: bigint, b: bigint) => boolean>> = {
  gt: (a, b) => a > b,
  gte: (a, b) => a >= b,
  lt: (a, b) => a < b,
  lte: (a, b) => a <= b,
};

const holdsCondition = (condition: Condition, text: string | undefined): boolean => {
  switch (condition.operator) {
    case 'eq':
      return text === condition.value;
    case 'ne':
      return text !== condition.value;
    case 'prefix':
      return text?.startsWith(condition.value) ?? false;
    case 'in':
      return text !== undefined && condition.value.includes(text);
    case 'not_in':
      return text === undefined || !condition.value.includes(text);
    case 'exists':
      return (text !== undefined) === condition.value;
    default: {
      const value = text === undefined ? undefined : measuredNumber(text);
      return value !== undefined && compare[condition.operator](value, scaled(condition.value, valueScale));
    }
  }
};

const holdsFilter = (filter: Filter, properties: ReadonlyMap<string, string>): boolean => {
  if ('and' in filter) return filter.and.every((one) => holdsFilter(one, properties));
  if ('or' in filter) return filter.or.some((one) => holdsFilter(one, properties));
  return holdsCondition(filter, properties.get(filter.property));
};

/** Half away from zero; undefined for a divisor of zero. */
const quotient = (dividend: bigint, divisor: bigint): bigint | undefined => {
  if (divisor === 0n) return undefined;
  return divisor > 0n ? divide(dividend, divisor, 'half_up') : divide(-dividend, -divisor, 'half_up');
};

/** The value of a node at its own scale, which the text of the expression decides. */
const evaluate = (node: Expression, properties: ReadonlyMap<string, string>): bigint | undefined => {
  if (node.kind === 'literal') return scaled(node.text, literalDigits(node.text).scale);
  if (node.kind === 'property') {
    const text = properties.get(node.path);
    return text === undefined ? undefined : measuredNumber(text, operandDigitsMax);
  }
  if (node.kind === 'negative') {
    const inner = evaluate(node.of, properties);
    return inner === undefined ? undefined : -inner;
  }
  const [left, right] = [evaluate(node.left, properties), evaluate(node.right, properties)];
  if (left === undefined || right === undefined) return undefined;
  const [leftDigits, rightDigits] = [digitsOf(node.left), digitsOf(node.right)];
  if (node.operator === '*') return left * right;
  if (node.operator === '/') {
    const shifts = quotientShifts(leftDigits, rightDigits);
    return quotient(left * 10n ** BigInt(shifts.dividend), right * 10n ** BigInt(shifts.divisor));
  }
  const { scale } = digitsOf(node);
  const [a, b] = [left * 10n ** BigInt(scale - leftDigits.scale), right * 10n ** BigInt(scale - rightDigits.scale)];
  return node.operator === '+' ? a + b : a - b;
};

const valueOfExpression = (text: string, properties: ReadonlyMap<string, string>): bigint | undefined => {
  const parsed = parseExpression(text);
  assert(parsed.ok, 'a meter that is kept has an expression that can be read');
  const { scale } = digitsOf(parsed.value);
  const exact = evaluate(parsed.value, properties);
  if (exact === undefined) return undefined;
  return scale <= valueScale
    ? exact * 10n ** BigInt(valueScale - scale)
    : quotient(exact, 10n ** BigInt(scale - valueScale));
};

const valueText = (meter: MeterDefinition, properties: ReadonlyMap<string, string>): string | null => {
  if (meter.aggregation === 'count') return '1';
  if (meter.expression !== null) {
    const exact = valueOfExpression(meter.expression, properties);
    return exact === undefined ? null : formatQuantity(exact as Quantity);
  }
  const text = properties.get(meter.property ?? '');
  if (text === undefined || meter.aggregation === 'unique') return text ?? null;
  const value = measuredNumber(text);
  return value === undefined ? null : formatQuantity(value as Quantity);
};

export const measureEvent = (meter: MeterDefinition, { event, properties }: PlainEvent): MeasuredEvent => {
  if (event !== meter.event || (meter.filter && !holdsFilter(meter.filter, properties))) return { counted: false };
  return { counted: true, value: valueText(meter, properties) };
};
