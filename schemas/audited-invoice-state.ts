/**
 * The state of an issued invoice as it is digested: its row comes with the invoice, whose entry holds what it begins
 * as.
 */
import type { AuditedObject } from '#schemas/audited-object.ts';

const draftOf = (column: string): string => `(SELECT d.${column} FROM invoice_drafts d WHERE d.id = t.invoice_id)`;

export const auditedInvoiceState = {
  table: 'invoice_states',
  idColumn: 'invoice_id',
  organization: 'organization_id',
  created: [],
  createdAt: 'issued_at',
  isVersioned: true,
  columns: {
    invoice_id: 'text',
    organization_id: 'text',
    series_number: 'text',
    customer_id: 'text',
    currency: 'text',
    state: 'text',
    total: 'text',
    amount_credited: 'text',
    amount_paid: 'text',
    issued_at: 'instant',
    due_at: 'instant',
    metadata: 'text',
    version: 'text',
    updated_at: 'instant',
  },
  comesWith: {
    of: { table: 'invoices', organization: 'organization_id' },
    firstVersion: `coalesce(${draftOf('version')}, 1)`,
    always: `EXISTS (SELECT 1 FROM invoices i WHERE i.id = t.invoice_id
      AND (i.organization_id, i.series_number, i.customer_id, i.currency, i.total, i.issued_at)
        = (t.organization_id, t.series_number, t.customer_id, t.currency, t.total, t.issued_at)
      AND i.due_at IS NOT DISTINCT FROM t.due_at)`,
    atFirst: `(t.state, t.amount_credited, t.amount_paid, t.metadata, t.updated_at)
      = ('issued', 0, 0, coalesce(${draftOf('metadata')}, '{}'), t.issued_at)`,
  },
  children: [],
} as const satisfies AuditedObject;
