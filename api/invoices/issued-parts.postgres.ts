/** What is read of one issued invoice beside itself: its lines page by page, and what it is verified against. */
import type { Currency } from '#schemas/currency.ts';
import type { InvoiceLine, IssuedInvoice } from '#schemas/invoice.ts';
import type { RatedLine } from '#schemas/rated-line.ts';
import { lineFromRow, type RatedRow } from '../../invoicer/invoices/invoice-groups.ts';
import { type InvoiceLineRow, invoiceLineColumnsOf, invoiceLineFromRow } from '../../invoicer/invoices/invoice-rows.ts';
import type { Neighbours } from '../../invoicer/invoices/verify-invoice.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { defineList, type ListPage, type PageRows } from '../route/lists.ts';

/** A line, whose time it charges for, and in what. */
export type ListedLine = { readonly line: InvoiceLine; readonly customerId: string; readonly currency: Currency };

type ListedLineRow = InvoiceLineRow & { customer_id: string; currency: Currency };

const lineList = defineList({
  name: 'invoice-lines',
  columns: `${invoiceLineColumnsOf('l')}, i.currency, coalesce(
    (SELECT p.customer_id FROM billing_periods p WHERE p.id = l.billing_period_id), i.customer_id) AS customer_id`,
  from: 'invoice_lines l JOIN invoices i ON i.id = l.invoice_id',
  organization: 'i.organization_id',
  id: 'l.position::text',
  sorts: { position: { column: 'l.position', type: 'bigint' } },
  defaultSort: 'position',
});

type NeighbourRow = { series_number: bigint; previous_hash: string; hash: string };

export const issuedParts = {
  lineList,
  /** Of an invoice that is there. */
  lines: async (db: Db, invoiceId: string, page: ListPage): Promise<PageRows<ListedLine>> => {
    const fixed = { 'l.invoice_id': invoiceId };
    const { rows, ...rest } = await listRows<ListedLineRow>(db, lineList, db.organizationId, page, fixed);
    return {
      ...rest,
      rows: rows.map((row) => ({
        line: invoiceLineFromRow(row),
        customerId: row.customer_id,
        currency: row.currency,
      })),
    };
  },
  neighbours: async (db: Db, number: number): Promise<Neighbours> => {
    const { rows } = await db.query<NeighbourRow>(
      `SELECT series_number, previous_hash, hash FROM invoices
       WHERE organization_id = $1 AND series_number = ANY (ARRAY[$2::bigint - 1, $2::bigint + 1])`,
      [db.organizationId, number],
    );
    const at = (place: number) => rows.find(({ series_number }) => Number(series_number) === place);
    const [before, after] = [at(number - 1), at(number + 1)];
    return {
      before: before && { number: number - 1, hash: before.hash },
      after: after && { previousHash: after.previous_hash },
    };
  },
  /** What its billing periods were rated to, at the watermarks that it bills. */
  ratedLines: async (db: Db, { id }: IssuedInvoice): Promise<readonly RatedLine[]> => {
    const { rows } = await db.query<RatedRow>(
      `SELECT l.line, p.id, p.span_start, p.span_end
       FROM billing_periods p JOIN rated_lines l ON l.billing_period_id = p.id AND l.watermark = p.watermark
       WHERE p.organization_id = $1 AND p.invoice_id = $2 AND l.organization_id = $1`,
      [db.organizationId, id],
    );
    return rows.map(lineFromRow);
  },
};

export type IssuedParts = typeof issuedParts;
