/**
 * The query for quantities from totals: of each span what totals hold of its whole days, and which days have to be read
 * from events. Both are told by one statement, of one moment, so that a day is in exactly one of them. Pure: text and
 * parameters.
 */
import assert from 'node:assert/strict';
import type { Aggregation, Meter } from '#schemas/meter.ts';
import { createBindings } from './bindings.ts';
import { dayMs, hasTotals } from './cells.ts';
import {
  boundsOfAll,
  coveredParams,
  coveredRows,
  coveredSql,
  dayNumberSql,
  dayOfNumber,
  type SpanDay,
} from './covered-spans.ts';
import { addResults, type Fragment, integerOf, type Results } from './fragment.ts';
import {
  eventsOf,
  finalByPartition,
  isInParts,
  type Measure,
  placeNames,
  type QuantityAsk,
  type QuantityShape,
  type StatementRow,
  unmeasuredOf,
  wholeDays,
} from './quantity-query.ts';

/** Whether totals hold what is asked, and it can be put together with what events give. */
export const isOfTotals = (measure: Measure): boolean =>
  hasTotals(measure.meter) && !isInParts(measure) && measure.amountProperty === undefined;

export type HeldStatement = {
  readonly query: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly settings: Readonly<Record<string, string | number>>;
};

/** What the totals of a day come to over all groups; of columns that are empty, where the meter has no use for them. */
const latestSql = (what: string): string =>
  `arrayReduce('argMaxIf', ${what}, arrayZip(group_at, group_key), arraySlice(measured, 1, length(group_at)))`;
const valueSql: Readonly<Partial<Record<Aggregation, string>>> = {
  latest: latestSql('arraySlice(group_value, 1, length(group_at))'),
  max: "arrayReduce('maxIf', group_value, measured)",
  min: "arrayReduce('minIf', group_value, measured)",
};
const sumSql = "arrayReduce('sum', group_value)";

/** The fragment's results over days of which `counts` is 1, by the columns of the meter version at `place`. */
const resultsSql = (aggregation: Aggregation, place: number): Readonly<Record<string, string>> => {
  const [events, unmeasured, value] = ['events', 'unmeasured', 'value'].map((name) => `${name}_of_${place}`);
  const sum = { sum: `toString(sumIf(${value}, counts))` };
  const isMeasured = `counts AND ${events} > ${unmeasured}`;
  switch (aggregation) {
    case 'count':
      return { count: `toString(sumIf(${events}, counts))` };
    case 'max':
    case 'min':
      return { extreme: `if(countIf(${isMeasured}) = 0, NULL, toString(${aggregation}If(${value}, ${isMeasured})))` };
    case 'average':
      return { ...sum, count: `toString(sumIf(${events}, counts) - sumIf(${unmeasured}, counts))` };
    case 'latest':
      return {
        ...Object.fromEntries(
          ['at', 'key', 'value'].map((name) => [
            name === 'value' ? 'latest' : name,
            `toString(argMaxIf(${name}_of_${place}, (at_of_${place}, key_of_${place}), ${isMeasured}))`,
          ]),
        ),
        count: `toString(sumIf(${events}, counts) - sumIf(${unmeasured}, counts))`,
      };
    case 'weighted_sum':
      return {
        area: `toString(sumIf(if(is_inside, ${value} * (to_ms - day_ms) - moment_of_${place},
          ${value} * (to_ms - from_ms)), counts))`,
      };
    default:
      return sum;
  }
};

