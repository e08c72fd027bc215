import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatPreciseAmount, parseAmount } from '#schemas/money.ts';
import type { PerUnitPrice } from '#schemas/price/per-unit.ts';
import { addQuantities, parseQuantity, type Quantity } from '#schemas/quantity.ts';
import { pricePerUnit } from '../../../../rater/price/per-unit.ts';
import { priceOf } from '../../../support/prices.ts';
import {
  amountOracle,
  Exact,
  perUnitPrices,
  preciseOracle,
  quantities,
  quantityOracle,
} from '../../../support/rating-arbitraries.ts';
import { scaled } from '../../../support/scale.ts';

const quantity = (text: string) => parseQuantity(text) as Quantity;
const price = (unitAmount: string, freeUnits = '0') =>
  priceOf({ model: 'per_unit', unit_amount: unitAmount, free_units: freeUnits }) as PerUnitPrice;

describe('per-unit price', () => {
  it.each([
    ['0.000015', '0', '0', '0'],
    ['0.000015', '0', '6462', '0.09693'],
    ['0.000000000001', '0', '0.000000000001', '0.000000000000000000000001'],
    ['2', '20', '19.999999999999', '0'],
    ['2', '20', '20', '0'],
    ['2', '20', '20.000000000001', '0.000000000002'],
    ['2', '20', '21', '2'],
    ['2', '0', '-3', '0'],
    ['2', '20', '-3', '0'],
  ])('at %s each, %s free, %s units cost %s', (unitAmount, freeUnits, units, expected) => {
    expect(formatPreciseAmount(pricePerUnit(price(unitAmount, freeUnits), quantity(units)).precise)).toBe(expected);
  });

  it('free units and charged units are explained as two steps', () => {
    expect(pricePerUnit(price('2', '20'), quantity('25')).steps).toEqual([
      {
        kind: 'free',
        from: 0n,
        to: quantity('20'),
        units: quantity('20'),
        priced: 0n,
        unitAmount: 0n,
        flatAmount: 0n,
        amount: 0n,
      },
      {
        kind: 'units',
        from: quantity('20'),
        to: null,
        units: quantity('5'),
        priced: quantity('5'),
        unitAmount: parseAmount('2'),
        flatAmount: 0n,
        amount: 10n * 10n ** 24n,
      },
    ]);
  });

  it('nothing is explained by no step, with free units and without', () => {
    expect([
      pricePerUnit(price('2', '20'), quantity('0')).steps,
      pricePerUnit(price('2'), quantity('0')).steps,
    ]).toEqual([[], []]);
  });

  it('a quantity below zero is charged as zero, and a step says so', () => {
    const { precise, billableQuantity, steps } = pricePerUnit(price('2', '20'), quantity('-3'));
    expect([precise, billableQuantity]).toEqual([0n, 0n]);
    expect(steps).toEqual([
      {
        kind: 'below_zero',
        from: quantity('-3'),
        to: 0n,
        units: quantity('-3'),
        priced: 0n,
        unitAmount: 0n,
        flatAmount: 0n,
        amount: 0n,
      },
    ]);
  });

  it('[I13] the amount is that of exact decimals', () => {
    fc.assert(
      fc.property(perUnitPrices, quantities, (anyPrice, units) => {
        const billable = Exact.max(0, quantityOracle(units).sub(quantityOracle(anyPrice.freeUnits)));
        const { precise } = pricePerUnit(anyPrice, units);
        expect(preciseOracle(precise).equals(billable.mul(amountOracle(anyPrice.unitAmount)))).toBe(true);
      }),
      { numRuns: scaled(1000) },
    );
  });

  it('without free units, splitting a quantity changes nothing before rounding', () => {
    fc.assert(
      fc.property(perUnitPrices, quantities, quantities, (anyPrice, a, b) => {
        const priced = (units: Quantity) => pricePerUnit({ ...anyPrice, freeUnits: 0n as Quantity }, units).precise;
        expect(priced(addQuantities(a, b))).toBe(priced(a) + priced(b));
      }),
    );
  });
});
