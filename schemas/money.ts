/**
 * Money as branded whole numbers. Two scales, for one reason: a line is rounded exactly once.
 *
 * `Amount` (10^-12 of the major unit) is what people write and read: unit prices and printed amounts. `PreciseAmount`
 * (10^-24) is the product of a unit price (scale 12) and a quantity (scale 12), which has up to 24 decimals. Keeping
 * all of them lets a line go from the exact product straight to minor units. With one scale of 10^-12 it would be
 * rounded twice: 0.0049999999999996 would become 0.005 and then 0.01, one cent too much.
 */
import assert from 'node:assert/strict';
import { type Currency, minorUnitsOf } from '#schemas/currency.ts';
import { formatFixedPlaces, formatFixedPoint, parseFixedPoint } from '#schemas/fixed-point.ts';
import type { Quantity } from '#schemas/quantity.ts';

export type Amount = bigint & { readonly unit: 'amount at 10^-12' };
export type PreciseAmount = bigint & { readonly unit: 'amount at 10^-24' };

export const amountScale = 12;
const preciseScale = 24;
export const amountIntegerDigitsMax = 20;

export const zeroAmount = 0n as Amount;
export const zeroPrecise = 0n as PreciseAmount;

/**
 * How a division ends when it does not come out even. All four mirror at zero: round(-x) = -round(x), so a credit note
 * is to the cent what it takes back. (Half "up" towards +infinity would turn -0.005 into 0.00 while 0.005 becomes
 * 0.01.)
 */
export const RoundingMode = {
  /** To the nearest; a half goes away from zero. What invoices use unless told otherwise. */
  halfUp: 'half_up',
  /** To the nearest; a half goes to the even neighbour. */
  halfEven: 'half_even',
  /** Towards zero. */
  down: 'down',
  /** Away from zero. */
  up: 'up',
} as const;
export type RoundingMode = (typeof RoundingMode)[keyof typeof RoundingMode];

const roundingModes: readonly string[] = Object.values(RoundingMode);
export const isRoundingMode = (text: string): text is RoundingMode => roundingModes.includes(text);

/** The one division of money and quantities; the divisor must be positive. */
export const divide = (dividend: bigint, divisor: bigint, mode: RoundingMode): bigint => {
  assert(divisor > 0n, 'a divisor of money is positive');
  const towardsZero = dividend / divisor;
  const rest = dividend - towardsZero * divisor;
  if (rest === 0n) return towardsZero;
  const awayFromZero = towardsZero + (dividend < 0n ? -1n : 1n);
  const twiceRest = 2n * (rest < 0n ? -rest : rest);
  switch (mode) {
    case 'down':
      return towardsZero;
    case 'up':
      return awayFromZero;
    case 'half_up':
      return twiceRest >= divisor ? awayFromZero : towardsZero;
    case 'half_even':
      if (twiceRest === divisor) return towardsZero % 2n === 0n ? towardsZero : awayFromZero;
      return twiceRest > divisor ? awayFromZero : towardsZero;
  }
};

/** Reads `-?\d+(\.\d+)?` with at most 20 digits before and 12 after the point; `undefined` for anything else. */
export const parseAmount = (text: string): Amount | undefined =>
  parseFixedPoint(text, { scale: amountScale, integerDigitsMax: amountIntegerDigitsMax }) as Amount | undefined;

/**
 * For amounts that were computed, stored and read back. They have more integer digits than a price may have: 20 of the
 * widest price and 76 of the widest quantity make 96, and a sum of many adds some.
 */
export const parseStoredAmount = (text: string): Amount | undefined =>
  parseFixedPoint(text, { scale: amountScale, integerDigitsMax: storedIntegerDigitsMax }) as Amount | undefined;

/** One that was written by us: a text that is none is a bug. */
export const amountFromStored = (text: string): Amount => {
  const amount = parseStoredAmount(text);
  assert(amount !== undefined, `a stored amount can't be read: ${text}`);
  return amount;
};

export const parsePreciseAmount = (text: string): PreciseAmount | undefined =>
  parseFixedPoint(text, { scale: preciseScale, integerDigitsMax: storedIntegerDigitsMax }) as PreciseAmount | undefined;

