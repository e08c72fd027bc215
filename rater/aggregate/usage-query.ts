/** Usage of one meter in windows and groups at a watermark. Pure: text and parameters. */
import assert from 'node:assert/strict';
import type { Filter } from '#schemas/filter.ts';
import type { Meter } from '#schemas/meter.ts';
import type { Period } from '#schemas/period.ts';
import { type Bindings, createBindings } from './bindings.ts';
import { filterSql } from './filter-sql.ts';
import { finish } from './finish.ts';
import { type Fragment, integerOf } from './fragment.ts';
import { fragmentOf } from './fragment-of.ts';
import { countedSql, valueSql } from './meter-columns.ts';
import { finalByPartition, resultsOf, wholeDays } from './quantity-query.ts';
import { standingCondition } from './standing.ts';

export type UsageWanted = {
  readonly tenant: string;
  /** The highest stream sequence that counts. The same watermark gives the same answer for ever. */
  readonly watermark: bigint;
  readonly meter: Meter;
  readonly period: Period;
  /**
   * Where windows begin, ascending, the first at the period's start, the last before its end; null for one window
   * without a name. At most 10,000.
   */
  readonly windowStarts: readonly number[] | null;
  /** Names under which events may have come; null for every customer. */
  readonly customers: readonly string[] | null;
  /**
   * Several reads in one: for each of the names, which read it belongs to. The number of the read is then the first
   * group, and the limit is that of each. Absent for a read by itself.
   */
  readonly readNumbers?: readonly number[];
  /** 'customer_id', which is the customer as events name it, or paths of properties. */
  readonly groupBy: readonly string[];
  /** Beside the meter's own. */
  readonly filter: Filter | null;
  /** Where the page before ended: the window and the group of its last row. */
  readonly after: { readonly windowStart: number | null; readonly group: readonly (string | null)[] } | null;
  readonly limit: number;
};

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

/** The end of each window: where the next one begins. */
const startsOf = ({ windowStarts, period }: UsageWanted): readonly number[] => windowStarts ?? [period.start];
const endsOf = (wanted: UsageWanted): number[] => [...startsOf(wanted).slice(1), wanted.period.end];

const columns = { counted: '1', value: 'value' };
/** For levels; the window of a row and its end stand beside it. */
const span = { start: 'window_start', end: 'window_end' };

const isCarried = ({ meter }: UsageWanted): boolean => meter.aggregation === 'weighted_sum';

/** A page that goes on reads no earlier window, but where levels are carried. */
const firstRead = (wanted: UsageWanted): number =>
  isCarried(wanted) ? wanted.period.start : (wanted.after?.windowStart ?? wanted.period.start);

/**
 * Milliseconds, by a function that no index understands. A plain comparison would be pushed under FINAL and leave out
 * the parts of the table without an instant of the period, with the first of two twins in them; the days are tested
 * there instead.
 */
const opaqueInstant = 'reinterpretAsInt64(occurred_at)';

/**
 * Where customers are the first group and no window stands before them, a page that goes on reads none of those that
 * came before.
 */
const firstCustomerSql = ({ after, windowStarts, groupBy }: UsageWanted, { bind }: Bindings): string => {
  const customer = windowStarts === null && groupBy[0] === 'customer_id' ? after?.group[0] : undefined;
  return customer === undefined || customer === null ? '' : `AND customer >= ${bind(customer, 'String')}`;
};

/** Rows of the period, each with its window, its groups and its value. */
const eventsSql = (wanted: UsageWanted, bindings: Bindings): string => {
  const { meter, customers, groupBy, filter, period } = wanted;
  const carried = isCarried(wanted);
  const starts = bindings.integers(startsOf(wanted));
  const [from, to] = [bindings.bind(firstRead(wanted), 'Int64'), bindings.bind(period.end, 'Int64')];
  const conditions = [countedSql(meter, bindings), ...(filter ? [filterSql(filter, bindings)] : [])];
  const value = valueSql(meter, bindings);
  const numbers =
    wanted.readNumbers === undefined
      ? []
      : [`toString(transform(customer, {customers:Array(String)}, ${bindings.integers(wanted.readNumbers)}, 0))`];
  const groups = [
    ...numbers,
    ...groupBy.map((name) => (name === 'customer_id' ? 'CAST(customer AS Nullable(String))' : bindings.property(name))),
  ].map((sql, index) => `${sql} AS group_${index}`);
  const keys = meter.aggregation === 'latest' ? ['idempotency_key'] : [];
  const windowStart = carried ? `roundDown(greatest(at, ${from}), ${starts})` : `roundDown(at, ${starts})`;
  const windowEnd = carried
    ? [`transform(window_start, ${starts}, ${bindings.integers(endsOf(wanted))}) AS window_end`]
    : [];
  const columns = [
    `${windowStart} AS window_start`,
    ...windowEnd,
    `at >= ${from} AS is_inside`,
    'occurred_at',
    ...keys,
  ];
  const read = ['event', 'customer', 'occurred_at', `${opaqueInstant} AS at`, ...keys, ...bindings.columns()];
  return `
    SELECT ${[...columns, ...groups, `${value} AS value`].join(', ')}
    FROM (
      SELECT ${read.join(', ')}
      FROM usage_events FINAL
      PREWHERE tenant = {tenant:String} AND event IN {events:Array(String)}
        ${customers ? 'AND customer IN {customers:Array(String)}' : ''}
        ${carried ? '' : "AND occurred_at >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')"}
        AND occurred_at < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
        AND stream_sequence <= {watermark:UInt64} ${firstCustomerSql(wanted, bindings)}
      WHERE true ${standingCondition({ customers: customers !== null, start: !carried })}
    )
    WHERE ${carried ? '' : `at >= ${from} AND `}at < ${to} AND ${conditions.join(' AND ')}`;
};

