/** The one query for quantities: usage per (subscription, meter) at a watermark, for any number of subscriptions. Pure: text and parameters. */
import type { Meter } from '#schemas/meter.ts';
import type { Period } from '#schemas/period.ts';
import { fragmentOf } from './fragment-of.ts';

export type MeasuredSubscription = {
  readonly subscriptionId: string;
  /** The names under which its customer's events may have come: its id and its external id. */
  readonly customers: readonly string[];
  /** Half-open: the billing period, as far as the subscription covers it. */
  readonly period: Period;
};

export type QuantityQuery = {
  readonly tenant: string;
  /** The highest stream sequence that counts. The same watermark gives the same answer for ever. */
  readonly watermark: bigint;
  readonly subscriptions: readonly MeasuredSubscription[];
  readonly meters: readonly Meter[];
};

export type Measured = { readonly quantity: string; readonly unmeasuredEvents: bigint };

/** Subscription id -> meter code -> quantity. A subscription without events is missing. */
export type Quantities = ReadonlyMap<string, ReadonlyMap<string, Measured>>;

const statement = (fragments: readonly ReturnType<typeof fragmentOf>[]): string => {
  const columns = fragments.flatMap((fragment) => fragment.columns.map(({ name, sql }) => `${sql} AS ${name}`));
  const results = fragments.flatMap(({ quantity, unmeasured }, index) => [
    `${quantity} AS quantity_${index}`,
    `toString(${unmeasured}) AS unmeasured_${index}`,
  ]);
  // The watermark may be tested before FINAL or after it: of twins FINAL keeps the lowest sequence, so if any of them counts, that one does.
  return `
SELECT subscription, ${results.join(', ')}
FROM (
  SELECT ${['customer', 'event', 'occurred_at', ...columns].join(', ')}
  FROM usage_events FINAL
  WHERE tenant = {tenant:String} AND event IN {events:Array(String)} AND customer IN {customers:Array(String)}
    AND occurred_at >= fromUnixTimestamp64Milli({start:Int64}, 'UTC') AND occurred_at < fromUnixTimestamp64Milli({end:Int64}, 'UTC')
    AND stream_sequence <= {watermark:UInt64}
) AS usage
INNER JOIN (
  SELECT s.1 AS customer, s.2 AS subscription, fromUnixTimestamp64Milli(s.3, 'UTC') AS covered_from, fromUnixTimestamp64Milli(s.4, 'UTC') AS covered_to
  FROM (SELECT arrayJoin(arrayZip({customers:Array(String)}, {subscriptions:Array(String)}, {starts:Array(Int64)}, {ends:Array(Int64)})) AS s)
) AS covered ON usage.customer = covered.customer
WHERE occurred_at >= covered_from AND occurred_at < covered_to
GROUP BY subscription`;
};

export type QuantityStatement = {
  readonly query: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly settings: Readonly<Record<string, string | number>>;
  /** The meters of this statement, which its columns are numbered by. */
  readonly meters: readonly Meter[];
};

const dayMs = 86_400_000;

const oneStatement = ({ tenant, watermark, subscriptions, meters }: QuantityQuery): QuantityStatement => {
  const fragments = meters.map((meter, index) => fragmentOf(`m${index}`, meter));
  const rows = subscriptions.flatMap(({ subscriptionId, customers, period }) =>
    customers.map((customer) => ({ subscriptionId, customer, period })),
  );
  return {
    query: statement(fragments),
    params: {
      tenant,
      watermark: watermark.toString(),
      events: [...new Set(meters.map(({ event }) => event))],
      // FINAL has to see whole days, as the order key holds the day: within a part of a day ClickHouse may leave out the part of the table that
      // holds the first of two twins, and the second would count until they are merged. The exact bounds are tested outside of it.
      start: Math.floor(Math.min(...rows.map(({ period }) => period.start)) / dayMs) * dayMs,
      end: Math.ceil(Math.max(...rows.map(({ period }) => period.end)) / dayMs) * dayMs,
      customers: rows.map(({ customer }) => customer),
      subscriptions: rows.map(({ subscriptionId }) => subscriptionId),
      starts: rows.map(({ period }) => period.start),
      ends: rows.map(({ period }) => period.end),
      ...Object.assign({}, ...fragments.map(({ params }) => params)),
    },
    // A twin never lies in another month's partition than its first copy as long as its day is the same, so FINAL may work by partition.
    settings: { do_not_merge_across_partitions_select_final: 1 },
    meters,
  };
};

/** ClickHouse takes about 1,000 parameters in a request, and 128 KiB, encoded for a URL, in each. A meter has up to two. */
export const metersPerStatementMax = 200;
export const parameterBytesMax = 100_000;

const encodedBytes = ({ subscriptionId, customers }: MeasuredSubscription): number =>
  customers.reduce((sum, customer) => sum + encodeURIComponent(JSON.stringify(customer)).length + subscriptionId.length + 12, 0);

/** Cuts a list into runs of at most `sizeMax` in all; an item that is larger alone stands alone. */
const inRuns = <T>(items: readonly T[], sizeOf: (item: T) => number, sizeMax: number): T[][] => {
  const runs: T[][] = [];
  let size = Number.POSITIVE_INFINITY;
  for (const item of items) {
    const more = sizeOf(item);
    if (size + more > sizeMax) {
      runs.push([]);
      size = 0;
    }
    runs.at(-1)?.push(item);
    size += more;
  }
  return runs;
};

/** One statement, or as many as the bounds of a request ask for. No two of them give the same subscription the same meter. */
export const quantityStatements = (wanted: QuantityQuery): QuantityStatement[] =>
  inRuns(wanted.subscriptions, encodedBytes, parameterBytesMax).flatMap((subscriptions) =>
    inRuns(wanted.meters, () => 1, metersPerStatementMax).map((meters) => oneStatement({ ...wanted, subscriptions, meters })),
  );

/** Rows of one statement's answer, as JSON objects. */
export type StatementRow = Readonly<Record<string, string>>;

/** Puts the answers of statements together. */
export const quantitiesFromRows = (
  answers: readonly { readonly statement: QuantityStatement; readonly rows: readonly StatementRow[] }[],
): Quantities => {
  const quantities = new Map<string, Map<string, Measured>>();
  for (const { statement: asked, rows } of answers) {
    for (const row of rows) {
      const subscription = row.subscription ?? '';
      const byMeter = quantities.get(subscription) ?? new Map<string, Measured>();
      quantities.set(subscription, byMeter);
      asked.meters.forEach(({ code }, index) => {
        byMeter.set(code, { quantity: row[`quantity_${index}`] ?? '0', unmeasuredEvents: BigInt(row[`unmeasured_${index}`] ?? '0') });
      });
    }
  }
  return quantities;
};
