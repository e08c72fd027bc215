import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Amount, formatPreciseAmount, parseAmount } from '#schemas/money.ts';
import type { GraduatedPrice } from '#schemas/price/graduated.ts';
import { addQuantities, formatQuantity, parseQuantity, type Quantity } from '#schemas/quantity.ts';
import { priceGraduated } from '../../../../rater/price/graduated.ts';
import {
  amountOracle,
  Exact,
  graduatedPrices,
  preciseOracle,
  quantities,
  quantityOracle,
} from '../../../support/rating-arbitraries.ts';
import { scaled } from '../../../support/scale.ts';

const amount = (text: string) => parseAmount(text) as Amount;
const quantity = (text: string) => parseQuantity(text) as Quantity;
const graduated = (freeUnits: string, ...tiers: [string | null, string, string?][]): GraduatedPrice => ({
  model: 'graduated',
  freeUnits: quantity(freeUnits),
  minimumAmount: null,
  maximumAmount: null,
  tiers: tiers.map(([upTo, unitAmount, flatAmount = '0']) => ({
    upTo: upTo === null ? null : quantity(upTo),
    unitAmount: amount(unitAmount),
    flatAmount: amount(flatAmount),
  })),
});
const costOf = (price: GraduatedPrice, units: string) =>
  formatPreciseAmount(priceGraduated(price, quantity(units)).precise);

describe('graduated price', () => {
  const inputTokens = graduated('0', ['100000', '0'], ['200000', '0.000003'], [null, '0.0000024']);
  it.each([
    ['-1', '0'],
    ['0', '0'],
    ['100000', '0'],
    ['100000.000000000001', '0.000000000000000003'],
    ['100001', '0.000003'],
    ['200000', '0.3'],
    ['200000.000000000001', '0.3000000000000000024'],
    ['200001', '0.3000024'],
    ['426684', '0.8440416'],
  ])(
    'the first 100,000 at 0, the next 100,000 at 0.000003, the rest at 0.0000024: %s units cost %s',
    (units, expected) => {
      expect(costOf(inputTokens, units)).toBe(expected);
    },
  );

  const withFlat = graduated('0', ['10', '1', '5'], ['20', '0', '7'], [null, '2', '0.5']);
  it.each([
    ['0', '0'],
    ['0.000000000001', '5.000000000001'],
    ['10', '15'],
    ['10.000000000001', '22'],
    ['20', '22'],
    ['21', '24.5'],
  ])('a tier’s flat amount is charged as soon as anything falls into the tier: %s units cost %s', (units, expected) => {
    expect(costOf(withFlat, units)).toBe(expected);
  });

  it('free units come before the tiers, whose bounds count from there', () => {
    const price = graduated('1000', ['10', '1'], [null, '2']);
    expect(['1000', '1010', '1011'].map((units) => costOf(price, units))).toEqual(['0', '10', '12']);
    const steps = priceGraduated(price, quantity('1011')).steps.map(({ kind, from, to, units }) => [
      kind,
      formatQuantity(from),
      to === null ? null : formatQuantity(to),
      formatQuantity(units),
    ]);
    expect(steps).toEqual([
      ['free', '0', '1000', '1000'],
      ['units', '1000', '1010', '10'],
      ['units', '1010', null, '1'],
    ]);
  });

  it('[I13] the amount is that of a sum over the tiers in exact decimals', () => {
    fc.assert(
      fc.property(graduatedPrices, quantities, (price, units) => {
        const billable = Exact.max(0, quantityOracle(units).sub(quantityOracle(price.freeUnits)));
        let lower = new Exact(0);
        let total = new Exact(0);
        for (const tier of price.tiers) {
          const upper = tier.upTo === null ? billable : Exact.min(billable, quantityOracle(tier.upTo));
          const inside = Exact.max(0, upper.sub(lower));
          if (inside.gt(0))
            total = total.add(inside.mul(amountOracle(tier.unitAmount))).add(amountOracle(tier.flatAmount));
          lower = tier.upTo === null ? billable : quantityOracle(tier.upTo);
        }
        expect(preciseOracle(priceGraduated(price, units).precise).equals(total)).toBe(true);
      }),
      { numRuns: scaled(2000) },
    );
  });

  it('whole units cost what they cost one by one: unit n belongs to the first tier whose bound is not under n', () => {
    const small = fc.record({
      bounds: fc.uniqueArray(fc.integer({ min: 1, max: 30 }), { maxLength: 4 }),
      rates: fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 5, maxLength: 5 }),
      free: fc.integer({ min: 0, max: 10 }),
      units: fc.integer({ min: 0, max: 60 }),
    });
    fc.assert(
      fc.property(small, ({ bounds, rates, free, units }) => {
        const sorted = bounds.toSorted((a, b) => a - b);
        const price = graduated(
          String(free),
          ...[...sorted.map(String), null].map((upTo, i): [string | null, string] => [upTo, String(rates[i])]),
        );
        let total = 0;
        for (let unit = 1; unit <= units - free; unit += 1) {
          const tier = sorted.findIndex((bound) => unit <= bound);
          total += rates[tier === -1 ? sorted.length : tier] as number;
        }
        expect(costOf(price, String(units))).toBe(String(total));
      }),
      { numRuns: scaled(1000) },
    );
  });

  it('more units never cost less, even across an edge by the smallest step', () => {
    fc.assert(
      fc.property(graduatedPrices, quantities, quantities, (price, units, more) => {
        const cost = (value: Quantity) => priceGraduated(price, value).precise;
        expect(cost(addQuantities(units, more)) >= cost(units)).toBe(true);
        for (const tier of price.tiers) {
          if (tier.upTo === null) continue;
          const edge = addQuantities(tier.upTo, price.freeUnits);
          expect(cost(addQuantities(edge, 1n as Quantity)) >= cost(edge)).toBe(true);
        }
      }),
      { numRuns: scaled(1000) },
    );
  });

  it('a bound between two tiers with the same price changes no amount', () => {
    fc.assert(
      fc.property(graduatedPrices, quantities, quantities, (price, units, cut) => {
        const last = price.tiers.at(-1) as GraduatedPrice['tiers'][number];
        const lower = price.tiers.at(-2)?.upTo ?? 0n;
        const bound = (lower + cut + 1n) as Quantity;
        const tiers = [...price.tiers.slice(0, -1), { ...last, upTo: bound }, { ...last, flatAmount: 0n as Amount }];
        expect(priceGraduated({ ...price, tiers }, units).precise).toBe(priceGraduated(price, units).precise);
      }),
    );
  });
});