/** Of measures that totals hold. */
export const heldStatement = ({ tenant, watermark, spans, measures, before }: QuantityAsk): HeldStatement => {
  const bindings = createBindings();
  const versions = [...new Map(measures.map(({ meter }) => [meter.versionId, meter])).values()];
  const places = new Map(versions.map(({ versionId }, index) => [versionId, index + 1]));
  const events = eventsOf(measures);
  const eventPlaces = versions.map(({ event }) => events.indexOf(event) + 1);
  const rows = coveredRows(spans);
  const days = wholeDays(boundsOfAll(rows));
  const kinds = [...new Set(versions.map(({ aggregation }) => aggregation))];
  const dayValue = kinds.reduce((otherwise, kind) => {
    const own = versions.flatMap(({ aggregation }, index) => (aggregation === kind ? [index + 1] : []));
    const value = valueSql[kind];
    return value ? `if(version_place IN (${own.join(', ')}), ${value}, ${otherwise})` : otherwise;
  }, sumSql);
  const isLatest = versions.some(({ aggregation }) => aggregation === 'latest');
  // What only some aggregations have: the column of a day without totals, and of one with them.
  const more: readonly (readonly [name: string, none: string, made: string])[] = [
    ...(before ? [['moment', 'toInt256(0)', "arrayReduce('sum', group_moment)"] as const] : []),
    ...(isLatest
      ? [['at', 'toInt64(0)', latestSql('group_at')] as const, ['key', "''", latestSql('group_key')] as const]
      : []),
  ];
  const perVersion = versions.flatMap((_, index) => {
    const place = index + 1;
    // Of each version a day has one row.
    return ['events', 'unmeasured', 'value', ...more.map(([name]) => name)].map(
      (name) => `anyIf(day_${name}, version_place = ${place}) AS ${name}_of_${place}`,
    );
  });
  const results = measures.flatMap(({ meter }, index) => {
    const place = places.get(meter.versionId) as number;
    return [
      ...Object.entries(resultsSql(meter.aggregation, place)).map(([name, sql]) => `${sql} AS result_${name}_${index}`),
      `toString(sumIf(unmeasured_of_${place}, counts AND is_inside)) AS unmeasured_${index}`,
    ];
  });
  const scope = `customer IN {customers:Array(String)} AND day < toDate({endDay:Int64})
        ${before ? '' : 'AND day >= toDate({startDay:Int64})'}`;
  const isDone = before ? `OR day_ms + ${dayMs} <= from_ms` : '';
  const query = `
SELECT span, ${results.join(', ')},
  groupArrayIf(number, NOT counts) AS days, toString(countIf(counts)) AS held_days,
  toString(sumIf(versions, counts)) AS held_rows, toString(sumIf(all_rows, counts)) AS held_events
FROM (
  SELECT *, toUnixTimestamp64Milli(covered_from) AS from_ms, toUnixTimestamp64Milli(covered_to) AS to_ms,
    day_number * ${dayMs} AS day_ms, day_ms >= from_ms AND day_ms + ${dayMs} <= to_ms AS is_inside,
    holds AND (is_inside ${isDone}) AS counts,
    ${dayNumberSql('place', 'event_place', 'day_number')} AS number
  FROM (
    SELECT customer, event_place, day_number, sum(day_rows) AS all_rows, countIf(version_place > 0) AS versions,
      max(last) <= {watermark:UInt64} AND minIf(made_of, version_place > 0) = all_rows
        AND maxIf(made_of, version_place > 0) = all_rows AND minIf(is_kept, version_place > 0) = 1
        AND versions = countEqual(${bindings.integers(eventPlaces)}, event_place) AS holds,
      ${perVersion.join(', ')}
    FROM (
      SELECT customer, toInt64(indexOf({events:Array(String)}, event)) AS event_place, toInt64(day) AS day_number,
        rows AS day_rows, sequence AS last, 0 AS version_place, toUInt64(0) AS made_of, toUInt8(1) AS is_kept,
        toUInt64(0) AS day_events, toUInt64(0) AS day_unmeasured, toInt256(0) AS day_value
        ${more.map(([name, none]) => `, ${none} AS day_${name}`).join('')}
      FROM usage_days
      WHERE tenant = {tenant:String} AND event IN {events:Array(String)} AND ${scope}
      UNION ALL
      SELECT customer, ${bindings.integers(eventPlaces)}[version_place], toInt64(day), 0, day_sequence,
        indexOf({versions:Array(String)}, meter_version) AS version_place, usage_totals.day_rows, is_kept,
        arraySum(group_events), arraySum(group_unmeasured), ${dayValue}
        ${more.map(([, , made]) => `, ${made}`).join('')}
      FROM (
        SELECT *, arraySlice(arrayMap((e, u) -> e > u, group_events, group_unmeasured), 1, length(group_value))
          AS measured
        FROM usage_totals FINAL
        WHERE tenant = {tenant:String} AND meter_version IN {versions:Array(String)} AND ${scope}
      ) AS usage_totals
    )
    GROUP BY customer, event_place, day_number
  ) AS kept
  INNER JOIN (${coveredSql}
  ) AS covered ON kept.customer = covered.customer
  WHERE day_ms < to_ms ${before ? '' : `AND day_ms + ${dayMs} > from_ms`}
)
GROUP BY span`;
  return {
    query,
    params: {
      tenant,
      watermark: watermark.toString(),
      events,
      versions: versions.map(({ versionId }) => versionId),
      startDay: days.start / dayMs,
      endDay: days.end / dayMs,
      ...coveredParams(rows),
      ...bindings.params(),
    },
    settings: finalByPartition,
  };
};

