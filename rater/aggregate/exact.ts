/**
 * Decimal text, and arithmetic over it, as SQL: whole numbers at a power of ten in an Int256, NULL where there is no
 * usable value.
 */
import type { Expression } from '#schemas/expression.ts';
import { digitsOf, literalDigits, quotientShifts, scaled, valueScale } from '#schemas/expression-digits.ts';
import { type IntegerMax, integerDigitsMax, measuredPattern, operandDigitsMax } from '#schemas/number-text.ts';

export const wholeSql = (value: bigint): string => `toInt256('${value}')`;

/**
 * A text as a whole number at 10^-12, NULL where it has no value: `measuredNumber` of schemas/number-text.ts. `text` is
 * a column of `Nullable(String)`. The store's decimal cuts off what is behind the 13th digit, and that digit says how
 * the 12th is rounded. Whole numbers as a program writes them, which most values are, take a shorter way: a query over
 * them takes a third of the time. Short otherwise, as reading a statement takes longer than running it over little
 * usage.
 */
export const scaledSql = (text: string, integerMax: IntegerMax = integerDigitsMax): string => {
  const kept = `ifNull(round(toDecimal256OrNull(${text}, ${valueScale + 1}), ${valueScale}), toDecimal256(0, ${valueScale + 1}))`;
  const slow = `if(ifNull(match(${text}, '${measuredPattern(integerMax)}'), 0), intDiv(reinterpretAsInt256(${kept}), 10), NULL)`;
  const whole = `toUInt64OrNull(${text})`;
  const isWhole = `ifNull(toString(${whole}) = ${text} AND length(${text}) <= ${integerMax}, 0)`;
  return `if(${isWhole}, toInt256(assumeNotNull(${whole})) * ${wholeSql(10n ** BigInt(valueScale))}, ${slow})`;
};

const shifted = (sql: string, by: number): string => (by === 0 ? sql : `(${sql} * ${wholeSql(10n ** BigInt(by))})`);

/**
 * A quotient, half away from zero; NULL for a divisor of zero. Each operand stands in the text once, as an argument of
 * a lambda: written out, a text would double with every level.
 */
const quotientSql = (dividend: string, divisor: string): string =>
  `arrayMap((n, d) -> if(ifNull(d, 0) = 0, NULL, sign(n) * if(d < 0, -1, 1) * intDiv(2 * abs(n) + abs(d), if(ifNull(d, 0) = 0, toUInt256(1), 2 * abs(assumeNotNull(d))))), [${dividend}], [${divisor}])[1]`;

const nodeSql = (node: Expression, columnOf: (path: string) => string): string => {
  switch (node.kind) {
    case 'literal':
      return wholeSql(scaled(node.text, literalDigits(node.text).scale));
    case 'property':
      return scaledSql(columnOf(node.path), operandDigitsMax);
    case 'negative':
      return `(-${nodeSql(node.of, columnOf)})`;
    case 'binary':
      break;
  }
  const [left, right] = [nodeSql(node.left, columnOf), nodeSql(node.right, columnOf)];
  const [leftDigits, rightDigits] = [digitsOf(node.left), digitsOf(node.right)];
  if (node.operator === '*') return `(${left} * ${right})`;
  if (node.operator === '/') {
    const shifts = quotientShifts(leftDigits, rightDigits);
    return quotientSql(shifted(left, shifts.dividend), shifted(right, shifts.divisor));
  }
  const { scale } = digitsOf(node);
  return `(${shifted(left, scale - leftDigits.scale)} ${node.operator} ${shifted(right, scale - rightDigits.scale)})`;
};

/**
 * The value of an expression at 10^-12, rounded half away from zero; NULL where a property is missing or no decimal, or
 * a divisor is zero.
 */
export const expressionSql = (expression: Expression, columnOf: (path: string) => string): string => {
  const { scale } = digitsOf(expression);
  const sql = nodeSql(expression, columnOf);
  if (scale <= valueScale) return shifted(sql, valueScale - scale);
  return quotientSql(sql, wholeSql(10n ** BigInt(scale - valueScale)));
};
