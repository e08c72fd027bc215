/**
 * The queries for quantities: usage per (span, measure) at a watermark, for any number of spans. Pure: text and
 * parameters.
 */
import { conditionsOf } from '#schemas/filter.ts';
import type { Meter } from '#schemas/meter.ts';
import type { Period } from '#schemas/period.ts';
import { type Cells, type EventTerms, type MeasuredPart, partNames } from '#schemas/price/usage-parts.ts';
import { addQuantities, formatQuantity, parseQuantity, type Quantity, zeroQuantity } from '#schemas/quantity.ts';
import type { MeterVersion } from '#schemas/stored-meter.ts';
import { type Bindings, createBindings } from './bindings.ts';
import { dayMs } from './cells.ts';
import {
  boundsOfAll,
  boundsOfDays,
  coveredParams,
  coveredRows,
  coveredSql,
  type MeasuredSpan,
  onlyDays,
  type SpanDay,
} from './covered-spans.ts';
import { scaledSql } from './exact.ts';
import { finish } from './finish.ts';
import type { Fragment, Results } from './fragment.ts';
import { fragmentOf } from './fragment-of.ts';
import { inRuns } from './in-runs.ts';
import { cellColumns, eventColumns, type PartColumns } from './measure-parts.ts';
import { meterColumns } from './meter-columns.ts';
import { standingCondition } from './standing.ts';

export type QuantityQuery = {
  readonly tenant: string;
  /** The highest stream sequence that counts. The same watermark gives the same answer for ever. */
  readonly watermark: bigint;
  readonly spans: readonly MeasuredSpan[];
  readonly measures: readonly Measure[];
};

/** What is asked of a meter: its usage as a whole, or in parts, of which there is one kind at most. */
export type Measure = {
  /** Chosen by the caller, and told back. */
  readonly measureId: string;
  readonly meter: MeterVersion;
  readonly cells?: Cells;
  readonly events?: EventTerms;
  /** A property that is summed beside the value, over the events that have both. */
  readonly amountProperty?: string;
  /** The spans that ask for it; undefined for all. Others may be measured too, where that costs nothing. */
  readonly spanIds?: ReadonlySet<string> | undefined;
};

const withTexts = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? value.toString() : value);

/** What is asked of which meter version, as a text: equal questions have equal ones, whoever asks, of which spans. */
export const measureKey = ({ meter, cells, events, amountProperty }: Omit<Measure, 'measureId' | 'spanIds'>): string =>
  JSON.stringify([meter.versionId, cells, events, amountProperty], withTexts);

/** The usage of a meter as a whole, under the id of its version. */
export const wholeOf = (meter: MeterVersion): Measure => ({ measureId: meter.versionId, meter });

/**
 * A meter that has no value gives 0 here, as there is nothing to charge. Of a measure in parts the quantity is the sum
 * of those of its parts.
 */
export type Measured = {
  readonly quantity: string;
  readonly unmeasuredEvents: bigint;
  readonly parts?: readonly MeasuredPart[];
};

/** Span id -> measure id -> quantity. A span without events is missing. */
export type Quantities = ReadonlyMap<string, ReadonlyMap<string, Measured>>;

export type QuantityStatement = QuantityShape & {
  readonly query: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly settings: Readonly<Record<string, string | number>>;
};

/** What it takes to read an answer. */
export type QuantityShape = {
  /** The measures of this statement, which its columns are numbered by; one that is told in parts stands alone. */
  readonly measures: readonly Measure[];
  readonly fragments: readonly Fragment[];
  readonly periods: ReadonlyMap<string, Period>;
};

/**
 * FINAL has to see whole days, as the order key holds the day: within a part of a day ClickHouse may leave out the part
 * of the table that holds the first of two twins, and the second would count until they are merged. The exact bounds
 * are tested outside of it.
 */
export const wholeDays = ({ start, end }: Period): Period => ({
  start: Math.floor(start / dayMs) * dayMs,
  end: Math.ceil(end / dayMs) * dayMs,
});

