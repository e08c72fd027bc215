/**
 * What becomes of a job that is leased, whoever works on it: the one place of the bounds. A lease counts as an attempt
 * when it is taken, so that a process that dies with it needs to say nothing.
 */

/** A bug that stops a job this often is its dead end. */
export const attemptsMax = 5;
/** So is the death of this many processes with it in their hands: what kills them may kill all others as well. */
export const deathsMax = 20;
const pauseSecondsMin = 1;
const pauseSecondsMax = 60;
const causeCharactersMax = 2_000;

/** Where a job stands after a fault: it waits for its next attempt, or is at its dead end. */
export type Fate = { readonly isDead: boolean; readonly attempts: number; readonly pauseSeconds: number };

/** `attempts` counts the one that ended in the fault. A part that is down costs no attempt: it is nobody's bug. */
export const fateOf = (attempts: number, passing: boolean): Fate => ({
  isDead: !passing && attempts >= attemptsMax,
  attempts: passing ? attempts - 1 : attempts,
  pauseSeconds: passing ? pauseSecondsMin : Math.min(pauseSecondsMax, pauseSecondsMin * 2 ** (attempts - 1)),
});

/** No later attempt would help. */
export const deadEnd = (attempts: number): Fate => ({ isDead: true, attempts, pauseSeconds: 0 });

/** The words that a job keeps of its fault. */
export const causeOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).slice(0, causeCharactersMax);
