import { type Percentile, rankParts } from '#schemas/meter.ts';
import { type Columns, type Fragment, integerOf, whole } from './fragment.ts';

/** Ranks have four decimals of a hundredth. */
const partsOfWhole = 1_000_000n;

/**
 * nearest_rank: the value at ceil(p/100 * N) of the sorted. linear: the value at 1 + (N - 1) * p/100, between two
 * values in proportion (type 7 of Hyndman and Fan). Places are counted in whole numbers: ClickHouse's own quantiles
 * take the rank as a binary float, and miss a place.
 */
export const percentileFragment = ({ rank, method }: Percentile, { value }: Columns): Fragment => {
  const parts = rankParts(rank);
  const sorted = `arraySort(groupArrayIf(assumeNotNull(${value}), isNotNull(${value})))`;
  const count = `count(${value})`;
  const at = (place: string): string => `toString(${sorted}[greatest(toInt64(1), toInt64(${place}))])`;
  if (method === 'nearest_rank') {
    return {
      results: {
        value: at(`intDiv(${count} * ${parts} + ${partsOfWhole - 1n}, ${partsOfWhole})`),
        count: `toString(${count})`,
      },
      quantityOf: (results) => (integerOf(results.count) === 0n ? null : whole(integerOf(results.value))),
    };
  }
  const below = `1 + intDiv((toInt64(${count}) - 1) * ${parts}, ${partsOfWhole})`;
  return {
    results: { below: at(below), above: at(`least(1 + ${below}, toInt64(${count}))`), count: `toString(${count})` },
    quantityOf: (results) => {
      const events = integerOf(results.count);
      if (events === 0n) return null;
      const share = ((events - 1n) * parts) % partsOfWhole;
      const [low, high] = [integerOf(results.below), integerOf(results.above)];
      return { numerator: low * partsOfWhole + (high - low) * share, denominator: partsOfWhole };
    },
  };
};
