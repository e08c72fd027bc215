import { type Columns, type Fragment, integerOf, whole } from './fragment.ts';

/** The largest or the smallest value. */
export const extremeFragment = (which: 'max' | 'min', { value }: Columns): Fragment => ({
  results: { extreme: `toString(${which}(${value}))` },
  quantityOf: ({ extreme }) => (extreme == null ? null : whole(integerOf(extreme))),
});
