/** `/v1/exports/...`: issued invoices and credit notes for bookkeeping, as files that are streamed. */
import { Readable } from 'node:stream';
import { type Static, Type } from 'typebox';
import { FailureError, type Fault } from '#schemas/failures.ts';
import {
  callersColumns,
  exportColumns,
  InvoiceExportQuery,
  invoiceExportQueryDocument,
} from '#schemas/http/invoice-exports.ts';
import type { Routes } from '../route/define-route.ts';
import { readTimeFilter, timeFilterPattern } from '../route/time-filter.ts';
import { csvCell } from '../usage/usage-csv.ts';
import type { CreditNoteExports } from './credit-note-exports.postgres.ts';
import type { ExportRange, ExportRow, InvoiceExports } from './invoice-exports.postgres.ts';

export type InvoiceExportPorts = {
  readonly invoiceExports: InvoiceExports;
  readonly creditNoteExports: CreditNoteExports;
};

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

const ofInvoices = { tag: 'Invoices', scope: 'read:invoices' } as const;
const ofCreditNotes = { tag: 'Credit notes', scope: 'read:credit_notes' } as const;

const exported = [
  {
    ...ofInvoices,
    name: 'invoices',
    kind: 'invoices',
    operation: 'exportInvoices',
    summary: 'Issued invoices by their place in the chain, with state and sums',
  },
  {
    ...ofInvoices,
    name: 'invoice-lines',
    kind: 'lines',
    operation: 'exportInvoiceLines',
    summary: 'The lines of issued invoices',
  },
  {
    ...ofInvoices,
    name: 'invoice-taxes',
    kind: 'taxes',
    operation: 'exportInvoiceTaxes',
    summary: 'The taxes of issued invoices, a row for each rate and treatment',
  },
  {
    ...ofCreditNotes,
    name: 'credit-notes',
    kind: 'creditNotes',
    operation: 'exportCreditNotes',
    summary: 'Credit notes by their place in their chain, with their sums',
  },
  {
    ...ofCreditNotes,
    name: 'credit-note-lines',
    kind: 'creditNoteLines',
    operation: 'exportCreditNoteLines',
    summary: 'The lines of credit notes',
  },
  {
    ...ofCreditNotes,
    name: 'credit-note-taxes',
    kind: 'creditNoteTaxes',
    operation: 'exportCreditNoteTaxes',
    summary: 'The taxes of credit notes, a row for each rate and treatment',
  },
] as const;

export const invoiceExportRoutes = ({ get }: Routes, ports: InvoiceExportPorts): void => {
  const pagesOf = { ...ports.invoiceExports, ...ports.creditNoteExports };
  for (const { name, kind, ...route } of exported)
    get(
      {
        ...route,
        url: `/v1/exports/${name}`,
        query: InvoiceExportQuery,
        documentedQuery: invoiceExportQueryDocument(timeFilterPattern),
        answers: { 200: Type.String({ description: 'A file, which is streamed.' }) },
        mediaTypes: [...mediaTypes],
        failures: [],
      },
      async ({ db, query, setType }) => {
        const isCsv = query.format !== 'ndjson';
        const pages = pagesOf[kind](db, readRange(query));
        setType(isCsv ? 'text/csv; charset=utf-8' : 'application/x-ndjson');
        return Readable.from(textOf(exportColumns[kind], pages, isCsv));
      },
    );
};
