import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatPreciseAmount, preciseSum } from '#schemas/money.ts';
import type { Price } from '#schemas/price/price.ts';
import type { TierCount } from '#schemas/price-span.ts';
import { addQuantities, type Quantity, zeroQuantity } from '#schemas/quantity.ts';
import type { Priced } from '#schemas/rated-line.ts';
import { priceSpans } from '../../../../rater/price/price-spans.ts';
import { priceUnits, priceUsage } from '../../../../rater/price/price-usage.ts';
import { noParts } from '../../../../rater/price/usage.ts';
import { priceOf, quantityOf, stepText } from '../../../support/prices.ts';
import {
  graduatedPercentagePrices,
  graduatedPrices,
  packagePrices,
  perUnitPrices,
  proratedPackagePrices,
  quantities,
} from '../../../support/rating-arbitraries.ts';
import { scaled } from '../../../support/scale.ts';

type Part = readonly [price: Price, quantity: Quantity, tiers?: TierCount | undefined];

const ratedParts = (parts: readonly Part[]): Priced =>
  priceSpans(
    parts.map(([price, quantity, tiers = 'restart'], index) => ({
      price,
      quantity,
      tiers,
      span: { start: index, end: index + 1 },
      parts: noParts,
    })),
  );
const costOf = (...parts: (readonly [json: unknown, quantity: string, tiers?: TierCount])[]): string =>
  formatPreciseAmount(
    ratedParts(parts.map(([json, quantity, tiers]) => [priceOf(json), quantityOf(quantity), tiers])).precise,
  );

const tiers = (first: string, second: string, more: object = {}) => ({
  model: 'graduated',
  tiers: [
    { up_to: '4', unit_amount: first, flat_amount: '100' },
    { up_to: null, unit_amount: second },
  ],
  ...more,
});
const perUnit = (amount: string, more: object = {}) => ({ model: 'per_unit', unit_amount: amount, ...more });
const boxes = (amount: string) => ({ model: 'package', package_amount: amount, package_size: '10' });

