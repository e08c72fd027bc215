/** Metered quantities: exact decimals at the scale 10^-12 (`Decimal(38, 12)` in ClickHouse), never a binary float. */
import { formatFixedPoint, parseFixedPoint } from '#schemas/fixed-point.ts';

export type Quantity = bigint & { readonly unit: 'quantity at 10^-12' };

export const quantityScale = 12;

/**
 * `Decimal(76, 12)`, ClickHouse's widest sum at this scale, prints 64 integer digits; a count of packages of 10^-12
 * units has 12 more.
 */
const bounds = { scale: quantityScale, integerDigitsMax: 76 };

export const zeroQuantity = 0n as Quantity;
/** One whole unit: what a flat charge is charged for. */
export const oneQuantity = (10n ** BigInt(quantityScale)) as Quantity;

/** Of a whole number. */
export const wholeQuantity = (units: number): Quantity => (BigInt(units) * oneQuantity) as Quantity;

/**
 * Reads `-?\d+(\.\d+)?`, trailing zeros allowed as ClickHouse prints them; `undefined` for anything else, exponents
 * included.
 */
export const parseQuantity = (text: string): Quantity | undefined =>
  parseFixedPoint(text, bounds) as Quantity | undefined;

/** Canonical decimal text: "426684", "0.5". */
export const formatQuantity = (quantity: Quantity): string => formatFixedPoint(quantity, quantityScale);

/** Nothing is made for a sum with nothing: most prices have no free units. */
export const addQuantities = (a: Quantity, b: Quantity): Quantity =>
  a === zeroQuantity ? b : b === zeroQuantity ? a : ((a + b) as Quantity);
/** So many times as much. */
export const multiplyQuantity = (quantity: Quantity, times: number): Quantity => (quantity * BigInt(times)) as Quantity;
export const subtractQuantities = (a: Quantity, b: Quantity): Quantity => (a - b) as Quantity;
export const minQuantity = (a: Quantity, b: Quantity): Quantity => (a < b ? a : b);
export const maxQuantity = (a: Quantity, b: Quantity): Quantity => (a > b ? a : b);
