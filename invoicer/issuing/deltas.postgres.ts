/**
 * Deltas as rows: what was rated before of the periods that they correct, the lock on what was billed of them, and what
 * becomes of those on no invoice.
 */
import assert from 'node:assert/strict';
import type { Queryable } from '#platform/stores/postgres.ts';
import { handCredits } from '../corrections/hand-credits.postgres.ts';
import type { HandCredits } from '../corrections/hand-credits.ts';
import { lineFromRow, type RatedRow, ratedBeforeParameters, ratedLinesStatement } from '../invoices/invoice-groups.ts';
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
 * What somebody credited of what deltas among the billing periods correct. Nobody credits any of these invoices until
 * the transaction ends: what both take back would be given back twice.
 */
export const lockCorrected = async (
  client: Queryable,
  organizationId: string,
  billingPeriodIds: readonly string[],
): Promise<HandCredits> => {
  if (billingPeriodIds.length === 0) return new Map();
  const lock = `SELECT 1 ${correctedStates} ORDER BY s.invoice_id FOR UPDATE OF s`;
  const { rowCount } = await client.query(lock, [billingPeriodIds]);
  // In a statement of its own: it sees what whoever had a lock before has credited.
  return rowCount === 0 ? new Map() : handCredits(client, organizationId, billingPeriodIds);
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
