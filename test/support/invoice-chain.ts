import type { IssuedInvoice } from '#schemas/invoice.ts';
import {
  type InvoiceLineRow,
  type InvoicePeriodRow,
  type InvoiceRow,
  invoiceColumns,
  invoiceFromRows,
  invoiceLineColumns,
  selectPeriodsOfInvoices,
} from '../../invoicer/invoices/invoice-rows.ts';
import type { Pipeline } from './pipeline.ts';

/** All invoices in the order of their numbers, from the rows themselves. */
export const invoiceChain = async (pipeline: Pipeline): Promise<IssuedInvoice[]> => {
  const invoices = await pipeline.asOwner.query<InvoiceRow>(
    `SELECT ${invoiceColumns} FROM invoices ORDER BY series_number`,
  );
  const lines = await pipeline.asOwner.query<InvoiceLineRow>(
    `SELECT ${invoiceLineColumns} FROM invoice_lines ORDER BY invoice_id, position`,
  );
  const linesOf = Map.groupBy(lines.rows, (line) => line.invoice_id);
  const periods = await pipeline.asOwner.query<InvoicePeriodRow>(selectPeriodsOfInvoices(), [
    invoices.rows.map(({ id }) => id),
  ]);
  const periodsOf = Map.groupBy(periods.rows, (period) => period.invoice_id);
  return invoices.rows.map((row) => invoiceFromRows(row, periodsOf.get(row.id) ?? [], linesOf.get(row.id) ?? []));
};
