/**
 * Invoices as PostgreSQL holds them -> invoices. Whoever reads or verifies an invoice reads it through here, from the
 * rows themselves.
 */
import assert from 'node:assert/strict';
import { isCurrency } from '#schemas/currency.ts';
import type { InvoiceKind, InvoiceLine, IssuedInvoice } from '#schemas/invoice.ts';
import { parsePreciseAmount, parseStoredAmount, type RoundingMode } from '#schemas/money.ts';
import { parseQuantity } from '#schemas/quantity.ts';
import { type PriceStepJson, priceStepFromJson } from '#schemas/rated-line.ts';

export type InvoiceRow = {
  id: string;
  organization_id: string;
  series_number: bigint;
  kind: InvoiceKind;
  customer_id: string;
  subscription_id: string;
  plan_version_id: string;
  run_id: string;
  period_start: Date;
  period_end: Date;
  watermark: bigint;
  currency: string;
  subtotal: string;
  total: string;
  issued_at: Date;
  previous_hash: string;
  hash: string;
};

export type InvoiceLineRow = {
  invoice_id: string;
  position: number;
  charge_code: string;
  description: string;
  meter: string | null;
  quantity: string;
  rounding: RoundingMode;
  precise_amount: string;
  amount: string;
  steps: PriceStepJson[];
  period_start: Date;
  period_end: Date;
};

export const invoiceColumns =
  'id, organization_id, series_number, kind, customer_id, subscription_id, plan_version_id, run_id, period_start, period_end, watermark, currency, subtotal, total, issued_at, previous_hash, hash';
export const invoiceLineColumns =
  'invoice_id, position, charge_code, description, meter, quantity, rounding, precise_amount, amount, steps, period_start, period_end';

const read = <T>(value: T | undefined, what: string): T => {
  assert(value !== undefined, `a stored invoice can't be read: ${what}`);
  return value;
};

const lineFromRow = (row: InvoiceLineRow): InvoiceLine => ({
  position: row.position,
  chargeCode: row.charge_code,
  description: row.description,
  meter: row.meter,
  quantity: read(parseQuantity(row.quantity), row.quantity),
  rounding: row.rounding,
  precise: read(parsePreciseAmount(row.precise_amount), row.precise_amount),
  amount: read(parseStoredAmount(row.amount), row.amount),
  steps: row.steps.map(priceStepFromJson),
  servicePeriod: { start: row.period_start.getTime(), end: row.period_end.getTime() },
});

/** `lines` are those of this invoice, by position. */
export const invoiceFromRows = (row: InvoiceRow, lines: readonly InvoiceLineRow[]): IssuedInvoice => ({
  id: row.id,
  tenant: row.organization_id,
  number: Number(row.series_number),
  kind: row.kind,
  customerId: row.customer_id,
  subscriptionId: row.subscription_id,
  planVersionId: row.plan_version_id,
  period: { start: row.period_start.getTime(), end: row.period_end.getTime() },
  watermark: row.watermark,
  currency: read(isCurrency(row.currency) ? row.currency : undefined, row.currency),
  subtotal: read(parseStoredAmount(row.subtotal), row.subtotal),
  total: read(parseStoredAmount(row.total), row.total),
  issuedAt: row.issued_at.getTime(),
  previousHash: row.previous_hash,
  hash: row.hash,
  lines: lines.map(lineFromRow),
});
