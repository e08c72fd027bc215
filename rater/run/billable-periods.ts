/**
 * Rows of billing periods with what their plan versions charge: which charges a period is of, with what prices and for
 * which part of its time. Pure.
 */
import assert from 'node:assert/strict';
import { intervalFromRow } from '#schemas/billing-cycle.ts';
import {
  chargeSchedules,
  hasInterval,
  isBoundSchedule,
  isCounted,
  isOfSchedule,
  type ScheduleName,
  type StoredTerms,
} from '#schemas/charge-schedule.ts';
import type { ChargeTiming } from '#schemas/charge-times.ts';
import { isCurrency } from '#schemas/currency.ts';
import type { PartTiming, SchedulesOf } from '#schemas/due-parts.ts';
import { isId } from '#schemas/ids.ts';
import type { IntervalUnit } from '#schemas/interval.ts';
import type { RoundingMode } from '#schemas/money.ts';
import { oneTimeChargeToJson } from '#schemas/one-time-charge.ts';
import { periodBetween } from '#schemas/period.ts';
import { periodBoundsIn } from '#schemas/period-bound.ts';
import { type Charge, type ChargeJson, chargeFromJson, chargeJsonIn } from '#schemas/plan.ts';
import { type GeneralTermsJson, prorationIn } from '#schemas/plan-terms.ts';
import { type ProrationPolicy, proratedLevels, prorationOf } from '#schemas/proration.ts';
import type { QuantityLevel } from '#schemas/subscription-terms.ts';
import type { PartToRate } from '../price/rating-task.ts';
import type { BillablePeriod } from './measured-periods.ts';

/** Of billing periods `p`: a delta is rated as what it corrects. */
export const ratedTiming = "CASE p.timing WHEN 'delta' THEN 'arrears' ELSE p.timing END AS timing";
/** And rounded so. */
export const ratedRounding = `CASE WHEN p.corrects_id IS NOT NULL THEN (SELECT l.line ->> 'rounding'
    FROM billing_periods o JOIN rated_lines l ON l.billing_period_id = o.id AND l.watermark = o.watermark
    WHERE o.id = p.corrects_id LIMIT 1) END AS corrected_rounding`;

/**
 * The billed period by whose prices one is rated: what a delta corrects, and what a credit takes back. Where that is
 * not billed yet, both are rated by the prices that stand.
 */
export const pricedAs = `coalesce(p.corrects_id, CASE WHEN p.timing = 'credit' THEN (
    SELECT o.id FROM billing_periods o
    WHERE o.subscription_id = p.subscription_id AND o.item = p.item AND o.billing_start = p.billing_start
      AND o.timing = 'advance' AND o.span_start = p.priced_at AND o.interval_unit IS NOT DISTINCT FROM p.interval_unit
      AND o.interval_count IS NOT DISTINCT FROM p.interval_count AND o.counted IS NOT DISTINCT FROM p.counted
      AND o.watermark IS NOT NULL AND o.state = 'billed' LIMIT 1) END) AS priced_as`;

/** A billing period as it stands, or as it would. */
export type PeriodRow = {
  id: string;
  item: string;
  subscription_id: string;
  customer_id: string;
  /** That the customer has or had, from the earliest on. */
  external_ids: readonly string[];
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
  usage_waived: boolean;
  /** Of a delta or a credit: the billed period whose prices it goes by. */
  priced_as?: string | null;
  /** Null of what is no delta; of one, how what it corrects was rounded. */
  corrected_rounding?: RoundingMode | null;
};

export type VersionRow = {
  id: string;
  plan_id: string;
  plan_currency: string;
  charges: ChargeJson[];
  terms: Partial<GeneralTermsJson> | null;
};

/** By the ids of plan versions; none of one that is not among them. */
export const schedulesIn = (versions: readonly (StoredTerms & { id: string; plan_id: string })[]): SchedulesOf => {
  const known = new Map(versions.map((version) => [version.id, chargeSchedules(version, version.plan_id)]));
  return (planVersionId) => known.get(planVersionId) ?? [];
};

/** A one-time charge; `amount` is that of one. */
export type OneTimeRow = { id: string; name: string; amount: string };

export const storedCurrency = (currency: string) => {
  assert(isCurrency(currency), `${currency} is not a currency`);
  return currency;
};

export type VersionCharges = Pick<BillablePeriod, 'planId' | 'charges' | 'storedCharges' | 'bounds'> & {
  readonly prorated: ProrationPolicy;
};

const readCharge = (json: ChargeJson, planVersionId: string): Charge => {
  const parsed = chargeFromJson(json);
  assert(
    parsed.ok,
    `a charge of plan version ${planVersionId} can't be read: ${parsed.ok ? '' : JSON.stringify(parsed.faults)}`,
  );
  const { code, name, meter, price } = parsed.value;
  return { code, name, meter, price };
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
  const charges = storedCharges.map((json) => readCharge(json, row.plan_version_id));
  const bounds = periodBoundsIn(row.terms, row.currency, row.plan_currency);
  return { planId: row.plan_id, charges, storedCharges, bounds, prorated: prorationIn(row.terms) };
};

