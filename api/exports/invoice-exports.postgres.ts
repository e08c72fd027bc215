/**
 * Issued invoices, their lines and their taxes as rows of exports, page by page along the chain. An invoice never
 * changes, and whoever sees a number sees all before it: so what is read up to the number that is last at the begin is
 * one snapshot, and no transaction is held for it while a slow reader reads.
 */

import { plannedForValues } from '#platform/stores/postgres.ts';
import type { Currency } from '#schemas/currency.ts';
import type { TaxJson } from '#schemas/invoice/content-parts.ts';
import { hashedInstant } from '#schemas/invoice/hashed-parts.ts';
import { formatAmount, formatMinorUnits, parseStoredAmount, sumAmounts } from '#schemas/money.ts';
import type { Db } from '../route/define-route.ts';

/** Strictly between these; null where nothing is said. */
export type ExportRange = {
  readonly issuedAfter: string | null;
  readonly issuedBefore: string | null;
  readonly numberAfter: number;
};

/** A cell: a text of ours, a number or nothing; or a text of whoever wrote it. */
export type ExportRow = Readonly<Record<string, string | number | boolean | null>>;

export const rowsMax = 1_000;

export const isInRange = (issuedAt: string): string => `($2::timestamptz IS NULL OR ${issuedAt} > $2::timestamptz)
    AND ($3::timestamptz IS NULL OR ${issuedAt} < $3::timestamptz)`;

/** The first and the last number of the range, as of now. */
const bounds = `${plannedForValues} SELECT min(series_number) AS first, max(series_number) AS last
  FROM invoice_states WHERE organization_id = $1 AND ${isInRange('issued_at')} AND series_number > $4`;

/** Behind a number, up to another. */
const invoicesOf = `invoices i WHERE i.organization_id = $1 AND ${isInRange('i.issued_at')}
  AND i.series_number > $4 AND i.series_number <= $5`;

const headColumns = 'i.series_number, i.document_number, i.id, i.issued_at, i.currency, i.issuing_entity_id';
const ofCustomer = `i.customer_id, (SELECT c.external_id FROM customers c WHERE c.id = i.customer_id) AS external_id`;

const invoicesStatement = `SELECT ${headColumns}, ${ofCustomer}, i.kind, i.due_at, i.purchase_order, i.subtotal::text,
    coalesce(i.discount_total, 0)::text AS discount_total, coalesce(i.tax_total, 0)::text AS tax_total, i.total::text,
    s.state, s.amount_credited::text, s.amount_paid::text, s.amount_due::text, i.previous_hash, i.hash
  FROM (SELECT i.* FROM ${invoicesOf} ORDER BY i.series_number LIMIT ${rowsMax}) i
    JOIN invoice_states s ON s.invoice_id = i.id
  ORDER BY i.series_number`;

const taxesStatement = `SELECT ${headColumns}, ${ofCustomer}, i.taxes FROM ${invoicesOf} AND i.taxes IS NOT NULL
  ORDER BY i.series_number LIMIT ${rowsMax}`;

/** Behind the position $6 of the invoice numbered $4 + 1, which may have more lines than a page has rows. */
const linesStatement = `SELECT ${headColumns}, l.*, (SELECT p.subscription_id FROM billing_periods p
      WHERE p.id = l.billing_period_id) AS subscription_id,
    coalesce((SELECT p.customer_id FROM billing_periods p WHERE p.id = l.billing_period_id), i.customer_id)
      AS customer_id
  FROM (SELECT i.* FROM ${invoicesOf} ORDER BY i.series_number) i CROSS JOIN LATERAL (
    SELECT l.position, coalesce(l.kind, 'charge') AS kind, l.billing_period_id, l.charge_code, l.description, l.meter,
      l.quantity::text, l.unit_amount::text, l.amount::text, l.discounts, l.taxes, l.period_start, l.period_end
    FROM invoice_lines l
    WHERE l.invoice_id = i.id AND (i.series_number > $4 + 1 OR l.position > $6) ORDER BY l.position
  ) l
  ORDER BY i.series_number, l.position LIMIT ${rowsMax}`;

type HeadRow = {
  series_number: bigint;
  document_number: string | null;
  id: string;
  issued_at: Date;
  currency: Currency;
  issuing_entity_id: string | null;
};

type InvoiceRow = HeadRow & {
  customer_id: string;
  external_id: string;
  kind: string;
  due_at: Date | null;
  purchase_order: string | null;
  subtotal: string;
  discount_total: string;
  tax_total: string;
  total: string;
  state: string;
  amount_credited: string;
  amount_paid: string;
  amount_due: string;
  previous_hash: string;
  hash: string;
};

type TaxRow = HeadRow & { customer_id: string; external_id: string; taxes: TaxJson[] };

type LineRow = HeadRow & {
  position: number;
  kind: string;
  customer_id: string;
  subscription_id: string | null;
  billing_period_id: string | null;
  charge_code: string | null;
  description: string;
  meter: string | null;
  quantity: string;
  unit_amount: string | null;
  amount: string;
  discounts: { amount: string }[] | null;
  taxes: TaxJson[] | null;
  period_start: Date;
  period_end: Date;
};

