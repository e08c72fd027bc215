/**
 * Verifies the chains of the audit log, lane by lane, of the invoices and of the credit notes, link by link from the
 * rows themselves, and names the first row of each that is not what was written. Rows cut off at the end differ from
 * the head beside them; a lane that is gone is missed where lane 0 opened it, and one that lane 0 did not open is none;
 * a chain that was rewritten with its head differs from an anchor (anchors.ts).
 */
import { type AuditRow, auditColumns, entryFromRow } from '#platform/audit/audit.ts';
import { auditFault, auditGenesisHash } from '#platform/audit/audit-entry.ts';
import { auditLanesMax, laneId, laneOpened, openedLane } from '#platform/audit/audit-lanes.ts';
import type { Queryable } from '#platform/stores/postgres.ts';
import type { CreditNote } from '#schemas/credit-note.ts';
import type { IssuedInvoice } from '#schemas/invoice.ts';
import { creditLinkFault } from '../../invoicer/credits/credit-note-hash.ts';
import {
  type CreditNoteLineRow,
  type CreditNoteRow,
  creditNoteColumns,
  creditNoteFromRows,
  creditNoteLineColumns,
  creditNoteLineTables,
  creditNoteTables,
} from '../../invoicer/credits/credit-note-rows.ts';
import { ChainFault, genesisHash, linkFault } from '../../invoicer/invoices/invoice-hash.ts';
import {
  type InvoiceLineRow,
  type InvoicePeriodRow,
  type InvoiceRow,
  invoiceColumns,
  invoiceFromRows,
  invoiceLineColumns,
  selectPeriodsOfInvoices,
} from '../../invoicer/invoices/invoice-rows.ts';
import type { Anchor, ChainName } from './anchors.ts';

type ChainHead = { readonly number: number; readonly hash: string };

export type FaultyRow = {
  /** In the chain; undefined for a row that stands in none. */
  readonly number: number | undefined;
  /** Of an object, as in `object_type`; a link of a chain has none. */
  readonly kind?: string;
  /** Undefined where the row is not there any more. */
  readonly id: string | undefined;
  readonly reason: string;
};

export type ChainReport = {
  readonly organizationId: string;
  readonly chain: ChainName;
  /** Of the audit log; 0 of all others. */
  readonly lane: number;
  /** How far it is as it was written. */
  readonly head: ChainHead;
  readonly fault: FaultyRow | undefined;
};

type Link = {
  readonly position: bigint;
  readonly id: string;
  readonly hash: string;
  readonly faultAfter: (last: ChainHead) => string | undefined;
};

/** Of one organization. */
type Chain = {
  readonly organizationId: string;
  readonly name: ChainName;
  readonly lane: number;
  readonly genesis: string;
  /** The next links behind a position, in order. */
  readonly page: (db: Queryable, after: bigint) => Promise<Link[]>;
  readonly head: (db: Queryable) => Promise<ChainHead | undefined>;
};

const readHead = async (db: Queryable, sql: string, values: readonly unknown[]): Promise<ChainHead | undefined> => {
  const { rows } = await db.query<{ number: bigint; hash: string }>(sql, values);
  return rows[0] && { number: Number(rows[0].number), hash: rows[0].hash };
};

const rowsMax = 5_000;
/** Invoices with their lines are larger. */
const invoicesMax = 1_000;
/** Before whatever a row may claim to be: nothing hides in front of the first one. */
const beforeAll = -(2n ** 63n);

/** Hashed is what callers see, which ends with the millisecond; a time that was moved by less is none that we write. */
const wholeMs = (columns: readonly string[]): string =>
  columns.map((column) => `date_trunc('milliseconds', ${column}) = ${column}`).join(' AND ');

type Whole<R> = R & { readonly whole_ms: boolean };

const selectEntries = `SELECT ${auditColumns}, ${wholeMs(['occurred_at'])} AS whole_ms FROM audit_log
  WHERE organization_id = $1 AND lane = $2 AND sequence > $3 ORDER BY sequence LIMIT ${rowsMax}`;
const selectLaneHead =
  'SELECT last_sequence AS number, head_hash AS hash FROM audit_heads WHERE organization_id = $1 AND lane = $2';

const auditLane = (organizationId: string, lane: number, genesis: string): Chain => ({
  organizationId,
  name: 'audit',
  lane,
  genesis,
  head: (db) => readHead(db, selectLaneHead, [organizationId, lane]),
  page: async (db, after) => {
    const { rows } = await db.query<Whole<AuditRow>>(selectEntries, [organizationId, lane, after]);
    return rows.map((row) => ({
      position: row.sequence,
      id: row.id,
      hash: row.hash,
      faultAfter: ({ number, hash }) =>
        auditFault(entryFromRow(row), { sequence: number, hash }) ?? (row.whole_ms ? undefined : 'hash_differs'),
    }));
  },
});

