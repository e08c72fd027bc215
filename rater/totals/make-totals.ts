/**
 * The statements that keep totals: which days of a meter version are due, and how they are made from their events.
 * Pure: text and parameters.
 */
import type { MeterVersion } from '#schemas/stored-meter.ts';
import { createBindings } from '../aggregate/bindings.ts';
import { cellSql, cellsMax, dayMs, daySql, quarterMs } from '../aggregate/cells.ts';
import { countedSql, valueSql } from '../aggregate/meter-columns.ts';
import { finalByPartition } from '../aggregate/quantity-query.ts';
import { standingCondition } from '../aggregate/standing.ts';

/**
 * Days that are made by one statement, how many, between which (in days since 1970), and the events of them that are
 * stored.
 */
export type DuePiece = {
  readonly piece: number;
  readonly days: number;
  readonly firstDay: number;
  readonly lastDay: number;
  readonly events: number;
};

export type DueWanted = {
  readonly tenant: string;
  readonly event: string;
  readonly meterVersion: string;
  /** Under which name the days are written down. */
  readonly batch: string;
  /** Everything up to it is stored and checked. */
  readonly watermark: bigint;
  /** Days that changed since, in milliseconds of the store's clock; undefined for all. */
  readonly changedSinceMs: number | undefined;
  /** So long nothing has changed of a day that is over, and of one that runs. */
  readonly quietMs: { readonly over: number; readonly running: number };
  /** Days of a batch, and stored events of a piece, unless one day has more. */
  readonly daysMax: number;
  readonly eventsMax: number;
};

/**
 * Writes down the days that are due: whole months of customers after one another, as events lie in the store, the
 * latest month first. A day that goes on changing is left alone until it rests: its totals would be made for nobody.
 */
export const dueStatement = (wanted: DueWanted) => {
  const { tenant, event, meterVersion, batch, watermark, changedSinceMs, quietMs, daysMax, eventsMax } = wanted;
  const ofEvent = 'tenant = {tenant:String} AND event = {event:String}';
  const changed =
    changedSinceMs === undefined
      ? ''
      : `AND (customer, day) IN (SELECT customer, day FROM usage_days WHERE ${ofEvent}
      AND changed_at >= fromUnixTimestamp64Milli({since:Int64}, 'UTC'))`;
  return {
    query: `
INSERT INTO usage_due (batch, piece, customer, day, day_rows, day_sequence)
SELECT {batch:String}, if(last > {watermark:UInt64}, 0, 1 + intDiv(sum(all_rows) OVER (
    ORDER BY month DESC, customer, day ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW), {eventsMax:UInt64})),
  customer, day, all_rows, last
FROM (
  SELECT stored.customer AS customer, stored.day AS day, toYYYYMM(stored.day) AS month, all_rows, last
  FROM (
    SELECT customer, day, sum(rows) AS all_rows, max(sequence) AS last
    FROM usage_days
    WHERE ${ofEvent} ${changed} AND day > toDate('1970-01-01') AND day < toDate('2149-01-01')
    GROUP BY customer, day
    HAVING max(changed_at) <= now64(3, 'UTC') - toIntervalMillisecond(
      if(day < toDate(now64(3, 'UTC'), 'UTC'), {over:Int64}, {running:Int64}))
  ) AS stored
  LEFT JOIN (
    SELECT customer, day, max(day_rows) AS made_of FROM usage_totals
    WHERE tenant = {tenant:String} AND meter_version = {meterVersion:String} GROUP BY customer, day
  ) AS made ON stored.customer = made.customer AND stored.day = made.day
  WHERE all_rows != made_of
  ORDER BY month DESC, customer, day
  LIMIT {daysMax:UInt32}
)`,
    params: {
      tenant,
      event,
      meterVersion,
      batch,
      watermark: watermark.toString(),
      over: quietMs.over,
      running: quietMs.running,
      daysMax,
      eventsMax,
      ...(changedSinceMs !== undefined && { since: changedSinceMs }),
    },
  };
};

/** How many days have usage, totals of the state that they are in, and none though they are over. */
export const countStatement = (tenant: string, { versionId, event }: MeterVersion) => ({
  query: `
SELECT toString(count()) AS days, toString(countIf(all_rows = made_of)) AS daysMade,
  toString(countIf(made_of = 0 AND day < toDate(now64(3, 'UTC'), 'UTC'))) AS daysMissing
FROM (
  SELECT customer, day, sum(rows) AS all_rows FROM usage_days
  WHERE tenant = {tenant:String} AND event = {event:String} AND day > toDate('1970-01-01')
    AND day < toDate('2149-01-01')
  GROUP BY customer, day
) AS stored
LEFT JOIN (
  SELECT customer, day, max(day_rows) AS made_of FROM usage_totals
  WHERE tenant = {tenant:String} AND meter_version = {meterVersion:String} GROUP BY customer, day
) AS made ON stored.customer = made.customer AND stored.day = made.day`,
  params: { tenant, event, meterVersion: versionId },
});

