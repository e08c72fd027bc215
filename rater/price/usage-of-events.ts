/**
 * What the store makes of events for a price, in code: for previews of a few events. It means what
 * `aggregate/measure-parts.ts` says in SQL; a test holds one against the other.
 */
import { preciseSum, toPrecise } from '#schemas/money.ts';
import { measuredNumber } from '#schemas/number-text.ts';
import { type Price, usagePartsOf } from '#schemas/price/price.ts';
import { type Cells, type EventTerms, partNames } from '#schemas/price/usage-parts.ts';
import { addQuantities, type Quantity, zeroQuantity } from '#schemas/quantity.ts';
import { noParts, type Part, type Parts } from './usage.ts';

/** In the order of their time. `value` is what the meter measures of the event, as a meter that sums does. */
export type MeasuredEvent = { readonly value: Quantity; readonly properties: ReadonlyMap<string, string> };

const cellOf = ({ dimensions, cells }: Cells, { properties }: MeasuredEvent): string => {
  const place = cells.findIndex((values) =>
    values.every((value, index) => value === null || properties.get(dimensions[index] ?? '') === value),
  );
  // Of none it is -1, so that the name is that of no cell.
  return partNames.cell(place + 1);
};

/** `place` counts from 1. */
const classOf = (terms: EventTerms, { value }: MeasuredEvent, place: bigint): string => {
  if (place <= terms.freeEvents) return partNames.freeEvents;
  if (value < zeroQuantity) return partNames.belowZero;
  const amount = preciseSum(terms.rate, value, terms.fixedAmount);
  if (terms.minimumAmount !== null && amount < toPrecise(terms.minimumAmount)) return partNames.atMinimum;
  if (terms.maximumAmount !== null && amount > toPrecise(terms.maximumAmount)) return partNames.atMaximum;
  return partNames.atRate;
};

const inParts = (events: readonly MeasuredEvent[], nameOf: (event: MeasuredEvent, place: bigint) => string): Parts => {
  const parts = new Map<string, Part>();
  for (const [index, event] of events.entries()) {
    const name = nameOf(event, BigInt(index + 1));
    const before = parts.get(name) ?? { quantity: zeroQuantity, events: 0n };
    parts.set(name, { quantity: addQuantities(before.quantity, event.value), events: before.events + 1n });
  }
  return parts;
};

/** A property that is no number adds nothing, as in the store. */
const amountsOf = (property: string, events: readonly MeasuredEvent[]): Parts => {
  const amounts = events.map(({ properties }) => {
    const amount = measuredNumber(properties.get(property) ?? '');
    return amount === undefined ? zeroQuantity : (amount as Quantity);
  });
  return new Map([[partNames.amounts, { quantity: amounts.reduce(addQuantities, zeroQuantity), events: 0n }]]);
};

export const usageOfEvents = (
  price: Price,
  events: readonly MeasuredEvent[],
): { readonly quantity: Quantity; readonly parts: Parts } => {
  const { cells, events: terms, amountProperty } = usagePartsOf(price);
  const quantity = events.map(({ value }) => value).reduce(addQuantities, zeroQuantity);
  if (cells) return { quantity, parts: inParts(events, (event) => cellOf(cells, event)) };
  if (terms) return { quantity, parts: inParts(events, (event, place) => classOf(terms, event, place)) };
  if (amountProperty !== undefined) return { quantity, parts: amountsOf(amountProperty, events) };
  return { quantity, parts: noParts };
};