const selectInvoices = `SELECT ${invoiceColumns},
    ${wholeMs(['issued_at'])} AND coalesce(${wholeMs(['period_start', 'period_end'])}, true) AS whole_ms
  FROM invoices
  WHERE organization_id = $1 AND series_number > $2 ORDER BY series_number LIMIT ${invoicesMax}`;
const selectPeriods = selectPeriodsOfInvoices(`${wholeMs(['span_start', 'span_end'])} AS whole_ms`);
const selectLines = `SELECT ${invoiceLineColumns}, ${wholeMs(['period_start', 'period_end'])} AS whole_ms
  FROM invoice_lines WHERE invoice_id = ANY ($1) ORDER BY invoice_id, position`;

const invoiceFault = (
  row: Whole<InvoiceRow>,
  periods: readonly Whole<InvoicePeriodRow>[],
  lines: readonly Whole<InvoiceLineRow>[],
  last: ChainHead,
): string | undefined => {
  let invoice: IssuedInvoice;
  try {
    invoice = invoiceFromRows(row, periods, lines);
  } catch {
    return ChainFault.unreadable;
  }
  return (
    linkFault(invoice, last) ??
    ([row, ...periods, ...lines].every(({ whole_ms }) => whole_ms) ? undefined : ChainFault.hash)
  );
};

const selectSeries = 'SELECT last_number AS number, head_hash AS hash FROM invoice_series WHERE organization_id = $1';

const invoiceChain = (organizationId: string): Chain => ({
  organizationId,
  name: 'invoices',
  lane: 0,
  genesis: genesisHash,
  head: (db) => readHead(db, selectSeries, [organizationId]),
  page: async (db, after) => {
    const { rows } = await db.query<Whole<InvoiceRow>>(selectInvoices, [organizationId, after]);
    const lines = await db.query<Whole<InvoiceLineRow>>(selectLines, [rows.map(({ id }) => id)]);
    const periods = await db.query<Whole<InvoicePeriodRow>>(selectPeriods, [rows.map(({ id }) => id)]);
    const linesOf = Map.groupBy(lines.rows, (line) => line.invoice_id);
    const periodsOf = Map.groupBy(periods.rows, (period) => period.invoice_id);
    return rows.map((row) => ({
      position: row.series_number,
      id: row.id,
      hash: row.hash,
      faultAfter: (last) => invoiceFault(row, periodsOf.get(row.id) ?? [], linesOf.get(row.id) ?? [], last),
    }));
  },
});

const selectNotes = `SELECT ${creditNoteColumns}, ${wholeMs(['n.issued_at'])} AS whole_ms FROM ${creditNoteTables}
  WHERE n.organization_id = $1 AND n.series_number > $2 ORDER BY n.series_number LIMIT ${invoicesMax}`;
const selectNoteLines = `SELECT ${creditNoteLineColumns} FROM ${creditNoteLineTables}
  WHERE l.credit_note_id = ANY ($1) ORDER BY l.credit_note_id, l.position`;
const selectNoteSeries =
  'SELECT last_number AS number, head_hash AS hash FROM credit_note_series WHERE organization_id = $1';

const noteFault = (
  row: Whole<CreditNoteRow>,
  lines: readonly CreditNoteLineRow[],
  last: ChainHead,
): string | undefined => {
  let note: CreditNote;
  try {
    note = creditNoteFromRows(row, lines);
  } catch {
    return ChainFault.unreadable;
  }
  return creditLinkFault(note, last) ?? (row.whole_ms ? undefined : ChainFault.hash);
};

const creditNoteChain = (organizationId: string): Chain => ({
  organizationId,
  name: 'credit_notes',
  lane: 0,
  genesis: genesisHash,
  head: (db) => readHead(db, selectNoteSeries, [organizationId]),
  page: async (db, after) => {
    const { rows } = await db.query<Whole<CreditNoteRow>>(selectNotes, [organizationId, after]);
    const lines = await db.query<CreditNoteLineRow>(selectNoteLines, [rows.map(({ id }) => id)]);
    const linesOf = Map.groupBy(lines.rows, (line) => line.credit_note_id);
    return rows.map((row) => ({
      position: row.series_number,
      id: row.id,
      hash: row.hash,
      faultAfter: (last) => noteFault(row, linesOf.get(row.id) ?? [], last),
    }));
  },
});

/**
 * The page behind is asked for while this one is hashed: the database and this process work side by side, and two pages
 * are all that is held.
 */
