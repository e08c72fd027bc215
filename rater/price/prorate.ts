/**
 * A price of a whole billing period -> what a part of it costs. The part up to an instant costs its share, rounded to
 * minor units; a part between two instants, what is due up to its end less what is due up to its begin. So parts that
 * follow each other sum to the whole, to the last minor unit, wherever the period was cut and however often.
 */
import type { Currency } from '#schemas/currency.ts';
import {
  type Amount,
  type PreciseAmount,
  type RoundingMode,
  roundShareToMinorUnits,
  toPrecise,
} from '#schemas/money.ts';
import type { PeriodBoundIn, PeriodBoundsIn } from '#schemas/period-bound.ts';
import { periodBoundNames } from '#schemas/period-bound.ts';
import type { Proration } from '#schemas/proration.ts';
import type { Priced, PriceStep } from '#schemas/rated-line.ts';
import { pricedOf } from './steps.ts';

/** A whole number of minor units. */
export const shareOf = (
  whole: PreciseAmount,
  { from, to, of }: Proration,
  currency: Currency,
  rounding: RoundingMode,
): Amount => {
  const dueUntil = (part: number): bigint =>
    roundShareToMinorUnits(whole, BigInt(part), BigInt(of), currency, rounding);
  return (dueUntil(to) - dueUntil(from)) as Amount;
};

/** Of a flat price, whose one step is its whole amount. */
export const prorate = (
  { precise, billableQuantity, steps }: Priced,
  proration: Proration,
  currency: Currency,
  rounding: RoundingMode,
): Priced => {
  const amount = toPrecise(shareOf(precise, proration, currency, rounding));
  return pricedOf(
    billableQuantity,
    steps.map((step): PriceStep => ({ ...step, kind: 'prorated', amount, proration })),
  );
};

/** What is charged at least and at most for the part. */
export const prorateBounds = (
  bounds: PeriodBoundsIn,
  proration: Proration,
  currency: Currency,
  rounding: RoundingMode,
): PeriodBoundsIn => {
  const share = (bound: PeriodBoundIn): PeriodBoundIn => ({
    ...bound,
    amount: shareOf(toPrecise(bound.amount), proration, currency, rounding),
  });
  return Object.fromEntries(
    periodBoundNames.flatMap((name) => {
      const bound = bounds[name];
      return bound ? [[name, share(bound)]] : [];
    }),
  );
};