/**
 * A twin never lies in another month's partition than its first copy as long as its day is the same, so FINAL may work
 * by partition.
 */
export const finalByPartition = { do_not_merge_across_partitions_select_final: 1 } as const;

/** The bounds of the row's span, which the join has put beside it. */
const bounds = { start: 'toUnixTimestamp64Milli(covered_from)', end: 'toUnixTimestamp64Milli(covered_to)' };

/** Levels are carried from the first event on; everything else is of the period alone. */
export const readsBefore = ({ aggregation }: Meter): boolean => aggregation === 'weighted_sum';

export const isInParts = ({ cells, events }: Measure): boolean => cells !== undefined || events !== undefined;

const partColumns = ({ cells, events }: Measure, bindings: Bindings): PartColumns | undefined => {
  if (cells) return cellColumns(cells, bindings);
  return events && eventColumns(events, 'value_0');
};

/** Null where the event has no usable value, too: an event is charged for all of what it says, or for nothing. */
const amountColumn = (property: string | undefined, index: number, bindings: Bindings): string[] =>
  property === undefined
    ? []
    : [`if(isNull(value_${index}), NULL, ${scaledSql(bindings.property(property))}) AS amount_${index}`];

/** Levels are carried over from before the span; what an event costs, and that it has no value, is told once. */
const isInSpan = 'occurred_at >= covered_from';
const unmeasuredSql = (column: string, index: number): string =>
  `toString(countIf(counted_${index} AND isNull(${column}) AND ${isInSpan})) AS unmeasured_${index}`;
const amountsSql = (index: number): string => `toString(sumIf(amount_${index}, ${isInSpan})) AS amounts_${index}`;

/** Spans and measures that one statement reads. */
export type QuantityAsk = QuantityQuery & {
  /** Whether levels are carried into the spans, from the first event on. */
  readonly before: boolean;
};

export const eventsOf = (measures: readonly Measure[]): string[] => [
  ...new Set(measures.map(({ meter }) => meter.event)),
];

/** Over the columns of the measure at that place of a statement. */
export const quantityFragment = (meter: Meter, index: number): Fragment =>
  fragmentOf(meter, { counted: `counted_${index}`, value: `value_${index}` }, bounds);

export const shapeOf = ({ spans, measures }: Pick<QuantityAsk, 'spans' | 'measures'>): QuantityShape => ({
  measures,
  fragments: measures.map(({ meter }, index) => quantityFragment(meter, index)),
  periods: new Map(spans.map(({ spanId, period }) => [spanId, period])),
});

/** What a latest value is told with where it may not be the latest of all: its instant, and its event's key. */
export const placeNames = ({ aggregation }: Meter): readonly ('at' | 'key')[] =>
  aggregation === 'latest' ? ['at', 'key'] : [];

const placeSql = { at: 'toUnixTimestamp64Milli(occurred_at)', key: 'idempotency_key' } as const;
const latestPlaces = (meter: Meter, index: number): string[] =>
  placeNames(meter).map((name) => {
    const latest = `argMaxIf(${placeSql[name]}, (occurred_at, idempotency_key), isNotNull(value_${index}))`;
    return `toString(${latest}) AS result_${name}_${index}`;
  });

