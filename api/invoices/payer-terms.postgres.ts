/** What invoices of a customer say beside their lines, as they would be issued now: by the invoicer's own rules. */
import type { InvoiceTerms } from '#schemas/invoice.ts';
import { type IssuingEntityRow, issuingEntityColumns, issuingEntityFromRow } from '#schemas/issuing-entity.ts';
import { type Amount, amountFromStored, zeroAmount } from '#schemas/money.ts';
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

type MinimumsRow = { id: string; minimums: Readonly<Record<string, string>> };

/** By payer and currency: below what no invoice is issued. The customer's own amount of a currency goes first. */
export const minimumAmounts = async (
  db: Db,
  customerIds: readonly string[],
): Promise<(customerId: string, currency: string) => Amount | undefined> => {
  const { rows } = await db.query<MinimumsRow>(
    `SELECT c.id, coalesce(o.minimum_invoice_amounts, '{}') || coalesce(c.minimum_invoice_amounts, '{}')
       AS minimums
     FROM ${payerTables} WHERE c.organization_id = $1 AND c.id = ANY ($2)`,
    [db.organizationId, [...new Set(customerIds)]],
  );
  const minimums = new Map(rows.map((row) => [row.id, row.minimums]));
  return (customerId, currency) => {
    const text = minimums.get(customerId)?.[currency];
    const amount = text === undefined ? zeroAmount : amountFromStored(text);
    return amount === zeroAmount ? undefined : amount;
  };
};

export type PayerTerms = typeof payerTerms;
