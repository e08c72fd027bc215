/**
 * What a billing period costs at least and at most over all of its charges: a line of its own beside theirs, where the
 * sum of the printed lines is another. Steps 6 and 7 have brought each line to its own bounds before.
 */
import { type Amount, toPrecise } from '#schemas/money.ts';
import type { PeriodBoundIn, PeriodBoundName, PeriodBoundsIn } from '#schemas/period-bound.ts';
import { oneQuantity } from '#schemas/quantity.ts';
import type { Priced } from '#schemas/rated-line.ts';
import { boundStep } from './price-usage.ts';

export type AppliedBound = { readonly code: PeriodBoundName; readonly bound: PeriodBoundIn; readonly priced: Priced };

const applied = (code: PeriodBoundName, bound: PeriodBoundIn, charged: Amount): AppliedBound => {
  const step = boundStep(code === 'spend_cap' ? 'maximum' : 'minimum', bound.amount, toPrecise(charged));
  return { code, bound, priced: { precise: step.amount, billableQuantity: oneQuantity, steps: [step] } };
};

/** Undefined where the sum of the charges lies within the bounds. A cap is never under the minimum. */
export const applyPeriodBounds = (
  { minimum_commitment: minimum, spend_cap: cap }: PeriodBoundsIn,
  charged: Amount,
): AppliedBound | undefined => {
  if (minimum && charged < minimum.amount) return applied('minimum_commitment', minimum, charged);
  return cap && charged > cap.amount ? applied('spend_cap', cap, charged) : undefined;
};