/** `days`: read these alone. */
export const quantityStatement = (
  { tenant, watermark, spans, measures, before }: QuantityAsk,
  days?: readonly SpanDay[],
): QuantityStatement => {
  const bindings = createBindings();
  const meters = measures.map(({ meter }) => meter);
  const columns = meters.map((meter) => meterColumns(meter, bindings));
  const shape = shapeOf({ spans, measures });
  const perEvent = columns.flatMap(({ counted, value }, index) => [
    `${counted} AS counted_${index}`,
    `if(counted_${index}, ${value}, NULL) AS value_${index}`,
    ...amountColumn(measures[index]?.amountProperty, index, bindings),
  ]);
  const results = shape.fragments.flatMap((fragment, index) => [
    ...Object.entries(fragment.results).map(([name, sql]) => `${sql} AS result_${name}_${index}`),
    ...(days && meters[index] ? latestPlaces(meters[index], index) : []),
    ...(measures[index]?.amountProperty === undefined
      ? [unmeasuredSql(`value_${index}`, index)]
      : [amountsSql(index), unmeasuredSql(`amount_${index}`, index)]),
  ]);
  const inParts = measures[0] && partColumns(measures[0], bindings);
  const latest = meters.some(({ aggregation }) => aggregation === 'latest') ? ['idempotency_key'] : [];
  const keys = [...new Set([...latest, ...(inParts?.needed ?? [])])];
  const rows = coveredRows(spans);
  const events = eventsOf(measures);
  const only = onlyDays(days, rows, events, bindings);
  const read = days ? boundsOfDays(days) : wholeDays(boundsOfAll(rows));
  // PREWHERE is tested before FINAL, on what the rows of one order key share, and on the watermark: of twins FINAL
  // keeps the lowest sequence, so if any of them counts, that one does. Only rows that pass are merged and have their
  // properties read: a third of the time for one customer's month.
  const partResults = inParts
    ? [
        `${inParts.part} AS part`,
        'toString(countIf(counted_0 AND isNotNull(value_0) AND occurred_at >= covered_from)) AS events',
      ]
    : [];
  const query = `
SELECT span, ${[...partResults, ...results].join(', ')}
FROM (
  SELECT span, covered_from, covered_to,
    ${['occurred_at', ...keys, ...perEvent, ...(inParts?.ofEvent ?? [])].join(', ')}
  FROM (
    SELECT ${['customer', 'event', 'occurred_at', ...keys, ...bindings.columns()].join(', ')}
    FROM usage_events FINAL
    PREWHERE tenant = {tenant:String} AND event IN {events:Array(String)} AND customer IN {customers:Array(String)}
      ${before ? '' : "AND occurred_at >= fromUnixTimestamp64Milli({start:Int64}, 'UTC')"}
      AND occurred_at < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
      AND stream_sequence <= {watermark:UInt64} ${only.before}
    WHERE true ${standingCondition({ start: !before })}
  ) AS usage
  INNER JOIN (${coveredSql}
  ) AS covered ON usage.customer = covered.customer
  WHERE ${before ? '' : 'occurred_at >= covered_from AND '}occurred_at < covered_to ${only.behind}
)
GROUP BY span${inParts ? ', part' : ''}`;
  return {
    query,
    params: {
      tenant,
      watermark: watermark.toString(),
      events,
      start: read.start,
      end: read.end,
      ...coveredParams(rows),
      ...bindings.params(),
    },
    settings: finalByPartition,
    ...shape,
  };
};

/**
 * ClickHouse takes about 1,000 parameters in a request, and 128 KiB, encoded for a URL, in each. An ordinary meter has
 * two. What it takes to read a statement grows with the square of its columns: 25 meters take 0.14 s on two busy cores,
 * 50 take 0.6 s and 200 took 10 s, of a table without a row.
 */
export const metersPerStatementMax = 25;
export const parametersMax = 800;
export const parameterBytesMax = 100_000;

/** The most parameters that a meter can have, where its properties are no other's. */
export const parametersOf = ({ filter, expression }: Meter): number =>
  parametersMax / metersPerStatementMax +
  (filter ? 2 * conditionsOf(filter).length : 0) +
  (expression === null ? 0 : 20);

const spanBytes = ({ spanId, customers }: MeasuredSpan): number =>
  customers.reduce(
    (sum, customer) => sum + encodeURIComponent(JSON.stringify(customer)).length + spanId.length + 12,
    0,
  );

/**
 * As many statements as the bounds of a request and carried levels ask for. No two of them give the same span the same
 * measure.
 */
