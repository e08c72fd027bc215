/**
 * Where windows begin: minutes, hours, days and months as clocks and calendars show them in a time zone. Pure. A day
 * begins at its first midnight, or where the clock was set over midnight at the first instant that it had; one that a
 * zone left out has no window. A minute and an hour begin where the clock shows a whole one, and where it is set: so no
 * window holds two hours of the clock, and an hour that comes twice is two windows.
 */
import type { Instant, Period } from '#schemas/period.ts';

export const windowNames = ['minute', 'hour', 'day', 'month'] as const;
export type WindowName = (typeof windowNames)[number];

const unitMs: Readonly<Record<'minute' | 'hour', number>> = { minute: 60_000, hour: 3_600_000 };

/** The instants after `start` at which the clock shows a whole unit, in order. */
function* clockStarts(start: Instant, unit: number, timeZone: string): Generator<Instant> {
  for (let from = Temporal.Instant.fromEpochMilliseconds(start).toZonedDateTimeISO(timeZone); ; ) {
    const set = from.getTimeZoneTransition('next');
    const until = set?.epochMilliseconds ?? Number.POSITIVE_INFINITY;
    const offset = Math.round(from.offsetNanoseconds / 1_000_000);
    for (let at = (Math.floor((from.epochMilliseconds + offset) / unit) + 1) * unit - offset; at < until; at += unit)
      yield at;
    if (set === null) return;
    yield until;
    from = set;
  }
}

/**
 * The first instants of the calendar days after the one that holds `start`, in order; of one that a zone left out, that
 * of the day behind it.
 */
function* dayStarts(start: Instant, timeZone: string): Generator<Instant> {
  let day = Temporal.Instant.fromEpochMilliseconds(start).toZonedDateTimeISO(timeZone).toPlainDate();
  for (;;) {
    day = day.add({ days: 1 });
    yield day.toZonedDateTime(timeZone).epochMilliseconds;
  }
}

function* monthStarts(start: Instant, timeZone: string): Generator<Instant> {
  let month = Temporal.Instant.fromEpochMilliseconds(start)
    .toZonedDateTimeISO(timeZone)
    .toPlainDate()
    .toPlainYearMonth();
  for (;;) {
    month = month.add({ months: 1 });
    yield month.toPlainDate({ day: 1 }).toZonedDateTime(timeZone).epochMilliseconds;
  }
}

const startsAfter = (start: Instant, window: WindowName, timeZone: string): Generator<Instant> => {
  if (window === 'day') return dayStarts(start, timeZone);
  return window === 'month' ? monthStarts(start, timeZone) : clockStarts(start, unitMs[window], timeZone);
};

/**
 * Ascending; the first is the period's start, whether or not a window of the clock begins there, and the last lies
 * before its end. Undefined where there are more than `windowsMax`. Work is bounded by that number.
 */
export const windowStarts = (
  period: Period,
  window: WindowName,
  timeZone: string,
  windowsMax: number,
): Instant[] | undefined => {
  const starts = [period.start];
  for (const at of startsAfter(period.start, window, timeZone)) {
    if (at >= period.end) return starts;
    // The clock may be set at a whole hour, and back over midnight.
    if (at <= (starts.at(-1) as number)) continue;
    if (starts.length === windowsMax) return undefined;
    starts.push(at);
  }
  return starts;
};
