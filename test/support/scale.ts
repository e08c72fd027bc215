/**
 * How long the suite's long forms are: random cases, seeds, rounds. `MILLRACE_TEST_SCALE=20 npm test` runs twenty times
 * as many.
 */
const scale = Number(process.env.MILLRACE_TEST_SCALE || 1);
if (!(scale > 0 && scale <= 1_000))
  throw new Error(`MILLRACE_TEST_SCALE is a number above 0 and up to 1000, not ${scale}`);

/** So many of `count`, which is what a run of everything has time for. */
export const scaled = (count: number): number => Math.ceil(count * scale);
