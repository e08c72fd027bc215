/** What taxes of invoices go by, as PostgreSQL has it in clear. */
import type { Queryable } from '#platform/stores/postgres.ts';
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
 * another one does where there are credits.
 */
export const createTaxFacts =
  (postgres: Queryable) =>
  async (invoices: TaxedInvoices): Promise<TaxFacts | undefined> => {
    const { organizationId, customerIds, creditIds } = invoices;
    const [found, charged] = await Promise.all([
      postgres.query<PolicyAndRateRow>(ratesStatement, [organizationId]),
      creditIds.length > 0 ? postgres.query<ChargedRow>(chargedStatement, [organizationId, creditIds]) : { rows: [] },
    ]);
    const terms = termsFromRows(found.rows);
    const takenBack = chargedFromRows(charged.rows);
    if (hasNoTaxes(terms, takenBack)) return undefined;
    const [customers, categories] = await Promise.all([
      postgres.query<CustomerRow>(customersStatement, [organizationId, customerIds]),
      haveCategories(terms)
        ? postgres.query<CategoryRow>(categoriesStatement, categoryParameters(invoices))
        : { rows: [] },
    ]);
    return factsFromRows(terms, takenBack, { customers: customers.rows, categories: categories.rows });
  };
