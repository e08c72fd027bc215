/** What taxes of drafts and previews go by, in the transaction of a request. */
import type { TaxedInvoices, TaxFacts } from '../../invoicer/taxes/tax-facts.ts';
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
} from '../../invoicer/taxes/tax-rows.ts';
import type { Db } from '../route/define-route.ts';

/** Undefined where the organization has no tax rates. */
export const taxFacts = async (db: Db, invoices: TaxedInvoices): Promise<TaxFacts | undefined> => {
  const { rows: rates } = await db.query<RateRow>(ratesStatement, [db.organizationId]);
  if (rates.length === 0) return undefined;
  const customers = await db.query<CustomerRow>(customersStatement, [db.organizationId, invoices.customerIds]);
  const categories = haveCategories(rates)
    ? (await db.query<CategoryRow>(categoriesStatement, categoryParameters(invoices))).rows
    : [];
  const policies = await db.query<PolicyRow>(policyStatement, [db.organizationId]);
  return factsFromRows({ rates, customers: customers.rows, categories, policies: policies.rows });
};
