/** The states of invoices as rows: written beside the invoices when these are issued. */
import type { Queryable } from '#platform/stores/postgres.ts';
import type { IssuedInvoice } from '#schemas/invoice.ts';

// One that was a draft has the metadata of the draft, and goes on from its last version: no ETag comes twice.
const insertStates = `INSERT INTO invoice_states
    (organization_id, invoice_id, series_number, customer_id, currency, state, total, issued_at, due_at, metadata,
      version, updated_at)
  SELECT i.organization_id, i.id, i.series_number, i.customer_id, i.currency, 'issued', i.total, i.issued_at, i.due_at,
    coalesce(d.metadata, '{}'), coalesce(d.version, 1), i.issued_at
  FROM invoices i LEFT JOIN invoice_drafts d ON d.id = i.id WHERE i.id = ANY ($1)`;

/** Of invoices whose rows are written, and whose drafts are settled. */
export const writeStates = async (client: Queryable, invoices: readonly IssuedInvoice[]): Promise<void> => {
  await client.query(insertStates, [invoices.map(({ id }) => id)]);
};