async function* pagesOf(chain: Chain, db: Queryable): AsyncGenerator<Link[]> {
  const read = (after: bigint) => {
    const page = chain.page(db, after);
    // Whoever stops at a fault does not wait for it.
    page.catch(() => {});
    return page;
  };
  for (let next = read(beforeAll); ; ) {
    const links = await next;
    const last = links.at(-1);
    if (!last) return;
    next = read(last.position);
    yield links;
  }
}

const verifyChain = async (chain: Chain, db: Queryable, anchors: readonly Anchor[]): Promise<ChainReport> => {
  const { organizationId, name, lane, genesis } = chain;
  const report = { organizationId, chain: name, lane };
  const own = anchors.filter(
    (anchor) => anchor.organizationId === organizationId && anchor.chain === name && anchor.lane === lane,
  );
  const hashesAt = Map.groupBy(own, ({ number }) => number);
  const head = (await chain.head(db)) ?? { number: 0, hash: genesis };
  const faultBeside = ({ number, hash }: ChainHead): string | undefined => {
    if (number > head.number) return 'behind_the_head';
    if (number === head.number && hash !== head.hash) return 'head_differs';
    return hashesAt.get(number)?.some((anchor) => anchor.hash !== hash) ? 'anchor_differs' : undefined;
  };
  let last: ChainHead = { number: 0, hash: genesis };
  for await (const links of pagesOf(chain, db)) {
    for (const { position, id, hash, faultAfter } of links) {
      const link = { number: Number(position), hash };
      const reason = faultAfter(last) ?? faultBeside(link);
      if (reason !== undefined) return { ...report, head: last, fault: { number: link.number, id, reason } };
      last = link;
    }
  }
  if (last.number < head.number || own.some(({ number }) => number > last.number))
    return { ...report, head: last, fault: { number: last.number + 1, id: undefined, reason: 'cut_off' } };
  const isOfAnother = last.number === 0 && head.hash !== genesis;
  const fault = isOfAnother ? { number: 0, id: undefined, reason: 'head_differs' } : undefined;
  return { ...report, head: last, fault };
};

/** Of lane 0, whether it holds or not. */
const selectOpenings = `SELECT action, object_id, hash FROM audit_log
  WHERE organization_id = $1 AND object_id = ANY ($2) AND action = $3 AND lane = 0 ORDER BY sequence`;
const selectLanesOfRows = `SELECT lane FROM audit_heads WHERE organization_id = $1
  UNION SELECT lane FROM audit_log WHERE organization_id = $1`;
const laneIds = Array.from({ length: auditLanesMax }, (_, lane) => laneId(lane));

/**
 * Every lane that anything tells of, lane 0 first: what lane 0 opened has to have a head, and what has a head, an entry
 * or an anchor has to be opened.
 */
const verifyLanes = async (
  db: Queryable,
  organizationId: string,
  anchors: readonly Anchor[],
): Promise<ChainReport[]> => {
  const openings = await db.query<{ action: string; object_id: string; hash: string }>(selectOpenings, [
    organizationId,
    laneIds,
    laneOpened,
  ]);
  const genesisOf = new Map<number | undefined, string>([[0, auditGenesisHash]]);
  for (const { action, object_id: objectId, hash } of openings.rows)
    genesisOf.set(openedLane({ action, objectId }), hash);
  const known = await db.query<{ lane: number }>(selectLanesOfRows, [organizationId]);
  const stored = new Set(known.rows.map(({ lane }) => lane));
  const anchored = anchors.flatMap((anchor) =>
    anchor.organizationId === organizationId && anchor.chain === 'audit' ? [anchor.lane] : [],
  );
  const reports: ChainReport[] = [];
  for (const lane of [...new Set([0, ...genesisOf.keys(), ...stored, ...anchored])].sort((a = 0, b = 0) => a - b)) {
    if (lane === undefined) continue;
    const genesis = genesisOf.get(lane);
    const report = {
      organizationId,
      chain: 'audit',
      lane,
      head: { number: 0, hash: genesis ?? auditGenesisHash },
    } as const;
    if (genesis === undefined)
      reports.push({ ...report, fault: { number: undefined, id: undefined, reason: 'lane_was_not_opened' } });
    else if (lane > 0 && !stored.has(lane))
      reports.push({ ...report, fault: { number: undefined, id: undefined, reason: 'lane_is_gone' } });
    else reports.push(await verifyChain(auditLane(organizationId, lane, genesis), db, anchors));
  }
  return reports;
};

/** All chains of an organization. `db` must see all of its rows, as of one snapshot. */
export const verifyChains = async (
  db: Queryable,
  organizationId: string,
  anchors: readonly Anchor[],
): Promise<ChainReport[]> => [
  ...(await verifyLanes(db, organizationId, anchors)),
  await verifyChain(invoiceChain(organizationId), db, anchors),
  await verifyChain(creditNoteChain(organizationId), db, anchors),
];
