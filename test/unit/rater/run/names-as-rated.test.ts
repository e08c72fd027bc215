import { expect, it } from 'vitest';
import { type RatingInput, ratingInputToJson } from '#schemas/rating-input.ts';
import { lineHashesOfStored } from '../../../../rater/run/line-hashes.ts';
import { inputAsRated } from '../../../../rater/run/names-as-rated.ts';

const inputOf = (...customers: readonly string[]): RatingInput => ({
  billingPeriodId: 'bpd_1',
  subscriptionId: 'sub_1',
  customerId: 'cus_1',
  planVersionId: 'plv_1',
  position: 1,
  charge: { code: 'a', name: 'A', meter: 'm', price: { model: 'per_unit', unit_amount: '1' } },
  currency: 'EUR' as RatingInput['currency'],
  policy: { rounding: 'half_up' },
  span: { start: 0, end: 1 },
  watermark: 7n,
  measured: [{ meter: 'm', meterVersionId: 'mtv_1', customers, quantity: '1', unmeasuredEvents: 0n }],
});
const hashOf = (input: RatingInput): string => lineHashesOfStored(ratingInputToJson(input), {}).input;

it('a line was counted under the names that its hash is of, whatever its customer is called since', () => {
  const now = inputOf('cus_1', 'old', 'new', 'newest');
  for (const then of [inputOf('cus_1'), inputOf('cus_1', 'old'), inputOf('cus_1', 'old', 'new'), now])
    expect(inputAsRated(now, hashOf(then))).toEqual(then);
});

it('one that was hashed with anything else has all names, and one without a hash those from before all renames', () => {
  const now = inputOf('cus_1', 'old', 'new');
  expect(inputAsRated(now, hashOf(inputOf('cus_1', 'new')))).toEqual(now);
  expect(inputAsRated(now, undefined)).toEqual(inputOf('cus_1', 'old'));
  expect(inputAsRated({ ...now, measured: [] }, undefined)).toEqual({ ...now, measured: [] });
});
