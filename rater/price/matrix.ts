import type { CellPrice } from '#schemas/price/cell-price.ts';
import { cellsInOrder, type MatrixPrice } from '#schemas/price/matrix.ts';
import { partNames } from '#schemas/price/usage-parts.ts';
import { addQuantities, type Quantity, zeroQuantity } from '#schemas/quantity.ts';
import type { Priced, PriceStep } from '#schemas/rated-line.ts';
import { pricedOf } from './steps.ts';
import { type Parts, partOf } from './usage.ts';

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
  for (const [index, cell] of cellsInOrder(price).entries()) add(cell.match, cell.price, partNames.cell(index + 1));
  add({}, price.defaultPrice, partNames.noCell);
  return pricedOf(billable, steps);
};
