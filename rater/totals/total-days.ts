/**
 * Which days of usage totals hold, and which have to be read from events. A day's totals hold at a watermark if the day
 * has the very state that they were made of, and nothing of it is of a later sequence: whatever came since, late, twice
 * or as a void, has given it another state. Pure: text and parameters.
 */
import { conditionsOf } from '#schemas/filter.ts';
import type { Instant, Period } from '#schemas/period.ts';
import type { MeterVersion } from '#schemas/stored-meter.ts';
import { dayMs, hasTotals, quarterMs } from '../aggregate/cells.ts';
import { isCarried, type TotalsUnit, type UsageWanted } from '../aggregate/usage-wanted.ts';

export type AskedUsage = Omit<UsageWanted, 'totals' | 'meter'> & { readonly meter: MeterVersion };

/** Why usage is read from its events, all of it: the word of an explanation. */
export type EventsReason = 'customer' | 'aggregation' | 'filter' | 'windows' | 'range';

/** Days before and behind are no days to the store. */
const [firstDay, endDay]: [Instant, Instant] = [Date.UTC(1970, 0, 2), Date.UTC(2149, 0, 1)];

export const areDays = ({ start, end }: Period): boolean => start >= firstDay && end <= endDay;

/** What totals can't answer for any day; undefined for what they can. */
export const eventsReason = ({
  meter,
  customers,
  period,
  windowStarts,
  filter,
}: AskedUsage): EventsReason | undefined => {
  // A statement costs the store more than a customer's events do, and totals take two.
  if (customers !== null) return 'customer';
  if (!hasTotals(meter)) return 'aggregation';
  if (filter && conditionsOf(filter).some(({ property }) => !meter.groupBy.includes(property))) return 'filter';
  if (!areDays(period)) return 'range';
  // Of most days, that is: what begins off the quarter once is a day that is read from events.
  const cut = (windowStarts ?? []).filter((start) => start % quarterMs !== 0).length;
  return cut > (windowStarts?.length ?? 0) / 2 ? 'windows' : undefined;
};

const dayOf = (instant: Instant): Instant => Math.floor(instant / dayMs) * dayMs;

/** The days within which the period or a window begins or ends, other than with a unit. */
const cutDays = (period: Period, windowStarts: readonly Instant[] | null, unitMs: number): Instant[] => [
  ...new Set([period.start, period.end, ...(windowStarts ?? [])].filter((at) => at % unitMs !== 0).map(dayOf)),
];

/**
 * Whether windows hold days whole, but for those in which the period begins and ends, or quarters of an hour; and the
 * days that are cut all the same.
 */
export const unitOf = (
  period: Period,
  windowStarts: readonly Instant[] | null,
): { readonly unit: TotalsUnit; readonly cut: readonly Instant[] } => {
  const days = cutDays(period, windowStarts, dayMs);
  return days.length <= 2
    ? { unit: 'day', cut: days }
    : { unit: 'quarter', cut: cutDays(period, windowStarts, quarterMs) };
};

export type DaysStatement = { readonly query: string; readonly params: Readonly<Record<string, unknown>> };

/** The days of the period that have usage and no totals that hold, for some of the customers, ascending. */
export const daysStatement = ({ tenant, watermark, meter, customers, period }: AskedUsage): DaysStatement => {
  const scope = `${customers ? 'AND customer IN {customers:Array(String)}' : ''}
      ${isCarried({ meter }) ? '' : 'AND day >= toDate({from:Int64})'} AND day <= toDate({to:Int64})`;
  return {
    query: `
SELECT DISTINCT toString(toInt64(day)) AS number
FROM (
  SELECT customer, day, sum(rows) AS all_rows, max(sequence) AS last
  FROM usage_days
  WHERE tenant = {tenant:String} AND event = {event:String} ${scope}
  GROUP BY customer, day
) AS stored
LEFT JOIN (
  SELECT customer, day, max(day_rows) AS made_of, argMax(is_kept, day_rows) AS kept
  FROM usage_totals
  WHERE tenant = {tenant:String} AND meter_version = {meterVersion:String} ${scope}
  GROUP BY customer, day
) AS made ON stored.customer = made.customer AND stored.day = made.day
WHERE all_rows != made_of OR kept = 0 OR last > {watermark:UInt64}`,
    params: {
      tenant,
      event: meter.event,
      meterVersion: meter.versionId,
      watermark: watermark.toString(),
      from: dayOf(period.start) / dayMs,
      to: dayOf(period.end - 1) / dayMs,
      ...(customers && { customers: [...customers] }),
    },
  };
};

export const daysFromRows = (rows: readonly { readonly number: string }[]): Instant[] =>
  rows.map(({ number }) => Number(number) * dayMs).sort((a, b) => a - b);
