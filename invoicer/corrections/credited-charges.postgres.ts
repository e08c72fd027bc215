/** What credit notes gave back of what credits take back, as PostgreSQL has it: for the invoicer, and for previews. */
import type { Queryable } from '#platform/stores/postgres.ts';
import { type AskedCredits, type CreditedCharges, nothingCredited } from './credited-charges.ts';
import {
  type CreditedRow,
  chargedInvoices,
  creditedFromRows,
  creditedOfUnwritten,
  creditedStatement,
} from './credited-rows.ts';
import { creditParameters, type UnwrittenCredit } from './unwritten-credits.ts';

/** `unwritten` are credits that are not written down. */
export const creditedCharges = async (
  db: Queryable,
  { organizationId, creditIds }: AskedCredits,
  unwritten: readonly UnwrittenCredit[] = [],
): Promise<CreditedCharges> => {
  if (creditIds.length === 0 && unwritten.length === 0) return nothingCredited;
  const rowsOf = async (statement: string, values: unknown[]): Promise<readonly CreditedRow[]> =>
    (await db.query<CreditedRow>(statement, [organizationId, ...values])).rows;
  const written = creditIds.length > 0 ? await rowsOf(creditedStatement, [creditIds]) : [];
  const ahead = unwritten.length > 0 ? await rowsOf(creditedOfUnwritten, creditParameters(unwritten)) : [];
  return creditedFromRows([...written, ...ahead]);
};

/**
 * Nobody credits what the credits take back until the transaction ends: a credit note and a credit that come at one
 * moment would both see all of it as left.
 */
export const lockCharged = async (db: Queryable, { organizationId, creditIds }: AskedCredits): Promise<void> => {
  if (creditIds.length === 0) return;
  const lock = `SELECT 1 ${chargedInvoices} ORDER BY s.invoice_id FOR UPDATE OF s`;
  await db.query(lock, [organizationId, creditIds]);
};
