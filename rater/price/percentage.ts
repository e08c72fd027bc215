import { type Amount, zeroAmount } from '#schemas/money.ts';
import type { BasisPointsPrice, PercentagePrice } from '#schemas/price/percentage.ts';
import { eventTermsOf } from '#schemas/price/percentage.ts';
import { type EventTerms, partNames } from '#schemas/price/usage-parts.ts';
import { addQuantities, oneQuantity, type Quantity, zeroQuantity } from '#schemas/quantity.ts';
import type { Priced, PriceStep } from '#schemas/rated-line.ts';
import { pricedOf, stepOf, takeFreeUnits, unitsStep, unpricedStep } from './steps.ts';
import { type Part, type Parts, partOf } from './usage.ts';

const times = (amount: Amount, count: bigint): Amount => (amount * count) as Amount;

/**
 * The events by what decided their price, each class with the sum of its values: the sum over the events of
 * min(maximum, max(minimum, fixed + rate x value)), with the terms taken out of the brackets.
 */
const priceEvents = (terms: EventTerms, parts: Parts): Priced => {
  const steps: PriceStep[] = [];
  let from: Quantity = zeroQuantity;
  let billable: Quantity = zeroQuantity;
  const add = (name: string, stepIn: (part: Part, to: Quantity) => PriceStep): void => {
    const part = partOf(parts, name);
    if (part.events === 0n) return;
    const to = addQuantities(from, part.quantity);
    steps.push(stepIn(part, to));
    from = to;
  };
  const each = (amount: Amount) => (part: Part, to: Quantity) => {
    billable = addQuantities(billable, part.quantity);
    const count = (part.events * oneQuantity) as Quantity;
    return stepOf('events', from, to, part.quantity, count, amount, zeroAmount);
  };
  add(partNames.belowZero, (part, to) => unpricedStep('below_zero', from, to, part.quantity));
  add(partNames.freeEvents, (part, to) => unpricedStep('free', from, to, part.quantity));
  if (terms.minimumAmount !== null) add(partNames.atMinimum, each(terms.minimumAmount));
  add(partNames.atRate, ({ quantity, events }, to) => {
    billable = addQuantities(billable, quantity);
    return unitsStep(from, to, quantity, terms.rate, times(terms.fixedAmount, events));
  });
  if (terms.maximumAmount !== null) add(partNames.atMaximum, each(terms.maximumAmount));
  return pricedOf(billable, steps);
};

/** A share of the value: of its sum, or of each event where events have terms of their own. */
export const pricePercentage = (
  price: PercentagePrice | BasisPointsPrice,
  quantity: Quantity,
  parts: Parts,
): Priced => {
  const terms = eventTermsOf(price);
  if (terms) return priceEvents(terms, parts);
  const { billable, steps } = takeFreeUnits(quantity, price.freeUnits);
  if (billable > zeroQuantity) steps.push(unitsStep(price.freeUnits, null, billable, price.rate, zeroAmount));
  return pricedOf(billable, steps);
};
