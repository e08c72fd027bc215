/** Deltas that credit notes give back, as rows: what they correct, and the credit notes. */
import { recordChange } from '#platform/audit/record-change.ts';
import type { Queryable } from '#platform/stores/postgres.ts';
import type { Shard } from '#schemas/billing-run.ts';
import type { Instant } from '#schemas/period.ts';
import { type BilledRow, billedBeforeFromRows, billedBeforeStatement } from '../corrections/billed-before.ts';
import { creditNoteIssuing } from '../credits/credit-notes.postgres.ts';
import { type CreditDb, creditChanges, issueCredit, type LockedInvoice } from '../credits/issue-credit.ts';
import { type CorrectedPeriods, type CreditOfDelta, nothingCorrected } from './credit-deltas.ts';

const selectCredited = `SELECT n.id FROM unnest($1::text[]) AS n (id) CROSS JOIN LATERAL (
    SELECT p.late_usage FROM billing_periods p WHERE p.id = n.id AND p.organization_id = $2 OFFSET 0
  ) p WHERE p.late_usage = 'credit_note'`;

/** Of those of the billing periods that are deltas which may be credited. */
export const correctedPeriods = async (
  db: CreditDb,
  billingPeriodIds: readonly string[],
  how: 'lock' | 'look',
): Promise<CorrectedPeriods> => {
  if (billingPeriodIds.length === 0) return nothingCorrected;
  const { rows } = await db.query<{ id: string }>(selectCredited, [billingPeriodIds, db.organizationId]);
  if (rows.length === 0) return nothingCorrected;
  const ids = rows.map(({ id }) => id);
  const billed = await db.query<BilledRow>(billedBeforeStatement, [db.organizationId, ids]);
  const invoices = new Map<string, LockedInvoice>();
  for (const invoiceId of new Set(billed.rows.map((row) => row.invoice_id))) {
    const { lockInvoice, lookAtInvoice } = creditNoteIssuing;
    const found = await (how === 'lock' ? lockInvoice(db, invoiceId) : lookAtInvoice(db, invoiceId));
    if (found) invoices.set(invoiceId, found);
  }
  const before = billedBeforeFromRows(billed.rows);
  return { billed: new Map([...before].map(([id, { lines }]) => [id, lines])), invoices };
};

/** One after the other: each has the number behind the one before. */
export const issueCredits = async (
  client: Queryable,
  { organizationId, requestId }: Pick<Shard, 'organizationId' | 'requestId'>,
  credits: readonly CreditOfDelta[],
  hour: () => Instant,
): Promise<void> => {
  const db = { query: client.query, organizationId };
  for (const { deltaId, locked, drawn } of credits) {
    const issued = await issueCredit(creditNoteIssuing, db, locked, drawn, { metadata: {}, deltaId }, hour());
    const actor = { actor: 'invoicer', requestId, result: 'done' };
    await recordChange(db, actor, creditChanges(locked, issued), issued.note.issuedAt);
  }
};
