/** What invoices of a customer say beside their lines, as they would be issued now: by the invoicer's own rules. */
import type { InvoiceTerms } from '#schemas/invoice.ts';
import { type PayerTermsRow, payerColumns, payerTables, termsFromRow } from '../../invoicer/invoices/invoice-groups.ts';
import { entitiesOf } from '../../invoicer/invoices/issuing-entities.postgres.ts';
import type { Db } from '../route/define-route.ts';

const termsStatement = `SELECT c.id AS payer_id, ${payerColumns} FROM ${payerTables}
  WHERE c.organization_id = $1 AND c.id = ANY ($2)`;

/** By customer. */
export const payerTerms = async (
  db: Db,
  customerIds: readonly string[],
): Promise<ReadonlyMap<string, InvoiceTerms>> => {
  if (customerIds.length === 0) return new Map();
  const { rows } = await db.query<PayerTermsRow & { payer_id: string }>(termsStatement, [
    db.organizationId,
    [...new Set(customerIds)],
  ]);
  const entities = await entitiesOf(db, rows);
  return new Map(rows.map((row) => [row.payer_id, termsFromRow(row, entities)]));
};

export type PayerTerms = typeof payerTerms;
