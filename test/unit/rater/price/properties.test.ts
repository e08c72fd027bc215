/** What holds for prices whatever their numbers are, and where it does not hold, an example that shows it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Amount } from '#schemas/money.ts';
import { chargeToJson } from '#schemas/plan.ts';
import type { Tier } from '#schemas/price/field.ts';
import { type Price, priceModels, usagePartsOf } from '#schemas/price/price.ts';
import { formatQuantity, type Quantity } from '#schemas/quantity.ts';
import { defaultRatingPolicy, ratedLineToJson } from '#schemas/rated-line.ts';
import { priceUsage } from '../../../../rater/price/price-usage.ts';
import { ratePlan } from '../../../../rater/price/rate.ts';
import type { MeasuredPeriod } from '../../../../rater/price/rating-task.ts';
import type { Parts } from '../../../../rater/price/usage.ts';
import { rateShard } from '../../../../rater/run/rated-rows.ts';
import { costOf } from '../../../support/prices.ts';
import {
  amounts,
  basisPointsPrices,
  dynamicPrices,
  eventPrices,
  flatPrices,
  graduatedPercentagePrices,
  graduatedPrices,
  packagePrices,
  percentagePrices,
  perUnitPrices,
  pricedUsages,
  proratedPackagePrices,
  quantities,
  quantityPrices,
  tieredFlatPrices,
  volumePrices,
} from '../../../support/rating-arbitraries.ts';
import { scaled } from '../../../support/scale.ts';

const cost = (price: Price, quantity: bigint, parts?: Parts): bigint =>
  priceUsage(price, quantity as Quantity, parts).precise;
const unbounded = <P extends Price>(price: P): P => ({ ...price, minimumAmount: null, maximumAmount: null });
/** From an amount to what rating gives. */
const precise = (amount: bigint): bigint => amount * 10n ** 12n;
type Usage = { readonly price: Price; readonly quantity: Quantity; readonly parts: Parts };

const runs = { numRuns: scaled(500) };

describe('at the bound of a tier', () => {
  type Charged = { readonly unit: bigint; readonly flat: bigint };
  const unitTier = (tier: Tier<{ unitAmount: Amount; flatAmount: Amount }>): Charged => ({
    unit: tier.unitAmount,
    flat: tier.flatAmount,
  });
  /** Each bound with the tier that ends there and the one that begins. */
  const edges = <T extends Tier>(tiers: readonly T[], freeUnits: bigint, charged: (tier: T) => Charged) =>
    tiers.flatMap((tier, index) => {
      const next = tiers[index + 1];
      const lower = tiers[index - 1]?.upTo ?? 0n;
      return tier.upTo === null || !next
        ? []
        : [
            {
              at: tier.upTo + freeUnits,
              billable: tier.upTo,
              isWide: tier.upTo - lower > 1n,
              before: charged(tier),
              after: charged(next),
            },
          ];
    });

  it('a graduated price goes on without a gap: the next smallest unit adds its own price and the flat amount', () => {
    fc.assert(
      fc.property(graduatedPrices.map(unbounded), (price) => {
        for (const { at, isWide, before, after } of edges(price.tiers, price.freeUnits, unitTier)) {
          if (isWide) expect(cost(price, at) - cost(price, at - 1n)).toBe(before.unit);
          expect(cost(price, at + 1n) - cost(price, at)).toBe(after.unit + precise(after.flat));
        }
      }),
      runs,
    );
  });

  it('so does a graduated percentage', () => {
    fc.assert(
      fc.property(graduatedPercentagePrices.map(unbounded), (price) => {
        const charged = edges(price.tiers, price.freeUnits, ({ rate, flatAmount }) => ({
          unit: rate,
          flat: flatAmount,
        }));
        for (const { at, isWide, before, after } of charged) {
          if (isWide) expect(cost(price, at) - cost(price, at - 1n)).toBe(before.unit);
          expect(cost(price, at + 1n) - cost(price, at)).toBe(after.unit + precise(after.flat));
        }
      }),
      runs,
    );
  });

  it('a volume price jumps by what the other tier makes of all units', () => {
    fc.assert(
      fc.property(volumePrices.map(unbounded), (price) => {
        for (const { at, billable, before, after } of edges(price.tiers, price.freeUnits, unitTier)) {
          expect(cost(price, at)).toBe(billable * before.unit + precise(before.flat));
          expect(cost(price, at + 1n)).toBe((billable + 1n) * after.unit + precise(after.flat));
        }
      }),
      runs,
    );
  });
});