/** Which of the charges of a version a period is of. */
type PartOfVersion = Omit<PartToRate, 'timing' | 'levels'> &
  Pick<BillablePeriod, 'charges' | 'storedCharges' | 'storedOthers' | 'bounds'>;

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
  usageWaived = false,
): PartOfVersion => {
  const isAddOn = (version.terms?.add_on ?? null) !== null;
  const isOf = (of: ChargeJson) =>
    !(usageWaived && of.meter !== null) && (schedule === undefined || isOfSchedule(of, isAddOn, schedule));
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
    storedOthers: pick(storedCharges, others),
  };
};

/** What is charged once beside the plan, in place of the charges of the plan. */
const partOfCharge = ({ id, name, amount }: OneTimeRow, { plan_version_id, quantities }: PeriodRow): PartOfVersion => {
  const stored = oneTimeChargeToJson(id, name, amount);
  return {
    charges: [readCharge(stored, plan_version_id)],
    storedCharges: [stored],
    positions: [1],
    boundPosition: 2,
    bounds: {},
    counted: quantities ? { [id]: 'times' } : {},
    others: [],
  };
};

/** As it is of most plans: then nothing more is to be said. */
const isWholePlan = (
  timing: PartTiming,
  charges: readonly Charge[],
  whole: VersionCharges,
  { counted }: Pick<PartOfVersion, 'counted'>,
): boolean => timing === 'arrears' && charges.length === whole.charges.length && Object.keys(counted).length === 0;

/**
 * Rows by these versions and charges, one by one: it throws where one can't be read. Each plan version is parsed once
 * for each currency: a shard has many periods of few plans, and a worker gets each list once.
 */
export const billableReader = (
  versions: readonly VersionRow[],
  oneTimeCharges: Iterable<OneTimeRow> = [],
): ((row: PeriodRow) => BillablePeriod) => {
  const oneTimeOf = new Map([...oneTimeCharges].map((row) => [row.id, row]));
  const versionOf = new Map(versions.map((version) => [version.id, version]));
  const known = new Map<string, VersionCharges>();
  const parts = new Map<string, PartOfVersion>();
  const versionCharges = (row: PeriodRow, version: VersionRow): VersionCharges => {
    const key = `${row.plan_version_id} ${row.currency}`;
    const charges = known.get(key) ?? chargesOf({ ...row, ...version });
    known.set(key, charges);
    return charges;
  };
  const partOf = (row: PeriodRow, charges: VersionCharges, version: VersionRow): PartOfVersion => {
    const charge = oneTimeOf.get(row.item);
    if (charge) return partOfCharge(charge, row);
    assert(!isId('otc', row.item), `the one-time charge ${row.item} is gone`);
    const schedule = `${chargeTiming(row)} ${row.interval_unit} ${row.interval_count} ${row.counted} ${row.usage_waived}`;
    const key = `${row.plan_version_id} ${row.currency} ${schedule}`;
    const part = parts.get(key) ?? partOfVersion(charges, version, scheduleOf(row), row.usage_waived);
    parts.set(key, part);
    return part;
  };
  return (row) => {
    const version = versionOf.get(row.plan_version_id);
    assert(version, `the plan version ${row.plan_version_id} is gone`);
    const whole = versionCharges(row, version);
    const { charges, storedCharges, storedOthers, bounds, ...part } = partOf(row, whole, version);
    const span = periodBetween(row.span_start, row.span_end);
    const billing = periodBetween(row.billing_start, row.billing_end);
    const quantities = row.quantities ?? undefined;
    return {
      billingPeriodId: row.id,
      span,
      proration: prorationOf(whole.prorated, billing, span, row.time_zone),
      subscriptionId: row.subscription_id,
      customerId: row.customer_id,
      customerExternalIds: row.external_ids,
      planId: whole.planId,
      planVersionId: row.plan_version_id,
      currency: storedCurrency(row.currency),
      charges,
      storedCharges,
      ...(storedOthers && { storedOthers }),
      bounds,
      ...(row.priced_as && { pricedAs: row.priced_as }),
      ...(row.corrected_rounding && { rounding: row.corrected_rounding }),
      ...(row.priced_at && { pricedAt: row.priced_at.getTime() }),
      ...(!isWholePlan(row.timing, charges, whole, part) && {
        part: {
          ...part,
          timing: row.timing,
          levels: proratedLevels(whole.prorated, billing, span, row.time_zone, quantities),
        },
      }),
    };
  };
};

export const billablePeriods = (
  rows: readonly PeriodRow[],
  versions: readonly VersionRow[],
  oneTimeCharges: readonly OneTimeRow[] = [],
): readonly BillablePeriod[] => rows.map(billableReader(versions, oneTimeCharges));
