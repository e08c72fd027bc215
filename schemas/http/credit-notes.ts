/** Credit notes in requests and answers. */
import { type TProperties, Type } from 'typebox';
import { CreditReason, CreditSettlement } from '#schemas/credit-note.ts';
import { customerExample } from '#schemas/http/customers.ts';
import { exampleCreatedAt, exampleHead, exampleId } from '#schemas/http/example-parts.ts';
import {
  Code,
  CurrencyCode,
  closed,
  Decimal,
  idOf,
  idParam,
  Metadata,
  nullable,
  resourceFields,
} from '#schemas/http/fields.ts';
import { Memo } from '#schemas/http/invoice-drafts.ts';
import { billedMonth, billingPeriod, hash, invoiceHead, lines } from '#schemas/http/invoice-examples.ts';
import {
  HashedInstant,
  HashedPeriod,
  InvoiceDiscount,
  InvoiceHead,
  InvoiceTax,
  Seller,
  totalsFields,
} from '#schemas/http/invoices.ts';
import { oneOffLinesMax } from '#schemas/invoice/one-off.ts';

export const Reason = Type.Enum(Object.values(CreditReason), {
  title: 'CreditReason',
  description: '`late_usage`: usage that came late, or was amended, after it was billed.',
});
const Settlement = Type.Enum(Object.values(CreditSettlement), {
  title: 'CreditSettlement',
  description: 'What becomes of what was paid already: `refund` pays it back, `balance` keeps it for the customer.',
});

const CreditedLine = Type.Object(
  {
    invoice_line: Type.Integer({ minimum: 1, description: 'The position of the line on the invoice.' }),
    amount: Type.Optional(
      Type.String({
        maxLength: 64,
        description:
          'Of the amount of the line as the invoice prints it; its discounts and taxes follow in proportion. Without it all that is left of the line.',
      }),
    ),
  },
  { ...closed, title: 'CreditedLine' },
);

const newCreditNoteExample = {
  invoice_id: exampleId('inv', 8),
  reason: 'product_unsatisfactory',
  lines: [{ invoice_line: 1, amount: '4.00' }],
};

export const NewCreditNote = Type.Object(
  {
    invoice_id: idOf('inv'),
    reason: Reason,
    memo: Type.Optional(Memo),
    lines: Type.Optional(
      Type.Array(CreditedLine, {
        minItems: 1,
        maxItems: oneOffLinesMax,
        description: 'What of which lines. Without `lines` and `amount` all that is left of the invoice.',
      }),
    ),
    amount: Type.Optional(
      Type.String({
        maxLength: 64,
        description: 'Instead of `lines`: of the total, with its taxes; it goes to all lines in proportion.',
      }),
    ),
    settlement: Type.Optional(Settlement),
    metadata: Type.Optional(Metadata),
  },
  { ...closed, title: 'NewCreditNote', examples: [newCreditNoteExample] },
);

const CreditNoteLine = Type.Object(
  {
    position: Type.Integer({ minimum: 1 }),
    invoice_line: Type.Integer({ minimum: 1, description: 'The position of the line on the invoice.' }),
    billing_period_id: nullable(idOf('bpd')),
    charge_code: nullable(Code),
    description: Type.String(),
    service_period: HashedPeriod,
    amount: { ...Decimal, description: 'Of the line as the invoice prints it, before discounts and taxes.' },
    discounts: Type.Array(InvoiceDiscount),
    taxes: Type.Array(InvoiceTax),
  },
  { ...closed, title: 'CreditNoteLine' },
);

const drawnFields = {
  invoice_id: idOf('inv'),
  invoice_number: Type.Integer({ minimum: 1 }),
  invoice_document_number: nullable(Type.String()),
  invoice_hash: Type.String({ pattern: '^[0-9a-f]{64}$' }),
  customer_id: idOf('cus'),
  currency: CurrencyCode,
  reason: Reason,
  memo: nullable(Type.String()),
  settlement: Type.Union([Settlement, Type.Null()], { description: 'Null where nothing of it was paid.' }),
  pre_payment_amount: { ...Decimal, description: 'What of the total was not paid yet: it is not due any more.' },
  post_payment_amount: { ...Decimal, description: 'What of the total was paid already: see `settlement`.' },
  subtotal: { ...Decimal, description: 'The sum of the amounts of the lines.' },
  ...totalsFields,
} satisfies TProperties;

const headFields = {
  content_version: Type.Integer({ minimum: 1, description: 'Which members are hashed: docs/credit-notes.md.' }),
  id: idOf('crn'),
  tenant: idOf('org'),
  number: Type.Integer({ minimum: 1, description: 'Its place in the chain of hashes of the organization.' }),
  document_number: Type.String({ description: 'From the series of whoever issues it, such as CN-2026-000001.' }),
  issued_at: HashedInstant,
  ...drawnFields,
  issuing_entity_id: nullable(idOf('ent')),
  seller: nullable(Seller),
  buyer_digest: nullable(Type.String({ pattern: '^[0-9a-f]{64}$' })),
  previous_hash: Type.String({ pattern: '^[0-9a-f]{64}$', description: 'The hash of the credit note before it.' }),
  hash: Type.String({ pattern: '^[0-9a-f]{64}$', description: 'Of what it says and of `previous_hash`.' }),
  delta_billing_period_id: Type.Union([idOf('bpd'), Type.Null()], {
    description: 'The delta of late usage that it gives back; null of what somebody asked for. It is not hashed.',
  }),
  ...resourceFields,
} satisfies TProperties;

