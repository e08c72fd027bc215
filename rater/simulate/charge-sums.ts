/** Measured billing periods -> what each is charged: the sum of its printed lines, as its invoice has it. Pure. */
import { type Amount, sumAmounts } from '#schemas/money.ts';
import type { RatingPolicy } from '#schemas/rated-line.ts';
import { ratePlan } from '../price/rate.ts';
import type { PeriodToRate } from '../price/rating-task.ts';

export type PeriodsToSum = { readonly policy: RatingPolicy; readonly periods: readonly PeriodToRate[] };

/** In the order of the periods. */
export const chargeSums = ({ policy, periods }: PeriodsToSum): Amount[] =>
  periods.map((period) => sumAmounts(ratePlan(period, policy).map(({ amount }) => amount)));
