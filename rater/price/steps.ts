/** The terms that all price models build their explanation from. */
import { type Amount, addPrecise, multiply, sumPrecise, toPrecise, zeroAmount } from '#schemas/money.ts';
import { maxQuantity, minQuantity, type Quantity, subtractQuantities, zeroQuantity } from '#schemas/quantity.ts';
import type { Priced, PriceStep } from '#schemas/rated-line.ts';

/** Computes the step's amount from its own terms, so that no step can show other terms than it charges. */
export const stepOf = (terms: Omit<PriceStep, 'amount'>): PriceStep => ({
  ...terms,
  amount: addPrecise(multiply(terms.unitAmount, terms.priced), toPrecise(terms.flatAmount)),
});

export const pricedOf = (billableQuantity: Quantity, steps: readonly PriceStep[]): Priced => ({
  precise: sumPrecise(steps.map((step) => step.amount)),
  billableQuantity,
  steps,
});

/**
 * What is left of a quantity to charge for, and the steps for what is not.
 *
 * A quantity below zero is charged as zero, and a step says so. It comes about when corrections take back more than the
 * period used; then the usage that they correct was billed with an earlier period and is given back as a delta that
 * names that period. A negative amount here would pay it back twice, and at whatever tier this period happens to be in.
 */
export const takeFreeUnits = (quantity: Quantity, freeUnits: Quantity): { billable: Quantity; steps: PriceStep[] } => {
  const steps: PriceStep[] = [];
  if (quantity < zeroQuantity) steps.push(unpriced('below_zero', quantity, zeroQuantity, quantity));
  const free = maxQuantity(zeroQuantity, minQuantity(quantity, freeUnits));
  if (free > zeroQuantity) steps.push(unpriced('free', zeroQuantity, freeUnits, free));
  return { billable: maxQuantity(zeroQuantity, subtractQuantities(quantity, freeUnits)), steps };
};

const unpriced = (kind: PriceStep['kind'], from: Quantity, to: Quantity, units: Quantity): PriceStep =>
  stepOf({ kind, from, to, units, priced: zeroQuantity, unitAmount: zeroAmount, flatAmount: zeroAmount });

/** Units that all cost the same, with an amount charged once beside them. */
export const unitsStep = (
  from: Quantity,
  to: Quantity | null,
  units: Quantity,
  unitAmount: Amount,
  flatAmount: Amount,
): PriceStep => stepOf({ kind: 'units', from, to, units, priced: units, unitAmount, flatAmount });
