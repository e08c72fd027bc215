/** The states of issued invoices as rows. */
import type { Currency } from '#schemas/currency.ts';
import type { InvoiceState } from '#schemas/invoice.ts';
import { type Amount, formatAmount, parseStoredAmount } from '#schemas/money.ts';
import type { Instant } from '#schemas/period.ts';
import type { Db } from '../route/define-route.ts';

/** What happens to an invoice after its issue. */
export type IssuedState = {
  readonly state: Exclude<InvoiceState, 'draft'>;
  readonly currency: Currency;
  readonly total: Amount;
  /** By credit notes. */
  readonly amountCredited: Amount;
  readonly amountPaid: Amount;
  /** What is left of the total; not below zero. */
  readonly amountDue: Amount;
  /** The voided invoice that it takes the place of. */
  readonly reissueOf: string | null;
  readonly metadata: Readonly<Record<string, string>>;
  readonly version: number;
  readonly updatedAt: Instant;
};

type StateRow = {
  invoice_id: string;
  state: IssuedState['state'];
  currency: Currency;
  total: string;
  amount_credited: string;
  amount_paid: string;
  amount_due: string;
  reissue_of: string | null;
  metadata: Record<string, string>;
  version: number;
  updated_at: Date;
};

const stateColumns = `invoice_id, state, currency, total::text, amount_credited::text, amount_paid::text,
  amount_due::text, metadata,
  (SELECT d.reissue_of FROM invoice_drafts d WHERE d.id = invoice_id) AS reissue_of, version, updated_at`;

const fromRow = (row: StateRow): IssuedState => {
  const read = (text: string): Amount => {
    const amount = parseStoredAmount(text);
    if (amount === undefined) throw new TypeError(`the state of ${row.invoice_id} can't be read: ${text}`);
    return amount;
  };
  return {
    state: row.state,
    currency: row.currency,
    total: read(row.total),
    amountCredited: read(row.amount_credited),
    amountPaid: read(row.amount_paid),
    amountDue: read(row.amount_due),
    reissueOf: row.reissue_of,
    metadata: row.metadata,
    version: row.version,
    updatedAt: row.updated_at.getTime(),
  };
};

export const invoiceStates = {
  /** By invoice. */
  statesOf: async (db: Db, invoiceIds: readonly string[]): Promise<ReadonlyMap<string, IssuedState>> => {
    if (invoiceIds.length === 0) return new Map();
    const { rows } = await db.query<StateRow>(
      `SELECT ${stateColumns} FROM invoice_states WHERE organization_id = $1 AND invoice_id = ANY ($2)`,
      [db.organizationId, invoiceIds],
    );
    return new Map(rows.map((row) => [row.invoice_id, fromRow(row)]));
  },
  /** Until the transaction ends; undefined of what is not issued. */
  lockState: async (db: Db, invoiceId: string): Promise<IssuedState | undefined> => {
    const { rows } = await db.query<StateRow>(
      `SELECT ${stateColumns} FROM invoice_states WHERE organization_id = $1 AND invoice_id = $2 FOR UPDATE`,
      [db.organizationId, invoiceId],
    );
    return rows[0] && fromRow(rows[0]);
  },
  /** Of one that is locked. */
  changeState: async (
    db: Db,
    invoiceId: string,
    { state, amountPaid, metadata }: Pick<IssuedState, 'state' | 'amountPaid' | 'metadata'>,
    now: Date,
  ): Promise<IssuedState> => {
    const { rows } = await db.query<StateRow>(
      `UPDATE invoice_states SET state = $3, amount_paid = $4, metadata = $5, version = version + 1, updated_at = $6
       WHERE organization_id = $1 AND invoice_id = $2 RETURNING ${stateColumns}`,
      [db.organizationId, invoiceId, state, formatAmount(amountPaid), metadata, now],
    );
    return fromRow(rows[0] as StateRow);
  },
};

export type InvoiceStates = typeof invoiceStates;
