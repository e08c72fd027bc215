import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toPrecise } from '#schemas/money.ts';
import { priceUsage } from '../../../../rater/price/price-usage.ts';
import { stepsOf } from '../../../support/prices.ts';
import { flatPrices, quantities } from '../../../support/rating-arbitraries.ts';

describe('flat price', () => {
  it('costs its amount once, whatever the quantity', () => {
    fc.assert(
      fc.property(flatPrices, quantities, (price, quantity) => {
        const { precise, billableQuantity, steps } = priceUsage(price, quantity);
        expect(precise).toBe(toPrecise(price.amount));
        expect(billableQuantity).toBe(10n ** 12n);
        expect(steps.map((step) => [step.kind, step.amount])).toEqual([['flat', precise]]);
      }),
    );
  });

  it('is explained by one step, of one unit', () => {
    expect(stepsOf({ model: 'flat', amount: '20' }, '7')).toEqual(['flat 0..1: 1; 0 x 0 + 20 = 20']);
  });
});
