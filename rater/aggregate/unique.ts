import { type Columns, type Fragment, integerOf, unitsPerOne, whole } from './fragment.ts';

/** How many different texts a property had: exact, as every one of them is held. "1" and "1.0" are two. */
export const uniqueFragment = ({ value }: Columns): Fragment => ({
  results: { unique: `toString(uniqExact(${value}))` },
  quantityOf: ({ unique }) => whole(integerOf(unique) * unitsPerOne),
});
