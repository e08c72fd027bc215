/**
 * What a simulation comes to, candidate by candidate and currency by currency, as it is answered. Pure, and exact: sums
 * and differences are of amounts in minor units; what is divided (a mean, a percentage) is rounded once, half up.
 */
import { type Currency, minorUnitsOf } from '#schemas/currency.ts';
import { formatFixedPlaces } from '#schemas/fixed-point.ts';
import {
  type Amount,
  amountScale,
  compareAmounts,
  divide,
  formatMinorUnits,
  RoundingMode,
  subtractAmounts,
  sumAmounts,
  zeroAmount,
} from '#schemas/money.ts';
import { type FailedPeriod, failedPeriodToJson, type SimulationFailure } from '#schemas/simulation.ts';

/** What one candidate comes to for one customer in one currency. */
export type SummedUp = {
  readonly customerId: string;
  readonly externalId: string;
  readonly currency: Currency;
  readonly baseline: Amount | null;
  readonly amount: Amount | null;
  readonly failure: SimulationFailure | null;
  /** Where a billing period could not be rated. */
  readonly failed: FailedPeriod | null;
};

/** Customers that can be compared. */
type Compared = {
  readonly customerId: string;
  readonly externalId: string;
  readonly baseline: Amount;
  readonly amount: Amount;
  readonly difference: Amount;
};

const percentPlaces = 4;

/** One minor unit as an amount. */
const minorUnitOf = (currency: Currency): bigint => 10n ** BigInt(amountScale - minorUnitsOf(currency));

/** 100 x difference / |baseline|, half up at four decimals; null of nothing. */
export const percentOf = (difference: Amount, baseline: Amount): string | null => {
  if (baseline === 0n) return null;
  // Of a baseline below zero, more is more all the same.
  const base = baseline < 0n ? -baseline : baseline;
  const scaled = divide(100n * 10n ** BigInt(percentPlaces) * difference, base, RoundingMode.halfUp);
  return formatFixedPlaces(scaled, percentPlaces, percentPlaces);
};

/**
 * By the nearest rank: the smallest value that at least so many percent of all are not above. `sorted` ascends and is
 * not empty. Rejected: an interpolation, which gives a difference that no customer has.
 */
export const percentileOf = (sorted: readonly Amount[], percent: number): Amount => {
  const rank = (BigInt(sorted.length) * BigInt(percent) + 99n) / 100n;
  return sorted[rank === 0n ? 0 : Number(rank) - 1] as Amount;
};

/** Half up to minor units. */
export const meanOf = (amounts: readonly Amount[], currency: Currency): Amount => {
  const unit = minorUnitOf(currency);
  return (divide(sumAmounts(amounts), BigInt(amounts.length) * unit, RoundingMode.halfUp) * unit) as Amount;
};

export const bucketsMax = 20;

/** The bucket of a value: buckets begin at multiples of the width, so zero is a bound. */
const bucketOf = (amount: Amount, width: bigint): bigint =>
  amount >= 0n ? amount / width : -((-amount + width - 1n) / width);

/** The smallest of 1, 2, 5, 10, 20, 50 ... minor units that gives at most `bucketsMax` buckets. */
export const bucketWidth = (least: Amount, most: Amount, currency: Currency): bigint => {
  for (let power = minorUnitOf(currency); ; power *= 10n)
    for (const step of [1n, 2n, 5n]) {
      const width = power * step;
      if (bucketOf(most, width) - bucketOf(least, width) < BigInt(bucketsMax)) return width;
    }
};

/** Half-open, from the first that has a customer to the last; none where there is no customer. */
const histogramOf = (sorted: readonly Amount[], currency: Currency) => {
  const [least] = sorted;
  const most = sorted.at(-1);
  if (least === undefined || most === undefined) return [];
  const width = bucketWidth(least, most, currency);
  const first = bucketOf(least, width);
  const counts = Array.from({ length: Number(bucketOf(most, width) - first) + 1 }, () => 0);
  for (const amount of sorted) {
    const index = Number(bucketOf(amount, width) - first);
    counts[index] = (counts[index] ?? 0) + 1;
  }
  return counts.map((customers, index) => ({
    from: formatMinorUnits(((first + BigInt(index)) * width) as Amount, currency),
    to: formatMinorUnits(((first + BigInt(index) + 1n) * width) as Amount, currency),
    customers,
  }));
};

