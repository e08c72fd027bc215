import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { PriceOverride } from '#schemas/price-span.ts';
import { type OverriddenCharge, overrideAt, priceSpansOf } from '../../../../rater/price/price-timeline.ts';
import { priceOf } from '../../../support/prices.ts';

const json = { model: 'per_unit', unit_amount: '1' } as const;
const price = priceOf(json);
const sums = { aggregation: 'sum', rounding: null } as const;
type Meter = OverriddenCharge['meter'];
const own = (meter: Meter = sums) => ({
  charge: { code: 'c', name: 'C', meter: 'm', price },
  storedCharge: { code: 'c', name: 'C', meter: 'm', price: json },
  meter,
});
const override = (
  id: string,
  effectiveFrom: number,
  effectiveUntil: number | null,
  more: Partial<PriceOverride> = {},
): PriceOverride => ({
  id,
  planId: 'p',
  chargeCode: 'c',
  customerId: null,
  currency: 'USD',
  price,
  storedPrice: json,
  tiers: 'restart',
  effectiveFrom,
  effectiveUntil,
  ...more,
});
const time = { start: 100, end: 200 };
const of = (overrides: readonly PriceOverride[], meter?: Meter): string[] | undefined =>
  priceSpansOf(own(meter), time, overrides)?.map(
    ({ span, tiers, sources }) => `${span.start}-${span.end} ${sources.priceOverrideId ?? 'own'} ${tiers}`,
  );
const mine = { customerId: 'me' };

describe('which price stands when', () => {
  it.each([
    ['none', [], undefined],
    ['one that has ended as the time begins', [override('a', 0, 100)], undefined],
    ['one that begins when the time ends', [override('a', 200, null)], undefined],
    ['one that was taken back', [override('a', 150, 150)], undefined],
    ['one for all of the time', [override('a', 100, 200)], ['100-200 a restart']],
    ['one that goes on beyond it', [override('a', 0, null)], ['100-200 a restart']],
    ['one from some moment on', [override('a', 150, null)], ['100-150 own restart', '150-200 a restart']],
    ['one for a while', [override('a', 120, 150)], ['100-120 own restart', '120-150 a restart', '150-200 own restart']],
    [
      'one that goes on in the tiers, and so does what comes behind it',
      [override('a', 120, 150, { tiers: 'continue' })],
      ['100-120 own restart', '120-150 a continue', '150-200 own continue'],
    ],
    [
      'of two, the one that began later',
      [override('a', 0, null), override('b', 150, null)],
      ['100-150 a restart', '150-200 b restart'],
    ],
    [
      'of two at once, the one that was made later',
      [override('a', 150, null), override('b', 150, null)],
      ['100-150 own restart', '150-200 b restart'],
    ],
    [
      'the earlier one again, where the later ends',
      [override('a', 0, null), override('b', 120, 150)],
      ['100-120 a restart', '120-150 b restart', '150-200 a restart'],
    ],
    [
      'a customer’s own before that of everyone, though it began earlier',
      [override('own', 110, 180, mine), override('all', 120, null)],
      ['100-110 own restart', '110-180 own restart', '180-200 all restart'],
    ],
  ])('%s', (_, overrides, expected) => {
    expect(of(overrides)).toEqual(expected);
    expect(of(overrides.toReversed())).toEqual(expected);
  });

  it('each time has the price that stands in it, and its JSON', () => {
    const dearer = { model: 'per_unit', unit_amount: '9' } as const;
    const other = override('a', 120, 150, { price: priceOf(dearer), storedPrice: dearer });
    expect(priceSpansOf(own(), time, [other])?.map(({ price: one, storedPrice }) => [one, storedPrice])).toEqual([
      [price, json],
      [priceOf(dearer), dearer],
      [price, json],
    ]);
  });

  const lasting = (['max', 'min', 'unique', 'latest', 'average', 'weighted_sum', 'percentile'] as const).map(
    (aggregation) => [aggregation, { aggregation, rounding: null }] as const,
  );
  it.each<readonly [string, Meter]>([
    ...lasting,
    ['sum, rounded', { aggregation: 'sum', rounding: { mode: 'up', scale: 0 } as never }],
  ])('parts of %s do not add up: the price of the beginning stands for all of the time', (_, meter) => {
    expect(of([override('a', 0, null)], meter)).toEqual(['100-200 a restart']);
    expect(of([override('a', 100, 101)], meter)).toEqual(['100-200 a restart']);
    expect(of([override('a', 101, null)], meter)).toBeUndefined();
  });

  it('a charge without a meter is charged once, at the price of the beginning', () => {
    const fee = { ...own(), meter: undefined };
    expect(priceSpansOf(fee, time, [override('a', 100, 101)])).toMatchObject([{ span: time }]);
    expect(priceSpansOf(fee, time, [override('a', 101, null)])).toBeUndefined();
  });

  it('the spans tile the time, each with the price that stands at each of its moments', () => {
    const validity = fc
      .tuple(fc.integer({ min: 80, max: 220 }), fc.option(fc.integer({ min: 0, max: 60 })), fc.boolean())
      .map(([from, length, isMine]) => [from, length === null ? null : from + length, isMine ? mine : {}] as const);
    fc.assert(
      fc.property(fc.array(validity, { maxLength: 6 }), (made) => {
        const overrides = made.map(([from, until, more], index) => override(`o${index}`, from, until, more));
        const spans = priceSpansOf(own(), time, overrides) ?? [{ span: time, sources: {} }];
        let reached = time.start;
        for (const { span, sources } of spans) {
          expect(span.start).toBe(reached);
          reached = span.end;
          for (let instant = span.start; instant < span.end; instant += 1)
            expect(overrideAt(overrides, instant)?.id).toBe((sources as { priceOverrideId?: string }).priceOverrideId);
        }
        expect(reached).toBe(time.end);
      }),
    );
  });
});
