/** Usage of one meter in windows and groups at a watermark. Pure: text and parameters. */
import assert from 'node:assert/strict';
import type { Instant, Period } from '#schemas/period.ts';
import { type Bindings, createBindings } from './bindings.ts';
import { dayMs, hasTotals, mergedResults } from './cells.ts';
import { finish } from './finish.ts';
import { type Fragment, integerOf } from './fragment.ts';
import { fragmentOf } from './fragment-of.ts';
import { finalByPartition, resultsOf, wholeDays } from './quantity-query.ts';
import { cellRowsSql, eventRowsSql } from './usage-rows.ts';
import { endsOf, firstRead, isCarried, startsOf, type UsageWanted } from './usage-wanted.ts';

export type UsageRow = {
  readonly windowStart: number | null;
  /**
   * In the order of `groupBy`, behind the number of the read where there are several; null where an event has no such
   * property.
   */
  readonly group: readonly (string | null)[];
  readonly quantity: string | null;
  /** Events of the meter that occurred in the window. */
  readonly events: string;
  readonly unmeasuredEvents: string;
};

export type UsageStatement = {
  readonly query: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly settings: Readonly<Record<string, string | number>>;
};

export const windowsMax = 10_000;

const columns = { counted: '1', value: 'value' };
/** For levels; the window of a row and its end stand beside it. */
const span = { start: 'window_start', end: 'window_end' };

/** Of totals, where there are any, and of events. */
const rowsSql = (wanted: UsageWanted, bindings: Bindings): string => {
  if (!wanted.totals) return eventRowsSql(wanted, bindings);
  const cells = cellRowsSql(wanted, bindings);
  return wanted.totals.daysOfEvents.length === 0 ? cells : `${cells} UNION ALL ${eventRowsSql(wanted, bindings)}`;
};

const groupNames = ({ groupBy, readNumbers }: UsageWanted): string[] =>
  Array.from({ length: groupBy.length + (readNumbers === undefined ? 0 : 1) }, (_, index) => `group_${index}`);

const limitSql = ({ readNumbers }: UsageWanted): string =>
  `${readNumbers === undefined ? '' : 'LIMIT {limit:UInt64} BY group_0\n'}LIMIT {rows:UInt64}`;

/** A row's place as what can be compared: null stands before every text. */
const placeIn = (names: readonly string[]): string =>
  ['window_start', ...names.flatMap((name) => [`isNotNull(${name})`, `ifNull(${name}, '')`])].join(', ');
const placeOf = (wanted: UsageWanted): string => placeIn(groupNames(wanted));

const afterSql = (wanted: UsageWanted, { bind }: Bindings): string => {
  if (!wanted.after) return '1';
  const windowStart = bind(wanted.after.windowStart ?? wanted.period.start, 'Int64');
  const group = wanted.after.group.flatMap((text) => [text === null ? '0' : '1', bind(text ?? '', 'String')]);
  assert(wanted.after.group.length === wanted.groupBy.length, 'a page goes on in the groups that it began with');
  // Each of several reads goes on behind the same row, which is told without the number of a read.
  const own = groupNames(wanted).slice(wanted.readNumbers === undefined ? 0 : 1);
  return `(${placeIn(own)}) > (${[windowStart, ...group].join(', ')})`;
};

/** What every row of the answer has beside the fragment's results. */
const frame = (wanted: UsageWanted): string[] => ['toString(window_start) AS window', ...groupNames(wanted)];

const plainSql = (wanted: UsageWanted, { results }: Fragment, bindings: Bindings): string => `
SELECT ${[
  ...frame(wanted),
  ...Object.entries(hasTotals(wanted.meter) ? mergedResults(wanted.meter) : results).map(
    ([name, sql]) => `${sql} AS result_${name}`,
  ),
  'toString(sum(events)) AS all_events',
  'toString(sum(unmeasured)) AS all_unmeasured',
].join(', ')}
FROM (${rowsSql(wanted, bindings)})
GROUP BY ${['window_start', ...groupNames(wanted)].join(', ')}
HAVING ${afterSql(wanted, bindings)}
ORDER BY ${placeOf(wanted)}
${limitSql(wanted)}`;

/**
 * A level goes on in windows without an event. So each group is given a row of nothing for every window behind its
 * first, and a sum over its windows tells the level that comes into each: it lasts for the whole window, and what
 * changes within is added.
 */
