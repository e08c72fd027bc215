/** Exports of invoices: what is asked for, and the columns of each. */
import { Type } from 'typebox';
import { closed, formed } from '#schemas/http/fields.ts';

export const exportFormats = ['csv', 'ndjson'] as const;

/** As it comes; times are read by the reader of lists. */
export const InvoiceExportQuery = Type.Object(
  {
    format: Type.Optional(Type.Enum([...exportFormats])),
    issued_at_after: Type.Optional(Type.String()),
    issued_at_before: Type.Optional(Type.String()),
    number_after: Type.Optional(formed('^[0-9]{1,15}$', 'a whole number of at most 15 digits')),
  },
  closed,
);

/** As documents show it; `timePattern` is that of times in lists. */
export const invoiceExportQueryDocument = (timePattern: string) => {
  const strictly = (side: string) =>
    Type.Optional(
      Type.String({
        format: 'date-time',
        pattern: timePattern,
        description: `Only what was issued strictly ${side} this instant (RFC 3339).`,
      }),
    );
  return Type.Object(
    {
      format: Type.Optional(
        Type.Enum([...exportFormats], {
          default: 'csv',
          description: 'CSV with a header (RFC 4180), or one JSON object a line.',
        }),
      ),
      issued_at_after: strictly('after'),
      issued_at_before: strictly('before'),
      number_after: Type.Optional(
        Type.Integer({
          minimum: 0,
          maximum: 999_999_999_999_999,
          description: 'Only what is behind this number of the chain: the last one of the export before.',
        }),
      ),
    },
    closed,
  );
};

const head = ['number', 'document_number', 'invoice_id', 'issued_at'] as const;
const creditHead = [
  'number',
  'document_number',
  'credit_note_id',
  'issued_at',
  'invoice_id',
  'invoice_document_number',
] as const;
const taxColumns = [
  'issuing_entity_id',
  'customer_id',
  'customer_external_id',
  'currency',
  'tax_rate_id',
  'code',
  'name',
  'percentage',
  'inclusive',
  'treatment',
  'taxable_amount',
  'amount',
] as const;

/** In their order. */
export const exportColumns = {
  invoices: [
    ...head,
    'due_at',
    'kind',
    'issuing_entity_id',
    'customer_id',
    'customer_external_id',
    'purchase_order',
    'currency',
    'subtotal',
    'discount_total',
    'tax_total',
    'total',
    'state',
    'amount_credited',
    'amount_paid',
    'amount_due',
    'previous_hash',
    'hash',
  ],
  lines: [
    ...head,
    'position',
    'kind',
    'customer_id',
    'subscription_id',
    'billing_period_id',
    'charge_code',
    'description',
    'meter',
    'quantity',
    'unit_amount',
    'currency',
    'amount',
    'discount_amount',
    'tax_amount',
    'service_period_start',
    'service_period_end',
  ],
  taxes: [...head, ...taxColumns],
  creditNotes: [
    ...creditHead,
    'reason',
    'issuing_entity_id',
    'customer_id',
    'customer_external_id',
    'currency',
    'subtotal',
    'discount_total',
    'tax_total',
    'total',
    'pre_payment_amount',
    'post_payment_amount',
    'settlement',
    'previous_hash',
    'hash',
  ],
  creditNoteLines: [
    ...creditHead,
    'position',
    'invoice_line',
    'customer_id',
    'subscription_id',
    'billing_period_id',
    'charge_code',
    'description',
    'currency',
    'amount',
    'discount_amount',
    'tax_amount',
    'service_period_start',
    'service_period_end',
  ],
  creditNoteTaxes: [...creditHead, ...taxColumns],
} as const satisfies Readonly<Record<string, readonly string[]>>;

/** Whose texts callers wrote: a spreadsheet must not take one for a formula. */
export const callersColumns: ReadonlySet<string> = new Set([
  'document_number',
  'invoice_document_number',
  'customer_external_id',
  'purchase_order',
  'charge_code',
  'description',
  'meter',
  'code',
  'name',
]);
