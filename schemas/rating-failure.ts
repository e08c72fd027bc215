/** A billing period that a run could not rate: it stays open, and the next run takes it again. */

/**
 * What was at fault, in the order of the work. `rated_otherwise`: lines of the same watermark stand that were rated at
 * prices which changed since; at a later watermark it is rated.
 */
export const ratingFailureCodes = [
  'catalog_unreadable',
  'usage_unreadable',
  'rating_error',
  'rated_otherwise',
  'worker_ended',
] as const;
export type RatingFailureCode = (typeof ratingFailureCodes)[number];

export type RatingFailure = {
  readonly billingPeriodId: string;
  readonly code: RatingFailureCode;
  /** With its causes. */
  readonly message: string;
};

const messageCharactersMax = 2_000;
const causesMax = 5;

/** The words of an error and of what caused it. */
export const failureMessage = (error: unknown): string => {
  const words: string[] = [];
  for (let at = error; at !== undefined && at !== null && words.length < causesMax; ) {
    words.push(at instanceof Error ? at.message : String(at));
    at = at instanceof Error ? at.cause : undefined;
  }
  // It may quote what callers sent, and PostgreSQL keeps no NUL.
  return words.join(': ').replaceAll('\0', ' ').slice(0, messageCharactersMax).toWellFormed();
};
