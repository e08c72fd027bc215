/** Random prices and quantities for properties, and decimal.js as the oracle that shares no code with the product. */

import { Decimal } from 'decimal.js';
import fc from 'fast-check';
import { currencies } from '#schemas/currency.ts';
import { type Amount, type PreciseAmount, RoundingMode } from '#schemas/money.ts';
import type { CellPrice } from '#schemas/price/cell-price.ts';
import type { DynamicPrice } from '#schemas/price/dynamic.ts';
import type { FlatPrice } from '#schemas/price/flat.ts';
import type { GraduatedPrice } from '#schemas/price/graduated.ts';
import type { GraduatedPercentagePrice } from '#schemas/price/graduated-percentage.ts';
import type { MatrixPrice } from '#schemas/price/matrix.ts';
import type { PackagePrice } from '#schemas/price/package.ts';
import type { PerUnitPrice } from '#schemas/price/per-unit.ts';
import type { BasisPointsPrice, PercentagePrice } from '#schemas/price/percentage.ts';
import { type Price, usagePartsOf } from '#schemas/price/price.ts';
import type { TieredFlatPrice } from '#schemas/price/tiered-flat.ts';
import { partNames } from '#schemas/price/usage-parts.ts';
import type { VolumePrice } from '#schemas/price/volume.ts';
import type { Quantity } from '#schemas/quantity.ts';
import type { Parts } from '../../rater/price/usage.ts';

/** Wide enough for every product here (at most 38 + 76 digits); decimal.js would otherwise round by itself. */
export const Exact = Decimal.clone({ precision: 200, toExpNeg: -200, toExpPos: 200 });

export const oracleRounding = {
  half_up: Decimal.ROUND_HALF_UP,
  half_even: Decimal.ROUND_HALF_EVEN,
  down: Decimal.ROUND_DOWN,
  up: Decimal.ROUND_UP,
} as const satisfies Record<RoundingMode, Decimal.Rounding>;

const scaled = (value: bigint, scale: number) => new Exact(value.toString()).div(new Exact(10).pow(scale));
export const amountOracle = (amount: Amount) => scaled(amount, 12);
export const preciseOracle = (precise: PreciseAmount) => scaled(precise, 24);
export const quantityOracle = (quantity: Quantity) => scaled(quantity, 12);

export const roundingModes = fc.constantFrom(...Object.values(RoundingMode));
export const anyCurrency = fc.constantFrom(...currencies);

/** Mostly numbers as people write them, some with all twelve decimals. */
export const amounts = fc
  .oneof(
    fc.bigInt({ min: 0n, max: 10n ** 6n }).map((value) => value * 10n ** 6n),
    fc.bigInt({ min: 0n, max: 10n ** 15n }),
    fc.constant(0n),
  )
  .map((value) => value as Amount);

export const quantities = fc
  .oneof(
    fc.bigInt({ min: 0n, max: 10n ** 6n }).map((value) => value * 10n ** 12n),
    fc.bigInt({ min: 0n, max: 10n ** 18n }),
    fc.constantFrom(0n, 1n, 10n ** 12n),
  )
  .map((value) => value as Quantity);

const positiveQuantities = quantities.map((quantity) => (quantity === 0n ? 1n : quantity) as Quantity);

/** Whatever a price of the model says, in the types of its own file. */
const none = fc.constant(null);
const boundsFields = fc
  .oneof(
    { weight: 3, arbitrary: fc.tuple(none, none) },
    fc.tuple(amounts, none),
    fc.tuple(none, amounts),
    fc.tuple(amounts, amounts).map(([a, b]) => (a < b ? [a, b] : [b, a]) as [Amount, Amount]),
  )
  .map(([minimumAmount, maximumAmount]) => ({ minimumAmount, maximumAmount }));

const metered = <Name extends string, Values>(model: Name, values: fc.Arbitrary<Values>) =>
  fc
    .tuple(values, quantities, boundsFields)
    .map(([own, freeUnits, bounds]) => ({ model, ...own, freeUnits, ...bounds }));

/** Bounds that rise, the last of them none, each with what `values` gives. */
const tiersOf = <Values extends object>(values: fc.Arbitrary<Values>) =>
  fc
    .record({
      bounds: fc.uniqueArray(positiveQuantities, { maxLength: 5 }),
      rates: fc.array(values, { minLength: 6, maxLength: 6 }),
    })
    .map(({ bounds, rates }) =>
      [...bounds.toSorted((a, b) => (a < b ? -1 : 1)), null].map((upTo, index) => ({
        upTo,
        ...(rates[index] as Values),
      })),
    );

export const flatPrices: fc.Arbitrary<FlatPrice> = fc.record({ model: fc.constant('flat' as const), amount: amounts });

export const perUnitPrices: fc.Arbitrary<PerUnitPrice> = metered('per_unit', fc.record({ unitAmount: amounts }));

const unitTiers = tiersOf(fc.record({ unitAmount: amounts, flatAmount: amounts }));
export const graduatedPrices: fc.Arbitrary<GraduatedPrice> = metered('graduated', fc.record({ tiers: unitTiers }));
export const volumePrices: fc.Arbitrary<VolumePrice> = metered('volume', fc.record({ tiers: unitTiers }));

export const tieredFlatPrices: fc.Arbitrary<TieredFlatPrice> = metered(
  'tiered_flat',
  fc.record({ tiers: tiersOf(fc.record({ flatAmount: amounts })) }),
);

