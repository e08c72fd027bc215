/** What taxes of drafts and previews go by, in the transaction of a request. */
import {
  type BilledRow,
  billedBeforeFromRows,
  billedBeforeStatement,
} from '../../invoicer/corrections/billed-before.ts';
import { type ChargedRow, chargedFromRows, chargedStatement } from '../../invoicer/taxes/charged-taxes.ts';
import type { TaxedInvoices, TaxFacts } from '../../invoicer/taxes/tax-facts.ts';
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
} from '../../invoicer/taxes/tax-rows.ts';
import type { Db } from '../route/define-route.ts';

/** Undefined where nothing has taxes. */
export const taxFacts = async (db: Db, invoices: TaxedInvoices): Promise<TaxFacts | undefined> => {
  const { customerIds, creditIds } = invoices;
  const terms = termsFromRows((await db.query<PolicyAndRateRow>(ratesStatement, [db.organizationId])).rows);
  const asked = [db.organizationId, creditIds];
  const charged = creditIds.length > 0 ? (await db.query<ChargedRow>(chargedStatement, asked)).rows : [];
  const billed = creditIds.length > 0 ? (await db.query<BilledRow>(billedBeforeStatement, asked)).rows : [];
  const before = { takenBack: chargedFromRows(charged), billedBefore: billedBeforeFromRows(billed) };
  if (hasNoTaxes(terms, before)) return undefined;
  const customers = await db.query<CustomerRow>(customersStatement, [db.organizationId, customerIds]);
  const categories = haveCategories(terms)
    ? (await db.query<CategoryRow>(categoriesStatement, categoryParameters(invoices))).rows
    : [];
  return factsFromRows(terms, before, { customers: customers.rows, categories });
};
