/** A credit note as it is digested. What it says besides is in its hash. */
import type { AuditedObject } from '#schemas/audited-object.ts';

export const auditedCreditNote = {
  table: 'credit_notes',
  organization: 'organization_id',
  created: ['credit_note.issued'],
  createdAt: 'issued_at',
  isVersioned: false,
  columns: {
    id: 'text',
    organization_id: 'text',
    series_number: 'text',
    content_version: 'text',
    document_number: 'text',
    invoice_id: 'text',
    customer_id: 'text',
    currency: 'text',
    subtotal: 'text',
    total: 'text',
    issued_at: 'instant',
    previous_hash: 'text',
    hash: 'text',
    line_count: 'text',
    metadata: 'text',
    language: 'text',
    time_zone: 'text',
  },
  children: [],
} as const satisfies AuditedObject;
