/** Single events as the store puts them into the parts of a price: decided here once more, in decimal.js. */
import { partNames } from '#schemas/price/usage-parts.ts';
import type { PartsJson } from './prices.ts';
import { Exact } from './rating-arbitraries.ts';

type Json = Readonly<Record<string, unknown>>;

const addedUp = (events: readonly { readonly part: string; readonly value: string }[]): PartsJson =>
  Object.fromEntries(
    [...Map.groupBy(events, ({ part }) => part)].map(([part, inPart]) => {
      const sum = inPart.reduce((total, { value }) => total.add(value), new Exact(0));
      return [part, [sum.toFixed(), inPart.length] as const];
    }),
  );

/** Of a percentage or basis points with terms for each event; the values in the order of their time. */
export const partsOfValues = (price: Json, values: readonly string[]): PartsJson =>
  addedUp(
    values.map((value, index) => {
      const rate = new Exact((price.percent ?? price.basis_points) as string).div(price.percent ? 100 : 10_000);
      const share = rate.mul(value).add((price.fixed_amount ?? '0') as string);
      const isUnder = price.event_minimum_amount !== undefined && share.lt(price.event_minimum_amount as string);
      const isOver = price.event_maximum_amount !== undefined && share.gt(price.event_maximum_amount as string);
      if (index < Number(price.free_events ?? 0)) return { part: partNames.freeEvents, value };
      if (new Exact(value).lt(0)) return { part: partNames.belowZero, value };
      if (isUnder) return { part: partNames.atMinimum, value };
      return { part: isOver ? partNames.atMaximum : partNames.atRate, value };
    }),
  );

type Cell = { readonly match: Readonly<Record<string, string>> };

/** Which dimensions a cell names, as a number that is higher where it is tried earlier. */
const weightOf = (dimensions: readonly string[], { match }: Cell): number => {
  const named = dimensions.map((name) => (match[name] ?? '*') !== '*');
  return named.filter(Boolean).length * 8 + Number.parseInt(named.map(Number).join(''), 2);
};

/** Of a matrix: each event with its values in the order of the dimensions, and its quantity. */
export const partsOfCells = (
  price: Json,
  events: readonly { readonly values: readonly string[]; readonly value: string }[],
): PartsJson => {
  const dimensions = price.dimensions as readonly string[];
  const cells = (price.cells as readonly Cell[]).toSorted((a, b) => weightOf(dimensions, b) - weightOf(dimensions, a));
  return addedUp(
    events.map(({ values, value }) => {
      const place = cells.findIndex(({ match }) =>
        dimensions.every((name, index) => ['*', values[index]].includes(match[name] ?? '*')),
      );
      return { part: place < 0 ? partNames.noCell : partNames.cell(place + 1), value };
    }),
  );
};
