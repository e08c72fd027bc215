/** What invoices look like in the OpenAPI documents. */
import { planExample } from '#schemas/http/catalog.ts';
import { customerExample } from '#schemas/http/customers.ts';
import { exampleCreatedAt, exampleId } from '#schemas/http/example-parts.ts';
import { issuedExample } from '#schemas/http/invoice-drafts.ts';
import { meterExample } from '#schemas/http/meters.ts';
import { flatChargeExample, meteredChargeExample } from '#schemas/http/plan.ts';
import { subscriptionExample } from '#schemas/http/subscriptions.ts';

export const hash = (digit: string): string => digit.repeat(64);

/** As it stands in what is hashed. */
export const billedMonth = { start: '2026-10-01T00:00:00Z', end: '2026-11-01T00:00:00Z' };
export const step = {
  from: '0',
  to: null,
  units: '1',
  priced: '0',
  unit_amount: '0.00',
  flat_amount: '0.00',
  amount: '0.00',
};
export const billingPeriod = {
  billing_period_id: exampleId('bpd', 16),
  customer_id: customerExample.id,
  subscription_id: subscriptionExample.id,
  plan_version_id: planExample.plan_version_id,
  ...billedMonth,
  watermark: '42',
};
const unreduced = { kind: 'charge', unit_amount: null, discounts: [], taxes: [] };
export const lines = [
  {
    billing_period_id: billingPeriod.billing_period_id,
    customer_id: customerExample.id,
    position: 1,
    charge_code: flatChargeExample.code,
    description: flatChargeExample.name,
    meter: null,
    quantity: '1',
    rounding: 'half_up',
    precise_amount: '9.00',
    ...unreduced,
    amount: '9.00',
    steps: [{ ...step, kind: 'flat', to: '1', flat_amount: '9.00', amount: '9.00' }],
    service_period: billedMonth,
  },
  {
    billing_period_id: billingPeriod.billing_period_id,
    customer_id: customerExample.id,
    position: 2,
    charge_code: meteredChargeExample.code,
    description: meteredChargeExample.name,
    meter: meterExample.code,
    quantity: '250000',
    rounding: 'half_up',
    precise_amount: '4.98',
    ...unreduced,
    amount: '4.98',
    steps: [
      { ...step, kind: 'free', to: '1000', units: '1000' },
      {
        ...step,
        kind: 'units',
        from: '1000',
        units: '249000',
        priced: '249000',
        unit_amount: '0.00002',
        amount: '4.98',
      },
    ],
    service_period: billedMonth,
  },
];
export const invoiceHead = {
  content_version: 5,
  id: exampleId('inv', 8),
  tenant: exampleId('org', 9),
  number: 1,
  watermark: '42',
  issued_at: '2026-11-01T08:00:01Z',
  kind: 'period',
  subscription_id: subscriptionExample.id,
  customer_id: customerExample.id,
  plan_version_id: planExample.plan_version_id,
  currency: planExample.currency,
  period: billedMonth,
  periods: [billingPeriod],
  document_number: 'INV-2026-000001',
  issuing_entity_id: null,
  seller: null,
  buyer_digest: null,
  due_at: null,
  payment_terms: null,
  purchase_order: null,
  memo: null,
  custom_fields: [],
  subtotal: '13.98',
  discounts: [],
  discount_total: '0.00',
  taxes: [],
  tax_total: '0.00',
  total: '13.98',
  previous_hash: hash('0'),
  hash: hash('7'),
  ...issuedExample,
  amount_credited: '0.00',
  amount_paid: '0.00',
  amount_due: '13.98',
};

export const invoicePreview = {
  as_of: exampleCreatedAt,
  watermark: '42',
  invoices: [
    {
      due_at: '2026-12-01T00:00:00.000Z',
      customer_id: customerExample.id,
      issuing_entity_id: null,
      seller: null,
      payment_terms: null,
      purchase_order: null,
      memo: null,
      custom_fields: [],
      currency: planExample.currency,
      periods: [billingPeriod],
      lines,
      subtotal: invoiceHead.subtotal,
      taxes: [],
      discounts: invoiceHead.discounts,
      discount_total: invoiceHead.discount_total,
      tax_total: invoiceHead.tax_total,
      total: invoiceHead.total,
      minimum_amount: '10.00',
      carried_over: false,
      failures: [],
    },
  ],
};

const exportedHead = {
  number: invoiceHead.number,
  document_number: invoiceHead.document_number,
  invoice_id: invoiceHead.id,
  issued_at: invoiceHead.issued_at,
};
const exportedCredit = {
  number: 1,
  document_number: 'CN-2026-000001',
  credit_note_id: exampleId('crn', 61),
  issued_at: invoiceHead.issued_at,
  invoice_id: invoiceHead.id,
};
const exported = {
  exportInvoices: {
    ...exportedHead,
    customer_id: invoiceHead.customer_id,
    currency: invoiceHead.currency,
    total: invoiceHead.total,
  },
  exportInvoiceLines: { ...exportedHead, position: 1, description: flatChargeExample.name, amount: '9.00' },
  exportInvoiceTaxes: { ...exportedHead, code: 'vat', percentage: '19', taxable_amount: '13.98', amount: '2.66' },
  exportCreditNotes: { ...exportedCredit, reason: 'duplicate', currency: invoiceHead.currency, total: '9.00' },
  exportCreditNoteLines: { ...exportedCredit, position: 1, invoice_line: 1, amount: '9.00' },
  exportCreditNoteTaxes: { ...exportedCredit, code: 'vat', percentage: '19', taxable_amount: '9.00', amount: '1.71' },
};

/** Some of the columns of each. */
export const exportExamples: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(exported).flatMap(([operation, row]) => [
    [`${operation} answer text/csv`, `${Object.keys(row).join(',')}\r\n${Object.values(row).join(',')}\r\n`],
    [`${operation} answer application/x-ndjson`, `${JSON.stringify(row)}\n`],
  ]),
);
