/**
 * A price and what was used -> an amount, exact, with the steps that explain it. The order, and why it is this one:
 *
 *   1. convert: a meter has brought its values to one unit before anything is added up
 *   2. aggregate: the store does, once, so that no event is priced by itself in this program
 *   3. free units come first, since tiers count what is charged for
 *   4. tiers say which price a unit has, so they stand before the product
 *   5. multiply, without rounding: scale 12 x scale 12 is scale 24
 *   6. minimum, then maximum: they bound what the units came to, and a cap holds whatever was committed
 *   7. round, once, straight to minor units (`rate.ts`): a bound that was applied after it could add a part of a cent
 */
import assert from 'node:assert/strict';
import { type Amount, type PreciseAmount, toPrecise, zeroAmount } from '#schemas/money.ts';
import type { CellPrice } from '#schemas/price/cell-price.ts';
import type { Bounds } from '#schemas/price/model.ts';
import type { Price, PriceModel, PriceNamed } from '#schemas/price/price.ts';
import { type Quantity, zeroQuantity } from '#schemas/quantity.ts';
import type { Priced, StepKind } from '#schemas/rated-line.ts';
import { priceDynamic } from './dynamic.ts';
import { priceFlat } from './flat.ts';
import { priceGraduated } from './graduated.ts';
import { priceGraduatedPercentage } from './graduated-percentage.ts';
import { priceMatrix } from './matrix.ts';
import { pricePackage } from './package.ts';
import { pricePerUnit } from './per-unit.ts';
import { pricePercentage } from './percentage.ts';
import { noParts, type Parts } from './usage.ts';
import { priceTieredFlat, priceVolume } from './volume.ts';

type PriceFunction<P> = (price: P, quantity: Quantity, parts: Parts) => Priced;

/** The price models, one line each: steps 3 to 5. */
const functions: { readonly [Name in PriceModel]: PriceFunction<PriceNamed<Name>> } = {
  flat: priceFlat,
  per_unit: pricePerUnit,
  graduated: priceGraduated,
  volume: priceVolume,
  package: pricePackage,
  tiered_flat: priceTieredFlat,
  percentage: pricePercentage,
  basis_points: pricePercentage,
  graduated_percentage: priceGraduatedPercentage,
  dynamic: priceDynamic,
  matrix: (price, _quantity, parts) => priceMatrix(price, parts, (cell: CellPrice, part) => priceUsage(cell, part)),
  // It is rated as what it comes to at an instant (`resolve-price.ts`).
  cost_book: ({ costBook }) => assert.fail(`the price of cost book ${costBook} was not resolved`),
};

export const boundStep = (kind: StepKind, bound: Amount, before: PreciseAmount) => ({
  kind,
  from: zeroQuantity,
  to: zeroQuantity,
  units: zeroQuantity,
  priced: zeroQuantity,
  unitAmount: zeroAmount,
  flatAmount: bound,
  amount: (toPrecise(bound) - before) as PreciseAmount,
});

/** Step 6. */
export const bounded = ({ minimumAmount, maximumAmount }: Bounds, priced: Priced): Priced => {
  const { precise, steps, billableQuantity } = priced;
  if (minimumAmount !== null && precise < toPrecise(minimumAmount))
    return {
      precise: toPrecise(minimumAmount),
      billableQuantity,
      steps: [...steps, boundStep('minimum', minimumAmount, precise)],
    };
  if (maximumAmount !== null && precise > toPrecise(maximumAmount))
    return {
      precise: toPrecise(maximumAmount),
      billableQuantity,
      steps: [...steps, boundStep('maximum', maximumAmount, precise)],
    };
  return priced;
};

/** Steps 3 to 5. */
export const priceUnits = <P extends Price>(price: P, quantity: Quantity, parts: Parts = noParts): Priced =>
  (functions[price.model] as PriceFunction<P>)(price, quantity, parts);

/** `parts` are what the price asks for (`usagePartsOf`), where it asks for any. */
export const priceUsage = <P extends Price>(price: P, quantity: Quantity, parts: Parts = noParts): Priced => {
  const priced = priceUnits(price, quantity, parts);
  return price.model === 'flat' ? priced : bounded(price as Bounds, priced);
};
