/** Deltas as rows: what was rated before of the periods that they correct, and what becomes of those on no invoice. */
import assert from 'node:assert/strict';
import type { Queryable } from '#platform/stores/postgres.ts';
import type { IssuePorts, SettledDelta } from './close-period.ts';
import { lineFromRow, type RatedRow, ratedBeforeParameters, ratedLinesStatement } from './invoice-groups.ts';

export const createLinesBefore =
  (postgres: Queryable): IssuePorts['linesBefore'] =>
  async (periods) => {
    const before = ratedBeforeParameters(periods);
    return before ? (await postgres.query<RatedRow>(ratedLinesStatement, before)).rows.map(lineFromRow) : [];
  };

/** One that is not open any more ends the transaction. */
export const settleDeltas = async (
  client: Queryable,
  deltas: readonly SettledDelta[],
  watermark: bigint,
): Promise<void> => {
  if (deltas.length === 0) return;
  const { rowCount } = await client.query(
    `UPDATE billing_periods p SET state = n.state, watermark = $3 FROM unnest($1::text[], $2::text[]) AS n (id, state)
     WHERE p.id = n.id AND p.state = 'open'`,
    [deltas.map(({ billingPeriodId }) => billingPeriodId), deltas.map(({ state }) => state), watermark],
  );
  assert.equal(rowCount, deltas.length, 'a delta is settled already');
};
