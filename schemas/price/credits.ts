/**
 * Prices whose amounts are credits, which a rate turns into money before anything is rated. What credits and rates may
 * have of digits is so much that the product is exact and fits a price: 6 and 6 decimals, 10 and 10 digits before them.
 */
import { type Fault, fieldOf } from '#schemas/fault.ts';
import { type Amount, amountScale, fitsDigits, multiplyAmounts } from '#schemas/money.ts';
import type { CellPrice } from '#schemas/price/cell-price.ts';
import { unitAmountOf } from '#schemas/price/package.ts';
import { mapAmounts, type Price, type PriceModel } from '#schemas/price/price.ts';

/** Of an amount in credits, and of the rates of a chain together. */
export const creditDigits = { integerDigits: 10, decimals: 6 };

const ofEvents = 'takes what events are worth, which is money already';
/** Models whose amounts do not all scale with what a credit is worth, and why. */
const refused: Partial<Record<PriceModel, string>> = {
  percentage: ofEvents,
  basis_points: ofEvents,
  graduated_percentage: ofEvents,
  dynamic: ofEvents,
  cost_book: 'takes what its cost book says, which is money already',
};

const digitsAbout = `at most ${creditDigits.integerDigits} digits before and ${creditDigits.decimals} after the point`;

/** A prorated package costs its part for each unit, which then has to be as exact in credits as any other amount. */
const addPackageFault = (price: Price | CellPrice, field: string, faults: Fault[]): void => {
  if (price.model !== 'package' || price.partialPackage !== 'prorate') return;
  if (unitAmountOf(price) % 10n ** BigInt(amountScale - creditDigits.decimals) !== 0n)
    faults.push({
      field: fieldOf(field, 'package_amount'),
      code: 'not_a_decimal',
      message: `must come to at most ${creditDigits.decimals} decimals a unit where packages of credits are prorated`,
    });
};

/** What is wrong with a price at `field` for being in credits; `unitField` is where the charge says that it is. */
export const creditFaults = (price: Price, field: string, unitField: string): Fault[] => {
  const why = refused[price.model];
  if (why !== undefined)
    return [
      {
        field: unitField,
        code: 'not_allowed',
        message: `must be left out: a price of the model ${price.model} ${why}`,
      },
    ];
  const faults: Fault[] = [];
  mapAmounts(price, field, (amount, place) => {
    if (!fitsDigits(amount, creditDigits))
      faults.push({ field: place, code: 'not_a_decimal', message: `must have ${digitsAbout}, as it is in credits` });
    return amount;
  });
  addPackageFault(price, field, faults);
  if (price.model === 'matrix') {
    for (const [index, cell] of price.cells.entries())
      addPackageFault(cell.price, `${field}.cells[${index}].price`, faults);
    addPackageFault(price.defaultPrice, fieldOf(field, 'default_price'), faults);
  }
  return faults;
};

/** A price in credits as a price in what one credit is worth `rate` of. */
export const priceInMoney = (price: Price, rate: Amount): Price =>
  mapAmounts(price, '', (amount) => multiplyAmounts(amount, rate));
