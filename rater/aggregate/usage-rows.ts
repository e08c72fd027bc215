/**
 * The rows that usage is put together from: single events, and the cells of totals. Both have `window_start`, the
 * groups, `events`, `unmeasured` and `value` (NULL where nothing was measured), for the latest `latest_at` and
 * `latest_key`, and for levels `area`: what the row changes of the area under the level until its window ends.
 * Pure: text.
 */
import type { Instant } from '#schemas/period.ts';
import type { Bindings } from './bindings.ts';
import { dayMs, keptCells, quarterMs } from './cells.ts';
import { filterSql } from './filter-sql.ts';
import { countedSql, valueSql } from './meter-columns.ts';
import { standingCondition } from './standing.ts';
import { endsOf, firstRead, isCarried, startsOf, type UsageWanted } from './usage-wanted.ts';

/**
 * Milliseconds, by a function that no index understands. A plain comparison would be pushed under FINAL and leave out
 * the parts of the table without an instant of the period, with the first of two twins in them; the days are tested
 * there instead.
 */
const opaqueInstant = 'reinterpretAsInt64(occurred_at)';

/**
 * Where customers are the first group and no window stands before them, a page that goes on reads none of those that
 * came before. What goes by another name may stand anywhere.
 */
const firstCustomerSql = (
  { after, windowStarts, groupBy, merged }: UsageWanted,
  { bind, strings }: Bindings,
): string => {
  const customer = windowStarts === null && groupBy[0] === 'customer_id' ? after?.group[0] : undefined;
  if (customer === undefined || customer === null) return '';
  const behind = `customer >= ${bind(customer, 'String')}`;
  return merged ? `AND (${behind} OR customer IN ${strings(merged.names)})` : `AND ${behind}`;
};

/** The name that the group of a row's customer goes by. */
const customerSql = ({ merged }: UsageWanted, { strings }: Bindings): string =>
  merged ? `transform(customer, ${strings(merged.names)}, ${strings(merged.groups)}, customer)` : 'customer';

/** Days as the store counts them: since 1970. */
const dayNumbers = (days: readonly Instant[]): number[] => days.map((day) => day / dayMs);

const ofCustomers = ({ customers }: UsageWanted): string =>
  customers ? 'AND customer IN {customers:Array(String)}' : '';

/** The group columns over a row that has `customer` and whatever `property` names. */
const groupColumns = (wanted: UsageWanted, bindings: Bindings, property: (path: string) => string): string[] => {
  const numbers =
    wanted.readNumbers === undefined
      ? []
      : [`toString(transform(customer, {customers:Array(String)}, ${bindings.integers(wanted.readNumbers)}, 0))`];
  return [
    ...numbers,
    ...wanted.groupBy.map((name) =>
      name === 'customer_id' ? `CAST(${customerSql(wanted, bindings)} AS Nullable(String))` : property(name),
    ),
  ].map((sql, index) => `${sql} AS group_${index}`);
};

/** Where the window of an instant begins; for levels what came before belongs to the first one. */
const windowColumns = (wanted: UsageWanted, bindings: Bindings, from: string): string[] => {
  const starts = bindings.integers(startsOf(wanted));
  if (!isCarried(wanted)) return [`roundDown(at, ${starts}) AS window_start`];
  return [
    `roundDown(greatest(at, ${from}), ${starts}) AS window_start`,
    `transform(window_start, ${starts}, ${bindings.integers(endsOf(wanted))}) AS window_end`,
  ];
};

/** What rows of events and cells have in common, in one order. */
const columnsOf = (
  wanted: UsageWanted,
  columns: Readonly<Record<'events' | 'unmeasured' | 'at' | 'key' | 'area', string>>,
) => [
  `${columns.events} AS events`,
  `${columns.unmeasured} AS unmeasured`,
  ...(wanted.meter.aggregation === 'latest' ? [`${columns.at} AS latest_at`, `${columns.key} AS latest_key`] : []),
  ...(isCarried(wanted) ? [`${columns.area} AS area`] : []),
];