describe('more usage', () => {
  const monotone = fc.oneof(
    flatPrices,
    perUnitPrices,
    graduatedPrices,
    packagePrices,
    proratedPackagePrices,
    percentagePrices,
    basisPointsPrices,
    graduatedPercentagePrices,
  );
  it('never costs less, with bounds or without, where a price adds up', () => {
    fc.assert(
      fc.property(monotone, quantities, quantities, (price, units, more) => {
        expect(cost(price, units + more)).toBeGreaterThanOrEqual(cost(price, units));
        expect(cost(price, units)).toBeGreaterThanOrEqual(cost(price, -more));
      }),
      runs,
    );
  });

  it('never costs less within a tier of a volume price or a tiered flat one', () => {
    fc.assert(
      fc.property(fc.oneof(volumePrices, tieredFlatPrices), quantities, quantities, (price, a, b) => {
        const tierOf = (units: bigint) =>
          price.tiers.findIndex(({ upTo }) => upTo === null || units - price.freeUnits <= upTo);
        const [less, more] = a < b ? [a, b] : [b, a];
        if (tierOf(less) === tierOf(more) && less > price.freeUnits)
          expect(cost(price, more)).toBeGreaterThanOrEqual(cost(price, less));
      }),
      runs,
    );
  });

  it('may cost less across a bound of these two: 100 cost 100 and 101 cost 50.5; 10 cost 9 and 11 cost 8', () => {
    const volume = {
      model: 'volume',
      tiers: [
        { up_to: '100', unit_amount: '1' },
        { up_to: null, unit_amount: '0.5' },
      ],
    };
    expect([costOf(volume, '100'), costOf(volume, '101')]).toEqual(['100', '50.5']);
    const fees = {
      model: 'tiered_flat',
      tiers: [
        { up_to: '10', flat_amount: '9' },
        { up_to: null, flat_amount: '8' },
      ],
    };
    expect([costOf(fees, '10'), costOf(fees, '11')]).toEqual(['9', '8']);
  });
});

describe('usage in two halves', () => {
  it('of a price of one unit, or of a share, costs what the whole costs', () => {
    const linear = fc.oneof(perUnitPrices, percentagePrices, basisPointsPrices, proratedPackagePrices);
    fc.assert(
      fc.property(linear, quantities, quantities, (drawn, a, b) => {
        const price = { ...unbounded(drawn), freeUnits: 0n as Quantity };
        expect(cost(price, a + b)).toBe(cost(price, a) + cost(price, b));
      }),
      runs,
    );
  });

  it('of events with a price of their own, or that say it, costs what the whole costs', () => {
    const names = ['rate', 'minimum', 'maximum'];
    const parts = fc
      .array(fc.tuple(quantities, fc.bigInt({ min: 1n, max: 9n })), { minLength: 3, maxLength: 3 })
      .map((rows): Parts => new Map(rows.map(([quantity, events], i) => [names[i] ?? '', { quantity, events }])));
    const both = (a: Parts, b: Parts): Parts =>
      new Map(
        [...a].map(([name, { quantity, events }]) => [
          name,
          {
            quantity: (quantity + (b.get(name)?.quantity ?? 0n)) as Quantity,
            events: events + (b.get(name)?.events ?? 0n),
          },
        ]),
      );
    fc.assert(
      fc.property(eventPrices.map(unbounded), parts, parts, (price, a, b) => {
        if (!usagePartsOf(price).events) return;
        expect(cost(price, 0n, both(a, b))).toBe(cost(price, 0n, a) + cost(price, 0n, b));
      }),
      runs,
    );
    fc.assert(
      fc.property(dynamicPrices.map(unbounded), quantities, quantities, (price, a, b) => {
        const said = (quantity: bigint): Parts =>
          new Map([['amounts', { quantity: quantity as Quantity, events: 0n }]]);
        expect(cost(price, 0n, said(a + b))).toBe(cost(price, 0n, said(a)) + cost(price, 0n, said(b)));
      }),
      runs,
    );
  });

  it('of started packages may cost one more, and never less', () => {
    fc.assert(
      fc.property(packagePrices, quantities, quantities, (drawn, a, b) => {
        const price = { ...unbounded(drawn), freeUnits: 0n as Quantity };
        const more = cost(price, a) + cost(price, b) - cost(price, a + b);
        expect([0n, precise(price.packageAmount)]).toContain(more);
      }),
      runs,
    );
  });
});

/** Every amount of money in a price, k times as much. */
const timesOf = (value: unknown, k: bigint, name = ''): unknown => {
  if (typeof value === 'bigint') return /amount$|rate|factor/i.test(name) ? value * k : value;
  if (Array.isArray(value)) return value.map((item) => timesOf(item, k));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([member, inner]) => [member, timesOf(inner, k, member)]));
};

