/** Random prices and quantities for properties, and decimal.js as the oracle that shares no code with the product. */
import { Decimal } from 'decimal.js';
import fc from 'fast-check';
import { currencies } from '#schemas/currency.ts';
import { type Amount, type PreciseAmount, RoundingMode } from '#schemas/money.ts';
import type { FlatPrice, GraduatedPrice, PackagePrice, PerUnitPrice, Price } from '#schemas/price.ts';
import type { Quantity } from '#schemas/quantity.ts';

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

export const flatPrices: fc.Arbitrary<FlatPrice> = fc.record({ model: fc.constant('flat' as const), amount: amounts });

export const perUnitPrices: fc.Arbitrary<PerUnitPrice> = fc.record({
  model: fc.constant('per_unit' as const),
  unitAmount: amounts,
  freeUnits: quantities,
});

export const graduatedPrices: fc.Arbitrary<GraduatedPrice> = fc
  .record({
    bounds: fc.uniqueArray(positiveQuantities, { maxLength: 5 }),
    rates: fc.array(fc.record({ unitAmount: amounts, flatAmount: amounts }), { minLength: 6, maxLength: 6 }),
    freeUnits: quantities,
  })
  .map(({ bounds, rates, freeUnits }) => {
    const upTos = [...bounds.toSorted((a, b) => (a < b ? -1 : 1)), null];
    const tiers = upTos.map((upTo, index) => ({
      upTo,
      ...(rates[index] as { unitAmount: Amount; flatAmount: Amount }),
    }));
    return { model: 'graduated', tiers, freeUnits };
  });

export const packagePrices: fc.Arbitrary<PackagePrice> = fc.record({
  model: fc.constant('package' as const),
  packageAmount: amounts,
  packageSize: positiveQuantities,
  freeUnits: quantities,
});

export const prices: fc.Arbitrary<Price> = fc.oneof(flatPrices, perUnitPrices, graduatedPrices, packagePrices);