const read = (text: string) => {
  const amount = parseStoredAmount(text);
  if (amount === undefined) throw new TypeError(`a stored amount can't be read: ${text}`);
  return amount;
};
export const money = (text: string, currency: Currency): string => formatMinorUnits(read(text), currency);
export const instant = (date: Date | null): string | null => (date === null ? null : hashedInstant(date.getTime()));
export const summed = (items: readonly { readonly amount: string }[] | null, currency: Currency): string =>
  formatMinorUnits(sumAmounts((items ?? []).map(({ amount }) => read(amount))), currency);

const headToRow = (row: HeadRow) => ({
  number: Number(row.series_number),
  document_number: row.document_number,
  invoice_id: row.id,
  issued_at: instant(row.issued_at),
});

const invoiceToRow = (row: InvoiceRow): ExportRow => ({
  ...headToRow(row),
  due_at: instant(row.due_at),
  kind: row.kind,
  issuing_entity_id: row.issuing_entity_id,
  customer_id: row.customer_id,
  customer_external_id: row.external_id,
  purchase_order: row.purchase_order,
  currency: row.currency,
  subtotal: money(row.subtotal, row.currency),
  discount_total: money(row.discount_total, row.currency),
  tax_total: money(row.tax_total, row.currency),
  total: money(row.total, row.currency),
  state: row.state,
  amount_credited: money(row.amount_credited, row.currency),
  amount_paid: money(row.amount_paid, row.currency),
  amount_due: money(row.amount_due, row.currency),
  previous_hash: row.previous_hash,
  hash: row.hash,
});

const lineToRow = (row: LineRow): ExportRow => ({
  ...headToRow(row),
  position: row.position,
  kind: row.kind,
  customer_id: row.customer_id,
  subscription_id: row.subscription_id,
  billing_period_id: row.billing_period_id,
  charge_code: row.charge_code,
  description: row.description,
  meter: row.meter,
  quantity: row.quantity,
  unit_amount: row.unit_amount === null ? null : formatAmount(read(row.unit_amount)),
  currency: row.currency,
  amount: money(row.amount, row.currency),
  discount_amount: summed(row.discounts, row.currency),
  tax_amount: summed(row.taxes, row.currency),
  service_period_start: instant(row.period_start),
  service_period_end: instant(row.period_end),
});

export const taxToRow = (tax: TaxJson): ExportRow => ({
  tax_rate_id: tax.tax_rate_id,
  code: tax.code,
  name: tax.name,
  percentage: tax.percentage,
  inclusive: tax.inclusive,
  treatment: tax.treatment,
  taxable_amount: tax.taxable_amount,
  amount: tax.amount,
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

type Bounds = { readonly first: number; readonly last: number };

export const boundsOf = async (
  db: Db,
  statement: string,
  { issuedAfter, issuedBefore, numberAfter }: ExportRange,
): Promise<Bounds | undefined> => {
  const { rows } = await db.query<{ first: bigint | null; last: bigint | null }>(statement, [
    db.organizationId,
    issuedAfter,
    issuedBefore,
    numberAfter,
  ]);
  const { first, last } = rows[0] ?? { first: null, last: null };
  return first === null || last === null ? undefined : { first: Number(first), last: Number(last) };
};

/** The numbers of a range, and rows of them behind one, up to another. */
type ChainStatements = { readonly bounds: string; readonly rows: string };

/** Ends where a page is not full. */
export async function* alongChain<R extends { readonly series_number: bigint }>(
  db: Db,
  range: ExportRange,
  statements: ChainStatements,
  toRows: (row: R) => readonly ExportRow[],
): AsyncGenerator<readonly ExportRow[]> {
  const bounds = await boundsOf(db, statements.bounds, range);
  if (!bounds) return;
  const values = [db.organizationId, range.issuedAfter, range.issuedBefore];
  for (let after = bounds.first - 1; ; ) {
    const { rows } = await db.query<R>(statements.rows, [...values, after, bounds.last]);
    yield rows.flatMap(toRows);
    const last = rows.at(-1);
    if (last === undefined || rows.length < rowsMax) return;
    after = Number(last.series_number);
  }
}

/** Of lines, which may be more of one than a page has rows. */
export async function* linesAlongChain<R extends { readonly series_number: bigint; readonly position: number }>(
  db: Db,
  range: ExportRange,
  statements: ChainStatements,
  toRow: (row: R) => ExportRow,
): AsyncGenerator<readonly ExportRow[]> {
  const bounds = await boundsOf(db, statements.bounds, range);
  if (!bounds) return;
  const values = [db.organizationId, range.issuedAfter, range.issuedBefore];
  for (let [number, position] = [bounds.first, 0]; ; ) {
    const { rows } = await db.query<R>(statements.rows, [...values, number - 1, bounds.last, position]);
    yield rows.map(toRow);
    const last = rows.at(-1);
    if (last === undefined || rows.length < rowsMax) return;
    [number, position] = [Number(last.series_number), last.position];
  }
}

/** In pages, in the order of the chain. */
export const invoiceExports = {
  invoices: (db: Db, range: ExportRange) =>
    alongChain<InvoiceRow>(db, range, { bounds, rows: invoicesStatement }, (row) => [invoiceToRow(row)]),
  lines: (db: Db, range: ExportRange) =>
    linesAlongChain<LineRow>(db, range, { bounds, rows: linesStatement }, lineToRow),
  taxes: (db: Db, range: ExportRange) => alongChain<TaxRow>(db, range, { bounds, rows: taxesStatement }, taxesToRows),
};

export type InvoiceExports = typeof invoiceExports;
