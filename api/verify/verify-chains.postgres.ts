/**
 * Verifies the chains of the audit log and of the invoices, link by link from the rows themselves, and names the first
 * row that is not what was written. Rows cut off at the end differ from the head beside them; a chain that was
 * rewritten with its head differs from an anchor (anchors.ts).
 */
import { type AuditRow, auditColumns, entryFromRow } from '#platform/audit/audit.ts';
import { auditFault, auditGenesisHash } from '#platform/audit/audit-entry.ts';
import type { Queryable } from '#platform/stores/postgres.ts';
import type { IssuedInvoice } from '#schemas/invoice.ts';
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

type Chain = {
  readonly name: ChainName;
  readonly genesis: string;
  /** The next links behind a position, in order. */
  readonly page: (db: Queryable, organizationId: string, after: bigint) => Promise<Link[]>;
  readonly head: string;
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
  WHERE organization_id = $1 AND sequence > $2 ORDER BY sequence LIMIT ${rowsMax}`;

const auditChain: Chain = {
  name: 'audit',
  genesis: auditGenesisHash,
  head: 'SELECT last_sequence AS number, head_hash AS hash FROM audit_heads WHERE organization_id = $1',
  page: async (db, organizationId, after) => {
    const { rows } = await db.query<Whole<AuditRow>>(selectEntries, [organizationId, after]);
    return rows.map((row) => ({
      position: row.sequence,
      id: row.id,
      hash: row.hash,
      faultAfter: ({ number, hash }) =>
        auditFault(entryFromRow(row), { sequence: number, hash }) ?? (row.whole_ms ? undefined : 'hash_differs'),
    }));
  },
};

const selectInvoices = `SELECT ${invoiceColumns}, ${wholeMs(['issued_at'])} AND coalesce(${wholeMs(['period_start', 'period_end'])}, true) AS whole_ms FROM invoices
  WHERE organization_id = $1 AND series_number > $2 ORDER BY series_number LIMIT ${invoicesMax}`;
const selectPeriods = selectPeriodsOfInvoices.replace(
  ' FROM',
  `, ${wholeMs(['span_start', 'span_end'])} AS whole_ms FROM`,
);
const selectLines = `SELECT ${invoiceLineColumns}, ${wholeMs(['period_start', 'period_end'])} AS whole_ms FROM invoice_lines
  WHERE invoice_id = ANY ($1) ORDER BY invoice_id, position`;

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

const invoiceChain: Chain = {
  name: 'invoices',
  genesis: genesisHash,
  head: 'SELECT last_number AS number, head_hash AS hash FROM invoice_series WHERE organization_id = $1',
  page: async (db, organizationId, after) => {
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
};

/**
 * The page behind is asked for while this one is hashed: the database and this process work side by side, and two pages
 * are all that is held.
 */
async function* pagesOf(chain: Chain, db: Queryable, organizationId: string): AsyncGenerator<Link[]> {
  const read = (after: bigint) => {
    const page = chain.page(db, organizationId, after);
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

const storedHead = async (chain: Chain, db: Queryable, organizationId: string): Promise<ChainHead> => {
  const { rows } = await db.query<{ number: bigint; hash: string }>(chain.head, [organizationId]);
  return { number: Number(rows[0]?.number ?? 0n), hash: rows[0]?.hash ?? chain.genesis };
};

const verifyChain = async (
  chain: Chain,
  db: Queryable,
  organizationId: string,
  anchors: readonly Anchor[],
): Promise<Pick<ChainReport, 'head' | 'fault'>> => {
  const own = anchors.filter((anchor) => anchor.organizationId === organizationId && anchor.chain === chain.name);
  const hashesAt = Map.groupBy(own, ({ number }) => number);
  const head = await storedHead(chain, db, organizationId);
  const faultBeside = ({ number, hash }: ChainHead): string | undefined => {
    if (number > head.number) return 'behind_the_head';
    if (number === head.number && hash !== head.hash) return 'head_differs';
    return hashesAt.get(number)?.some((anchor) => anchor.hash !== hash) ? 'anchor_differs' : undefined;
  };
  let last: ChainHead = { number: 0, hash: chain.genesis };
  for await (const links of pagesOf(chain, db, organizationId)) {
    for (const { position, id, hash, faultAfter } of links) {
      const link = { number: Number(position), hash };
      const reason = faultAfter(last) ?? faultBeside(link);
      if (reason !== undefined) return { head: last, fault: { number: link.number, id, reason } };
      last = link;
    }
  }
  const isCutOff = last.number < head.number || own.some(({ number }) => number > last.number);
  return { head: last, fault: isCutOff ? { number: last.number + 1, id: undefined, reason: 'cut_off' } : undefined };
};

/** Both chains of an organization. `db` must see all of its rows, as of one snapshot. */
export const verifyChains = async (
  db: Queryable,
  organizationId: string,
  anchors: readonly Anchor[],
): Promise<ChainReport[]> => {
  const reports: ChainReport[] = [];
  for (const chain of [auditChain, invoiceChain])
    reports.push({ organizationId, chain: chain.name, ...(await verifyChain(chain, db, organizationId, anchors)) });
  return reports;
};
