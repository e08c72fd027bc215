/** Invoices and billing runs in requests and answers. */
import { type TSchema, Type } from 'typebox';
import { Address, CustomField, PaymentTerms, TaxId } from '#schemas/http/customers.ts';
import {
  Code,
  CurrencyCode,
  closed,
  Decimal,
  formed,
  Instant,
  idOf,
  Name,
  nullable,
  Period,
  RoundingModeName,
  resourceFields,
} from '#schemas/http/fields.ts';
import { hashedInstantPattern } from '#schemas/invoice/hashed-parts.ts';
import { InvoiceKind, InvoiceState, LineKind } from '#schemas/invoice.ts';
import { StepKind } from '#schemas/rated-line.ts';
import { TaxTreatment } from '#schemas/tax-rate.ts';

export const Proration = Type.Object(
  {
    by: Type.Enum(['time', 'day'], { title: 'ProrationUnit' }),
    from: Type.Integer({ minimum: 0 }),
    to: Type.Integer({ minimum: 0 }),
    of: Type.Integer({ minimum: 1 }),
  },
  {
    ...closed,
    title: 'Proration',
    description:
      'The part of the billing period that is charged, in milliseconds (`time`) or days (`day`) since its begin, and how many the whole has.',
  },
);

export const PriceStep = Type.Object(
  {
    kind: Type.Enum(Object.values(StepKind), { title: 'PriceStepKind' }),
    from: Decimal,
    to: nullable(Decimal),
    units: Decimal,
    priced: Decimal,
    unit_amount: Decimal,
    flat_amount: Decimal,
    amount: Decimal,
    cell: Type.Optional(
      Type.Record(Type.String(), Type.String(), {
        title: 'MatrixMatch',
        description: 'The cell of a matrix by the values that it names; none for the default price.',
      }),
    ),
    span: Type.Optional(Period),
    proration: Type.Optional(Proration),
  },
  {
    ...closed,
    title: 'PriceStep',
    description:
      'How a part of the quantity became an amount; the steps sum to the precise amount of their line. `span` is the time that it is of, where the price changed inside the billing period.',
  },
);

/** What is hashed is answered as it was hashed, for good: there an instant has milliseconds only where it has any. */
export const HashedInstant = formed(hashedInstantPattern, 'RFC 3339 in UTC', {
  format: 'date-time',
  description: 'RFC 3339 in UTC as it was hashed, with a fraction of a second only where there is one.',
});
export const HashedPeriod = Type.Object(
  { start: HashedInstant, end: HashedInstant },
  { ...closed, title: 'HashedPeriod', description: 'Half-open: from start, before end.' },
);

export const InvoiceDiscount = Type.Object(
  {
    discount_id: Type.String(),
    coupon_id: Type.String(),
    name: { ...Name, description: 'Of the coupon as it stood when the invoice was issued.' },
    amount: Decimal,
  },
  {
    ...closed,
    title: 'InvoiceDiscount',
    description: 'What a discount takes off; below zero of what is given back.',
  },
);

export const InvoiceTax = Type.Object(
  {
    tax_rate_id: nullable(Type.String()),
    code: Type.String(),
    name: Type.String(),
    percentage: Decimal,
    inclusive: Type.Boolean({ description: 'Whether it is in the amount already, and so is added to no total.' }),
    treatment: Type.Enum(Object.values(TaxTreatment), { title: 'TaxTreatment' }),
    taxable_amount: Decimal,
    amount: Decimal,
  },
  { ...closed, title: 'InvoiceTax' },
);

/** What an invoice sums, beside its subtotal. */
export const totalsFields = {
  discounts: Type.Array(InvoiceDiscount, { description: 'One a discount.' }),
  discount_total: Decimal,
  taxes: Type.Array(InvoiceTax, { description: 'One a rate and treatment.' }),
  tax_total: { ...Decimal, description: 'Taxes that are added; inclusive ones are in the subtotal.' },
  total: { ...Decimal, description: '`subtotal` - `discount_total` + `tax_total`.' },
};

