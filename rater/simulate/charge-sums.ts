/** Measured billing periods -> what each is charged: the sum of its printed lines, as its invoice has it. Pure. */
import { type Amount, sumAmounts } from '#schemas/money.ts';
import type { RatingPolicy } from '#schemas/rated-line.ts';
import { failureMessage } from '#schemas/rating-failure.ts';
import { ratePlan } from '../price/rate.ts';
import type { PeriodToRate } from '../price/rating-task.ts';

export type PeriodsToSum = { readonly policy: RatingPolicy; readonly periods: readonly PeriodToRate[] };

/** Of a period that can't be rated the words of its error. */
export type PeriodSum = { readonly sum: Amount } | { readonly error: string };

const sumOf = (period: PeriodToRate, policy: RatingPolicy): PeriodSum => {
  try {
    return { sum: sumAmounts(ratePlan(period, policy).map(({ amount }) => amount)) };
  } catch (error) {
    return { error: failureMessage(error) };
  }
};

/** In the order of the periods. */
export const chargeSums = ({ policy, periods }: PeriodsToSum): PeriodSum[] =>
  periods.map((period) => sumOf(period, policy));
