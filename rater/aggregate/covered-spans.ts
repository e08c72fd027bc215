/**
 * The spans of a statement, one row for each name of their customers, and single days of them. Pure: text and
 * parameters.
 */
import assert from 'node:assert/strict';
import type { Period } from '#schemas/period.ts';
import type { Bindings } from './bindings.ts';
import { dayMs } from './cells.ts';

/** A stretch of time of one customer that is measured by itself. */
export type MeasuredSpan = {
  /** Chosen by the caller, and told back with what was measured: the query knows nothing of what the span is of. */
  readonly spanId: string;
  /** The names under which its customer's events may have come: its id and its external id. */
  readonly customers: readonly string[];
  /** Half-open. */
  readonly period: Period;
};

type CoveredRow = { readonly spanId: string; readonly customer: string; readonly period: Period };

export const coveredRows = (spans: readonly MeasuredSpan[]): CoveredRow[] =>
  spans.flatMap(({ spanId, customers, period }) => customers.map((customer) => ({ spanId, customer, period })));

export const coveredParams = (rows: readonly CoveredRow[]) => ({
  customers: rows.map(({ customer }) => customer),
  spans: rows.map(({ spanId }) => spanId),
  starts: rows.map(({ period }) => period.start),
  ends: rows.map(({ period }) => period.end),
});

/** From the first begin to the last end. */
export const boundsOfAll = (rows: readonly CoveredRow[]): Period => ({
  start: Math.min(...rows.map(({ period }) => period.start)),
  end: Math.max(...rows.map(({ period }) => period.end)),
});

/** Numbered from 1 as `place`. */
export const coveredSql = `
    SELECT s.1 AS customer, s.2 AS span, fromUnixTimestamp64Milli(s.3, 'UTC') AS covered_from,
      fromUnixTimestamp64Milli(s.4, 'UTC') AS covered_to, s.5 AS place
    FROM (SELECT arrayJoin(arrayZip({customers:Array(String)}, {spans:Array(String)}, {starts:Array(Int64)},
      {ends:Array(Int64)}, arrayEnumerate({spans:Array(String)}))) AS s)`;

/** A day (UTC) of one name of a span's customer, of the events of one name. */
export type SpanDay = {
  readonly spanId: string;
  readonly customer: string;
  readonly event: string;
  /** Since 1970, as the store counts them. */
  readonly day: number;
};

export const boundsOfDays = (days: readonly SpanDay[]): Period => {
  let [first, last] = [Number.POSITIVE_INFINITY, 0];
  for (const { day } of days) [first, last] = [Math.min(first, day), Math.max(last, day)];
  return { start: first * dayMs, end: (last + 1) * dayMs };
};

// One number: the place of a covered row, that of an event, and the day. A statement asks for 25 events at most.
const [eventsMax, daysMax] = [64, 100_000];

/** `event` is a place too, from 1. */
export const dayNumberSql = (place: string, event: string, day: string): string =>
  `(${place} * ${eventsMax} + ${event}) * ${daysMax} + ${day}`;

export const dayOfNumber = (number: number, rows: readonly CoveredRow[], events: readonly string[]): SpanDay => {
  const [rest, day] = [Math.floor(number / daysMax), number % daysMax];
  const row = rows[Math.floor(rest / eventsMax) - 1];
  const event = events[(rest % eventsMax) - 1];
  assert(row && event !== undefined, `${number} is a day that was asked for`);
  return { spanId: row.spanId, customer: row.customer, event, day };
};

/** Conditions that leave out all other days: before FINAL, which takes days whole, and behind the join with spans. */
export const onlyDays = (
  days: readonly SpanDay[] | undefined,
  rows: readonly CoveredRow[],
  events: readonly string[],
  { integers }: Bindings,
): { readonly before: string; readonly behind: string } => {
  if (!days) return { before: '', behind: '' };
  const nameOf = (spanId: string, customer: string): string => JSON.stringify([spanId, customer]);
  const places = new Map(rows.map(({ spanId, customer }, index) => [nameOf(spanId, customer), index + 1]));
  const numbers = days.map(({ spanId, customer, event, day }) => {
    const place = places.get(nameOf(spanId, customer));
    assert(place !== undefined, `span ${spanId} is read`);
    return (place * eventsMax + events.indexOf(event) + 1) * daysMax + day;
  });
  const read = integers([...new Set(days.map(({ day }) => day))]);
  const number = dayNumberSql('place', 'indexOf({events:Array(String)}, event)', 'toInt64(toDate(occurred_at))');
  return {
    before: `AND toDate(occurred_at) IN (SELECT toDate(arrayJoin(${read})))`,
    behind: `AND ${number} IN (SELECT arrayJoin(${integers(numbers)}))`,
  };
};