const groupNames = ({ groupBy, readNumbers }: UsageWanted): string[] =>
  Array.from({ length: groupBy.length + (readNumbers === undefined ? 0 : 1) }, (_, index) => `group_${index}`);

const limitSql = ({ readNumbers }: UsageWanted): string =>
  `${readNumbers === undefined ? '' : 'LIMIT {limit:UInt64} BY group_0\n'}LIMIT {rows:UInt64}`;

/** A row's place as what can be compared: null stands before every text. */
const placeOf = (wanted: UsageWanted): string =>
  ['window_start', ...groupNames(wanted).flatMap((name) => [`isNotNull(${name})`, `ifNull(${name}, '')`])].join(', ');

const afterSql = (wanted: UsageWanted, { bind }: Bindings): string => {
  if (!wanted.after) return '1';
  const windowStart = bind(wanted.after.windowStart ?? wanted.period.start, 'Int64');
  const group = wanted.after.group.flatMap((text) => [text === null ? '0' : '1', bind(text ?? '', 'String')]);
  assert(wanted.after.group.length === wanted.groupBy.length, 'a page goes on in the groups that it began with');
  return `(${placeOf(wanted)}) > (${[windowStart, ...group].join(', ')})`;
};

/** What every row of the answer has beside the fragment's results. */
const frame = (wanted: UsageWanted): string[] => ['toString(window_start) AS window', ...groupNames(wanted)];

const plainSql = (wanted: UsageWanted, fragment: Fragment, bindings: Bindings): string => `
SELECT ${[
  ...frame(wanted),
  ...Object.entries(fragment.results).map(([name, sql]) => `${sql} AS result_${name}`),
  'toString(count()) AS events',
  'toString(countIf(isNull(value))) AS unmeasured',
].join(', ')}
FROM (${eventsSql(wanted, bindings)})
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
  const lasts = 'window_end - greatest(window_start, toUnixTimestamp64Milli(occurred_at))';
  const perWindow = `
      SELECT ${place}, ifNull(sum(value), 0) AS change, ifNull(sum(value * (${lasts})), 0) AS inside,
        countIf(is_inside) AS events, countIf(is_inside AND isNull(value)) AS unmeasured
      FROM (${eventsSql(wanted, bindings)})
      GROUP BY ${place}`;
  const nothing = `arrayMap(s -> (s, toInt256(0), toInt256(0), toUInt64(0), toUInt64(0)), arrayFilter(s -> s > first_window, ${starts}))`;
  const filled = `
    SELECT ${[...groups, `arrayJoin(arrayConcat(present, ${nothing})) AS one`, 'one.1 AS window_start'].join(', ')}
    FROM (
      SELECT ${groups.map((group) => `${group}, `).join('')}min(window_start) AS first_window,
        groupArray((window_start, change, inside, events, unmeasured)) AS present
      FROM (${perWindow})
      ${byGroup('GROUP BY')}
    )`;
  const length = `(transform(window_start, ${starts}, ${bindings.integers(endsOf(wanted))}) - window_start)`;
  return `
SELECT ${frame(wanted).join(', ')}, toString(inside + carried * ${length}) AS result_area, toString(counted) AS events,
  toString(unusable) AS unmeasured
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
  const days = wholeDays({ start: firstRead(wanted), end: period.end });
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
      events: integerOf(row.events as string).toString(),
      unmeasuredEvents: integerOf(row.unmeasured as string).toString(),
    };
  });
};
