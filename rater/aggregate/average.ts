import { addResults, type Columns, type Fragment, integerOf } from './fragment.ts';

/** The sum of the values by their number. */
export const averageFragment = ({ value }: Columns): Fragment => ({
  results: { sum: `toString(sum(${value}))`, count: `toString(count(${value}))` },
  quantityOf: ({ sum, count }) =>
    integerOf(count) === 0n ? null : { numerator: integerOf(sum), denominator: integerOf(count) },
  merge: addResults,
});
