/** What taxes of invoices go by, as PostgreSQL has it in clear: for the invoicer, and for the API of drafts. */
import type { Queryable } from '#platform/stores/postgres.ts';
import { type BilledRow, billedBeforeFromRows, billedBeforeStatement } from '../corrections/billed-before.ts';
import { readCharged } from '../corrections/charged-lines.postgres.ts';
import type { UnwrittenCredit } from '../corrections/unwritten-credits.ts';
import type { TaxedInvoices, TaxFacts } from './tax-facts.ts';
import {
  type CategoryRow,
  type CustomerRow,
  categoriesFromRows,
  categoriesStatement,
  categoryParameters,
  chargedTaxesOf,
  customersStatement,
  factsFromRows,
  hasNoTaxes,
  haveCategories,
  type PolicyAndRateRow,
  ratesStatement,
  termsFromRows,
} from './tax-rows.ts';

/**
 * Undefined where the organization has no taxes, which one look tells, and no credit takes back what was taxed, which
 * others do where there are credits or deltas. `unwritten` are credits that are not written down.
 */
export const taxFacts = async (
  db: Queryable,
  invoices: TaxedInvoices,
  unwritten: readonly UnwrittenCredit[] = [],
): Promise<TaxFacts | undefined> => {
  const { organizationId, customerIds, creditIds } = invoices;
  const found = await db.query<PolicyAndRateRow>(ratesStatement, [organizationId]);
  const charged = await readCharged(db, invoices, unwritten);
  const billed =
    creditIds.length > 0 ? (await db.query<BilledRow>(billedBeforeStatement, [organizationId, creditIds])).rows : [];
  const terms = termsFromRows(found.rows);
  const before = { takenBack: chargedTaxesOf(charged), billedBefore: billedBeforeFromRows(billed) };
  if (hasNoTaxes(terms, before)) return undefined;
  const customers = await db.query<CustomerRow>(customersStatement, [organizationId, customerIds]);
  const categories = haveCategories(terms)
    ? (await db.query<CategoryRow>(categoriesStatement, categoryParameters(invoices))).rows
    : [];
  return factsFromRows(terms, before, { customers: customers.rows, categories });
};

/** Of the charges of invoices, whatever rates there are: another rate may ask for them later. */
export const chargeCategories = async (
  db: Queryable,
  invoices: Pick<TaxedInvoices, 'organizationId' | 'planVersionIds' | 'billingPeriodIds'>,
): Promise<TaxFacts['categories']> =>
  categoriesFromRows((await db.query<CategoryRow>(categoriesStatement, categoryParameters(invoices))).rows);