const storedIntegerDigitsMax = 110;

/** Canonical decimal text: "0.000015", "20". */
export const formatAmount = (amount: Amount): string => formatFixedPoint(amount, amountScale);
export const formatPreciseAmount = (precise: PreciseAmount): string => formatFixedPoint(precise, preciseScale);

/** As printed: "25.40", JPY "500". The amount must be a whole number of minor units, which rounded amounts are. */
export const formatMinorUnits = (amount: Amount, currency: Currency): string =>
  formatFixedPlaces(amount, amountScale, minorUnitsOf(currency));

/** Whether an amount of zero or more has so many digits before and after the point, or fewer. */
export const fitsDigits = (
  amount: Amount,
  { integerDigits, decimals }: { readonly integerDigits: number; readonly decimals: number },
): boolean =>
  amount % 10n ** BigInt(amountScale - decimals) === 0n && amount < 10n ** BigInt(amountScale + integerDigits);

/** The product of two amounts whose decimals are together those of one, so that it is exact. */
export const multiplyAmounts = (a: Amount, b: Amount): Amount => {
  const product = a * b;
  assert(product % preciseUnitsPerAmountUnit === 0n, 'a product of amounts loses no digit');
  return (product / preciseUnitsPerAmountUnit) as Amount;
};

/** Exact: nothing is rounded here. */
export const multiply = (unitAmount: Amount, quantity: Quantity): PreciseAmount =>
  (unitAmount * quantity) as bigint as PreciseAmount;

const preciseUnitsPerAmountUnit = 10n ** BigInt(preciseScale - amountScale);

/** As an amount is written, with 12 decimal places: what has finer digits is brought to the nearest, to be shown. */
export const shownPrecise = (precise: PreciseAmount): Amount =>
  divide(precise, preciseUnitsPerAmountUnit, RoundingMode.halfEven) as Amount;
/** The same amount of money at the finer scale. */
export const toPrecise = (amount: Amount): PreciseAmount => (amount * preciseUnitsPerAmountUnit) as PreciseAmount;

/** unit amount x quantity + flat amount, exact. */
export const preciseSum = (unitAmount: Amount, quantity: Quantity, flatAmount: Amount): PreciseAmount => {
  const product = unitAmount * quantity;
  return (flatAmount === 0n ? product : product + flatAmount * preciseUnitsPerAmountUnit) as PreciseAmount;
};

/** One minor unit at both scales, by its number of decimal places: powers are computed once and not for each line. */
const minorUnitsAtScales = [0, 1, 2, 3, 4].map((places) => ({
  amount: 10n ** BigInt(amountScale - places),
  precise: 10n ** BigInt(preciseScale - places),
}));

const minorUnitAtScales = (currency: Currency) => {
  const minorUnit = minorUnitsAtScales[minorUnitsOf(currency)];
  assert(minorUnit, `${currency} has at most 4 decimal places`);
  return minorUnit;
};

/**
 * The only way from an exact amount to a printed one: a whole number of the currency's minor units, in one division.
 */
export const roundToMinorUnits = (precise: PreciseAmount, currency: Currency, mode: RoundingMode): Amount => {
  const minorUnit = minorUnitAtScales(currency);
  return (divide(precise, minorUnit.precise, mode) * minorUnit.amount) as Amount;
};

/** `part` of `of` of an amount, in one division as well; `of` is above zero. */
export const roundShareToMinorUnits = (
  precise: PreciseAmount,
  part: bigint,
  of: bigint,
  currency: Currency,
  mode: RoundingMode,
): Amount => {
  const minorUnit = minorUnitAtScales(currency);
  return (divide(precise * part, minorUnit.precise * of, mode) * minorUnit.amount) as Amount;
};

/** Whether it can be printed as it is. */
export const isWholeMinorUnits = (amount: Amount, currency: Currency): boolean =>
  amount % minorUnitAtScales(currency).amount === 0n;

