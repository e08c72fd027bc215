/** When the charges of a plan version are billed: in groups that fall due together. Shared by rater and api. Pure. */
import { type BillingCycle, calendarAnchor, daysAtLeast } from '#schemas/billing-cycle.ts';
import { type ChargeTimesJson, type ChargeTiming, defaultTimes } from '#schemas/charge-times.ts';
import type { Interval } from '#schemas/interval.ts';
import { intervalUnits } from '#schemas/interval.ts';
import type { ChargeJson } from '#schemas/plan.ts';
import { type GeneralTermsJson, prorationIn } from '#schemas/plan-terms.ts';

/** Charges of one version that are billed over the same stretches of time. */
export type ChargeSchedule = {
  readonly interval: Interval;
  readonly timing: ChargeTiming;
  /** Whether they are priced by a number: of seats, or of add-ons. */
  readonly isCounted: boolean;
  /** Whether usage goes into them, which late events may add to. */
  readonly isMetered: boolean;
  /** Whether they charge nothing but usage; absent where they charge more. */
  readonly isUsageAlone?: boolean;
  /** Whether what the version costs at least and at most is charged with them. */
  readonly isBounded: boolean;
  /** Whether a part of a period costs a part of the price. */
  readonly isProrated: boolean;
  /** The plan or add-on whose version it is of. */
  readonly planId?: string;
};

/** What names one of a version. */
export type ScheduleName = Pick<ChargeSchedule, 'interval' | 'timing' | 'isCounted'>;

export type StoredTerms = {
  readonly charges: readonly ChargeJson[];
  readonly terms: Partial<GeneralTermsJson> | null;
};

const timesOf = ({ timing, billing_interval }: ChargeTimesJson): Required<ChargeTimesJson> => ({
  timing: timing ?? defaultTimes.timing,
  billing_interval: billing_interval ?? defaultTimes.billing_interval,
});

/** A charge of seats is; and of an add-on what is flat is charged as often as it is taken. */
export const isCounted = ({ seats, meter }: Pick<ChargeJson, 'seats' | 'meter'>, isAddOn: boolean): boolean =>
  isAddOn ? meter === null : seats === true;

const isOnce = (charge: ChargeTimesJson): boolean => charge.timing === 'once';

/**
 * The shortest interval of all charges, which that of the subscription's billing periods is; what is charged once has
 * none.
 */
export const mainInterval = (charges: readonly ChargeTimesJson[]): Interval => {
  const intervals = charges.filter((charge) => !isOnce(charge)).map((charge) => timesOf(charge).billing_interval);
  const [first = defaultTimes.billing_interval] = intervals;
  return intervals.reduce((a, b) => (daysAtLeast(b) < daysAtLeast(a) ? b : a), first);
};

const sameInterval = (a: Interval, b: Interval): boolean => a.unit === b.unit && a.count === b.count;

export const hasInterval = (charge: ChargeTimesJson, interval: Interval): boolean =>
  !isOnce(charge) && sameInterval(timesOf(charge).billing_interval, interval);

const hasBounds = ({ terms }: StoredTerms): boolean => Boolean(terms?.minimum_commitment || terms?.spend_cap);

/** What a billing period costs at least and at most is charged with what is in arrears of the main interval. */
export const isBoundSchedule = (
  version: StoredTerms,
  { interval, timing, isCounted: counted }: ScheduleName,
): boolean =>
  hasBounds(version) && timing === 'arrears' && !counted && sameInterval(interval, mainInterval(version.charges));

/** Whether a charge is of a schedule. That of what is charged once is told by its timing, whatever its interval. */
export const isOfSchedule = (
  charge: ChargeJson,
  isAddOn: boolean,
  { interval, timing, isCounted: counted }: ScheduleName,
): boolean => {
  const times = timesOf(charge);
  return (
    times.timing === timing &&
    (timing === 'once' || sameInterval(times.billing_interval, interval)) &&
    isCounted(charge, isAddOn) === counted
  );
};

/** Those of a version of a plan, each once; with that of its bounds, also where no charge is of it. */
export const chargeSchedules = (version: StoredTerms, planId: string): ChargeSchedule[] => {
  const { charges, terms } = version;
  const isAddOn = (terms?.add_on ?? null) !== null;
  const schedules: ChargeSchedule[] = [];
  const isProrated = prorationIn(terms) !== 'none';
  const add = (schedule: Omit<ChargeSchedule, 'planId' | 'isBounded' | 'isProrated'>): void => {
    const at = schedules.findIndex(
      ({ interval, timing, isCounted: counted }) =>
        sameInterval(interval, schedule.interval) && timing === schedule.timing && counted === schedule.isCounted,
    );
    const found = schedules[at];
    if (!found) schedules.push({ ...schedule, planId, isProrated, isBounded: isBoundSchedule(version, schedule) });
    else if (schedule.isMetered) schedules[at] = { ...found, isMetered: true };
  };
  for (const charge of charges) {
    const { timing, billing_interval: interval } = timesOf(charge);
    add({ interval, timing, isCounted: isCounted(charge, isAddOn), isMetered: charge.meter !== null });
  }
  if (hasBounds(version))
    add({ interval: mainInterval(charges), timing: 'arrears', isCounted: false, isMetered: false });
  return schedules.map((schedule) => {
    const isOther = (charge: ChargeJson) => charge.meter === null && isOfSchedule(charge, isAddOn, schedule);
    const isUsageAlone = schedule.isMetered && !schedule.isBounded && !charges.some(isOther);
    return isUsageAlone ? { ...schedule, isUsageAlone } : schedule;
  });
};

/**
 * The cycle of the charges of an interval: all are counted from the anchor of the subscription. Where that is the
 * calendar's, from the calendar's own of the interval: a week begins on a Monday beside a month that begins on the
 * first.
 */
export const cycleOfInterval = (cycle: BillingCycle, interval: Interval): BillingCycle => ({
  ...cycle,
  interval,
  anchor: intervalUnits.some((unit) => cycle.anchor === calendarAnchor({ unit, count: 1 }))
    ? calendarAnchor(interval)
    : cycle.anchor,
});
