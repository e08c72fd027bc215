import { addResults, type Columns, type Fragment, integerOf, whole } from './fragment.ts';

/** The exact sum of values: an Int256 is wide enough that no sum of stored events overflows it. */
export const sumFragment = ({ value }: Columns): Fragment => ({
  results: { sum: `toString(sum(${value}))` },
  quantityOf: ({ sum }) => whole(integerOf(sum)),
  merge: addResults,
});
