/** What taxes of invoices go by, as PostgreSQL has it in clear. */
import assert from 'node:assert/strict';
import type { Queryable } from '#platform/stores/postgres.ts';
import type { PolicyRounding } from '#schemas/rated-line.ts';
import { type CustomerTaxTreatment, parsePercentage, type TaxRate, type TaxRounding } from '#schemas/tax-rate.ts';
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

const ratesStatement = `SELECT id, code, name, trim_scale(percentage)::text AS percentage, inclusive, country, state,
    tax_category, valid_from, valid_until
  FROM tax_rates WHERE organization_id = $1 AND archived_at IS NULL ORDER BY code`;

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
  WHERE p.organization_id = $1 AND p.id = ANY ($3) AND p.timing = 'once' AND h.tax_category IS NOT NULL
  UNION ALL
  SELECT n.version, h.id, h.tax_category FROM unnest($4::text[], $5::text[]) AS n (version, id)
    JOIN one_time_charges h ON h.id = n.id
  WHERE h.organization_id = $1 AND h.tax_category IS NOT NULL`;

type CategoryRow = { id: string; code: string; category: string };

const policyStatement = 'SELECT rounding, tax_rounding FROM organizations WHERE id = $1';
type PolicyRow = { rounding: PolicyRounding; tax_rounding: TaxRounding };

/** Undefined where the organization has no tax rates, which one look tells. */
export const createTaxFacts =
  (postgres: Queryable) =>
  async ({
    organizationId,
    customerIds,
    oneTimeCharges: once = [],
    ...billed
  }: TaxedInvoices): Promise<TaxFacts | undefined> => {
    const { rows } = await postgres.query<RateRow>(ratesStatement, [organizationId]);
    if (rows.length === 0) return undefined;
    const hasCategories = rows.some(({ tax_category: category }) => category !== null);
    // One after the other: the API asks within a transaction.
    const customers = await postgres.query<CustomerRow>(customersStatement, [organizationId, customerIds]);
    const categories = hasCategories
      ? await postgres.query<CategoryRow>(categoriesStatement, [
          organizationId,
          billed.planVersionIds,
          billed.billingPeriodIds,
          once.map(({ planVersionId }) => planVersionId),
          once.map(({ id }) => id),
        ])
      : { rows: [] };
    const policies = await postgres.query<PolicyRow>(policyStatement, [organizationId]);
    const [policy] = policies.rows;
    assert(policy, 'an organization has its row');
    return {
      rates: rows.map(rateFromRow),
      customers: new Map(customers.rows.map((row) => [row.id, customerFromRow(row)])),
      categories: new Map(categories.rows.map(({ id, code, category }) => [chargeKey(id, code), category])),
      policy: { rounding: policy.rounding, taxRounding: policy.tax_rounding },
    };
  };
