/** Decimal text, and arithmetic over it, as SQL: whole numbers at a power of ten in an Int256, NULL where there is no usable value. */
import type { Expression } from '#schemas/expression.ts';
import { digitsOf, literalDigits, operandDigits, quotientShifts, scaled, valueScale } from '#schemas/expression-digits.ts';
import { decimalsMax, integerDigitsMax, measurablePattern } from '#schemas/number-text.ts';

/** What most values are. ClickHouse reads it at once, and would silently cut off more decimals than its type has. */
const plainPattern = (integerMax: number): string => `^-?[0-9]{1,${integerMax}}([.][0-9]{1,${valueScale}})?$`;

/**
 * `measuredNumber` of schemas/number-text.ts, step by step: the parts of the text (sign, integer, fraction, exponent), its digits without zeros at the ends with the place
 * of the point among them, the digits that are kept and the one behind them. Each step is bound by a lambda, or the text would be written out dozens of times.
 */
const longNumberSql = (text: string, integerMax: number): string => {
  const parts = `extractGroups(ifNull(${text}, ''), '${measurablePattern}')`;
  const digits = `replaceRegexpOne(replaceRegexpOne(concat(p[2], p[3]), '^0+', ''), '0+$', '')`;
  const zeros = `(length(p[2]) + length(p[3]) - length(replaceRegexpOne(concat(p[2], p[3]), '^0+', '')))`;
  const point = `(toInt32(length(p[2])) + toInt32OrZero(replaceOne(p[4], '+', '')) - toInt32(${zeros}))`;
  const isWithin = `(d = '' OR (at <= ${integerMax} AND toInt32(length(d)) - at <= ${decimalsMax}))`;
  const kept = `(at + ${valueScale})`;
  const magnitude = `(toInt256(concat('0', rightPad(d, greatest(${kept}, 0), '0'))) + (${kept} >= 0 AND substring(d, ${kept} + 1, 1) >= '5'))`;
  const signed = `arrayMap(m -> if(m < toInt256('1${'0'.repeat(integerMax + valueScale)}'), if(p[1] = '-', -m, m), NULL), [${magnitude}])[1]`;
  const value = `arrayMap((d, at) -> if(${isWithin}, ${signed}, NULL), [${digits}], [${point}])[1]`;
  return `arrayMap(p -> if(empty(p), NULL, ${value}), [${parts}])[1]`;
};

/** A text as a whole number at 10^-12, NULL where it has no value. `text` is a column of `Nullable(String)`. The long way is gone for those alone that need it. */
export const scaledSql = (text: string, integerMax: number = integerDigitsMax): string => {
  const plain = `reinterpretAsInt256(ifNull(toDecimal256OrNull(${text}, ${valueScale}), toDecimal256(0, ${valueScale})))`;
  return `multiIf(ifNull(match(${text}, '${plainPattern(integerMax)}'), 0), ${plain}, ifNull(match(${text}, '${measurablePattern}'), 0), ${longNumberSql(text, integerMax)}, NULL)`;
};

const wholeSql = (value: bigint): string => `toInt256('${value}')`;

const shifted = (sql: string, by: number): string => (by === 0 ? sql : `(${sql} * ${wholeSql(10n ** BigInt(by))})`);

/**
 * A quotient, half away from zero; NULL for a divisor of zero. Each operand stands in the text once, as an argument of a lambda: written out, a text would double with
 * every level.
 */
const quotientSql = (dividend: string, divisor: string): string =>
  `arrayMap((n, d) -> if(ifNull(d, 0) = 0, NULL, sign(n) * if(d < 0, -1, 1) * intDiv(2 * abs(n) + abs(d), if(ifNull(d, 0) = 0, toUInt256(1), 2 * abs(assumeNotNull(d))))), [${dividend}], [${divisor}])[1]`;

const nodeSql = (node: Expression, columnOf: (path: string) => string): string => {
  switch (node.kind) {
    case 'literal':
      return wholeSql(scaled(node.text, literalDigits(node.text).scale));
    case 'property':
      return scaledSql(columnOf(node.path), operandDigits.integer);
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

/** The value of an expression at 10^-12, rounded half away from zero; NULL where a property is missing or no decimal, or a divisor is zero. */
export const expressionSql = (expression: Expression, columnOf: (path: string) => string): string => {
  const { scale } = digitsOf(expression);
  const sql = nodeSql(expression, columnOf);
  if (scale <= valueScale) return shifted(sql, valueScale - scale);
  return quotientSql(sql, wholeSql(10n ** BigInt(scale - valueScale)));
};