/** Whether an invoice that lies ahead would be issued. */
export const carryFields = {
  minimum_amount: Type.Union([Decimal, Type.Null()], {
    description: 'Below it no invoice of the payer is issued in this currency; null where there is no minimum.',
  }),
  carried_over: Type.Boolean({
    description: 'Whether it would not be issued, as its `total` is below that: the next invoice would have it too.',
  }),
};
export const carryExample = { minimum_amount: null, carried_over: false };

/** What an invoice without discounts and taxes sums. */
export const totalsExample = (total: string) => ({
  discounts: [],
  discount_total: '0.00',
  taxes: [],
  tax_total: '0.00',
  total,
});

export const Seller = Type.Object(
  { legal_name: Type.String(), address: nullable(Address), tax_ids: Type.Array(TaxId) },
  { ...closed, title: 'Seller', description: 'Who issued the invoice, as it stood then.' },
);

const Sequence = Type.String({ pattern: '^[0-9]+$' });

export const LineCorrection = Type.Object(
  {
    invoice_id: { ...idOf('inv'), description: 'The invoice that billed the period first.' },
    billing_period_id: idOf('bpd'),
    watermark: { ...Sequence, description: 'Up to which sequence usage was billed before.' },
    quantity_before: Decimal,
    quantity_now: Decimal,
    amount_before: Decimal,
    amount_now: Decimal,
  },
  {
    ...closed,
    title: 'LineCorrection',
    description:
      'Of a delta: which billing period it corrects, what was billed of the charge so far, and what the charge comes to now.',
  },
);

export const LineKindName = Type.Enum(Object.values(LineKind), {
  title: 'LineKind',
  description:
    '`charge` of a plan, an add-on or a subscription; `item` was written onto the invoice; `delta` is the difference to what was billed of a charge in an earlier period.',
});

export const InvoiceLine = Type.Object(
  {
    billing_period_id: nullable(idOf('bpd')),
    customer_id: { ...idOf('cus'), description: 'Whose subscription it charges for.' },
    position: Type.Integer({ minimum: 1 }),
    kind: LineKindName,
    charge_code: Type.Union([Code, Type.Null()], { description: 'Null of an item.' }),
    description: Type.String(),
    meter: nullable(Code),
    quantity: Decimal,
    rounding: RoundingModeName,
    precise_amount: Decimal,
    unit_amount: Type.Union([Decimal, Type.Null()], {
      description: 'Of an item that was priced by its quantity; the steps say the prices of a charge.',
    }),
    amount: { ...Decimal, description: 'As printed, before discounts and taxes; an inclusive tax is in it.' },
    discounts: Type.Array(InvoiceDiscount),
    taxes: Type.Array(InvoiceTax),
    steps: Type.Array(PriceStep),
    service_period: HashedPeriod,
    corrects: Type.Optional(LineCorrection),
    tax_category: Type.Optional({
      ...Code,
      description: 'Of an item that was given one. A charge has that of its plan version.',
    }),
  },
  { ...closed, title: 'InvoiceLine' },
);

export const InvoicePeriod = Type.Object(
  {
    billing_period_id: idOf('bpd'),
    customer_id: {
      ...idOf('cus'),
      description: 'Whose time it is: of the customer that is billed, or of one below it.',
    },
    subscription_id: idOf('sub'),
    plan_version_id: idOf('plv'),
    start: HashedInstant,
    end: HashedInstant,
    watermark: { ...Sequence, description: 'The highest stream sequence that was billed.' },
    corrects_billing_period_id: Type.Optional({
      ...idOf('bpd'),
      description: 'Of a delta: the billing period that was billed before.',
    }),
    carried_over_from: Type.Optional({
      ...HashedInstant,
      description:
        'When it fell due first, where it was carried over from an invoice that would have come to less than the minimum.',
    }),
  },
  {
    ...closed,
    title: 'InvoicePeriod',
    description: 'A billing period that the invoice bills, with the very time that was measured; half-open.',
  },
);

const ofOnlyPeriod = (schema: TSchema, what: string): TSchema =>
  Type.Union([schema, Type.Null()], {
    description: `${what} of its only billing period; null where \`periods\` has none or several.`,
  });

