/**
 * Holds credit notes against what they credit: of a line no more than it charged, of an invoice no more than its total,
 * and as much as its state says.
 */
import type { Queryable } from '#platform/stores/postgres.ts';
import type { ChangeFaults } from './verify-changes.postgres.ts';

const namedMax = 100;

/** `$1` is the organization. */
const faultsStatement = `
WITH notes AS (
  SELECT invoice_id, sum(total) AS total FROM credit_notes WHERE organization_id = $1 GROUP BY invoice_id
)
SELECT 'invoice' AS kind, s.invoice_id AS id, 'credited_total_differs' AS reason
FROM invoice_states s LEFT JOIN notes n ON n.invoice_id = s.invoice_id
WHERE s.organization_id = $1 AND s.amount_credited <> coalesce(n.total, 0)
UNION ALL
SELECT 'invoice', i.id, 'credited_beyond_total'
FROM invoices i JOIN notes n ON n.invoice_id = i.id
WHERE i.organization_id = $1 AND n.total > greatest(i.total, 0)
UNION ALL
SELECT DISTINCT 'invoice', l.invoice_id, 'line_credited_beyond_amount'
FROM (
    SELECT invoice_id, invoice_line, sum(amount) AS amount FROM credit_note_lines
    WHERE organization_id = $1 GROUP BY invoice_id, invoice_line
  ) l JOIN invoice_lines i ON i.invoice_id = l.invoice_id AND i.position = l.invoice_line
WHERE l.amount NOT BETWEEN least(i.amount, 0) AND greatest(i.amount, 0)
UNION ALL
SELECT 'credit_note', n.id, 'total_is_no_sum'
FROM credit_notes n LEFT JOIN (
    SELECT credit_note_id, count(*) AS lines, sum(amount) AS amount FROM credit_note_lines
    WHERE organization_id = $1 GROUP BY credit_note_id
  ) l ON l.credit_note_id = n.id
WHERE n.organization_id = $1 AND (n.subtotal <> coalesce(l.amount, 0) OR n.line_count <> coalesce(l.lines, 0))
ORDER BY 1, 2, 3`;

export const verifyCredits = async (db: Queryable, organizationId: string): Promise<ChangeFaults> => {
  const { rows } = await db.query<{ kind: string; id: string; reason: string }>(faultsStatement, [organizationId]);
  const named = rows.slice(0, namedMax).map((row) => ({ number: undefined, ...row }));
  return { rows: named, more: rows.length - named.length };
};
