import { addResults, type Columns, type Fragment, integerOf, unitsPerOne, whole } from './fragment.ts';

/** How many events there were. */
export const countFragment = ({ counted }: Columns): Fragment => ({
  results: { count: `toString(countIf(${counted}))` },
  quantityOf: ({ count }) => whole(integerOf(count) * unitsPerOne),
  merge: addResults,
});
