/** What invoices of a customer say beside their lines, as they would be issued now: by the invoicer's own rules. */
import type { InvoiceTerms } from '#schemas/invoice.ts';
import { type IssuingEntityRow, issuingEntityColumns, issuingEntityFromRow } from '#schemas/issuing-entity.ts';
import { type PayerTermsRow, payerColumns, payerTables, termsFromRow } from '../../invoicer/invoices/invoice-groups.ts';
import type { Db } from '../route/define-route.ts';

const termsStatement = `SELECT c.id AS payer_id, ${payerColumns} FROM ${payerTables}
  WHERE c.organization_id = $1 AND c.id = ANY ($2)`;

const entitiesStatement = `SELECT ${issuingEntityColumns} FROM issuing_entities WHERE id = ANY ($1)`;

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
  const ids = [...new Set(rows.flatMap(({ issuing_entity_id: id }) => id ?? []))];
  const found = ids.length === 0 ? [] : (await db.query<IssuingEntityRow>(entitiesStatement, [ids])).rows;
  const entities = new Map(found.map((row) => [row.id, issuingEntityFromRow(row)]));
  return new Map(rows.map((row) => [row.payer_id, termsFromRow(row, entities)]));
};

export type PayerTerms = typeof payerTerms;
