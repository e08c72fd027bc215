/** What credits take back some of, as PostgreSQL has it; asked where there are any. */
import type { Queryable } from '#platform/stores/postgres.ts';
import {
  type ChargedRow,
  type ChargesOfCredits,
  chargedFromRows,
  chargedOfUnwritten,
  chargedStatement,
} from './charged-lines.ts';
import type { AskedCredits } from './credited-charges.ts';
import { creditParameters, type UnwrittenCredit } from './unwritten-credits.ts';

/** `unwritten` are credits that are not written down. */
export const readCharged = async (
  db: Queryable,
  { organizationId, creditIds }: AskedCredits,
  unwritten: readonly UnwrittenCredit[],
): Promise<ChargesOfCredits> => {
  const rowsOf = async (statement: string, ...values: unknown[]) =>
    (await db.query<ChargedRow>(statement, [organizationId, ...values])).rows;
  const charged = creditIds.length > 0 ? await rowsOf(chargedStatement, creditIds) : [];
  const ahead = unwritten.length > 0 ? await rowsOf(chargedOfUnwritten, ...creditParameters(unwritten)) : [];
  return chargedFromRows([...charged, ...ahead]);
};