const carriedSql = (wanted: UsageWanted, bindings: Bindings): string => {
  const groups = groupNames(wanted);
  const place = ['window_start', ...groups].join(', ');
  const byGroup = (word: string): string => (groups.length === 0 ? '' : `${word} ${groups.join(', ')}`);
  const starts = bindings.integers(startsOf(wanted));
  const perWindow = `
      SELECT ${place}, ifNull(sum(value), 0) AS change, ifNull(sum(area), 0) AS inside, sum(events) AS all_events,
        sum(unmeasured) AS all_unmeasured
      FROM (${rowsSql(wanted, bindings)})
      GROUP BY ${place}`;
  const nothing = `arrayMap(s -> (s, toInt256(0), toInt256(0), toUInt64(0), toUInt64(0)), arrayFilter(s -> s > first_window, ${starts}))`;
  const filled = `
    SELECT ${[...groups, `arrayJoin(arrayConcat(present, ${nothing})) AS one`, 'one.1 AS window_start'].join(', ')}
    FROM (
      SELECT ${groups.map((group) => `${group}, `).join('')}min(window_start) AS first_window,
        groupArray((window_start, change, inside, all_events, all_unmeasured)) AS present
      FROM (${perWindow})
      ${byGroup('GROUP BY')}
    )`;
  const length = `(transform(window_start, ${starts}, ${bindings.integers(endsOf(wanted))}) - window_start)`;
  return `
SELECT ${frame(wanted).join(', ')}, toString(inside + carried * ${length}) AS result_area,
  toString(counted) AS all_events,
  toString(unusable) AS all_unmeasured
FROM (
  SELECT ${place}, sum(one.3) AS inside, sum(one.4) AS counted, sum(one.5) AS unusable,
    sum(sum(one.2)) OVER (${byGroup('PARTITION BY')}
      ORDER BY window_start ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) - sum(one.2) AS carried
  FROM (${filled})
  GROUP BY ${place}
)
WHERE (counted > 0 OR carried != 0 OR inside != 0) AND ${afterSql(wanted, bindings)}
ORDER BY ${placeOf(wanted)}
${limitSql(wanted)}`;
};

/** Beside totals only some days have to be read from events. */
const eventsSpan = (wanted: UsageWanted): Period => {
  const span = { start: firstRead(wanted), end: wanted.period.end };
  const days = wanted.totals?.daysOfEvents ?? [];
  if (days.length === 0) return span;
  return { start: Math.max(span.start, days[0] as Instant), end: Math.min(span.end, (days.at(-1) as Instant) + dayMs) };
};

/**
 * Ordered by window and groups; texts in order of their bytes, null first. Windows without an event are left out, but
 * for levels that are carried into them.
 */
export const usageStatement = (wanted: UsageWanted): UsageStatement => {
  const { tenant, watermark, meter, period, customers, windowStarts, readNumbers, limit } = wanted;
  const starts = startsOf(wanted);
  assert(starts.length >= 1 && starts.length <= windowsMax, `1 to ${windowsMax} windows`);
  assert(windowStarts === null || starts[0] === period.start, 'the first window begins with the period');
  const bindings = createBindings();
  const query = isCarried(wanted)
    ? carriedSql(wanted, bindings)
    : plainSql(wanted, fragmentOf(meter, columns, span), bindings);
  const days = wholeDays(eventsSpan(wanted));
  return {
    query,
    params: {
      tenant,
      watermark: watermark.toString(),
      events: [meter.event],
      start: days.start,
      end: days.end,
      limit,
      rows: limit * (readNumbers === undefined ? 1 : new Set(readNumbers).size),
      ...(customers && { customers: [...customers] }),
      ...bindings.params(),
    },
    settings: finalByPartition,
  };
};

export const usageFromRows = (wanted: UsageWanted, rows: readonly Readonly<Record<string, unknown>>[]): UsageRow[] => {
  const fragment = fragmentOf(wanted.meter, columns, span);
  const ends = endsOf(wanted);
  const endByStart = new Map(startsOf(wanted).map((start, index) => [start, ends[index] as number]));
  return rows.map((row) => {
    const start = Number(row.window);
    const ratio = fragment.quantityOf(resultsOf(fragment, row, ''), {
      start,
      end: endByStart.get(start) ?? wanted.period.end,
    });
    return {
      windowStart: wanted.windowStarts === null ? null : start,
      group: groupNames(wanted).map((name) => (row[name] ?? null) as string | null),
      quantity: finish(ratio, wanted.meter),
      events: integerOf(row.all_events as string).toString(),
      unmeasuredEvents: integerOf(row.all_unmeasured as string).toString(),
    };
  });
};
