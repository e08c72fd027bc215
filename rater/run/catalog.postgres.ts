/**
 * What the rater reads: billing periods with the plan versions that charge for them, and the versions of meters that
 * these are bound to.
 */
import assert from 'node:assert/strict';
import type { Queryable } from '#platform/stores/postgres.ts';
import { isCurrency } from '#schemas/currency.ts';
import { periodBetween } from '#schemas/period.ts';
import { periodBoundsIn } from '#schemas/period-bound.ts';
import { type ChargeJson, chargeFromJson, chargeJsonIn } from '#schemas/plan.ts';
import { type GeneralTermsJson, prorationIn } from '#schemas/plan-terms.ts';
import { type ProrationPolicy, prorationOf } from '#schemas/proration.ts';
import type { RatingPolicy } from '#schemas/rated-line.ts';
import { meterOf } from '#schemas/stored-meter.ts';
import { madeUntil } from '../price/source-rows.ts';
import { standingOverrides } from './price-overrides.postgres.ts';
import { sourceNamesIn, standingPriceSpans } from './price-spans.ts';
import type { BillablePeriod, RatePorts } from './rate-period.ts';
import { standingSourceRows } from './source-rows.postgres.ts';

type PeriodRow = {
  id: string;
  subscription_id: string;
  customer_id: string;
  external_id: string;
  plan_version_id: string;
  currency: string;
  span_start: Date;
  span_end: Date;
  billing_start: Date;
  billing_end: Date;
  time_zone: string;
};

export type VersionRow = {
  id: string;
  plan_id: string;
  plan_currency: string;
  charges: ChargeJson[];
  terms: Partial<GeneralTermsJson> | null;
};

type PinnedRow = {
  plan_version_id: string;
  code: string;
  version_number: number;
  meter_version_id: string;
  definition: unknown;
};

export const storedCurrency = (currency: string) => {
  assert(isCurrency(currency), `${currency} is not a currency`);
  return currency;
};

export type VersionCharges = Pick<BillablePeriod, 'planId' | 'charges' | 'storedCharges' | 'bounds'> & {
  readonly prorated: ProrationPolicy;
};

/**
 * With their prices in the subscription's currency. Charges were checked when the plan was made, and the currency when
 * it was subscribed to; what does not read now is damage.
 */
export const chargesOf = (
  row: Pick<PeriodRow, 'plan_version_id' | 'currency'> & Omit<VersionRow, 'id'>,
): VersionCharges => {
  const storedCharges = row.charges.map((json) => {
    const charge = chargeJsonIn(json, row.currency, row.plan_currency);
    assert(charge, `charge ${json.code} of plan version ${row.plan_version_id} has no price in ${row.currency}`);
    return charge;
  });
  const charges = storedCharges.map((json) => {
    const parsed = chargeFromJson(json);
    assert(
      parsed.ok,
      `a charge of plan version ${row.plan_version_id} can't be read: ${parsed.ok ? '' : JSON.stringify(parsed.faults)}`,
    );
    const { code, name, meter, price } = parsed.value;
    return { code, name, meter, price };
  });
  const bounds = periodBoundsIn(row.terms, row.currency, row.plan_currency);
  return { planId: row.plan_id, charges, storedCharges, bounds, prorated: prorationIn(row.terms) };
};

const selectPeriods = (from: string, more = ''): string => `
SELECT p.id, p.subscription_id, p.customer_id, c.external_id, p.plan_version_id, s.currency, s.time_zone, p.span_start,
  p.span_end, p.billing_start, p.billing_end
FROM ${from} p JOIN customers c ON c.id = p.customer_id JOIN subscriptions s ON s.id = p.subscription_id
WHERE p.organization_id = $1 AND p.id = ANY ($2) ${more} ORDER BY p.customer_id, p.subscription_id, p.span_start`;

const periodsStatement = selectPeriods('billing_periods');
const dryPeriodsStatement = selectPeriods('rating_run_periods', 'AND p.run_id = $3');