export const addAmounts = (a: Amount, b: Amount): Amount => (a + b) as Amount;
export const subtractAmounts = (a: Amount, b: Amount): Amount => (a - b) as Amount;
export const negateAmount = (amount: Amount): Amount => -amount as Amount;
export const sumAmounts = (amounts: readonly Amount[]): Amount => amounts.reduce(addAmounts, zeroAmount);

const addPrecise = (a: PreciseAmount, b: PreciseAmount): PreciseAmount => (a + b) as PreciseAmount;
export const sumPrecise = (amounts: readonly PreciseAmount[]): PreciseAmount => amounts.reduce(addPrecise, zeroPrecise);

/** For `sort`: negative, zero or positive. */
export const compareAmounts = <T extends Amount | PreciseAmount>(a: T, b: T): -1 | 0 | 1 =>
  a < b ? -1 : a > b ? 1 : 0;

/**
 * Splits a printed amount over `weights` by the largest remainder, in whole minor units: each part differs from its
 * exact share by less than one minor unit, and the parts sum to the total. Where remainders are equal the earlier
 * position gets the unit, so the same input always gives the same parts. A negative total is split like its positive
 * twin, so that a refund mirrors what it refunds. Weights are zero or more and not all zero (unless there is nothing to
 * split); anything else is a bug of the caller.
 */
export const allocate = (total: Amount, weights: readonly bigint[], currency: Currency): Amount[] => {
  const minorUnit = minorUnitAtScales(currency).amount;
  assert(total % minorUnit === 0n, 'only a whole number of minor units can be allocated');
  assert(
    weights.every((weight) => weight >= 0n),
    'weights are not negative',
  );
  const weightsSum = weights.reduce((sum, weight) => sum + weight, 0n);
  assert(weightsSum > 0n || total === 0n, 'an amount needs a weight above zero to go to');
  if (weightsSum === 0n) return weights.map(() => zeroAmount);

  const units = (total < 0n ? -total : total) / minorUnit;
  const shares = weights.map((weight, position) => ({
    position,
    units: divide(units * weight, weightsSum, RoundingMode.down),
    remainder: (units * weight) % weightsSum,
  }));
  // Fewer units are left over than there are non-zero remainders, so each receiver gets one.
  let leftOver = units - shares.reduce((sum, share) => sum + share.units, 0n);
  const receivers = shares.toSorted((a, b) =>
    a.remainder > b.remainder ? -1 : a.remainder < b.remainder ? 1 : a.position - b.position,
  );
  for (const share of receivers) {
    if (leftOver === 0n) break;
    share.units += 1n;
    leftOver -= 1n;
  }
  const parts = shares.map((share) => ((total < 0n ? -share.units : share.units) * minorUnit) as Amount);
  assert.equal(sumAmounts(parts), total, 'an allocation loses nothing');
  return parts;
};

/**
 * Exact shares, `numerators[i] / denominator` each, in whole minor units that sum to the rounded sum: the sum is
 * rounded once, and what the cut-off shares lack of it goes to those with the largest remainders, the earlier of equal
 * ones first. Shares may be of either sign; those of the opposite signs are rounded to the opposite amounts. Each
 * differs from its exact share by less than one minor unit.
 */
export const roundSharesTogether = (
  numerators: readonly bigint[],
  denominator: bigint,
  currency: Currency,
  mode: RoundingMode,
): Amount[] => {
  const minorUnit = minorUnitAtScales(currency).amount;
  const divisor = denominator * minorUnit;
  const total = divide(
    numerators.reduce((sum, numerator) => sum + numerator, 0n),
    divisor,
    mode,
  );
  const shares = numerators.map((numerator, position) => ({
    position,
    units: numerator / divisor,
    remainder: numerator % divisor,
  }));
  const lacking = total - shares.reduce((sum, { units }) => sum + units, 0n);
  const sign = lacking < 0n ? -1n : 1n;
  const receivers = shares.toSorted((a, b) =>
    a.remainder === b.remainder ? a.position - b.position : a.remainder * sign > b.remainder * sign ? -1 : 1,
  );
  // Remainders are below one unit, so there are more that are not zero than units that are lacking, or as many.
  for (const share of receivers.slice(0, Number(lacking * sign))) share.units += sign;
  return shares.map(({ units }) => (units * minorUnit) as Amount);
};
