/**
 * Invoices as PostgreSQL holds them -> invoices. Whoever reads or verifies an invoice reads it through here, from the
 * rows themselves.
 */
import assert from 'node:assert/strict';
import { isCurrency } from '#schemas/currency.ts';
import {
  type CorrectionJson,
  correctionFromJson,
  type DiscountJson,
  discountFromJson,
  type SellerJson,
  sellerFromJson,
  type TaxJson,
  taxFromJson,
} from '#schemas/invoice/content-parts.ts';
import {
  type ContentVersion,
  type CustomField,
  contentVersions,
  type InvoiceKind,
  type InvoiceLine,
  type InvoicePeriod,
  type IssuedInvoice,
  type LineKind,
} from '#schemas/invoice.ts';
import { type Amount, parsePreciseAmount, parseStoredAmount, type RoundingMode, zeroAmount } from '#schemas/money.ts';
import { parseQuantity } from '#schemas/quantity.ts';
import { type PriceStepJson, priceStepFromJson } from '#schemas/rated-line.ts';

export type InvoiceRow = {
  id: string;
  organization_id: string;
  series_number: bigint;
  kind: InvoiceKind;
  content_version: number;
  customer_id: string;
  run_id: string | null;
  /** These five are of content version 1, and null in every other. */
  subscription_id: string | null;
  plan_version_id: string | null;
  period_start: Date | null;
  period_end: Date | null;
  watermark: bigint | null;
  currency: string;
  subtotal: string;
  total: string;
  issued_at: Date;
  previous_hash: string;
  hash: string;
  /** From here on null before content version 4, and where there is none. */
  document_number: string | null;
  issuing_entity_id: string | null;
  seller: SellerJson | null;
  buyer_digest: string | null;
  due_at: Date | null;
  payment_days: number | null;
  purchase_order: string | null;
  memo: string | null;
  custom_fields: CustomField[] | null;
  discounts: DiscountJson[] | null;
  taxes: TaxJson[] | null;
  discount_total: string | null;
  tax_total: string | null;
};

/** A billing period of an invoice. */
export type InvoicePeriodRow = {
  invoice_id: string;
  id: string;
  customer_id: string;
  subscription_id: string;
  plan_version_id: string;
  span_start: Date;
  span_end: Date;
  watermark: bigint;
  corrects_id: string | null;
  carried_from: Date | null;
};

export type InvoiceLineRow = {
  invoice_id: string;
  billing_period_id: string | null;
  position: number;
  kind: LineKind | null;
  charge_code: string | null;
  description: string;
  meter: string | null;
  quantity: string;
  rounding: RoundingMode;
  precise_amount: string;
  amount: string;
  unit_amount: string | null;
  discounts: DiscountJson[] | null;
  taxes: TaxJson[] | null;
  steps: PriceStepJson[];
  period_start: Date;
  period_end: Date;
  corrects: CorrectionJson | null;
  /** Null before content version 5, and where there is none. */
  tax_category: string | null;
};

export const invoiceColumns = `id, organization_id, series_number, kind, content_version, customer_id, subscription_id,
  plan_version_id, run_id, period_start, period_end, watermark, currency, subtotal, total, issued_at, previous_hash, hash,
  document_number, issuing_entity_id, seller, buyer_digest, due_at, payment_days, purchase_order, memo, custom_fields,
  discounts, taxes, discount_total, tax_total`;
const invoicePeriodColumns = `invoice_id, id, customer_id, subscription_id, plan_version_id, span_start, span_end, watermark,
  corrects_id, carried_from`;
const lineColumnNames = [
  'invoice_id',
  'billing_period_id',
  'position',
  'kind',
  'charge_code',
  'description',
  'meter',
  'quantity',
  'rounding',
  'precise_amount',
  'unit_amount',
  'amount',
  'discounts',
  'taxes',
  'steps',
  'period_start',
  'period_end',
  'corrects',
  'tax_category',
];
export const invoiceLineColumns = lineColumnNames.join(', ');
export const invoiceLineColumnsOf = (alias: string): string =>
  lineColumnNames.map((name) => `${alias}.${name}`).join(', ');

const read = <T>(value: T | undefined, what: string): T => {
  assert(value !== undefined, `a stored invoice can't be read: ${what}`);
  return value;
};

const amountFromText = (text: string): Amount => read(parseStoredAmount(text), text);

export const invoiceLineFromRow = (row: InvoiceLineRow): InvoiceLine => ({
  kind: row.kind ?? 'charge',
  billingPeriodId: row.billing_period_id,
  position: row.position,
  chargeCode: row.charge_code,
  description: row.description,
  meter: row.meter,
  quantity: read(parseQuantity(row.quantity), row.quantity),
  rounding: row.rounding,
  precise: read(parsePreciseAmount(row.precise_amount), row.precise_amount),
  unitAmount: row.unit_amount === null ? null : amountFromText(row.unit_amount),
  amount: amountFromText(row.amount),
  discounts: (row.discounts ?? []).map(discountFromJson),
  taxes: (row.taxes ?? []).map(taxFromJson),
  steps: row.steps.map(priceStepFromJson),
  servicePeriod: { start: row.period_start.getTime(), end: row.period_end.getTime() },
  ...(row.corrects && { corrects: correctionFromJson(row.corrects) }),
  ...(row.tax_category !== null && { taxCategory: row.tax_category }),
});

