/** What taxes of invoices go by, as PostgreSQL has it in clear. */
import type { Queryable } from '#platform/stores/postgres.ts';
import { type BilledRow, billedBeforeFromRows, billedBeforeStatement } from '../corrections/billed-before.ts';
import { type ChargedRow, chargedFromRows, chargedStatement } from './charged-taxes.ts';
import type { TaxedInvoices, TaxFacts } from './tax-facts.ts';
import {
  type CategoryRow,
  type CustomerRow,
  categoriesStatement,
  categoryParameters,
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
 * another one does where there are credits or deltas.
 */
export const createTaxFacts =
  (postgres: Queryable) =>
  async (invoices: TaxedInvoices): Promise<TaxFacts | undefined> => {
    const { organizationId, customerIds, creditIds } = invoices;
    const asked = [organizationId, creditIds];
    const [found, charged, billed] = await Promise.all([
      postgres.query<PolicyAndRateRow>(ratesStatement, [organizationId]),
      creditIds.length > 0 ? postgres.query<ChargedRow>(chargedStatement, asked) : { rows: [] },
      creditIds.length > 0 ? postgres.query<BilledRow>(billedBeforeStatement, asked) : { rows: [] },
    ]);
    const terms = termsFromRows(found.rows);
    const before = { takenBack: chargedFromRows(charged.rows), billedBefore: billedBeforeFromRows(billed.rows) };
    if (hasNoTaxes(terms, before)) return undefined;
    const [customers, categories] = await Promise.all([
      postgres.query<CustomerRow>(customersStatement, [organizationId, customerIds]),
      haveCategories(terms)
        ? postgres.query<CategoryRow>(categoriesStatement, categoryParameters(invoices))
        : { rows: [] },
    ]);
    return factsFromRows(terms, before, { customers: customers.rows, categories: categories.rows });
  };
