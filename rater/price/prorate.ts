/**
 * A price of a whole billing period -> what a part of it costs. The part up to an instant costs its share, rounded to
 * minor units; a part between two instants, what is due up to its end less what is due up to its begin. So parts that
 * follow each other sum to the whole, to the last minor unit, wherever the period was cut and however often.
 */
import assert from 'node:assert/strict';
import type { Currency } from '#schemas/currency.ts';
import {
  type Amount,
  type PreciseAmount,
  type RoundingMode,
  roundShareToMinorUnits,
  shownPrecise,
  toPrecise,
} from '#schemas/money.ts';
import type { PeriodBoundIn, PeriodBoundsIn } from '#schemas/period-bound.ts';
import { periodBoundNames } from '#schemas/period-bound.ts';
import type { Proration } from '#schemas/proration.ts';
import { type Quantity, zeroQuantity } from '#schemas/quantity.ts';
import type { Priced, PriceStep } from '#schemas/rated-line.ts';
import { unpricedStep } from './steps.ts';

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

/** Of a price that no usage goes into: what it costs whole -> what the part costs, or what is taken back of it. */
export const priceOfPart = (
  { precise, steps }: Priced,
  units: Quantity,
  { proration, isCredit }: { readonly proration: Proration | undefined; readonly isCredit: boolean },
  currency: Currency,
  rounding: RoundingMode,
): readonly PriceStep[] => {
  if (!proration && !isCredit) return steps;
  const share = shareOf(precise, proration ?? wholePart, currency, rounding);
  const [first] = steps;
  assert(first, 'what has a price has a step');
  return [
    {
      ...(steps.length === 1 && first.kind === 'flat' ? first : unpricedStep('flat', zeroQuantity, units, units)),
      kind: isCredit ? 'credit' : 'prorated',
      flatAmount: shownPrecise(precise),
      amount: toPrecise((isCredit ? -share : share) as Amount),
      ...(proration && { proration }),
    },
  ];
};

const wholePart: Proration = { by: 'time', from: 0, to: 1, of: 1 };

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
