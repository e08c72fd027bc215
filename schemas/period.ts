/**
 * The one period type: half-open, [start, end), in epoch milliseconds.
 *
 * Numbers and not `Temporal.Instant`: a period crosses to worker threads (a Temporal object can't be
 * structured-cloned), is compared in inner loops (an Instant has no `<`), and is stored as `timestamptz` and
 * `DateTime64(3)`. Milliseconds carry every boundary exactly, and an event with finer digits keeps its side when they
 * are cut off, as no boundary lies inside a millisecond. Temporal does what numbers can't: calendars, time zones, RFC
 * 3339.
 */
import assert from 'node:assert/strict';
import { formatInstant } from '#schemas/instant.ts';

/** Epoch milliseconds; a whole number. */
export type Instant = number;

export type Period = { readonly start: Instant; readonly end: Instant };

/** RFC 3339 at both ends, UTC. */
export type PeriodJson = { start: string; end: string };

/** A period is never empty: what starts when it ends would contain no instant. */
export const periodOf = (start: Instant, end: Instant): Period => {
  assert(Number.isSafeInteger(start) && Number.isSafeInteger(end) && start < end, `[${start}, ${end}) is not a period`);
  return { start, end };
};

/** Two columns of a row, which has a half-open period in them. */
export const periodBetween = (start: Date, end: Date): Period => ({ start: start.getTime(), end: end.getTime() });

export const contains = (period: Period, instant: Instant): boolean => period.start <= instant && instant < period.end;

/** What both share; `undefined` if they only touch or lie apart. */
export const intersect = (a: Period, b: Period): Period | undefined => {
  const start = Math.max(a.start, b.start);
  const end = Math.min(a.end, b.end);
  return start < end ? { start, end } : undefined;
};

export const samePeriod = (a: Period, b: Period): boolean => a.start === b.start && a.end === b.end;

/** Before its last day a month is over nowhere. */
const shortestMonthDays = 28;

const yearMonthOf = (instant: Instant, timeZone: string): Temporal.PlainYearMonth => {
  const local = Temporal.Instant.fromEpochMilliseconds(instant).toZonedDateTimeISO(timeZone).toPlainDate();
  const month = local.toPlainYearMonth();
  if (local.day < shortestMonthDays) return month;
  // A clock set back over midnight shows the last day of a month again after the new month began (St. John's,
  // 2009-11-01 00:01). A month begins once, at its first midnight, so the repeated hour belongs to the new one;
  // otherwise two months would hold it.
  const next = month.add({ months: 1 });
  return instant < startOfMonth(next, timeZone) ? month : next;
};

/** The calendar month that holds `instant`, in UTC unless an IANA time zone is given. */
export const monthOf = (instant: Instant, timeZone = 'UTC'): Period =>
  periodOfMonth(yearMonthOf(instant, timeZone), timeZone);

/** The name of that month: "2026-10". */
export const monthNameOf = (instant: Instant, timeZone = 'UTC'): string => yearMonthOf(instant, timeZone).toString();

/** "2026-10" -> that month; `undefined` for any other text. */
export const monthFromText = (text: string, timeZone = 'UTC'): Period | undefined =>
  /^\d{4}-(0[1-9]|1[0-2])$/.test(text) ? periodOfMonth(Temporal.PlainYearMonth.from(text), timeZone) : undefined;

const periodOfMonth = (month: Temporal.PlainYearMonth, timeZone: string): Period =>
  periodOf(startOfMonth(month, timeZone), startOfMonth(month.add({ months: 1 }), timeZone));

const startOfMonth = (month: Temporal.PlainYearMonth, timeZone: string): Instant =>
  month.toPlainDate({ day: 1 }).toZonedDateTime(timeZone).epochMilliseconds;

/** Reads back what `formatPeriod` wrote. */
export const periodFromJson = ({ start, end }: PeriodJson): Period => periodOf(Date.parse(start), Date.parse(end));

/** By the very object: all lines of a billing period, and what went into them, name one span. */
const formatted = new WeakMap<Period, PeriodJson>();

export const formatPeriod = (period: Period): PeriodJson => {
  const known = formatted.get(period);
  if (known) return known;
  const json = { start: formatInstant(period.start), end: formatInstant(period.end) };
  formatted.set(period, json);
  return json;
};