const ofIssued = (schema: TSchema, what: string): TSchema =>
  Type.Union([schema, Type.Null()], { description: `${what} Null of a draft.` });

/** What an invoice says beside its lines; of a draft, and of what is previewed, as it would be issued now. */
export const termsFields = {
  issuing_entity_id: nullable(idOf('ent')),
  seller: nullable(Seller),
  payment_terms: nullable(PaymentTerms),
  purchase_order: nullable(Type.String()),
  memo: nullable(Type.String()),
  custom_fields: Type.Array(CustomField),
};

const headFields = {
  content_version: ofIssued(Type.Integer({ minimum: 1 }), 'Which members are hashed: docs/invoices.md.'),
  id: idOf('inv'),
  tenant: idOf('org'),
  number: ofIssued(Type.Integer({ minimum: 1 }), 'Its place in the chain of hashes of the organization.'),
  watermark: ofOnlyPeriod(Type.String({ pattern: '^[0-9]+$' }), 'The watermark'),
  issued_at: ofIssued(HashedInstant, 'When it was issued.'),
  kind: Type.Enum(Object.values(InvoiceKind), {
    title: 'InvoiceKind',
    description: '`period` bills billing periods; `one_off` bills none.',
  }),
  document_number: Type.Union([Type.String(), Type.Null()], {
    description:
      'From the numbering series of whoever issues it, such as INV-2026-000042; null before content version 4. `number` is its place in the chain of hashes.',
  }),
  ...termsFields,
  buyer_digest: Type.Union([Type.String({ pattern: '^[0-9a-f]{64}$' }), Type.Null()], {
    description: 'A digest of the details of the buyer as they stood.',
  }),
  due_at: Type.Union([HashedInstant, Type.Null()], {
    description: 'Null where no payment terms were agreed.',
  }),
  subscription_id: ofOnlyPeriod(idOf('sub'), 'The subscription'),
  customer_id: idOf('cus'),
  plan_version_id: ofOnlyPeriod(idOf('plv'), 'The plan version'),
  currency: CurrencyCode,
  period: ofOnlyPeriod(HashedPeriod, 'The time'),
  periods: Type.Array(InvoicePeriod),
  subtotal: { ...Decimal, description: 'The sum of the amounts of the lines.' },
  ...totalsFields,
  previous_hash: ofIssued(Type.String({ pattern: '^[0-9a-f]{64}$' }), 'The hash of the invoice before it.'),
  hash: ofIssued(Type.String({ pattern: '^[0-9a-f]{64}$' }), 'Of what it says and of `previous_hash`.'),
  state: Type.Enum(Object.values(InvoiceState), {
    title: 'InvoiceState',
    description: 'A `draft` changes until it is issued: docs/invoice-drafts.md; then: docs/invoices.md, states.',
  }),
  amount_credited: ofIssued(Decimal, 'What credit notes took off `total`.'),
  amount_paid: ofIssued(Decimal, 'What was paid of it.'),
  amount_due: ofIssued(Decimal, '`total` - `amount_credited` - `amount_paid`, and not below zero.'),
  finalize_at: Type.Union([Instant, Type.Null()], {
    description: 'Of a draft: when it is issued by itself; null, of a one-off invoice, when somebody asks for it.',
  }),
  finalizing_run_id: Type.Union([idOf('run'), Type.Null()], {
    description: 'Of a draft: the billing run that issues it at this moment.',
  }),
  failure: Type.Union([Type.String(), Type.Null()], {
    description: 'Of a draft: why the run that tried to issue it last did not.',
  }),
  as_of: Type.Union([Instant, Type.Null()], { description: 'Of a draft: when its amounts were computed.' }),
  reissue_of: Type.Union([idOf('inv'), Type.Null()], {
    description: 'The voided invoice that it takes the place of: docs/credit-notes.md.',
  }),
  ...resourceFields,
};

/** Without its lines, for lists. */
export const InvoiceHead = Type.Object(headFields, { ...closed, title: 'InvoiceHead' });
export const Invoice = Type.Object({ ...headFields, lines: Type.Array(InvoiceLine) }, { ...closed, title: 'Invoice' });