const distributionOf = (sorted: readonly Amount[], currency: Currency) => {
  if (sorted.length === 0) return null;
  const at = (percent: number): string => formatMinorUnits(percentileOf(sorted, percent), currency);
  return {
    min: at(0),
    p5: at(5),
    p25: at(25),
    median: at(50),
    p75: at(75),
    p95: at(95),
    max: at(100),
    mean: formatMinorUnits(meanOf(sorted, currency), currency),
  };
};

const topMax = 10;

const changeJson = (baseline: Amount, amount: Amount, currency: Currency) => ({
  baseline: formatMinorUnits(baseline, currency),
  amount: formatMinorUnits(amount, currency),
  difference: formatMinorUnits(subtractAmounts(amount, baseline), currency),
  percent: percentOf(subtractAmounts(amount, baseline), baseline),
});

const topOf = (sorted: readonly Compared[], currency: Currency) =>
  sorted.slice(0, topMax).map(({ customerId, externalId, baseline, amount }) => ({
    customer_id: customerId,
    external_id: externalId,
    ...changeJson(baseline, amount, currency),
  }));

/** Of equal differences the first customers come first. */
const ascending = (a: Compared, b: Compared): number => compareAmounts(a.difference, b.difference);

const inCurrency = (currency: Currency, rows: readonly SummedUp[]) => {
  const compared = rows.flatMap(({ customerId, externalId, baseline, amount }): Compared[] =>
    baseline === null || amount === null
      ? []
      : [{ customerId, externalId, baseline, amount, difference: subtractAmounts(amount, baseline) }],
  );
  const up = compared.filter(({ difference }) => difference > 0n);
  const down = compared.filter(({ difference }) => difference < 0n);
  const differences = compared.map(({ difference }) => difference).toSorted(compareAmounts);
  return {
    currency,
    customers: {
      compared: compared.length,
      up: up.length,
      down: down.length,
      equal: compared.length - up.length - down.length,
      failed: rows.length - compared.length,
    },
    revenue: changeJson(
      sumAmounts(compared.map(({ baseline }) => baseline)),
      sumAmounts(compared.map(({ amount }) => amount)),
      currency,
    ),
    distribution: distributionOf(differences, currency),
    histogram: histogramOf(differences, currency),
    top_increases: topOf(
      up.toSorted((a, b) => ascending(b, a)),
      currency,
    ),
    top_decreases: topOf(down.toSorted(ascending), currency),
  };
};

const failuresShownMax = 20;

const failuresOf = (rows: readonly SummedUp[]) =>
  rows
    .flatMap(({ customerId, externalId, currency, failure, failed }) =>
      failure
        ? [
            {
              customer_id: customerId,
              external_id: externalId,
              currency,
              code: failure,
              ...failedPeriodToJson(failed),
            },
          ]
        : [],
    )
    .slice(0, failuresShownMax);

const byCurrency = (rows: readonly SummedUp[]): [Currency, SummedUp[]][] =>
  [...Map.groupBy(rows, ({ currency }) => currency)].toSorted(([a], [b]) => (a < b ? -1 : 1));

/** One list of sums for each candidate, all of the same customers. */
export const summarize = (candidates: readonly (readonly SummedUp[])[]) => ({
  baseline: {
    revenue: byCurrency(candidates[0] ?? []).map(([currency, rows]) => ({
      currency,
      amount: formatMinorUnits(sumAmounts(rows.map(({ baseline }) => baseline ?? zeroAmount)), currency),
      customers: {
        counted: rows.filter(({ baseline }) => baseline !== null).length,
        failed: rows.filter(({ baseline }) => baseline === null).length,
      },
    })),
  },
  candidates: candidates.map((rows, index) => ({
    candidate: index + 1,
    currencies: byCurrency(rows).map(([currency, of]) => inCurrency(currency, of)),
    failures: failuresOf(rows),
  })),
});

export type SimulationSummaryJson = ReturnType<typeof summarize>;
