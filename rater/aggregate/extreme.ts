import { type Columns, type Fragment, integerOf, whole } from './fragment.ts';

const further = (which: 'max' | 'min', a: string, b: string): string =>
  (which === 'max') === integerOf(a) > integerOf(b) ? a : b;

/** The largest or the smallest value. */
export const extremeFragment = (which: 'max' | 'min', { value }: Columns): Fragment => ({
  results: { extreme: `toString(${which}(${value}))` },
  quantityOf: ({ extreme }) => (extreme == null ? null : whole(integerOf(extreme))),
  merge: ({ extreme: a = null }, { extreme: b = null }) => ({
    extreme: a === null || b === null ? (a ?? b) : further(which, a, b),
  }),
});
