import type { CellPrice } from '#schemas/price/cell-price.ts';
import { cellsInOrder, type MatrixCell, type MatrixPrice } from '#schemas/price/matrix.ts';
import { partNames } from '#schemas/price/usage-parts.ts';
import { addQuantities, type Quantity, zeroQuantity } from '#schemas/quantity.ts';
import type { Priced, PriceStep } from '#schemas/rated-line.ts';
import { pricedOf } from './steps.ts';
import { type Parts, partOf } from './usage.ts';

/** The cells in the order in which they are tried, and the places of those that owe a minimum without usage. */
type Places = { readonly cells: readonly MatrixCell[]; readonly owing: readonly number[] };

/** By the very price: many lines have the same, which may be long. */
const placesByPrice = new WeakMap<MatrixPrice, Places>();
const placesOf = (price: MatrixPrice): Places => {
  const known = placesByPrice.get(price);
  if (known) return known;
  const cells = cellsInOrder(price);
  const owing = cells.flatMap((cell, index) => (cell.price.minimumAmount === null ? [] : [index + 1]));
  const places = { cells, owing };
  placesByPrice.set(price, places);
  return places;
};

/** The usage of each cell at its price, and what no cell took at the default price. */
export const priceMatrix = (
  price: MatrixPrice,
  parts: Parts,
  priceCell: (price: CellPrice, quantity: Quantity) => Priced,
): Priced => {
  const steps: PriceStep[] = [];
  let billable: Quantity = zeroQuantity;
  const add = (cell: Readonly<Record<string, string>>, cellPrice: CellPrice, part: string): void => {
    // A minimum is owed without usage, too.
    if (!parts.has(part) && cellPrice.minimumAmount === null) return;
    const priced = priceCell(cellPrice, partOf(parts, part).quantity);
    for (const step of priced.steps) steps.push({ ...step, cell });
    billable = addQuantities(billable, priced.billableQuantity);
  };
  const { cells, owing } = placesOf(price);
  const used = [...parts.keys()].map(Number);
  for (const place of [...new Set([...owing, ...used])].toSorted((a, b) => a - b)) {
    const cell = cells[place - 1];
    if (cell) add(cell.match, cell.price, partNames.cell(place));
  }
  add({}, price.defaultPrice, partNames.noCell);
  return pricedOf(billable, steps);
};
