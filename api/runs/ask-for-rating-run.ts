/**
 * The use case of asking for a rating run: what may be rated without issuing, and up to where. The run itself is the
 * rater's.
 */
import type { Db } from '../route/define-route.ts';
import { refuseFaults } from '../route/resource-fields.ts';
import type { RatingRun } from './rating-runs.postgres.ts';
import { type AskedScope, begunMonth, endedMonth, type RunScopePorts, whomOf } from './run-scope.ts';
import type { NewRun } from './runs.postgres.ts';

export type AskForRatingRunPorts = RunScopePorts & {
  readonly ratingRuns: { readonly add: (db: Db, run: NewRun, now: Date) => Promise<RatingRun> };
};

/** The sequence of the last accepted message; undefined where the stream does not say. */
export type LastSequence = () => Promise<bigint | undefined>;

/** What PostgreSQL holds. */
const sequenceMax = 2n ** 63n - 1n;

/**
 * The watermark that is asked for; null where none is. Where the stream does not say how far it is, the rater finds out
 * and fails the run.
 */
export const watermarkAsked = async (text: string | undefined, lastSequence: LastSequence): Promise<bigint | null> => {
  if (text === undefined) return null;
  const watermark = BigInt(text);
  const last = (await lastSequence()) ?? sequenceMax;
  if (watermark > last)
    refuseFaults([
      { field: 'watermark', code: 'out_of_range', message: `must be at most ${last}, the end of the stream` },
    ]);
  return watermark;
};

type Asked = AskedScope & {
  /** A month, such as 2026-10. */
  readonly period: string;
  readonly dry_run?: boolean;
  readonly requestId: string;
  readonly apiKeyId: string;
};

export const askForRatingRun = async (
  ports: AskForRatingRunPorts,
  db: Db,
  { period: month, dry_run: isDry = true, requestId, apiKeyId, ...scope }: Asked,
  watermark: bigint | null,
  nowMs: number,
): Promise<RatingRun> => {
  // What is kept for billing is of time that is over, as what is billed is.
  const period = isDry ? begunMonth(month, nowMs) : endedMonth(month, nowMs);
  const { customerId, subscriptionId } = await whomOf(ports, db, scope);
  const kind = isDry ? 'dry_rating' : 'rating';
  const run: NewRun = { kind, of: period, customerId, subscriptionId, watermark, requestId, apiKeyId };
  return ports.ratingRuns.add(db, run, new Date(nowMs));
};
