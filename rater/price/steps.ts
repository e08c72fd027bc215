/** The terms that all price models build their explanation from. */
import { type Amount, type PreciseAmount, preciseSum, zeroAmount, zeroPrecise } from '#schemas/money.ts';
import { maxQuantity, minQuantity, type Quantity, subtractQuantities, zeroQuantity } from '#schemas/quantity.ts';
import type { Priced, PriceStep, StepKind } from '#schemas/rated-line.ts';

/** Computes the step's amount from its own terms, so that no step can show other terms than it charges. */
export const stepOf = (
  kind: StepKind,
  from: Quantity,
  to: Quantity | null,
  units: Quantity,
  priced: Quantity,
  unitAmount: Amount,
  flatAmount: Amount,
): PriceStep => ({
  kind,
  from,
  to,
  units,
  priced,
  unitAmount,
  flatAmount,
  amount: preciseSum(unitAmount, priced, flatAmount),
});

export const pricedOf = (billableQuantity: Quantity, steps: readonly PriceStep[]): Priced => {
  let precise: bigint = zeroPrecise;
  for (const step of steps) precise += step.amount;
  return { precise: precise as PreciseAmount, billableQuantity, steps };
};

/**
 * What is left of a quantity to charge for, and the steps for what is not.
 *
 * A quantity below zero is charged as zero, and a step says so. It comes about when corrections take back more than the
 * period used; then the usage that they correct was billed with an earlier period and is given back as a delta that
 * names that period. A negative amount here would pay it back twice, and at whatever tier this period happens to be in.
 */
export const takeFreeUnits = (quantity: Quantity, freeUnits: Quantity): { billable: Quantity; steps: PriceStep[] } => {
  if (freeUnits === zeroQuantity && quantity >= zeroQuantity) return { billable: quantity, steps: [] };
  const steps: PriceStep[] = [];
  if (quantity < zeroQuantity) steps.push(unpricedStep('below_zero', quantity, zeroQuantity, quantity));
  const free = maxQuantity(zeroQuantity, minQuantity(quantity, freeUnits));
  if (free > zeroQuantity) steps.push(unpricedStep('free', zeroQuantity, freeUnits, free));
  return { billable: maxQuantity(zeroQuantity, subtractQuantities(quantity, freeUnits)), steps };
};

export const unpricedStep = (kind: StepKind, from: Quantity, to: Quantity, units: Quantity): PriceStep =>
  stepOf(kind, from, to, units, zeroQuantity, zeroAmount, zeroAmount);

/** Units that all cost the same, with an amount charged once beside them. */
export const unitsStep = (
  from: Quantity,
  to: Quantity | null,
  units: Quantity,
  unitAmount: Amount,
  flatAmount: Amount,
): PriceStep => stepOf('units', from, to, units, units, unitAmount, flatAmount);
