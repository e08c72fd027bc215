/** What somebody credited of what deltas correct, as rows: for the invoicer, and for the API of drafts. */
import type { Queryable } from '#platform/stores/postgres.ts';
import { type HandCredits, type HandCreditsRow, handCreditsFromRows, handCreditsStatement } from './hand-credits.ts';

/** Of those of the billing periods that are deltas; no look where there are none. */
export const handCredits = async (
  db: Queryable,
  organizationId: string,
  billingPeriodIds: readonly string[],
): Promise<HandCredits> => {
  if (billingPeriodIds.length === 0) return new Map();
  const { rows } = await db.query<HandCreditsRow>(handCreditsStatement, [organizationId, billingPeriodIds]);
  return handCreditsFromRows(rows);
};