const periodFromRow = (row: InvoicePeriodRow): InvoicePeriod => ({
  billingPeriodId: row.id,
  customerId: row.customer_id,
  subscriptionId: row.subscription_id,
  planVersionId: row.plan_version_id,
  span: { start: row.span_start.getTime(), end: row.span_end.getTime() },
  watermark: row.watermark,
  ...(row.corrects_id !== null && { correctsId: row.corrects_id }),
  ...(row.carried_from !== null && { carriedFrom: row.carried_from.getTime() }),
});

/** What was hashed then stands in the invoice itself: the whole month. */
const periodOfVersion1 = (row: InvoiceRow, billingPeriodId: string): InvoicePeriod => ({
  billingPeriodId,
  customerId: row.customer_id,
  subscriptionId: read(row.subscription_id ?? undefined, 'subscription_id'),
  planVersionId: read(row.plan_version_id ?? undefined, 'plan_version_id'),
  span: {
    start: read(row.period_start?.getTime(), 'period_start'),
    end: read(row.period_end?.getTime(), 'period_end'),
  },
  watermark: read(row.watermark ?? undefined, 'watermark'),
});

const versionOf = (row: InvoiceRow): ContentVersion =>
  read(
    contentVersions.find((version) => version === row.content_version),
    `content version ${row.content_version}`,
  );

/** From content version 4 on; an invoice of a version before has none of them. */
const laterMembers = (row: InvoiceRow) => ({
  documentNumber: row.document_number,
  issuingEntityId: row.issuing_entity_id,
  seller: row.seller && sellerFromJson(row.seller),
  buyerDigest: row.buyer_digest,
  dueAt: row.due_at?.getTime() ?? null,
  paymentDays: row.payment_days,
  purchaseOrder: row.purchase_order,
  memo: row.memo,
  customFields: row.custom_fields ?? [],
  discounts: (row.discounts ?? []).map(discountFromJson),
  taxes: (row.taxes ?? []).map(taxFromJson),
  discountTotal: row.discount_total === null ? zeroAmount : amountFromText(row.discount_total),
  taxTotal: row.tax_total === null ? zeroAmount : amountFromText(row.tax_total),
});

/** `periods` and `lines` are those of this invoice, the lines by position. */
export const invoiceFromRows = (
  row: InvoiceRow,
  periods: readonly InvoicePeriodRow[],
  lines: readonly InvoiceLineRow[],
): IssuedInvoice => {
  const contentVersion = versionOf(row);
  return {
    contentVersion,
    id: row.id,
    tenant: row.organization_id,
    number: Number(row.series_number),
    kind: row.kind,
    customerId: row.customer_id,
    periods: contentVersion === 1 ? [periodOfVersion1(row, periods[0]?.id ?? '')] : periods.map(periodFromRow),
    currency: read(isCurrency(row.currency) ? row.currency : undefined, row.currency),
    subtotal: amountFromText(row.subtotal),
    total: amountFromText(row.total),
    issuedAt: row.issued_at.getTime(),
    previousHash: row.previous_hash,
    hash: row.hash,
    ...laterMembers(row),
    // A category is read where it is hashed alone: one that somebody writes beside an older invoice is none.
    lines: (contentVersion < 5 ? lines.map((line) => ({ ...line, tax_category: null })) : lines).map(
      invoiceLineFromRow,
    ),
  };
};

/** The timings of billing periods, in the order in which an invoice has their lines. */
export const timingOrder: readonly string[] = ['arrears', 'credit', 'advance', 'once', 'delta'];

/**
 * The order of the billing periods of an invoice, which is hashed: the payer's own before those of its children, by
 * subscription, first what was used, then what is taken back of what was charged in advance, then what is charged in
 * advance, then what is charged once, then deltas; the plan before its add-ons.
 */
export const periodOrder = `customer_id <> payer_id, customer_id, subscription_id,
  array_position(ARRAY[${timingOrder.map((timing) => `'${timing}'`).join(', ')}], timing), item <> 'plan', item, span_start,
  timing = 'once' AND counted, id`;

/**
 * The billing periods of the invoices with these ids, for `invoiceFromRows`, in the order of their lines; `more` are
 * columns that the reader wants beside.
 */
export const selectPeriodsOfInvoices = (...more: readonly string[]): string =>
  `SELECT ${[invoicePeriodColumns, ...more].join(', ')} FROM billing_periods WHERE invoice_id = ANY ($1)
  ORDER BY invoice_id, ${periodOrder}`;