describe('every model', () => {
  it('with all of its amounts k times as high costs k times as much', () => {
    fc.assert(
      fc.property(pricedUsages, fc.bigInt({ min: 0n, max: 1000n }), ({ price, quantity, parts }, k) => {
        // A price of 0 for each event would ask the store for nothing.
        if (k === 0n && usagePartsOf(price).events) return;
        expect(cost(timesOf(price, k) as Price, quantity, parts)).toBe(k * cost(price, quantity, parts));
      }),
      runs,
    );
  });

  it('with free units prices as without them what is used beyond', () => {
    fc.assert(
      fc.property(quantityPrices, quantities, quantities, (price, free, units) => {
        if (!('freeUnits' in price)) return;
        const costs = (freeUnits: bigint, quantity: bigint) =>
          cost({ ...price, freeUnits: freeUnits as Quantity }, quantity);
        expect(costs(free, free + units)).toBe(costs(0n, units));
      }),
      runs,
    );
  });

  it('prices what is below zero as nothing', () => {
    fc.assert(
      fc.property(quantityPrices, quantities, (price, units) => {
        expect(cost(price, -units)).toBe(cost(price, 0n));
      }),
      runs,
    );
  });

  it('asks the same again for a bound that was reached: bounds on what is bounded change nothing', () => {
    fc.assert(
      fc.property(pricedUsages, amounts, amounts, ({ price, quantity, parts }, a, b) => {
        if (price.model === 'flat') return;
        const [minimumAmount, maximumAmount] = a < b ? [a, b] : [b, a];
        const free = cost(unbounded(price), quantity, parts);
        const once = cost({ ...price, minimumAmount, maximumAmount }, quantity, parts);
        const clamp = (value: bigint) => {
          if (value < precise(minimumAmount)) return precise(minimumAmount);
          return value > precise(maximumAmount) ? precise(maximumAmount) : value;
        };
        expect(once).toBe(clamp(free));
        expect(clamp(once)).toBe(once);
        if (once === precise(minimumAmount) || once === precise(maximumAmount)) {
          const reached = (once / 10n ** 12n) as Amount;
          expect(cost({ ...price, minimumAmount: reached, maximumAmount: reached }, quantity, parts)).toBe(once);
        }
      }),
      runs,
    );
  });

  const measured = ({ price, quantity, parts }: Usage, index: number): MeasuredPeriod => {
    const charge = { code: 'used', name: 'Used', meter: 'used', price };
    const told = [...parts].map(([part, { quantity: of, events }]) => ({
      part,
      quantity: formatQuantity(of),
      events: String(events),
    }));
    return {
      billingPeriodId: `bpd_${index}`,
      span: { start: 0, end: 1 },
      subscriptionId: 's',
      customerId: 'c',
      planVersionId: 'p',
      currency: 'USD',
      charges: [charge],
      storedCharges: [chargeToJson(charge)],
      customers: ['c'],
      meterVersionIds: { used: 'mtv_1' },
      usage: { used: { quantity: formatQuantity(quantity), ...(told.length > 0 && { parts: told }) } },
    };
  };

  it('[I12] gives the same bytes and hashes however periods are cut into shards', () => {
    const bytesOf = (shards: readonly (readonly MeasuredPeriod[])[]): string[] =>
      shards
        .map((periods) => rateShard({ policy: defaultRatingPolicy, watermark: 1n, periods }).rows)
        .flatMap(({ lines, parts, inputHashes, outputHashes }) =>
          lines.map((line, index) => [line, parts[index], inputHashes[index], outputHashes[index]].join('\n')),
        )
        .sort();
    fc.assert(
      fc.property(fc.array(pricedUsages, { maxLength: 8 }), fc.infiniteStream(fc.nat(3)), (usages, places) => {
        const periods = usages.map(measured);
        const shards: MeasuredPeriod[][] = [[], [], [], []];
        for (const period of periods.toReversed()) shards[places.next().value]?.push(period);
        expect(bytesOf(shards)).toEqual(bytesOf([periods]));
      }),
      { numRuns: scaled(200) },
    );
  });

  it('[I12] gives the same bytes in whatever order the store tells the parts', () => {
    fc.assert(
      fc.property(pricedUsages, (usage) => {
        const linesOf = (parts: Usage['parts']) =>
          ratePlan(measured({ ...usage, parts }, 0), defaultRatingPolicy).map((line) =>
            JSON.stringify(ratedLineToJson(line)),
          );
        expect(linesOf(new Map([...usage.parts].toReversed()))).toEqual(linesOf(usage.parts));
      }),
      runs,
    );
  });

  it('is in the properties above', () => {
    const drawn = fc.sample(pricedUsages, { numRuns: 500, seed: 1 }).map(({ price }) => price.model);
    // A cost book is rated as the matrix that it comes to.
    const rated = priceModels.map(({ name }) => name).filter((name) => name !== 'cost_book');
    expect(new Set(drawn)).toEqual(new Set(rated));
  });
});
