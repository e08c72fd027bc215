/** `/v1/exports/...`: issued invoices for bookkeeping, as files that are streamed. */
import { Readable } from 'node:stream';
import { type Static, Type } from 'typebox';
import { FailureError, type Fault } from '#schemas/failures.ts';
import {
  callersColumns,
  exportColumns,
  InvoiceExportQuery,
  InvoiceExportQueryDocument,
} from '#schemas/http/invoice-exports.ts';
import type { Routes } from '../route/define-route.ts';
import { readTimeFilter } from '../route/time-filter.ts';
import { csvCell } from '../usage/usage-csv.ts';
import type { ExportRange, ExportRow, InvoiceExports } from './invoice-exports.postgres.ts';

export type InvoiceExportPorts = { readonly invoiceExports: InvoiceExports };

const mediaTypes = ['text/csv', 'application/x-ndjson'] as const;

const readRange = (query: Static<typeof InvoiceExportQuery>): ExportRange => {
  const faults: Fault[] = [];
  const readTime = (side: 'after' | 'before'): string | null => {
    const text = query[`issued_at_${side}`];
    const time = text === undefined ? undefined : readTimeFilter(text, side);
    if (typeof time === 'object') faults.push({ field: `issued_at_${side}`, ...time });
    return typeof time === 'string' ? time : null;
  };
  const [issuedAfter, issuedBefore] = [readTime('after'), readTime('before')];
  if (faults.length > 0) throw new FailureError('BAD_REQUEST', undefined, faults);
  return { issuedAfter, issuedBefore, numberAfter: Number(query.number_after ?? 0) };
};

const csvField = (name: string, value: ExportRow[string]): string => {
  if (value === null) return '';
  return callersColumns.has(name) ? csvCell(String(value)) : String(value);
};

export const toCsvLine = (columns: readonly string[], row: ExportRow): string =>
  `${columns.map((name) => csvField(name, row[name] ?? null)).join(',')}\r\n`;

async function* textOf(
  columns: readonly string[],
  pages: AsyncGenerator<readonly ExportRow[]>,
  isCsv: boolean,
): AsyncGenerator<string> {
  if (isCsv) yield `${columns.join(',')}\r\n`;
  for await (const rows of pages)
    yield rows.map((row) => (isCsv ? toCsvLine(columns, row) : `${JSON.stringify(row)}\n`)).join('');
}

const exported = [
  ['invoices', 'invoices', 'exportInvoices', 'Issued invoices by their place in the chain, with state and sums'],
  ['invoice-lines', 'lines', 'exportInvoiceLines', 'The lines of issued invoices'],
  ['invoice-taxes', 'taxes', 'exportInvoiceTaxes', 'The taxes of issued invoices, a row for each rate and treatment'],
] as const;

export const invoiceExportRoutes = ({ get }: Routes, { invoiceExports }: InvoiceExportPorts): void => {
  for (const [name, kind, operation, summary] of exported)
    get(
      {
        url: `/v1/exports/${name}`,
        operation,
        tag: 'Invoices',
        summary,
        scope: 'read:invoices',
        query: InvoiceExportQuery,
        documentedQuery: InvoiceExportQueryDocument,
        answers: { 200: Type.String({ description: 'A file, which is streamed.' }) },
        mediaTypes: [...mediaTypes],
        failures: [],
      },
      async ({ db, query, setType }) => {
        const isCsv = query.format !== 'ndjson';
        const pages = invoiceExports[kind](db, readRange(query));
        setType(isCsv ? 'text/csv; charset=utf-8' : 'application/x-ndjson');
        return Readable.from(textOf(exportColumns[kind], pages, isCsv));
      },
    );
};