/** Every event of the period; beside totals those of the days that they do not hold. */
export const eventRowsSql = (wanted: UsageWanted, bindings: Bindings): string => {
  const { meter, customers, filter, period, totals } = wanted;
  const carried = isCarried(wanted);
  const [from, to] = [bindings.bind(firstRead(wanted), 'Int64'), bindings.bind(period.end, 'Int64')];
  const conditions = [countedSql(meter, bindings), ...(filter ? [filterSql(filter, bindings)] : [])];
  const value = valueSql(meter, bindings);
  const groups = groupColumns(wanted, bindings, bindings.property);
  const keys = meter.aggregation === 'latest' ? ['idempotency_key'] : [];
  const isInside = carried ? `at >= ${from}` : '1';
  const shape = columnsOf(wanted, {
    events: `toUInt64(${isInside})`,
    unmeasured: `toUInt64(${isInside} AND isNull(value))`,
    at: 'at',
    key: 'idempotency_key',
    area: 'value * (window_end - greatest(window_start, at))',
  });
  const columns = [...windowColumns(wanted, bindings, from), ...groups, `${value} AS value`, ...shape];
  const read = ['event', 'customer', `${opaqueInstant} AS at`, ...keys, ...bindings.columns()];
  return `
    SELECT ${columns.join(', ')}
    FROM (
      SELECT ${read.join(', ')}
      FROM usage_events FINAL
      PREWHERE tenant = {tenant:String} AND event IN {events:Array(String)} ${ofCustomers(wanted)}
        ${carried ? '' : "AND occurred_at >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')"}
        AND occurred_at < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
        ${totals ? `AND has(${bindings.integers(dayNumbers(totals.daysOfEvents))}, toInt64(toDate(occurred_at)))` : ''}
        AND stream_sequence <= {watermark:UInt64} ${firstCustomerSql(wanted, bindings)}
      WHERE true ${standingCondition({ customers: customers !== null, start: !carried })}
    )
    WHERE ${carried ? '' : `at >= ${from} AND `}at < ${to} AND ${conditions.join(' AND ')}`;
};

/**
 * The cells of the period, of the days that totals hold. A row that was made anew since these days were looked at is of
 * a later watermark, and ends the statement: whoever asked reads events then.
 */
export const cellRowsSql = (wanted: UsageWanted, bindings: Bindings): string => {
  const { meter, filter, period, totals } = wanted;
  const carried = isCarried(wanted);
  const [from, to] = [bindings.bind(firstRead(wanted), 'Int64'), bindings.bind(period.end, 'Int64')];
  const property = (path: string): string => `g_${meter.groupBy.indexOf(path)}`;
  const kept = keptCells(meter);
  const ofDay = totals?.unit === 'day';
  const columns = ['events', 'unmeasured', ...kept];
  const arrays = ['group', ...(ofDay ? [] : ['quarter']), ...columns].map((name) => `cell_${name}`);
  const stored = ofDay
    ? ['arrayEnumerate(groups) AS cell_group', ...columns.map((name) => `group_${name} AS cell_${name}`)]
    : arrays;
  const isMeasured = 'cell_events > cell_unmeasured';
  const value = kept.includes('value') ? `if(${isMeasured}, cell_value, NULL)` : 'CAST(NULL AS Nullable(Int256))';
  const begin = ofDay ? 'day_ms' : `day_ms + cell_quarter * ${quarterMs}`;
  const isInside = carried ? `at >= ${from}` : '1';
  const shape = columnsOf(wanted, {
    events: `if(${isInside}, cell_events, 0)`,
    unmeasured: `if(${isInside}, cell_unmeasured, 0)`,
    at: 'cell_at',
    key: 'cell_key',
    area: `if(at < ${from}, cell_value * (window_end - window_start), cell_value * (window_end - day_ms) - cell_moment)`,
  });
  const conditions = [
    carried ? [] : [`at >= ${from}`],
    [`at < ${to}`],
    filter ? [filterSql(filter, { ...bindings, property })] : [],
  ].flat();
  const days = bindings.integers(dayNumbers(totals?.daysOfEvents ?? []));
  const version = bindings.bind(totals?.meterVersion ?? '', 'String');
  const rows = `
        SELECT customer, toInt64(day) * ${dayMs} AS day_ms, groups, ${stored.join(', ')}
        FROM usage_totals FINAL
        WHERE tenant = {tenant:String} AND meter_version = ${version} ${ofCustomers(wanted)}
          ${carried ? '' : `AND day >= toDate(intDiv(${from}, ${dayMs}))`}
          AND day <= toDate(intDiv(${to} - 1, ${dayMs}))
          AND NOT has(${days}, toInt64(day)) ${firstCustomerSql(wanted, bindings)}
          AND throwIf(NOT has(${days}, toInt64(day)) AND day_sequence > {watermark:UInt64}, '${movedMessage}') = 0`;
  const selected = [
    ...windowColumns(wanted, bindings, from),
    ...groupColumns(wanted, bindings, property),
    `${value} AS value`,
    ...shape,
  ];
  const groups = meter.groupBy.map((_, index) => `groups[cell_group][${index + 1}] AS g_${index}`);
  return `
    SELECT ${selected.join(', ')}
    FROM (
      SELECT ${['customer', 'day_ms', `${begin} AS at`, ...groups, ...arrays].join(', ')}
      FROM (${rows}
      )
      ARRAY JOIN ${arrays.join(', ')}
    )
    WHERE ${conditions.join(' AND ')}`;
};

/** What the store says of totals that were made anew meanwhile. */
export const movedMessage = 'the totals are of a later watermark';
