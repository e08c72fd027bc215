/**
 * What the rater reads: billing periods with the plan versions that charge for them, and the versions of meters that
 * these are bound to.
 */
import assert from 'node:assert/strict';
import type { Queryable } from '#platform/stores/postgres.ts';
import { intervalFromRow } from '#schemas/billing-cycle.ts';
import {
  hasInterval,
  isBoundSchedule,
  isCounted,
  isOfSchedule,
  type ScheduleName,
  type StoredTerms,
} from '#schemas/charge-schedule.ts';
import type { ChargeTiming } from '#schemas/charge-times.ts';
import { isCurrency } from '#schemas/currency.ts';
import type { PartTiming } from '#schemas/due-parts.ts';
import type { IntervalUnit } from '#schemas/interval.ts';
import { periodBetween } from '#schemas/period.ts';
import { periodBoundsIn } from '#schemas/period-bound.ts';
import { type Charge, type ChargeJson, chargeFromJson, chargeJsonIn } from '#schemas/plan.ts';
import { type GeneralTermsJson, prorationIn } from '#schemas/plan-terms.ts';
import { type ProrationPolicy, proratedLevels, prorationOf } from '#schemas/proration.ts';
import type { RatingPolicy } from '#schemas/rated-line.ts';
import { meterOf } from '#schemas/stored-meter.ts';
import type { QuantityLevel } from '#schemas/subscription-terms.ts';
import type { PartToRate } from '../price/rating-task.ts';
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
  timing: PartTiming;
  interval_unit: IntervalUnit | null;
  interval_count: number | null;
  counted: boolean | null;
  quantities: QuantityLevel[] | null;
  priced_at: Date | null;
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

/** Which of the charges of a version a period is of. */
type PartOfVersion = Omit<PartToRate, 'timing' | 'levels'> &
  Pick<BillablePeriod, 'charges' | 'storedCharges' | 'bounds'>;

/** A credit takes back what was charged in advance. */
const chargeTiming = ({ timing }: PeriodRow): ChargeTiming => (timing === 'credit' ? 'advance' : timing);

/** Undefined where the period is of every charge. */
const scheduleOf = (row: PeriodRow): ScheduleName | undefined =>
  row.interval_unit === null || row.interval_count === null
    ? undefined
    : {
        interval: intervalFromRow({ interval_unit: row.interval_unit, interval_count: row.interval_count }),
        timing: chargeTiming(row),
        isCounted: row.counted === true,
      };

/** What holds over all charges of a period is charged with what is in arrears of the main interval. */
export const partOfVersion = (
  { charges, storedCharges, bounds }: VersionCharges,
  version: StoredTerms,
  schedule: ScheduleName | undefined,
): PartOfVersion => {
  const isAddOn = (version.terms?.add_on ?? null) !== null;
  const isOf = (of: ChargeJson) => schedule === undefined || isOfSchedule(of, isAddOn, schedule);
  const places = storedCharges.flatMap((of, index) => (isOf(of) ? [index] : []));
  const pick = <T>(items: readonly T[], at: readonly number[]): T[] => at.map((index) => items[index] as T);
  const isBounded = schedule === undefined || isBoundSchedule(version, schedule);
  const others = storedCharges.flatMap((of, index) =>
    isBounded && schedule && !isOf(of) && of.meter === null && hasInterval(of, schedule.interval) ? [index] : [],
  );
  const counted = storedCharges.flatMap((of) =>
    isCounted(of, isAddOn) ? [[of.code, of.seats ? ('units' as const) : ('times' as const)] as const] : [],
  );
  return {
    charges: pick(charges, places),
    storedCharges: pick(storedCharges, places),
    positions: places.map((index) => index + 1),
    boundPosition: charges.length + 1,
    bounds: isBounded ? bounds : {},
    counted: Object.fromEntries(counted),
    others: pick(charges, others),
  };
};

/** As it is of most plans: then nothing more is to be said. */
const isWholePlan = (
  timing: PartTiming,
  charges: readonly Charge[],
  whole: VersionCharges,
  { counted }: Pick<PartOfVersion, 'counted'>,
): boolean => timing === 'arrears' && charges.length === whole.charges.length && Object.keys(counted).length === 0;

const selectPeriods = (from: string, more = ''): string => `
SELECT p.id, p.subscription_id, p.customer_id, c.external_id, p.plan_version_id, s.currency, s.time_zone, p.span_start,
  p.span_end, p.billing_start, p.billing_end, p.timing, p.interval_unit, p.interval_count, p.counted, p.quantities,
  p.priced_at
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
    const parts = new Map<string, PartOfVersion>();
    const versionCharges = (row: PeriodRow, version: VersionRow): VersionCharges => {
      const key = `${row.plan_version_id} ${row.currency}`;
      const charges = known.get(key) ?? chargesOf({ ...row, ...version });
      known.set(key, charges);
      return charges;
    };
    const partOf = (row: PeriodRow, charges: VersionCharges, version: VersionRow): PartOfVersion => {
      const schedule = `${chargeTiming(row)} ${row.interval_unit} ${row.interval_count} ${row.counted}`;
      const key = `${row.plan_version_id} ${row.currency} ${schedule}`;
      const part = parts.get(key) ?? partOfVersion(charges, version, scheduleOf(row));
      parts.set(key, part);
      return part;
    };
    return rows.map((row) => {
      const version = versionOf.get(row.plan_version_id);
      assert(version, `the plan version ${row.plan_version_id} is gone`);
      const whole = versionCharges(row, version);
      const { charges, storedCharges, bounds, ...part } = partOf(row, whole, version);
      const span = periodBetween(row.span_start, row.span_end);
      const billing = periodBetween(row.billing_start, row.billing_end);
      const quantities = row.quantities ?? undefined;
      return {
        billingPeriodId: row.id,
        span,
        proration: prorationOf(whole.prorated, billing, span, row.time_zone),
        subscriptionId: row.subscription_id,
        customerId: row.customer_id,
        customerExternalId: row.external_id,
        planId: whole.planId,
        planVersionId: row.plan_version_id,
        currency: storedCurrency(row.currency),
        charges,
        storedCharges,
        bounds,
        ...(row.priced_at && { pricedAt: row.priced_at.getTime() }),
        ...(!isWholePlan(row.timing, charges, whole, part) && {
          part: {
            ...part,
            timing: row.timing,
            levels: proratedLevels(whole.prorated, billing, span, row.time_zone, quantities),
          },
        }),
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
  priceSpans: async ({ organizationId, pricesUntil }, all, meters) => {
    if (all.length === 0) return new Map();
    // A credit takes back the price that was charged.
    const periods = all.map((one) =>
      one.pricedAt === undefined ? one : { ...one, span: { start: one.pricedAt, end: one.span.end } },
    );
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
