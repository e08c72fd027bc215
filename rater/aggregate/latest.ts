import { type Columns, type Fragment, integerOf, whole } from './fragment.ts';

/**
 * The value of the last event that has one; of events of the same millisecond, the one with the greatest idempotency
 * key in order of bytes.
 */
export const latestFragment = ({ value }: Columns): Fragment => ({
  results: {
    latest: `toString(argMaxIf(assumeNotNull(${value}), (occurred_at, idempotency_key), isNotNull(${value})))`,
    count: `toString(count(${value}))`,
  },
  quantityOf: ({ latest, count }) => (integerOf(count) === 0n ? null : whole(integerOf(latest))),
});
