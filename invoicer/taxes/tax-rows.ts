/**
 * How what taxes go by is asked for, and its rows: by the invoicer, and by the API, which imports no adapter of the
 * invoicer. Pure.
 */
import assert from 'node:assert/strict';
import type { InvoiceTax } from '#schemas/invoice.ts';
import type { PolicyRounding } from '#schemas/rated-line.ts';
import {
  type AppliedTax,
  type CustomerTaxTreatment,
  parsePercentage,
  type TaxCalculation,
  type TaxRate,
  type TaxRounding,
} from '#schemas/tax-rate.ts';
import type { ChargesOfCredits } from '../corrections/charged-lines.ts';
import type { TaxedCustomer } from './resolve-taxes.ts';
import { type ChargedTaxes, chargeKey, type TaxedInvoices, type TaxFacts } from './tax-facts.ts';

export type RateRow = {
  id: string;
  code: string;
  name: string;
  percentage: string;
  inclusive: boolean;
  country: string | null;
  state: string | null;
  tax_category: string | null;
  valid_from: Date | null;
  valid_until: Date | null;
};

export const rateFromRow = (row: RateRow): TaxRate => {
  const percentage = parsePercentage(row.percentage);
  assert(percentage !== undefined, `a stored percentage can't be read: ${row.percentage}`);
  return {
    id: row.id,
    code: row.code,
    name: row.name,
    percentage,
    inclusive: row.inclusive,
    country: row.country,
    state: row.state,
    taxCategory: row.tax_category,
    validFrom: row.valid_from?.getTime() ?? null,
    validUntil: row.valid_until?.getTime() ?? null,
  };
};

// An organization without rates has one row, all of its rate null.
export const ratesStatement = `
  SELECT o.rounding, o.tax_rounding, o.tax_calculation, r.id, r.code, r.name,
    trim_scale(r.percentage)::text AS percentage, r.inclusive, r.country, r.state, r.tax_category, r.valid_from,
    r.valid_until
  FROM organizations o LEFT JOIN tax_rates r ON r.organization_id = o.id AND r.archived_at IS NULL
  WHERE o.id = $1 ORDER BY r.code`;

type PolicyRow = { rounding: PolicyRounding; tax_rounding: TaxRounding; tax_calculation: TaxCalculation };
/** Of `ratesStatement`. */
export type PolicyAndRateRow = PolicyRow & (RateRow | { id: null });

/** The policy of the organization, and its rates. */
export type TaxTerms = { readonly policy: PolicyRow; readonly rates: readonly RateRow[] };

export const termsFromRows = (rows: readonly PolicyAndRateRow[]): TaxTerms => {
  const [policy] = rows;
  assert(policy, 'an organization has its row');
  return { policy, rates: rows.filter((row): row is PolicyRow & RateRow => row.id !== null) };
};

/** What was charged before of what is on an invoice. */
export type ChargedBefore = Pick<TaxFacts, 'takenBack' | 'billedBefore'>;

const appliedOf = ({ taxRateId, code, name, percentage: text, isInclusive: inclusive, treatment }: InvoiceTax) => {
  const percentage = parsePercentage(text);
  assert(percentage !== undefined, `a stored percentage can't be read: ${text}`);
  return { taxRateId, code, name, percentage, inclusive, treatment } satisfies AppliedTax;
};

/** Of those that are on an issued invoice, by the billing period of the credit. */
export const chargedTaxesOf = (charged: ChargesOfCredits): TaxFacts['takenBack'] =>
  new Map(
    [...charged].flatMap(([creditId, { lines }]): [string, ChargedTaxes][] => {
      if (lines === undefined) return [];
      const taxed = [...lines].filter(([, { taxes }]) => taxes.length > 0);
      return [[creditId, new Map(taxed.map(([code, { taxes }]) => [code, taxes.map(appliedOf)]))]];
    }),
  );

