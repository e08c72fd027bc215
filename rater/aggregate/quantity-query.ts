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
};

export const quantityStatement = ({ tenant, watermark, subscriptions, meters }: QuantityQuery): QuantityStatement => {
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
      start: Math.min(...rows.map(({ period }) => period.start)),
      end: Math.max(...rows.map(({ period }) => period.end)),
      customers: rows.map(({ customer }) => customer),
      subscriptions: rows.map(({ subscriptionId }) => subscriptionId),
      starts: rows.map(({ period }) => period.start),
      ends: rows.map(({ period }) => period.end),
      ...Object.assign({}, ...fragments.map(({ params }) => params)),
    },
    settings: {
      // A twin never lies in another month's partition than its first copy as long as its time is the same, so FINAL may work by partition.
      do_not_merge_across_partitions_select_final: 1,
      max_query_size: '10485760',
      http_max_field_value_size: '16777216',
    },
  };
};

/** The rows of the query's answer, as JSON objects -> quantities. */
export const quantitiesFromRows = (rows: readonly Readonly<Record<string, string>>[], meters: readonly Meter[]): Quantities =>
  new Map(
    rows.map((row) => [
      row.subscription ?? '',
      new Map(
        meters.map(({ code }, index) => [
          code,
          { quantity: row[`quantity_${index}`] ?? '0', unmeasuredEvents: BigInt(row[`unmeasured_${index}`] ?? '0') },
        ]),
      ),
    ]),
  );