describe('prices that change inside a billing period', () => {
  it.each([
    ['one alone is as ever', [[perUnit('2'), '3']], '6'],
    [
      'each at its own price',
      [
        [perUnit('2'), '3'],
        [perUnit('5'), '4'],
      ],
      '26',
    ],
    [
      'tiers from the first unit again, fees with them',
      [
        [tiers('1', '0.1'), '5'],
        [tiers('2', '0.2'), '1'],
      ],
      '206.1',
    ],
    [
      'tiers that go on',
      [
        [tiers('1', '0.1'), '3'],
        [tiers('2', '0.2'), '4', 'continue'],
      ],
      '105.6',
    ],
    [
      'a tier that is full stays full',
      [
        [tiers('1', '0.1'), '4'],
        [tiers('2', '0.2'), '1', 'continue'],
      ],
      '104.2',
    ],
    [
      'nothing was used before',
      [
        [tiers('1', '0.1'), '0'],
        [tiers('2', '0.2'), '1', 'continue'],
      ],
      '102',
    ],
    [
      'nothing is used behind',
      [
        [tiers('1', '0.1'), '1'],
        [tiers('2', '0.2'), '0', 'continue'],
      ],
      '101',
    ],
    [
      'a package that was started is paid',
      [
        [boxes('1'), '5'],
        [boxes('3'), '5', 'continue'],
      ],
      '1',
    ],
    [
      'the next package is not',
      [
        [boxes('1'), '5'],
        [boxes('3'), '6', 'continue'],
      ],
      '4',
    ],
    [
      'packages from the first again',
      [
        [boxes('1'), '5'],
        [boxes('3'), '5'],
      ],
      '4',
    ],
    [
      'free units are used up',
      [
        [perUnit('1', { free_units: '5' }), '3'],
        [perUnit('2', { free_units: '5' }), '4', 'continue'],
      ],
      '4',
    ],
    [
      'free units come again',
      [
        [perUnit('1', { free_units: '5' }), '3'],
        [perUnit('2', { free_units: '5' }), '4'],
      ],
      '0',
    ],
    [
      'it goes on behind all before, and begins again',
      [
        [tiers('1', '0.1'), '2'],
        [tiers('1', '0.1'), '2', 'continue'],
        [tiers('1', '0.1'), '1'],
      ],
      '205',
    ],
    [
      'the least is that of the last price',
      [
        [perUnit('1', { minimum_amount: '100' }), '1'],
        [perUnit('1', { minimum_amount: '5' }), '1'],
      ],
      '5',
    ],
    [
      'so is the most',
      [
        [perUnit('1', { maximum_amount: '1' }), '9'],
        [perUnit('1', { maximum_amount: '12' }), '9'],
      ],
      '12',
    ],
    [
      'below zero is nothing',
      [
        [perUnit('1'), '3'],
        [perUnit('1'), '-2'],
      ],
      '3',
    ],
    [
      'below zero gives nothing back to what goes on',
      [
        [tiers('1', '0.1'), '5'],
        [tiers('1', '0.1'), '-4', 'continue'],
        [tiers('1', '0.1'), '1', 'continue'],
      ],
      '104.2',
    ],
  ] as const)('%s', (_, parts, expected) => {
    expect(costOf(...parts)).toBe(expected);
  });

  it('has steps that say their time, each of what lies in its part', () => {
    const { steps } = ratedParts([
      [priceOf(tiers('1', '0.1')), quantityOf('3')],
      [priceOf(tiers('2', '0.2')), quantityOf('4'), 'continue'],
    ]);
    expect(steps.map((step) => `${step.span?.start} ${stepText(step)}`)).toEqual([
      '0 units 0..4: 3; 3 x 1 + 100 = 103',
      '1 units 0..4: 1; 1 x 2 + 0 = 2',
      '1 units 4..: 3; 3 x 0.2 + 0 = 0.6',
    ]);
  });

  it('has steps without a time where one price stood all the time, and a fee as it is', () => {
    const [step] = ratedParts([[priceOf(perUnit('2')), quantityOf('3')]]).steps;
    expect(step && 'span' in step).toBe(false);
    const fee = ratedParts([[priceOf({ model: 'flat', amount: '7' }), quantityOf('1')]]);
    expect([formatPreciseAmount(fee.precise), fee.steps.length]).toEqual(['7', 1]);
    expect(priceSpans([])).toEqual({ precise: 0n, billableQuantity: 0n, steps: [] });
  });

  it('says of units below zero that they are, and of none nothing', () => {
    const goesOn = (quantity: string) =>
      ratedParts([
        [priceOf(perUnit('1')), quantityOf('3')],
        [priceOf(perUnit('1')), quantityOf(quantity), 'continue'],
      ]).steps.map(({ kind, units }) => [kind, units]);
    expect(goesOn('0')).toEqual([['units', quantityOf('3')]]);
    expect(goesOn('-1')).toEqual([
      ['units', quantityOf('3')],
      ['below_zero', quantityOf('-1')],
    ]);
  });

  const continuing = fc.oneof(
    perUnitPrices,
    graduatedPrices,
    packagePrices,
    proratedPackagePrices,
    graduatedPercentagePrices,
  );

  it('slices of one price add up to the whole, wherever they are cut, and each step is its own terms', () => {
    fc.assert(
      fc.property(continuing, fc.array(quantities, { minLength: 1, maxLength: 5 }), (price, slices) => {
        const rated = ratedParts(slices.map((slice, index) => [price, slice, index === 0 ? 'restart' : 'continue']));
        const all = slices.reduce(addQuantities, zeroQuantity);
        const whole = priceUsage(price, all);
        expect([rated.precise, rated.billableQuantity]).toEqual([whole.precise, whole.billableQuantity]);
        const ofUnits = rated.steps.filter(({ kind }) => kind !== 'minimum' && kind !== 'maximum');
        expect(ofUnits.reduce((sum, { units }) => sum + units, 0n)).toBe(all);
        for (const step of ofUnits) expect(step.amount).toBe(preciseSum(step.unitAmount, step.priced, step.flatAmount));
        expect(rated.steps.reduce((sum, { amount }) => sum + amount, 0n)).toBe(rated.precise);
        expect(ofUnits.every(({ amount, units }) => amount >= 0n && units >= 0n)).toBe(true);
      }),
      { numRuns: scaled(300) },
    );
  });

  it('parts that begin again are each as if they were alone', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(continuing, quantities), { minLength: 1, maxLength: 5 }), (parts) => {
        const last = parts.at(-1)?.[0] as Price;
        const sum = parts.reduce((total, [price, quantity]) => total + priceUnits(price, quantity).precise, 0n);
        const { minimumAmount, maximumAmount } = last as { minimumAmount: bigint | null; maximumAmount: bigint | null };
        const scale = 10n ** 12n;
        const atLeast = minimumAmount !== null && sum < minimumAmount * scale ? minimumAmount * scale : sum;
        const expected = maximumAmount !== null && atLeast > maximumAmount * scale ? maximumAmount * scale : atLeast;
        expect(ratedParts(parts).precise).toBe(expected);
      }),
      { numRuns: scaled(300) },
    );
  });
});
