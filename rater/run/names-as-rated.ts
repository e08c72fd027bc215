/**
 * Under which of a customer's names the usage of a line was counted. A customer may have been given others since: these
 * come behind the ones from before, so what was asked of usage then is the beginning of the names of now, and the hash
 * of the line's input tells where it ended. Pure.
 */
import { type RatingInput, ratingInputToJson } from '#schemas/rating-input.ts';
import { lineHashesOfStored } from './line-hashes.ts';

const withNames = (input: RatingInput, count: number): RatingInput => ({
  ...input,
  measured: input.measured.map((one) => ({ ...one, customers: one.customers.slice(0, count) })),
});

/** As it was hashed; the very input where no names give that hash. A line without a hash is from before all renames. */
export const inputAsRated = (input: RatingInput, inputHash: string | undefined): RatingInput => {
  const names = Math.max(0, ...input.measured.map(({ customers }) => customers.length));
  if (names <= 2) return input;
  if (inputHash === undefined) return withNames(input, 2);
  for (let count = names; count > 0; count -= 1) {
    const before = withNames(input, count);
    if (lineHashesOfStored(ratingInputToJson(before), {}).input === inputHash) return before;
  }
  return input;
};
