/** Credit notes, their lines and their taxes as rows of exports, along their own chain, as invoices are. */
import { plannedForValues } from '#platform/stores/postgres.ts';
import type { Currency } from '#schemas/currency.ts';
import type { TaxJson } from '#schemas/invoice/content-parts.ts';
import type { Db } from '../route/define-route.ts';
import {
  alongChain,
  type ExportRange,
  type ExportRow,
  instant,
  isInRange,
  linesAlongChain,
  money,
  rowsMax,
  summed,
  taxToRow,
} from './invoice-exports.postgres.ts';

const bounds = `${plannedForValues} SELECT min(series_number) AS first, max(series_number) AS last
  FROM credit_notes WHERE organization_id = $1 AND ${isInRange('issued_at')} AND series_number > $4`;

/** Behind a number, up to another. */
const notesOf = `credit_notes n WHERE n.organization_id = $1 AND ${isInRange('n.issued_at')}
  AND n.series_number > $4 AND n.series_number <= $5`;

const headColumns = `n.series_number, n.document_number, n.id, n.issued_at, n.currency, n.issuing_entity_id, n.invoice_id,
  (SELECT i.document_number FROM invoices i WHERE i.id = n.invoice_id) AS invoice_document_number`;
const ofCustomer = `n.customer_id, (SELECT c.external_id FROM customers c WHERE c.id = n.customer_id) AS external_id`;

const notesStatement = `SELECT ${headColumns}, ${ofCustomer}, n.reason, n.settlement, n.pre_payment_amount::text,
    n.post_payment_amount::text, n.subtotal::text, n.discount_total::text, n.tax_total::text, n.total::text,
    n.previous_hash, n.hash
  FROM ${notesOf} ORDER BY n.series_number LIMIT ${rowsMax}`;

const taxesStatement = `SELECT ${headColumns}, ${ofCustomer}, n.taxes FROM ${notesOf} AND n.taxes IS NOT NULL
  ORDER BY n.series_number LIMIT ${rowsMax}`;

/** Behind the position $6 of the credit note numbered $4 + 1. */
const linesStatement = `SELECT ${headColumns}, l.*,
    coalesce((SELECT p.customer_id FROM billing_periods p WHERE p.id = l.billing_period_id), n.customer_id)
      AS customer_id,
    (SELECT p.subscription_id FROM billing_periods p WHERE p.id = l.billing_period_id) AS subscription_id
  FROM (SELECT n.* FROM ${notesOf} ORDER BY n.series_number) n CROSS JOIN LATERAL (
    SELECT c.position, c.invoice_line, c.amount::text, c.discounts, c.taxes, i.billing_period_id, i.charge_code,
      i.description, i.period_start, i.period_end
    FROM credit_note_lines c JOIN invoice_lines i ON i.invoice_id = c.invoice_id AND i.position = c.invoice_line
    WHERE c.credit_note_id = n.id AND (n.series_number > $4 + 1 OR c.position > $6) ORDER BY c.position
  ) l
  ORDER BY n.series_number, l.position LIMIT ${rowsMax}`;

type HeadRow = {
  series_number: bigint;
  document_number: string;
  id: string;
  issued_at: Date;
  currency: Currency;
  issuing_entity_id: string | null;
  invoice_id: string;
  invoice_document_number: string | null;
};

type NoteRow = HeadRow & {
  customer_id: string;
  external_id: string;
  reason: string;
  settlement: string | null;
  pre_payment_amount: string;
  post_payment_amount: string;
  subtotal: string;
  discount_total: string;
  tax_total: string;
  total: string;
  previous_hash: string;
  hash: string;
};

type TaxRow = HeadRow & { customer_id: string; external_id: string; taxes: TaxJson[] };

type LineRow = HeadRow & {
  position: number;
  invoice_line: number;
  customer_id: string;
  subscription_id: string | null;
  billing_period_id: string | null;
  charge_code: string | null;
  description: string;
  amount: string;
  discounts: { amount: string }[] | null;
  taxes: { amount: string }[] | null;
  period_start: Date;
  period_end: Date;
};

const headToRow = (row: HeadRow) => ({
  number: Number(row.series_number),
  document_number: row.document_number,
  credit_note_id: row.id,
  issued_at: instant(row.issued_at),
  invoice_id: row.invoice_id,
  invoice_document_number: row.invoice_document_number,
});

const noteToRow = (row: NoteRow): ExportRow => ({
  ...headToRow(row),
  reason: row.reason,
  issuing_entity_id: row.issuing_entity_id,
  customer_id: row.customer_id,
  customer_external_id: row.external_id,
  currency: row.currency,
  subtotal: money(row.subtotal, row.currency),
  discount_total: money(row.discount_total, row.currency),
  tax_total: money(row.tax_total, row.currency),
  total: money(row.total, row.currency),
  pre_payment_amount: money(row.pre_payment_amount, row.currency),
  post_payment_amount: money(row.post_payment_amount, row.currency),
  settlement: row.settlement,
  previous_hash: row.previous_hash,
  hash: row.hash,
});

const lineToRow = (row: LineRow): ExportRow => ({
  ...headToRow(row),
  position: row.position,
  invoice_line: row.invoice_line,
  customer_id: row.customer_id,
  subscription_id: row.subscription_id,
  billing_period_id: row.billing_period_id,
  charge_code: row.charge_code,
  description: row.description,
  currency: row.currency,
  amount: money(row.amount, row.currency),
  discount_amount: summed(row.discounts, row.currency),
  tax_amount: summed(row.taxes, row.currency),
  service_period_start: instant(row.period_start),
  service_period_end: instant(row.period_end),
});

const taxesToRows = (row: TaxRow): ExportRow[] =>
  row.taxes.map((tax) => ({
    ...headToRow(row),
    issuing_entity_id: row.issuing_entity_id,
    customer_id: row.customer_id,
    customer_external_id: row.external_id,
    currency: row.currency,
    ...taxToRow(tax),
  }));

/** In pages, in the order of the chain. */
export const creditNoteExports = {
  creditNotes: (db: Db, range: ExportRange) =>
    alongChain<NoteRow>(db, range, { bounds, rows: notesStatement }, (row) => [noteToRow(row)]),
  creditNoteLines: (db: Db, range: ExportRange) =>
    linesAlongChain<LineRow>(db, range, { bounds, rows: linesStatement }, lineToRow),
  creditNoteTaxes: (db: Db, range: ExportRange) =>
    alongChain<TaxRow>(db, range, { bounds, rows: taxesStatement }, taxesToRows),
};

export type CreditNoteExports = typeof creditNoteExports;
