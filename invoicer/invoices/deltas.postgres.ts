/** Deltas as rows: what was rated before of the periods that they correct, and what becomes of those on no invoice. */
import assert from 'node:assert/strict';
import type { Queryable } from '#platform/stores/postgres.ts';
import type { IssuePorts, SettledDelta } from './close-period.ts';
import { lineFromRow, type RatedRow } from './invoice-groups.ts';

const linesStatement = `
SELECT l.line, p.id, p.span_start, p.span_end FROM unnest($1::text[], $2::bigint[]) AS n (id, watermark)
  JOIN rated_lines l ON l.billing_period_id = n.id AND l.watermark = n.watermark JOIN billing_periods p ON p.id = n.id
ORDER BY n.id, l.position`;

export const createLinesBefore =
  (postgres: Queryable): IssuePorts['linesBefore'] =>
  async (periods) => {
    const before = periods.flatMap(({ correction }) => correction?.before ?? []);
    if (before.length === 0) return [];
    const { rows } = await postgres.query<RatedRow>(linesStatement, [
      before.map(({ billingPeriodId }) => billingPeriodId),
      before.map(({ watermark }) => watermark),
    ]);
    return rows.map(lineFromRow);
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
     WHERE p.id = n.id AND p.state = 'open' AND p.draft_id IS NULL`,
    [deltas.map(({ billingPeriodId }) => billingPeriodId), deltas.map(({ state }) => state), watermark],
  );
  assert.equal(rowCount, deltas.length, 'a delta is settled already');
};
