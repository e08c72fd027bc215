/**
 * The queries for what has come between two watermarks: of which customers, for which minutes, and what measures make
 * of it. Pure: text and parameters.
 */
import type { Instant } from '#schemas/period.ts';
import { createBindings } from '../aggregate/bindings.ts';
import type { Fragment, Results } from '../aggregate/fragment.ts';
import { fragmentOf } from '../aggregate/fragment-of.ts';
import { inRuns } from '../aggregate/in-runs.ts';
import { meterColumns } from '../aggregate/meter-columns.ts';
import {
  isInParts,
  type Measure,
  measureKey,
  parametersMax,
  parametersOf,
  resultsOf,
  type StatementRow,
  unmeasuredOf,
} from '../aggregate/quantity-query.ts';
import { standingCondition } from '../aggregate/standing.ts';

export type ArrivedWanted = {
  readonly tenant: string;
  /** Both are watermarks: everything up to them is stored and checked. */
  readonly after: bigint;
  readonly watermark: bigint;
  readonly measures: readonly Measure[];
  /** For so many days the identity check knows a key. */
  readonly windowDays: number;
};

/** More rows of one statement are too many to be held. */
export const arrivedMax = 50_000;

export type ArrivedStatement = {
  readonly query: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly settings: Readonly<Record<string, number>>;
  readonly measures: readonly Measure[];
  /** By `measureKey`, in their order. */
  readonly keys: readonly string[];
  /** Undefined of what takes the events themselves. */
  readonly fragments: readonly (Fragment | undefined)[];
};

export type VoidedStatement = Omit<ArrivedStatement, 'measures' | 'keys' | 'fragments'>;

/** The instant and the length of what events are put together by. */
export const minuteMs = 60_000;

/**
 * The identity check knows the keys of its window. A repeat that comes later has no void, and is left out by its first
 * event alone, where both say the same day. That day is so long before the repeat was received, unless events may lie
 * in the future, as those of a sandbox may.
 */
const recentDaysOf = (windowDays: number): number => Math.max(0, Math.min(30, windowDays - 3));

/** Whether it is measured as a whole, and two results of it can be put together. */
export const isMergeable = (measure: Measure, { merge }: Fragment): boolean =>
  merge !== undefined && !isInParts(measure) && measure.amountProperty === undefined;

/** They read little, several times a second: what a second thread takes to begin is more than it does. */
const settings = { max_threads: 1 } as const;

const eventsOf = (measures: readonly Measure[]): string[] => [...new Set(measures.map(({ meter }) => meter.event))];

const arrivedStatement = ({ tenant, after, watermark, measures, windowDays }: ArrivedWanted): ArrivedStatement => {
  const bindings = createBindings();
  const columns = measures.map(({ meter }) => meterColumns(meter, bindings));
  const fragments = measures.map((measure, index) => {
    const names = { counted: `counted_${index}`, value: `value_${index}` };
    const fragment = fragmentOf(measure.meter, names, { start: 'NULL', end: 'NULL' });
    return isMergeable(measure, fragment) ? fragment : undefined;
  });
  const perEvent = columns.flatMap(({ counted, value }, index) => [
    `${counted} AS counted_${index}`,
    ...(fragments[index] ? [`if(counted_${index}, ${value}, NULL) AS value_${index}`] : []),
  ]);
  const results = fragments.flatMap((fragment, index) => [
    `toString(countIf(counted_${index})) AS arrived_${index}`,
    ...(fragment
      ? [
          ...Object.entries(fragment.results).map(([name, sql]) => `${sql} AS result_${name}_${index}`),
          `toString(countIf(counted_${index} AND isNull(value_${index}))) AS unmeasured_${index}`,
        ]
      : []),
  ]);
  // A row that was stored twice has one sequence. Whatever else is a repeat has a void, or can't be told from a first
  // event here: it is of long ago, or the replacement of an amendment, which may be in the stream twice.
  const query = `
SELECT customer, toString(at - positiveModulo(at, ${minuteMs})) AS minute,
  toString(countIf(is_unsure)) AS unsure, ${results.join(', ')}
FROM (
  SELECT customer, occurred_at, toUnixTimestamp64Milli(occurred_at) AS at,
    occurred_at < received_at - toIntervalDay(${recentDaysOf(windowDays)})
      OR occurred_at > received_at + toIntervalDay(1) OR position(idempotency_key, '\\0') > 0 AS is_unsure,
    ${perEvent.join(', ')}
  FROM (
    SELECT ${['customer', 'event', 'occurred_at', 'received_at', 'idempotency_key', ...bindings.columns()].join(', ')}
    FROM usage_events
    PREWHERE tenant = {tenant:String} AND event IN {events:Array(String)}
      AND stream_sequence > {after:UInt64} AND stream_sequence <= {watermark:UInt64}
    WHERE true ${standingCondition({ customers: false, start: false, end: false })}
    LIMIT 1 BY event, customer, toDate(occurred_at), key_digest, stream_sequence
  )
)
GROUP BY customer, minute
LIMIT ${arrivedMax + 1}`;
  return {
    query,
    params: {
      tenant,
      after: after.toString(),
      watermark: watermark.toString(),
      events: eventsOf(measures),
      ...bindings.params(),
    },
    settings,
    measures,
    keys: measures.map(measureKey),
    fragments,
  };
};

/** As many as the bounds of a request ask for. */
export const arrivedStatements = (wanted: ArrivedWanted): ArrivedStatement[] =>
  inRuns(wanted.measures, ({ meter }) => parametersOf(meter), parametersMax).map((measures) =>
    arrivedStatement({ ...wanted, measures }),
  );

/** Under which names events stood at the one watermark that fall by the other: by an amendment, or as a repeat. */
export const voidedStatement = ({ tenant, after, watermark, measures }: ArrivedWanted): VoidedStatement => ({
  query: `
SELECT DISTINCT customer FROM usage_voids
WHERE tenant = {tenant:String} AND event IN {events:Array(String)}
  AND void_sequence > {after:UInt64} AND void_sequence <= {watermark:UInt64} AND row_sequence <= {after:UInt64}`,
  params: { tenant, after: after.toString(), watermark: watermark.toString(), events: eventsOf(measures) },
  settings,
});

export type ArrivedResults = {
  readonly fragment: Fragment;
  readonly results: Results;
  readonly unmeasuredEvents: bigint;
};

/** What came of one customer's name within a minute, by the measures of its statement. */
export type Arrived = {
  readonly customer: string;
  readonly minute: Instant;
  /** Whether some of it can't be told from repeats by itself. */
  readonly isUnsure: boolean;
  readonly of: readonly {
    readonly key: string;
    readonly measure: Measure;
    /** Undefined where it takes the events themselves. */
    readonly more: ArrivedResults | undefined;
  }[];
};

export const arrivedFromRow = ({ measures, keys, fragments }: ArrivedStatement, row: StatementRow): Arrived => ({
  customer: row.customer ?? '',
  minute: Number(row.minute),
  isUnsure: row.unsure !== '0',
  of: measures.flatMap((measure, index) => {
    if (row[`arrived_${index}`] === '0') return [];
    const fragment = fragments[index];
    const more = fragment && {
      fragment,
      results: resultsOf(fragment, row, `_${index}`),
      unmeasuredEvents: unmeasuredOf(row, index),
    };
    return [{ key: keys[index] as string, measure, more }];
  }),
});
