/**
 * Deltas as rows: what was rated before of the periods that they correct, the lock on what was billed of them, and what
 * becomes of those on no invoice.
 */
import assert from 'node:assert/strict';
import type { Queryable } from '#platform/stores/postgres.ts';
import {
  isGivenBack,
  lineFromRow,
  type RatedRow,
  ratedBeforeParameters,
  ratedLinesStatement,
} from '../invoices/invoice-groups.ts';
import type { IssuePorts, SettledDelta } from './close-period.ts';

export const createLinesBefore =
  (postgres: Queryable): IssuePorts['linesBefore'] =>
  async (periods) => {
    const before = ratedBeforeParameters(periods);
    return before ? (await postgres.query<RatedRow>(ratedLinesStatement, before)).rows.map(lineFromRow) : [];
  };

/** The states of all invoices that billed something of what the deltas among `$1` correct. */
const correctedStates = `
FROM unnest($1::text[]) AS n (id) CROSS JOIN LATERAL (
    SELECT p.id, p.corrects_id FROM billing_periods p WHERE p.id = n.id AND p.timing = 'delta' OFFSET 0
  ) d CROSS JOIN LATERAL (
    SELECT p.invoice_id FROM billing_periods p WHERE p.id = d.corrects_id
    UNION ALL SELECT p.invoice_id FROM billing_periods p WHERE p.corrects_id = d.corrects_id OFFSET 0
  ) b JOIN invoice_states s ON s.invoice_id = b.invoice_id`;

/**
 * Those of the billing periods that correct what credit notes gave back some of. Nobody credits any of the invoices
 * that are corrected until the transaction ends: what both take back would be given back twice.
 */
export const lockCorrected = async (
  client: Queryable,
  billingPeriodIds: readonly string[],
): Promise<ReadonlySet<string>> => {
  if (billingPeriodIds.length === 0) return new Set();
  const lock = `SELECT 1 ${correctedStates} ORDER BY s.invoice_id FOR UPDATE OF s`;
  const { rowCount } = await client.query(lock, [billingPeriodIds]);
  if (rowCount === 0) return new Set();
  // In a statement of its own: it sees what whoever had a lock before has credited.
  const { rows } = await client.query<{ id: string }>(
    `SELECT DISTINCT d.id ${correctedStates} WHERE ${isGivenBack('s')}`,
    [billingPeriodIds],
  );
  return new Set(rows.map(({ id }) => id));
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
