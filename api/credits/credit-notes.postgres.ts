/** Reads credit notes. What issues them is `invoicer/credits/credit-notes.postgres.ts`. */
import { type CreditNote, CreditReason } from '#schemas/credit-note.ts';
import {
  type CreditNoteLineRow,
  type CreditNoteRow,
  creditNoteColumns,
  creditNoteFromRows,
  creditNoteLineColumns,
  creditNoteLineTables,
  creditNoteTables,
} from '../../invoicer/credits/credit-note-rows.ts';
import type { Db } from '../route/define-route.ts';
import { listRows } from '../route/list-rows.postgres.ts';
import { customerFilter, defineList, type ListPage } from '../route/lists.ts';
import type { ShownCreditNote } from './credit-note-json.ts';

/** What its document is written by. */
export type StoredCreditNote = ShownCreditNote & { readonly language: string | null; readonly timeZone: string };

type Row = CreditNoteRow & {
  metadata: Record<string, string>;
  delta_id: string | null;
  language: string | null;
  time_zone: string;
};

const columns = `${creditNoteColumns}, n.metadata, n.delta_id, n.language, n.time_zone`;

const fromRow = (row: Row, lines: readonly CreditNoteLineRow[]): StoredCreditNote => ({
  note: creditNoteFromRows(row, lines),
  metadata: row.metadata,
  deltaId: row.delta_id,
  language: row.language,
  timeZone: row.time_zone,
});

const creditNotes = {
  columns,
  from: creditNoteTables,
  countFrom: 'credit_notes n',
  id: 'n.id',
  organization: 'n.organization_id',
  sorts: {
    created_at: { column: 'n.issued_at', type: 'timestamptz' },
    number: { column: 'n.series_number', type: 'bigint' },
  },
  times: { created_at: 'n.issued_at' },
} as const;
const reason = { column: 'n.reason', choices: Object.values(CreditReason) };

const creditNoteList = defineList({
  ...creditNotes,
  name: 'credit-notes',
  filters: { customer_id: customerFilter('n.customer_id'), invoice_id: { column: 'n.invoice_id' }, reason },
});
const invoiceCreditNoteList = defineList({ ...creditNotes, name: 'invoice-credit-notes', filters: { reason } });

const listed = async (db: Db, list: typeof creditNoteList, page: ListPage) => {
  const { rows, ...rest } = await listRows<Row>(db, list, db.organizationId, page);
  return { ...rest, rows: rows.map((row): ShownCreditNote => fromRow(row, [])) };
};

/** Where a credit note stands in the chain: what its neighbours say of it. */
export type ChainNeighbours = {
  /** The hash of the one before; undefined of the first. */
  readonly before: string | undefined;
  /** What the next one has as the hash before it, or the head of the chain has. */
  readonly after: string | undefined;
};

export const creditNoteReader = {
  creditNoteList,
  invoiceCreditNoteList,
  creditNote: async (db: Db, id: string): Promise<StoredCreditNote | undefined> => {
    const { rows } = await db.query<Row>(
      `SELECT ${columns} FROM ${creditNoteTables} WHERE n.organization_id = $1 AND n.id = $2`,
      [db.organizationId, id],
    );
    const [row] = rows;
    if (!row) return undefined;
    const lines = await db.query<CreditNoteLineRow>(
      `SELECT ${creditNoteLineColumns} FROM ${creditNoteLineTables}
       WHERE l.credit_note_id = $1 ORDER BY l.position`,
      [id],
    );
    return fromRow(row, lines.rows);
  },
  /** Without lines: a list shows heads. */
  creditNotes: (db: Db, page: ListPage) => listed(db, creditNoteList, page),
  invoiceCreditNotes: (db: Db, invoiceId: string, page: ListPage) =>
    listed(db, invoiceCreditNoteList, {
      ...page,
      conditions: [
        ...page.conditions,
        { name: 'invoice_id', value: invoiceId, text: invoiceId, test: (id) => `n.invoice_id = ${id}` },
      ],
    }),
  neighbours: async (db: Db, { number }: CreditNote): Promise<ChainNeighbours> => {
    const { rows } = await db.query<{ before: string | null; after: string | null }>(
      `SELECT (SELECT hash FROM credit_notes WHERE organization_id = $1 AND series_number = $2 - 1) AS before,
         coalesce((SELECT previous_hash FROM credit_notes WHERE organization_id = $1 AND series_number = $2 + 1),
           (SELECT head_hash FROM credit_note_series WHERE organization_id = $1 AND last_number = $2)) AS after`,
      [db.organizationId, number],
    );
    return { before: rows[0]?.before ?? undefined, after: rows[0]?.after ?? undefined };
  },
};

export type CreditNoteReader = typeof creditNoteReader;
