/** Why a line is what it is: of a rated line by its id, and of a line of an invoice by its position. */
import {
  Explanation,
  InvoiceLineParams,
  LineEventPage,
  LineEventsQuery,
  LineEventsQueryDocument,
} from '#schemas/http/explain.ts';
import { CreditExplanation, CreditNoteLineParams } from '#schemas/http/explain-credit.ts';
import { IdParam } from '#schemas/http/fields.ts';
import { formatInstant } from '#schemas/instant.ts';
import { formatMinorUnits, zeroAmount } from '#schemas/money.ts';
import { ratingInputToJson } from '#schemas/rating-input.ts';
import { lineHashesOfStored } from '../../rater/run/line-hashes.ts';
import type { CreditNoteReader } from '../credits/credit-notes.postgres.ts';
import type { InvoiceReader } from '../invoices/invoices.postgres.ts';
import type { Cursors } from '../route/cursors.ts';
import type { Db, Routes } from '../route/define-route.ts';
import { found } from '../route/resource-fields.ts';
import { type ExplainCreditPorts, explainCredit } from './explain-credit.ts';
import type { LineEvents } from './line-events.clickhouse.ts';
import { changesJson, queryJson, queryOf, urlOfEvents } from './line-json.ts';
import type { LineQuery } from './line-query.ts';
import { listEvents, listedEventJson } from './list-events.ts';
import type { ExplainedLine, LineOfInvoice, RatedLines } from './rated-lines.postgres.ts';
import { tierTable, tierTables } from './tier-table.ts';

export type ExplainPorts = ExplainCreditPorts & {
  readonly ratedLines: RatedLines;
  readonly creditNotes: Pick<CreditNoteReader, 'creditNote'>;
  readonly invoices: Pick<InvoiceReader, 'invoice'>;
  readonly lineEvents: LineEvents;
  readonly cursors: Cursors;
};

/** Of a line of a delta: what it differs from, and which events made the difference. */
const deltaJson = async (
  id: string,
  { corrects, beforeId }: NonNullable<LineOfInvoice['delta']>,
  query: LineQuery | undefined,
  { lineEvents }: ExplainPorts,
) => {
  const changes = query && (await lineEvents.changes(query, BigInt(corrects.watermark)));
  return {
    corrects,
    rated_line_before: beforeId,
    changes: changes ? changesJson(id, BigInt(corrects.watermark), changes) : null,
  };
};

const explain = async (db: Db, line: ExplainedLine, ports: ExplainPorts) => {
  const { id, ratedAt, invoice, discounts, creditedBefore, output, hashes } = line;
  const { lineEvents, ratedLines } = ports;
  const input = ratingInputToJson(line.input);
  const query = queryOf(db, line);
  const of = invoice && (await ratedLines.ofInvoiceLine(db, invoice.id, invoice.position));
  const summary = query && (await lineEvents.summary(query));
  const again = lineHashesOfStored(input, output);
  return {
    id,
    rated_at: formatInstant(ratedAt),
    invoice_id: invoice?.id ?? null,
    line_position: invoice?.position ?? null,
    discounts,
    credited_before: creditedBefore === zeroAmount ? null : formatMinorUnits(creditedBefore, line.input.currency),
    input,
    output,
    hashes: hashes ? { ...hashes, is_as_rated: hashes.input === again.input && hashes.output === again.output } : null,
    tiers: input.price_spans
      ? tierTables(input.price_spans, output.steps)
      : tierTable(input.charge.price, output.steps),
    query: query ? queryJson(query) : null,
    events: summary
      ? {
          count: summary.events.toString(),
          content_hash: summary.contentHash,
          url: urlOfEvents(id),
        }
      : null,
    delta: of?.delta ? await deltaJson(id, of.delta, query, ports) : null,
  };
};

const limitDefault = 100;

export const explainRoutes = ({ get }: Routes, ports: ExplainPorts): void => {
  const { ratedLines, invoices, creditNotes } = ports;
  const lineOf = async (db: Db, id: string): Promise<ExplainedLine> =>
    found(await ratedLines.ratedLine(db, id), 'RATED_LINE_NOT_FOUND');
  get(
    {
      url: '/v1/rated-lines/:id/explain',
      operation: 'explainRatedLine',
      tag: 'Explanations',
      summary: 'Explain a rated line: what went in, what came out, and how',
      scope: 'read:invoices',
      params: IdParam,
      answers: { 200: Explanation },
      failures: ['RATED_LINE_NOT_FOUND'],
    },
    async ({ db, params }) => explain(db, await lineOf(db, params.id), ports),
  );
  get(
    {
      url: '/v1/invoices/:id/line-items/:line/explain',
      operation: 'explainInvoiceLine',
      tag: 'Explanations',
      summary: 'Explain a line of an invoice',
      scope: 'read:invoices',
      params: InvoiceLineParams,
      answers: { 200: Explanation },
      failures: ['INVOICE_NOT_FOUND', 'INVOICE_LINE_NOT_FOUND'],
    },
    async ({ db, params }) => {
      const { id: invoiceId } = found(await invoices.invoice(db, params.id), 'INVOICE_NOT_FOUND');
      const position = Number(params.line);
      const { id } = found(await ratedLines.ofInvoiceLine(db, invoiceId, position), 'INVOICE_LINE_NOT_FOUND');
      return explain(db, { ...(await lineOf(db, id)), invoice: { id: invoiceId, position } }, ports);
    },
  );
  get(
    {
      url: '/v1/credit-notes/:id/line-items/:line/explain',
      operation: 'explainCreditNoteLine',
      tag: 'Explanations',
      summary: 'Explain a line of a credit note: of which line it gives back what, and the late usage behind it',
      scope: 'read:credit_notes',
      params: CreditNoteLineParams,
      answers: { 200: CreditExplanation },
      failures: ['CREDIT_NOTE_NOT_FOUND', 'CREDIT_NOTE_LINE_NOT_FOUND'],
    },
    async ({ db, params }) => {
      const { note, deltaId } = found(await creditNotes.creditNote(db, params.id), 'CREDIT_NOTE_NOT_FOUND');
      const line = note.lines.find(({ position }) => position === Number(params.line));
      return explainCredit(db, { note, line: found(line, 'CREDIT_NOTE_LINE_NOT_FOUND'), deltaId }, ports);
    },
  );
  get(
    {
      url: '/v1/rated-lines/:id/explain/events',
      operation: 'listEventsOfRatedLine',
      tag: 'Explanations',
      summary: 'List the very events that the quantity of a rated line is made of, or that changed it, newest first',
      scope: 'read:usage',
      params: IdParam,
      query: LineEventsQuery,
      documentedQuery: LineEventsQueryDocument,
      answers: { 200: LineEventPage },
      failures: ['RATED_LINE_NOT_FOUND'],
    },
    async ({ db, params, query }) => {
      const line = await lineOf(db, params.id);
      const since = query.changed_since === undefined ? undefined : BigInt(query.changed_since);
      const counted = queryOf(db, line);
      const of = counted && { ...counted, since };
      const page = { limit: Number(query.limit ?? limitDefault), cursor: query.cursor };
      const { events, nextCursor } = of
        ? await listEvents(line.id, of, page, ports)
        : { events: [], nextCursor: undefined };
      return {
        rated_line_id: line.id,
        watermark: line.input.watermark.toString(),
        items: events.map(listedEventJson),
        pagination: {
          page_size: events.length,
          has_more: nextCursor !== undefined,
          next_cursor: nextCursor ?? null,
        },
      };
    },
  );
};