/** The pieces of a batch, in order. */
export const piecesStatement = (batch: string) => ({
  query: `SELECT piece, toUInt32(count()) AS days, toUInt32(min(day)) AS firstDay, toUInt32(max(day)) AS lastDay,
    toString(sum(day_rows)) AS events FROM usage_due
    WHERE batch = {batch:String} GROUP BY piece ORDER BY piece`,
  params: { batch },
});

/** In memory; beyond it the store groups on disk. */
const groupBytesMax = 500_000_000;

/**
 * Makes the totals of days from their events, up to a watermark up to which everything of them is stored and checked.
 * What the days are made of was read before, so that whatever is stored meanwhile makes them due again.
 */
export const makeStatement = (
  { tenant, meter, watermark }: { readonly tenant: string; readonly meter: MeterVersion; readonly watermark: bigint },
  batch: string,
  piece: DuePiece,
) => {
  const bindings = createBindings();
  const counted = countedSql(meter, bindings);
  const value = valueSql(meter, bindings);
  const groups = meter.groupBy.map(bindings.property);
  const cells = cellSql(meter);
  const kept = Object.keys(cells);
  const ofDay: Readonly<Record<string, string>> = {
    events: 'sum(events)',
    unmeasured: 'sum(unmeasured)',
    ...daySql(meter),
  };
  const dayColumns = Object.keys(ofDay);
  const latest = meter.aggregation === 'latest' ? ['idempotency_key'] : [];
  const due = `SELECT customer, day, day_rows, day_sequence FROM usage_due
  WHERE batch = {batch:String} AND piece = {piece:UInt16}`;
  const columns = ['quarter', 'events', 'unmeasured', ...kept];
  const flat = (column: string): string => `arrayFlatten(groupArray(all_${column}))`;
  const made = [
    'groups',
    'all_group',
    ...columns.map((column) => `made_${column}`),
    ...dayColumns.map((column) => `made_day_${column}`),
  ];
  const query = `
INSERT INTO usage_totals (tenant, meter_version, customer, day, day_rows, day_sequence, is_kept, groups, cell_group,
  ${columns.map((column) => `cell_${column}`).join(', ')},
  ${dayColumns.map((column) => `group_${column}`).join(', ')})
WITH due AS (${due})
SELECT {tenant:String}, {meterVersion:String}, due.customer, due.day, day_rows, day_sequence,
  length(all_group) <= ${cellsMax},
  ${made.map((column) => `if(length(all_group) <= ${cellsMax}, ${column}, [])`).join(', ')}
FROM due LEFT JOIN (
  SELECT customer, day, groupArray(g) AS groups,
    arrayFlatten(arrayMap((quarters, place) -> arrayWithConstant(length(quarters), toUInt32(place)),
      groupArray(all_quarter) AS quarters_of, arrayEnumerate(quarters_of))) AS all_group,
    ${columns.map((column) => `${flat(column)} AS made_${column}`).join(', ')},
    ${dayColumns.map((column) => `groupArray(day_${column}) AS made_day_${column}`).join(', ')}
  FROM (
    SELECT customer, day, g, ${columns.map((column) => `groupArray(${column}) AS all_${column}`).join(', ')},
      ${dayColumns.map((column) => `${ofDay[column]} AS day_${column}`).join(', ')}
    FROM (
      SELECT customer, day, g, quarter, count() AS events, countIf(isNull(one)) AS unmeasured
        ${kept.map((column) => `, ${cells[column]} AS ${column}`).join('')}
      FROM (
        SELECT customer, toDate(occurred_at) AS day, occurred_at, ${[...latest, ''].join(', ')}
          toUInt8(intDiv(toUnixTimestamp64Milli(occurred_at) % ${dayMs}, ${quarterMs})) AS quarter,
          CAST([${groups.join(', ')}], 'Array(Nullable(String))') AS g, ${value} AS one
        FROM (
          SELECT ${['event', 'customer', 'occurred_at', ...latest, ...bindings.columns()].join(', ')}
          FROM usage_events FINAL
          PREWHERE tenant = {tenant:String} AND event IN {events:Array(String)}
            AND occurred_at >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')
            AND occurred_at < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
            AND (customer, toDate(occurred_at)) IN (SELECT customer, day FROM due)
            AND stream_sequence <= {watermark:UInt64}
          WHERE true ${standingCondition({ customers: false })}
        )
        WHERE ${counted}
      )
      GROUP BY customer, day, g, quarter
      ORDER BY customer, day, g, quarter
      LIMIT ${cellsMax + 1} BY customer, day
    )
    GROUP BY customer, day, g
  )
  GROUP BY customer, day
) AS made ON due.customer = made.customer AND due.day = made.day`;
  return {
    query,
    params: {
      tenant,
      meterVersion: meter.versionId,
      events: [meter.event],
      watermark: watermark.toString(),
      batch,
      piece: piece.piece,
      start: piece.firstDay * dayMs,
      end: (piece.lastDay + 1) * dayMs,
      ...bindings.params(),
    },
    settings: {
      ...finalByPartition,
      max_bytes_before_external_group_by: `${groupBytesMax}`,
      max_partitions_per_insert_block: '0',
      async_insert: 0,
      insert_deduplicate: 0,
    } as const,
  };
};