export const createCatalog = (postgres: Queryable): RatePorts['catalog'] => ({
  ratingPolicy: async (organizationId) => {
    const { rows } = await postgres.query<RatingPolicy>('SELECT rounding FROM organizations WHERE id = $1', [
      organizationId,
    ]);
    assert(rows[0], `the organization ${organizationId} is gone`);
    return { rounding: rows[0].rounding };
  },
  billingPeriods: async (organizationId, ids, dryRunId) => {
    const isDry = dryRunId !== undefined;
    const { rows } = await postgres.query<PeriodRow>(isDry ? dryPeriodsStatement : periodsStatement, [
      organizationId,
      ids,
      ...(isDry ? [dryRunId] : []),
    ]);
    // Read once for each plan version and parsed once for each with a currency: a shard has many periods of few plans,
    // and a worker gets each list once.
    const versions = await postgres.query<VersionRow>(
      `SELECT v.id, v.plan_id, v.currency AS plan_currency, v.charges, v.terms FROM plan_versions v
       WHERE v.organization_id = $1 AND v.id = ANY ($2)`,
      [organizationId, [...new Set(rows.map(({ plan_version_id }) => plan_version_id))]],
    );
    const versionOf = new Map(versions.rows.map((version) => [version.id, version]));
    const known = new Map<string, VersionCharges>();
    const chargesOnce = (row: PeriodRow): VersionCharges => {
      const key = `${row.plan_version_id} ${row.currency}`;
      const version = versionOf.get(row.plan_version_id);
      assert(version, `the plan version ${row.plan_version_id} is gone`);
      const charges = known.get(key) ?? chargesOf({ ...row, ...version });
      known.set(key, charges);
      return charges;
    };
    return rows.map((row) => {
      const { prorated, ...charges } = chargesOnce(row);
      const span = periodBetween(row.span_start, row.span_end);
      return {
        billingPeriodId: row.id,
        span,
        proration: prorationOf(prorated, periodBetween(row.billing_start, row.billing_end), span, row.time_zone),
        subscriptionId: row.subscription_id,
        customerId: row.customer_id,
        customerExternalId: row.external_id,
        planVersionId: row.plan_version_id,
        currency: storedCurrency(row.currency),
        ...charges,
      };
    });
  },
  meters: async (organizationId, planVersionIds) => {
    const { rows } = await postgres.query<PinnedRow>(
      `SELECT p.plan_version_id, p.meter_code AS code, v.version_number, v.id AS meter_version_id, v.definition
       FROM plan_version_meters p JOIN meter_versions v ON v.id = p.meter_version_id
       WHERE p.organization_id = $1 AND p.plan_version_id = ANY ($2) ORDER BY p.meter_code, v.version_number`,
      [organizationId, planVersionIds],
    );
    return rows.map(({ plan_version_id, code, version_number, meter_version_id, definition }) => ({
      planVersionId: plan_version_id,
      meter: meterOf({ code, versionNumber: version_number, versionId: meter_version_id, definition }),
    }));
  },
  priceSpans: async ({ organizationId, pricesUntil }, periods, meters) => {
    if (periods.length === 0) return new Map();
    const time = {
      start: Math.min(...periods.map(({ span }) => span.start)),
      end: Math.max(...periods.map(({ span }) => span.end)),
    };
    const overrides = await standingOverrides(postgres, organizationId, {
      planIds: [...new Set(periods.map(({ planId }) => planId))],
      customerIds: [...new Set(periods.map(({ customerId }) => customerId))],
      start: new Date(time.start),
      end: new Date(time.end),
      madeUntil: madeUntil(pricesUntil),
    });
    const names = sourceNamesIn(periods, overrides);
    if (overrides.length + names.books.length + names.units.length === 0) return new Map();
    const rows = await standingSourceRows(postgres, organizationId, names, time, pricesUntil);
    return standingPriceSpans(periods, { overrides, rows, meters });
  },
});