export type Held = {
  /** By span: the results of its days that totals hold, named as those of `quantityStatement`. */
  readonly rows: readonly StatementRow[];
  /** So many days, of names of customers and of events, in so many rows, with so many stored events. */
  readonly heldDays: number;
  readonly heldRows: number;
  readonly heldEvents: number;
  /** The others: what is read from events. */
  readonly days: readonly SpanDay[];
};

export const heldFromRows = (
  { spans, measures }: QuantityAsk,
  answer: readonly Readonly<Record<string, unknown>>[],
): Held => {
  const [covered, events] = [coveredRows(spans), eventsOf(measures)];
  const sumOf = (name: string): number => answer.reduce((sum, row) => sum + Number(row[name]), 0);
  return {
    rows: answer.map(({ days: _, ...row }) => row as StatementRow),
    heldDays: sumOf('held_days'),
    heldRows: sumOf('held_rows'),
    heldEvents: sumOf('held_events'),
    days: answer.flatMap(({ days }) =>
      (days as readonly (string | number)[]).map((number) => dayOfNumber(Number(number), covered, events)),
    ),
  };
};

/** Of one meter over one span: of two parts that share no event. */
const mergeResults = ({ aggregation }: Meter, { merge }: Fragment, a: Results, b: Results): Results => {
  switch (aggregation) {
    case 'weighted_sum':
      return addResults(a, b);
    case 'latest': {
      const count = (integerOf(a.count) + integerOf(b.count)).toString();
      if (integerOf(a.count) === 0n || integerOf(b.count) === 0n) return { ...(b.count === '0' ? a : b), count };
      const [atA, atB] = [integerOf(a.at), integerOf(b.at)];
      const isLater =
        atB > atA || (atB === atA && Buffer.compare(Buffer.from(b.key ?? ''), Buffer.from(a.key ?? '')) > 0);
      return { ...(isLater ? b : a), count };
    }
    default:
      assert(merge, `${aggregation} can be put together`);
      return merge(a, b);
  }
};

const mergeRow = ({ measures, fragments }: QuantityShape, a: StatementRow, b: StatementRow): StatementRow => {
  const columns = measures.flatMap(({ meter }, index): [string, string | null][] => {
    const suffix = `_${index}`;
    const fragment = fragments[index] as Fragment;
    const names = [...Object.keys(fragment.results), ...placeNames(meter)];
    const resultsIn = (row: StatementRow): Results =>
      Object.fromEntries(names.map((name) => [name, row[`result_${name}${suffix}`] ?? null]));
    const merged = mergeResults(meter, fragment, resultsIn(a), resultsIn(b));
    const unmeasured = unmeasuredOf(a, index) + unmeasuredOf(b, index);
    return [
      ...Object.entries(merged).map(([name, text]): [string, string | null] => [`result_${name}${suffix}`, text]),
      [`unmeasured${suffix}`, unmeasured.toString()],
    ];
  });
  return { span: a.span ?? null, ...Object.fromEntries(columns) };
};

/** One row for each span, of what totals hold and of what was read from events of the other days. */
export const mergeRows = (
  shape: QuantityShape,
  held: readonly StatementRow[],
  read: readonly StatementRow[],
): StatementRow[] => {
  const bySpan = new Map(read.map((row) => [row.span, row]));
  return held.map((row) => {
    const more = bySpan.get(row.span);
    return more ? mergeRow(shape, row, more) : row;
  });
};
