/**
 * The one place where a quantity is divided and rounded: half away from zero to 12 decimals, and from there as its
 * meter says.
 */
import type { MeterDefinition } from '#schemas/meter.ts';
import { divide } from '#schemas/money.ts';
import { formatQuantity, type Quantity, quantityScale } from '#schemas/quantity.ts';
import type { Ratio } from './fragment.ts';

/** Canonical decimal text; null stays null. */
export const finish = (ratio: Ratio | null, { rounding }: Pick<MeterDefinition, 'rounding'>): string | null => {
  if (ratio === null) return null;
  const exact = divide(ratio.numerator, ratio.denominator, 'half_up');
  if (rounding === null) return formatQuantity(exact as Quantity);
  const unit = 10n ** BigInt(quantityScale - rounding.decimals);
  return formatQuantity((divide(exact, unit, rounding.mode) * unit) as Quantity);
};
