/** What taxes of invoices go by, as PostgreSQL has it in clear. */
import type { Queryable } from '#platform/stores/postgres.ts';
import type { TaxedInvoices, TaxFacts } from './tax-facts.ts';
import {
  type CategoryRow,
  type CustomerRow,
  categoriesStatement,
  categoryParameters,
  customersStatement,
  factsFromRows,
  haveCategories,
  type PolicyRow,
  policyStatement,
  type RateRow,
  ratesStatement,
} from './tax-rows.ts';

/** Undefined where the organization has no tax rates, which one look tells. */
export const createTaxFacts =
  (postgres: Queryable) =>
  async (invoices: TaxedInvoices): Promise<TaxFacts | undefined> => {
    const { organizationId, customerIds } = invoices;
    const { rows: rates } = await postgres.query<RateRow>(ratesStatement, [organizationId]);
    if (rates.length === 0) return undefined;
    const [customers, categories, policies] = await Promise.all([
      postgres.query<CustomerRow>(customersStatement, [organizationId, customerIds]),
      haveCategories(rates)
        ? postgres.query<CategoryRow>(categoriesStatement, categoryParameters(invoices))
        : { rows: [] },
      postgres.query<PolicyRow>(policyStatement, [organizationId]),
    ]);
    return factsFromRows({ rates, customers: customers.rows, categories: categories.rows, policies: policies.rows });
  };