export const quantityAsks = (wanted: QuantityQuery): QuantityAsk[] =>
  inRuns(wanted.spans, spanBytes, parameterBytesMax).flatMap((spans) =>
    [false, true].flatMap((before) => {
      const ofKind = wanted.measures.filter(({ meter }) => readsBefore(meter) === before);
      const [inParts, whole] = [ofKind.filter(isInParts), ofKind.filter((measure) => !isInParts(measure))];
      const runs = inRuns(whole, ({ meter }) => parametersOf(meter), parametersMax);
      return [...runs, ...inParts.map((measure) => [measure])].flatMap((measures) => {
        const asking = spans.filter(({ spanId }) => measures.some(({ spanIds }) => spanIds?.has(spanId) ?? true));
        return asking.length === 0 ? [] : [{ ...wanted, spans: asking, measures, before }];
      });
    }),
  );

/** All of it from events: one statement, or a few. */
export const quantityStatements = (wanted: QuantityQuery): QuantityStatement[] =>
  quantityAsks(wanted).map((ask) => quantityStatement(ask));

/** Rows of one statement's answer, as JSON objects. */
export type StatementRow = Readonly<Record<string, string | null>>;

/** The sum of what events say that they cost, a whole number at 10^-12. */
const amountsPart = (sum: string): MeasuredPart => ({
  part: partNames.amounts,
  quantity: formatQuantity(BigInt(sum) as Quantity),
  events: '0',
});

/** What is known of a measure so far, and a part of it more. */
const withPart = (before: Measured | undefined, part: MeasuredPart, unmeasuredEvents: bigint): Measured => {
  const quantities = [before?.quantity ?? '0', part.quantity].map((text) => parseQuantity(text) ?? zeroQuantity);
  const isThere = part.quantity !== '0' || part.events !== '0';
  return {
    quantity: formatQuantity(quantities.reduce(addQuantities)),
    unmeasuredEvents: (before?.unmeasuredEvents ?? 0n) + unmeasuredEvents,
    parts: [...(before?.parts ?? []), ...(isThere ? [part] : [])].toSorted((a, b) => (a.part < b.part ? -1 : 1)),
  };
};

export type StatementAnswer = { readonly statement: QuantityShape; readonly rows: readonly StatementRow[] };

/** The quantity that results give over a span. */
export const quantityOf = (fragment: Fragment, results: Results, meter: Meter, period: Period): string =>
  finish(fragment.quantityOf(results, period), meter) ?? '0';

export const unmeasuredOf = (row: StatementRow, index: number): bigint => BigInt(row[`unmeasured_${index}`] ?? '0');

/** Puts the answers of statements together. */
export const quantitiesFromRows = (answers: readonly StatementAnswer[]): Quantities => {
  const quantities = new Map<string, Map<string, Measured>>();
  for (const { statement, rows } of answers) {
    for (const row of rows) {
      const spanId = row.span ?? '';
      const period = statement.periods.get(spanId);
      if (!period) continue;
      const byMeasure = quantities.get(spanId) ?? new Map<string, Measured>();
      quantities.set(spanId, byMeasure);
      statement.measures.forEach((measure, index) => {
        const fragment = statement.fragments[index] as Fragment;
        const quantity = quantityOf(fragment, resultsOf(fragment, row, `_${index}`), measure.meter, period);
        const unmeasuredEvents = unmeasuredOf(row, index);
        const part = { part: row.part ?? '', quantity, events: row.events ?? '0' };
        const amounts = row[`amounts_${index}`];
        byMeasure.set(
          measure.measureId,
          isInParts(measure)
            ? withPart(byMeasure.get(measure.measureId), part, unmeasuredEvents)
            : { quantity, unmeasuredEvents, ...(amounts && { parts: [amountsPart(amounts)] }) },
        );
      });
    }
  }
  return quantities;
};

/** A fragment's results in a row, whose columns carry `suffix`. */
export const resultsOf = (fragment: Fragment, row: Readonly<Record<string, unknown>>, suffix: string): Results =>
  Object.fromEntries(
    Object.keys(fragment.results).map((name) => [name, (row[`result_${name}${suffix}`] ?? null) as string | null]),
  );