const creditedLineExample = {
  position: 1,
  invoice_line: 1,
  billing_period_id: billingPeriod.billing_period_id,
  charge_code: lines[0]?.charge_code,
  description: lines[0]?.description,
  service_period: billedMonth,
  amount: '4.00',
  discounts: [],
  taxes: [],
};
const drawnExample = {
  invoice_id: newCreditNoteExample.invoice_id,
  invoice_number: invoiceHead.number,
  invoice_document_number: invoiceHead.document_number,
  invoice_hash: invoiceHead.hash,
  customer_id: customerExample.id,
  currency: invoiceHead.currency,
  reason: newCreditNoteExample.reason,
  memo: null,
  settlement: null,
  pre_payment_amount: '4.00',
  post_payment_amount: '0.00',
  subtotal: '4.00',
  discounts: [],
  discount_total: '0.00',
  taxes: [],
  tax_total: '0.00',
  total: '4.00',
};
const headExample = {
  content_version: 1,
  id: exampleId('crn', 61),
  tenant: invoiceHead.tenant,
  number: 1,
  document_number: 'CN-2026-000001',
  issued_at: '2026-11-01T08:00:02Z',
  ...drawnExample,
  issuing_entity_id: null,
  seller: null,
  buyer_digest: null,
  previous_hash: hash('0'),
  hash: hash('8'),
  delta_billing_period_id: null,
  ...exampleHead,
};

/** Without its lines, for lists. */
export const CreditNoteHead = Type.Object(headFields, { ...closed, title: 'CreditNoteHead', examples: [headExample] });
export const CreditNote = Type.Object(
  { ...headFields, lines: Type.Array(CreditNoteLine) },
  { ...closed, title: 'CreditNote', examples: [{ ...headExample, lines: [creditedLineExample] }] },
);
export const CreditNotePreview = Type.Object(
  { ...drawnFields, lines: Type.Array(CreditNoteLine) },
  {
    ...closed,
    title: 'CreditNotePreview',
    description: 'What a credit note would say if it were issued now.',
    examples: [{ ...drawnExample, lines: [creditedLineExample] }],
  },
);

export const CreditNoteId = idParam(headExample.id);

const checks = {
  hash: 'what it says hashes to `hash`',
  previous: 'the credit note numbered one less has the hash that it follows',
  next: 'the credit note numbered one more, or the head of the chain, follows its hash',
  sums: 'its lines sum to its totals, discounts and taxes',
  invoice: 'the invoice is as it was issued',
  within_invoice: 'all credit notes of the invoice fit its lines, its total and its state',
} as const;
export type CreditNoteCheckName = keyof typeof checks;

export const CreditNoteVerification = Type.Object(
  {
    credit_note_id: idOf('crn'),
    number: Type.Integer({ minimum: 1 }),
    content_version: Type.Integer({ minimum: 1 }),
    hash: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    is_valid: Type.Boolean({ description: 'Whether no check failed.' }),
    checks: Type.Array(
      Type.Object(
        {
          check: Type.Enum(Object.keys(checks), {
            title: 'CreditNoteCheckName',
            description: Object.entries(checks)
              .map(([name, meaning]) => `\`${name}\`: ${meaning}`)
              .join('; '),
          }),
          result: Type.Enum(['passed', 'failed'], { title: 'CreditNoteCheckResult' }),
          detail: Type.String(),
        },
        { ...closed, title: 'CreditNoteCheck' },
      ),
    ),
  },
  {
    ...closed,
    title: 'CreditNoteVerification',
    examples: [
      {
        credit_note_id: headExample.id,
        number: headExample.number,
        content_version: headExample.content_version,
        hash: headExample.hash,
        is_valid: true,
        checks: [{ check: 'sums', result: 'passed', detail: 'its lines are to come to 4.00' }],
      },
    ],
  },
);

export const InvoiceVoiding = Type.Object(
  {
    reason: Type.Optional(Reason),
    memo: Type.Optional(Memo),
    reissue: Type.Optional(
      Type.Boolean({
        default: false,
        description: 'Whether a draft with the same lines is made too, to be corrected and finalized.',
      }),
    ),
  },
  {
    ...closed,
    title: 'InvoiceVoiding',
    description: '`reason`, `other` where it is not said, and `memo` are those of its credit note.',
    examples: [{ reason: 'duplicate', reissue: true }],
  },
);

export const VoidedInvoice = Type.Object(
  {
    ...InvoiceHead.properties,
    credit_note_id: { ...idOf('crn'), description: 'The credit note of all that was left.' },
    reissued_invoice_id: Type.Union([idOf('inv'), Type.Null()], { description: 'The draft that takes its place.' }),
  },
  {
    ...closed,
    title: 'VoidedInvoice',
    examples: [
      {
        ...invoiceHead,
        state: 'voided',
        amount_credited: invoiceHead.total,
        amount_due: '0.00',
        version: 2,
        updated_at: exampleCreatedAt,
        credit_note_id: headExample.id,
        reissued_invoice_id: exampleId('inv', 62),
      },
    ],
  },
);
