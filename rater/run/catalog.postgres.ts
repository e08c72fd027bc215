/**
 * What the rater reads: billing periods with the plan versions that charge for them, and the versions of meters that
 * these are bound to.
 */
import assert from 'node:assert/strict';
import { externalIdsOf } from '#platform/stores/customer-names.ts';
import type { Queryable } from '#platform/stores/postgres.ts';
import { isId } from '#schemas/ids.ts';
import type { RatingPolicy } from '#schemas/rated-line.ts';
import { meterOf } from '#schemas/stored-meter.ts';
import {
  billablePeriods,
  type OneTimeRow,
  type PeriodRow,
  pricedAs,
  ratedRounding,
  ratedTiming,
  type VersionRow,
} from './billable-periods.ts';
import type { BillablePeriod } from './measured-periods.ts';
import { ratedPrices, standingPrices } from './price-spans.postgres.ts';
import type { RatePorts } from './rate-period.ts';
import { oneTimeStatement } from './source-statements.ts';

type PinnedRow = {
  plan_version_id: string;
  code: string;
  version_number: number;
  meter_version_id: string;
  definition: unknown;
};

const selectPeriods = (from: string, columns = '', more = ''): string => `
SELECT p.id, p.subscription_id, p.customer_id, c.external_ids, p.plan_version_id, s.currency, s.time_zone, p.span_start,
  p.span_end, p.billing_start, p.billing_end, p.item, ${ratedTiming}, p.interval_unit, p.interval_count, p.counted, p.quantities,
  p.priced_at, p.usage_waived ${columns}
FROM unnest($2::text[]) AS n (id) CROSS JOIN LATERAL (
    SELECT p.* FROM ${from} p WHERE p.organization_id = $1 AND p.id = n.id ${more} OFFSET 0
  ) p CROSS JOIN LATERAL (
    SELECT ${externalIdsOf('k')} AS external_ids FROM customers k WHERE k.id = p.customer_id OFFSET 0
  ) c
  CROSS JOIN LATERAL (SELECT s.currency, s.time_zone FROM subscriptions s WHERE s.id = p.subscription_id OFFSET 0) s
ORDER BY p.customer_id, p.subscription_id, p.span_start`;

const periodsStatement = selectPeriods('billing_periods', `, ${pricedAs}, ${ratedRounding}`);
const dryPeriodsStatement = selectPeriods('rating_run_periods', '', 'AND p.run_id = $3');

const goesByLines = (period: BillablePeriod): boolean => period.pricedAs !== undefined;

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
    // Read once for each plan version: a shard has many periods of few plans.
    const versions = await postgres.query<VersionRow>(
      `SELECT v.id, v.plan_id, v.currency AS plan_currency, v.charges, v.terms FROM plan_versions v
       WHERE v.organization_id = $1 AND v.id = ANY ($2)`,
      [organizationId, [...new Set(rows.map(({ plan_version_id }) => plan_version_id))]],
    );
    const charged = rows.flatMap(({ item }) => (isId('otc', item) ? [item] : []));
    const oneTime =
      charged.length === 0 ? [] : (await postgres.query<OneTimeRow>(oneTimeStatement, [organizationId, charged])).rows;
    return billablePeriods(rows, versions.rows, oneTime);
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
  priceSpans: async ({ organizationId, pricesUntil }, all, meters) => {
    const [named, others] = [all.filter(goesByLines), all.filter((period) => !goesByLines(period))];
    const standing = await standingPrices(postgres, organizationId, others, meters, pricesUntil);
    return new Map([...standing, ...(await ratedPrices(postgres, organizationId, named, meters))]);
  },
});
