/**
 * How the time of a subscription is cut into billing periods: the one function that says when period n begins. Pure.
 *
 * Every boundary is counted from the anchor and not from the boundary before it, so one on the 31st is on the 28th of
 * February and on the 31st of March again. It is a time of the calendar and the clock in the subscription's time zone:
 * where a clock was set over it, the instant to which it was set; where it came twice, the first one. Boundaries never
 * run backwards, so periods tile all time, also before the anchor, and every instant lies in exactly one [I14].
 */
import type { Interval, IntervalUnit } from '#schemas/interval.ts';
import type { Instant, Period } from '#schemas/period.ts';

export type BillingCycle = {
  readonly interval: Interval;
  /** When period 0 begins, by the calendar and the clock of the zone: 2026-01-31T00:00:00.000. */
  readonly anchor: string;
  /** IANA. */
  readonly timeZone: string;
};

/** The columns of a subscription that say it. */
export type IntervalRow = { readonly interval_unit: IntervalUnit; readonly interval_count: number };
export type BillingCycleRow = IntervalRow & { readonly billing_anchor: string; readonly time_zone: string };

export const intervalFromRow = (row: IntervalRow): Interval => ({ unit: row.interval_unit, count: row.interval_count });

export const billingCycleFromRow = (row: BillingCycleRow): BillingCycle => ({
  interval: intervalFromRow(row),
  anchor: row.billing_anchor,
  timeZone: row.time_zone,
});

/** Where periods of the calendar are counted from; a week begins on a Monday. */
const calendarAnchors: Readonly<Record<IntervalUnit, string>> = {
  day: '2000-01-01T00:00:00.000',
  week: '2000-01-03T00:00:00.000',
  month: '2000-01-01T00:00:00.000',
  quarter: '2000-01-01T00:00:00.000',
  year: '2000-01-01T00:00:00.000',
};

/** Of a subscription that says nothing else. */
export const calendarAnchor = ({ unit }: Interval): string => calendarAnchors[unit];

const zoned = (instant: Instant, timeZone: string): Temporal.ZonedDateTime =>
  Temporal.Instant.fromEpochMilliseconds(instant).toZonedDateTimeISO(timeZone);

const anchorText = (local: Temporal.PlainDateTime): string => local.toString({ smallestUnit: 'millisecond' });

/** Of periods that begin with the very moment of an instant, as the clock of the zone shows it. */
export const anchorAt = (instant: Instant, timeZone: string): string =>
  anchorText(zoned(instant, timeZone).toPlainDateTime());

/** "2026-01-31", the first midnight of that day; undefined where no calendar has it. */
export const anchorOfDate = (text: string): string | undefined => {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return undefined;
  try {
    return anchorText(Temporal.PlainDate.from(text, { overflow: 'reject' }).toPlainDateTime());
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
};

const monthsOf: Readonly<Record<IntervalUnit, number>> = { day: 0, week: 0, month: 1, quarter: 3, year: 12 };
const daysOf: Readonly<Record<IntervalUnit, number>> = { day: 1, week: 7, month: 0, quarter: 0, year: 0 };

type Steps = { readonly months: number; readonly days: number };

const stepsOf = ({ unit, count }: Interval): Steps => ({ months: monthsOf[unit] * count, days: daysOf[unit] * count });

/** Days of the shortest that the interval can be, which is what two intervals are compared by. */
export const daysAtLeast = (interval: Interval): number => {
  const { months, days } = stepsOf(interval);
  return days + months * 28;
};

/** Twelve months are as long as a year. */
export const isSameLength = (a: Interval, b: Interval): boolean => {
  const [one, other] = [stepsOf(a), stepsOf(b)];
  return one.months === other.months && one.days === other.days;
};

type Boundaries = {
  readonly at: (n: number) => Instant;
  /** The period that holds the instant, and its number. */
  readonly around: (instant: Instant) => Period & { readonly n: number };
};

/** The anchor is read once for all boundaries that are asked for. */
const boundariesOf = ({ interval, anchor: anchorText, timeZone }: BillingCycle): Boundaries => {
  const anchor = Temporal.PlainDateTime.from(anchorText);
  const { months, days } = stepsOf(interval);
  const at = (n: number): Instant =>
    anchor
      .add(months > 0 ? { months: months * n } : { days: days * n })
      .toZonedDateTime(timeZone, { disambiguation: 'compatible' }).epochMilliseconds;
  const around = (instant: Instant) => {
    const local = zoned(instant, timeZone);
    const passed =
      months > 0
        ? ((local.year - anchor.year) * 12 + local.month - anchor.month) / months
        : anchor.toPlainDate().until(local.toPlainDate(), { largestUnit: 'days' }).days / days;
    // Off by one at most for the day and the hour, and where a clock was set over a boundary.
    let n = Math.floor(passed);
    let start = at(n);
    while (start > instant) {
      n -= 1;
      start = at(n);
    }
    let end = at(n + 1);
    while (end <= instant) {
      n += 1;
      start = end;
      end = at(n + 1);
    }
    return { start, end, n };
  };
  return { at, around };
};

/** When period `n` begins, which is when the one before it ends; n is whole, and may be negative. */
export const boundaryOf = (cycle: BillingCycle, n: number): Instant => boundariesOf(cycle).at(n);

/** Undefined where the zone left out the days of it, as Apia did with 2011-12-30: then it has no instant. */
export const periodOfCycle = (cycle: BillingCycle, n: number): Period | undefined => {
  const { at } = boundariesOf(cycle);
  const [start, end] = [at(n), at(n + 1)];
  return start < end ? { start, end } : undefined;
};

/** The number of the period that holds the instant. */
export const periodNumberAt = (cycle: BillingCycle, instant: Instant): number => boundariesOf(cycle).around(instant).n;

/** The period that holds the instant. */
export const periodAt = (cycle: BillingCycle, instant: Instant): Period => {
  const { start, end } = boundariesOf(cycle).around(instant);
  return { start, end };
};

/** In order, those that have an instant in common with `time`. */
export function* periodsOver(cycle: BillingCycle, time: Period): Generator<Period> {
  const { at, around } = boundariesOf(cycle);
  let { n, start } = around(time.start);
  while (start < time.end) {
    n += 1;
    const end = at(n);
    if (start < end) yield { start, end };
    start = end;
  }
}
