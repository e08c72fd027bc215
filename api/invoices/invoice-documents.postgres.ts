/**
 * Documents of invoices as rows of PostgreSQL: jobs first, and sealed by the key of their customer once they are made.
 */
import { hash } from 'node:crypto';
import type { Place, Vault } from '#platform/secrets/vault.ts';
import type { Postgres } from '#platform/stores/postgres.ts';
import type { Customer } from '../customers/customers.postgres.ts';
import type { Db } from '../route/define-route.ts';

export type DocumentJob = { readonly organizationId: string; readonly invoiceId: string; readonly attempt: number };

/** What was noted of the customer when the invoice was issued, and the document where it is made. */
export type StoredDocument = {
  readonly language: string | null;
  readonly timeZone: string;
  readonly sealed: Buffer | null;
  readonly digest: string | null;
};

type Row = { language: string | null; time_zone: string; sealed: Buffer | null; digest: string | null };

/** From then on nobody tries it but who asks for it. */
const attemptsMax = 5;
const pauseSeconds = 60;

const placeOf = (organizationId: string, invoiceId: string, { id, ownKey }: Customer): Place => ({
  organizationId,
  table: 'invoice_documents',
  column: 'sealed',
  row: invoiceId,
  key: { kind: 'customer', customerId: id, own: ownKey },
});

export const createInvoiceDocuments = (vault: Vault) => ({
  stored: async (db: Db, invoiceId: string): Promise<StoredDocument | undefined> => {
    const { rows } = await db.query<Row>(
      `SELECT language, time_zone, sealed, digest FROM invoice_documents
       WHERE organization_id = $1 AND invoice_id = $2`,
      [db.organizationId, invoiceId],
    );
    return rows.map(({ time_zone: timeZone, ...row }) => ({ ...row, timeZone }))[0];
  },
  opened: async (db: Db, invoiceId: string, customer: Customer, { sealed, digest }: StoredDocument) => {
    if (sealed === null) return undefined;
    const pdf = await vault.open(db, placeOf(db.organizationId, invoiceId, customer), sealed);
    if (hash('sha256', pdf, 'hex') !== digest) throw new Error(`the document of ${invoiceId} is not what was made`);
    return pdf;
  },
  /** Of one that somebody made meanwhile, theirs stays. A customer without a key keeps nothing. */
  save: async (
    db: Db,
    invoiceId: string,
    customer: Customer,
    { language, timeZone }: Pick<StoredDocument, 'language' | 'timeZone'>,
    pdf: Buffer,
    now: Date,
  ): Promise<void> => {
    if (customer.ownKey === undefined) return;
    const sealed = await vault.seal(db, placeOf(db.organizationId, invoiceId, customer), pdf);
    // Of an erasure at the same moment, this is before it, and deleted by it, or after it, and writes nothing.
    await db.query(
      `WITH c AS (
         SELECT id FROM customers WHERE organization_id = $1 AND id = $3 AND erased_at IS NULL FOR SHARE
       )
       INSERT INTO invoice_documents AS d
         (organization_id, invoice_id, customer_id, state, language, time_zone, sealed, digest, made_at)
       SELECT $1, $2, c.id, 'made', $4, $5, $6, $7, $8 FROM c
       ON CONFLICT (organization_id, invoice_id) DO UPDATE
       SET state = 'made', sealed = excluded.sealed, digest = excluded.digest, made_at = excluded.made_at,
         leased_until = NULL, failure = NULL
       WHERE d.state <> 'made'`,
      [db.organizationId, invoiceId, customer.id, language, timeZone, sealed, hash('sha256', pdf, 'hex'), now],
    );
  },
  /** Of an invoice whose document is kept by nobody. */
  forget: async (db: Db, invoiceId: string): Promise<void> => {
    await db.query("DELETE FROM invoice_documents WHERE organization_id = $1 AND invoice_id = $2 AND state <> 'made'", [
      db.organizationId,
      invoiceId,
    ]);
  },
  fail: async (db: Db, { invoiceId, attempt }: DocumentJob, failure: string): Promise<void> => {
    await db.query(
      `UPDATE invoice_documents SET state = CASE WHEN attempts >= ${attemptsMax} THEN 'failed' ELSE state END,
         failure = $4, leased_until = clock_timestamp() + make_interval(secs => ${pauseSeconds})
       WHERE organization_id = $1 AND invoice_id = $2 AND attempts = $3 AND state = 'queued'`,
      [db.organizationId, invoiceId, attempt, failure],
    );
  },
});

export type InvoiceDocuments = ReturnType<typeof createInvoiceDocuments>;

export const leaseDocument = async (
  postgres: Pick<Postgres, 'query'>,
  leaseSeconds: number,
): Promise<DocumentJob | undefined> => {
  const { rows } = await postgres.query<{ organization_id: string; invoice_id: string; attempts: number }>(
    'SELECT organization_id, invoice_id, attempts FROM lease_invoice_document($1)',
    [leaseSeconds],
  );
  const [row] = rows;
  return row && { organizationId: row.organization_id, invoiceId: row.invoice_id, attempt: row.attempts };
};
