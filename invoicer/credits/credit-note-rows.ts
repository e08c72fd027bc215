/** Credit notes as PostgreSQL holds them -> credit notes. Whoever reads or verifies one reads it through here. */
import assert from 'node:assert/strict';
import {
  type CreditNote,
  type CreditNoteLine,
  type CreditNoteVersion,
  type CreditReason,
  type CreditSettlement,
  creditNoteVersions,
} from '#schemas/credit-note.ts';
import { isCurrency } from '#schemas/currency.ts';
import {
  type DiscountJson,
  discountFromJson,
  type SellerJson,
  sellerFromJson,
  type TaxJson,
  taxFromJson,
} from '#schemas/invoice/content-parts.ts';
import { type Amount, parseStoredAmount } from '#schemas/money.ts';

export type CreditNoteRow = {
  id: string;
  organization_id: string;
  series_number: bigint;
  content_version: number;
  document_number: string;
  invoice_id: string;
  customer_id: string;
  currency: string;
  reason: CreditReason;
  memo: string | null;
  settlement: CreditSettlement | null;
  pre_payment_amount: string;
  post_payment_amount: string;
  issuing_entity_id: string | null;
  seller: SellerJson | null;
  buyer_digest: string | null;
  discounts: DiscountJson[] | null;
  taxes: TaxJson[] | null;
  subtotal: string;
  discount_total: string;
  tax_total: string;
  total: string;
  issued_at: Date;
  previous_hash: string;
  hash: string;
  /** Of the invoice. */
  invoice_number: bigint;
  invoice_document_number: string | null;
  invoice_hash: string;
};

export type CreditNoteLineRow = {
  credit_note_id: string;
  position: number;
  invoice_line: number;
  amount: string;
  discounts: DiscountJson[] | null;
  taxes: TaxJson[] | null;
  /** Of the line of the invoice. */
  billing_period_id: string | null;
  charge_code: string | null;
  description: string;
  period_start: Date;
  period_end: Date;
};

export const creditNoteColumns = `n.id, n.organization_id, n.series_number, n.content_version, n.document_number,
  n.invoice_id, n.customer_id, n.currency, n.reason, n.memo, n.settlement, n.pre_payment_amount::text,
  n.post_payment_amount::text, n.issuing_entity_id, n.seller, n.buyer_digest, n.discounts, n.taxes, n.subtotal::text,
  n.discount_total::text, n.tax_total::text, n.total::text, n.issued_at, n.previous_hash, n.hash,
  i.series_number AS invoice_number, i.document_number AS invoice_document_number, i.hash AS invoice_hash`;
export const creditNoteTables = 'credit_notes n JOIN invoices i ON i.id = n.invoice_id';

export const creditNoteLineColumns = `l.credit_note_id, l.position, l.invoice_line, l.amount::text, l.discounts, l.taxes,
  i.billing_period_id, i.charge_code, i.description, i.period_start, i.period_end`;
export const creditNoteLineTables = `credit_note_lines l JOIN invoice_lines i
  ON i.invoice_id = l.invoice_id AND i.position = l.invoice_line`;

const read = <T>(value: T | undefined, what: string): T => {
  assert(value !== undefined, `a stored credit note can't be read: ${what}`);
  return value;
};

const amountFromText = (text: string): Amount => read(parseStoredAmount(text), text);

const versionOf = ({ content_version: stored }: CreditNoteRow): CreditNoteVersion =>
  read(
    creditNoteVersions.find((version) => version === stored),
    `content version ${stored}`,
  );

const lineFromRow = (row: CreditNoteLineRow): CreditNoteLine => ({
  position: row.position,
  invoiceLine: row.invoice_line,
  billingPeriodId: row.billing_period_id,
  chargeCode: row.charge_code,
  description: row.description,
  servicePeriod: { start: row.period_start.getTime(), end: row.period_end.getTime() },
  amount: amountFromText(row.amount),
  discounts: (row.discounts ?? []).map(discountFromJson),
  taxes: (row.taxes ?? []).map(taxFromJson),
});

/** `lines` are those of this credit note, by position. */
export const creditNoteFromRows = (row: CreditNoteRow, lines: readonly CreditNoteLineRow[]): CreditNote => ({
  contentVersion: versionOf(row),
  id: row.id,
  tenant: row.organization_id,
  number: Number(row.series_number),
  documentNumber: row.document_number,
  issuedAt: row.issued_at.getTime(),
  invoice: {
    id: row.invoice_id,
    number: Number(row.invoice_number),
    documentNumber: row.invoice_document_number,
    hash: row.invoice_hash,
  },
  customerId: row.customer_id,
  currency: read(isCurrency(row.currency) ? row.currency : undefined, row.currency),
  reason: row.reason,
  memo: row.memo,
  settlement: row.settlement,
  prePaymentAmount: amountFromText(row.pre_payment_amount),
  postPaymentAmount: amountFromText(row.post_payment_amount),
  issuingEntityId: row.issuing_entity_id,
  seller: row.seller && sellerFromJson(row.seller),
  buyerDigest: row.buyer_digest,
  lines: lines.map(lineFromRow),
  discounts: (row.discounts ?? []).map(discountFromJson),
  taxes: (row.taxes ?? []).map(taxFromJson),
  subtotal: amountFromText(row.subtotal),
  discountTotal: amountFromText(row.discount_total),
  taxTotal: amountFromText(row.tax_total),
  total: amountFromText(row.total),
  previousHash: row.previous_hash,
  hash: row.hash,
});