export const packagePrices: fc.Arbitrary<PackagePrice> = metered(
  'package',
  fc.record({
    packageAmount: amounts,
    packageSize: positiveQuantities,
    partialPackage: fc.constant('round_up' as const),
  }),
);

/** So many whole units at so much each, so that a package comes to a decimal for each of them. */
export const proratedPackagePrices: fc.Arbitrary<PackagePrice> = metered(
  'package',
  fc.record({ unitAmount: amounts, units: fc.bigInt({ min: 1n, max: 10n ** 6n }) }).map(({ unitAmount, units }) => ({
    packageAmount: (unitAmount * units) as Amount,
    packageSize: (units * 10n ** 12n) as Quantity,
    partialPackage: 'prorate' as const,
  })),
);

/** A share of 0 to 150 percent, in hundredths of a basis point. */
const rates = fc.bigInt({ min: 0n, max: 1_500_000n }).map((share) => (share * 10n ** 6n) as Amount);

export const percentagePrices: fc.Arbitrary<PercentagePrice> = metered(
  'percentage',
  fc.record({
    rate: rates,
    fixedAmount: fc.constant(0n as Amount),
    eventMinimumAmount: none,
    eventMaximumAmount: none,
    freeEvents: fc.constant(0n),
  }),
);

export const basisPointsPrices: fc.Arbitrary<BasisPointsPrice> = percentagePrices.map((price) => ({
  ...price,
  model: 'basis_points',
}));

/** With a price of each event. */
export const eventPrices: fc.Arbitrary<PercentagePrice> = fc
  .tuple(percentagePrices, boundsFields, amounts, fc.bigInt({ min: 0n, max: 3n }))
  .map(([price, { minimumAmount, maximumAmount }, fixedAmount, freeEvents]) => ({
    ...price,
    freeUnits: 0n as Quantity,
    fixedAmount,
    freeEvents,
    eventMinimumAmount: minimumAmount,
    eventMaximumAmount: maximumAmount,
  }));

export const graduatedPercentagePrices: fc.Arbitrary<GraduatedPercentagePrice> = metered(
  'graduated_percentage',
  fc.record({ tiers: tiersOf(fc.record({ rate: rates, flatAmount: amounts })) }),
);

export const dynamicPrices: fc.Arbitrary<DynamicPrice> = fc.tuple(boundsFields, amounts).map(([bounds, factor]) => ({
  model: 'dynamic',
  amountProperty: 'order.cost',
  factor,
  ...bounds,
}));

const cellPrices: fc.Arbitrary<CellPrice> = fc.oneof(
  perUnitPrices,
  graduatedPrices,
  volumePrices,
  packagePrices,
  proratedPackagePrices,
  tieredFlatPrices,
);
const cellMatches = fc
  .tuple(fc.constantFrom(null, 'a', 'b', '*a'), fc.constantFrom(null, 'x', 'y'))
  .filter((values) => values.some((value) => value !== null))
  .map(([model, kind]) => ({ ...(model !== null && { model }), ...(kind !== null && { kind }) }));

export const matrixPrices: fc.Arbitrary<MatrixPrice> = fc
  .record({
    cells: fc.uniqueArray(fc.record({ match: cellMatches, price: cellPrices }), {
      minLength: 1,
      maxLength: 5,
      selector: ({ match }) => JSON.stringify(match),
    }),
    defaultPrice: cellPrices,
    bounds: boundsFields,
  })
  .map(({ cells, defaultPrice, bounds }) => ({
    model: 'matrix',
    dimensions: ['model', 'kind'],
    cells,
    defaultPrice,
    ...bounds,
  }));

/** One of each model that prices a quantity alone. */
export const quantityPrices = fc.oneof(
  flatPrices,
  perUnitPrices,
  graduatedPrices,
  volumePrices,
  packagePrices,
  proratedPackagePrices,
  tieredFlatPrices,
  percentagePrices,
  basisPointsPrices,
  graduatedPercentagePrices,
);

export const prices: fc.Arbitrary<Price> = fc.oneof(
  { weight: 9, arbitrary: quantityPrices },
  eventPrices,
  dynamicPrices,
  matrixPrices,
);

/** A price, and usage in the parts that it asks for. */
export const pricedUsages: fc.Arbitrary<{ price: Price; quantity: Quantity; parts: Parts }> = fc
  .tuple(prices, quantities, fc.constantFrom(1n, -1n), fc.array(fc.tuple(quantities, fc.bigInt({ min: 1n, max: 9n }))))
  .map(([price, value, sign, usage]) => {
    const { cells, events, amountProperty } = usagePartsOf(price);
    const names = cells
      ? [partNames.noCell, ...cells.cells.map((_, index) => partNames.cell(index + 1))]
      : events
        ? [
            partNames.atRate,
            ...(events.freeEvents > 0n ? [partNames.freeEvents] : []),
            ...(events.minimumAmount === null ? [] : [partNames.atMinimum]),
            ...(events.maximumAmount === null ? [] : [partNames.atMaximum]),
          ]
        : [];
    const parts = new Map(
      names.slice(0, usage.length).map((name, index) => {
        const [quantity, count] = usage[index] as [Quantity, bigint];
        return [name, { quantity, events: count }];
      }),
    );
    if (amountProperty !== undefined)
      return { price, quantity: value, parts: new Map([[partNames.amounts, { quantity: value, events: 0n }]]) };
    const sum = [...parts.values()].reduce((total, part) => total + part.quantity, 0n) as Quantity;
    return { price, quantity: cells || events ? sum : ((value * sign) as Quantity), parts };
  });
