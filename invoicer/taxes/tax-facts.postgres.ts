/** What taxes of invoices go by, as PostgreSQL has it in clear. */
import assert from 'node:assert/strict';
import type { Queryable } from '#platform/stores/postgres.ts';
import type { PolicyRounding } from '#schemas/rated-line.ts';
import {
  type CustomerTaxTreatment,
  parsePercentage,
  type TaxCalculation,
  type TaxRate,
  type TaxRounding,
} from '#schemas/tax-rate.ts';
import { chargedTaxes } from './charged-taxes.postgres.ts';
import type { TaxedCustomer } from './resolve-taxes.ts';
import { chargeKey, type TaxedInvoices, type TaxFacts } from './tax-facts.ts';

type RateRow = {
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

const rateFromRow = (row: RateRow): TaxRate => {
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
const ratesStatement = `SELECT o.rounding, o.tax_rounding, o.tax_calculation, r.id, r.code, r.name,
    trim_scale(r.percentage)::text AS percentage, r.inclusive, r.country, r.state, r.tax_category, r.valid_from,
    r.valid_until
  FROM organizations o LEFT JOIN tax_rates r ON r.organization_id = o.id AND r.archived_at IS NULL
  WHERE o.id = $1 ORDER BY r.code`;

type PolicyRow = { rounding: PolicyRounding; tax_rounding: TaxRounding; tax_calculation: TaxCalculation };

type CustomerRow = {
  id: string;
  tax_country: string | null;
  tax_state: string | null;
  tax_id_countries: string[];
  tax_treatment: CustomerTaxTreatment;
  tax_exemption_reason: string | null;
  tax_rate_ids: string[];
};

const customersStatement = `SELECT id, tax_country, tax_state, tax_id_countries, tax_treatment, tax_exemption_reason,
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
const categoriesStatement = `SELECT v.id, c ->> 'code' AS code, c ->> 'tax_category' AS category
  FROM plan_versions v CROSS JOIN json_array_elements(v.charges) AS c
  WHERE v.organization_id = $1 AND v.id = ANY ($2) AND c ->> 'tax_category' IS NOT NULL
  UNION ALL
  SELECT p.plan_version_id, h.id, h.tax_category FROM billing_periods p
    JOIN one_time_charges h ON h.id = p.item
  WHERE p.organization_id = $1 AND p.id = ANY ($3) AND p.timing = 'once' AND h.tax_category IS NOT NULL`;

type CategoryRow = { id: string; code: string; category: string };

/**
 * Undefined where the organization has no taxes, which one look tells, and no credit takes back what was taxed, which
 * another one does where there are credits.
 */
export const createTaxFacts =
  (postgres: Queryable) =>
  async ({ organizationId, customerIds, ...billed }: TaxedInvoices): Promise<TaxFacts | undefined> => {
    const [found, takenBack] = await Promise.all([
      postgres.query<PolicyRow & (RateRow | { id: null })>(ratesStatement, [organizationId]),
      chargedTaxes(postgres, organizationId, billed.creditIds),
    ]);
    const [policy] = found.rows;
    assert(policy, 'an organization has its row');
    const rows = found.rows.filter((row): row is PolicyRow & RateRow => row.id !== null);
    const calculation = policy.tax_calculation;
    const isTakenBack = [...takenBack.values()].some(({ size }) => size > 0);
    if (calculation === 'rates' && rows.length === 0 && !isTakenBack) return undefined;
    const hasCategories = calculation === 'engine' || rows.some(({ tax_category: category }) => category !== null);
    const [customers, categories] = await Promise.all([
      postgres.query<CustomerRow>(customersStatement, [organizationId, customerIds]),
      hasCategories
        ? postgres.query<CategoryRow>(categoriesStatement, [
            organizationId,
            billed.planVersionIds,
            billed.billingPeriodIds,
          ])
        : { rows: [] },
    ]);
    return {
      calculation,
      rates: rows.map(rateFromRow),
      customers: new Map(customers.rows.map((row) => [row.id, customerFromRow(row)])),
      categories: new Map(categories.rows.map(({ id, code, category }) => [chargeKey(id, code), category])),
      takenBack,
      policy: { rounding: policy.rounding, taxRounding: policy.tax_rounding },
    };
  };