/** Whether nothing has taxes: there are no rates, and nothing is given back that was taxed. */
export const hasNoTaxes = ({ policy, rates }: TaxTerms, { takenBack, billedBefore }: ChargedBefore): boolean =>
  policy.tax_calculation === 'rates' &&
  rates.length === 0 &&
  ![...takenBack.values()].some(({ size }) => size > 0) &&
  ![...billedBefore.values()].some(({ lines }) => lines.some(({ taxes }) => taxes.length > 0));

export type CustomerRow = {
  id: string;
  tax_country: string | null;
  tax_state: string | null;
  tax_id_countries: string[];
  tax_treatment: CustomerTaxTreatment;
  tax_exemption_reason: string | null;
  tax_rate_ids: string[];
};

export const customersStatement = `
  SELECT id, tax_country, tax_state, tax_id_countries, tax_treatment, tax_exemption_reason,
    tax_rate_ids
  FROM customers WHERE organization_id = $1 AND id = ANY ($2)`;

const customerFromRow = (row: CustomerRow): TaxedCustomer => ({
  country: row.tax_country,
  state: row.tax_state,
  taxIdCountries: row.tax_id_countries,
  treatment: row.tax_treatment,
  exemptionReason: row.tax_exemption_reason,
  taxRateIds: row.tax_rate_ids,
});

// What is charged once has its id in the place of a code.
export const categoriesStatement = `SELECT v.id, c ->> 'code' AS code, c ->> 'tax_category' AS category
  FROM plan_versions v CROSS JOIN json_array_elements(v.charges) AS c
  WHERE v.organization_id = $1 AND v.id = ANY ($2) AND c ->> 'tax_category' IS NOT NULL
  UNION ALL
  SELECT p.plan_version_id, h.id, h.tax_category FROM billing_periods p
    JOIN one_time_charges h ON h.id = p.item
  WHERE p.organization_id = $1 AND p.id = ANY ($3) AND p.timing = 'once' AND h.tax_category IS NOT NULL
  UNION ALL
  SELECT n.version, h.id, h.tax_category FROM unnest($4::text[], $5::text[]) AS n (version, id)
    JOIN one_time_charges h ON h.id = n.id
  WHERE h.organization_id = $1 AND h.tax_category IS NOT NULL`;

export type CategoryRow = { id: string; code: string; category: string };

/** By `chargeKey`. */
export const categoriesFromRows = (rows: readonly CategoryRow[]): TaxFacts['categories'] =>
  new Map(rows.map(({ id, code, category }) => [chargeKey(id, code), category]));

/** As `categoriesStatement` takes them. */
export const categoryParameters = (
  invoices: Pick<TaxedInvoices, 'organizationId' | 'planVersionIds' | 'billingPeriodIds' | 'oneTimeCharges'>,
): unknown[] => {
  const { organizationId, planVersionIds, billingPeriodIds, oneTimeCharges: once = [] } = invoices;
  return [
    organizationId,
    planVersionIds,
    billingPeriodIds,
    once.map(({ planVersionId }) => planVersionId),
    once.map(({ id }) => id),
  ];
};

/** Whether charges are asked for their categories. */
export const haveCategories = ({ policy, rates }: TaxTerms): boolean =>
  policy.tax_calculation === 'engine' || rates.some(({ tax_category: category }) => category !== null);

export const factsFromRows = (
  { policy, rates }: TaxTerms,
  charged: ChargedBefore,
  rows: { readonly customers: readonly CustomerRow[]; readonly categories: readonly CategoryRow[] },
): TaxFacts => ({
  calculation: policy.tax_calculation,
  rates: rates.map(rateFromRow),
  customers: new Map(rows.customers.map((row) => [row.id, customerFromRow(row)])),
  categories: categoriesFromRows(rows.categories),
  ...charged,
  policy: { rounding: policy.rounding, taxRounding: policy.tax_rounding },
});
